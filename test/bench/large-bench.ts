/**
 * Memory: a file of 4 GB is published to a daemon and pulled by another, both real processes on
 * loopback. What counts is the most memory that each held meanwhile, beside what it held before.
 * It needs 17 GB of disk, and is run only where it is named.
 */
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  environmentOf,
  initNode,
  type NodeProcess,
  runCommand,
  startNode,
} from '../../cli/colony.ts'
import type { PublishView, PullView } from '../../protocol/api.ts'
import { exampleFiles, writeFiles } from '../helpers/package.ts'
import { type Figure, figure } from './figure.ts'
import { contents } from './transfer-provider.ts'

const MIB = 1024 * 1024
/** 4 GB, in parts of 40 MB. */
const PART_BYTES = 40_000_000
const PARTS = 100
const GOAL = '< 286 MiB (300 MB)'

export async function benchLarge(): Promise<Figure[]> {
  const folder = await mkdtemp(join(tmpdir(), 'zoarium-large-'))
  const nodes: NodeProcess[] = []
  try {
    const start = async (name: string, ...flags: string[]): Promise<NodeProcess> => {
      const path = join(folder, name)
      await initNode(path, name)
      const node = await startNode(path, ['--log-level', 'error', ...flags])
      nodes.push(node)
      return node
    }
    const sender = await start('Sender')
    const receiver = await start('Receiver', '--no-follow', '--peer', sender.addresses[0] ?? '')
    const ask = async <T>(node: NodeProcess, ...args: string[]): Promise<T> => {
      const { code, stdout, stderr } = await runCommand(['--json', ...args], environmentOf(node))
      if (code !== 0) throw new Error(`zoarium ${args.join(' ')}: ${stderr}`)
      return JSON.parse(stdout) as T
    }
    await ask(sender, 'trust', 'add', receiver.publisher, 'list')
    await ask(receiver, 'trust', 'add', sender.publisher, 'mirror')
    const source = join(folder, 'model')
    fs.mkdirSync(source)
    await writeModel(source)
    const before = { sender: await memoryOf(sender), receiver: await memoryOf(receiver) }
    const { record } = await ask<PublishView>(sender, 'publish', source, '--untested')
    await rm(source, { recursive: true })
    const published = await memoryOf(sender)
    await ask(receiver, 'sync')
    for (const node of nodes) await forgetPeak(node)
    const { bytes, ms } = await ask<PullView>(receiver, 'pull', record ?? '')
    const after = { sender: await memoryOf(sender), receiver: await memoryOf(receiver) }
    const peak = (name: string, value: number, idle: number) =>
      figure(`most memory of ${name}`, value / MIB, 'MiB', GOAL, {
        name: 'the same node idle',
        value: idle / MIB,
      })
    return [
      peak('a node that 4 GB are published to', published.peak, before.sender.now),
      peak('the node that sends 4 GB', after.sender.peak, before.sender.now),
      peak('the node that fetches 4 GB', after.receiver.peak, before.receiver.now),
      figure('4 GB from one daemon to another', bytes / MIB / (ms / 1000), 'MiB/s', 'informative'),
    ]
  } finally {
    await Promise.all(nodes.map((node) => node.kill()))
    await rm(folder, { recursive: true, force: true })
  }
}

/** A model with 4 GB beside it, written and hashed in parts. */
async function writeModel(folder: string): Promise<void> {
  await writeFiles(folder, exampleFiles({ name: 'Large' }))
  const part = contents(PART_BYTES)
  const hash = createHash('sha256')
  const file = fs.openSync(join(folder, 'extra.bin'), 'w')
  for (let n = 0; n < PARTS; n++) {
    // No two leaves are the same.
    new DataView(part.buffer).setUint32(0, n)
    hash.update(part)
    fs.writeSync(file, part)
  }
  fs.closeSync(file)
  const card = join(folder, 'rdf.yaml')
  const attachment = `attachments:\n  - source: extra.bin\n    sha256: ${hash.digest('hex')}\n`
  await writeFile(card, (await readFile(card, 'utf8')) + attachment)
}

/** Bytes that a process holds in memory now, and the most since its peak was forgotten. */
async function memoryOf({ process: { pid } }: NodeProcess) {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  const read = (name: string): number =>
    1024 * Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1])
  return { now: read('VmRSS'), peak: read('VmHWM') }
}

const forgetPeak = ({ process: { pid } }: NodeProcess): Promise<void> =>
  writeFile(`/proc/${pid}/clear_refs`, '5')

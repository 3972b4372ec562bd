/** From starting the process to `/readyz`, and memory when idle, of a node with many records. */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { initNode, startNode } from '../../cli/colony.ts'
import { expectOk } from '../../protocol/errors.ts'
import { dataFolder } from '../../registry/data-folder.ts'
import { openRegistry } from '../../registry/open-registry.ts'
import { TestPublisher } from '../helpers/publisher.ts'
import { type Figure, figure, median } from './figure.ts'

const RECORDS = 100_000
const PAGE = 5_000
const RUNS = 5

export async function benchStartup(): Promise<Figure[]> {
  const path = await mkdtemp(join(tmpdir(), 'zoarium-bench-'))
  try {
    await initNode(path, 'Bench')
    await fill(path)
    const starts: number[] = []
    const memory: number[] = []
    for (let run = 0; run < RUNS; run++) {
      const started = performance.now()
      const node = await startNode(path, ['--log-level', 'error'])
      const answer = await fetch(new URL('/readyz', node.url))
      if (!answer.ok) throw new Error(`not ready: ${answer.status}`)
      starts.push((performance.now() - started) / 1000)
      memory.push(await residentMegabytes(node.process.pid ?? 0))
      await node.stop()
    }
    return [
      figure(`start to ready, ${RECORDS} records`, median(starts), 's', '<= 2'),
      figure(`memory once ready, ${RECORDS} records`, median(memory), 'MB', '<= 150'),
    ]
  } finally {
    await rm(path, { recursive: true })
  }
}

async function fill(path: string): Promise<void> {
  const publisher = new TestPublisher('bench')
  const clock = { now: () => publisher.now + 60_000 }
  const opened = await openRegistry(dataFolder(path), clock)
  const { registry } = opened
  expectOk(registry.admitIdentity(publisher.publisher, publisher.operations, 0))
  registry.setTrust({ publisher: publisher.publisher, right: 'list' })
  const target = publisher.model({ name: 'target' })
  expectOk(registry.admitRecord(target.signed.envelope, target.card))
  for (let n = 0; n < RECORDS; ) {
    const page = []
    for (const end = n + PAGE; n < end; n++) {
      const { envelope } = publisher.tag('target', `t${n % 100}`, target.signed.id)
      page.push({ envelope, card: null })
    }
    // The daily quota is no subject here.
    publisher.now += 24 * 3600 * 1000
    registry.admitRecords(page).map(expectOk)
  }
  await opened.close()
}

/** Resident memory of a process, from Linux's own account. */
async function residentMegabytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) / 1024
}

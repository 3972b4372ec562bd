/**
 * Inference over HTTP against the bare runtime: a daemon, its client (this process) and
 * `session.run` in a third process, on the same seeded U-Net and a 1024 x 1024 float32 image as
 * npy. Blocks of rounds alternate, medians are compared; at 16 clients, throughputs.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Client } from '../../cli/client.ts'
import {
  environmentOf,
  initNode,
  type NodeProcess,
  runCommand,
  startNode,
} from '../../cli/colony.ts'
import { encodeNpy } from '../../daemon/inference/image/npy.ts'
import type { PublishView } from '../../protocol/api.ts'
import { parseCid } from '../../protocol/cid.ts'
import { expectOk } from '../../protocol/errors.ts'
import { type CardData, writeExamplePackage } from '../helpers/package.ts'
import { benchPixels, SIZE } from './bench-image.ts'
import { type Figure, figure, median } from './figure.ts'
import { makeUnet } from './unet.ts'

const WARM_UP = 2
const BLOCKS = 3
/** Of each kind in a block. */
const ROUNDS = 5
const CLIENTS = 16
/** A U-Net of four poolings takes multiples of 16. */
const STRIDE = 16

export async function benchHttp(): Promise<Figure[]> {
  const folder = await mkdtemp(join(tmpdir(), 'zoarium-bench-'))
  let node: NodeProcess | null = null
  try {
    const weights = makeUnet({ base: 16 })
    await initNode(join(folder, 'node'), 'Bench')
    node = await startNode(join(folder, 'node'), ['--log-level', 'error'])
    const infer = await published(node, join(folder, 'package'), weights)

    const shape = [1, 1, SIZE, SIZE]
    const body = encodeNpy({ dtype: 'float32', axes: [], shape, data: benchPixels() })
    const one = () => infer(body)
    for (let n = 0; n < WARM_UP; n++) await one()
    const bare: number[] = []
    const http: number[] = []
    for (let block = 0; block < BLOCKS; block++) {
      bare.push(...(await bareRuns(join(folder, 'package', 'weights.onnx'))))
      for (let n = 0; n < ROUNDS; n++) http.push(await timed(one))
    }
    const bareMs = median(bare)
    const allMs = await timed(() => Promise.all(Array.from({ length: CLIENTS }, one)))
    return [
      figure('HTTP inference 1024x1024, one client', median(http), 'ms', 'ratio <= 1.05', {
        name: 'bare session.run, ms',
        value: bareMs,
      }),
      figure(
        `HTTP inference 1024x1024, ${CLIENTS} clients`,
        (1000 * CLIENTS) / allMs,
        'runs/s',
        'ratio >= 0.95',
        { name: 'bare loop, runs/s', value: 1000 / bareMs },
      ),
    ]
  } finally {
    await node?.stop()
    await rm(folder, { recursive: true })
  }
}

/** Publishes the model; @returns a call that runs it on an npy body */
async function published(node: NodeProcess, path: string, onnx: Uint8Array) {
  const card = (data: CardData) => {
    for (const axis of data.inputs[0].axes) {
      if (axis.type === 'space') axis.size = { min: STRIDE, step: STRIDE }
    }
  }
  await writeExamplePackage(path, { onnx, card })
  const args = ['publish', path, '--untested', '--json']
  const { code, stdout, stderr } = await runCommand(args, environmentOf(node))
  if (code !== 0) throw new Error(stderr)
  const record = expectOk(parseCid((JSON.parse(stdout) as PublishView).record ?? ''))
  const { signal } = new AbortController()
  const client = new Client({ url: new URL(node.url), token: null, signal })
  return (bytes: Uint8Array) =>
    client.infer(record, { bytes, mediaType: 'application/octet-stream', on: null, output: 'npy' })
}

/** Milliseconds of bare runs, in a process that ends with them. */
async function bareRuns(weights: string): Promise<readonly number[]> {
  const script = fileURLToPath(new URL('./bare-run.ts', import.meta.url))
  const child = fork(script, [weights, String(ROUNDS)])
  const [times] = (await once(child, 'message')) as [number[]]
  if (child.exitCode === null) await once(child, 'exit')
  return times
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now()
  await work()
  return performance.now() - started
}

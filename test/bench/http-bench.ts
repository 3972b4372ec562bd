/**
 * Inference over HTTP against the bare runtime: a real daemon, a client in another process (this
 * one) and `session.run` here, on the same seeded U-Net and a 1024 x 1024 float32 image as npy.
 * Rounds alternate, medians are compared; at 16 clients, throughputs.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { InferenceSession, Tensor } from 'onnxruntime-node'
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
import { type Figure, figure, median } from './figure.ts'
import { makeUnet } from './unet.ts'

const SIZE = 1024
const WARM_UP = 2
const ROUNDS = 9
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

    const pixels = Float32Array.from({ length: SIZE * SIZE }, (_, i) => Math.sin(i / 50))
    const shape = [1, 1, SIZE, SIZE]
    const body = encodeNpy({ dtype: 'float32', axes: [], shape, data: pixels })
    const bare = await InferenceSession.create(weights)
    const one = () => infer(body)
    const bareRun = () => bare.run({ x: new Tensor('float32', pixels, shape) })
    const times = { bare: [] as number[], http: [] as number[] }
    for (let round = 0; round < WARM_UP + ROUNDS; round++) {
      const bareMs = await timed(bareRun)
      const httpMs = await timed(one)
      if (round < WARM_UP) continue
      times.bare.push(bareMs)
      times.http.push(httpMs)
    }
    const bareMs = median(times.bare)
    const allMs = await timed(() => Promise.all(Array.from({ length: CLIENTS }, one)))
    const bareAllMs = await timed(async () => {
      for (let n = 0; n < CLIENTS; n++) await bareRun()
    })
    await bare.release()
    return [
      figure('HTTP inference 1024x1024, one client', median(times.http), 'ms', 'ratio <= 1.05', {
        name: 'bare session.run, ms',
        value: bareMs,
      }),
      figure(
        `HTTP inference 1024x1024, ${CLIENTS} clients`,
        (1000 * CLIENTS) / allMs,
        'runs/s',
        'ratio >= 0.95',
        { name: 'bare loop, runs/s', value: (1000 * CLIENTS) / bareAllMs },
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

async function timed(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now()
  await work()
  return performance.now() - started
}

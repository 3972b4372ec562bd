/**
 * The inference service over the bare runtime: a seeded U-Net of 16 channels on one 1024 x 1024
 * image, as npy, with zero mean and unit variance before it. The bare loop calls `session.run` of
 * ONNX Runtime in this process with its default options. Rounds alternate, medians are compared.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { encodeNpy } from '../../daemon/inference/image/npy.ts'
import { Inference, type RunnableModel, type Timings } from '../../daemon/inference/inference.ts'
import { createOnnxEngine } from '../../daemon/inference/onnx-engine.ts'
import type { Cid } from '../../protocol/cid.ts'
import { modelOf } from '../helpers/engine-model.ts'
import { imageModel, stepped } from '../helpers/model-description.ts'
import { benchPixels, SIZE } from './bench-image.ts'
import { type Figure, figure, median } from './figure.ts'
import { makeUnet } from './unet.ts'

const ROUNDS = 7
const WARM_UP = 2

export async function benchInference(): Promise<Figure[]> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'zoarium-bench-'))
  const weights = makeUnet({ base: 16 })
  await writeFile(path.join(folder, 'unet.onnx'), weights)
  const inference = new Inference({
    engine: await createOnnxEngine({ spool: path.join(folder, 'spool') }),
  })
  try {
    const pixels = benchPixels()
    const bare = await InferenceSession.create(path.join(folder, 'unet.onnx'))
    const bareRun = async (): Promise<number> => {
      const start = performance.now()
      await bare.run({ x: new Tensor('float32', pixels, [1, 1, SIZE, SIZE]) })
      return performance.now() - start
    }
    const bytes = encodeNpy({ dtype: 'float32', axes: [], shape: [1, 1, SIZE, SIZE], data: pixels })
    const model: RunnableModel = {
      record: 'unet' as Cid,
      description: imageModel({
        size: stepped(16, 16),
        pre: [{ op: 'zero_mean_unit_variance', axes: ['y', 'x'], eps: 1e-6 }],
      }),
      engineModel: modelOf(weights),
    }
    const timings: Timings[] = []
    const serviceRun = async (): Promise<number> => {
      const start = performance.now()
      const inputs = new Map([[null, { bytes, mediaType: null }]])
      const result = await inference.run(model, inputs, { deadlineMs: 60_000 })
      timings.push(result.timings)
      return performance.now() - start
    }
    const times: { bare: number; service: number }[] = []
    for (let round = 0; round < WARM_UP + ROUNDS; round++) {
      const turn = { bare: await bareRun(), service: await serviceRun() }
      if (round >= WARM_UP) times.push(turn)
    }
    await bare.release()
    const baseline = { name: 'bare session.run, ms', value: median(times.map((t) => t.bare)) }
    const part = (name: keyof Timings): Figure => {
      const ms = median(timings.slice(WARM_UP).map((t) => t[name]))
      return figure(`inference 1024x1024: ${name}`, ms, 'ms', 'none')
    }
    return [
      figure(
        'inference 1024x1024, service over bare run',
        median(times.map((t) => t.service)),
        'ms',
        'ratio <= 1.05',
        baseline,
      ),
      part('decodeMs'),
      part('preprocessMs'),
      part('computeMs'),
      part('postprocessMs'),
      part('encodeMs'),
      figure('inference, opening a session', timings[0]?.openMs ?? 0, 'ms', '<= 300'),
    ]
  } finally {
    await inference.close()
    await rm(folder, { recursive: true })
  }
}

import assert from 'node:assert/strict'
import { encodeNpy } from '../../../daemon/inference/image/npy.ts'
import { encodePng } from '../../../daemon/inference/image/png.ts'
import {
  Inference,
  type InferenceLimits,
  type RunnableModel,
} from '../../../daemon/inference/inference.ts'
import { MemoryEngine, type MemoryModel } from '../../../daemon/inference/memory-engine.ts'
import type { Tensor } from '../../../daemon/inference/tensor.ts'
import type { Cid } from '../../../protocol/cid.ts'
import { ZoariumError } from '../../../protocol/errors.ts'
import type { FileReference, ModelDescription } from '../../../protocol/model-description.ts'
import { fixed, imageModel, stepped } from '../../helpers/model-description.ts'

const info = { name: 'x', dtype: 'float32', shape: [-1, -1, -1, -1] } as const
const io = { inputs: [info], outputs: [info] } as const
const OPTIONS = { deadlineMs: 10_000 }

const npy = (shape: readonly number[], values: readonly number[]): Uint8Array =>
  encodeNpy({ dtype: 'float32', axes: [], shape, data: Float32Array.from(values) })
const counted = (count: number): number[] => Array.from({ length: count }, (_, i) => i)

describe('daemon/inference/inference', () => {
  let inference: Inference
  /** Shapes that the engine was given. */
  let seen: (readonly number[])[] = []
  const models: Record<string, MemoryModel> = {
    identity: {
      ...io,
      run: (inputs) => {
        seen.push(...inputs.map(({ shape }) => shape))
        return inputs
      },
    },
    smaller: {
      ...io,
      run: ([x]) => [{ ...(x as Tensor), shape: [1, 1, 1, 1], data: new Float32Array(1) }],
    },
    hungry: {
      ...io,
      run: () => {
        throw new ZoariumError('MODEL_MEMORY', 'no memory')
      },
    },
    stuck: { ...io, run: () => new Promise(() => {}) },
  }
  const create = (limits: Partial<InferenceLimits> = {}): void => {
    seen = []
    inference = new Inference({ engine: new MemoryEngine(models), limits })
  }
  beforeEach(() => create())
  afterEach(() => inference.close())

  const runnable = (description: ModelDescription, main = 'identity'): RunnableModel => ({
    record: main as Cid,
    description,
    engineModel: { id: main, main, files: [] },
  })
  const run = (model: RunnableModel, bytes: Uint8Array, options = {}) =>
    inference.run(model, new Map([[null, { bytes, mediaType: null }]]), { ...OPTIONS, ...options })
  const elementsOf = (body: Uint8Array): number[] => [
    ...new Float32Array(body.slice(-(body.length - 128)).buffer),
  ]

  it('runs an array through and answers with an array', async () => {
    const values = counted(64)
    const result = await run(runnable(imageModel()), npy([1, 1, 8, 8], values))
    assert.equal(result.mediaType, 'application/x-npy')
    assert.deepEqual(elementsOf(result.body), values)
    assert.deepEqual(result.outputs, [
      { id: 'result', axes: ['batch', 'channel', 'y', 'x'], shape: [1, 1, 8, 8], dtype: 'float32' },
    ])
    assert.deepEqual(result.notes, [])
    assert.ok(Object.values(result.timings).every((ms) => ms >= 0))
  })

  it('pads to the size rule by reflection, crops back and says so', async () => {
    const values = counted(9 * 10)
    const result = await run(runnable(imageModel()), npy([9, 10], values))
    assert.deepEqual(seen, [[1, 1, 16, 16]])
    assert.deepEqual(elementsOf(result.body), values)
    assert.equal(result.notes.length, 2)
  })

  it('runs a PNG through pre- and postprocessing', async () => {
    const model = imageModel({
      dtype: 'uint8',
      pre: [
        { op: 'ensure_dtype', dtype: 'float32' },
        { op: 'scale_linear', gain: [1 / 255], offset: [0], axis: null },
      ],
      post: [{ op: 'binarize', thresholds: [0.5], axis: null }],
    })
    const data = Uint8Array.from(counted(64), (i) => i * 4)
    const png = encodePng({ width: 8, height: 8, channels: 1, data })
    const result = await run(runnable(model), png, { accept: 'application/x-npy' })
    assert.equal(result.outputs[0]?.dtype, 'bool')
    assert.deepEqual(
      [...result.body.slice(-64)],
      [...data].map((v) => (v / 255 > 0.5 ? 1 : 0)),
    )
    assert.equal((await run(runnable(model), png)).mediaType, 'image/png')
  })

  const wrong: [string, ModelDescription, Uint8Array, string][] = [
    ['an empty body', imageModel(), new Uint8Array(0), 'INPUT_EMPTY'],
    ['a format that it does not know', imageModel(), Buffer.from('hello'), 'FORMAT'],
    ['a wrong rank', imageModel(), npy([2, 2, 2, 8, 8], counted(512)), 'INPUT'],
    ['wrong channels', imageModel({ channels: 3 }), npy([8, 8], counted(64)), 'INPUT'],
    [
      'floats for a model of integers',
      imageModel({ dtype: 'uint8' }),
      npy([8, 8], counted(64)),
      'INPUT',
    ],
    [
      'an array that is cut short',
      imageModel(),
      npy([8, 8], counted(64)).subarray(0, 300),
      'INPUT_LENGTH',
    ],
    [
      'an image over a fixed size',
      imageModel({ size: fixed(4) }),
      npy([8, 8], counted(64)),
      'TILING_NEEDED',
    ],
    [
      'a step that it does not compute',
      imageModel({ post: [{ op: 'unsupported', name: 'stardist_postprocessing' }] }),
      new Uint8Array(0),
      'MODEL_UNSUPPORTED',
    ],
  ]
  for (const [what, description, bytes, code] of wrong) {
    it(`refuses ${what}`, async () => {
      await assert.rejects(run(runnable(description), bytes), { code })
      assert.deepEqual(seen, [])
    })
  }

  it('names the input that is wrong', async () => {
    await assert.rejects(run(runnable(imageModel()), new Uint8Array(0)), (error: ZoariumError) => {
      assert.equal(error.data.field, 'raw')
      return true
    })
  })

  it('takes inputs by name, and knows its names', async () => {
    const bytes = npy([8, 8], counted(64))
    const named = (id: string) =>
      inference.run(runnable(imageModel()), new Map([[id, { bytes, mediaType: null }]]), OPTIONS)
    await named('raw')
    await assert.rejects(named('other'), { code: 'INPUT' })
  })

  it('refuses outputs that the card does not promise', async () => {
    await assert.rejects(run(runnable(imageModel(), 'smaller'), npy([8, 8], counted(64))), {
      code: 'OUTPUT_SHAPE',
    })
  })

  it('says that a large image would need tiles', async () => {
    create({ bytesPerElement: 1024 ** 3 / 64 })
    const model = runnable(imageModel({ size: stepped(1, 1) }))
    await run(model, npy([8, 8], counted(64)))
    await assert.rejects(run(model, npy([8, 9], counted(72))), (error: ZoariumError) => {
      assert.deepEqual([error.code, error.data.limit, error.data.got], ['TILING_NEEDED', 64, 72])
      return true
    })
  })

  it('says what to do where memory runs out', async () => {
    await assert.rejects(
      run(runnable(imageModel(), 'hungry'), npy([8, 8], counted(64))),
      (error: ZoariumError) => {
        assert.equal(error.code, 'MODEL_MEMORY')
        assert.match(error.data.hint ?? '', /crop/)
        return true
      },
    )
  })

  it('marks results that are not finite', async () => {
    const result = await run(
      runnable(imageModel()),
      npy(
        [8, 8],
        counted(64).map((i) => (i === 9 ? NaN : i)),
      ),
    )
    assert.match(result.notes[0] ?? '', /not finite/)
  })

  it('bounds the bytes in work', async () => {
    const bytes = npy([8, 8], counted(64))
    create({ maxPendingBytes: bytes.length })
    const controller = new AbortController()
    const first = run(runnable(imageModel(), 'stuck'), bytes, { signal: controller.signal })
    await assert.rejects(run(runnable(imageModel()), bytes), { code: 'BUSY' })
    controller.abort()
    await assert.rejects(first, { code: 'CANCELLED' })
    await run(runnable(imageModel()), bytes)
  })

  it('ends at its deadline', async () => {
    const stuck = run(runnable(imageModel(), 'stuck'), npy([8, 8], counted(64)), { deadlineMs: 50 })
    await assert.rejects(stuck, { code: 'TIMEOUT' })
  })

  it('tells what is warm and how fast it was', async () => {
    await run(runnable(imageModel()), npy([8, 8], counted(64)))
    const { queued, running, warm, speed } = inference.status()
    assert.deepEqual([queued, running, warm], [0, 0, ['identity']])
    // One millisecond for 64 elements.
    assert.deepEqual(speed, [{ model: 'identity', usPerMegapixel: Math.round(1000 / 64e-6) }])
  })

  describe('reproduce', () => {
    const file = (source: string): FileReference => ({
      source,
      sha256: null,
      role: 'test-input',
      weights: null,
      field: '',
      line: 0,
    })
    const tested = (): RunnableModel => {
      const model = imageModel()
      const [input, output] = [model.inputs[0], model.outputs[0]]
      assert.ok(input && output)
      return runnable({
        ...model,
        inputs: [{ ...input, testTensor: file('in.npy') }],
        outputs: [{ ...output, testTensor: file('out.npy') }],
      })
    }
    const reproduce = (input: Uint8Array, output: Uint8Array, model = tested()) =>
      inference.reproduce(model, async (path) => (path === 'in.npy' ? input : output), OPTIONS)
    const values = counted(64)

    it('compares by the tolerance', async () => {
      const input = npy([1, 1, 8, 8], values)
      const same = await reproduce(input, input)
      assert.deepEqual([same.ok, same.worstAbsolute, same.at], [true, 0, null])
      const other = await reproduce(
        input,
        npy(
          [1, 1, 8, 8],
          values.map((v) => (v === 10 ? 11 : v)),
        ),
      )
      assert.equal(other.ok, false)
      assert.equal(other.worstAbsolute, 1)
      assert.equal(other.mismatchedPerMillion, 1e6 / 64)
      assert.deepEqual(other.at, { output: 'result', index: [0, 0, 1, 2] })
    })

    it('refuses other shapes, and cards without a test', async () => {
      const input = npy([1, 1, 8, 8], values)
      await assert.rejects(reproduce(input, npy([8, 8], values)), { code: 'TEST_FAILED' })
      await assert.rejects(reproduce(input, input, runnable(imageModel())), {
        code: 'CARD_INVALID',
      })
    })
  })
})

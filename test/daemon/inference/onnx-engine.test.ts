import assert from 'node:assert/strict'
import { statSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import type { Engine } from '../../../daemon/inference/engine.ts'
import { createOnnxEngine } from '../../../daemon/inference/onnx-engine.ts'
import type { Tensor } from '../../../daemon/inference/tensor.ts'
import { ZoariumError } from '../../../protocol/errors.ts'
import { modelAt, modelOf } from '../../helpers/engine-model.ts'
import { fixturePath, needsFixtures } from '../../helpers/fixtures.ts'
import { dividingModel, endlessModel } from '../../helpers/hostile-models.ts'
import { makeOnnx } from '../../helpers/onnx-model.ts'
import { engineSuite } from '../../suites/engine.ts'

const LIMITS = { deadlineMs: 20_000 }
const GIB = 1024 ** 3

const plane = { shape: ['h', 'w'] } as const
const identity = makeOnnx({
  nodes: [{ op: 'Identity', inputs: ['x'], outputs: ['y'] }],
  inputs: [{ name: 'x', ...plane }],
  outputs: [{ name: 'y', ...plane }],
})
const smallest: Tensor = {
  dtype: 'int32',
  axes: [],
  shape: [1],
  data: Int32Array.of(-(2 ** 31)),
}

const makeSpool = (): Promise<string> => mkdtemp(path.join(os.tmpdir(), 'zoarium-engine-'))

engineSuite('OnnxEngine', async () => {
  const spool = await makeSpool()
  const engine = await createOnnxEngine({ spool })
  return {
    engine,
    models: {
      identity: modelOf(identity),
      hanging: modelOf(endlessModel()),
      crashing: modelOf(dividingModel()),
      broken: modelOf(new TextEncoder().encode('<html>not found</html>')),
    },
    crashInput: smallest,
    close: async () => {
      await engine.close()
      await rm(spool, { recursive: true })
    },
  }
})

describe('daemon/inference/onnx-engine', () => {
  let spool = ''
  let engine: Engine
  before(async () => {
    spool = await makeSpool()
    await mkdir(path.join(spool, 'model-left-over'))
    engine = await createOnnxEngine({ spool, memoryLimitBytes: 2 * GIB })
  })
  after(async () => {
    await engine.close()
    await rm(spool, { recursive: true, force: true })
  })

  const filled = (shape: readonly number[], value = 1): Tensor => ({
    dtype: 'float32',
    axes: [],
    shape,
    data: new Float32Array(shape.reduce((n, d) => n * d, 1)).fill(value),
  })

  it('gives each session a private folder and leaves none behind', async () => {
    const session = await engine.open(modelOf(identity), LIMITS)
    const names = await readdir(spool)
    // What an earlier daemon left is gone.
    assert.equal(names.length, 1)
    const folder = path.join(spool, names[0] ?? '')
    assert.equal(statSync(folder).mode & 0o777, 0o700)
    assert.deepEqual(await readdir(folder), ['weights.onnx'])
    await session.close()
    assert.deepEqual(await readdir(spool), [])
  })

  it('reads external data from the files of the model', async () => {
    const weights = makeOnnx({
      nodes: [{ op: 'Add', inputs: ['x', 'w'], outputs: ['y'] }],
      inputs: [{ name: 'x', shape: ['n'] }],
      outputs: [{ name: 'y', shape: ['n'] }],
      constants: [{ name: 'w', shape: [2], external: { location: 'weights.data' } }],
    })
    const data = new Uint8Array(Float32Array.of(10, 20).buffer)
    const session = await engine.open(modelOf(weights, { 'weights.data': data }), LIMITS)
    const { outputs } = await session.run([filled([2])], LIMITS)
    assert.deepEqual([...(outputs[0]?.data ?? [])], [11, 21])
    await session.close()
    await assert.rejects(engine.open(modelOf(weights), LIMITS), { code: 'EXTERNAL_DATA' })
  })

  it('carries float16 as float32', async () => {
    const weights = makeOnnx({
      nodes: [{ op: 'Neg', inputs: ['x'], outputs: ['y'] }],
      inputs: [{ name: 'x', type: 'float16', shape: ['n'] }],
      outputs: [{ name: 'y', type: 'float16', shape: ['n'] }],
    })
    const session = await engine.open(modelOf(weights), LIMITS)
    assert.equal(session.inputs[0]?.dtype, 'float32')
    const { outputs } = await session.run([filled([3], 0.1)], LIMITS)
    const value = Number(outputs[0]?.data[2])
    assert.ok(Math.abs(value + 0.1) < 1e-4, String(value))
    await session.close()
  })

  it('says which size the weights refuse, and lives on', async () => {
    const weights = makeOnnx({
      nodes: [{ op: 'Add', inputs: ['x', 'w'], outputs: ['y'] }],
      inputs: [{ name: 'x', shape: ['n'] }],
      outputs: [{ name: 'y', shape: ['n'] }],
      constants: [{ name: 'w', shape: [2], data: new Uint8Array(8) }],
    })
    const session = await engine.open(modelOf(weights), LIMITS)
    await assert.rejects(session.run([filled([3])], LIMITS), { code: 'MODEL_FAILED' })
    assert.equal(session.isOpen, true)
    await session.run([filled([2])], LIMITS)
    await session.close()
  })

  it('ends a load that passes its deadline', async () => {
    await assert.rejects(engine.open(modelOf(identity), { deadlineMs: 1 }), { code: 'TIMEOUT' })
    assert.deepEqual(await readdir(spool), [])
  })

  it('names the isolation that the machine offers', () => {
    assert.equal(engine.isolation.includes('memory'), process.platform === 'linux')
  })

  describe('hostile models', () => {
    needsFixtures()
    const folder = fixturePath('hostile-onnx')
    const SECRET = 'zoarium-secret-0123456789'

    before(async () => {
      // What the models reach for, where they would find it if they could.
      for (const name of ['secret.bin', 'node.key', 'hard.bin', 'w.bin']) {
        await writeFile(path.join(spool, name), SECRET.repeat(10), { mode: 0o600 })
      }
    })

    /** File -> the code that it must end with; null: it is legal and runs. */
    const EXPECTED: Readonly<Record<string, readonly string[] | null>> = {
      'alloc_2GB.onnx': ['MODEL_MEMORY'],
      'bomb_shape_overflow.onnx': ['MODEL_MEMORY'],
      'bomb_tile_12GB.onnx': ['MODEL_MEMORY'],
      'custom_op.onnx': ['MODEL_UNSUPPORTED'],
      'empty.onnx': ['MODEL_PARSE'],
      'ext_abs.onnx': ['EXTERNAL_DATA'],
      'ext_dotdot.onnx': ['EXTERNAL_DATA'],
      'ext_etc.onnx': ['EXTERNAL_DATA'],
      'ext_hardlink.onnx': ['EXTERNAL_DATA'],
      'ext_huge_len.onnx': ['EXTERNAL_DATA'],
      'ext_memaddr.onnx': ['EXTERNAL_DATA'],
      'gather.onnx': null,
      'html.onnx': ['MODEL_PARSE'],
      'lfs.onnx': ['MODEL_PARSE'],
      'nan.onnx': null,
      'ok.onnx': null,
      'opset_9999.onnx': ['MODEL_UNSUPPORTED'],
      'ortm.onnx': ['MODEL_PARSE'],
      'raw_mismatch.onnx': ['MODEL_PARSE'],
      'steal_cwd_key.onnx': ['EXTERNAL_DATA'],
      'steal_proc.onnx': ['EXTERNAL_DATA'],
      'trunc.onnx': ['MODEL_PARSE'],
    }

    it('knows every file of the folder', async () => {
      assert.deepEqual((await readdir(folder)).sort(), Object.keys(EXPECTED).sort())
    })

    for (const [name, codes] of Object.entries(EXPECTED)) {
      it(`${codes === null ? 'runs' : `refuses with ${codes}`}: ${name}`, async () => {
        let ended = 'ran'
        try {
          const session = await engine.open(modelAt(path.join(folder, name)), LIMITS)
          const inputs = session.inputs.map(({ dtype, shape }): Tensor => {
            const sizes = shape.map((size) => (size < 0 ? 4 : size))
            const count = sizes.reduce((n, d) => n * d, 1)
            const data = dtype === 'int64' ? new BigInt64Array(count) : new Float32Array(count)
            return { dtype, axes: [], shape: sizes, data }
          })
          const { outputs } = await session.run(inputs, LIMITS)
          for (const { data } of outputs) {
            const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength)
            assert.equal(bytes.includes(SECRET.slice(0, 8)), false)
          }
          await session.close()
        } catch (error) {
          if (!(error instanceof ZoariumError)) throw error
          ended = error.code
          const shown = JSON.stringify([error.message, error.data])
          assert.equal(shown.includes(SECRET.slice(0, 8)), false)
          assert.equal(shown.includes(spool), false)
        }
        if (codes === null) assert.equal(ended, 'ran')
        else assert.ok(codes.includes(ended), `ended with ${ended}`)
      })
    }
  })

  it('says when its folder cannot be made', async () => {
    const file = path.join(spool, 'file')
    await writeFile(file, '')
    await assert.rejects(createOnnxEngine({ spool: path.join(file, 'x') }), { code: 'STORE' })
  })
})

/** What every implementation of the engine seam must do. */
import assert from 'node:assert/strict'
import type { Engine, EngineModel } from '../../daemon/inference/engine.ts'
import type { Tensor } from '../../daemon/inference/tensor.ts'

export interface EngineUnderTest {
  readonly engine: Engine
  readonly models: {
    /** One float32 input of rank 2, returned as it is. */
    readonly identity: EngineModel
    /** One float32 input of rank 2; its run never ends. */
    readonly hanging: EngineModel
    /** One input; running it ends the process. */
    readonly crashing: EngineModel
    /** Not a model. */
    readonly broken: EngineModel
  }
  /** An input of `crashing`. */
  readonly crashInput: Tensor
  close(): Promise<void>
}

const LIMITS = { deadlineMs: 20_000 }
const tensor = (shape: readonly number[], values: readonly number[]): Tensor => ({
  dtype: 'float32',
  axes: [],
  shape,
  data: Float32Array.from(values),
})

export function engineSuite(name: string, create: () => Promise<EngineUnderTest>): void {
  describe(`the engine contract: ${name}`, () => {
    let under: EngineUnderTest
    before(async () => {
      under = await create()
    })
    after(() => under?.close())

    it('maps inputs to outputs by position and leaves inputs as they are', async () => {
      const session = await under.engine.open(under.models.identity, LIMITS)
      assert.equal(session.isOpen, true)
      assert.equal(session.inputs[0]?.dtype, 'float32')
      assert.ok(session.memoryBytes > 0)
      const input = tensor([2, 3], [1, 2, 3, 4, 5, 6])
      for (let i = 0; i < 2; i++) {
        const { outputs, computeMs } = await session.run([input], LIMITS)
        assert.deepEqual(outputs[0]?.shape, [2, 3])
        assert.deepEqual([...(outputs[0]?.data ?? [])], [1, 2, 3, 4, 5, 6])
        assert.ok(computeMs >= 0)
      }
      assert.deepEqual([...input.data], [1, 2, 3, 4, 5, 6])
      await session.close()
      assert.equal(session.isOpen, false)
    })

    it('runs sessions of several models side by side', async () => {
      const [a, b] = await Promise.all([
        under.engine.open(under.models.identity, LIMITS),
        under.engine.open(under.models.identity, LIMITS),
      ])
      const [first, second] = await Promise.all([
        a.run([tensor([1, 1], [7])], LIMITS),
        b.run([tensor([1, 1], [8])], LIMITS),
      ])
      assert.equal(first.outputs[0]?.data[0], 7)
      assert.equal(second.outputs[0]?.data[0], 8)
      await a.close()
      assert.equal((await b.run([tensor([1, 1], [9])], LIMITS)).outputs[0]?.data[0], 9)
      await b.close()
    })

    it('refuses what is not a model', async () => {
      await assert.rejects(under.engine.open(under.models.broken, LIMITS), { code: 'MODEL_PARSE' })
    })

    it('ends a run that passes its deadline, and the session with it', async () => {
      const session = await under.engine.open(under.models.hanging, LIMITS)
      const run = session.run([tensor([1, 1], [1])], { deadlineMs: 100 })
      await assert.rejects(run, { code: 'TIMEOUT' })
      assert.equal(session.isOpen, false)
      await assert.rejects(session.run([tensor([1, 1], [1])], LIMITS), { code: 'MODEL_CRASH' })
      await session.close()
    })

    it('ends a run that is cancelled', async () => {
      const session = await under.engine.open(under.models.hanging, LIMITS)
      const controller = new AbortController()
      const run = session.run([tensor([1, 1], [1])], { ...LIMITS, signal: controller.signal })
      controller.abort()
      await assert.rejects(run, { code: 'CANCELLED' })
      assert.equal(session.isOpen, false)
      const aborted = { ...LIMITS, signal: AbortSignal.abort() }
      await assert.rejects(under.engine.open(under.models.identity, aborted), { code: 'CANCELLED' })
    })

    it('survives a crash, which costs one session only', async () => {
      const other = await under.engine.open(under.models.identity, LIMITS)
      const session = await under.engine.open(under.models.crashing, LIMITS)
      await assert.rejects(session.run([under.crashInput], LIMITS), { code: 'MODEL_CRASH' })
      assert.equal(session.isOpen, false)
      const { outputs } = await other.run([tensor([1, 1], [3])], LIMITS)
      assert.equal(outputs[0]?.data[0], 3)
      await other.close()
    })
  })
}

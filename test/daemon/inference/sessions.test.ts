import assert from 'node:assert/strict'
import type { EngineModel } from '../../../daemon/inference/engine.ts'
import { MemoryEngine, type MemoryModel } from '../../../daemon/inference/memory-engine.ts'
import { type SessionLimits, Sessions } from '../../../daemon/inference/sessions.ts'
import type { Tensor } from '../../../daemon/inference/tensor.ts'
import { ZoariumError } from '../../../protocol/errors.ts'

const MINUTE = 60_000
const LIMITS = { deadlineMs: 10_000 }
const io = { inputs: [], outputs: [] } as const
const nothing: readonly Tensor[] = []

/** A model whose run waits until it is told to end. */
function gated(): MemoryModel & { release: () => void; started: Promise<void> } {
  let [release, begin] = [() => {}, () => {}]
  const gate = new Promise<void>((resolve) => (release = resolve))
  const started = new Promise<void>((resolve) => (begin = resolve))
  const run = async () => {
    begin()
    await gate
    return nothing
  }
  return { ...io, run, release, started }
}

const fails = (code: 'MODEL_CRASH' | 'MODEL_FAILED' | 'TIMEOUT'): MemoryModel => ({
  ...io,
  run: () => {
    throw new ZoariumError(code, 'no')
  },
})

describe('daemon/inference/sessions', () => {
  let now = 0
  let engine: MemoryEngine
  let sessions: Sessions
  const model = (name: string): EngineModel => ({ id: name, main: name, files: [] })
  const create = (
    models: Record<string, MemoryModel>,
    limits: Partial<SessionLimits> = {},
  ): void => {
    now = 1_000_000
    engine = new MemoryEngine(models)
    sessions = new Sessions(
      engine,
      { now: () => now },
      {
        maxSessions: 2,
        maxMemoryBytes: 1e9,
        maxWaiting: 1,
        maxFailures: 3,
        failureWindowMs: 10 * MINUTE,
        quarantineMs: 60 * MINUTE,
        minTimeoutMs: 0,
        ...limits,
      },
    )
  }
  const run = (name: string, limits = LIMITS) =>
    sessions.use(model(name), limits, (session, left) => session.run([], left))
  const ok: MemoryModel = { ...io, run: () => nothing }

  it('opens a model once and keeps it', async () => {
    create({ a: ok })
    await run('a')
    await run('a')
    assert.deepEqual(engine.opened, ['a'])
    assert.deepEqual(sessions.open, ['a'])
  })

  it('runs one at a time, lets some wait and refuses the rest', async () => {
    const slow = gated()
    create({ slow })
    const first = run('slow')
    await slow.started
    const second = run('slow')
    assert.deepEqual([sessions.running, sessions.queued], [1, 1])
    await assert.rejects(run('slow'), { code: 'BUSY' })
    assert.throws(() => sessions.check(model('slow')), { code: 'BUSY' })
    slow.release()
    await Promise.all([first, second])
    assert.deepEqual([sessions.running, sessions.queued], [0, 0])
    sessions.check(model('slow'))
  })

  it('leaves the queue when the client goes or its time is over', async () => {
    const slow = gated()
    create({ slow })
    const first = run('slow')
    await slow.started
    const controller = new AbortController()
    const second = sessions.use(
      model('slow'),
      { ...LIMITS, signal: controller.signal },
      async () => {},
    )
    controller.abort()
    await assert.rejects(second, { code: 'CANCELLED' })
    await assert.rejects(run('slow', { deadlineMs: 5 }), { code: 'TIMEOUT' })
    assert.equal(sessions.queued, 0)
    slow.release()
    await first
  })

  it('closes the least recently used for a new one', async () => {
    create({ a: ok, b: ok, c: ok })
    await run('a')
    await run('b')
    await run('a')
    await run('c')
    assert.deepEqual(sessions.open, ['c', 'a'])
    assert.equal(engine.sessions.size, 2)
  })

  it('refuses a model more where all others run', async () => {
    const [a, b] = [gated(), gated()]
    create({ a, b, c: ok })
    const runs = [run('a'), run('b')]
    await Promise.all([a.started, b.started])
    await assert.rejects(run('c'), { code: 'BUSY' })
    a.release()
    b.release()
    await Promise.all(runs)
    await run('c')
  })

  it('closes idle sessions over the memory bound', async () => {
    create(
      { a: { ...ok, memoryBytes: 600 }, b: { ...ok, memoryBytes: 600 } },
      { maxMemoryBytes: 1000 },
    )
    await run('a')
    await run('b')
    assert.deepEqual(sessions.open, ['b'])
  })

  it('opens a crashed model anew', async () => {
    create({ bad: fails('MODEL_CRASH') })
    await assert.rejects(run('bad'), { code: 'MODEL_CRASH' })
    assert.deepEqual(sessions.open, [])
    await assert.rejects(run('bad'), { code: 'MODEL_CRASH' })
    assert.deepEqual(engine.opened, ['bad', 'bad'])
  })

  it('sets a model aside after three crashes in ten minutes, for an hour', async () => {
    create({ bad: fails('MODEL_CRASH'), good: ok })
    for (let i = 0; i < 3; i++) await assert.rejects(run('bad'), { code: 'MODEL_CRASH' })
    await assert.rejects(run('bad'), { code: 'MODEL_QUARANTINED' })
    assert.throws(() => sessions.check(model('bad')), { code: 'MODEL_QUARANTINED' })
    await run('good')
    now += 60 * MINUTE - 1
    await assert.rejects(run('bad'), { code: 'MODEL_QUARANTINED' })
    now += 1
    await assert.rejects(run('bad'), { code: 'MODEL_CRASH' })
  })

  it('forgets crashes after ten minutes', async () => {
    create({ bad: fails('MODEL_CRASH') })
    for (let i = 0; i < 5; i++) {
      await assert.rejects(run('bad'), { code: 'MODEL_CRASH' })
      now += 5 * MINUTE
    }
  })

  it('counts timeouts only where the model had its time, and never what a request did wrong', async () => {
    create({ slow: fails('TIMEOUT'), picky: fails('MODEL_FAILED') }, { minTimeoutMs: 1e6 })
    for (let i = 0; i < 5; i++) {
      await assert.rejects(run('slow'), { code: 'TIMEOUT' })
      await assert.rejects(run('picky'), { code: 'MODEL_FAILED' })
    }
    create({ slow: fails('TIMEOUT') })
    for (let i = 0; i < 3; i++) await assert.rejects(run('slow'), { code: 'TIMEOUT' })
    await assert.rejects(run('slow'), { code: 'MODEL_QUARANTINED' })
  })

  it('ends at once what may not run any more, and only that', async () => {
    const running = gated()
    create({ running, idle: ok, other: ok }, { maxSessions: 3 })
    await run('idle')
    await run('other')
    const under = run('running')
    const waiting = run('running')
    const ends = Promise.all(
      [under, waiting].map((each) => assert.rejects(each, { code: 'CANCELLED' })),
    )
    await running.started
    await sessions.retain((id) => id === 'other')
    await ends
    assert.deepEqual([sessions.open, sessions.queued, sessions.running], [['other'], 0, 0])
    assert.equal(engine.sessions.size, 1)
    // It may again, as after an erasure that was taken back.
    running.release()
    await run('running')
    await sessions.retain(() => true)
    assert.deepEqual(sessions.open, ['running', 'other'])
  })

  it('starts nothing after it was closed', async () => {
    create({ a: ok })
    await run('a')
    await sessions.close()
    assert.equal(engine.sessions.size, 0)
    await assert.rejects(run('a'), { code: 'CANCELLED' })
  })
})

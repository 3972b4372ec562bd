import assert from 'node:assert/strict'
import { setImmediate } from 'node:timers/promises'
import { FIRST_RETRY_MS, LAST_RETRY_MS, Mirror, type MirrorOptions } from '../../daemon/mirror.ts'
import type { Cid } from '../../protocol/cid.ts'
import { expectOk, ZoariumError } from '../../protocol/errors.ts'
import type { ModelRow } from '../../registry/catalogue.ts'
import type { Registry } from '../../registry/registry.ts'
import { memoryTrust, TrustBook, type TrustFile } from '../../registry/trust-file.ts'
import { TestPublisher } from '../helpers/publisher.ts'
import { admit, introduce, type TestClock, testRegistry } from '../helpers/test-registry.ts'
import { inChunks } from '../suites/blob-store.ts'

type FetchBlob = MirrorOptions['network']['fetchBlob']

describe('daemon/mirror', () => {
  let registry: Registry
  let clock: TestClock
  let embl: TestPublisher
  /** Bytes that peers have. */
  let there: Map<Cid, Uint8Array>
  let mirror: Mirror
  /** Blobs that were asked for, in order. */
  let asked: Cid[]
  let completed: Cid[]
  let progress: string[]
  let policy: TrustFile
  let warnings: object[]
  let evicted: Cid[]
  let inUse: Set<Cid>
  let mayGo: (model: ModelRow, isStrict: boolean) => boolean
  let sleeps: { readonly ms: number; wake(): void; readonly signal: AbortSignal }[]
  /** Called by every fetch before it gives its bytes. */
  let onFetch: (cid: Cid, signal: AbortSignal) => Promise<void> | void

  const fetchBlob: FetchBlob = async ({ cid, size }, { signal, onProgress }) => {
    asked.push(cid)
    await onFetch(cid, signal)
    const bytes = there.get(cid)
    if (bytes === undefined) throw new ZoariumError('NO_PROVIDER', 'nobody has it', { field: cid })
    onProgress?.(bytes.length)
    await registry.blobs.put(inChunks(bytes, 65_536), size)
    registry.blobKept(cid, size)
  }
  const create = (changes: Partial<MirrorOptions> = {}): void => {
    mirror = new Mirror({
      registry,
      network: { fetchBlob },
      follow: true,
      maxBytes: 1e9,
      clock,
      mayGo: async (model, isStrict) => mayGo(model, isStrict),
      isInUse: (record) => inUse.has(record),
      onEvicted: ({ models }) => void evicted.push(...models),
      log: { warn: (fields: object) => void warnings.push(fields), info: () => {} },
      onProgress: ({ path, done, size }) => void progress.push(`${path} ${done}/${size}`),
      onComplete: ({ record }) => void completed.push(record),
      sleep: (ms, signal) =>
        new Promise((wake, reject) => {
          sleeps.push({ ms, wake, signal })
          signal.addEventListener('abort', () => reject(signal.reason))
        }),
      ...changes,
    })
  }
  beforeEach(async () => {
    policy = memoryTrust()
    const trust = new TrustBook(policy, new TestPublisher('here').publisher)
    ;({ registry, clock } = await testRegistry('here', { trust }))
    embl = new TestPublisher('embl')
    embl.letErase()
    introduce(registry, embl, 'mirror')
    there = new Map()
    asked = []
    completed = []
    progress = []
    warnings = []
    evicted = []
    inUse = new Set()
    mayGo = () => true
    sleeps = []
    onFetch = () => {}
    create()
  })
  afterEach(() => mirror.stop())

  /** A record of which peers have the files. */
  const model = (name: string, isThere = true): ModelRow => {
    const made = embl.model({ name })
    const row = registry.catalogue.model(admit(registry, made)) ?? assert.fail()
    if (isThere)
      for (const file of row.files) there.set(file.cid, made.files.get(file.path) ?? assert.fail())
    return row
  }
  const fetch = (row: ModelRow, signal = new AbortController().signal) => mirror.fetch(row, signal)
  const sizeOf = (row: ModelRow): number => row.files.reduce((sum, { size }) => sum + size, 0)
  const isHeld = (row: ModelRow): boolean => registry.holding(row.record).complete
  /** Kicks, and lets the mirror work until it sleeps or rests: in memory all is one turn's work. */
  const pass = async (kick = () => mirror.kick()): Promise<void> => {
    kick()
    await setImmediate()
  }

  describe('a pull', () => {
    it('fetches what is missing, and tells of it', async () => {
      const row = model('nuclei')
      const [card, weights] = row.files
      await registry.blobs.put(inChunks(there.get(card?.cid ?? row.card) ?? assert.fail(), 99), 1e6)
      const result = await fetch(row)
      assert.deepEqual(result, { bytes: sizeOf(row), fetched: weights?.size })
      assert.deepEqual(asked, [weights?.cid])
      assert.deepEqual(progress, [`weights.onnx ${weights?.size}/${weights?.size}`])
      assert.deepEqual(completed, [row.record])
    })

    it('fetches nothing that is here', async () => {
      const row = model('nuclei')
      await fetch(row)
      assert.deepEqual(await fetch(row), { bytes: sizeOf(row), fetched: 0 })
      assert.deepEqual([asked.length, completed.length], [2, 1])
    })

    it('fetches files of equal bytes once', async () => {
      const row = model('nuclei')
      const twice = { ...row.files[1], path: 'copy.onnx' } as ModelRow['files'][number]
      registry.holding = () => ({ complete: false, missing: [...row.files, twice] })
      assert.deepEqual(await fetch(row), { bytes: sizeOf(row), fetched: sizeOf(row) })
      assert.equal(asked.length, 2)
    })

    it('needs the right to mirror', async () => {
      const row = model('nuclei')
      registry.setTrust({ publisher: embl.publisher, right: 'list' })
      await assert.rejects(fetch(row), {
        code: 'TRUST',
        data: { field: embl.publisher, hint: `zoarium trust add ${embl.publisher} mirror` },
      })
      assert.deepEqual(asked, [])
    })

    it('takes a recalled model, to look at it, but not an erased one', async () => {
      const row = model('nuclei')
      await assert.rejects(fetch({ ...row, withdrawn: 'erase' }), { code: 'ERASED' })
      await fetch({ ...row, withdrawn: 'recall' })
      assert.equal(isHeld(row), true)
    })

    it('says who could not give it, and keeps what came', async () => {
      const row = model('nuclei')
      const weights = row.files[1]?.cid ?? assert.fail()
      const bytes = there.get(weights) ?? assert.fail()
      there.delete(weights)
      await assert.rejects(fetch(row), { code: 'NO_PROVIDER', data: { field: weights } })
      there.set(weights, bytes)
      await fetch(row)
      assert.deepEqual([asked.length, completed], [3, [row.record]])
    })

    it('is cancelled by its caller', async () => {
      const row = model('nuclei')
      const caller = new AbortController()
      let isGivenUp = false
      onFetch = (_cid, signal) =>
        new Promise((_, reject) => {
          signal.addEventListener('abort', () => {
            isGivenUp = true
            reject(signal.reason)
          })
          caller.abort(new ZoariumError('CANCELLED', 'gone'))
        })
      await assert.rejects(fetch(row, caller.signal), { code: 'CANCELLED' })
      assert.equal(isGivenUp, true)
    })
  })

  /** Files come when they are asked for, and go where room is needed. */
  const onDemand = (mirror = '{ otherwise: demand }'): void => {
    policy.write(`${policy.read()}mirror: ${mirror}\n`)
    registry.reloadTrust()
    assert.equal(registry.trustFault, null)
  }

  describe('files on demand', () => {
    it('are not fetched before they are asked for', async () => {
      const row = model('nuclei')
      onDemand()
      await pass()
      assert.deepEqual([asked, registry.incompleteModels()], [[], []])
      const [card, weights] = row.files
      await mirror.fetchFile(row, card ?? assert.fail(), new AbortController().signal)
      assert.deepEqual([asked, completed], [[card?.cid], []])
      await mirror.fetchFile(row, weights ?? assert.fail(), new AbortController().signal)
      assert.deepEqual([asked.length, completed], [2, [row.record]])
    })

    it('go for others, those used longest ago first, what is above its floor before all', async () => {
      onDemand()
      const rows = ['a', 'b', 'c'].map((name) => model(name))
      const [a, b, c] = rows as [ModelRow, ModelRow, ModelRow]
      create({ maxBytes: sizeOf(a) + sizeOf(b) })
      await fetch(a)
      clock.time += 60_000
      await fetch(b)
      const strict: string[] = []
      mayGo = ({ name }, isStrict) => {
        if (isStrict) strict.push(name)
        return !isStrict
      }
      clock.time += 60_000
      await fetch(c)
      assert.deepEqual([strict, evicted], [['a', 'b'], [a.record]])
      assert.deepEqual(rows.map(isHeld), [false, true, true])
      mayGo = ({ name }, isStrict) => isStrict && name === 'c'
      await fetch(a)
      assert.deepEqual(rows.map(isHeld), [true, true, false])
      assert.deepEqual(registry.quotas.states(), [])
    })

    it('stay where they are in use, being fetched, or the last copy', async () => {
      onDemand()
      const [a, b] = [model('a'), model('b')]
      create({ maxBytes: sizeOf(a) })
      await fetch(a)
      inUse.add(a.record)
      await assert.rejects(fetch(b), { code: 'QUOTA' })
      inUse.clear()
      mayGo = () => false
      await assert.rejects(fetch(b), { code: 'QUOTA' })
      assert.deepEqual([isHeld(a), evicted], [true, []])
      mayGo = () => true
      await fetch(b)
      assert.deepEqual([isHeld(a), isHeld(b)], [false, true])
    })

    it('do not go to fill up what others lack', async () => {
      onDemand()
      const [a, b] = [model('a'), model('b')]
      create({ maxBytes: sizeOf(a) })
      await fetch(a)
      const { signal } = new AbortController()
      await assert.rejects(mirror.fill(b, signal), { code: 'QUOTA' })
      assert.ok(isHeld(a))
      create({ maxBytes: sizeOf(a) + sizeOf(b) })
      await mirror.fill(b, signal)
      assert.deepEqual([isHeld(a), isHeld(b)], [true, true])
    })

    it('are never fetched where a rule says so, but for a pin', async () => {
      const row = model('nuclei')
      onDemand('{ rules: [{ fetch: never }] }')
      await pass()
      await assert.rejects(fetch(row), {
        code: 'TRUST',
        data: {
          field: 'trust.yaml line 6',
          hint: `zoarium pin ${row.record} makes an exception`,
        },
      })
      assert.deepEqual(asked, [])
      registry.pin(row, 'embl/nuclei')
      await pass()
      assert.ok(isHeld(row))
    })
  })

  describe('its quota', () => {
    it('fetches up to the last byte, and nothing where one is too many', async () => {
      const row = model('nuclei')
      create({ maxBytes: sizeOf(row) - 1 })
      await assert.rejects(fetch(row), {
        code: 'QUOTA',
        data: {
          limit: sizeOf(row) - 1,
          got: sizeOf(row),
          hint: 'raise mirror.maxBytes in config.yaml, or unpin what need not stay',
        },
      })
      assert.deepEqual(asked, [])
      create({ maxBytes: sizeOf(row) })
      await fetch(row)
      assert.equal(isHeld(row), true)
      await fetch(row)
    })

    it('says which limit it meets, until there is room', async () => {
      const row = model('nuclei')
      const states = () =>
        registry.quotas.states().map(({ kind, publisher, limit }) => [kind, publisher, limit])
      create({ maxBytes: sizeOf(row) - 1 })
      await assert.rejects(fetch(row), { code: 'QUOTA' })
      assert.deepEqual(states(), [['mirror', null, sizeOf(row) - 1]])
      create({ maxBytes: sizeOf(row) })
      await fetch(row)
      assert.deepEqual(states(), [])
    })

    it('holds a publisher to its own share, coming files counted', async () => {
      const rows = [model('nuclei'), model('cells')]
      const bytesPerPublisher = rows.reduce((sum, row) => sum + sizeOf(row), 0) - 1
      Object.assign(registry.quotas.limits, { bytesPerPublisher })
      const gate = Promise.withResolvers<void>()
      onFetch = () => gate.promise
      const results = Promise.allSettled(rows.map((row) => fetch(row)))
      gate.resolve()
      const [one, two] = await results
      assert.equal(one?.status, 'fulfilled')
      assert(two?.status === 'rejected')
      assert.deepEqual([two.reason.code, two.reason.data.limit], ['QUOTA', bytesPerPublisher])
      assert.deepEqual(
        registry.quotas.states().map(({ kind, publisher }) => [kind, publisher]),
        [['bytes', embl.publisher]],
      )
    })

    it('counts what is coming', async () => {
      const rows = [model('nuclei'), model('cells')]
      const [first = assert.fail(), second = assert.fail()] = rows
      create({ maxBytes: sizeOf(first) + sizeOf(second) - 1 })
      const gate = Promise.withResolvers<void>()
      onFetch = () => gate.promise
      const results = Promise.allSettled(rows.map((row) => fetch(row)))
      gate.resolve()
      const [one, two] = await results
      assert.equal(one?.status, 'fulfilled')
      assert(two?.status === 'rejected')
      assert.equal(two.reason.code, 'QUOTA')
      assert.ok(registry.blobs.held.bytes < sizeOf(first) + sizeOf(second))
    })

    it('leaves out a model that is too large, and takes the next', async () => {
      const large = embl.model({ name: 'large', weights: new Uint8Array(10_000) })
      admit(registry, large)
      const small = model('small')
      create({ maxBytes: 1000 })
      await pass()
      assert.deepEqual(completed, [small.record])
      assert.equal(warnings.length, 1)
    })
  })

  it('shares one download between pulls and itself, whoever leaves', async () => {
    const row = model('nuclei')
    const gate = Promise.withResolvers<void>()
    onFetch = () => gate.promise
    const leaving = new AbortController()
    const left = fetch(row, leaving.signal)
    mirror.kick()
    const staying = fetch(row)
    leaving.abort(new ZoariumError('CANCELLED', 'gone'))
    await assert.rejects(left, { code: 'CANCELLED' })
    gate.resolve()
    await staying
    await pass()
    assert.deepEqual(
      asked,
      row.files.map(({ cid }) => cid),
    )
    assert.equal(isHeld(row), true)
  })

  describe('following', () => {
    it('fetches all that rules let this node mirror, and rests', async () => {
      const rows = [model('a'), model('b')]
      const crick = new TestPublisher('crick')
      introduce(registry, crick, 'list')
      admit(registry, crick.model({ name: 'other' }))
      await pass()
      assert.deepEqual(
        completed,
        rows.map(({ record }) => record),
      )
      assert.deepEqual([sleeps, warnings], [[], []])
    })

    it('fetches nothing by itself where it does not follow', async () => {
      create({ follow: false })
      const row = model('a')
      await pass()
      await pass(() => mirror.retry())
      assert.deepEqual(asked, [])
      await fetch(row)
      assert.equal(isHeld(row), true)
    })

    it('looks again for what came while it was busy', async () => {
      model('a')
      let late: ModelRow | null = null
      onFetch = () => {
        late ??= model('late')
        mirror.kick()
      }
      await pass()
      assert.equal(completed.length, 2)
      assert.equal(isHeld(late ?? assert.fail()), true)
    })

    it('fetches nothing that was recalled in the meantime', async () => {
      const [first, second] = [model('a'), model('b')]
      onFetch = () => {
        onFetch = () => {}
        expectOk(registry.admitRecord(embl.withdraw(second.record, 'recall').envelope, null))
        mirror.kick()
      }
      // What it has begun to look through it finishes; a later pass leaves it out.
      await pass()
      assert.equal(isHeld(first), true)
      const third = model('c', false)
      expectOk(registry.admitRecord(embl.withdraw(third.record, 'recall').envelope, null))
      const before = asked.length
      await pass()
      assert.equal(asked.length, before)
    })

    it('leaves a model that is erased while its files come', async () => {
      const [first, second] = [model('a'), model('b')]
      onFetch = (_, signal) => {
        onFetch = () => {}
        expectOk(registry.admitRecord(embl.withdraw(first.record, 'erase').envelope, null))
        mirror.leaveErased()
        return new Promise((_resolve, reject) => {
          if (signal.aborted) reject(signal.reason)
          signal.addEventListener('abort', () => reject(signal.reason))
        })
      }
      await pass()
      assert.deepEqual([isHeld(first), isHeld(second)], [false, true])
      assert.deepEqual(registry.incompleteModels(), [])
    })

    it('tries again later and later, by the clock', async () => {
      const row = model('a', false)
      await pass()
      const waits: number[] = []
      for (let n = 1; n <= 9; n++) {
        const { ms, wake } = sleeps.at(-1) ?? assert.fail()
        waits.push(ms)
        assert.equal(asked.length, n)
        clock.time += ms
        await pass(wake)
      }
      assert.deepEqual(
        waits,
        [5, 10, 20, 40, 80, 160, 320, 600, 600].map((s) => s * 1000),
      )
      assert.deepEqual([waits[0], waits.at(-1)], [FIRST_RETRY_MS, LAST_RETRY_MS])
      assert.deepEqual(warnings.at(0), {
        record: row.record,
        failures: 1,
        waitMs: FIRST_RETRY_MS,
        err: (warnings[0] as { err: unknown }).err,
      })
    })

    it('does not try before its time for what has nothing to do with it', async () => {
      model('a', false)
      await pass()
      clock.time += FIRST_RETRY_MS - 1
      model('b')
      await pass()
      assert.equal(asked.length, 3)
      assert.equal(sleeps.at(-1)?.ms, 1)
      assert.equal(sleeps.filter(({ signal }) => !signal.aborted).length, 1)
    })

    it('tries at once when a peer came or a rule changed, and begins anew after a success', async () => {
      const row = model('a', false)
      await pass()
      await pass(() => mirror.retry())
      assert.deepEqual([asked.length, sleeps.at(-1)?.ms], [2, 2 * FIRST_RETRY_MS])
      const { files } = embl.model({ name: 'a', header: { seq: 99 } })
      for (const file of row.files) there.set(file.cid, files.get(file.path) ?? assert.fail())
      await pass(() => mirror.retry())
      assert.equal(isHeld(row), true)
      assert.equal(sleeps.filter(({ signal }) => !signal.aborted).length, 0)
      await registry.blobs.remove(row.files[1]?.cid ?? assert.fail())
      there.clear()
      await pass()
      assert.equal(sleeps.at(-1)?.ms, FIRST_RETRY_MS)
    })

    it('forgets what is no longer wanted', async () => {
      model('a', false)
      await pass()
      registry.setTrust({ publisher: embl.publisher, right: 'list' })
      await pass(() => mirror.retry())
      assert.equal(asked.length, 1)
      assert.equal(sleeps.filter(({ signal }) => !signal.aborted).length, 0)
    })
  })

  describe('stopping', () => {
    it('cancels what is under way, and waits for it', async () => {
      model('a')
      let isOver = false
      onFetch = (_cid, signal) =>
        new Promise((_, reject) => {
          signal.addEventListener('abort', () =>
            setImmediate().then(() => {
              isOver = true
              reject(signal.reason)
            }),
          )
        })
      const pull = fetch(model('b'))
      await pass()
      await Promise.all([assert.rejects(pull, { code: 'CANCELLED' }), mirror.stop()])
      assert.equal(isOver, true)
      assert.deepEqual(warnings, [])
    })

    it('ends its sleep, and never wakes again', async () => {
      model('a', false)
      await pass()
      await mirror.stop()
      assert.equal(sleeps[0]?.signal.aborted, true)
      await pass(() => mirror.retry())
      await assert.rejects(fetch(model('b')), { code: 'CANCELLED' })
      assert.equal(asked.length, 1)
    })
  })
})

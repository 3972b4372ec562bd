/** Making room: what goes first, what never goes, and what is said of it meanwhile. */
import assert from 'node:assert/strict'
import type { Cid } from '../../protocol/cid.ts'
import { expectOk } from '../../protocol/errors.ts'
import type { ModelRow } from '../../registry/catalogue.ts'
import { READING_MS, type RoomOptions, USE_GRAIN_MS } from '../../registry/eviction.ts'
import type { Registry, RegistryParts } from '../../registry/registry.ts'
import { memoryTrust, TrustBook } from '../../registry/trust-file.ts'
import { TestPublisher, utf8 } from '../helpers/publisher.ts'
import { keepFiles } from '../helpers/registry.ts'
import { admit, introduce, type TestClock, testRegistry } from '../helpers/test-registry.ts'

const SIZE = 1000

describe('registry/eviction', () => {
  let registry: Registry
  let parts: RegistryParts
  let clock: TestClock
  let embl: TestPublisher

  beforeEach(async () => {
    const own = new TestPublisher('here')
    const trust = new TrustBook(
      memoryTrust('version: 1\nrules: []\nmirror: { otherwise: demand, floor: 2 }\n'),
      own.publisher,
    )
    ;({ registry, parts, clock } = await testRegistry('here', { trust }))
    embl = new TestPublisher('embl')
    introduce(registry, embl, 'mirror')
  })

  /** A model whose files are here; cards of one name are one blob. */
  const hold = async (name: string, of = embl, fill = name): Promise<ModelRow> => {
    const weights = utf8(fill.repeat(SIZE).slice(0, SIZE))
    const made = of.model({ name, weights, card: utf8('the same card') })
    const record = admit(registry, made)
    await keepFiles(registry, made)
    clock.time += USE_GRAIN_MS
    registry.used(record)
    return registry.catalogue.model(record) ?? assert.fail()
  }
  const free = (bytes: number, options: Partial<RoomOptions> = {}) =>
    registry.makeRoom(bytes, { isBusy: () => false, mayGo: async () => true, ...options })
  const isHeld = ({ record }: ModelRow): boolean => registry.holding(record).complete
  const names = (records: readonly Cid[]): string[] =>
    records.map((record) => registry.catalogue.model(record)?.name ?? 'gone')

  it('lets go what was used longest ago, and no more than is needed', async () => {
    const rows = [await hold('a'), await hold('b'), await hold('c')]
    clock.time += USE_GRAIN_MS
    registry.used(rows[0]?.record as Cid)
    const evicted = await free(SIZE)
    assert.deepEqual([names(evicted.models), evicted.bytes], [['b'], SIZE])
    assert.deepEqual(rows.map(isHeld), [true, false, true])
    // What is left of the one before goes with the last that has the same card.
    assert.deepEqual(names((await free(SIZE + 1)).models), ['b', 'c', 'a'])
  })

  it('deletes nothing where that would not be enough', async () => {
    const row = await hold('a')
    const evicted = await free(SIZE + utf8('the same card').length + 1)
    assert.deepEqual(evicted, { models: [], bytes: 0 })
    assert.ok(isHeld(row))
    assert.equal((await free(SIZE + utf8('the same card').length)).models.length, 1)
  })

  it('keeps a file for as long as a model that stays names it', async () => {
    const [first, second] = [await hold('a', embl, 'x'), await hold('b', embl, 'x')]
    const evicted = await free(1, { isBusy: (record) => record === second.record })
    assert.deepEqual(evicted, { models: [], bytes: 0 })
    assert.deepEqual([first, second].map(isHeld), [true, true])
    const both = await free(1)
    assert.deepEqual([names(both.models), both.bytes], [['a', 'b'], SIZE + 13])
  })

  it('never lets go what is own, pinned or wanted by a rule, nor what others keep from it', async () => {
    const own = new TestPublisher('here')
    const mine = await hold('mine', own)
    const [pinned, free1] = [await hold('pinned'), await hold('other')]
    registry.pin(pinned, 'embl/pinned')
    const asked: string[] = []
    const evicted = await free(SIZE, {
      mayGo: async ({ name }) => {
        asked.push(name)
        return false
      },
    })
    assert.deepEqual([asked, evicted.models], [['other'], []])
    assert.deepEqual([mine, pinned, free1].map(isHeld), [true, true, true])
    assert.deepEqual(names((await free(SIZE)).models), ['other'])
    assert.deepEqual((await free(1)).models, [])
    registry.unpin(pinned.record)
    assert.deepEqual(names((await free(1)).models), ['pinned'])
    assert.ok(isHeld(mine))
  })

  it('lets go first what nobody may hold here any more', async () => {
    const [kept, recalled] = [await hold('kept'), await hold('recalled')]
    expectOk(registry.admitRecord(embl.withdraw(recalled.record, 'recall').envelope, null))
    const crick = new TestPublisher('crick')
    introduce(registry, crick, 'mirror')
    const former = await hold('former', crick)
    registry.setTrust({ publisher: crick.publisher, right: 'list' })
    assert.equal(registry.trust.mirror.otherwise, 'demand')
    clock.time += USE_GRAIN_MS
    registry.used(kept.record)
    const evicted = await free(2 * SIZE)
    assert.deepEqual(names(evicted.models).sort(), ['former', 'recalled'])
    assert.deepEqual([kept, recalled, former].map(isHeld), [true, false, false])
  })

  it('leaves what is being opened, and what is open can be read to its end', async () => {
    const row = await hold('a')
    registry.opens(row.record)
    const weights = row.files.find(({ role }) => role === 'weights') ?? assert.fail()
    const reading = (await registry.blobs.open(weights.cid))[Symbol.asyncIterator]()
    const first = await reading.next()
    assert.deepEqual((await free(SIZE)).models, [])
    clock.time += READING_MS - 1
    assert.deepEqual((await free(SIZE)).models, [])
    clock.time += 1
    assert.deepEqual(names((await free(SIZE)).models), ['a'])
    assert.equal(first.value?.length, SIZE)
    assert.equal((await reading.next()).done, true)
  })

  it('asks again before it deletes: what was pinned meanwhile stays', async () => {
    const row = await hold('a')
    const evicted = await free(SIZE, {
      mayGo: async () => {
        registry.pin(row, 'embl/a')
        return true
      },
    })
    assert.deepEqual(evicted.models, [])
    assert.ok(isHeld(row))
  })

  it('is not held from the moment on at which files begin to go', async () => {
    const row = await hold('a')
    assert.deepEqual(registry.heldForAll(), [row.record])
    const seen: boolean[] = []
    registry.on('leaving', ({ records }) => {
      assert.deepEqual(records, [row.record])
      assert.deepEqual(registry.heldForAll(), [])
      assert.deepEqual(registry.holders(row.record), [])
      seen.push(isHeld(row))
    })
    await free(SIZE)
    assert.deepEqual(seen, [true])
    await keepFiles(registry, { ...embl.model({ name: 'x' }), files: new Map() })
    assert.deepEqual(registry.heldForAll(), [])
  })

  it('does one thing after the other', async () => {
    await hold('a')
    await hold('b')
    const both = await Promise.all([free(SIZE), free(SIZE)])
    assert.deepEqual(
      both.map(({ models }) => names(models)),
      // The second one also frees what both of them named.
      [['a'], ['a', 'b']],
    )
    await hold('c')
    const failing = free(SIZE, { mayGo: () => Promise.reject(new Error('no')) })
    const [failed, done] = await Promise.allSettled([failing, free(SIZE)])
    assert.deepEqual([failed.status, done.status], ['rejected', 'fulfilled'])
  })

  it('remembers uses over a restart, and does not write each one down', async () => {
    const [a, b] = [await hold('a'), await hold('b')]
    const written = (): readonly number[] => parts.catalogue.uses().map(({ used }) => used)
    const before = written()
    clock.time += USE_GRAIN_MS - 1
    registry.used(b.record)
    assert.deepEqual(written(), before)
    clock.time += 1
    registry.used(a.record)
    assert.notDeepEqual(written(), before)
    const again = await testRegistry('here', { ...parts })
    const evicted = await again.registry.makeRoom(1, {
      isBusy: () => false,
      mayGo: async () => true,
    })
    assert.deepEqual(names(evicted.models), ['b'])
    assert.deepEqual(
      parts.catalogue.uses().map(({ record }) => record),
      [a.record],
    )
  })
})

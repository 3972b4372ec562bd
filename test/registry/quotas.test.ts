import assert from 'node:assert/strict'
import type { Code, Verdict } from '../../protocol/errors.ts'
import { expectOk } from '../../protocol/errors.ts'
import { diskOf } from '../../registry/disk-space.ts'
import { DEFAULT_QUOTAS, type QuotaLimits } from '../../registry/quotas.ts'
import { Registry, type RegistryParts } from '../../registry/registry.ts'
import { temporaryFolder } from '../helpers/folder.ts'
import { type TestModel, TestPublisher } from '../helpers/publisher.ts'
import { keepFiles } from '../helpers/registry.ts'
import { introduce, type TestClock, testRegistry } from '../helpers/test-registry.ts'

const DAY_MS = 24 * 3600 * 1000

const refused = (verdict: Verdict<unknown>, code: Code): void => {
  assert(!verdict.ok, `expected ${code}`)
  assert.equal(verdict.code, code)
}

describe('registry/quotas', () => {
  let registry: Registry
  let parts: RegistryParts
  let own: TestPublisher
  let clock: TestClock
  let embl: TestPublisher
  let disk: { free: number; total: number }
  const open = async (quotas: Partial<QuotaLimits>) => {
    disk = { free: 1e6, total: 1e6 }
    ;({ registry, clock, parts, own } = await testRegistry('here', {
      quotas,
      disk: { read: () => disk },
    }))
    embl = new TestPublisher('embl')
    introduce(registry, embl, 'mirror')
  }
  const offer = ({ signed, card }: TestModel, at = registry) =>
    at.admitRecord(signed.envelope, card)
  const model = (name: string) => embl.model({ name })
  const met = () => registry.quotas.states().map(({ kind }) => kind)

  it('are what the design says where nothing else is configured', () => {
    assert.deepEqual(DEFAULT_QUOTAS, {
      recordsPerDay: 20_000,
      modelsPerPublisher: 100_000,
      bytesPerPublisher: 200 * 1024 ** 3,
      diskFreePercent: 5,
    })
  })

  describe('records of a day', () => {
    beforeEach(() => open({ recordsPerDay: 3 }))

    it('are taken in up to the limit, and the next ones tomorrow', () => {
      for (const name of ['a', 'b', 'c']) expectOk(offer(model(name)))
      assert.deepEqual(registry.quotas.states(), [])
      const fourth = model('d')
      const midnight = (Math.floor(clock.time / DAY_MS) + 1) * DAY_MS
      refused(offer(fourth), 'QUOTA')
      const since = clock.time
      clock.time += 1
      refused(offer(fourth), 'QUOTA')
      const state = { publisher: embl.publisher, kind: 'records', limit: 3, since, until: midnight }
      assert.deepEqual(registry.quotas.states(), [state])
      clock.time = midnight - 1
      refused(offer(fourth), 'QUOTA')
      clock.time = midnight
      assert.deepEqual(registry.quotas.states(), [])
      expectOk(offer(fourth))
    })

    it('are counted on across a restart', async () => {
      for (const name of ['a', 'b', 'c']) expectOk(offer(model(name)))
      const again = await Registry.open(parts)
      refused(offer(model('d'), again), 'QUOTA')
    })

    it('are counted for each publisher, and not for this node itself', () => {
      const crick = new TestPublisher('crick')
      introduce(registry, crick)
      for (const name of ['a', 'b', 'c']) expectOk(offer(model(name)))
      expectOk(offer(crick.model({ name: 'a' })))
      for (const name of ['a', 'b', 'c', 'd']) expectOk(offer(own.model({ name })))
    })

    it('do not count withdrawals, which are always taken in', () => {
      const [first, ...others] = ['a', 'b'].map(model)
      for (const each of [first, ...others]) expectOk(offer(each ?? assert.fail()))
      const target = first?.signed.id ?? assert.fail()
      for (const verb of ['yank', 'recall', 'yank'] as const) {
        expectOk(registry.admitRecord(embl.withdraw(target, verb).envelope, null))
      }
      expectOk(offer(model('c')))
      assert.deepEqual(met(), [])
      expectOk(registry.admitRecord(embl.withdraw(target).envelope, null))
      refused(offer(model('d')), 'QUOTA')
      // What stands behind the refused one in its log waits with it; the log that erases does not.
      embl.letErase()
      expectOk(registry.admitIdentity(embl.publisher, embl.operations.slice(-1), 3))
      expectOk(registry.admitRecord(embl.withdraw(target, 'erase').envelope, null))
      assert.equal(registry.catalogue.model(target)?.withdrawn, 'erase')
    })
  })

  it('bound the models of a publisher, and count anew what was taken back', async () => {
    await open({ modelsPerPublisher: 2 })
    const models = ['a', 'b'].map(model)
    for (const each of models) expectOk(offer(each))
    expectOk(
      registry.admitRecord(
        embl.tag('a', 't', models[0]?.signed.id ?? assert.fail()).envelope,
        null,
      ),
    )
    const third = model('c')
    refused(offer(third), 'QUOTA')
    assert.deepEqual(
      registry.quotas.states().map(({ kind, limit, until }) => [kind, limit, until]),
      [['models', 2, null]],
    )
    const again = await Registry.open({ ...parts, quotas: { modelsPerPublisher: 3 } })
    expectOk(offer(third, again))
    refused(offer(model('d'), again), 'QUOTA')
  })

  it('bound the bytes of a publisher, but not those of this node', async () => {
    await open({ bytesPerPublisher: 1000 })
    const { quotas } = registry
    quotas.requireRoom(embl.publisher, 1000)
    assert.throws(() => quotas.requireRoom(embl.publisher, 1001), { code: 'QUOTA' })
    assert.deepEqual(met(), ['bytes'])
    quotas.requireRoom(own.publisher, 5000)
    quotas.requireRoom(embl.publisher, 1)
    assert.deepEqual(met(), [])
  })

  it('count the files that are here, as they come and go', async () => {
    await open({ bytesPerPublisher: 1000 })
    const { quotas } = registry
    const shared = new Uint8Array(400)
    const [first, second] = ['a', 'b'].map((name) => embl.model({ name, weights: shared }))
    const cards = [first, second].map((each) => each?.card.length ?? 0)
    const room = (bytes: number) => quotas.requireRoom(embl.publisher, bytes)
    room(1000)
    for (const each of [first, second]) {
      assert(each)
      expectOk(offer(each))
      // A file that is here already is not fetched again.
      const missing = registry.holding(each.signed.id).missing.map(({ path }) => path)
      const files = new Map([...each.files].filter(([path]) => missing.includes(path)))
      await keepFiles(registry, { ...each, files })
    }
    const used = 400 + (cards[0] ?? 0) + (cards[1] ?? 0)
    room(1000 - used)
    assert.throws(() => room(1000 - used + 1), { code: 'QUOTA' })
    const row = registry.catalogue.model(second?.signed.id ?? assert.fail())
    await registry.eraseHere(row ?? assert.fail())
    room(1000 - used + (cards[1] ?? 0))
    assert.throws(() => room(1000 - used + (cards[1] ?? 0) + 1), { code: 'QUOTA' })
  })

  describe('of the disk', () => {
    beforeEach(() => open({}))

    it('stop at 5 % free, and go on by themselves', () => {
      disk = { free: 5, total: 100 }
      expectOk(offer(model('a')))
      const second = model('b')
      disk = { free: 4, total: 100 }
      refused(offer(second), 'DISK_FULL')
      assert.throws(() => registry.quotas.requireRoom(embl.publisher, 0), { code: 'DISK_FULL' })
      assert.deepEqual(
        registry.quotas.states().map(({ kind, publisher, limit }) => [kind, publisher, limit]),
        [['disk', null, 5]],
      )
      disk = { free: 5, total: 100 }
      assert.deepEqual(met(), [])
      expectOk(offer(second))
    })

    it('leave room for files before they come', () => {
      disk = { free: 50, total: 100 }
      registry.quotas.requireRoom(embl.publisher, 45)
      assert.throws(() => registry.quotas.requireRoom(embl.publisher, 46), { code: 'DISK_FULL' })
      expectOk(offer(model('a')))
      assert.deepEqual(met(), ['disk'])
      disk = { free: 51, total: 100 }
      assert.deepEqual(met(), [])
    })

    it('hold nobody back from taking models back, nor this node from signing', () => {
      expectOk(offer(model('a')))
      disk = { free: 0, total: 100 }
      const target = registry.catalogue.modelIds(embl.publisher)[0] ?? assert.fail()
      expectOk(registry.admitRecord(embl.withdraw(target, 'recall').envelope, null))
      const profile = { label: 'here', displayName: 'Here', handle: null, url: null, ror: null }
      registry.publishProfile(profile)
    })

    it('are read from the disk of a folder', () => {
      const { free, total } = diskOf(temporaryFolder()).read()
      assert(free > 0 && free <= total)
      assert.throws(() => diskOf('/no/such/folder').read(), { code: 'STORE' })
    })
  })
})

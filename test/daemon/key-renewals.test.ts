import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { KeyRenewals } from '../../daemon/key-renewals.ts'
import { refuse } from '../../protocol/errors.ts'
import { MAX_CLOCK_AHEAD_MS, MAX_DELEGATION_MS } from '../../protocol/limits.ts'
import { dataFolder } from '../../registry/data-folder.ts'
import { initialise, type OpenRegistry, openRegistry } from '../../registry/open-registry.ts'
import { OwnKeys } from '../../registry/own-keys.ts'
import { RENEWAL_MARGIN_MS, RENEWAL_NOTICE_MS } from '../../registry/renewal.ts'
import { temporaryFolder } from '../helpers/folder.ts'
import { TestClock } from '../helpers/test-registry.ts'

const HOUR_MS = 3600_000

describe('daemon/key-renewals', () => {
  let clock: TestClock
  let opened: OpenRegistry
  let keys: OwnKeys
  let end: number
  let logged: string[]
  beforeEach(async () => {
    const folder = dataFolder(path.join(temporaryFolder(), 'node'))
    clock = new TestClock()
    logged = []
    await initialise(folder, { displayName: 'EMBL' }, clock)
    end = clock.time - MAX_CLOCK_AHEAD_MS + MAX_DELEGATION_MS
    opened = await openRegistry(folder, clock)
    keys = new OwnKeys(opened, clock)
  })
  afterEach(() => opened.close())

  const note = (_: unknown, message: string) => void logged.push(message)
  const renewalsOf = (isAutomatic = true) =>
    new KeyRenewals({
      registry: opened.registry,
      keys,
      isAutomatic,
      clock,
      log: { info: note, warn: note } as never,
    })
  const ends = () => keys.overview().devices.map(({ notAfter }) => notAfter)

  it('warns 30 days before, and renews the keys of this machine 14 days before', () => {
    const renewals = renewalsOf()
    clock.time = end - RENEWAL_NOTICE_MS - 1
    renewals.check()
    assert.deepEqual([renewals.views(), logged], [[], []])
    clock.time += 1
    renewals.check()
    renewals.check()
    assert.deepEqual(logged, ['a device key runs out', 'a device key runs out'])
    const renews = new Date(end - RENEWAL_MARGIN_MS).toISOString()
    assert.deepEqual(
      renewals.views().map(({ scope, renews, problem }) => [scope, renews, problem]),
      [
        ['publish', renews, null],
        ['serve', renews, null],
      ],
    )
    clock.time = end - RENEWAL_MARGIN_MS - 1
    renewals.check()
    assert.deepEqual(ends(), [end, end])
    clock.time += 1
    logged = []
    renewals.check()
    assert.deepEqual(logged, ['device key renewed', 'device key renewed'])
    assert.deepEqual(ends(), [clock.time + MAX_DELEGATION_MS, clock.time + MAX_DELEGATION_MS])
    assert.deepEqual(renewals.views(), [])
    // It holds on the disk and the log goes on.
    const profile = { label: 'a', displayName: 'A', handle: null, url: null, ror: null }
    clock.time = end + 1
    assert.equal(opened.registry.publishProfile(profile).record.seq, 1)
  })

  it('leaves a key to erase to people', () => {
    const erase = keys.delegate('erase')
    clock.time = end - RENEWAL_MARGIN_MS
    const renewals = renewalsOf()
    renewals.check()
    assert.deepEqual(
      renewals.views().map(({ key, renews }) => [key, renews]),
      [[erase, null]],
    )
  })

  it('also renews keys that have run out while the node was off', () => {
    clock.time = end + 90 * 24 * HOUR_MS
    renewalsOf().check()
    assert.deepEqual(ends(), [end + MAX_DELEGATION_MS, end + MAX_DELEGATION_MS])
  })

  it('warns only, once a day, where the root keys are elsewhere or it shall not', () => {
    clock.time = end - HOUR_MS
    renewalsOf(false).check()
    fs.rmSync(path.join(opened.folder.keys, 'root.json'))
    const renewals = renewalsOf()
    logged = []
    for (let n = 0; n < 24; n += 1) {
      renewals.check()
      clock.time += HOUR_MS
    }
    assert.equal(logged.length, 2)
    renewals.check()
    assert.equal(logged.length, 4)
    assert.deepEqual(
      renewals.views().map(({ renews, problem }) => [renews, problem]),
      [
        [null, null],
        [null, null],
      ],
    )
    assert.deepEqual(ends(), [end, end])
  })

  it('says why it could not, and tries again', () => {
    const { registry } = opened
    clock.time = end - HOUR_MS
    const backup = registry.catalogue.log.bind(registry.catalogue)
    // The catalogue that the folder was restored with lacks what was signed.
    Object.assign(registry.catalogue, { log: () => null })
    const renewals = renewalsOf()
    renewals.check()
    assert.equal(renewals.views()[0]?.problem?.code, 'SELF_UNSURE')
    Object.assign(registry.catalogue, { log: backup })
    renewals.check()
    assert.deepEqual(renewals.views(), [])
  })

  it('is not held up by a private log that nobody has confirmed yet', () => {
    const renewals = renewalsOf()
    const { registry } = opened
    registry.whyUnsure = (purposes) =>
      purposes?.includes('private') ? refuse('SELF_UNSURE', 'nobody has confirmed it') : null
    clock.time = end - RENEWAL_MARGIN_MS
    renewals.check()
    const renewed = clock.time + MAX_DELEGATION_MS
    assert.deepEqual(ends(), [renewed, renewed])
  })

  it('outlives key files that cannot be read', () => {
    fs.writeFileSync(path.join(opened.folder.keys, 'root.json'), '{')
    clock.time = end - HOUR_MS
    renewalsOf().check()
    assert.equal(logged[0], 'could not read the own keys')
  })
})

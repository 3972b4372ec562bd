/** What a node tells of what it holds: when, how often, and never of what is private. */
import assert from 'node:assert/strict'
import { setImmediate } from 'node:timers/promises'
import { Presence } from '../../daemon/presence.ts'
import { TELL_DELAY_MS, Telling } from '../../daemon/telling.ts'
import type { Cid } from '../../protocol/cid.ts'
import { ZoariumError } from '../../protocol/errors.ts'
import type { Registry } from '../../registry/registry.ts'
import { TestPublisher } from '../helpers/publisher.ts'
import { keepFiles } from '../helpers/registry.ts'
import { admit, introduce, type TestClock, testRegistry } from '../helpers/test-registry.ts'

const PEER = '12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN'
const LIFE_MS = 90_000

describe('daemon/telling', () => {
  let registry: Registry
  let clock: TestClock
  let own: TestPublisher
  let embl: TestPublisher
  let telling: Telling
  let told: string[]
  let warnings: unknown[]
  let room: number
  let sleeps: { readonly ms: number; wake(): void }[]

  const create = (isOn = true): void => {
    const presence = new Presence({
      registry,
      peer: PEER,
      clock,
      roles: ['sync'],
      offer: () => assert.fail(),
      log: { info: () => {}, warn: () => {} },
    })
    telling = new Telling({
      isOn,
      registry,
      presence,
      room: () => room,
      lifeMs: LIFE_MS,
      clock,
      log: { warn: (fields: object) => void warnings.push(fields) },
      onTold: (key) => void told.push(key),
      sleep: (ms, signal) =>
        new Promise((wake, reject) => {
          sleeps.push({ ms, wake })
          signal.addEventListener('abort', () => reject(signal.reason))
        }),
    })
  }
  beforeEach(async () => {
    ;({ registry, clock, own } = await testRegistry())
    embl = new TestPublisher('embl')
    introduce(registry, embl, 'mirror')
    told = []
    warnings = []
    sleeps = []
    room = 1000
    create()
  })

  const hold = async (name: string): Promise<Cid> => {
    const made = embl.model({ name })
    const record = admit(registry, made)
    await keepFiles(registry, made)
    return record
  }
  const said = () => registry.replicas.node(own.publisher, own.key('serve'))

  it('tells what is held in full, as a change where that is short', async () => {
    const many = []
    for (let n = 0; n < 9; n++) many.push(await hold(`model-${n}`))
    admit(registry, embl.model({ name: 'not-here' }))
    telling.tell()
    assert.deepEqual([...(said()?.models ?? [])].sort(), many.sort())
    assert.equal(said()?.holdings.base, null)
    clock.time += 1
    const next = await hold('next')
    telling.tell()
    const { base, models, gone } = said()?.holdings ?? assert.fail()
    assert.deepEqual([base !== null, models, gone], [true, [next], []])
    assert.equal(told.length, 2)
  })

  it('says nothing twice, but before the last word runs out', async () => {
    await hold('a')
    telling.tell()
    telling.tell()
    assert.equal(told.length, 1)
    clock.time += LIFE_MS / 3 - 1
    telling.tell()
    assert.equal(told.length, 1)
    clock.time += 1
    telling.tell()
    assert.equal(told.length, 2)
    assert.equal(said()?.holdings.expires, clock.time + LIFE_MS)
    // A restart says it once, and not again.
    create()
    telling.tell()
    assert.equal(told.length, 2)
  })

  it('says how much room there is, in rough numbers', () => {
    telling.tell()
    assert.equal(said()?.holdings.room, 512)
    room = 600
    telling.tell()
    assert.equal(told.length, 1)
    room = 0
    telling.tell()
    assert.deepEqual([told.length, said()?.holdings.room], [2, 0])
    room = Number.MAX_SAFE_INTEGER
    telling.tell()
    assert.equal(said()?.holdings.room, 2 ** 44)
  })

  it('gathers changes for a while', async () => {
    telling.kick()
    telling.kick()
    assert.deepEqual(
      sleeps.map(({ ms }) => ms),
      [TELL_DELAY_MS],
    )
    await hold('a')
    sleeps[0]?.wake()
    await setImmediate()
    assert.equal(told.length, 1)
    assert.equal(said()?.models.size, 1)
    telling.kick()
    assert.equal(sleeps.length, 2)
    telling.stop()
    await setImmediate()
    telling.kick()
    assert.deepEqual([sleeps.length, told.length], [2, 1])
  })

  it('goes on with the latest word where the clock was set back', async () => {
    telling.tell()
    const first = said()?.holdings.issued ?? 0
    clock.time -= 60_000
    await hold('a')
    telling.tell()
    assert.equal(said()?.holdings.issued, first + 1)
  })

  it('keeps what could not be written for another time', () => {
    const { catalogue } = registry
    const keep = catalogue.putHoldings.bind(catalogue)
    catalogue.putHoldings = () => {
      throw new ZoariumError('DISK_FULL', 'full')
    }
    telling.tell()
    assert.deepEqual([warnings.length, told.length], [1, 0])
    catalogue.putHoldings = keep
    telling.tell()
    assert.equal(told.length, 1)
  })

  it('tells nothing where the operator will not have it', async () => {
    await hold('a')
    create(false)
    telling.kick()
    telling.tell()
    assert.deepEqual([said(), told, sleeps], [null, [], []])
  })

  it('names no private model', async () => {
    const secret = new TestPublisher('secret')
    const seed = secret.confide([own.publisher])
    introduce(registry, secret, 'mirror')
    const made = secret.model({ name: 'hidden', seed })
    const record = admit(registry, made)
    await keepFiles(registry, made)
    assert.ok(registry.holding(record).complete)
    telling.tell()
    assert.deepEqual([...(said()?.models ?? [])], [])
  })
})

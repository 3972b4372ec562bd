import assert from 'node:assert/strict'
import { whyForbidden } from '../../daemon/runnable.ts'
import type { Cid } from '../../protocol/cid.ts'
import { lastOf, START, TestPublisher } from '../helpers/publisher.ts'
import { admit, introduce, type TestRegistry, testRegistry } from '../helpers/test-registry.ts'

const DAY_MS = 24 * 3600 * 1000
/** The keys of a test publisher end after a year. */
const AFTER = START + 366 * DAY_MS

describe('registry/closure', () => {
  let here: TestRegistry
  let embl: TestPublisher
  beforeEach(async () => {
    here = await testRegistry()
    embl = new TestPublisher('embl')
    introduce(here.registry, embl, 'run')
  })

  /** A publisher that is listed and whose keys are in force two years on. */
  function witness(name: string): TestPublisher {
    const made = new TestPublisher(name, AFTER)
    introduce(here.registry, made)
    return made
  }
  const why = (record: Cid) => {
    const model = here.registry.catalogue.model(record)
    assert(model !== null)
    return whyForbidden(here.registry, model)?.code ?? null
  }
  const names = (by: TestPublisher, record: Cid) => {
    const { envelope } = by.attest(record)
    assert(here.registry.admitRecord(envelope, null).ok)
  }

  it('runs what came while its key was in force, also when the key has ended', () => {
    const model = admit(here.registry, embl.model({ name: 'in-time' }))
    here.clock.time = AFTER
    assert.equal(why(model), null)
  })

  it('lists what came after the end of its key, and does not run it', () => {
    here.clock.time = AFTER
    const model = admit(here.registry, embl.model({ name: 'late' }))
    assert.equal(here.registry.search({}).total, 1)
    assert.equal(why(model), 'UNCLOSED')
    const [log] = here.registry.logStatuses().filter(({ key }) => key === embl.key())
    assert.equal(log?.state, 'UNCLOSED')
  })

  it('is closed by the root, which renews or revokes the key', () => {
    for (const op of ['renew', 'revoke'] as const) {
      const publisher = new TestPublisher(op)
      introduce(here.registry, publisher, 'run')
      here.clock.time = AFTER
      const made = publisher.model({ name: 'late' })
      const model = admit(here.registry, made)
      assert.equal(why(model), 'UNCLOSED')
      const [key, last, ts] = [publisher.key(), lastOf(made.signed), AFTER]
      if (op === 'renew') publisher.sign({ op, key, last, ts, notAfter: AFTER + DAY_MS })
      else publisher.sign({ op, key, last, ts, reason: 'superseded' })
      const { publisher: id, operations } = publisher
      assert(here.registry.admitIdentity(id, operations, 0).ok)
      assert.equal(why(model), null)
    }
  })

  it('is closed by two other institutions that name it, or a later record of its log', () => {
    here.clock.time = AFTER
    const [first, second] = ['a', 'b'].map((name) => admit(here.registry, embl.model({ name })))
    assert(first !== undefined && second !== undefined)
    const [a, b] = [witness('a'), witness('b')]
    names(a, second)
    assert.deepEqual([why(first), why(second)], ['UNCLOSED', 'UNCLOSED'])
    // One institution counts once.
    names(a, first)
    assert.equal(why(first), 'UNCLOSED')
    names(b, first)
    assert.deepEqual([why(first), why(second)], [null, 'UNCLOSED'])
    names(b, second)
    assert.equal(why(second), null)
  })

  it('counts nobody who is not listed, nor who came late too', () => {
    here.clock.time = AFTER
    const model = admit(here.registry, embl.model({ name: 'late' }))
    const [a, b] = [witness('a'), witness('b')]
    names(a, model)
    names(b, model)
    here.registry.setTrust({ publisher: b.publisher, right: 'see' })
    assert.equal(why(model), 'UNCLOSED')
    const old = new TestPublisher('old')
    introduce(here.registry, old)
    names(old, model)
    assert.equal(why(model), 'UNCLOSED')
    // Its own word neither.
    names(embl, model)
    assert.equal(why(model), 'UNCLOSED')
  })

  it('is closed by its steward alone', () => {
    const steward = witness('steward')
    embl.sign({ op: 'succeed', steward: steward.publisher, ts: START })
    assert(here.registry.admitIdentity(embl.publisher, embl.operations, 0).ok)
    here.clock.time = AFTER
    const model = admit(here.registry, embl.model({ name: 'late' }))
    assert.equal(why(model), 'UNCLOSED')
    names(steward, model)
    assert.equal(why(model), null)
  })

  it('lets a new node run attested models two years after all keys were lost', async () => {
    const model = embl.model({ name: 'outlives' })
    const [a, b] = [new TestPublisher('a', AFTER), new TestPublisher('b', AFTER)]
    const attested = [a, b].map((each) => each.attest(model.signed.id))

    here = await testRegistry('new')
    here.clock.time = START + 2 * 365 * DAY_MS - DAY_MS
    introduce(here.registry, embl, 'run')
    for (const each of [a, b]) introduce(here.registry, each)
    const record = admit(here.registry, model)
    assert.equal(why(record), 'UNCLOSED')
    for (const { envelope } of attested) assert(here.registry.admitRecord(envelope, null).ok)
    assert.equal(why(record), null)
  })
})

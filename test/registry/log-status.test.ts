import assert from 'node:assert/strict'
import { whyForbidden } from '../../daemon/runnable.ts'
import { expectOk } from '../../protocol/errors.ts'
import { HEAD_LIFE_MS } from '../../protocol/limits.ts'
import { MaxSeen, memoryJournal } from '../../registry/max-seen.ts'
import { lastOf, TestPublisher } from '../helpers/publisher.ts'
import { admit, introduce, type TestRegistry, testRegistry } from '../helpers/test-registry.ts'

describe('registry/log-status', () => {
  let here: TestRegistry
  let embl: TestPublisher
  beforeEach(async () => {
    here = await testRegistry()
    embl = new TestPublisher('embl')
    introduce(here.registry, embl)
  })

  const take = (envelope: Uint8Array) => assert(here.registry.admitRecord(envelope, null).ok)
  const statuses = () =>
    here.registry
      .logStatuses()
      .filter(({ publisher }) => publisher === embl.publisher)
      .map(({ state, missing, position }) => [state, missing, position?.seq ?? null])

  it('counts what a head names and is not here', () => {
    const records = ['a', 'b', 'c', 'd'].map((tag) => embl.tag('m', tag, embl.publisher))
    const [first, second, , last] = records
    assert(first && second && last)
    assert(here.registry.admitHead(embl.head(last, here.clock.time)).ok)
    assert.deepEqual(statuses(), [['INCOMPLETE', 4, null]])
    take(first.envelope)
    take(second.envelope)
    assert.deepEqual(statuses(), [['INCOMPLETE', 2, 1]])
    for (const { envelope } of records.slice(2)) take(envelope)
    assert.deepEqual(statuses(), [['OK', 0, 3]])
  })

  it('does not call fresh what is dated ahead of the clock', () => {
    const record = embl.tag('m', 'a', embl.publisher)
    take(record.envelope)
    const { time } = here.clock
    here.clock.time += 10 * HEAD_LIFE_MS
    assert(here.registry.admitHead(embl.head(record, here.clock.time)).ok)
    assert.deepEqual(statuses(), [['OK', 0, 0]])
    here.clock.time = time
    assert.deepEqual(statuses(), [['STALE', 0, 0]])
  })

  it('counts from what was stated before the catalogue came back from a backup', async () => {
    const [first, second] = ['a', 'b'].map((tag) => embl.tag('m', tag, embl.publisher))
    assert(first && second)
    const journal = memoryJournal()
    const before = await testRegistry('here', { maxSeen: new MaxSeen(journal) })
    introduce(before.registry, embl)
    assert(before.registry.admitHead(embl.head(second, before.clock.time)).ok)

    here = await testRegistry('here', { maxSeen: new MaxSeen(journal) })
    introduce(here.registry, embl)
    take(first.envelope)
    assert(here.registry.admitHead(embl.head(first, here.clock.time)).ok)
    assert.deepEqual(statuses(), [['INCOMPLETE', 1, 0]])
    take(second.envelope)
    assert.deepEqual(statuses(), [['OK', 0, 1]])

    // What the root has made void is not waited for.
    here = await testRegistry('here', { maxSeen: new MaxSeen(journal) })
    introduce(here.registry, embl)
    take(first.envelope)
    embl.sign({ op: 'epoch', key: embl.key(), last: lastOf(first), ts: embl.now })
    assert(here.registry.admitIdentity(embl.publisher, embl.operations, 0).ok)
    assert.deepEqual(statuses(), [['STALE', 0, 0]])
  })

  it('is stale without a head, and when the head has run out, also when the node sleeps', () => {
    const record = embl.tag('m', 'a', embl.publisher)
    take(record.envelope)
    assert.deepEqual(statuses(), [['STALE', 0, 0]])
    const issued = here.clock.time
    assert(here.registry.admitHead(embl.head(record, issued, HEAD_LIFE_MS)).ok)
    here.clock.time = issued + HEAD_LIFE_MS
    assert.deepEqual(statuses(), [['OK', 0, 0]])
    here.clock.time++
    assert.deepEqual(statuses(), [['STALE', 0, 0]])
  })

  it('notes nothing of strangers, of whom there may be any number', async () => {
    const journal = memoryJournal()
    here = await testRegistry('here', { maxSeen: new MaxSeen(journal) })
    introduce(here.registry, embl, 'see')
    const record = embl.tag('m', 'a', embl.publisher)
    assert(here.registry.admitHead(embl.head(record, here.clock.time)).ok)
    assert.equal(journal.read(), null)
  })

  it('stops nothing by being stale: models of a publisher that is offline stay usable', () => {
    here.registry.setTrust({ publisher: embl.publisher, right: 'run' })
    const record = admit(here.registry, embl.model({ name: 'nuclei' }))
    here.clock.time += 30 * 24 * 3600 * 1000
    assert.deepEqual(statuses(), [['STALE', 0, 0]])
    const model = expectOk(here.registry.resolve(record))
    assert.equal(whyForbidden(here.registry, model), null)
  })

  it('misses one record where a head names another at the same place', () => {
    const record = embl.tag('m', 'a', embl.publisher)
    take(record.envelope)
    const { seq, prev } = record.record
    const body = { name: 'm', tag: 'b', target: embl.publisher, replaces: [] }
    const other = embl.record({ kind: 'tag', body }, { seq, prev })
    assert(here.registry.admitHead(embl.head(other, here.clock.time)).ok)
    assert.deepEqual(statuses(), [['INCOMPLETE', 1, 0]])
  })

  it('knows nothing of publishers that are not listed', () => {
    const record = embl.tag('m', 'a', embl.publisher)
    assert(here.registry.admitHead(embl.head(record, here.clock.time)).ok)
    here.registry.setTrust({ publisher: embl.publisher, right: 'see' })
    assert.deepEqual(statuses(), [])
  })
})

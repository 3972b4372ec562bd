import assert from 'node:assert/strict'
import * as fc from 'fast-check'
import { type Archive, archiveOf } from '../../daemon/net/archive.ts'
import { expectOk } from '../../protocol/errors.ts'
import { MAX_CLOCK_AHEAD_MS } from '../../protocol/limits.ts'
import { entriesOf, idOf, type LogState } from '../../protocol/sync-item.ts'
import { SyncSet } from '../../protocol/sync-set.ts'
import { SyncTable } from '../../protocol/sync-table.ts'
import { lastOf, START, TestPublisher } from '../helpers/publisher.ts'
import { admit, openTestRegistry, trust } from '../helpers/registry.ts'

const DAY_MS = 24 * 3600 * 1000
const clock = { now: () => START + 1e9 }

/** What a table that knows nothing yet would say. */
function freshSet(archive: Archive): SyncSet {
  const entries = archive.publishers().flatMap((each) => entriesOf(archive, each))
  return new SyncSet(entries.toSorted((a, b) => (a.id < b.id ? -1 : 1)))
}

const agree = (archive: Archive): void => {
  const { fingerprint } = archive.set(archive.publishers())
  assert.deepEqual(fingerprint, freshSet(archive).fingerprint)
}

describe('protocol/sync-table', () => {
  it('follows whatever happens to chains and logs', async () => {
    const own = new TestPublisher('table')
    const registry = await openTestRegistry(new TestPublisher('of a node'), clock)
    const archive = archiveOf(registry)
    agree(archive)
    trust(registry, own.publisher, 'list')
    agree(archive)
    expectOk(registry.admitIdentity(own.publisher, own.operations, 0))
    agree(archive)

    const first = own.tag('nuclei', 'a', own.publisher)
    admit(registry, first)
    agree(archive)
    expectOk(registry.admitHead(own.head(first)))
    agree(archive)
    const [left] = [own.tag('nuclei', 'left', own.publisher)]
    own.rewind(first)
    const right = own.tag('nuclei', 'right', own.publisher)
    admit(registry, left)
    assert.equal(registry.admitRecord(right.envelope, null).ok, false)
    assert.ok(
      archive.set([own.publisher]).entries.some(({ item }) => 'forked' in item && item.forked),
    )
    agree(archive)

    // The root settles the fork for the other branch: ours is taken back.
    own.sign({ op: 'heal', key: own.key(), last: lastOf(right), ts: START })
    expectOk(registry.admitIdentity(own.publisher, own.operations, 0))
    agree(archive)
    admit(registry, right)
    agree(archive)

    const thief = new TestPublisher('table')
    thief.delegate('publish', new Uint8Array(32).fill(1))
    assert.equal(registry.admitIdentity(own.publisher, thief.operations, 0).ok, false)
    assert.ok(
      archive.set([own.publisher]).entries.some(({ item }) => 'forked' in item && item.forked),
    )
    agree(archive)
    registry.publishProfile({ label: 'x', displayName: 'X', handle: null, url: null, ror: null })
    agree(archive)
    registry.removeTrust(own.publisher)
    agree(archive)
  })

  it('knows a fork by its proof alone', async () => {
    const own = new TestPublisher('proof alone')
    const registry = await openTestRegistry(new TestPublisher('of a node'), clock)
    const archive = archiveOf(registry)
    trust(registry, own.publisher, 'list')
    expectOk(registry.admitIdentity(own.publisher, own.operations, 0))
    agree(archive)
    const first = own.tag('nuclei', 'x', own.publisher)
    const again = new TestPublisher('proof alone').tag('nuclei', 'y', own.publisher)
    expectOk(registry.admitProof(first.envelope, again.envelope))
    assert.ok(
      archive.set([own.publisher]).entries.some(({ item }) => 'forked' in item && item.forked),
    )
    agree(archive)
  })

  it('counts a head only while it is not ahead of the clock', async () => {
    let now = START + 10 * DAY_MS
    const own = new TestPublisher('heads and clocks')
    const registry = await openTestRegistry(new TestPublisher('of a node'), { now: () => now })
    const archive = archiveOf(registry)
    trust(registry, own.publisher, 'list')
    expectOk(registry.admitIdentity(own.publisher, own.operations, 0))
    const signed = own.tag('nuclei', 'x', own.publisher)
    admit(registry, signed)
    expectOk(registry.admitHead(own.head(signed, now)))
    const days = (): number[] =>
      archive.set([own.publisher]).entries.map(({ item }) => ('day' in item ? item.day : 0))
    const today = Math.floor(now / DAY_MS)
    assert.ok(days().includes(today))
    now -= 2 * MAX_CLOCK_AHEAD_MS
    assert.ok(!days().includes(today))
    now += MAX_CLOCK_AHEAD_MS - 1
    assert.ok(!days().includes(today))
    now += 1
    assert.ok(days().includes(today))
  })

  it('has for each peer what it may read, and reads nothing twice', () => {
    const [p, q] = ['p', 'q'].map((name) => new TestPublisher(name)) as [
      TestPublisher,
      TestPublisher,
    ]
    let reads = 0
    const log = (key: string, isPrivate: boolean): LogState => ({
      key,
      epoch: 0,
      seq: 1,
      tip: p.publisher,
      headIssued: 0,
      isForked: false,
      isPrivate,
    })
    const [open, secret] = ['a'.repeat(64), 'b'.repeat(64)]
    const table = new SyncTable({
      chain(publisher) {
        reads++
        return { length: 1, tip: publisher, isContested: false }
      },
      logs: () => [log(open, false), log(secret, true)],
      holdings: () => [],
      horizon: () => 0,
    })
    const both = [p.publisher, q.publisher]
    const size = (mayRead: (publisher: string) => boolean) =>
      table.set(both, mayRead).entries.length
    const all = table.set(both, () => true)
    assert.deepEqual(
      [all.entries.length, size(() => false), size((each) => each === p.publisher)],
      [6, 4, 5],
    )
    const none = table.set(both, () => false)
    assert.ok(none.entries.every(({ item }) => item.key !== secret))
    assert.notDeepEqual(none.fingerprint, all.fingerprint)
    assert.equal(
      table.set(both, () => true),
      all,
    )
    assert.equal(table.set([q.publisher], () => true).entries.length, 3)
    assert.equal(reads, 2)
    table.changed(q.publisher)
    assert.notEqual(
      table.set(both, () => true),
      all,
    )
    assert.equal(reads, 3)
    const id = idOf({ publisher: p.publisher, key: open })
    assert.deepEqual(table.log(id), { publisher: p.publisher, key: open })
    assert.equal(table.log(idOf({ publisher: p.publisher, key: null })), null)
  })

  it('puts in order what has changed, whichever it is', () => {
    const publishers = Array.from(
      { length: 12 },
      (_, n) => new TestPublisher(`order ${n}`).publisher,
    )
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 11 }), { maxLength: 30 }), (changes) => {
        const lengths = new Map(publishers.map((each) => [each, 1]))
        const state = {
          chain: (each: string) => ({
            length: lengths.get(each as never) ?? 0,
            tip: publishers[0] as never,
            isContested: false,
          }),
          logs: () => [],
          holdings: () => [],
          horizon: () => 0,
        }
        const table = new SyncTable(state)
        for (const [n, change] of changes.entries()) {
          const publisher = publishers[change] ?? assert.fail()
          lengths.set(publisher, n)
          table.changed(publisher)
          if (n % 3 > 0) continue
          const { entries } = table.set(publishers, () => true)
          const expected = publishers.flatMap((each) => entriesOf(state, each))
          assert.deepEqual(
            entries,
            expected.toSorted((a, b) => (a.id < b.id ? -1 : 1)),
          )
        }
      }),
      { numRuns: 50 },
    )
  })
})

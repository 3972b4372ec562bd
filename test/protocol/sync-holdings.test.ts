/** Holdings travel through any node, cost what they weigh, and come to rest. */
import assert from 'node:assert/strict'
import { type Archive, archiveOf } from '../../daemon/net/archive.ts'
import { type Cid, cidOf } from '../../protocol/cid.ts'
import { expectOk } from '../../protocol/errors.ts'
import {
  MAX_CLOCK_AHEAD_MS,
  MAX_FRAME_BYTES,
  MAX_HOLDINGS_MODELS,
  MAX_SYNC_HOLDINGS,
} from '../../protocol/limits.ts'
import { pull } from '../../protocol/sync.ts'
import { answer } from '../../protocol/sync-answer.ts'
import { isNewer } from '../../protocol/sync-holdings.ts'
import { idOfHoldings, lineOf } from '../../protocol/sync-item.ts'
import {
  isHoldings,
  type SyncReply,
  syncReplies,
  syncRequests,
} from '../../protocol/sync-message.ts'
import { createSyncMemory } from '../../protocol/sync-publishers.ts'
import type { SyncInput, SyncOutcome } from '../../protocol/sync-step.ts'
import type { Registry } from '../../registry/registry.ts'
import { HOLDINGS_LIFE_MS, Holder } from '../helpers/holdings.ts'
import { START, TestPublisher, utf8 } from '../helpers/publisher.ts'
import { openTestRegistry, trust } from '../helpers/registry.ts'

const NOW = START + 30 * 24 * 3600 * 1000
const [a, b, c] = ['a', 'b', 'c'].map((name) => new TestPublisher(name)) as [
  TestPublisher,
  TestPublisher,
  TestPublisher,
]
const models = Array.from({ length: MAX_HOLDINGS_MODELS }, (_, n) =>
  cidOf('dag-cbor', utf8(`model ${n}`)),
)

interface Node {
  readonly registry: Registry
  readonly archive: Archive
  readonly clock: { time: number }
}

/** A node that lists publishers. */
async function open(own: TestPublisher, ...listed: readonly TestPublisher[]): Promise<Node> {
  const clock = { time: NOW }
  const registry = await openTestRegistry(own, { now: () => clock.time })
  for (const each of listed) {
    trust(registry, each.publisher, 'list')
    expectOk(registry.admitIdentity(each.publisher, each.operations, 0))
  }
  return { registry, archive: archiveOf(registry), clock }
}

/** One pull, and the questions of which type it asked. */
function pulled(
  from: Node,
  to: Node,
  bend: (reply: SyncReply) => SyncReply = (reply) => reply,
): SyncOutcome & { readonly asked: readonly string[]; readonly bytes: number } {
  const asked: string[] = []
  let bytes = 0
  const memory = createSyncMemory()
  const steps = pull(to.archive, createSyncMemory())
  let input: SyncInput
  for (let step = steps.next(input); ; step = steps.next(input)) {
    if (step.done) return { ...step.value, asked, bytes }
    const effect = step.value
    if (effect.do === 'ask') {
      asked.push(effect.request.t)
      const frame = syncRequests.encode(effect.request)
      const reply = answer(from.archive, memory, expectOk(syncRequests.decode(frame)))
      const answered = syncReplies.encode(bend(reply ?? assert.fail()))
      assert.ok(answered.length <= MAX_FRAME_BYTES)
      bytes += frame.length + answered.length
      input = expectOk(syncReplies.decode(answered))
    } else if (effect.do === 'admit-holdings') {
      input = to.archive.admitHoldings(effect.current, effect.base)
    } else input = undefined
  }
}

const say = ({ registry }: Node, holder: Holder, held: readonly Cid[], issued = NOW): void => {
  const { current, base } = holder.says(held, issued)
  expectOk(registry.admitHoldings(current, base))
}
const heldAt = ({ registry }: Node, own: TestPublisher): readonly Cid[] => [
  ...(registry.replicas.nodes(own.publisher)[0]?.models ?? []),
]

describe('protocol/sync-holdings', () => {
  it('brings what a node holds through one that is not its publisher', async () => {
    const [one, two, three] = await Promise.all([open(a, b, c), open(b, a, c), open(c, a, b)])
    const holder = new Holder(a)
    say(one, holder, models.slice(0, 3))
    assert.deepEqual(pulled(one, two).asked, ['open', 'compare', 'get-holdings'])
    assert.deepEqual(pulled(two, three).asked, ['open', 'compare', 'get-holdings'])
    assert.deepEqual(heldAt(three, a).toSorted(), models.slice(0, 3).toSorted())
    assert.ok(pulled(one, two).equal && pulled(three, one).equal)
  })

  it('brings a change alone to who has what it changes, and both to others', async () => {
    const [one, two, three] = await Promise.all([open(a, b, c), open(b, a, c), open(c, a, b)])
    const holder = new Holder(a)
    say(one, holder, models.slice(0, 1000))
    const first = pulled(one, two)
    assert.ok(first.bytes > 32_000)
    say(one, holder, models.slice(1, 1001), NOW + 1)
    const second = pulled(one, two)
    assert.ok(second.bytes < 2000, `${second.bytes} bytes`)
    const both = pulled(two, three)
    assert.ok(both.bytes > 32_000)
    for (const node of [two, three]) {
      assert.deepEqual(heldAt(node, a).toSorted(), models.slice(1, 1001).toSorted())
    }
  })

  it('says that the other side is behind, and asks for nothing older', async () => {
    const [one, two] = await Promise.all([open(a, b), open(b, a)])
    const holder = new Holder(a)
    say(one, holder, models.slice(0, 1))
    pulled(one, two)
    say(two, holder, models.slice(0, 2), NOW + 1)
    const back = pulled(one, two)
    assert.deepEqual([back.behind, back.asked], [true, ['open', 'compare']])
    assert.equal(heldAt(two, a).length, 2)
  })

  it('takes the later of two statements, and of two at once the same one everywhere', async () => {
    const [one, two] = await Promise.all([open(a, b), open(b, a)])
    const [left, right] = [new Holder(a), new Holder(a)]
    say(one, left, models.slice(0, 1))
    say(two, right, models.slice(1, 2))
    pulled(one, two)
    pulled(two, one)
    assert.deepEqual(heldAt(one, a), heldAt(two, a))
    assert.ok(pulled(one, two).equal)
    const [x, y] = ['x', 'y'].map((name) => cidOf('dag-cbor', utf8(name))) as [Cid, Cid]
    const [less, more] = x < y ? [x, y] : [y, x]
    assert.ok(isNewer({ issued: 1, tip: more }, { issued: 1, tip: less }))
    assert.ok(!isNewer({ issued: 1, tip: less }, { issued: 1, tip: more }))
    assert.ok(!isNewer({ issued: 1, tip: less }, { issued: 1, tip: less }))
    assert.ok(isNewer({ issued: 2, tip: less }, { issued: 1, tip: more }))
  })

  it('asks for none that lie ahead, or have run out', async () => {
    for (const [issued, isWanted] of [
      [NOW + MAX_CLOCK_AHEAD_MS, true],
      [NOW + MAX_CLOCK_AHEAD_MS + 1, false],
      [NOW - HOLDINGS_LIFE_MS, true],
      [NOW - HOLDINGS_LIFE_MS - 1, false],
    ] as const) {
      const [one, two] = await Promise.all([open(a, b), open(b, a)])
      one.clock.time = issued
      say(one, new Holder(a), models.slice(0, 1), issued)
      const end = pulled(one, two)
      assert.equal(end.asked.includes('get-holdings'), isWanted)
      assert.deepEqual([end.failure, end.refused], [null, []])
      assert.equal(heldAt(two, a).length, isWanted ? 1 : 0)
    }
  })

  it('answers as much as has room in a frame, and goes on with the rest', async () => {
    const holders = Array.from({ length: 9 }, (_, n) => new Holder(new TestPublisher(`many ${n}`)))
    const all = holders.map(({ own }) => own)
    const [one, two] = await Promise.all([open(a, b, ...all), open(b, a, ...all)])
    for (const [n, holder] of holders.entries()) {
      say(one, holder, models.slice(0, MAX_HOLDINGS_MODELS - n))
    }
    const end = pulled(one, two)
    assert.equal(end.failure, null)
    assert.equal(end.asked.filter((t) => t === 'get-holdings').length, 2)
    for (const { own } of holders) assert.ok(heldAt(two, own).length > MAX_HOLDINGS_MODELS - 9)
    assert.ok(pulled(one, two).equal)
  })

  it('leaves a peer that answers for none, or for more than was asked', async () => {
    const [one, two] = await Promise.all([open(a, b), open(b, a)])
    say(one, new Holder(a), [])
    const stated = { current: null, base: null }
    for (const nodes of [[], [stated, stated]]) {
      const end = pulled(one, two, (reply) =>
        reply.t === 'holdings' ? { t: 'holdings', nodes } : reply,
      )
      assert.equal(end.failure?.code, 'RECORD_INVALID')
    }
    const none = pulled(one, two, (reply) =>
      reply.t === 'holdings' ? { t: 'holdings', nodes: [stated] } : reply,
    )
    assert.deepEqual([none.failure, heldAt(two, a)], [null, []])
  })

  it('takes in nothing that it did not ask for in the right form', async () => {
    const [one, two] = await Promise.all([open(a, b, c), open(b, a, c)])
    say(one, new Holder(a), models.slice(0, 1))
    const other = new Holder(c).says(models.slice(0, 2), NOW)
    const end = pulled(one, two, (reply) =>
      reply.t === 'holdings'
        ? { t: 'holdings', nodes: [{ current: other.current.slice(0, -1), base: null }] }
        : reply,
    )
    assert.equal(end.refused.length, 1)
    assert.deepEqual([heldAt(two, a), heldAt(two, c)], [[], []])
  })

  it('bounds how many nodes one request asks for', () => {
    const node = { id: 'ab'.repeat(16), base: models[0] ?? null }
    const request = (length: number) =>
      syncRequests.encode({ t: 'get-holdings', nodes: Array.from({ length }, () => node) })
    assert.ok(syncRequests.decode(request(MAX_SYNC_HOLDINGS)).ok)
    const over = syncRequests.decode(request(MAX_SYNC_HOLDINGS + 1))
    assert.equal(!over.ok && over.code, 'LIMIT')
  })

  it('has a line of five values, at a place of its own', async () => {
    const one = await open(a, b)
    say(one, new Holder(a), [])
    const entries = one.archive.set([a.publisher]).entries
    const found = entries.find(({ item }) => isHoldings(item)) ?? assert.fail()
    assert.ok(isHoldings(found.item))
    const { publisher, key, issued, expires, tip } = found.item
    assert.equal(lineOf(found.item), `${publisher}/${key}/holdings ${issued} ${expires} ${tip}\n`)
    assert.equal(found.id, idOfHoldings({ publisher, key }))
  })
})

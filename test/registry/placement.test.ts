/** Who fills a shortage: the same answer everywhere, spread evenly, and nobody twice. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { type Cid, cidOf } from '../../protocol/cid.ts'
import {
  delayOf,
  orderOf,
  type PlacementNode,
  type Shortage,
  Shortages,
  turnOf,
} from '../../registry/placement.ts'
import { utf8 } from '../helpers/publisher.ts'

const idOf = (name: string): Cid => cidOf('dag-cbor', utf8(name))
const node = (publisher: number, key = 0, room = 1000): PlacementNode => ({
  publisher: idOf(`publisher ${publisher}`),
  key: `${publisher}-${key}`,
  room,
})
const shortage = (changes: Partial<Shortage> = {}): Shortage => ({
  record: idOf('model'),
  size: 100,
  holders: [idOf('origin')],
  floor: 2,
  ...changes,
})
const TURN_MS = 100

/** Nodes of some publishers, with more or less room. */
const nodes = fc
  .uniqueArray(fc.tuple(fc.nat(9), fc.nat(2), fc.nat(3)), {
    selector: ([publisher, key]) => `${publisher} ${key}`,
    maxLength: 20,
  })
  .map((all) => all.map(([publisher, key, room]) => node(publisher, key, room * 100)))
const shortages = fc
  .tuple(fc.string(), fc.nat(300), fc.uniqueArray(fc.nat(9), { maxLength: 4 }), fc.nat(6))
  .map(([name, size, holders, floor]) =>
    shortage({
      record: idOf(name),
      size,
      holders: holders.map((each) => idOf(`publisher ${each}`)),
      floor,
    }),
  )

describe('registry/placement', () => {
  it('comes to one order, in whatever order nodes are known', () => {
    fc.assert(
      fc.property(shortages, nodes, fc.infiniteStream(fc.nat()), (some, all, numbers) => {
        const shuffled = all
          .map((each) => ({ each, by: numbers.next().value }))
          .sort((a, b) => a.by - b.by)
          .map(({ each }) => each)
        assert.deepEqual(orderOf(some, shuffled), orderOf(some, all))
      }),
    )
  })

  it('leaves out who has no room, and whose copy is counted already', () => {
    fc.assert(
      fc.property(shortages, nodes, (some, all) => {
        const order = orderOf(some, all)
        assert.equal(new Set(order.map(({ key }) => key)).size, order.length)
        for (const each of all) {
          const isFit = each.room >= some.size && !some.holders.includes(each.publisher)
          assert.equal(order.includes(each), isFit)
        }
      }),
    )
  })

  it('has as many begin at once as copies are missing, of as many publishers', () => {
    fc.assert(
      fc.property(shortages, nodes, (some, all) => {
        const missing = some.floor - some.holders.length
        const turns = all.map((each) => ({ each, turn: turnOf(some, each, all) }))
        const first = turns.filter(({ turn }) => turn === 0).map(({ each }) => each.publisher)
        const fit = new Set(orderOf(some, all).map(({ publisher }) => publisher))
        if (missing <= 0) assert.ok(turns.every(({ turn }) => turn === null))
        else {
          assert.equal(new Set(first).size, Math.min(missing, fit.size))
          assert.ok(first.length <= missing)
        }
        // Everybody else has a turn of their own.
        const later = turns.flatMap(({ turn }) => (turn === null || turn === 0 ? [] : [turn]))
        assert.equal(new Set(later).size, later.length)
      }),
    )
  })

  it('moves nothing else when a node comes or goes', () => {
    fc.assert(
      fc.property(shortages, nodes, fc.nat(30), (some, all, n) => {
        const gone = all[n % Math.max(1, all.length)]
        const left = all.filter((each) => each !== gone)
        const before = orderOf(some, all).filter((each) => each !== gone)
        const after = orderOf(some, left)
        // A second node of its publisher may step forward; the others keep their order.
        const others = (order: readonly PlacementNode[]) =>
          order.filter(({ publisher }) => publisher !== gone?.publisher)
        assert.deepEqual(others(after), others(before))
      }),
    )
  })

  it('spreads models evenly', () => {
    const all = Array.from({ length: 10 }, (_, n) => node(n))
    const counts = new Map<string, number>()
    for (let n = 0; n < 1000; n++) {
      const [first] = orderOf(shortage({ record: idOf(`model ${n}`) }), all)
      counts.set(first?.key ?? '', (counts.get(first?.key ?? '') ?? 0) + 1)
    }
    for (const count of counts.values()) assert.ok(count > 60 && count < 140, `${count}`)
    assert.equal(counts.size, 10)
  })

  it('waits a turn, then one for each before it, and not all at the same moment', () => {
    const all = Array.from({ length: 5 }, (_, n) => node(n))
    const some = shortage()
    const order = orderOf(some, all)
    for (const [place, self] of order.entries()) {
      const waiting = new Shortages(TURN_MS, self)
      assert.deepEqual(waiting.due([some], all, 1000), [])
      const delay = delayOf(some.record, self)
      assert.ok(delay >= 0 && delay < 0.5)
      const at = 1000 + Math.ceil((1 + place + delay) * TURN_MS)
      assert.deepEqual(waiting.due([some], all, at - 1), [])
      assert.deepEqual(waiting.due([some], all, at), [{ ...some, turn: place }])
    }
  })

  it('begins anew where a shortage has passed in between', () => {
    const self = node(1)
    const waiting = new Shortages(TURN_MS, self)
    const some = shortage()
    waiting.due([some], [self], 0)
    waiting.due([], [self], 90)
    waiting.due([some], [self], 100)
    assert.deepEqual(waiting.due([some], [self], 199), [])
    assert.equal(waiting.due([some], [self], 250).length, 1)
  })

  it('waits no longer where the clock is set back', () => {
    const self = node(1)
    const waiting = new Shortages(TURN_MS, self)
    waiting.due([shortage()], [self], 1_000_000)
    waiting.due([shortage()], [self], 10)
    assert.equal(waiting.due([shortage()], [self], 10 + 2 * TURN_MS).length, 1)
  })

  it('leaves alone for a while what it gave up, and takes what lacks most first', () => {
    const self = node(1)
    const waiting = new Shortages(TURN_MS, self)
    const worse = shortage({ record: idOf('worse'), holders: [] })
    const both = [shortage(), worse]
    waiting.due(both, [self], 0)
    assert.deepEqual(
      waiting.due(both, [self], 200).map(({ record }) => record),
      [worse.record, shortage().record],
    )
    waiting.gaveUp(worse.record, 200)
    const due = (now: number) => waiting.due(both, [self], now).map(({ record }) => record)
    assert.deepEqual(due(200 + 30 * TURN_MS - 1), [shortage().record])
    assert.deepEqual(due(200 + 30 * TURN_MS), [worse.record, shortage().record])
  })
})

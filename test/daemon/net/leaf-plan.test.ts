import assert from 'node:assert/strict'
import fc from 'fast-check'
import { LeafPlan, type LeafSource } from '../../../daemon/net/leaf-plan.ts'
import { LeafSet } from '../../../protocol/leaf-set.ts'

const setOf = (count: number, members: Iterable<number>): LeafSet => {
  const set = new LeafSet(count)
  for (const each of members) set.add(each)
  return set
}
const all = (count: number): LeafSet => setOf(count, Array(count).keys())
const origin = (): LeafSource => ({ have: null })

describe('daemon/net/leaf-plan', () => {
  const planOf = (count: number, ...sources: LeafSource[]): LeafPlan => {
    const plan = new LeafPlan(all(count), () => 0, 0)
    for (const each of sources) plan.add(each)
    return plan
  }
  /** Follows the plan. */
  const ask = (plan: LeafPlan, source: LeafSource, now = 0): number | null => {
    const choice = plan.next(source, now)
    if (choice !== null) plan.asked(source, choice.index, now)
    return choice?.index ?? null
  }

  it('reads in order where nobody else fetches', () => {
    const source = origin()
    const plan = planOf(3, source)
    assert.deepEqual(
      [1, 2, 3, 4].map(() => ask(plan, source)),
      [0, 1, 2, null],
    )
  })

  it('asks nobody twice for what is on its way, and again for what did not come', () => {
    const [a, b] = [origin(), origin()]
    const plan = planOf(2, a, b)
    assert.deepEqual([ask(plan, a), ask(plan, b), ask(plan, a)], [0, 1, null])
    plan.answered(a, 0)
    assert.equal(ask(plan, b), 0)
    plan.took(0, 0)
    assert.deepEqual([plan.needs(0), plan.left], [false, 1])
  })

  it('takes of an origin what no fetcher has, and of fetchers the rarest', () => {
    const whole = origin()
    const [x, y] = [{ have: setOf(4, [0, 1]) }, { have: setOf(4, [0, 2]) }]
    const plan = planOf(4, whole, x, y)
    assert.equal(ask(plan, whole), 3)
    assert.equal(ask(plan, whole), null)
    assert.equal(ask(plan, x), 1)
    assert.equal(ask(plan, y), 2)
  })

  it('leaves to others what an origin gave them, until nothing comes any more', () => {
    const whole = origin()
    const plan = planOf(4, whole)
    plan.expected = 1
    plan.given(setOf(4, [0, 1, 3]))
    assert.deepEqual(plan.next(whole, 0), { index: 2, insist: false })
    plan.asked(whole, 2, 0)
    plan.took(2, 100)
    plan.answered(whole, 2)
    assert.equal(plan.next(whole, 5_099), null)
    assert.deepEqual(plan.next(whole, 5_100), { index: 0, insist: true })
    // Nobody is waited for again.
    plan.took(0, 5_200)
    assert.deepEqual(plan.next(whole, 5_200), { index: 1, insist: true })
  })

  it('waits for nobody where nobody else can come to have it', () => {
    const whole = origin()
    const plan = planOf(2, whole)
    plan.given(setOf(2, [0]))
    assert.deepEqual(plan.next(whole, 0), { index: 0, insist: true })
  })

  it('waits for nobody with a small file', () => {
    const whole = origin()
    const plan = planOf(3, whole)
    plan.expected = 1
    plan.given(all(3))
    assert.deepEqual(plan.next(whole, 0), { index: 0, insist: true })
  })

  it('asks an origin for what slow fetchers have once nothing comes any more', () => {
    const whole = origin()
    const plan = planOf(4, whole, { have: all(4) })
    assert.equal(plan.next(whole, 4_999), null)
    assert.deepEqual(plan.next(whole, 5_000), { index: 0, insist: true })
    plan.took(0, 5_000)
    assert.equal(plan.next(whole, 5_001), null)
  })

  it('takes over from a source that is slow, once', () => {
    const [slow, quick, third] = [origin(), origin(), origin()]
    const plan = planOf(1, slow, quick, third)
    ask(plan, slow)
    assert.equal(plan.next(quick, 999), null)
    assert.equal(plan.next(slow, 1_000), null)
    assert.equal(ask(plan, quick, 1_000), 0)
    assert.equal(plan.next(third, 9_000), null)
  })

  it('is patient with what takes long anyway', () => {
    const [slow, quick] = [origin(), origin()]
    const plan = planOf(2, slow, quick)
    ask(plan, slow, 0)
    plan.took(0, 10_000)
    plan.answered(slow, 0)
    ask(plan, slow, 10_000)
    assert.equal(plan.next(quick, 39_999), null)
    assert.equal(plan.next(quick, 40_000)?.index, 1)
  })

  it('brings every leaf to every fetcher, and leaves the origin about once', () => {
    const swarm = fc.record({
      fetchers: fc.integer({ min: 2, max: 8 }),
      leaves: fc.integer({ min: 4, max: 60 }),
      seed: fc.array(fc.double({ min: 0, max: 0.999, noNaN: true }), { minLength: 1 }),
    })
    fc.assert(
      fc.property(swarm, ({ fetchers: n, leaves, seed }) => {
        let drawn = 0
        const random = () => seed[drawn++ % seed.length] ?? 0
        const have = Array.from({ length: n }, () => new LeafSet(leaves))
        const given = new Set<number>()
        const whole = origin()
        const plans = have.map(() => new LeafPlan(all(leaves), random, 0))
        plans.forEach((plan, i) => {
          plan.add(whole)
          for (const [j, set] of have.entries()) if (j !== i) plan.add({ have: set })
        })
        let sent = 0
        // Each fetcher takes one leaf of each source in turn; time passes little.
        for (let turn = 0; plans.some(({ left }) => left > 0); turn++) {
          assert.ok(turn < 2 * leaves + 10, 'it comes to an end')
          plans.forEach((plan, i) => {
            for (const source of [
              whole,
              ...have.filter((_, j) => j !== i).map((set) => ({ have: set })),
            ]) {
              const choice = plan.next(source, turn)
              if (choice === null) continue
              if (source === whole && given.has(choice.index) && !choice.insist) {
                plan.given(setOf(leaves, given))
                continue
              }
              if (source === whole) {
                given.add(choice.index)
                sent++
              }
              plan.took(choice.index, turn)
              have[i]?.add(choice.index)
            }
          })
        }
        assert.equal(sent, leaves)
      }),
    )
  })
})

import assert from 'node:assert/strict'
import type { StrategyName } from './byzantine/strategies.ts'
import type { Sabotage } from './node.ts'
import { createPlan, type Plan, type PlanEvent } from './plan.ts'
import { shrink } from './shrink.ts'
import { type Outcome, simulate } from './simulation.ts'

const OPTIONS = { nodes: 4, records: 40 }
/** Seeds within which each broken rule is noticed. */
const MAX_SEEDS = 20

/** Rules that are broken on purpose: what brings them to light, and the promises that notice. */
const TEETH: Readonly<
  Record<
    Sabotage,
    {
      readonly invariants: readonly string[]
      readonly strategies: readonly StrategyName[]
      readonly events: readonly PlanEvent[]
    }
  >
> = {
  'blind-verification': {
    invariants: ['everything stored verifies'],
    strategies: ['forged-record', 'invalid-signature'],
    events: [],
  },
  'lost-writes': {
    invariants: ['acknowledged stays', 'max-seen never falls', 'no honest self-fork'],
    strategies: [],
    events: [
      { at: 60_000, salt: 1, do: 'say', node: 0, what: ['model', 'tag'] },
      { at: 120_000, salt: 2, do: 'crash', node: 0, ms: 1000 },
    ],
  },
  'forgotten-positions': {
    invariants: ['no honest self-fork'],
    strategies: [],
    events: [
      { at: 60_000, salt: 1, do: 'snapshot', node: 0 },
      { at: 61_000, salt: 2, do: 'say', node: 0, what: ['model', 'tag'] },
      { at: 160_000, salt: 3, do: 'restore', node: 0, isWhole: false },
      { at: 161_500, salt: 4, do: 'say', node: 0, what: ['profile', 'tag'] },
    ],
  },
  'any-head': {
    invariants: ['max-seen never falls', 'everything stored verifies'],
    strategies: ['old-heads'],
    events: [],
  },
  'no-proofs': {
    invariants: ['honest nodes agree'],
    strategies: ['two-faced', 'restored-backup'],
    events: [],
  },
}

describe('simulator/simulation', () => {
  it('repeats to the last bit', async () => {
    const plan = createPlan('again', OPTIONS)
    assert.deepEqual(await simulate(plan), await simulate(plan))
  })

  it('gives the same from a plan that was written down', async () => {
    const plan = createPlan('kept', OPTIONS)
    const kept = JSON.parse(JSON.stringify(plan)) as Plan
    assert.deepEqual(await simulate(kept), await simulate(plan))
  })

  it('holds with Ed25519 as with its stand-in', async () => {
    const plan = createPlan('real', OPTIONS)
    for (const scheme of ['ed25519', 'hash'] as const) {
      assert.equal((await simulate({ ...plan, scheme })).failure, null)
    }
  })

  it('does the same over the catalogue in memory as over SQLite', async () => {
    // The two count writes and fill disks in ways of their own.
    const isOfWrites = ({ do: what }: PlanEvent): boolean =>
      what === 'crash-at-write' || what === 'write-error' || what === 'full'
    for (let seed = 0; seed < 6; seed++) {
      const plan = createPlan(`twins ${seed}`, OPTIONS)
      const events = plan.events.filter((event) => !isOfWrites(event))
      const [memory, sqlite] = [
        await simulate({ ...plan, events, catalogue: 'memory' }),
        await simulate({ ...plan, events, catalogue: 'sqlite' }),
      ]
      assert.deepEqual(memory, sqlite)
    }
  })

  for (const [sabotage, { invariants, strategies, events }] of Object.entries(TEETH)) {
    it(`has teeth: ${sabotage}`, async () => {
      // SAFE: the keys of the table.
      const noticed = await firstFailure(sabotage as Sabotage, strategies, events)
      assert.ok(noticed !== null, `not noticed in ${MAX_SEEDS} seeds`)
      const { failure } = noticed.outcome
      assert.ok(invariants.includes(failure?.invariant ?? ''), failure?.message)
    })
  }

  it('shrinks what it found', async () => {
    const { strategies, events } = TEETH['blind-verification']
    const noticed = await firstFailure('blind-verification', strategies, events)
    assert.ok(noticed !== null)
    const { invariant } = noticed.outcome.failure ?? {}
    const fails = async (plan: Plan): Promise<boolean> =>
      (await simulate(plan, 'blind-verification')).failure?.invariant === invariant
    const { plan } = await shrink(noticed.plan, fails, 60)
    assert.ok(plan.events.length < noticed.plan.events.length / 2)
    assert.equal(await fails(plan), true)
  })
})

/** The first seed in which a broken rule is noticed; its last node lies by these strategies. */
async function firstFailure(
  sabotage: Sabotage,
  strategies: readonly StrategyName[],
  events: readonly PlanEvent[],
): Promise<{ readonly plan: Plan; readonly outcome: Outcome } | null> {
  for (let seed = 0; seed < MAX_SEEDS; seed++) {
    const drawn = createPlan(`teeth ${seed}`, OPTIONS)
    const liar = OPTIONS.nodes - 1
    const lies = Array.from(
      { length: 12 },
      (_, n): PlanEvent => ({ at: n * 40_000, salt: 100 + n, do: 'misbehave', node: liar }),
    )
    const plan: Plan = {
      ...drawn,
      nodes: drawn.nodes.map((_, node) => ({
        age: 0,
        strategies: node === liar ? strategies : null,
      })),
      rights: drawn.nodes.map(() => drawn.nodes.map(() => 'run' as const)),
      events: [...drawn.events, ...events, ...lies],
    }
    const outcome = await simulate(plan, sabotage)
    if (outcome.failure !== null) return { plan, outcome }
  }
  return null
}

/**
 * The plan of a run: nodes, rules, and everything that is done to them, drawn from one seed and
 * then only read. A plan is plain JSON, so that it can be kept, and shrunk by leaving things out.
 */

import { RIGHTS, type Right } from '../../registry/trust.ts'
import { STRATEGY_NAMES, type StrategyName } from './byzantine/strategies.ts'
import type { SignatureScheme } from './crypto.ts'
import type { CatalogueKind } from './database.ts'
import type { Weather } from './link.ts'
import type { RootDeed, Statement } from './operator.ts'
import { Random } from './random.ts'
import type { MachineScope } from './root.ts'

const DAY_MS = 24 * 3600 * 1000

/** Failpoints that a node passes; any of them may be its last. */
export const FAILPOINTS = [
  'sign.before-ledger',
  'sign.before-row',
  'sign.after-row',
  'sign.after-ledger',
  'ledger.before-rename',
  'ledger.before-folder-sync',
  'publish.after-file',
  'keys.before-identity',
  'keys.after-identity',
  'keys.after-catalogue',
] as const

/** What people say, by weight. */
const STATEMENTS: Readonly<Record<Statement, number>> = {
  model: 5,
  'private model': 1,
  tag: 4,
  withdraw: 2,
  erase: 0.5,
  restore: 0.3,
  profile: 1,
  attest: 8,
}

/** Nodes are named by their index. */
export type PlanEvent = {
  /** Milliseconds after the start. */
  readonly at: number
  /** Chance of its own, so that it does the same whatever else is left out. */
  readonly salt: number
} & (
  | {
      /** One statement after the other. */
      readonly do: 'say'
      readonly node: number
      readonly what: readonly Statement[]
      /** Where the node dies meanwhile. */
      readonly dies?: string
    }
  | {
      readonly do: 'govern'
      readonly node: number
      readonly what: RootDeed
      readonly scope: MachineScope
      readonly dies?: string
    }
  | { readonly do: 'settle'; readonly node: number }
  | { readonly do: 'audit'; readonly node: number }
  | {
      readonly do: 'trust'
      readonly node: number
      readonly about: number
      /** Null: the rule is removed. */
      readonly right: Right | null
    }
  | { readonly do: 'misbehave'; readonly node: number }
  | {
      readonly do: 'steal'
      readonly node: number
      readonly from: number
      readonly what: 'device' | 'root'
    }
  | { readonly do: 'weather'; readonly weather: Weather; readonly ms: number }
  | {
      readonly do: 'part'
      readonly from: readonly number[]
      readonly to: readonly number[]
      readonly isOneWay: boolean
      readonly ms: number
    }
  | {
      /** The links of nodes are stopped up one after the other, and freed in another order. */
      readonly do: 'clog'
      readonly nodes: readonly number[]
      readonly freed: readonly number[]
      readonly step: number
    }
  | { readonly do: 'crash'; readonly node: number; readonly ms: number }
  | { readonly do: 'crash-at-write'; readonly node: number; readonly writes: number }
  | { readonly do: 'write-error'; readonly node: number; readonly writes: number }
  | { readonly do: 'full'; readonly node: number; readonly ms: number }
  | { readonly do: 'snapshot'; readonly node: number }
  | {
      readonly do: 'restore'
      readonly node: number
      /** The ledger too, or the database alone. */
      readonly isWhole: boolean
    }
  | { readonly do: 'clock'; readonly node: number; readonly offset: number }
)

export interface Plan {
  readonly seed: string
  readonly scheme: SignatureScheme
  readonly catalogue: CatalogueKind
  /** Milliseconds between two rounds of sync. */
  readonly roundMs: number
  readonly rounds: number
  /** Records of one publisher that a node takes in on one day; absent: as many as the program does. */
  readonly recordsPerDay?: number
  /** Per node: null where it is honest. */
  readonly nodes: readonly {
    /** How long before the start it was founded, milliseconds. */
    readonly age: number
    /** Whether it has a key to erase. */
    readonly erases?: boolean
    /** Nodes for whose publishers it has a private log. */
    readonly audience?: readonly number[]
    readonly strategies: readonly StrategyName[] | null
  }[]
  /** Which nodes connect. */
  readonly wires: readonly (readonly [number, number])[]
  /** Rights of each node for the publisher of each node. */
  readonly rights: readonly (readonly Right[])[]
  readonly events: readonly PlanEvent[]
}

export interface PlanOptions {
  readonly nodes: number
  /** Records that are signed in all, by honest nodes. */
  readonly records: number
  /** Default: drawn. */
  readonly catalogue?: CatalogueKind
}

/** Share of the seeds in which Ed25519 itself signs. */
const REAL_SIGNATURES = 0.02

/** Share of the seeds in which the catalogue is that of the program, in SQLite. */
const REAL_CATALOGUES = 0.05

export function createPlan(seed: string, options: PlanOptions): Plan {
  const { nodes: count, records, catalogue } = options
  const random = new Random(`plan/${seed}`)
  const rounds = random.int(6, 12)
  const roundMs = random.pick([30_000, 600_000, 600_000, 6 * 3600_000, 10 * DAY_MS])
  const liars = random.int(0, Math.floor((count - 1) / 2))
  const everybody = Array.from({ length: count }, (_, index) => index)
  const nodes = Array.from({ length: count }, (_, index) => ({
    age: random.pick([0, 0, 100, 300, 395]) * DAY_MS,
    strategies: index < count - liars ? null : random.sample(STRATEGY_NAMES, random.int(1, 5)),
    erases: random.chance(0.5),
    ...(random.chance(0.4)
      ? { audience: random.sample(everybody, random.int(0, Math.min(4, count))) }
      : {}),
  }))
  return {
    seed,
    scheme: random.chance(REAL_SIGNATURES) ? 'ed25519' : 'hash',
    // Of a stream of its own, so that all else is the same over either.
    catalogue: catalogue ?? drawCatalogue(new Random(`catalogue/${seed}`)),
    roundMs,
    rounds,
    ...(random.chance(0.25) ? { recordsPerDay: random.int(5, 60) } : {}),
    nodes,
    wires: wiresOf(count, random),
    rights: nodes.map((_, node) => nodes.map((__, about) => rightOf(node, about, random))),
    events: new Events(random, nodes, rounds * roundMs, roundMs).draw(records),
  }
}

const drawCatalogue = (random: Random): CatalogueKind =>
  random.chance(REAL_CATALOGUES) ? 'sqlite' : 'memory'

const rightOf = (node: number, about: number, random: Random): Right =>
  node === about ? 'run' : random.weighted({ see: 1, list: 3, mirror: 2, run: 5 })

/** A ring, so that all are reached, and some more. */
function wiresOf(count: number, random: Random): readonly (readonly [number, number])[] {
  const ring = Array.from({ length: count }, (_, node) => [node, (node + 1) % count] as const)
  const more = Array.from(
    { length: count },
    () => [random.int(0, count - 1), random.int(0, count - 1)] as const,
  )
  return [...ring, ...more].filter(([a, b]) => a !== b)
}

class Events {
  readonly #random: Random
  readonly #honest: readonly number[]
  readonly #liars: readonly number[]
  readonly #all: readonly number[]
  readonly #end: number
  readonly #roundMs: number

  constructor(random: Random, nodes: Plan['nodes'], end: number, roundMs: number) {
    this.#random = random
    this.#all = nodes.map((_, index) => index)
    this.#honest = this.#all.filter((index) => nodes[index]?.strategies === null)
    this.#liars = this.#all.filter((index) => nodes[index]?.strategies !== null)
    this.#end = end
    this.#roundMs = roundMs
  }

  draw(records: number): readonly PlanEvent[] {
    const random = this.#random
    const some = (max: number): number => random.int(0, max)
    const scale = Math.ceil(this.#all.length / 5)
    const events: PlanEvent[] = [
      ...this.#sayings(records),
      ...this.#times(2, () => ({ do: 'audit', node: this.#anyHonest() }) as const),
      ...this.#times(some(6) * scale, () => this.#governing()),
      ...this.#times(some(2), () => ({ do: 'settle', node: this.#anyHonest() }) as const),
      ...this.#times(some(4) * scale, () => this.#ruling()),
      ...this.#times(some(3), () => this.#weather()),
      ...this.#times(some(3) * scale, () => this.#parting()),
      ...this.#times(some(1), () => this.#clogging()),
      ...this.#times(some(4) * scale, () => this.#crashing()),
      ...this.#times(some(2) * scale, () => this.#filling()),
      ...this.#times(some(3) * scale, () => this.#clock()),
      ...this.#restores(some(2)),
      ...this.#thefts(),
    ]
    if (this.#liars.length > 0) {
      const deeds = 8 * this.#liars.length
      events.push(
        ...this.#times(deeds, () => ({ do: 'misbehave', node: random.pick(this.#liars) }) as const),
      )
    }
    return events.sort((a, b) => a.at - b.at || a.salt - b.salt)
  }

  #times(count: number, draw: () => Deed): PlanEvent[] {
    return Array.from({ length: count }, () => this.#placed(draw()))
  }

  #placed(deed: Deed, at = this.#random.int(0, this.#end)): PlanEvent {
    return { at, salt: this.#random.bits(), ...deed }
  }

  #anyHonest = (): number => this.#random.pick(this.#honest)
  /** From a moment to a third of the run. */
  #span = (): number => this.#random.int(1000, Math.max(2000, this.#end / 3))

  /** People publish in bursts. */
  #sayings(records: number): PlanEvent[] {
    const random = this.#random
    const sayings: PlanEvent[] = []
    for (let left = records; left > 0; ) {
      const count = Math.min(left, random.int(1, 20))
      left -= count
      const what = Array.from({ length: count }, () => random.weighted(STATEMENTS))
      const dies = random.chance(0.08) ? { dies: random.pick(FAILPOINTS.slice(0, 7)) } : {}
      sayings.push(this.#placed({ do: 'say', node: random.pick(this.#all), what, ...dies }))
    }
    return sayings
  }

  #governing(): Deed {
    const random = this.#random
    const what = random.weighted({ renew: 4, replace: 2, rotate: 2, epoch: 2 })
    const dies = random.chance(0.1) ? { dies: random.pick(FAILPOINTS.slice(7)) } : {}
    return {
      do: 'govern',
      node: random.pick(this.#all),
      what,
      scope: random.pick(['publish', 'serve']),
      ...dies,
    }
  }

  #ruling(): Deed {
    const random = this.#random
    const node = this.#anyHonest()
    const about = random.pick(this.#all.filter((index) => index !== node))
    return { do: 'trust', node, about, right: random.pick([...RIGHTS, 'run', 'list', null]) }
  }

  #weather(): Deed {
    const random = this.#random
    const often = (max: number): number => (random.chance(0.5) ? random.float() * max : 0)
    const slowest = random.pick([100, 1000, 10_000])
    const weather: Weather = {
      delay: [1, slowest],
      loss: often(0.1),
      corruption: often(0.05),
      duplication: often(0.05),
      reordering: often(0.05),
    }
    return { do: 'weather', weather, ms: this.#span() }
  }

  #parting(): Deed {
    const random = this.#random
    const shuffled = random.shuffle(this.#all)
    const at = random.int(1, shuffled.length - 1)
    const isOneWay = random.chance(0.4)
    return {
      do: 'part',
      from: shuffled.slice(0, at),
      to: shuffled.slice(at),
      isOneWay,
      ms: this.#span(),
    }
  }

  #clogging(): Deed {
    const random = this.#random
    const step = random.int(100, Math.max(200, Math.floor(this.#roundMs / 2)))
    return { do: 'clog', nodes: random.shuffle(this.#all), freed: random.shuffle(this.#all), step }
  }

  #crashing(): Deed {
    const random = this.#random
    const node = this.#anyHonest()
    if (random.chance(0.5)) return { do: 'crash', node, ms: this.#span() }
    return { do: 'crash-at-write', node, writes: random.int(0, 40) }
  }

  #filling(): Deed {
    const random = this.#random
    const node = this.#anyHonest()
    if (random.chance(0.5)) return { do: 'full', node, ms: this.#span() }
    return { do: 'write-error', node, writes: random.int(0, 20) }
  }

  /** Institutes' clocks drift; some jump, by an hour or by years. */
  #clock(): Deed {
    const random = this.#random
    const size = random.pick([60_000, 3600_000, DAY_MS, 3650 * DAY_MS])
    return { do: 'clock', node: this.#anyHonest(), offset: random.int(-size, size) }
  }

  #restores(count: number): PlanEvent[] {
    return Array.from({ length: count }, () => {
      const node = this.#anyHonest()
      const isWhole = this.#random.chance(0.5)
      const taken = this.#random.int(0, this.#end)
      return [
        this.#placed({ do: 'snapshot', node }, taken),
        this.#placed({ do: 'restore', node, isWhole }, this.#random.int(taken, this.#end)),
      ]
    }).flat()
  }

  #thefts(): PlanEvent[] {
    return this.#liars.flatMap((node) => {
      if (!this.#random.chance(0.5)) return []
      const what = this.#random.pick(['device', 'device', 'root'] as const)
      return [this.#placed({ do: 'steal', node, from: this.#anyHonest(), what })]
    })
  }
}

type Deed = PlanEvent extends infer E
  ? E extends PlanEvent
    ? Omit<E, 'at' | 'salt'>
    : never
  : never

/**
 * By which road a source is asked for leaves: over libp2p, or over HTTPS where it has an address.
 * Which is quicker depends on both machines and all between them, so both are tried side by side
 * until it shows, and the slower one rests. A road that fails is left at once. Decides only.
 */
export type Road = 'stream' | 'web'

/** What was found of a peer. */
export interface KnownRoad {
  readonly road: Road
  /** When, milliseconds. */
  readonly at: number
}

/** Both roads are compared for so long after the later one has begun to give. */
const TRIAL_MS = 1_000
/** Leaves of each after its first without which nothing shows. */
const TRIAL_LEAVES = 8
/** What was found holds for so long; roads change. */
const KNOWN_MS = 600_000

interface Given {
  /** When the first leaf was here: what stands before that is not the road's speed. */
  readonly since: number
  /** Since then. */
  leaves: number
  last: number
}

export class RoadChoice {
  readonly #given = new Map<Road, Given>()
  #roads: readonly Road[]
  /** Null: it has not shown. */
  #found: KnownRoad | null = null

  /**
   * @param roads those that there are, the surest first
   * @param known what was found of this source before
   * @param now milliseconds, of any clock that only rises
   */
  constructor(roads: readonly Road[], known: KnownRoad | null, now: number) {
    const isKnown = known !== null && now - known.at < KNOWN_MS && roads.includes(known.road)
    this.#roads = isKnown ? [known.road] : roads
  }

  uses(road: Road): boolean {
    return this.#roads.includes(road)
  }

  /** What was found this time. */
  get found(): KnownRoad | null {
    return this.#found
  }

  /** A leaf came. */
  took(road: Road, now: number): void {
    const given = this.#given.get(road)
    if (given === undefined) this.#given.set(road, { since: now, leaves: 0, last: now })
    else {
      given.leaves++
      given.last = now
    }
    if (this.#roads.length > 1) this.#compare(now)
  }

  #compare(now: number): void {
    const all = this.#roads.map((road) => ({ road, given: this.#given.get(road) }))
    let best: { readonly road: Road; readonly rate: number } | null = null
    for (const { road, given } of all) {
      if (given === undefined || given.leaves < TRIAL_LEAVES) return
      if (now - given.since < TRIAL_MS) return
      const rate = given.leaves / (given.last - given.since)
      if (best === null || rate > best.rate) best = { road, rate }
    }
    if (best !== null) this.#settle(best.road, now)
  }

  /** A road has failed: the other one is left. */
  fail(road: Road, now: number): void {
    const other: Road = road === 'web' ? 'stream' : 'web'
    this.#settle(other, now)
  }

  #settle(road: Road, now: number): void {
    this.#roads = [road]
    this.#found = { road, at: now }
  }
}

/**
 * Which leaf of a file is asked of which source next, so that a file that many fetch at once leaves
 * its origin about once: leaves that other fetchers have come from them, the rarest first; of an
 * origin those are asked that nobody has yet, and each fetcher begins somewhere else. A fetcher that
 * is alone reads in order. Decides only; transfer.ts does.
 */
import { LeafSet } from '../../protocol/leaf-set.ts'

/** A node that gives leaves. */
export interface LeafSource {
  /** What is there; null: the whole file. */
  have: LeafSet | null
}

/**
 * A transfer to which no new leaf has come for so long, and for so many times as a leaf takes, waits
 * for nobody any more.
 */
const STALL_MS = 5_000
const STALL_LEAVES = 4
/** The same for one leaf, before it is asked of a second source that has nothing else to do. */
const STEAL_MS = 1_000
const STEAL_LEAVES = 3
/** A file of fewer leaves is there sooner than others could pass it on. */
const SHARED_LEAVES = 4
/** Weight of the newest leaf in the time that a leaf takes. */
const LEAF_WEIGHT = 0.2
/** Leaves that are compared to find a rare one. */
const SAMPLE = 24

export interface Choice {
  readonly index: number
  /** Also where the source gave it to others lately. */
  readonly insist: boolean
}

interface Request {
  readonly source: LeafSource
  readonly at: number
}

export class LeafPlan {
  readonly #missing: LeafSet
  readonly #random: () => number
  readonly #sources = new Set<LeafSource>()
  readonly #requests = new Map<number, readonly Request[]>()
  /** Leaves that were given to others, by the word of a source. */
  readonly #given: LeafSet
  /** How long a leaf takes from question to answer, smoothed; milliseconds. */
  #leafMs = 0
  #progressAt: number
  /** Nodes that may yet turn out to have something of it. */
  expected = 0
  /** Whether others are not waited for, or were in vain. */
  #isAlone: boolean

  /**
   * @param missing leaves to fetch, changed from here on
   * @param now milliseconds, of any clock that only rises
   */
  constructor(missing: LeafSet, random: () => number, now: number) {
    this.#missing = missing
    this.#given = new LeafSet(missing.count)
    this.#isAlone = missing.count < SHARED_LEAVES
    this.#random = random
    this.#progressAt = now
  }

  /** Leaves that are not here yet. */
  get left(): number {
    return this.#missing.size
  }

  needs(index: number): boolean {
    return this.#missing.has(index)
  }

  /** How long no new leaf has come, milliseconds. */
  idleFor(now: number): number {
    return now - this.#progressAt
  }

  add(source: LeafSource): void {
    this.#sources.add(source)
    if (source.have !== null) this.#isAlone = this.#missing.count < SHARED_LEAVES
  }

  remove(source: LeafSource): void {
    this.#sources.delete(source)
  }

  /** The next leaf for a source; null: none for now. */
  next(source: LeafSource, now: number): Choice | null {
    const isStalled = this.idleFor(now) >= Math.max(STALL_MS, STALL_LEAVES * this.#leafMs)
    return (
      (source.have === null ? this.#ofOrigin(source, isStalled) : this.#ofFetcher(source)) ??
      this.#stolen(source, now, isStalled)
    )
  }

  /** Note that {@link next} was followed. */
  asked(source: LeafSource, index: number, now: number): void {
    this.#requests.set(index, [...(this.#requests.get(index) ?? []), { source, at: now }])
  }

  /** A source was asked and does not give the leaf, or has given it. */
  answered(source: LeafSource, index: number): void {
    const left = (this.#requests.get(index) ?? []).filter((each) => each.source !== source)
    if (left.length > 0) this.#requests.set(index, left)
    else this.#requests.delete(index)
  }

  /** A source says which leaves were given to others. */
  given(given: LeafSet): void {
    for (let index = 0; index < given.count; index++) {
      if (given.has(index) && this.needs(index)) this.#given.add(index)
    }
  }

  /** A leaf is kept. */
  took(index: number, now: number): void {
    const [request] = this.#requests.get(index) ?? []
    const took = now - (request?.at ?? now)
    this.#leafMs += (took - this.#leafMs) * (this.#leafMs === 0 ? 1 : LEAF_WEIGHT)
    this.#missing.delete(index)
    this.#given.delete(index)
    this.#progressAt = now
  }

  #ofFetcher(source: LeafSource): Choice | null {
    let best: number | null = null
    let rarity = Number.POSITIVE_INFINITY
    let seen = 0
    for (const index of this.#open(source, true)) {
      const copies = this.#copies(index)
      if (copies < rarity) {
        best = index
        rarity = copies
      }
      if (++seen >= SAMPLE) break
    }
    return best === null ? null : { index: best, insist: true }
  }

  #ofOrigin(source: LeafSource, isStalled: boolean): Choice | null {
    const others = [...this.#sources].some(({ have }) => have !== null)
    if (!others && (isStalled || this.expected === 0)) this.#isAlone = true
    for (const index of this.#open(source, others || this.#given.size > 0)) {
      if (isStalled || this.#isAlone) return { index, insist: true }
      if (this.#copies(index) === 0 && !this.#given.has(index)) return { index, insist: false }
    }
    return null
  }

  /** Missing leaves that a source has and that nobody is asked for. */
  *#open({ have }: LeafSource, isAnywhere: boolean): Generator<number> {
    const { count } = this.#missing
    const first = isAnywhere ? Math.floor(this.#random() * count) : 0
    for (let n = 0; n < count; n++) {
      const index = (first + n) % count
      if (!this.#missing.has(index) || this.#requests.has(index)) continue
      if (have === null || have.has(index)) yield index
    }
  }

  /** Fetchers that have a leaf. */
  #copies(index: number): number {
    let copies = 0
    for (const { have } of this.#sources) if (have?.has(index)) copies++
    return copies
  }

  /** What a slow source was asked for. An origin takes no part while fetchers have it. */
  #stolen(source: LeafSource, now: number, isStalled: boolean): Choice | null {
    const patience = Math.max(STEAL_MS, STEAL_LEAVES * this.#leafMs)
    for (const [index, [first, second]] of this.#requests) {
      if (first === undefined || second !== undefined || first.source === source) continue
      if (now - first.at < patience || !this.#missing.has(index)) continue
      const has =
        source.have === null ? isStalled || this.#copies(index) === 0 : source.have.has(index)
      if (has) return { index, insist: true }
    }
    return null
  }
}

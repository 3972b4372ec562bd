/**
 * Replicas: which nodes say that they hold which models in full, their signed statements, and how
 * many institutions that makes. docs/protocol.md, "Holdings".
 *
 * A statement is the word of its node. Copies are counted by publisher, once each, of those that are
 * listed here only: whoever lies adds one, however many nodes it runs.
 */
import type { Cid } from '../protocol/cid.ts'
import { accept, refuse, type Verdict } from '../protocol/errors.ts'
import { peekHoldings, readHoldings, type StatedHoldings } from '../protocol/holdings.ts'
import type { Identity } from '../protocol/identity.ts'
import { MAX_HOLDINGS_NODES } from '../protocol/limits.ts'
import { isNewer } from '../protocol/sync-holdings.ts'
import type { HoldingsState } from '../protocol/sync-item.ts'
import type { Catalogue, HoldingsRow, KeyId } from './catalogue.ts'
import type { Clock } from './clock.ts'
import type { TrustPolicy } from './trust.ts'

/** Most models that all nodes together are known to hold: some 30 MB of memory. */
export const MAX_KNOWN_HOLDINGS = 1_000_000

/** How long the word of a publisher does not count for a model that its node did not give. */
export const DOUBT_MS = 24 * 3600 * 1000
/** Most words that are doubted at once, the oldest go first: who lies more lies to no purpose. */
export const MAX_DOUBTS = 10_000

export interface ReplicasParts {
  readonly catalogue: Catalogue
  readonly identity: (publisher: Cid) => Identity | null
  readonly policy: () => TrustPolicy
  readonly clock: Clock
  /** Default {@link MAX_KNOWN_HOLDINGS}. */
  readonly maxKnown?: number
}

/** One model, and how many nodes of each publisher say they hold it. */
interface Copies {
  readonly record: Cid
  readonly nodes: Map<Cid, number>
}

export class Replicas {
  readonly #parts: ReplicasParts
  /** By publisher, then key. */
  readonly #stated = new Map<Cid, Map<KeyId, StatedHoldings>>()
  readonly #copies = new Map<Cid, Copies>()
  /** Models that all nodes together name. */
  #named = 0
  /** Until when the word of a publisher for a model does not count, milliseconds. */
  readonly #doubts = new Map<string, number>()

  constructor(parts: ReplicasParts) {
    this.#parts = parts
  }

  /** Takes in what was kept; what has run out meanwhile goes. @throws ZoariumError STORE, DISK_FULL */
  load(): void {
    const { catalogue } = this.#parts
    for (const row of catalogue.holdings()) {
      const read = this.#read(row.publisher, row.current, row.base)
      if (read.ok) this.#set(read.value)
      else catalogue.dropHoldings(row.publisher, row.key)
    }
  }

  /**
   * Takes in the newest statement of a node; the one that it changes may be here already.
   * Fails like `readHoldings` of holdings.ts, with NOT_FOUND of an unknown publisher, TRUST of one
   * that is not listed, GAP without the base, and QUOTA.
   * @throws ZoariumError STORE, DISK_FULL
   */
  admit(
    current: Uint8Array,
    base: Uint8Array | null,
  ): Verdict<{ readonly publisher: Cid; readonly isNew: boolean }> {
    const peeked = peekHoldings(current)
    if (!peeked.ok) return peeked
    const { publisher, key } = peeked.value
    if (!this.#parts.policy().may(publisher, 'list')) {
      return refuse('TRUST', 'a node of a publisher that is not listed here', { field: publisher })
    }
    const before = this.#stated.get(publisher)?.get(key) ?? null
    const wanted = peeked.value.base
    const known = wanted === null ? null : (base ?? statementOf(before, wanted))
    if (wanted !== null && known === null) {
      return refuse('GAP', 'the statement that this one changes is not here', { got: wanted })
    }
    const read = this.#read(publisher, current, known)
    if (!read.ok) return read
    const { holdings, id, models } = read.value
    const next = { issued: holdings.issued, tip: id }
    if (before !== null && !isNewer(next, { issued: before.holdings.issued, tip: before.id })) {
      return accept({ publisher, isNew: false })
    }
    const nodes = this.#stated.get(publisher)?.size ?? 0
    if (before === null && nodes >= MAX_HOLDINGS_NODES) {
      return refuse('QUOTA', 'more nodes of one publisher than are counted', {
        field: publisher,
        limit: MAX_HOLDINGS_NODES,
      })
    }
    const named = this.#named - (before?.models.size ?? 0) + models.size
    const { maxKnown = MAX_KNOWN_HOLDINGS } = this.#parts
    if (named > maxKnown) {
      return refuse('QUOTA', 'more holdings than are kept', {
        limit: maxKnown,
        got: named,
      })
    }
    this.#parts.catalogue.putHoldings(rowOf(read.value))
    this.#set(read.value)
    return accept({ publisher, isNew: true })
  }

  #read(publisher: Cid, current: Uint8Array, base: Uint8Array | null): Verdict<StatedHoldings> {
    const identity = this.#parts.identity(publisher)
    if (identity === null) {
      return refuse('NOT_FOUND', 'nothing is known of that publisher', { got: publisher })
    }
    return readHoldings(current, base, identity, this.#parts.clock.now())
  }

  #set(stated: StatedHoldings): void {
    const { publisher, key } = stated.holdings
    const nodes = this.#stated.get(publisher) ?? new Map<KeyId, StatedHoldings>()
    this.#stated.set(publisher, nodes)
    const before = nodes.get(key)?.models ?? new Set<Cid>()
    for (const record of stated.models) {
      if (!before.has(record)) this.#count(record, publisher, 1)
    }
    for (const record of before) {
      if (!stated.models.has(record)) this.#count(record, publisher, -1)
    }
    this.#named += stated.models.size - before.size
    nodes.set(key, stated)
  }

  #count(record: Cid, publisher: Cid, change: 1 | -1): void {
    const copies = this.#copies.get(record) ?? { record, nodes: new Map<Cid, number>() }
    this.#copies.set(record, copies)
    const nodes = (copies.nodes.get(publisher) ?? 0) + change
    if (nodes > 0) copies.nodes.set(publisher, nodes)
    else copies.nodes.delete(publisher)
    if (copies.nodes.size === 0) this.#copies.delete(record)
  }

  #drop(publisher: Cid, key: KeyId): void {
    const nodes = this.#stated.get(publisher)
    const stated = nodes?.get(key)
    if (nodes === undefined || stated === undefined) return
    this.#parts.catalogue.dropHoldings(publisher, key)
    for (const record of stated.models) this.#count(record, publisher, -1)
    this.#named -= stated.models.size
    nodes.delete(key)
    if (nodes.size === 0) this.#stated.delete(publisher)
  }

  /**
   * Lets go of what does not hold any more: it has run out, its key was revoked, or its publisher is
   * not listed.
   * @returns the publishers of which something went; @throws ZoariumError STORE, DISK_FULL
   */
  review(only: Cid | null = null): readonly Cid[] {
    const gone = new Set<Cid>()
    const publishers = only === null ? [...this.#stated.keys()] : [only]
    for (const publisher of publishers) {
      const isListed = this.#parts.policy().may(publisher, 'list')
      for (const [key, { current, base }] of [...(this.#stated.get(publisher) ?? [])]) {
        if (isListed && this.#read(publisher, current, base).ok) continue
        this.#drop(publisher, key)
        gone.add(publisher)
      }
    }
    return [...gone]
  }

  /** Publishers, but one, whose nodes say that they hold a model, and are not doubted; in order. */
  holders(record: Cid, but: Cid | null = null): readonly Cid[] {
    const publishers = this.#copies.get(record)?.nodes.keys() ?? []
    return [...publishers].filter((each) => each !== but && !this.#isDoubted(each, record)).sort()
  }

  /** A node of a publisher did not give what it says it holds: that does not count for a while. */
  doubt(publisher: Cid, record: Cid): void {
    const now = this.#parts.clock.now()
    for (const [each, until] of this.#doubts) if (until <= now) this.#doubts.delete(each)
    this.#doubts.set(`${publisher} ${record}`, now + DOUBT_MS)
    for (const oldest of this.#doubts.keys()) {
      if (this.#doubts.size <= MAX_DOUBTS) break
      this.#doubts.delete(oldest)
    }
  }

  #isDoubted(publisher: Cid, record: Cid): boolean {
    return (this.#doubts.get(`${publisher} ${record}`) ?? 0) > this.#parts.clock.now()
  }

  /** Whether the node of a PeerId says that it holds a model. */
  isSaidBy(peer: string, record: Cid): boolean {
    return this.nodes().some(({ holdings, models }) => holdings.peer === peer && models.has(record))
  }

  /** What a node says, or null. */
  node(publisher: Cid, key: KeyId): StatedHoldings | null {
    return this.#stated.get(publisher)?.get(key) ?? null
  }

  /** What the nodes of a publisher (null: of all) say, by publisher, then key. */
  nodes(of: Cid | null = null): readonly StatedHoldings[] {
    const publishers = of === null ? [...this.#stated.keys()].sort() : [of]
    return publishers.flatMap((publisher) =>
      [...(this.#stated.get(publisher)?.entries() ?? [])]
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([, stated]) => stated),
    )
  }

  /** The same as sync sees it. */
  states(publisher: Cid): readonly HoldingsState[] {
    return this.nodes(publisher).map(({ holdings, id }) => {
      const { key, issued, expires, base } = holdings
      return { key, id, full: base ?? id, issued, expires }
    })
  }
}

/** A statement of a node that names all and has an id: the newest one, or the one that it changes. */
function statementOf(stated: StatedHoldings | null, id: Cid): Uint8Array | null {
  if (stated === null) return null
  return stated.id === id ? stated.current : stated.holdings.base === id ? stated.base : null
}

const rowOf = ({ holdings, current, base }: StatedHoldings): HoldingsRow => ({
  publisher: holdings.publisher,
  key: holdings.key,
  current,
  base,
})

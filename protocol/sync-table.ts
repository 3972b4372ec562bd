/**
 * The items of all publishers in memory, and the sets that are made of them for one peer or another.
 * What changes is read anew, one publisher at a time; what is equal costs a peer no more than a
 * comparison.
 */
import type { Cid } from './cid.ts'
import { entriesOf, type SetEntry, type StateSource } from './sync-item.ts'
import { type HoldingsItem, isHoldings } from './sync-message.ts'
import { digestOfPublishers, textOf } from './sync-publishers.ts'
import { SyncSet } from './sync-set.ts'
import type { LogName, MayRead } from './sync-source.ts'

/** Sets that are kept, those used longest ago go first: 80 peers, of which most see the same. */
const MAX_SETS = 64

interface KeptSet {
  readonly publishers: ReadonlySet<Cid>
  readonly isHidden: (entry: SetEntry) => boolean
  /** Publishers whose items have changed since. */
  readonly stale: Set<Cid>
  set: SyncSet
}

export class SyncTable {
  readonly #source: StateSource
  readonly #rows = new Map<Cid, readonly SetEntry[]>()
  /** Of logs, by their ids. */
  readonly #logs = new Map<string, SetEntry>()
  /** Of holdings, likewise. */
  readonly #nodes = new Map<string, HoldingsItem>()
  readonly #private = new Map<string, SetEntry>()
  readonly #sets = new Map<string, KeptSet>()
  /** The newest head that counts and the oldest that does not yet, by `issued`. */
  #newestHead = 0
  #nextHead = Number.POSITIVE_INFINITY

  constructor(source: StateSource) {
    this.#source = source
  }

  /** The chain of a publisher or a log of it may be another one now. */
  changed(publisher: Cid): void {
    const rows = this.#rows.get(publisher)
    if (rows === undefined) return
    this.#rows.delete(publisher)
    for (const { id } of rows) {
      this.#logs.delete(id)
      this.#nodes.delete(id)
      this.#private.delete(id)
    }
    for (const { publishers, stale } of this.#sets.values()) {
      if (publishers.has(publisher)) stale.add(publisher)
    }
  }

  /** Anything may be other than before. */
  forget(): void {
    for (const each of [this.#rows, this.#logs, this.#nodes, this.#private, this.#sets])
      each.clear()
    this.#newestHead = 0
    this.#nextHead = Number.POSITIVE_INFINITY
  }

  /** The items of publishers, but of private logs that may not be read. */
  set(publishers: readonly Cid[], mayRead: MayRead): SyncSet {
    this.#heedClock()
    for (const each of publishers) this.#read(each)
    const hidden = new Set<string>()
    for (const { id, item } of this.#private.values()) {
      // SAFE: only logs are private.
      if (!mayRead(item.publisher, item.key as string)) hidden.add(id)
    }
    const name = `${textOf(digestOfPublishers(publishers))} ${[...hidden].sort().join()}`
    const kept = this.#sets.get(name)
    this.#sets.delete(name)
    const found = kept ?? {
      publishers: new Set(publishers),
      isHidden: ({ id }: SetEntry) => hidden.has(id),
      stale: new Set(publishers),
      set: new SyncSet([]),
    }
    this.#sets.set(name, found)
    for (const oldest of this.#sets.keys()) {
      if (this.#sets.size <= MAX_SETS) break
      this.#sets.delete(oldest)
    }
    if (found.stale.size > 0) this.#renew(found)
    return found.set
  }

  /** The log with an id, of a publisher whose items were asked for since they changed. */
  log(id: string): LogName | null {
    const item = this.#logs.get(id)?.item
    // SAFE: only logs are there.
    return item === undefined ? null : { publisher: item.publisher, key: item.key as string }
  }

  /** The node whose holdings have an id, likewise. */
  node(id: string): LogName | null {
    const item = this.#nodes.get(id)
    return item === undefined ? null : { publisher: item.publisher, key: item.key }
  }

  #read(publisher: Cid): readonly SetEntry[] {
    const known = this.#rows.get(publisher)
    if (known !== undefined) return known
    const rows = entriesOf(this.#source, publisher)
    this.#rows.set(publisher, rows)
    for (const entry of rows) {
      if (isHoldings(entry.item)) this.#nodes.set(entry.id, entry.item)
      else if (entry.item.key !== null) this.#logs.set(entry.id, entry)
      if (entry.isPrivate) this.#private.set(entry.id, entry)
    }
    const horizon = this.#source.horizon()
    for (const { headIssued } of this.#source.logs(publisher)) {
      if (headIssued <= horizon) this.#newestHead = Math.max(this.#newestHead, headIssued)
      else this.#nextHead = Math.min(this.#nextHead, headIssued)
    }
    return rows
  }

  /** Heads count, or count no more, because the clock has moved on or was set back. */
  #heedClock(): void {
    const horizon = this.#source.horizon()
    if (horizon < this.#newestHead || horizon >= this.#nextHead) this.forget()
  }

  /** Puts what has changed in the place of what was. */
  #renew(kept: KeptSet): void {
    const { stale, isHidden } = kept
    const left = kept.set.entries.filter(({ item }) => !stale.has(item.publisher))
    const fresh = [...stale].flatMap((each) => this.#read(each)).filter((each) => !isHidden(each))
    stale.clear()
    kept.set = new SyncSet(merge(left, fresh.sort(byId)))
  }
}

const byId = (a: SetEntry, b: SetEntry): number => (a.id < b.id ? -1 : 1)

/** Two ordered lists as one. */
function merge(a: readonly SetEntry[], b: readonly SetEntry[]): readonly SetEntry[] {
  const all: SetEntry[] = []
  let at = 0
  for (const entry of b) {
    for (let next = a[at]; next !== undefined && byId(next, entry) < 0; next = a[++at]) {
      all.push(next)
    }
    all.push(entry)
  }
  for (; at < a.length; at++) all.push(a[at] as SetEntry)
  return all
}

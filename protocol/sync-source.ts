/** What sync reads of a node: all of it, or what one peer may see. */
import type { Cid } from './cid.ts'
import type { Position, RecordHeader } from './record.ts'
import type { StateSource } from './sync-item.ts'
import type { SyncSet } from './sync-set.ts'

export interface PlainRecord {
  readonly envelope: Uint8Array
  /** The card of a model record; null for other kinds and where it was erased. */
  readonly card: Uint8Array | null
}

export interface LogName {
  readonly publisher: Cid
  readonly key: string
}

export type MayRead = (publisher: Cid, key: string) => boolean

/** What this node holds, read by both sides of an exchange. */
export interface SyncSource extends StateSource {
  /** Publishers with the right `list` or more, in any order. */
  publishers(): readonly Cid[]
  /** Items of publishers; of private logs those that may be read, default: all. */
  set(publishers: readonly Cid[], mayRead?: MayRead): SyncSet
  /** The log whose item has that id, in a set that was asked for just now. */
  logOf(id: string): LogName | null
  /** Operations of the other branch of a forked chain, the first of them with number `from`. */
  rival(
    publisher: Cid,
  ): { readonly from: number; readonly operations: readonly Uint8Array[] } | null
  /** Operations from number `from`, at most `limit`. */
  identityOps(publisher: Cid, from: number, limit: number): readonly Uint8Array[]
  profile(publisher: Cid): Uint8Array | null
  /** Standing rosters of that record id or issuer, and the file of the only one. */
  rosters(of: Cid): { readonly records: readonly Cid[]; readonly car: Uint8Array | null }
  /** Records of a log after a position (null: from the start), at most `limit`, ascending. */
  recordsAfter(
    publisher: Cid,
    key: string,
    after: Position | null,
    limit: number,
  ): Iterable<PlainRecord>
  /** The record at a position with its id, or null. */
  recordAt(
    publisher: Cid,
    key: string,
    position: Position,
  ): (PlainRecord & { readonly id: Cid }) | null
  /** Model records that are here without their cards, though they are not erased. */
  cardless(): readonly RecordHeader[]
  head(publisher: Cid, key: string): Uint8Array | null
  /** The newest statement of holdings of the node whose item has that id, with the one it changes. */
  stated(id: string): { readonly current: Uint8Array; readonly base: Uint8Array | null } | null
  proof(publisher: Cid, key: string): readonly [Uint8Array, Uint8Array] | null
}

/** What of a source may be read, by log; all else is as if it were not there. */
export function restrict(source: SyncSource, mayRead: MayRead): SyncSource {
  return {
    publishers: () => source.publishers(),
    set: (publishers) => source.set(publishers, mayRead),
    logOf(id) {
      const log = source.logOf(id)
      return log !== null && mayRead(log.publisher, log.key) ? log : null
    },
    chain: (publisher) => source.chain(publisher),
    horizon: () => source.horizon(),
    identityOps: (publisher, from, limit) => source.identityOps(publisher, from, limit),
    rival: (publisher) => source.rival(publisher),
    profile: (publisher) => source.profile(publisher),
    // Only those that are for everybody.
    rosters: (of) => source.rosters(of),
    // They name models that are for everybody, and no others.
    holdings: (publisher) => source.holdings(publisher),
    stated: (id) => source.stated(id),
    logs: (publisher) => source.logs(publisher).filter(({ key }) => mayRead(publisher, key)),
    recordsAfter: (publisher, key, after, limit) =>
      mayRead(publisher, key) ? source.recordsAfter(publisher, key, after, limit) : [],
    recordAt: (publisher, key, position) =>
      mayRead(publisher, key) ? source.recordAt(publisher, key, position) : null,
    cardless: () => source.cardless().filter(({ publisher, key }) => mayRead(publisher, key)),
    head: (publisher, key) => (mayRead(publisher, key) ? source.head(publisher, key) : null),
    proof: (publisher, key) => (mayRead(publisher, key) ? source.proof(publisher, key) : null),
  }
}

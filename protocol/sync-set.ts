/**
 * The set that two nodes reconcile: one item for each identity chain and each log of the publishers
 * that both sides list, in one order, with fingerprints. docs/protocol.md, "Sync".
 */
import { compareText } from './bytes.ts'
import type { Cid } from './cid.ts'
import { sha256 } from './crypto.ts'
import type { SyncItem, SyncRange } from './message.ts'
import type { Position, RecordHeader } from './record.ts'

const DAY_MS = 24 * 3600 * 1000

/** A log as sync sees it. */
export interface LogState extends Position {
  readonly key: string
  readonly tip: Cid
  /** `issued` of the newest head, milliseconds; 0 without one. */
  readonly headIssued: number
  /** Whether two records are known to stand at one position of it. */
  readonly isForked: boolean
}

/** An identity chain as sync sees it. */
export interface ChainState {
  readonly length: number
  readonly tip: Cid
  /** Whether two branches are known, and neither has won. */
  readonly isContested: boolean
}

export interface PlainRecord {
  readonly envelope: Uint8Array
  /** The card of a model record; null for other kinds and where it was erased. */
  readonly card: Uint8Array | null
}

/** What this node holds, read by both sides of an exchange. */
export interface SyncSource {
  /** Publishers with the right `list` or more, in any order. */
  publishers(): readonly Cid[]
  /** The identity chain, or null where nothing is known of it. */
  chain(publisher: Cid): ChainState | null
  /** Operations of the other branch of a forked chain, the first of them with number `from`. */
  rival(
    publisher: Cid,
  ): { readonly from: number; readonly operations: readonly Uint8Array[] } | null
  logs(publisher: Cid): readonly LogState[]
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
  proof(publisher: Cid, key: string): readonly [Uint8Array, Uint8Array] | null
}

/** What of a source may be read, by log; all else is as if it were not there. */
export function restrict(
  source: SyncSource,
  mayRead: (publisher: Cid, key: string) => boolean,
): SyncSource {
  return {
    publishers: () => source.publishers(),
    chain: (publisher) => source.chain(publisher),
    identityOps: (publisher, from, limit) => source.identityOps(publisher, from, limit),
    rival: (publisher) => source.rival(publisher),
    profile: (publisher) => source.profile(publisher),
    // Only those that are for everybody.
    rosters: (of) => source.rosters(of),
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

/** Where an item stands in the sorted set. */
export const placeOf = (item: SyncItem): string =>
  item.key === null ? item.publisher : `${item.publisher}/${item.key}`

/** The line of an item, over which fingerprints are taken. */
export const lineOf = (item: SyncItem): string =>
  `${placeOf(item)} ${item.epoch} ${item.seq} ${item.tip ?? '-'} ${item.day} ${item.forked ? 1 : 0}\n`

const utf8 = new TextEncoder()

/** SHA-256 over the lines of sorted items. */
export const fingerprintOf = (items: readonly SyncItem[]): Uint8Array =>
  sha256(utf8.encode(items.map(lineOf).join('')))

/** SHA-256 over a publisher set: its ids in order, each with a line feed. */
export const digestOfPublishers = (publishers: readonly Cid[]): Uint8Array =>
  sha256(
    utf8.encode(
      [...publishers]
        .sort()
        .map((each) => `${each}\n`)
        .join(''),
    ),
  )

/** A digest as text, for comparing. */
export const textOf = (digest: Uint8Array): string => digest.join()

/** All items of some publishers, sorted. */
export function itemsOf(source: SyncSource, publishers: readonly Cid[]): readonly SyncItem[] {
  const items: SyncItem[] = []
  for (const publisher of publishers) {
    const chain = source.chain(publisher)
    if (chain === null) continue
    items.push(chainItem(publisher, chain))
    for (const log of source.logs(publisher)) items.push(itemOf(publisher, log))
  }
  return items.sort((a, b) => compareText(placeOf(a), placeOf(b)))
}

/** Nodes follow different branches of a contested chain; its item says no more than that. */
function chainItem(publisher: Cid, { length, tip, isContested }: ChainState): SyncItem {
  const common = { publisher, key: null, epoch: 0, day: 0 }
  return isContested
    ? { ...common, seq: 0, tip: null, forked: true }
    : { ...common, seq: length, tip, forked: false }
}

/**
 * Nodes hold different branches of a forked log, and may hold different proofs of it: its item
 * says no more than that it forked, or their exchanges would never come to rest.
 */
function itemOf(publisher: Cid, log: LogState): SyncItem {
  const { key, epoch, seq, tip, isForked } = log
  if (isForked) return { publisher, key, epoch: 0, seq: 0, tip: null, day: 0, forked: true }
  const day = Math.floor(log.headIssued / DAY_MS)
  return { publisher, key, epoch, seq, tip, day, forked: false }
}

type Bounds = Pick<SyncRange, 'from' | 'until'>

export const isWithin = (place: string, { from, until }: Bounds): boolean =>
  place >= from && (until === null || place < until)

export const within = (items: readonly SyncItem[], bounds: Bounds): readonly SyncItem[] =>
  items.filter((item) => isWithin(placeOf(item), bounds))

export const intersection = (a: readonly Cid[], b: readonly Cid[]): readonly Cid[] => {
  const set = new Set(b)
  return a.filter((each) => set.has(each))
}

/**
 * Items of the set that two nodes reconcile: one for each identity chain, each log, and the holdings
 * of each node.
 * docs/protocol.md, "Sync".
 */
import { toHex } from './bytes.ts'
import type { Cid } from './cid.ts'
import { sha256 } from './crypto.ts'
import type { Position } from './record.ts'
import { type AnyItem, type HoldingsItem, isHoldings, type SyncItem } from './sync-message.ts'

const DAY_MS = 24 * 3600 * 1000
const ID_BYTES = 16

/** A log as sync sees it. */
export interface LogState extends Position {
  readonly key: string
  readonly tip: Cid
  /** `issued` of the newest head, milliseconds; 0 without one. */
  readonly headIssued: number
  /** Whether two records are known to stand at one position of it. */
  readonly isForked: boolean
  /** Whether it is for an audience only. */
  readonly isPrivate: boolean
}

/** An identity chain as sync sees it. */
export interface ChainState {
  readonly length: number
  readonly tip: Cid
  /** Whether two branches are known, and neither has won. */
  readonly isContested: boolean
}

/** What a node says it holds, as sync sees it. */
export interface HoldingsState {
  readonly key: string
  /** The newest statement. */
  readonly id: Cid
  /** The statement that names all: this one, or the one that it changes. */
  readonly full: Cid
  /** Milliseconds. */
  readonly issued: number
  readonly expires: number
}

/** An item with what it is compared by. */
export interface SetEntry {
  readonly item: AnyItem
  readonly isPrivate: boolean
  /** 32 hex digits; orders the set. */
  readonly id: string
  /** SHA-256 of its line. */
  readonly hash: Uint8Array
}

/** What an item is of: a chain by its publisher, a log by publisher and key. */
export const placeOf = ({ publisher, key }: Pick<SyncItem, 'publisher' | 'key'>): string =>
  key === null ? publisher : `${publisher}/${key}`

/** The same of holdings: by publisher and key of the node. */
const placeOfHoldings = ({ publisher, key }: Pick<HoldingsItem, 'publisher' | 'key'>): string =>
  `${publisher}/${key}/holdings`

/** The line of an item, which its hash is of. */
export function lineOf(item: AnyItem): string {
  if (isHoldings(item)) {
    return `${placeOfHoldings(item)} ${item.issued} ${item.expires} ${item.tip}\n`
  }
  return `${placeOf(item)} ${item.epoch} ${item.seq} ${item.tip ?? '-'} ${item.day} ${item.forked ? 1 : 0}\n`
}

const utf8 = new TextEncoder()

/** The id of an item: publishers cannot choose it, so that the parts of a set are of one size. */
export const idOf = (item: Pick<SyncItem, 'publisher' | 'key'>): string => idAt(placeOf(item))

/** The same of holdings. */
export const idOfHoldings = (item: Pick<HoldingsItem, 'publisher' | 'key'>): string =>
  idAt(placeOfHoldings(item))

/** The id of any item. */
export const idOfItem = (item: AnyItem): string =>
  isHoldings(item) ? idOfHoldings(item) : idOf(item)

const idAt = (place: string): string => toHex(sha256(utf8.encode(place)).subarray(0, ID_BYTES))

const entryOf = (item: AnyItem, isPrivate: boolean): SetEntry => ({
  item,
  isPrivate,
  id: idOfItem(item),
  hash: sha256(utf8.encode(lineOf(item))),
})

/** What items are made of. */
export interface StateSource {
  /** The identity chain, or null where nothing is known of it. */
  chain(publisher: Cid): ChainState | null
  logs(publisher: Cid): readonly LogState[]
  /** What nodes of the publisher say they hold. */
  holdings(publisher: Cid): readonly HoldingsState[]
  /** Heads that were issued later than this do not count, milliseconds. */
  horizon(): number
}

/** The items of a publisher, in no order. */
export function entriesOf(source: StateSource, publisher: Cid): readonly SetEntry[] {
  const chain = source.chain(publisher)
  if (chain === null) return []
  const horizon = source.horizon()
  return [
    entryOf(chainItem(publisher, chain), false),
    ...source
      .logs(publisher)
      .map((log) => entryOf(logItem(publisher, log, horizon), log.isPrivate)),
    ...source
      .holdings(publisher)
      .map(({ key, id: tip, issued, expires }) =>
        entryOf({ publisher, key, issued, expires, tip }, false),
      ),
  ]
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
function logItem(publisher: Cid, log: LogState, horizon: number): SyncItem {
  const { key, epoch, seq, tip, isForked, headIssued } = log
  if (isForked) return { publisher, key, epoch: 0, seq: 0, tip: null, day: 0, forked: true }
  const day = headIssued > horizon ? 0 : Math.floor(headIssued / DAY_MS)
  return { publisher, key, epoch, seq, tip, day, forked: false }
}

/**
 * Messages of `/zoarium/sync/1`. docs/protocol.md, "Sync".
 *
 * What there may be hundreds of in one message (items, ranges, records) travels as lists without
 * names.
 */
import { accept, refuse } from './errors.ts'
import {
  MAX_CARD_BYTES,
  MAX_HOLDINGS_BYTES,
  MAX_IDENTITY_OP_BYTES,
  MAX_IDENTITY_OPS,
  MAX_IDENTITY_PAGE,
  MAX_RANGE_MARKS,
  MAX_ROSTER_CAR_BYTES,
  MAX_SYNC_HOLDINGS,
  MAX_SYNC_ITEMS,
  MAX_SYNC_LOGS,
  MAX_SYNC_PUBLISHERS,
  MAX_SYNC_RANGES,
  MAX_SYNC_RECORDS,
  MAX_SYNC_ROSTERS,
} from './limits.ts'
import { count, digest, FAILURE, messages, recordEnvelope, statement } from './message.ts'
import {
  bool,
  bytes,
  int,
  itemId,
  key,
  link,
  list,
  map,
  nullable,
  row,
  type Shape,
  type ShapeOf,
  statementId,
  text,
  word,
} from './shape.ts'

const SIGNATURE_BYTES = 64
/** Bytes of a mark, by which a range or an item is compared with that of the other side. */
export const MARK_BYTES = 6
/** Parts into which a range is split: one for each hex digit that may follow. */
export const SPLIT = 16
export const SALT_BYTES = 16

/** A chain (`key` null; `seq` its length, `tip` its newest operation) or a log, in a set. */
const ITEM = row({
  publisher: statementId,
  key: nullable(key),
  epoch: count,
  seq: count,
  /** Newest operation or record; null in a forked log, whose other numbers are 0. */
  tip: nullable(statementId),
  /** Days since 1970 of the newest head, 0 without one. */
  day: int(0, 1e8),
  /** Whether a proof is known that the log forked. */
  forked: bool,
})
export type SyncItem = ShapeOf<typeof ITEM>

/** The holdings of a node, in a set; told from the others by its length. */
const HOLDINGS_ITEM = row({
  publisher: statementId,
  key,
  issued: count,
  expires: count,
  /** The statement. */
  tip: statementId,
})
export type HoldingsItem = ShapeOf<typeof HOLDINGS_ITEM>
export type AnyItem = SyncItem | HoldingsItem

export const isHoldings = (item: AnyItem): item is HoldingsItem => 'issued' in item

const HOLDINGS_FIELDS = 5

const ANY_ITEM: Shape<AnyItem> = {
  read: (value, field) =>
    Array.isArray(value) && value.length === HOLDINGS_FIELDS
      ? HOLDINGS_ITEM.read(value, field)
      : ITEM.read(value, field),
  write: (item) => (isHoldings(item) ? HOLDINGS_ITEM.write(item) : ITEM.write(item)),
}

/** Items whose ids begin with these hex digits; '' are all. */
const range = text(32, /^[0-9a-f]*$/)

/** A list by range, in order, none of them within another. */
function byRange<T>(item: Shape<T>, nameOf: (item: T) => string): Shape<readonly T[]> {
  const shape = list(item, MAX_SYNC_RANGES)
  return {
    read(value, field) {
      const read = shape.read(value, field)
      if (!read.ok) return read
      const names = read.value.map(nameOf)
      const at = names.findIndex((name, n) => {
        const before = names[n - 1]
        return before !== undefined && (name <= before || name.startsWith(before))
      })
      if (at < 0) return read
      const message = 'ranges overlap or are not in order'
      return refuse('RECORD_INVALID', message, { field: `${field}[${at}]` })
    },
    write: shape.write,
  }
}

/** What the asker holds in a range: the marks of its items, in order. */
const HELD = row({ range, marks: bytes(0, MAX_RANGE_MARKS * MARK_BYTES) })

const AFTER = row({ epoch: count, seq: count, tip: statementId })

/** An envelope alone, or a list of it and its card. */
const RECORD: Shape<{ readonly envelope: Uint8Array; readonly card: Uint8Array | null }> = {
  read(value, field) {
    if (Array.isArray(value)) return WITH_CARD.read(value, field)
    const envelope = recordEnvelope.read(value, field)
    return envelope.ok ? accept({ envelope: envelope.value, card: null }) : envelope
  },
  write: ({ envelope, card }) => (card === null ? envelope : [envelope, card]),
}
const WITH_CARD = row({ envelope: recordEnvelope, card: bytes(0, MAX_CARD_BYTES) })

const PAGE = row({
  records: list(RECORD, MAX_SYNC_RECORDS),
  /** The log's newest signed head, with its last page only. */
  head: nullable(statement),
  /** Whether the log goes on. */
  more: bool,
})
export type LogPage = ShapeOf<typeof PAGE>

const holdings = bytes(SIGNATURE_BYTES, MAX_HOLDINGS_BYTES + SIGNATURE_BYTES)
/** The newest statement of a node, with the one that it changes where the asker lacks that. */
const STATED = row({ current: nullable(holdings), base: nullable(holdings) })
export type StatedReply = ShapeOf<typeof STATED>

const SYNC_REQUESTS = {
  open: map({
    t: word('open'),
    /** Digest of the sender's publishers. */
    mine: digest,
    /** Digest of the receiver's publishers as the sender last saw them. */
    yours: nullable(digest),
    /** The sender's publishers; null where the receiver has seen them. */
    publishers: nullable(list(link, MAX_SYNC_PUBLISHERS)),
    /** Of all items of publishers that both list, as far as the sender knows. */
    fingerprint: digest,
  }),
  split: map({
    t: word('split'),
    salt: bytes(SALT_BYTES, SALT_BYTES),
    ranges: byRange(range, (name) => name),
  }),
  compare: map({
    t: word('compare'),
    salt: bytes(SALT_BYTES, SALT_BYTES),
    ranges: byRange(HELD, (held) => held.range),
    /** The last item that was answered; null: from the first. */
    after: nullable(itemId),
  }),
  'get-identity': map({ t: word('get-identity'), publisher: link, from: int(0, MAX_IDENTITY_OPS) }),
  'get-rival': map({ t: word('get-rival'), publisher: link }),
  'get-profile': map({ t: word('get-profile'), publisher: link }),
  'get-proof': map({ t: word('get-proof'), publisher: link, key }),
  'get-records': map({
    t: word('get-records'),
    /** With the asker's newest position and record of each; null: from the start. */
    logs: list(row({ id: itemId, after: nullable(AFTER) }), MAX_SYNC_LOGS),
    /** Of all logs together. */
    limit: int(1, MAX_SYNC_RECORDS),
  }),
  'get-holdings': map({
    t: word('get-holdings'),
    /** Nodes by their items, each with the statement that names all which the asker has of it. */
    nodes: list(row({ id: itemId, base: nullable(statementId) }), MAX_SYNC_HOLDINGS),
  }),
  /** Asks for a roster: `of` is its record, or its issuer. */
  'get-roster': map({ t: word('get-roster'), of: link }),
  done: map({
    t: word('done'),
    /** Whether the asker holds something that the answerer lacks. */
    behind: bool,
  }),
} as const

const SYNC_REPLIES = {
  state: map({
    t: word('state'),
    /** The answerer's publishers; null where the asker has seen them. */
    publishers: nullable(list(link, MAX_SYNC_PUBLISHERS)),
    /** Marks of the parts of the whole set; null: all is equal. */
    parts: nullable(bytes(SPLIT * MARK_BYTES, SPLIT * MARK_BYTES)),
  }),
  /** Marks of the parts of each range. */
  parts: map({
    t: word('parts'),
    parts: list(bytes(SPLIT * MARK_BYTES, SPLIT * MARK_BYTES), MAX_SYNC_RANGES),
  }),
  items: map({
    t: word('items'),
    /** Those whose marks the asker did not name, by id. */
    items: list(ANY_ITEM, MAX_SYNC_ITEMS),
    /** Which of the asker's marks are not here, counted over all ranges; with the last page only. */
    lacks: list(int(0, MAX_SYNC_RANGES * MAX_RANGE_MARKS - 1), MAX_SYNC_RANGES * MAX_RANGE_MARKS),
    more: bool,
  }),
  identity: map({
    t: word('identity'),
    operations: list(bytes(1, MAX_IDENTITY_OP_BYTES), MAX_IDENTITY_PAGE),
    more: bool,
  }),
  /** The branch of a forked chain that is not in `identity`; no operations: there is none. */
  rival: map({
    t: word('rival'),
    from: int(0, MAX_IDENTITY_OPS),
    operations: list(bytes(1, MAX_IDENTITY_OP_BYTES), MAX_IDENTITY_PAGE),
  }),
  profile: map({ t: word('profile'), envelope: nullable(recordEnvelope) }),
  proof: map({
    t: word('proof'),
    first: nullable(recordEnvelope),
    second: nullable(recordEnvelope),
  }),
  /** Pages of the first of the logs that were asked for; those that are left out come next time. */
  records: map({ t: word('records'), logs: list(PAGE, MAX_SYNC_LOGS) }),
  /** Of the first of the nodes that were asked for; those that are left out come next time. */
  holdings: map({ t: word('holdings'), nodes: list(STATED, MAX_SYNC_HOLDINGS) }),
  roster: map({
    t: word('roster'),
    /** Standing rosters that fit the question. */
    records: list(link, MAX_SYNC_ROSTERS),
    /** The file of the only one; null where none or several fit. */
    car: nullable(bytes(1, MAX_ROSTER_CAR_BYTES)),
  }),
  error: FAILURE,
} as const

export type SyncOpen = ShapeOf<(typeof SYNC_REQUESTS)['open']>
export type SyncRequest = ShapeOf<(typeof SYNC_REQUESTS)[keyof typeof SYNC_REQUESTS]>
export type SyncReply = ShapeOf<(typeof SYNC_REPLIES)[keyof typeof SYNC_REPLIES]>

export const syncRequests = messages(SYNC_REQUESTS)
export const syncReplies = messages(SYNC_REPLIES)

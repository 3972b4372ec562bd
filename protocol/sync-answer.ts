/** The answering side of sync, sans I/O: one request in, one reply out. docs/protocol.md, "Sync". */
import { toHex } from './bytes.ts'
import { holdingsId } from './holdings.ts'
import { MAX_FRAME_BYTES, MAX_IDENTITY_PAGE, MAX_SYNC_ITEMS, MAX_SYNC_ROSTERS } from './limits.ts'
import { failureMessage } from './message.ts'
import {
  type LogPage,
  MARK_BYTES,
  type StatedReply,
  type SyncOpen,
  type SyncReply,
  type SyncRequest,
} from './sync-message.ts'
import { commonOf, digestOfPublishers, named, type SyncMemory, textOf } from './sync-publishers.ts'
import { marksOf, type SyncSet, saltOf } from './sync-set.ts'
import type { PlainRecord, SyncSource } from './sync-source.ts'

/** Envelopes and cards of one page; the rest of the frame is for what stands around them. */
const PAGE_BYTES = MAX_FRAME_BYTES - 128 * 1024

type Request<T extends SyncRequest['t']> = Extract<SyncRequest, { readonly t: T }>

/**
 * Answers one request. `done` has no answer.
 * @param memory of the asker, changed by `open`
 */
export function answer(
  source: SyncSource,
  memory: SyncMemory,
  request: SyncRequest,
): SyncReply | null {
  switch (request.t) {
    case 'open':
      return answerOpen(source, memory, request)
    case 'split': {
      const set = setFor(source, memory)
      return { t: 'parts', parts: request.ranges.map((range) => set.parts(range, request.salt)) }
    }
    case 'compare':
      return answerCompare(setFor(source, memory), request)
    case 'get-identity': {
      const page = source.identityOps(request.publisher, request.from, MAX_IDENTITY_PAGE + 1)
      return {
        t: 'identity',
        operations: page.slice(0, MAX_IDENTITY_PAGE),
        more: page.length > MAX_IDENTITY_PAGE,
      }
    }
    case 'get-rival': {
      const { from, operations } = source.rival(request.publisher) ?? { from: 0, operations: [] }
      return { t: 'rival', from, operations: operations.slice(0, MAX_IDENTITY_PAGE) }
    }
    case 'get-profile':
      return { t: 'profile', envelope: source.profile(request.publisher) }
    case 'get-proof': {
      const proof = source.proof(request.publisher, request.key)
      return { t: 'proof', first: proof?.[0] ?? null, second: proof?.[1] ?? null }
    }
    case 'get-records':
      // All that may be asked for is in this set.
      setFor(source, memory)
      return answerRecords(source, request)
    case 'get-holdings':
      // Likewise.
      setFor(source, memory)
      return answerHoldings(source, request)
    case 'get-roster': {
      const { records, car } = source.rosters(request.of)
      return { t: 'roster', records: records.slice(0, MAX_SYNC_ROSTERS), car }
    }
    case 'done':
      return null
  }
}

/** What is here of the publishers that both list. */
const setFor = (source: SyncSource, memory: SyncMemory): SyncSet =>
  source.set(commonOf(named(source.publishers()), memory))

function answerOpen(source: SyncSource, memory: SyncMemory, open: SyncOpen): SyncReply {
  const own = named(source.publishers())
  if (open.publishers !== null) memory.theirs = open.publishers
  if (memory.theirs === null || !isDigestOf(open.mine, memory.theirs)) {
    memory.theirs = null
    return failureMessage({ code: 'PEER', message: 'publishers do not have their digest' })
  }
  const set = source.set(commonOf(own, memory))
  const isKnown = open.yours !== null && isDigestOf(open.yours, own)
  const isEqual = textOf(set.fingerprint) === textOf(open.fingerprint)
  return {
    t: 'state',
    publishers: isKnown ? null : own,
    parts: isEqual ? null : set.parts('', saltOf(open.fingerprint)),
  }
}

const isDigestOf = (digest: Uint8Array, publishers: SyncMemory['theirs'] & object): boolean =>
  textOf(digestOfPublishers(publishers)) === textOf(digest)

/** Items here that the asker did not mark, and marks of it that are not here. */
function answerCompare(set: SyncSet, { salt, ranges, after }: Request<'compare'>): SyncReply {
  const mine = ranges.flatMap(({ range }) => set.within(range))
  const marks = marksOf(salt, mine).map(toHex)
  const theirs = ranges.flatMap((each) => split(each.marks))
  const held = new Set(theirs)
  const items = mine.filter(({ id }, n) => {
    // SAFE: there is a mark for each.
    return !held.has(marks[n] as string) && (after === null || id > after)
  })
  const more = items.length > MAX_SYNC_ITEMS
  const here = new Set(marks)
  return {
    t: 'items',
    items: items.slice(0, MAX_SYNC_ITEMS).map(({ item }) => item),
    lacks: more ? [] : theirs.flatMap((mark, n) => (here.has(mark) ? [] : [n])),
    more,
  }
}

function split(marks: Uint8Array): readonly string[] {
  const each: string[] = []
  for (let at = 0; at < marks.length; at += MARK_BYTES) {
    each.push(toHex(marks.subarray(at, at + MARK_BYTES)))
  }
  return each
}

/** Of the first nodes, until there is no more room. */
function answerHoldings(source: SyncSource, { nodes }: Request<'get-holdings'>): SyncReply {
  const found: StatedReply[] = []
  let room = PAGE_BYTES
  for (const { id, base: known } of nodes) {
    const stated = source.stated(id)
    const current = stated?.current ?? null
    const isKnown = stated?.base == null || holdingsId(stated.base) === known
    const base = isKnown ? null : stated.base
    room -= (current?.length ?? 0) + (base?.length ?? 0)
    // The first one always fits.
    if (room < 0) break
    found.push({ current, base })
  }
  return { t: 'holdings', nodes: found }
}

/** What a page may still hold. */
interface Room {
  records: number
  bytes: number
}

/** Pages of the first logs, until there is no more room. */
function answerRecords(source: SyncSource, { logs, limit }: Request<'get-records'>): SyncReply {
  const room = { records: limit, bytes: PAGE_BYTES }
  const pages: LogPage[] = []
  for (const each of logs) {
    if (room.records <= 0 || room.bytes <= 0) break
    const page = pageOf(source, each, room)
    // Nothing of it fits: it comes first in the next page.
    if (page.more && page.records.length === 0) break
    pages.push(page)
    if (page.more) break
  }
  return { t: 'records', logs: pages }
}

/** @param room changed */
function pageOf(
  source: SyncSource,
  { id, after }: Request<'get-records'>['logs'][number],
  room: Room,
): LogPage {
  const log = source.logOf(id)
  if (log === null) return { records: [], head: null, more: false }
  const { publisher, key } = log
  const records: PlainRecord[] = []
  const isFirst = room.bytes === PAGE_BYTES
  /** @returns whether there was room for it */
  const add = ({ envelope, card }: PlainRecord): boolean => {
    const size = envelope.length + (card?.length ?? 0)
    if (room.records === 0 || (size > room.bytes && !(isFirst && records.length === 0)))
      return false
    room.records--
    room.bytes -= size
    records.push({ envelope, card })
    return true
  }
  const ours = after === null ? null : source.recordAt(publisher, key, after)
  if (ours !== null && ours.id !== after?.tip) {
    // Two records at one position: ours is what the asker needs to prove it.
    return { records, head: null, more: !add(ours) }
  }
  for (const record of source.recordsAfter(publisher, key, after, room.records + 1)) {
    if (!add(record)) return { records, head: null, more: true }
  }
  const head = source.head(publisher, key)
  room.bytes -= head?.length ?? 0
  return { records, head, more: false }
}

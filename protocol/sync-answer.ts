/** The answering side of sync, sans I/O: one request in, one reply out. docs/protocol.md, "Sync". */
import type { Cid } from './cid.ts'
import { MAX_FRAME_BYTES, MAX_IDENTITY_PAGE, MAX_SYNC_ITEMS, MAX_SYNC_ROSTERS } from './limits.ts'
import {
  failureMessage,
  type SyncItem,
  type SyncOpen,
  type SyncRange,
  type SyncReply,
  type SyncRequest,
} from './message.ts'
import {
  digestOfPublishers,
  fingerprintOf,
  intersection,
  itemsOf,
  type PlainRecord,
  placeOf,
  type SyncSource,
  textOf,
  within,
} from './sync-set.ts'

/** Envelopes and cards of one page; the rest of the frame is for what stands around them. */
const PAGE_BYTES = MAX_FRAME_BYTES - 128 * 1024

/** What one connection remembers of the other node between exchanges. */
export interface SyncMemory {
  /** The other node's publishers as it last named them. */
  theirs: readonly Cid[] | null
  /** Digest of our publishers as we last named them there. */
  told: string | null
  /** Records for whose cards it was asked. */
  readonly asked: Set<Cid>
}

export const createSyncMemory = (): SyncMemory => ({ theirs: null, told: null, asked: new Set() })

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
      return answerRecords(source, request)
    case 'get-roster': {
      const { records, car } = source.rosters(request.of)
      return { t: 'roster', records: records.slice(0, MAX_SYNC_ROSTERS), car }
    }
    case 'done':
      return null
  }
}

function answerOpen(source: SyncSource, memory: SyncMemory, open: SyncOpen): SyncReply {
  const own = source.publishers()
  if (open.publishers !== null) {
    if (textOf(digestOfPublishers(open.publishers)) !== textOf(open.mine)) {
      return failureMessage({ code: 'PEER', message: 'publishers do not have their digest' })
    }
    memory.theirs = open.publishers
  }
  // Without a memory of the asker's publishers all of ours are compared; it ignores the surplus.
  const common =
    memory.theirs !== null && textOf(digestOfPublishers(memory.theirs)) === textOf(open.mine)
      ? intersection(own, memory.theirs)
      : own
  const items = itemsOf(source, common)
  const known = open.yours !== null && textOf(open.yours) === textOf(digestOfPublishers(own))
  return {
    t: 'state',
    publishers: known ? null : own.slice(0, MAX_SYNC_ITEMS),
    ranges: open.ranges.flatMap((range) => compareRange(items, range)),
  }
}

/** The asker's range against ours: nothing where they are equal, else our items. */
function compareRange(items: readonly SyncItem[], range: SyncRange): SyncRange[] {
  const mine = within(items, range)
  const theirs = range.fingerprint ?? fingerprintOf(range.items ?? [])
  if (textOf(fingerprintOf(mine)) === textOf(theirs)) return []
  const page = mine.slice(0, MAX_SYNC_ITEMS)
  const next = mine[MAX_SYNC_ITEMS]
  const until = next === undefined ? range.until : placeOf(next)
  return [{ from: range.from, until, fingerprint: null, items: page }]
}

function answerRecords(
  source: SyncSource,
  request: Extract<SyncRequest, { t: 'get-records' }>,
): SyncReply {
  const { publisher, key, after, limit } = request
  const records: PlainRecord[] = []
  if (after !== null) {
    const ours = source.recordAt(publisher, key, after)
    // Two records at one position: ours is what the asker needs to prove it.
    if (ours !== null && ours.id !== after.tip) {
      const { envelope, card } = ours
      return { t: 'records', records: [{ envelope, card }], head: null, more: false }
    }
  }
  let bytes = 0
  for (const { envelope, card } of source.recordsAfter(publisher, key, after, limit + 1)) {
    const size = envelope.length + (card?.length ?? 0)
    if (records.length === limit || (records.length > 0 && bytes + size > PAGE_BYTES)) {
      return { t: 'records', records, head: null, more: true }
    }
    records.push({ envelope, card })
    bytes += size
  }
  return { t: 'records', records, head: source.head(publisher, key), more: false }
}

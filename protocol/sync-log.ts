/**
 * Pulls records of many logs at once: a page holds what follows in the first of them, and the next one
 * is asked for before this one is admitted. docs/protocol.md, "Sync".
 */
import type { Cid } from './cid.ts'
import type { Code, Verdict } from './errors.ts'
import { MAX_SYNC_LOGS, MAX_SYNC_RECORDS } from './limits.ts'
import { comparePositions, type LogPosition, type Position, peekRecord } from './record.ts'
import type { LogPage } from './sync-message.ts'
import type { PlainRecord } from './sync-source.ts'
import {
  admit,
  BATCH_CARDS,
  BATCH_RECORDS,
  broken,
  mayAsk,
  type Question,
  receive,
  type Step,
  type SyncOutcome,
  send,
} from './sync-step.ts'

/** A log of which something is wanted. */
export interface LogWant {
  readonly id: string
  readonly publisher: Cid
  readonly key: string
  /** The newest record of it here; null: none. */
  readonly after: LogPosition | null
  /** Where to stop; null: at its end. */
  readonly before: Position | null
}

/** Why the first record of a log was refused, by id. */
export type RefusedLogs = ReadonlyMap<string, Code>

/** Pulls what follows of some logs. */
export function* pullLogs(outcome: SyncOutcome, wants: readonly LogWant[]): Step<RefusedLogs> {
  const refused = new Map<string, Code>()
  let queue = wants
  let isAsked = false
  while (queue.length > 0) {
    if (!isAsked) {
      if (!mayAsk(outcome)) break
      yield* send(outcome, requestOf(queue))
    }
    const { logs: pages } = yield* receive('records')
    const asked = Math.min(queue.length, MAX_SYNC_LOGS)
    if (pages.length > asked) throw broken('pages of other logs')
    const isEmpty = pages.every(({ records }) => records.length === 0)
    if (isEmpty && pages.length < asked)
      throw broken('logs are left out of a page that is not full')
    const next = restOf(queue, pages, refused)
    isAsked = next.length > 0 && mayAsk(outcome)
    if (isAsked) yield* send(outcome, requestOf(next))
    yield* takeIn(outcome, queue, pages, refused)
    queue = next
  }
  return refused
}

const requestOf = (wants: readonly LogWant[]): Question => ({
  t: 'get-records',
  logs: wants.slice(0, MAX_SYNC_LOGS).map(({ id, after }) => ({ id, after })),
  limit: MAX_SYNC_RECORDS,
})

/** What is still wanted after some pages: the log that goes on, and those that were left out. */
function restOf(
  queue: readonly LogWant[],
  pages: readonly LogPage[],
  refused: RefusedLogs,
): readonly LogWant[] {
  const left = queue.slice(pages.length)
  const [page, want] = [pages.at(-1), queue[pages.length - 1]]
  if (page === undefined || want === undefined || refused.has(want.id)) return left
  const place = page.more ? placeOfLast(page, want) : null
  return place === null ? left : [{ ...want, after: place }, ...left]
}

/** Where a page ends; null where it brings the log no further, or as far as is wanted. */
function placeOfLast({ records }: LogPage, want: LogWant): LogPosition | null {
  const last = records.at(-1)
  const peeked = last === undefined ? null : peekRecord(last.envelope)
  if (!peeked?.ok) return null
  const { publisher, key, epoch, seq, id } = peeked.value
  if (publisher !== want.publisher || key !== want.key) return null
  if (want.after !== null && comparePositions(peeked.value, want.after) <= 0) return null
  return isWanted(peeked.value, want) ? { epoch, seq, tip: id } : null
}

const isWanted = (place: Position, { before }: LogWant): boolean =>
  before === null || comparePositions(place, before) < 0

interface Offer extends PlainRecord {
  readonly want: LogWant
}

/** Admits pages in batches. What follows a refused record of its log is dropped. */
function* takeIn(
  outcome: SyncOutcome,
  wants: readonly LogWant[],
  pages: readonly LogPage[],
  refused: Map<string, Code>,
): Step<void> {
  let offers: readonly Offer[] = pages.flatMap(({ records }, n) => {
    // SAFE: there is a want for each page.
    const want = wants[n] as LogWant
    return records.map((record) => ({ ...record, want }))
  })
  offers = offers.filter(({ envelope, want }) => {
    const place = want.before === null ? null : peekRecord(envelope)
    return place === null || (place.ok && isWanted(place.value, want))
  })
  while (offers.length > 0) {
    const open = offers.filter(({ want }) => !refused.has(want.id))
    const size = batchSize(open)
    const batch = open.slice(0, size)
    offers = open.slice(size)
    if (batch.length > 0) yield* admitBatch(outcome, batch, refused)
  }
  for (const [n, { head }] of pages.entries()) {
    const { id, publisher, before } = wants[n] as LogWant
    if (head === null || before !== null || refused.has(id)) continue
    yield* admit(outcome, publisher, { do: 'admit-head', envelope: head })
  }
}

/** How many are admitted together. */
function batchSize(offers: readonly Offer[]): number {
  let cards = 0
  const end = offers.findIndex(({ card }, n) => {
    if (card !== null) cards++
    return n === BATCH_RECORDS || cards > BATCH_CARDS
  })
  return end < 0 ? offers.length : end
}

function* admitBatch(
  outcome: SyncOutcome,
  batch: readonly Offer[],
  refused: Map<string, Code>,
): Step<void> {
  const records = batch.map(({ envelope, card }) => ({ envelope, card }))
  // SAFE: the driver answers `admit-records` with one verdict each.
  const verdicts = (yield { do: 'admit-records', records }) as readonly Verdict<unknown>[]
  for (const [n, verdict] of verdicts.entries()) {
    const { id, publisher } = (batch[n] as Offer).want
    if (verdict.ok) outcome.records++
    else if (!refused.has(id)) {
      // The first tells why; those after it fail for want of it.
      refused.set(id, verdict.code)
      outcome.refused.push({ publisher, code: verdict.code, message: verdict.message })
    }
  }
}

/**
 * Reconciling what two nodes hold, sans I/O: the asking side. docs/protocol.md, "Sync".
 *
 * A pull yields what it wants done (ask the other node, admit bytes here) and takes in the results;
 * sync-answer.ts is the other side. A node that finds that the other one lacks something says so at
 * the end, and the other one starts a pull of its own. Equal fingerprints end an exchange in one
 * round trip.
 */
import type { Cid } from './cid.ts'
import type { Code, Failure, Verdict } from './errors.ts'
import { operationId } from './identity-operation.ts'
import { MAX_SEQ, MAX_SYNC_ITEMS, MAX_SYNC_RECORDS } from './limits.ts'
import { checkEquivocation } from './log.ts'
import {
  expectReply,
  readFailure,
  type SyncItem,
  type SyncOpen,
  type SyncRange,
  type SyncReply,
  type SyncRequest,
} from './message.ts'
import { comparePositions, type Position, peekRecord } from './record.ts'
import type { SyncMemory } from './sync-answer.ts'
import {
  digestOfPublishers,
  fingerprintOf,
  intersection,
  isWithin,
  itemsOf,
  type PlainRecord,
  placeOf,
  type SyncSource,
  textOf,
  within,
} from './sync-set.ts'

/** Requests of one pull; a million records need 2,000. What is left over comes next time. */
const MAX_ROUNDS = 10_000
/** Cards asked for again in one pull. */
const MAX_CARDS = 100

/** Something that a pull wants done. The result goes into `next()`. */
export type SyncEffect =
  | { readonly do: 'ask'; readonly request: Exclude<SyncRequest, { readonly t: 'done' }> }
  /** Has no result. */
  | { readonly do: 'tell'; readonly request: Extract<SyncRequest, { readonly t: 'done' }> }
  | {
      readonly do: 'admit-identity'
      readonly publisher: Cid
      readonly operations: readonly Uint8Array[]
      readonly from: number
    }
  /** In order; what follows a refused one is refused, too. */
  | { readonly do: 'admit-records'; readonly records: readonly PlainRecord[] }
  | { readonly do: 'admit-head'; readonly envelope: Uint8Array }
  | { readonly do: 'admit-proof'; readonly first: Uint8Array; readonly second: Uint8Array }
  | { readonly do: 'admit-profile'; readonly envelope: Uint8Array }

/** A reply to `ask`, verdicts of `admit-records` one by one, a verdict of anything else. */
export type SyncInput = SyncReply | Verdict<unknown> | readonly Verdict<unknown>[] | undefined

/** Something that was offered and not taken in. */
export interface SyncRefusal {
  readonly publisher: Cid
  readonly code: Code
  readonly message: string
}

export interface SyncOutcome {
  /** Questions asked, {@link SyncOpen} included. */
  rounds: number
  /** Records that are new here. */
  records: number
  /** Nothing differed. */
  equal: boolean
  /** The other node lacks something that is here. */
  behind: boolean
  /** The bound on questions was met; pull again. */
  more: boolean
  readonly refused: SyncRefusal[]
  /** What ended the pull before its time: an error reply or a broken rule. */
  failure: Failure | null
}

export type SyncPull = Generator<SyncEffect, SyncOutcome, SyncInput>

type Step<T> = Generator<SyncEffect, T, SyncInput>
type Question = Extract<SyncEffect, { readonly do: 'ask' }>['request']
type Reply<T extends SyncReply['t']> = Extract<SyncReply, { readonly t: T }>

/** Leaves a pull from any depth; never leaves {@link settle}. */
class Broken extends Error {
  readonly failure: Failure
  constructor(failure: Failure) {
    super(failure.message)
    this.failure = failure
  }
}

function* ask<T extends SyncReply['t']>(
  outcome: SyncOutcome,
  request: Question,
  type: T,
): Step<Reply<T>> {
  outcome.rounds++
  // SAFE: the driver answers `ask` with a reply.
  const reply = (yield { do: 'ask', request }) as SyncReply
  if (reply.t === 'error') throw new Broken(readFailure(reply))
  const verdict = expectReply<SyncReply, T>(reply, type)
  if (!verdict.ok) throw new Broken(verdict)
  return verdict.value
}

/** Runs the steps of a pull and turns what broke it into the outcome's failure. */
function* settle(outcome: SyncOutcome, steps: Step<void>): SyncPull {
  try {
    yield* steps
  } catch (error) {
    if (!(error instanceof Broken)) throw error
    outcome.failure = error.failure
  }
  return outcome
}

function* admit(
  outcome: SyncOutcome,
  publisher: Cid,
  effect: Exclude<SyncEffect, { readonly do: 'ask' | 'tell' | 'admit-records' }>,
): Step<boolean> {
  // SAFE: the driver answers these with a verdict.
  const verdict = (yield effect) as Verdict<unknown>
  if (!verdict.ok) {
    outcome.refused.push({ publisher, code: verdict.code, message: verdict.message })
  }
  return verdict.ok
}

/** @returns whether all were taken in */
function* admitRecords(
  outcome: SyncOutcome,
  publisher: Cid,
  records: readonly PlainRecord[],
): Step<boolean> {
  if (records.length === 0) return true
  // SAFE: the driver answers `admit-records` with one verdict each.
  const verdicts = (yield { do: 'admit-records', records }) as readonly Verdict<unknown>[]
  outcome.records += verdicts.filter(({ ok }) => ok).length
  const refused = verdicts.find((verdict) => !verdict.ok)
  if (refused === undefined || refused.ok) return true
  // The first tells why; those after it fail for want of it.
  outcome.refused.push({ publisher, code: refused.code, message: refused.message })
  return false
}

const newOutcome = (): SyncOutcome => ({
  rounds: 0,
  records: 0,
  equal: false,
  behind: false,
  more: false,
  refused: [],
  failure: null,
})

/**
 * Pulls what the other node has and this one lacks.
 * @param memory of the other node, changed
 */
export function pull(source: SyncSource, memory: SyncMemory): SyncPull {
  const outcome = newOutcome()
  return settle(outcome, pullSet(outcome, source, memory))
}

function* pullSet(outcome: SyncOutcome, source: SyncSource, memory: SyncMemory): Step<void> {
  const own = [...source.publishers()].sort().slice(0, MAX_SYNC_ITEMS)
  outcome.equal = true
  for (let from: string | null = ''; from !== null; ) {
    const ranges: readonly SyncRange[] = yield* open(outcome, source, memory, own, from)
    let next: string | null = null
    for (const range of ranges) {
      outcome.equal = false
      yield* pullRange(outcome, source, commonOf(own, memory), range)
      next = range.until
    }
    if (outcome.rounds >= MAX_ROUNDS) outcome.more = true
    // Only forward, or a peer could keep this going.
    from = next !== null && next > from && !outcome.more ? next : null
  }
  yield* pullCards(outcome, source, commonOf(own, memory), memory)
  yield { do: 'tell', request: { t: 'done', behind: outcome.behind } }
}

/** Asks for cards that are missing here, as after an erasure that was taken back; each once. */
function* pullCards(
  outcome: SyncOutcome,
  source: SyncSource,
  common: readonly Cid[],
  memory: SyncMemory,
): Step<void> {
  const wanted = source
    .cardless()
    .filter(({ id, publisher }) => common.includes(publisher) && !memory.asked.has(id))
  for (const { id, publisher, key, epoch, seq, prev } of wanted.slice(0, MAX_CARDS)) {
    memory.asked.add(id)
    const before = seq > 0 ? { epoch, seq: seq - 1 } : { epoch: epoch - 1, seq: MAX_SEQ }
    const after = prev === null ? null : { ...before, tip: prev }
    const request = { t: 'get-records', publisher, key, after, limit: 1 } as const
    const { records } = yield* ask(outcome, request, 'records')
    const [record] = records
    const peeked = record?.card ? peekRecord(record.envelope) : null
    if (record === undefined || !peeked?.ok || peeked.value.id !== id) continue
    yield { do: 'admit-records', records: [record] }
  }
}

const commonOf = (own: readonly Cid[], memory: SyncMemory): readonly Cid[] =>
  memory.theirs === null ? own : intersection(own, memory.theirs)

/** Compares everything from a place on; returns the ranges that differ. */
function* open(
  outcome: SyncOutcome,
  source: SyncSource,
  memory: SyncMemory,
  own: readonly Cid[],
  from: string,
): Step<readonly SyncRange[]> {
  const mine = digestOfPublishers(own)
  const items = within(itemsOf(source, commonOf(own, memory)), { from, until: null })
  const request: SyncOpen = {
    t: 'open',
    mine,
    yours: memory.theirs === null ? null : digestOfPublishers(memory.theirs),
    publishers: memory.told === textOf(mine) ? null : own,
    ranges: [{ from, until: null, fingerprint: fingerprintOf(items), items: null }],
  }
  const reply = yield* ask(outcome, request, 'state')
  memory.told = textOf(mine)
  if (reply.publishers !== null) memory.theirs = reply.publishers
  return reply.ranges
}

function* pullRange(
  outcome: SyncOutcome,
  source: SyncSource,
  common: readonly Cid[],
  range: SyncRange,
): Step<void> {
  const ownItems = () =>
    new Map(within(itemsOf(source, common), range).map((item) => [placeOf(item), item] as const))
  const mine = ownItems()
  const wanted = new Set(common)
  const stalled: SyncItem[] = []
  const theirs = (range.items ?? [])
    .filter((item) => wanted.has(item.publisher) && isWithin(placeOf(item), range))
    .sort((a, b) => urgency(a) - urgency(b))
  for (const item of theirs) {
    const place = placeOf(item)
    const own = mine.get(place)
    mine.delete(place)
    if (outcome.rounds >= MAX_ROUNDS) return
    if (item.key === null) yield* pullIdentity(outcome, source, item, own)
    else {
      const before = outcome.refused.length
      yield* pullLog(outcome, source, item, item.key, own)
      if (outcome.refused[before]?.code === 'BLOB_MISSING') stalled.push(item)
    }
  }
  // A model came without its card. What erased it stands in another log, and may be here by now.
  if (stalled.length > 0) {
    const left = outcome.refused.filter(({ code }) => code !== 'BLOB_MISSING')
    outcome.refused.splice(0, outcome.refused.length, ...left)
  }
  for (const item of stalled) {
    // SAFE: only logs are stalled.
    yield* pullLog(outcome, source, item, item.key as string, ownItems().get(placeOf(item)))
  }
  if (mine.size > 0) outcome.behind = true
}

/** Chains first, which judge all else; then the proofs of forks, which warn of the rest. */
const urgency = ({ key, forked }: SyncItem): number => (key === null ? 0 : forked ? 1 : 2)

function* pullIdentity(
  outcome: SyncOutcome,
  source: SyncSource,
  theirs: SyncItem,
  own: SyncItem | undefined,
): Step<void> {
  const { publisher } = theirs
  if (theirs.forked) {
    if (!own?.forked) yield* pullBranches(outcome, source, publisher)
    // Where one branch has won here, they lack it.
    if (source.chain(publisher)?.isContested === false) outcome.behind = true
    return
  }
  if (own?.forked) {
    // They know of one branch only, or of the one that has won.
    outcome.behind = true
    yield* pullChain(outcome, source, publisher, 0)
    return
  }
  if (own !== undefined && theirs.seq < own.seq) outcome.behind = true
  const [ours] = source.identityOps(publisher, theirs.seq - 1, 1)
  if (ours !== undefined && operationId(ours) === theirs.tip) return
  // Where ours is another one, theirs is a second branch, which only the whole chain can show.
  const from = own === undefined || ours !== undefined ? 0 : own.seq
  yield* pullChain(outcome, source, publisher, from)
}

/** Both branches of a chain that has forked there. */
function* pullBranches(outcome: SyncOutcome, source: SyncSource, publisher: Cid): Step<void> {
  yield* pullChain(outcome, source, publisher, 0)
  if (source.chain(publisher)?.isContested !== false) return
  const { from, operations } = yield* ask(outcome, { t: 'get-rival', publisher }, 'rival')
  if (operations.length === 0) return
  yield* admit(outcome, publisher, { do: 'admit-identity', publisher, operations, from })
}

function* pullChain(
  outcome: SyncOutcome,
  source: SyncSource,
  publisher: Cid,
  first: number,
): Step<void> {
  for (let from = first; outcome.rounds < MAX_ROUNDS; ) {
    const page = yield* ask(outcome, { t: 'get-identity', publisher, from }, 'identity')
    if (page.operations.length === 0) return
    const { operations } = page
    const ok = yield* admit(outcome, publisher, {
      do: 'admit-identity',
      publisher,
      operations,
      from,
    })
    const code = ok ? null : outcome.refused.at(-1)?.code
    if (code === 'PREV_UNKNOWN' && from === first && first > 0) {
      // They follow another branch: it parts from ours before the end of ours.
      outcome.refused.pop()
      from = 0
      continue
    }
    from += operations.length
    if (!page.more) return
    // The branch that is not followed here may win with its next page.
    if (code === 'CONTESTED') continue
    if (!ok || (source.chain(publisher)?.length ?? 0) < from) return
  }
}

function* pullLog(
  outcome: SyncOutcome,
  source: SyncSource,
  theirs: SyncItem,
  key: string,
  own: SyncItem | undefined,
): Step<void> {
  const { publisher } = theirs
  if (theirs.forked) {
    if (!own?.forked) yield* pullForked(outcome, source, publisher, key)
    return
  }
  if (own !== undefined) {
    const order = comparePositions(theirs, own)
    if (order < 0 || own.forked) {
      outcome.behind = true
      return
    }
    if (order === 0 && theirs.tip === own.tip) {
      if (theirs.day < own.day) outcome.behind = true
      if (theirs.day <= own.day) return
    }
  }
  yield* pullRecords(outcome, source, publisher, key, null)
}

/** Records before the fork are good; once the proof is kept, nothing more of the log comes in. */
function* pullForked(
  outcome: SyncOutcome,
  source: SyncSource,
  publisher: Cid,
  key: string,
): Step<void> {
  const { first, second } = yield* ask(outcome, { t: 'get-proof', publisher, key }, 'proof')
  if (first === null || second === null) return
  const fork = checkEquivocation(first, second)
  if (!fork.ok) throw new Broken(fork)
  yield* pullRecords(outcome, source, publisher, key, fork.value)
  yield* admit(outcome, publisher, { do: 'admit-proof', first, second })
}

/** @param before where to stop, or null */
function* pullRecords(
  outcome: SyncOutcome,
  source: SyncSource,
  publisher: Cid,
  key: string,
  before: Position | null,
): Step<void> {
  const positionOf = () => source.logs(publisher).find((log) => log.key === key) ?? null
  for (let last = positionOf(); outcome.rounds < MAX_ROUNDS; ) {
    if (before !== null && last !== null && !isBefore(nextOf(last), before)) return
    const after = last === null ? null : { epoch: last.epoch, seq: last.seq, tip: last.tip }
    const limit = MAX_SYNC_RECORDS
    const page = yield* ask(outcome, { t: 'get-records', publisher, key, after, limit }, 'records')
    const records = page.records.filter(({ envelope }) => isWanted(envelope, before))
    const ok = yield* admitRecords(outcome, publisher, records)
    if (!ok || records.length < page.records.length) return
    if (page.head !== null) {
      yield* admit(outcome, publisher, { do: 'admit-head', envelope: page.head })
    }
    const now = positionOf()
    // A peer that promises more and moves nothing is not asked again.
    if (!page.more || now === null || (last !== null && !isBefore(last, now))) return
    last = now
  }
}

function isWanted(envelope: Uint8Array, before: Position | null): boolean {
  if (before === null) return true
  const place = peekRecord(envelope)
  return place.ok && isBefore(place.value, before)
}

const isBefore = (a: Position, b: Position): boolean => comparePositions(a, b) < 0
const nextOf = ({ epoch, seq }: Position): Position => ({ epoch, seq: seq + 1 })

/** Pulls identity chain and profile of a publisher without its records, as for a stranger. */
export function introduce(source: SyncSource, publisher: Cid): SyncPull {
  const outcome = newOutcome()
  return settle(outcome, pullProfile(outcome, source, publisher))
}

function* pullProfile(outcome: SyncOutcome, source: SyncSource, publisher: Cid): Step<void> {
  yield* pullChain(outcome, source, publisher, source.chain(publisher)?.length ?? 0)
  const { envelope } = yield* ask(outcome, { t: 'get-profile', publisher }, 'profile')
  if (envelope !== null) yield* admit(outcome, publisher, { do: 'admit-profile', envelope })
}

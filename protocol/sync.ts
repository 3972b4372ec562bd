/**
 * Reconciling what two nodes hold, sans I/O: the asking side. docs/protocol.md, "Sync".
 *
 * A pull yields what it wants done (ask the other node, admit bytes here) and takes in the results;
 * sync-answer.ts is the other side. A node that finds that the other one lacks something says so at
 * the end, and the other one starts a pull of its own. Equal fingerprints end an exchange in one
 * round trip.
 */
import type { Cid } from './cid.ts'
import { MAX_SEQ } from './limits.ts'
import { checkEquivocation } from './log.ts'
import { comparePositions, type LogPosition, type Position, peekRecord } from './record.ts'
import { pullChain, pullIdentity } from './sync-chain.ts'
import { compare, type Differences } from './sync-compare.ts'
import { pullHoldings } from './sync-holdings.ts'
import { idOf } from './sync-item.ts'
import { type LogWant, pullLogs } from './sync-log.ts'
import { type AnyItem, isHoldings, type SyncItem, type SyncReply } from './sync-message.ts'
import { commonOf, digestOfPublishers, named, type SyncMemory, textOf } from './sync-publishers.ts'
import { type SyncSet, saltOf } from './sync-set.ts'
import type { SyncSource } from './sync-source.ts'
import {
  admit,
  ask,
  Broken,
  mayAsk,
  newOutcome,
  type Step,
  type SyncOutcome,
  type SyncPull,
  settle,
} from './sync-step.ts'

/** Cards asked for again in one pull. */
const MAX_CARDS = 100

/**
 * Pulls what the other node has and this one lacks.
 * @param memory of the other node, changed
 */
export function pull(source: SyncSource, memory: SyncMemory): SyncPull {
  const outcome = newOutcome()
  return settle(outcome, pullSet(outcome, source, memory))
}

function* pullSet(outcome: SyncOutcome, source: SyncSource, memory: SyncMemory): Step<void> {
  const own = named(source.publishers())
  const { fingerprint } = source.set(commonOf(own, memory))
  const { parts } = yield* open(outcome, memory, own, fingerprint)
  outcome.equal = parts === null
  const common = commonOf(own, memory)
  if (parts !== null) {
    const set = source.set(common)
    const differences = yield* compare(outcome, set, saltOf(fingerprint), parts)
    yield* pullDifferences(outcome, source, common, set, differences)
  }
  yield* pullCards(outcome, source, common, memory)
  yield { do: 'tell', request: { t: 'done', behind: outcome.behind } }
}

function* open(
  outcome: SyncOutcome,
  memory: SyncMemory,
  own: readonly Cid[],
  fingerprint: Uint8Array,
): Step<Extract<SyncReply, { readonly t: 'state' }>> {
  const mine = digestOfPublishers(own)
  const yours = memory.theirs === null ? null : digestOfPublishers(memory.theirs)
  const publishers = memory.told === textOf(mine) ? null : own
  // Until they have answered, they may have forgotten.
  memory.told = null
  const request = { t: 'open', mine, yours, publishers, fingerprint } as const
  const reply = yield* ask(outcome, request, 'state')
  memory.told = textOf(mine)
  if (reply.publishers !== null) memory.theirs = reply.publishers
  return reply
}

/** Chains first, which judge all else; then the proofs of forks, which warn of the rest. */
function* pullDifferences(
  outcome: SyncOutcome,
  source: SyncSource,
  common: readonly Cid[],
  set: SyncSet,
  differences: Differences,
): Step<void> {
  if (differences.surplus.length > 0) outcome.behind = true
  const listed = new Set(common)
  const all = differences.theirs.filter(({ publisher }) => listed.has(publisher))
  const theirs = all.filter(isState)
  for (const item of theirs) {
    if (item.key !== null || !mayAsk(outcome)) continue
    yield* pullIdentity(outcome, source, item, itemAt(set, item))
  }
  const logs = theirs.filter(({ key }) => key !== null)
  // A cut that came with a chain may have taken records back.
  const stands = source.set(common)
  const wants = logs.flatMap((item) => wantOf(outcome, stands, item) ?? [])
  for (const item of logs) {
    if (!item.forked || !mayAsk(outcome)) continue
    if (!itemAt(stands, item)?.forked) yield* pullForked(outcome, stands, item)
  }
  const refused = yield* pullLogs(outcome, wants)
  const stalled = wants.filter(({ id }) => refused.get(id) === 'BLOB_MISSING')
  if (stalled.length > 0) yield* pullStalled(outcome, source.set(common), stalled)
  yield* pullHoldings(outcome, source, all.filter(isHoldings))
}

const isState = (item: AnyItem): item is SyncItem => !isHoldings(item)

/** The chain or log here that stands at the place of another one. */
function itemAt(set: SyncSet, place: Pick<SyncItem, 'publisher' | 'key'>): SyncItem | undefined {
  const item = set.get(idOf(place))?.item
  return item !== undefined && isState(item) ? item : undefined
}

/** What a log that differs has for this node: records after its own, or a newer head. */
function wantOf(outcome: SyncOutcome, set: SyncSet, theirs: SyncItem): LogWant | null {
  if (theirs.forked) return null
  const own = itemAt(set, theirs)
  if (own !== undefined) {
    const order = comparePositions(theirs, own)
    if (order < 0 || own.forked) {
      outcome.behind = true
      return null
    }
    if (order === 0 && theirs.tip === own.tip) {
      if (theirs.day < own.day) outcome.behind = true
      if (theirs.day <= own.day) return null
    }
  }
  return wantAfter(set, theirs, null)
}

function wantAfter(set: SyncSet, item: SyncItem, before: Position | null): LogWant {
  const id = idOf(item)
  // SAFE: asked of logs only.
  const { publisher, key } = item as SyncItem & { readonly key: string }
  return { id, publisher, key, after: endOf(itemAt(set, item)), before }
}

const endOf = (own: SyncItem | undefined): LogPosition | null =>
  own === undefined || own.tip === null ? null : { epoch: own.epoch, seq: own.seq, tip: own.tip }

/** Records before the fork are good; once the proof is kept, nothing more of the log comes in. */
function* pullForked(outcome: SyncOutcome, set: SyncSet, theirs: SyncItem): Step<void> {
  const { publisher } = theirs
  // SAFE: asked of logs only.
  const key = theirs.key as string
  const { first, second } = yield* ask(outcome, { t: 'get-proof', publisher, key }, 'proof')
  if (first === null || second === null) return
  const fork = checkEquivocation(first, second)
  if (!fork.ok) throw new Broken(fork)
  const want = wantAfter(set, theirs, fork.value)
  const next = want.after === null ? null : { ...want.after, seq: want.after.seq + 1 }
  if (next === null || comparePositions(next, fork.value) < 0) yield* pullLogs(outcome, [want])
  yield* admit(outcome, publisher, { do: 'admit-proof', first, second })
}

/** A model came without its card. What erased it stands in another log, and may be here by now. */
function* pullStalled(outcome: SyncOutcome, set: SyncSet, wants: readonly LogWant[]): Step<void> {
  const left = outcome.refused.filter(({ code }) => code !== 'BLOB_MISSING')
  outcome.refused.splice(0, outcome.refused.length, ...left)
  yield* pullLogs(
    outcome,
    wants.map((want) => ({ ...want, after: endOf(itemAt(set, want)) })),
  )
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
  for (const header of wanted.slice(0, MAX_CARDS)) {
    const { id, epoch, seq, prev } = header
    memory.asked.add(id)
    const before = seq > 0 ? { epoch, seq: seq - 1 } : { epoch: epoch - 1, seq: MAX_SEQ }
    const after = prev === null ? null : { ...before, tip: prev }
    const logs = [{ id: idOf(header), after }]
    const { logs: pages } = yield* ask(outcome, { t: 'get-records', logs, limit: 1 }, 'records')
    const record = pages[0]?.records[0]
    const peeked = record?.card ? peekRecord(record.envelope) : null
    if (record === undefined || !peeked?.ok || peeked.value.id !== id) continue
    yield { do: 'admit-records', records: [record] }
  }
}

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

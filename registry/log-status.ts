/** What the operator should know of each log: whether it is whole, fresh, and beyond doubt. */
import type { Cid } from '../protocol/cid.ts'
import { headOf } from '../protocol/head.ts'
import { MAX_CLOCK_AHEAD_MS } from '../protocol/limits.ts'
import { comparePositions, type LogPosition } from '../protocol/record.ts'
import type { Catalogue, KeyId } from './catalogue.ts'

/**
 * The worst that holds:
 * - CONTESTED: the log or its publisher has forked
 * - INCOMPLETE: a head names records that are not here
 * - UNCLOSED: its newest records came after the end of its key, and nobody has vouched for them
 * - STALE: no head that has not run out, or that lies ahead of the clock; stops nothing
 */
export type LogCondition = 'OK' | 'STALE' | 'UNCLOSED' | 'INCOMPLETE' | 'CONTESTED'

export interface LogStatus {
  readonly publisher: Cid
  readonly key: KeyId
  /** Its newest record here; null where none is. */
  readonly position: LogPosition | null
  readonly state: LogCondition
  /** Records that a head names and that are not here; a new epoch counts from its first. */
  readonly missing: number
}

export interface LogStatusParts {
  readonly catalogue: Catalogue
  readonly isFrozen: (publisher: Cid) => boolean
  readonly isUnclosed: (record: Cid) => boolean
  /** The newest position that was ever seen to be stated of a log, or null. */
  readonly stated: (publisher: Cid, key: KeyId) => LogPosition | null
  /** Milliseconds. */
  readonly now: number
}

/** All logs of a publisher of which records or a head are here, by key. */
export function logStatuses(publisher: Cid, parts: LogStatusParts): readonly LogStatus[] {
  const { catalogue, isFrozen, isUnclosed, stated, now } = parts
  const logs = new Map(catalogue.logs(publisher).map((log) => [log.key, log] as const))
  const heads = new Map(
    catalogue.heads(publisher).map(({ key, envelope }) => [key, headOf(envelope)] as const),
  )
  const forks = new Set(catalogue.proofs(publisher).map(({ key }) => key))
  const keys = [...new Set([...logs.keys(), ...heads.keys(), ...forks])].sort()
  return keys.map((key) => {
    const log = logs.get(key) ?? null
    const head = heads.get(key)
    const position = log && { epoch: log.epoch, seq: log.seq, tip: log.tip }
    const named = [head, stated(publisher, key)].flatMap((each) => each ?? [])
    const missing = Math.max(0, ...named.map((each) => missingTo(position, each)))
    const isForked = forks.has(key) || isFrozen(publisher)
    const state = isForked
      ? 'CONTESTED'
      : missing > 0
        ? 'INCOMPLETE'
        : log !== null && isUnclosed(log.tip)
          ? 'UNCLOSED'
          : head === undefined || head.expires < now || head.issued > now + MAX_CLOCK_AHEAD_MS
            ? 'STALE'
            : 'OK'
    return { publisher, key, position, state, missing }
  })
}

/** How many records lead from a position to that of a head; at an equal one another tip counts. */
function missingTo(log: LogPosition | null, head: LogPosition): number {
  const order = log === null ? -1 : comparePositions(log, head)
  if (order > 0) return 0
  if (order === 0) return log?.tip === head.tip ? 0 : 1
  return log !== null && log.epoch === head.epoch ? head.seq - log.seq : head.seq + 1
}

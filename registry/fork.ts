/** Forks: what keeps a log or a publisher from going on, until its root has settled it. */
import type { Cid } from '../protocol/cid.ts'
import { type Failure, refuse } from '../protocol/errors.ts'
import { comparePositions, type Position, peekRecord } from '../protocol/record.ts'
import type { KeyId, LogRow } from './catalogue.ts'

/** Where a log forked, or null. */
export function forkOf(log: LogRow | null): Position | null {
  if (!log?.proof) return null
  const peeked = peekRecord(log.proof[0])
  return peeked.ok ? { epoch: peeked.value.epoch, seq: peeked.value.seq } : null
}

/** Whether a position of a log is at or after its fork. */
export function isForked(log: LogRow | null, position: Position): boolean {
  const fork = forkOf(log)
  return fork !== null && comparePositions(position, fork) >= 0
}

/**
 * The command that settles the fork of an own log: the branch that is here stands. Where the other
 * one is to stand, its newest record takes the place of ours.
 */
export const healCommand = ({ key, epoch, seq }: LogRow): string =>
  `zoarium keys heal ${key.slice(0, 16)} --at ${epoch}.${seq}`

/** @param key of the log; null: the publisher's identity has forked */
export const contested = (publisher: Cid, key: KeyId | null): Failure =>
  refuse('CONTESTED', `the ${key === null ? 'identity' : 'log'} has forked`, {
    got: key ?? publisher,
    hint: 'nothing new of it is taken in or run until the institution heals it',
  })

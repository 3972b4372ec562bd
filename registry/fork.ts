/** Forks: what keeps a log or a publisher from going on, until its root has settled it. */
import type { Cid } from '../protocol/cid.ts'
import { expectOk, type Failure, refuse } from '../protocol/errors.ts'
import { comparePositions, type Position, peekRecord } from '../protocol/record.ts'
import type { KeyId, Proof } from './catalogue.ts'

/** Where a log forked. */
export function forkOf([first]: Proof): Position {
  const { epoch, seq } = expectOk(peekRecord(first))
  return { epoch, seq }
}

/** Whether a position is at or after the fork of its log; null: none is known. */
export const isForked = (proof: Proof | null, position: Position): boolean =>
  proof !== null && comparePositions(position, forkOf(proof)) >= 0

/**
 * The command that settles the fork of an own log: the branch that is here stands. Where the other
 * one is to stand, its newest record takes the place of ours.
 */
export const healCommand = ({ key, epoch, seq }: Position & { readonly key: KeyId }): string =>
  `zoarium keys heal ${key.slice(0, 16)} --at ${epoch}.${seq}`

/** @param key of the log; null: the publisher's identity has forked */
export const contested = (publisher: Cid, key: KeyId | null): Failure =>
  refuse('CONTESTED', `the ${key === null ? 'identity' : 'log'} has forked`, {
    got: key ?? publisher,
    hint: 'nothing new of it is taken in or run until the institution heals it',
  })

/**
 * Audiences: for whom a private log is. Its records, cards and files go to nodes of these publishers
 * and to no others. docs/protocol.md, "Private logs".
 */
import type { Cid } from './cid.ts'
import { accept, type Failure, refuse, type Verdict } from './errors.ts'
import { MAX_AUDIENCE } from './limits.ts'
import { parseLabel } from './reference.ts'
import { checked, list, map, type Shape } from './shape.ts'
import { statementLink } from './statement.ts'

/** A roster of one publisher, by its name. */
export interface RosterName {
  readonly publisher: Cid
  readonly name: string
}

export interface Audience {
  /** Ascending. Empty, with no rosters: the publisher's own nodes alone. */
  readonly publishers: readonly Cid[]
  /** Whose members belong to it, as the newest roster of that name says; ascending. */
  readonly rosters: readonly RosterName[]
}

export const audience: Shape<Audience> = map({
  publishers: list(statementLink, MAX_AUDIENCE),
  rosters: list(map({ publisher: statementLink, name: checked(parseLabel) }), MAX_AUDIENCE),
})

/** Whether both lists are in order and name nobody twice. Fails with IDENTITY_INVALID. */
export function checkAudience({ publishers, rosters }: Audience): Verdict<true> {
  if (!isAscending(publishers)) return unordered('audience.publishers')
  const names = rosters.map(({ publisher, name }) => `${publisher}/${name}`)
  return isAscending(names) ? accept(true) : unordered('audience.rosters')
}

const isAscending = (texts: readonly string[]): boolean =>
  // SAFE: all but the first have one before them.
  texts.every((text, index) => index === 0 || (texts[index - 1] as string) < text)

const unordered = (field: string): Failure =>
  refuse('IDENTITY_INVALID', `${field} is not in ascending order, each once`, { field })

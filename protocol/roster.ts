/**
 * Rosters: the members of a federation, as one publisher names them, with the right that it
 * recommends to give them and addresses by which to begin. docs/protocol.md, "Rosters".
 */
import type { Cid } from './cid.ts'
import {
  MAX_MULTIADDR_CHARS,
  MAX_REPLACES,
  MAX_ROSTER_BOOTSTRAP,
  MAX_ROSTER_MEMBERS,
} from './limits.ts'
import { parseLabel } from './reference.ts'
import { ascending, checked, distinct, map, type Shape, text, word } from './shape.ts'
import { statementLink } from './statement.ts'

/** What a roster may recommend, each including the former. */
export const ROSTER_RIGHTS = ['list', 'mirror', 'run'] as const
export type RosterRight = (typeof ROSTER_RIGHTS)[number]

export interface RosterBody {
  /** Unique within the publisher; a label. */
  readonly name: string
  /** Publishers, ascending by text. */
  readonly members: readonly Cid[]
  readonly right: RosterRight
  /** libp2p addresses with the PeerId at their end. */
  readonly bootstrap: readonly string[]
  /** Roster records that this one takes the place of. */
  readonly replaces: readonly Cid[]
}

/** An address that names whom it leads to. */
export const BOOTSTRAP_PATTERN = /^(\/[\x21-\x2e\x30-\x7e]+)+\/p2p\/[1-9A-HJ-NP-Za-km-z]{46,64}$/

export const roster: Shape<RosterBody> = map({
  name: checked(parseLabel),
  members: ascending(statementLink, MAX_ROSTER_MEMBERS),
  right: word(...ROSTER_RIGHTS),
  bootstrap: distinct(text(MAX_MULTIADDR_CHARS, BOOTSTRAP_PATTERN), MAX_ROSTER_BOOTSTRAP),
  replaces: distinct(statementLink, MAX_REPLACES),
})

/**
 * Heads: the newest position of a log, signed and dated. docs/protocol.md, "Heads". A head that has
 * run out still tells a position; only its freshness is gone.
 */
import type { Cid } from './cid.ts'
import { accept, expectOk, type Verdict } from './errors.ts'
import { HEAD_LIFE_MS, MAX_IDENTITY_OPS, MAX_SEQ } from './limits.ts'
import type { Position } from './record.ts'
import { int, key, map, type Shape } from './shape.ts'
import {
  living,
  peekStatement,
  readStatement,
  signStatement,
  statementLink,
  time,
} from './statement.ts'

export interface Head extends Position {
  readonly publisher: Cid
  /** Device key, 64 hex digits. */
  readonly key: string
  /** Id of the record at the position. */
  readonly tip: Cid
  /** Milliseconds since 1970 UTC. */
  readonly issued: number
  readonly expires: number
}

const shape: Shape<Head> = living(
  map({
    publisher: statementLink,
    key,
    epoch: int(0, MAX_IDENTITY_OPS),
    seq: int(0, MAX_SEQ),
    tip: statementLink,
    issued: time,
    expires: time,
  }),
  HEAD_LIFE_MS,
)

/** Signs a head with the seed of its key; throws where it lives too long. Returns an envelope. */
export const signHead = (head: Head, seed: Uint8Array): Uint8Array =>
  signStatement('head', shape, head, seed)

/** Reads a head and checks its signature by the key that it names; not the delegation. */
export function readHead(
  envelope: Uint8Array,
): Verdict<{ readonly head: Head; readonly envelope: Uint8Array }> {
  const read = readStatement('head', shape, envelope)
  return read.ok ? accept({ head: read.value, envelope }) : read
}

/** The head in an envelope that {@link readHead} has accepted before, as those in a catalogue. */
export const headOf = (envelope: Uint8Array): Head =>
  expectOk(peekStatement('head', shape, envelope))

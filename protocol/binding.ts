/**
 * Bindings: a publisher's word that a peer speaks for it. docs/protocol.md, "Bindings". Input goes
 * only to a peer whose binding names the role `serve` and has not run out.
 */
import type { Cid } from './cid.ts'
import { servingDevice } from './delegation.ts'
import { accept, refuse, type Verdict } from './errors.ts'
import type { Identity } from './identity.ts'
import { MAX_BINDING_MS, MAX_CLOCK_AHEAD_MS } from './limits.ts'
import { key, list, map, type Shape, text, word } from './shape.ts'
import { living, readStatement, signStatement, statementLink, time } from './statement.ts'

/** `sync`: replicates logs and blobs; `serve`: takes input and runs models. */
export type PeerRole = 'sync' | 'serve'

export interface Binding {
  readonly publisher: Cid
  /** Device key of scope `serve`, 64 hex digits. */
  readonly key: string
  /** libp2p PeerId as text. */
  readonly peer: string
  readonly roles: readonly PeerRole[]
  /** Milliseconds since 1970 UTC. */
  readonly issued: number
  readonly expires: number
}

/** A libp2p PeerId in base58btc: 46 characters (hashed keys) or 52 (Ed25519). */
export const peerId: Shape<string> = text(64, /^[1-9A-HJ-NP-Za-km-z]{46,64}$/)

const shape: Shape<Binding> = living(
  map({
    publisher: statementLink,
    key,
    peer: peerId,
    roles: list(word('sync', 'serve'), 2),
    issued: time,
    expires: time,
  }),
  MAX_BINDING_MS,
)

/** Signs a binding with the seed of its key; throws where it lives too long. */
export const signBinding = (binding: Binding, seed: Uint8Array): Uint8Array =>
  signStatement('binding', shape, binding, seed)

/** A binding whose signature fits, of whatever publisher it names: to learn whose chain to ask for. */
export const peekBinding = (envelope: Uint8Array): Verdict<Binding> =>
  readStatement('binding', shape, envelope)

/**
 * Reads a binding and checks it against its publisher's identity at a moment.
 * Fails with BINDING_INVALID, KEY_NOT_DELEGATED, KEY_EXPIRED, SCOPE, and like `readStatement`.
 */
export function readBinding(
  envelope: Uint8Array,
  identity: Identity,
  now: number,
): Verdict<Binding> {
  const read = peekBinding(envelope)
  return read.ok ? checkSpeaker(read.value, identity, now) : read
}

/** Whether a dated statement of a node holds at a moment, by a serve key of its publisher. */
export function checkSpeaker<T extends Pick<Binding, 'publisher' | 'key' | 'issued' | 'expires'>>(
  statement: T,
  identity: Identity,
  now: number,
): Verdict<T> {
  const { publisher, issued, expires } = statement
  if (publisher !== identity.publisher) {
    return refuse('BINDING_INVALID', 'the statement is of another publisher', {
      field: 'publisher',
      limit: identity.publisher,
      got: publisher,
    })
  }
  if (now > expires) {
    return refuse('BINDING_INVALID', 'the statement has run out', {
      field: 'expires',
      limit: now,
      got: expires,
    })
  }
  if (issued > now + MAX_CLOCK_AHEAD_MS) {
    return refuse('BINDING_INVALID', 'the statement is dated in the future', {
      field: 'issued',
      limit: now + MAX_CLOCK_AHEAD_MS,
      got: issued,
      hint: 'one of the two clocks is wrong',
    })
  }
  const device = servingDevice(identity, statement, now)
  return device.ok ? accept(statement) : device
}

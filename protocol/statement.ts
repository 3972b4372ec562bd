/**
 * Statements: what all payloads that are signed have in common. docs/protocol.md, "Statements".
 *
 * A payload is a map of `t` (its type), `v` (the version of its format) and the fields of the type.
 * Those that a device key signs name the `publisher` and the `key`, both under the signature.
 */
import { fromHex, toHex } from './bytes.ts'
import { type CborMap, decode, encode, isMap } from './cbor.ts'
import type { Cid } from './cid.ts'
import { publicKeyOf } from './crypto.ts'
import { seal, split } from './envelope.ts'
import { accept, assert, expectOk, refuse, type Verdict } from './errors.ts'
import { MAX_STATEMENT_BYTES } from './limits.ts'
import { int, linkTo, type Shape } from './shape.ts'
import { type SignedType, verify } from './signature.ts'

/** The one version of every payload's format so far. */
const VERSION = 1

/** A link to a payload: a record, or the identity operation that a publisher is named by. */
export const statementLink: Shape<Cid> = linkTo('dag-cbor')

/** A moment, in milliseconds since 1970 UTC. */
export const time: Shape<number> = int(0, Number.MAX_SAFE_INTEGER)

/** The payload of a type with these fields. */
export const encodePayload = (type: SignedType, fields: CborMap): Uint8Array =>
  encode({ ...fields, t: type, v: VERSION })

/**
 * The fields of a payload, without `t` and `v`.
 * Fails like `decode` of cbor.ts, with RECORD_INVALID (another type) or UNKNOWN_VERSION.
 */
export function decodePayload(
  type: SignedType,
  payload: Uint8Array,
  maxBytes: number,
): Verdict<CborMap> {
  const decoded = decode(payload, maxBytes)
  if (!decoded.ok) return decoded
  if (!isMap(decoded.value) || decoded.value.t !== type) {
    return refuse('RECORD_INVALID', `not a payload of type ${type}`, { field: 't', limit: type })
  }
  const { t: _, v: version, ...fields } = decoded.value
  if (version !== VERSION) {
    return refuse('UNKNOWN_VERSION', `a ${type} of a version that this node does not speak`, {
      field: 'v',
      limit: VERSION,
      ...(typeof version === 'number' ? { got: version } : {}),
      hint: 'a newer version of this program may read it',
    })
  }
  return accept(fields)
}

/**
 * Signs a small statement of a device key. Throws a ZoariumError where the value breaks its own
 * rules: what other nodes would refuse is never signed.
 *
 * @param seed 32 bytes; that of `value.key`
 * @param maxBytes of the payload
 */
export function signStatement<T extends { readonly key: string }>(
  type: SignedType,
  shape: Shape<T>,
  value: T,
  seed: Uint8Array,
  maxBytes = MAX_STATEMENT_BYTES,
): Uint8Array {
  assertSeed(seed, value.key)
  const fields = shape.write(value)
  assert(isMap(fields), 'a statement is a map')
  const envelope = seal(type, encodePayload(type, fields), seed)
  expectOk(readStatement(type, shape, envelope, maxBytes))
  return envelope
}

/**
 * Reads a small statement and checks its signature by the key that it names; whether that key may
 * speak for the publisher is for the caller.
 */
export function readStatement<T extends { readonly key: string }>(
  type: SignedType,
  shape: Shape<T>,
  envelope: Uint8Array,
  maxBytes = MAX_STATEMENT_BYTES,
): Verdict<T> {
  const read = peekStatement(type, shape, envelope, maxBytes)
  if (!read.ok) return read
  const { payload, signature } = expectOk(split(envelope))
  const verified = verify(type, payload, signature, fromHex(read.value.key))
  return verified.ok ? read : verified
}

/** Reads a small statement whose signature was checked before. */
export function peekStatement<T>(
  type: SignedType,
  shape: Shape<T>,
  envelope: Uint8Array,
  maxBytes = MAX_STATEMENT_BYTES,
): Verdict<T> {
  const parts = split(envelope)
  if (!parts.ok) return parts
  const fields = decodePayload(type, parts.value.payload, maxBytes)
  return fields.ok ? shape.read(fields.value, '') : fields
}

/** A shape with `issued` and `expires`, of a life that is not empty and at most `maxMs`. */
export const living = <T extends { readonly issued: number; readonly expires: number }>(
  shape: Shape<T>,
  maxMs: number,
): Shape<T> => ({
  read(value, field) {
    const read = shape.read(value, field)
    if (!read.ok) return read
    const life = read.value.expires - read.value.issued
    if (life > 0 && life <= maxMs) return read
    return refuse('RECORD_INVALID', 'a life that is empty or too long', {
      field: 'expires',
      limit: maxMs,
      got: life,
    })
  },
  write: shape.write,
})

export function assertSeed(seed: Uint8Array, key: string): void {
  assert(toHex(publicKeyOf(seed)) === key, 'the seed is not that of the key')
}

/**
 * Operations of identities: their fields, and the envelope that carries the signatures of several
 * root keys. docs/protocol.md, "Identities". What an operation does stands in identity.ts.
 */
import { compareBytes, fromHex, toHex } from './bytes.ts'
import { type CborMap, decode, encode } from './cbor.ts'
import { publicKeyOf } from './crypto.ts'
import { accept, refuse, type Verdict } from './errors.ts'
import { MAX_IDENTITY_OP_BYTES, MAX_ROOT_KEYS } from './limits.ts'
import { bytes, int, key, list, map, nullable, word } from './shape.ts'
import { checkKey, sign, verify } from './signature.ts'
import { decodePayload, encodePayload, statementLink, time } from './statement.ts'

/** k of n root keys. */
export interface KeySet {
  /** 64 hex digits each, ascending. */
  readonly keys: readonly string[]
  readonly threshold: number
}

const anyInt = int(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER)
const envelopeShape = map({
  p: bytes(1, MAX_IDENTITY_OP_BYTES),
  s: list(list(bytes(0, 64), 2), MAX_ROOT_KEYS),
})
const common = { op: word('genesis', 'delegate'), n: time, prev: nullable(statementLink), ts: time }
export const genesisShape = map({
  ...common,
  keys: list(key, MAX_ROOT_KEYS),
  threshold: anyInt,
  next: key,
})
export const delegateShape = map({
  ...common,
  key,
  scope: word('publish', 'serve'),
  notBefore: time,
  notAfter: time,
})

/** A root key and its signature over the payload. */
export type Signature = readonly [key: Uint8Array, signature: Uint8Array]

/** Signs an operation's fields with each seed and puts all together. */
export function sealOperation(fields: CborMap, seeds: readonly Uint8Array[]): Uint8Array {
  const payload = encodePayload('identity', fields)
  const signatures = seeds.map(
    (seed): Signature => [publicKeyOf(seed), sign('identity', payload, seed)],
  )
  signatures.sort(([a], [b]) => compareBytes(a, b))
  return encode({ p: payload, s: signatures })
}

/** Takes an operation apart; nothing is checked but the encoding and the shape of the envelope. */
export function openOperation(envelope: Uint8Array): Verdict<{
  readonly payload: Uint8Array
  readonly signatures: readonly Signature[]
  readonly fields: CborMap
}> {
  const decoded = decode(envelope, MAX_IDENTITY_OP_BYTES)
  if (!decoded.ok) return decoded
  const read = envelopeShape.read(decoded.value, '')
  if (!read.ok) return read
  const { p: payload, s } = read.value
  const signatures: Signature[] = []
  for (const [index, [signer, signature]] of s.entries()) {
    if (signer === undefined || signature === undefined) {
      return refuse('RECORD_INVALID', 'not a key and its signature', { field: `s[${index}]` })
    }
    signatures.push([signer, signature])
  }
  const fields = decodePayload('identity', payload, MAX_IDENTITY_OP_BYTES)
  return fields.ok ? accept({ payload, signatures, fields: fields.value }) : fields
}

/** 1 <= k <= n, keys ascending, each once and none weak. */
export function checkKeySet({ keys, threshold }: KeySet): Verdict<KeySet> {
  if (threshold < 1 || threshold > keys.length) {
    return refuse('THRESHOLD', 'a threshold outside 1 to the number of keys', {
      field: 'threshold',
      limit: keys.length,
      got: threshold,
    })
  }
  for (const [index, key] of keys.entries()) {
    const field = `keys[${index}]`
    const before = keys[index - 1]
    if (before === key) return refuse('THRESHOLD', 'a key stands twice', { field })
    if (before !== undefined && before > key) {
      return refuse('IDENTITY_INVALID', 'keys are not in order', { field })
    }
    const checked = checkKey(fromHex(key))
    if (!checked.ok) return { ...checked, field }
  }
  return accept({ keys, threshold })
}

/** At least `threshold` keys of the set signed, each once, and nobody else. */
export function checkThreshold(
  { keys, threshold }: KeySet,
  payload: Uint8Array,
  signatures: readonly Signature[],
): Verdict<true> {
  for (const [index, [signer]] of signatures.entries()) {
    const field = `s[${index}]`
    const before = signatures[index - 1]
    const order = before === undefined ? -1 : compareBytes(before[0], signer)
    if (order === 0) return refuse('THRESHOLD_NOT_MET', 'each key counts once', { field })
    if (order > 0) return refuse('IDENTITY_INVALID', 'signatures are not in order', { field })
    if (!keys.includes(toHex(signer))) {
      return refuse('IDENTITY_INVALID', 'signed by a key that is no root', { field })
    }
  }
  if (signatures.length < threshold) {
    return refuse('THRESHOLD_NOT_MET', 'too few root signatures', {
      field: 's',
      limit: threshold,
      got: signatures.length,
    })
  }
  for (const [index, [signer, signature]] of signatures.entries()) {
    const verified = verify('identity', payload, signature, signer)
    if (!verified.ok) return { ...verified, field: `s[${index}]` }
  }
  return accept(true)
}

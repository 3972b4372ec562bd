/**
 * Envelopes: payload bytes, then the 64 bytes of one signature. docs/protocol.md, "Envelopes".
 *
 * The payload travels as the bytes that were signed; nobody encodes it again to check it.
 */
import { concat } from './bytes.ts'
import { accept, refuse, type Verdict } from './errors.ts'
import { SIGNATURE_BYTES, type SignedType, sign, verify } from './signature.ts'

/** Signs a payload and puts both together. `seed`: 32 bytes. */
export const seal = (type: SignedType, payload: Uint8Array, seed: Uint8Array): Uint8Array =>
  concat([payload, sign(type, payload, seed)])

/** The two parts, as views. Fails with SIG_LENGTH where the bytes cannot hold both. */
export function split(
  envelope: Uint8Array,
): Verdict<{ readonly payload: Uint8Array; readonly signature: Uint8Array }> {
  const end = envelope.length - SIGNATURE_BYTES
  if (end < 1) {
    return refuse('SIG_LENGTH', 'too short for a payload and its signature', {
      limit: SIGNATURE_BYTES + 1,
      got: envelope.length,
    })
  }
  return accept({ payload: envelope.subarray(0, end), signature: envelope.subarray(end) })
}

/**
 * The payload of an envelope that `key` (32 bytes) signed as `type`.
 * Fails with SIG_LENGTH, LIMIT, or like `verifyStrict` of signature.ts.
 *
 * @param maxBytes most bytes of the payload
 */
export function open(
  type: SignedType,
  envelope: Uint8Array,
  key: Uint8Array,
  maxBytes: number,
): Verdict<Uint8Array> {
  const parts = split(envelope)
  if (!parts.ok) return parts
  const { payload, signature } = parts.value
  if (payload.length > maxBytes) {
    return refuse('LIMIT', 'the payload is too long', { limit: maxBytes, got: payload.length })
  }
  const verified = verify(type, payload, signature, key)
  return verified.ok ? accept(payload) : verified
}

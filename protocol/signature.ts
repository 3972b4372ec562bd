/**
 * Signatures: Ed25519 under one strict rule, and a tag in front of what is signed, so that no
 * statement passes for another kind. docs/protocol.md, "Signatures".
 *
 * Libraries, and releases of one library, disagree on crafted keys and signatures. The checks here
 * come first and leave the platform only what all of them decide alike; nodes that disagreed would
 * keep different logs. Signatures are checked one at a time: checking in batches is another rule.
 */
import { compareBytes, concat, fromHex } from './bytes.ts'
import { signBare, verifyBare } from './crypto.ts'
import { accept, refuse, type Verdict } from './errors.ts'

/** What a device or root key may sign; a closed list. */
export type SignedType =
  | 'record'
  | 'head'
  | 'identity'
  | 'binding'
  | 'heartbeat'
  | 'holdings'
  | 'receipt'

export const SIGNATURE_BYTES = 64
export const KEY_BYTES = 32

/** The group order L = 2^252 + 27742317777372353535851937790883648493, big-endian. */
const GROUP_ORDER = fromHex('1000000000000000000000000000000014def9dea2f79cd65812631a5cf5d3ed')
/** The y coordinates of all points of order 1, 2, 4 and 8, in every encoding below 2^255. */
const LOW_ORDER = [
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
].map(fromHex)

/** Signs a payload as a statement of a type. `seed`: 32 bytes. Returns 64 bytes. */
export function sign(type: SignedType, payload: Uint8Array, seed: Uint8Array): Uint8Array {
  return signBare(signedBytes(type, payload), seed)
}

/** Checks a signature over a payload as a statement of a type. Fails like {@link verifyStrict}. */
export function verify(
  type: SignedType,
  payload: Uint8Array,
  signature: Uint8Array,
  key: Uint8Array,
): Verdict<true> {
  return verifyStrict(signedBytes(type, payload), signature, key)
}

/**
 * The strict rule over bare bytes, for {@link verify} and the test vectors.
 *
 * Fails with KEY_WEAK, KEY_NONCANONICAL, SIG_LENGTH, SIG_NONCANONICAL, SIG_WEAK or SIG_INVALID.
 */
export function verifyStrict(
  message: Uint8Array,
  signature: Uint8Array,
  key: Uint8Array,
): Verdict<true> {
  const checked = checkKey(key)
  if (!checked.ok) return checked
  if (signature.length !== SIGNATURE_BYTES) {
    return refuse('SIG_LENGTH', 'a signature is 64 bytes', {
      limit: SIGNATURE_BYTES,
      got: signature.length,
    })
  }
  if (!isBelowOrder(signature.subarray(32))) {
    return refuse('SIG_NONCANONICAL', 'the scalar S of the signature is not below the group order')
  }
  const point = signature.subarray(0, 32)
  if (isLowOrder(point)) return refuse('SIG_WEAK', 'the point R of the signature is of low order')
  if (!isCanonical(point)) {
    return refuse('SIG_WEAK', 'the point R of the signature is not canonically encoded')
  }
  return verifyBare(message, signature, key)
    ? accept(true)
    : refuse('SIG_INVALID', 'the signature does not fit key and bytes')
}

/** Checks that a public key may sign at all. Fails with KEY_WEAK or KEY_NONCANONICAL. */
export function checkKey(key: Uint8Array): Verdict<true> {
  if (key.length !== KEY_BYTES) {
    return refuse('KEY_NONCANONICAL', 'a public key is 32 bytes', {
      limit: KEY_BYTES,
      got: key.length,
    })
  }
  if (isLowOrder(key)) return refuse('KEY_WEAK', 'the public key is of low order')
  if (!isCanonical(key)) {
    return refuse('KEY_NONCANONICAL', 'the public key is not canonically encoded')
  }
  return accept(true)
}

const ascii = new TextEncoder()
const TAGS = new Map<SignedType, Uint8Array>()

/** The type and a NUL, which no type holds, stand before the payload. */
function signedBytes(type: SignedType, payload: Uint8Array): Uint8Array {
  let tag = TAGS.get(type)
  if (tag === undefined) {
    tag = ascii.encode(`zoarium/v1/${type}\0`)
    TAGS.set(type, tag)
  }
  return concat([tag, payload])
}

/** S < L; S is little-endian. */
const isBelowOrder = (scalar: Uint8Array): boolean =>
  compareBytes(scalar.toReversed(), GROUP_ORDER) < 0

/** y < p = 2^255 - 19, the top bit being the sign of x. */
function isCanonical(point: Uint8Array): boolean {
  // SAFE: points have 32 bytes.
  if (((point[31] as number) & 0x7f) !== 0x7f) return true
  for (let i = 1; i < 31; i++) if (point[i] !== 0xff) return true
  return (point[0] as number) < 0xed
}

/** Whether a point is one of the 14 low-order encodings: seven y coordinates, either sign. */
function isLowOrder(point: Uint8Array): boolean {
  return LOW_ORDER.some((low) => {
    for (let i = 0; i < 31; i++) if (point[i] !== low[i]) return false
    // SAFE: points have 32 bytes.
    return ((point[31] as number) & 0x7f) === low[31]
  })
}

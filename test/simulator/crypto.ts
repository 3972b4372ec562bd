/**
 * What the simulator loads in place of protocol/crypto.ts (replace.ts says how): the same functions,
 * and a book of all that was ever signed. In most seeds a keyed hash stands in for Ed25519, 50 times
 * as fast; nothing of the strict rule of signature.ts is left out. Chance that is not the seed's is
 * refused.
 */
import * as real from '../../protocol/crypto.ts'

export { createSha256, type Sha256, sha256 } from '../../protocol/crypto.ts'

export type SignatureScheme = 'ed25519' | 'hash'

let scheme: SignatureScheme = 'ed25519'
/** Overrides the verdict on signatures, for the proof that the invariants would notice. */
let isBlind = false
const keys = new Map<string, Uint8Array>()

interface Entry {
  readonly message: Uint8Array
  readonly key: Uint8Array
  /** Whether it was verified in earnest, once. */
  isVerified: boolean
}
/** The book, by signature. */
const signed = new Map<string, Entry>()
const counts = { signatures: 0, verifications: 0 }

/** Begins a run. */
export function useScheme(
  wanted: SignatureScheme,
  options: { readonly blind?: boolean } = {},
): void {
  scheme = wanted
  isBlind = options.blind ?? false
  keys.clear()
  signed.clear()
  counts.signatures = 0
  counts.verifications = 0
}

export const cryptoCounts = (): Readonly<typeof counts> => ({ ...counts })

/** Whether the holder of a key has made a signature over a message, by the book. */
export const wasSigned = (message: Uint8Array, signature: Uint8Array, key: Uint8Array): boolean =>
  entryOf(message, signature, key) !== null

export function randomBytes(): never {
  throw new TypeError('chance that the seed does not know')
}

export function publicKeyOf(seed: Uint8Array): Uint8Array {
  const name = latin1(seed)
  let key = keys.get(name)
  if (key === undefined) {
    key = scheme === 'ed25519' ? real.publicKeyOf(seed) : point('key', seed)
    keys.set(name, key)
  }
  return key
}

export function signBare(message: Uint8Array, seed: Uint8Array): Uint8Array {
  counts.signatures++
  const key = publicKeyOf(seed)
  const signature =
    scheme === 'ed25519' ? real.signBare(message, seed) : hashSignature(message, key)
  signed.set(latin1(signature), { message, key, isVerified: false })
  return signature
}

export function verifyBare(message: Uint8Array, signature: Uint8Array, key: Uint8Array): boolean {
  counts.verifications++
  if (isBlind) return true
  const entry = entryOf(message, signature, key)
  if (entry?.isVerified) return true
  const isValid =
    scheme === 'ed25519'
      ? real.verifyBare(message, signature, key)
      : latin1(hashSignature(message, key)) === latin1(signature)
  if (isValid && entry !== null) entry.isVerified = true
  return isValid
}

/** Anybody could make one; no strategy does, as none could make the real one. */
function hashSignature(message: Uint8Array, key: Uint8Array): Uint8Array {
  const signature = new Uint8Array(64)
  const r = point('r', key, message)
  const s = point('s', r)
  // Below the group order.
  s[31] = 0
  signature.set(r)
  signature.set(s, 32)
  return signature
}

/** 32 bytes that pass for a canonical point. */
function point(name: string, ...parts: readonly Uint8Array[]): Uint8Array {
  const hash = real.createSha256()
  hash.update(Buffer.from(name))
  for (const part of parts) hash.update(part)
  const bytes = new Uint8Array(hash.digest())
  // SAFE: a digest has 32 bytes.
  bytes[31] = (bytes[31] as number) & 0x3f
  return bytes
}

/** Bytes as a text that is equal where they are. */
export const latin1 = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')

function entryOf(message: Uint8Array, signature: Uint8Array, key: Uint8Array): Entry | null {
  const entry = signed.get(latin1(signature))
  const isSame =
    entry !== undefined &&
    Buffer.compare(entry.message, message) === 0 &&
    Buffer.compare(entry.key, key) === 0
  return isSame ? entry : null
}

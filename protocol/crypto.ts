/**
 * The one seam through which cryptography enters: the only file of this floor that imports a
 * `node:` module. A page replaces this file with one of the same functions.
 *
 * `verifyBare` follows the platform, and platforms disagree on crafted input; signature.ts checks
 * the strict rule first and is the only caller.
 */
import { Buffer } from 'node:buffer'
import crypto, { type KeyObject } from 'node:crypto'

/** Keys whose parsed form is kept; parsing costs a third of a verification. */
const MAX_CACHED_KEYS = 1024
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex')
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex')

/** SHA-256, 32 bytes. */
export function sha256(bytes: Uint8Array): Uint8Array {
  return crypto.hash('sha256', bytes, 'buffer')
}

/** An incremental SHA-256. */
export interface Sha256 {
  update(bytes: Uint8Array): void
  digest(): Uint8Array
}

export function createSha256(): Sha256 {
  const hash = crypto.createHash('sha256')
  return { update: (bytes) => void hash.update(bytes), digest: () => hash.digest() }
}

export const randomBytes = (length: number): Uint8Array => crypto.randomBytes(length)

const publicKeys = new Map<string, KeyObject>()

function publicKeyObject(key: Uint8Array): KeyObject {
  const id = Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString('latin1')
  let object = publicKeys.get(id)
  if (object === undefined) {
    object = crypto.createPublicKey({
      key: Buffer.concat([SPKI_PREFIX, key]),
      format: 'der',
      type: 'spki',
    })
    if (publicKeys.size >= MAX_CACHED_KEYS) publicKeys.clear()
    publicKeys.set(id, object)
  }
  return object
}

const privateKeyObject = (seed: Uint8Array): KeyObject =>
  crypto.createPrivateKey({
    key: Buffer.concat([PKCS8_PREFIX, seed]),
    format: 'der',
    type: 'pkcs8',
  })

/** The Ed25519 public key (32 bytes) of a 32-byte seed. RFC 8032. */
export function publicKeyOf(seed: Uint8Array): Uint8Array {
  const spki = crypto
    .createPublicKey(privateKeyObject(seed))
    .export({ format: 'der', type: 'spki' })
  return new Uint8Array(spki.subarray(SPKI_PREFIX.length))
}

/** An Ed25519 signature, 64 bytes, over `message` by the key of a 32-byte seed. RFC 8032. */
export function signBare(message: Uint8Array, seed: Uint8Array): Uint8Array {
  return crypto.sign(null, message, privateKeyObject(seed))
}

/** The platform's own verdict. Lengths must be 64 and 32. */
export function verifyBare(message: Uint8Array, signature: Uint8Array, key: Uint8Array): boolean {
  try {
    return crypto.verify(null, message, publicKeyObject(key), signature)
  } catch {
    return false
  }
}

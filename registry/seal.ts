/**
 * A seal on private keys at rest: scrypt makes a key of a passphrase or of the bytes of a key file,
 * and a NaCl secretbox (XSalsa20, Poly1305) locks the text. It guards copies and backups of the folder; who can read the
 * memory of the running node has the keys all the same.
 */
import { Buffer } from 'node:buffer'
import { scryptSync } from 'node:crypto'
import nacl from 'tweetnacl'
import { randomBytes } from '../protocol/crypto.ts'
import { ZoariumError } from '../protocol/errors.ts'

/** What one guess of a passphrase costs: 128 * n * r bytes, and time in proportion. */
export interface SealCost {
  readonly n: number
  readonly r: number
  readonly p: number
}

/** 128 MiB and half a second. */
export const SEAL_COST: SealCost = { n: 2 ** 17, r: 8, p: 1 }
/** Most memory that a file may ask for, in bytes: room for a dearer cost later. */
const MAX_SEAL_MEMORY = 1024 ** 3

/** What opens a seal: words that a person knows, or the bytes of a file on another disk. */
export type SealSecret =
  | { readonly by: 'passphrase'; readonly text: string }
  | { readonly by: 'key-file'; readonly bytes: Uint8Array }
export type SealKind = SealSecret['by']

/** As it stands in a file; bytes as base64. */
export interface Sealed extends SealCost {
  readonly by: SealKind
  readonly kdf: 'scrypt'
  readonly box: 'xsalsa20-poly1305'
  readonly salt: string
  readonly nonce: string
  readonly sealed: string
}

interface Derived {
  readonly cost: SealCost
  readonly salt: Uint8Array
  readonly key: Uint8Array
}

export class Seal {
  readonly #by: SealKind
  readonly #password: string | Uint8Array
  readonly #cost: SealCost
  /** One for all files, so that a start costs one derivation. */
  #derived: Derived | null = null

  /** @throws ZoariumError KEY_SEALED for an empty passphrase */
  constructor(secret: SealSecret, cost = SEAL_COST) {
    // The same letters whatever keyboard or system they were typed on.
    const password = secret.by === 'passphrase' ? secret.text.normalize('NFC') : secret.bytes
    if (password.length === 0)
      throw new ZoariumError('KEY_SEALED', `the ${nameOf(secret.by)} is empty`)
    this.#by = secret.by
    this.#password = password
    this.#cost = cost
  }

  close(text: string): Sealed {
    this.#derived ??= this.#derive(this.#cost, randomBytes(16))
    const { cost, salt, key } = this.#derived
    const nonce = new Uint8Array(randomBytes(nacl.secretbox.nonceLength))
    const sealed = nacl.secretbox(new TextEncoder().encode(text), nonce, key)
    const names = { by: this.#by, kdf: 'scrypt', box: 'xsalsa20-poly1305' } as const
    return { ...names, ...cost, salt: base64(salt), nonce: base64(nonce), sealed: base64(sealed) }
  }

  /** @returns null where it is not a sealed text; @throws ZoariumError KEY_SEALED */
  open(value: unknown): string | null {
    const fields = readSealed(value)
    if (fields === null) return null
    const { by, cost, salt, nonce, sealed } = fields
    if (by !== this.#by) {
      const message = `the private keys are sealed under a ${nameOf(by)}, not a ${nameOf(this.#by)}`
      throw new ZoariumError('KEY_SEALED', message)
    }
    const derived = this.#reuse(cost, salt) ?? this.#derive(cost, salt)
    const text = nacl.secretbox.open(sealed, nonce, derived.key)
    if (text === null) {
      throw new ZoariumError('KEY_SEALED', `the ${nameOf(by)} does not open the private keys`)
    }
    this.#derived = derived
    return new TextDecoder().decode(text)
  }

  #reuse({ n, r, p }: SealCost, salt: Uint8Array): Derived | null {
    const known = this.#derived
    if (known === null || base64(known.salt) !== base64(salt)) return null
    const { cost } = known
    return cost.n === n && cost.r === r && cost.p === p ? known : null
  }

  #derive(cost: SealCost, salt: Uint8Array): Derived {
    const { n, r, p } = cost
    // Its own memory and a little for the rest.
    const maxmem = 128 * n * r + 1024 ** 2 * (1 + p)
    const key = scryptSync(this.#password, salt, 32, { N: n, r, p, maxmem })
    return { cost, salt, key: new Uint8Array(key) }
  }
}

/** Under what a text is sealed; null where it is not a sealed text. */
export const sealKindOf = (value: unknown): SealKind | null => readSealed(value)?.by ?? null

function readSealed(value: unknown) {
  const {
    by = 'passphrase',
    kdf,
    box,
    n,
    r,
    p,
    salt,
    nonce,
    sealed,
  } = (value ?? {}) as Record<string, unknown>
  if (by !== 'passphrase' && by !== 'key-file') return null
  if (kdf !== 'scrypt' || box !== 'xsalsa20-poly1305') return null
  if (!isCost(n) || !isCost(r) || !isCost(p)) return null
  // scrypt takes powers of two only.
  if (n < 2 || Math.log2(n) % 1 !== 0 || p > 16 || 128 * n * r > MAX_SEAL_MEMORY) return null
  const [saltBytes, nonceBytes, sealedBytes] = [salt, nonce, sealed].map(bytesOf)
  if (!saltBytes || !nonceBytes || !sealedBytes) return null
  if (nonceBytes.length !== nacl.secretbox.nonceLength) return null
  return {
    by: by as SealKind,
    cost: { n, r, p },
    salt: saltBytes,
    nonce: nonceBytes,
    sealed: sealedBytes,
  }
}

const nameOf = (by: SealKind): string => (by === 'passphrase' ? 'passphrase' : 'key file')

const isCost = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) > 0

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')

const bytesOf = (value: unknown): Uint8Array | null =>
  typeof value === 'string' ? new Uint8Array(Buffer.from(value, 'base64')) : null

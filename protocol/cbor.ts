/**
 * The one encoding of everything that is signed or sent: `zoarium-cbor-1`, a narrow DAG-CBOR.
 * docs/protocol.md, "Encoding".
 *
 * The decoder reads a value and proves in the same pass that no other bytes mean the same, so
 * nothing is encoded again for comparison. General DAG-CBOR decoders let several spellings of one
 * value through; test/protocol/cbor.test.ts holds this one against `@ipld/dag-cbor`.
 */
import * as dagCbor from '@ipld/dag-cbor'
import type { CID } from 'multiformats/cid'
import { CID_BYTES, codecOfBytes, linkOfBytes } from './cid.ts'
import {
  accept,
  assert,
  type Code,
  type Detail,
  type Failure,
  refuse,
  type Verdict,
} from './errors.ts'
import { MAX_CBOR_DEPTH } from './limits.ts'

export type CborValue =
  | null
  | boolean
  | number
  | string
  | Uint8Array
  | CID
  | readonly CborValue[]
  | CborMap
export interface CborMap {
  readonly [key: string]: CborValue
}

/** Keys that JavaScript gives a meaning of its own. */
const RESERVED_KEYS: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype'])
/** Keys whose value may be a dag-pb link: a file's and a folder's content id. */
const FILE_LINK_KEYS: ReadonlySet<string> = new Set(['cid', 'root'])
/** Where dag-pb links may stand: under those keys, or, in the header of a CAR file, in a list. */
type FileLinks = 'by key' | 'anywhere'
/** Up to here text is decoded here; the platform's decoder costs more to call than that. */
const SHORT_TEXT_BYTES = 64
const LINK_TAG = 42

interface KnownKey {
  readonly bytes: Uint8Array
  readonly key: string
}
/**
 * Keys that were found good, by a hash of their bytes: of a few dozen names all messages are made, and
 * to look one up takes a third of the time of reading it. A slot holds the last one.
 */
const KNOWN_KEYS: (KnownKey | undefined)[] = Array.from({ length: 512 }, () => undefined)

/** Keeps a byte order mark, so that what was read is what is written. */
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * Encodes a value of the profile. A value outside of it (floats, undefined, keys or links that
 * {@link decode} refuses) is a bug of the caller and throws.
 */
export function encode(value: CborValue, fileLinks: FileLinks = 'by key'): Uint8Array {
  const bytes = plain(dagCbor.encode(value))
  const verdict = decode(bytes, Number.POSITIVE_INFINITY, fileLinks)
  assert(verdict.ok, verdict.ok ? '' : `cannot encode: ${verdict.message}`)
  return bytes
}

/**
 * Decodes exactly one value. Byte strings and links are views of `bytes`.
 *
 * Fails with LIMIT, TRUNCATED, TRAILING, DEPTH, CBOR_NONCANONICAL, CBOR_FLOAT, CBOR_SIMPLE,
 * INT_RANGE, UTF8, KEY_RESERVED or CID_PROFILE.
 *
 * @param maxBytes refused before anything is read
 */
export function decode(
  bytes: Uint8Array,
  maxBytes = Number.POSITIVE_INFINITY,
  fileLinks: FileLinks = 'by key',
): Verdict<CborValue> {
  if (bytes.length > maxBytes) {
    return refuse('LIMIT', 'more bytes than allowed', { limit: maxBytes, got: bytes.length })
  }
  const reader = new Reader(plain(bytes), fileLinks)
  const value = reader.value(0, false)
  if (value === undefined) return reader.refusal()
  if (reader.position < bytes.length) {
    return refuse('TRAILING', 'bytes follow the end of the value', {
      got: bytes.length - reader.position,
    })
  }
  return accept(value)
}

/** Whether a decoded value is a map: not a list, bytes or a link. */
export const isMap = (value: CborValue): value is CborMap =>
  typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype

/** Node's Buffers become plain arrays, so that values do not depend on who read the bytes. */
const plain = (bytes: Uint8Array): Uint8Array =>
  bytes.constructor === Uint8Array
    ? bytes
    : new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)

/** Methods return undefined, which no value is, once `failure` is set. */
class Reader {
  readonly #bytes: Uint8Array
  readonly #fileLinks: FileLinks
  #failure: Failure | null = null
  position = 0

  constructor(bytes: Uint8Array, fileLinks: FileLinks) {
    this.#bytes = bytes
    this.#fileLinks = fileLinks
  }

  /** @param fileLink whether a dag-pb link may stand here */
  value(depth: number, fileLink: boolean): CborValue | undefined {
    const start = this.position
    const head = this.#bytes[start]
    if (head === undefined) return this.#fail('TRUNCATED', 'a value is missing', start)
    const major = head >> 5
    if (major === 7) return this.#simple(head, start)
    const argument = this.#argument(head)
    if (argument === undefined) return undefined
    switch (major) {
      case 0:
        return argument <= Number.MAX_SAFE_INTEGER ? argument : this.#range(start)
      case 1:
        // -1 - n must not go below -(2^53-1).
        return argument < Number.MAX_SAFE_INTEGER ? -1 - argument : this.#range(start)
      case 2:
        return this.#take(argument, start)
      case 3:
        return this.#text(argument, start)
      case 4:
        return this.#list(argument, depth, start)
      case 5:
        return this.#map(argument, depth, start)
      default:
        return this.#link(argument, fileLink, start)
    }
  }

  refusal(): Failure {
    assert(this.#failure !== null, 'no failure')
    return this.#failure
  }

  #fail(code: Code, message: string, at: number, detail: Detail = {}): undefined {
    this.#failure = refuse(code, `${message}, at byte ${at}`, detail)
    return undefined
  }

  #range(at: number): undefined {
    return this.#fail('INT_RANGE', 'an integer beyond 2^53-1', at, {
      limit: Number.MAX_SAFE_INTEGER,
    })
  }

  #simple(head: number, at: number): CborValue | undefined {
    this.position++
    if (head === 0xf4) return false
    if (head === 0xf5) return true
    if (head === 0xf6) return null
    if (head >= 0xf9 && head <= 0xfb) return this.#fail('CBOR_FLOAT', 'a floating point number', at)
    if (head === 0xff) return this.#fail('CBOR_NONCANONICAL', 'a break without a beginning', at)
    return this.#fail('CBOR_SIMPLE', 'undefined or another simple value', at)
  }

  /** The number after the first byte: a value, length, count or tag. May be inexact above 2^53. */
  #argument(head: number): number | undefined {
    const at = this.position++
    const info = head & 31
    if (info < 24) return info
    if (info > 27) {
      return this.#fail('CBOR_NONCANONICAL', 'an indefinite length or a reserved head', at)
    }
    const width = 1 << (info - 24)
    if (at + width >= this.#bytes.length) return this.#fail('TRUNCATED', 'a head ends early', at)
    let argument = 0
    for (let i = 0; i < width; i++) {
      // SAFE: the length was checked above.
      argument = argument * 256 + (this.#bytes[this.position++] as number)
    }
    // Each width begins where the one before ends: 24, 2^8, 2^16, 2^32.
    const least = width === 1 ? 24 : 2 ** (4 * width)
    return argument >= least
      ? argument
      : this.#fail('CBOR_NONCANONICAL', 'a number longer than it need be', at)
  }

  #take(length: number, at: number): Uint8Array | undefined {
    const from = this.position
    if (length > this.#bytes.length - from) {
      return this.#fail('TRUNCATED', 'a string ends early', at)
    }
    this.position = from + length
    return this.#bytes.subarray(from, this.position)
  }

  #text(length: number, at: number): string | undefined {
    const bytes = this.#bytes
    const from = this.position
    if (length <= SHORT_TEXT_BYTES && length <= bytes.length - from) {
      const end = from + length
      let text = ''
      let i = from
      for (; i < end; i++) {
        // SAFE: i is below the length.
        const byte = bytes[i] as number
        if (byte > 0x7f) break
        text += String.fromCharCode(byte)
      }
      if (i === end) {
        this.position = end
        return text
      }
    }
    const taken = this.#take(length, at)
    if (taken === undefined) return undefined
    try {
      return utf8.decode(taken)
    } catch {
      return this.#fail('UTF8', 'text is not valid UTF-8', at)
    }
  }

  /** Whether `count` more items of at least `itemBytes` fit, before anything is allocated. */
  #fits(count: number, itemBytes: number, depth: number, at: number): boolean {
    if (depth >= MAX_CBOR_DEPTH) {
      this.#fail('DEPTH', 'nested too deep', at, { limit: MAX_CBOR_DEPTH })
    } else if (count * itemBytes > this.#bytes.length - this.position) {
      this.#fail('TRUNCATED', 'fewer items than announced', at)
    } else {
      return true
    }
    return false
  }

  #list(count: number, depth: number, at: number): CborValue[] | undefined {
    if (!this.#fits(count, 1, depth, at)) return undefined
    const items: CborValue[] = []
    for (let i = 0; i < count; i++) {
      const item = this.value(depth + 1, false)
      if (item === undefined) return undefined
      items.push(item)
    }
    return items
  }

  #map(count: number, depth: number, at: number): CborMap | undefined {
    if (!this.#fits(count, 2, depth, at)) return undefined
    const map: Record<string, CborValue> = {}
    let lastFrom = 0
    let lastTo = 0
    for (let i = 0; i < count; i++) {
      const keyAt = this.position
      const head = this.#bytes[keyAt]
      if (head === undefined) return this.#fail('TRUNCATED', 'a key is missing', keyAt)
      if (head >> 5 !== 3) return this.#fail('CBOR_NONCANONICAL', 'a key that is not text', keyAt)
      const length = this.#argument(head)
      if (length === undefined) return undefined
      const from = this.position
      const slot = this.#slotOf(length)
      const known = this.#knownKey(slot, length)
      const key = known ?? this.#text(length, keyAt)
      if (key === undefined) return undefined
      if (i > 0) {
        const order = this.#compareKeys(lastFrom, lastTo, from, this.position)
        if (order === 0) return this.#fail('CBOR_NONCANONICAL', 'a key stands twice', keyAt)
        if (order > 0) return this.#fail('CBOR_NONCANONICAL', 'keys are not in order', keyAt)
      }
      lastFrom = from
      lastTo = this.position
      if (known === undefined) {
        if (RESERVED_KEYS.has(key) || hasControls(key)) {
          return this.#fail('KEY_RESERVED', 'a reserved key', keyAt)
        }
        if (length <= SHORT_TEXT_BYTES) {
          KNOWN_KEYS[slot] = { bytes: this.#bytes.slice(from, lastTo), key }
        }
      }
      const value = this.value(depth + 1, FILE_LINK_KEYS.has(key))
      if (value === undefined) return undefined
      map[key] = value
    }
    return map
  }

  /** Where the key of so many bytes that stands next is kept. */
  #slotOf(length: number): number {
    const bytes = this.#bytes
    const end = Math.min(this.position + Math.min(length, SHORT_TEXT_BYTES), bytes.length)
    let hash = length
    // SAFE: the end lies in the bytes.
    for (let i = this.position; i < end; i++)
      hash = (Math.imul(hash, 31) + (bytes[i] as number)) | 0
    return (hash ^ (hash >>> 9)) & (KNOWN_KEYS.length - 1)
  }

  #knownKey(slot: number, length: number): string | undefined {
    const known = KNOWN_KEYS[slot]
    if (known === undefined || known.bytes.length !== length) return undefined
    const from = this.position
    for (let i = 0; i < length; i++) if (this.#bytes[from + i] !== known.bytes[i]) return undefined
    this.position = from + length
    return known.key
  }

  /** Shorter keys first, equal lengths by their bytes. */
  #compareKeys(aFrom: number, aTo: number, bFrom: number, bTo: number): number {
    const length = aTo - aFrom
    if (length !== bTo - bFrom) return length - (bTo - bFrom)
    for (let i = 0; i < length; i++) {
      // SAFE: both ranges were read already.
      const difference = (this.#bytes[aFrom + i] as number) - (this.#bytes[bFrom + i] as number)
      if (difference !== 0) return difference
    }
    return 0
  }

  /** Tag 42 over a byte string: a zero, then the CID. */
  #link(tag: number, fileLink: boolean, at: number): CID | undefined {
    if (tag !== LINK_TAG) return this.#fail('CBOR_NONCANONICAL', 'a tag other than 42', at)
    const head = this.#bytes[this.position]
    if (head === undefined) return this.#fail('TRUNCATED', 'a link ends early', at)
    if (head >> 5 !== 2) return this.#fail('CID_PROFILE', 'a link that is not bytes', at)
    const length = this.#argument(head)
    if (length === undefined) return undefined
    const bytes = this.#take(length, at)
    if (bytes === undefined) return undefined
    const codec =
      length === CID_BYTES + 1 && bytes[0] === 0 ? codecOfBytes(bytes.subarray(1)) : null
    if (codec === null || (codec === 'dag-pb' && !fileLink && this.#fileLinks === 'by key')) {
      return this.#fail('CID_PROFILE', 'a content id outside the profile', at, {
        limit: 'CIDv1, sha2-256, raw or dag-cbor; dag-pb as "cid" or "root" only',
      })
    }
    return linkOfBytes(bytes.subarray(1))
  }
}

/** Controls in keys are never meant, and hide keys in logs. */
function hasControls(key: string): boolean {
  for (let i = 0; i < key.length; i++) {
    const unit = key.charCodeAt(i)
    if (unit < 0x20 || (unit >= 0x7f && unit < 0xa0)) return true
  }
  return false
}

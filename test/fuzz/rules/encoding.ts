/**
 * What docs/protocol.md says of the encoding, a second time and by another road: a reader that takes
 * any spelling, a writer that knows one, and a comparison of both. Nothing here comes from protocol/,
 * so that both do not share a mistake. (General codecs drop byte order marks, among others.)
 */
import { isUtf8 } from 'node:buffer'
import { CID } from 'multiformats/cid'
import { encodeValue, type Value } from '../loose-cbor.ts'

/** What is wrong, or null. */
export type Fault = string | null

const DEPTH = 16

/** Reads bytes of the encoding: the value, or what is wrong with them. */
export function readEncoded(
  bytes: Uint8Array,
): { readonly value: Value } | { readonly fault: string } {
  const reader = new Reader(bytes)
  try {
    const value = reader.read(0)
    const again = encodeValue(value)
    if (Buffer.compare(bytes, again) !== 0) return { fault: 'not the one encoding of its value' }
    const fault = faultOf(value, 0, '')
    return fault === null ? { value } : { fault }
  } catch (error) {
    if (error instanceof Unreadable) return { fault: error.message }
    throw error
  }
}

class Unreadable extends Error {}

/** Reads any definite CBOR, well or badly spelled; what is badly spelled is not written so again. */
class Reader {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  read(depth: number): Value {
    if (depth > DEPTH + 1) throw new Unreadable('nested too deep')
    const head = this.#take(1)[0] ?? 0
    const [major, info] = [head >> 5, head & 31]
    if (info > 27) throw new Unreadable('an indefinite length or a reserved head')
    const argument = info < 24 ? BigInt(info) : this.#number(1 << (info - 24))
    if (major === 7) return simple(info, argument)
    if (major === 0) return small(argument)
    if (major === 1) return small(-1n - argument)
    if (major === 6) return this.#link(argument, depth)
    const count = Number(argument)
    if (major === 2) return new Uint8Array(this.#take(count))
    if (major === 3) return this.#text(count)
    if (count > this.#bytes.length - this.#at) throw new Unreadable('more items than bytes')
    if (major === 4) return Array.from({ length: count }, () => this.read(depth + 1))
    const map: { [key: string]: Value } = Object.create(null)
    for (let n = 0; n < count; n++) {
      const key = this.read(depth + 1)
      if (typeof key !== 'string') throw new Unreadable('a key that is not text')
      if (Object.hasOwn(map, key)) throw new Unreadable('a key stands twice')
      map[key] = this.read(depth + 1)
    }
    return map
  }

  #take(length: number): Buffer {
    const piece = this.#bytes.subarray(this.#at, this.#at + length)
    if (piece.length < length) throw new Unreadable('the bytes end early')
    this.#at += length
    return piece
  }

  #number(width: number): bigint {
    return BigInt(`0x${this.#take(width).toString('hex')}`)
  }

  #text(length: number): string {
    const piece = this.#take(length)
    if (!isUtf8(piece)) throw new Unreadable('text is not UTF-8')
    return piece.toString('utf8')
  }

  #link(tag: bigint, depth: number): CID {
    const content = this.read(depth)
    if (tag !== 42n || !(content instanceof Uint8Array) || content[0] !== 0) {
      throw new Unreadable('a tag that makes no link')
    }
    try {
      return CID.decode(content.subarray(1))
    } catch {
      throw new Unreadable('a link that is no content id')
    }
  }
}

/** Also as a float: what has a point is not written so again. */
function simple(info: number, argument: bigint): Value {
  if (info === 20 || info === 21) return info === 21
  if (info === 22) return null
  throw new Unreadable(info > 24 ? `a float of ${argument}` : 'another simple value')
}

const small = (value: bigint): Value =>
  Number.isSafeInteger(Number(value)) ? Number(value) : value

/** @param key under which the value stands in its map */
function faultOf(value: unknown, depth: number, key: string): Fault {
  if (value === null || typeof value === 'boolean') return null
  if (typeof value === 'number') {
    return Number.isSafeInteger(value) && !Object.is(value, -0)
      ? null
      : 'a float or a large integer'
  }
  if (typeof value === 'string') return value.isWellFormed() ? null : 'text with lone surrogates'
  if (value instanceof Uint8Array) return null
  if (typeof value !== 'object') return `a value of type ${typeof value}`
  const link = CID.asCID(value)
  if (link !== null) return linkFault(link, key === 'cid' || key === 'root')
  if (depth >= DEPTH) return 'nested too deep'
  if (Array.isArray(value)) return first(value.map((item) => faultOf(item, depth + 1, '')))
  return first(
    Object.entries(value).map(([name, item]) => keyFault(name) ?? faultOf(item, depth + 1, name)),
  )
}

function keyFault(key: string): Fault {
  if (key === '__proto__' || key === 'constructor' || key === 'prototype') return 'a reserved key'
  return /\p{Cc}/u.test(key) ? 'a key with control characters' : null
}

function linkFault({ version, code, multihash }: CID, mayBeFile: boolean): Fault {
  if (version !== 1) return 'a content id of another version'
  if (multihash.code !== 0x12 || multihash.digest.length !== 32) return 'another hash than sha2-256'
  if (code === 0x55 || code === 0x71) return null
  return code === 0x70 && mayBeFile ? null : 'another codec'
}

/** The first fault of several. */
export const first = (faults: readonly Fault[]): Fault =>
  faults.find((each) => each !== null) ?? null

/**
 * Writes CBOR that need not be canonical: values as `@ipld/dag-cbor` would, with one slip where the
 * fuzzer wants it. Own code, so that nothing of the codec under test makes its own mutants.
 */
import { CID } from 'multiformats/cid'
import { concat } from '../../protocol/bytes.ts'
import type { Random } from './random.ts'

const utf8 = new TextEncoder()

export type Value =
  | null
  | undefined
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | CID
  | Value[]
  | { [key: string]: Value }

/** Encodes a value canonically. */
export const encodeValue = (value: Value): Uint8Array => new Writer(-1, null).write(value)

/** Encodes a value with one slip at a random place in it. */
export function encodeWithSlip(value: Value, random: Random): Uint8Array {
  const counter = new Writer(-1, null)
  counter.write(value)
  return new Writer(random.below(counter.places), random).write(value)
}

class Writer {
  readonly #slipAt: number
  readonly #random: Random | null
  /** Values written so far. */
  places = 0

  constructor(slipAt: number, random: Random | null) {
    this.#slipAt = slipAt
    this.#random = random
  }

  write(value: Value): Uint8Array {
    const random = this.places++ === this.#slipAt ? this.#random : null
    if (random?.once(4)) return this.#other(value, random)
    if (value === null) return Uint8Array.of(0xf6)
    if (value === undefined) return Uint8Array.of(0xf7)
    if (typeof value === 'boolean') return Uint8Array.of(value ? 0xf5 : 0xf4)
    if (typeof value === 'bigint') return integer(value, random)
    if (typeof value === 'number') {
      return Number.isSafeInteger(value) ? integer(BigInt(value), random) : float(value)
    }
    if (typeof value === 'string') return string(3, utf8.encode(value), random)
    if (value instanceof Uint8Array) return string(2, value, random)
    if (value instanceof CID) {
      const bytes = concat([Uint8Array.of(0), value.bytes])
      return concat([head(6, 42n, random?.once(2) ? random : null), string(2, bytes, random)])
    }
    if (Array.isArray(value)) {
      return collection(
        4,
        value.length,
        value.map((item) => this.write(item)),
        random,
      )
    }
    const entries = Object.entries(value).map(([key, each]) => [utf8.encode(key), each] as const)
    entries.sort(([a], [b]) => a.length - b.length || Buffer.compare(a, b))
    const parts = entries.map(([key, each]) => concat([string(3, key, null), this.write(each)]))
    if (random !== null && parts.length > 1) {
      const at = random.below(parts.length - 1)
      const [first, second] = [parts[at], parts[at + 1]] as [Uint8Array, Uint8Array]
      if (random.once(2)) parts.splice(at, 2, second, first)
      else parts.splice(at, 0, first)
      return collection(5, parts.length, parts, null)
    }
    return collection(5, parts.length, parts, random)
  }

  /** The same value in a coat that readers may take off: a tag, a float, a trailing byte. */
  #other(value: Value, random: Random): Uint8Array {
    const plain = new Writer(-1, null).write(value)
    switch (random.below(5)) {
      case 0:
        return concat([head(6, BigInt(random.pick([0, 2, 24, 42, 55799])), null), plain])
      case 1:
        return typeof value === 'number' ? float(value) : Uint8Array.of(0xf7)
      case 2:
        return concat([plain, Uint8Array.of(random.next() & 255)])
      case 3:
        return Uint8Array.of(random.pick([0xe0, 0xf3, 0xf7, 0xff, 0x1c, 0x5f, 0x9f, 0xbf]))
      default:
        return float(random.pick([0, -0, 1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 60]))
    }
  }
}

const integer = (value: bigint, random: Random | null): Uint8Array =>
  value < 0n ? head(1, -1n - value, random) : head(0, value, random)

function float(value: number): Uint8Array {
  const bytes = new Uint8Array(9)
  bytes[0] = 0xfb
  new DataView(bytes.buffer).setFloat64(1, value)
  return bytes
}

function string(major: number, bytes: Uint8Array, random: Random | null): Uint8Array {
  if (random?.once(3)) {
    // In one chunk of indefinite length.
    return concat([
      Uint8Array.of((major << 5) | 31),
      head(major, BigInt(bytes.length), null),
      bytes,
      Uint8Array.of(0xff),
    ])
  }
  return concat([head(major, BigInt(bytes.length), random), bytes])
}

function collection(
  major: number,
  count: number,
  parts: readonly Uint8Array[],
  random: Random | null,
): Uint8Array {
  if (random?.once(3)) {
    return concat([Uint8Array.of((major << 5) | 31), ...parts, Uint8Array.of(0xff)])
  }
  const stated = random?.once(3) ? count + random.pick([-1, 1, 2 ** 31]) : count
  return concat([head(major, BigInt(Math.max(0, stated)), random), ...parts])
}

/** A major type and its argument; with `random` in a longer form than need be. */
function head(major: number, argument: bigint, random: Random | null): Uint8Array {
  const shortest =
    argument < 24n ? 0 : argument < 256n ? 1 : argument < 65536n ? 2 : argument < 2n ** 32n ? 4 : 8
  const longer = [1, 2, 4, 8].filter((width) => width > shortest)
  const width = random === null || longer.length === 0 ? shortest : random.pick(longer)
  if (width === 0) return Uint8Array.of((major << 5) | Number(argument))
  const bytes = new Uint8Array(1 + width)
  bytes[0] = (major << 5) | (24 + Math.log2(width))
  for (let i = width, rest = argument; i > 0; i--, rest >>= 8n) bytes[i] = Number(rest & 255n)
  return bytes
}

/**
 * CAR files, version 1: blocks under their content ids, with one root. docs/protocol.md,
 * "CAR files". Reading is strict: one spelling of every length, ids of the profile only, each block
 * once and with the hash that its id states, nothing behind the last one.
 */
import { concat } from './bytes.ts'
import { type CborMap, decode, encode, isMap } from './cbor.ts'
import {
  bytesOf,
  CID_BYTES,
  type Cid,
  cidOfLink,
  codecOfBytes,
  isContentOf,
  linkOf,
  linkOfBytes,
} from './cid.ts'
import { accept, type Failure, refuse, type Verdict } from './errors.ts'
import { int, linkTo, list, map } from './shape.ts'

export interface Car {
  readonly root: Cid
  /** Blocks by content id, in the order of the file. */
  readonly blocks: ReadonlyMap<Cid, Uint8Array>
}

/** A length of more than 28 bits is above every bound of ours. */
export const MAX_VARINT_BYTES = 4

/** Most roots of a file: as many models as one export names, and the manifest. */
export const MAX_CAR_ROOTS = 101

const headerOf = (roots: number) =>
  map({ version: int(1, 1), roots: list(linkTo('raw', 'dag-cbor', 'dag-pb'), roots) })
const [oneRoot, manyRoots] = [headerOf(1), headerOf(MAX_CAR_ROOTS)]

/** The file of blocks under a root, which is one of them. */
export function writeCar({ root, blocks }: Car): Uint8Array {
  return concat([carHeader([root]), ...[...blocks].map(([cid, block]) => carBlock(cid, block))])
}

/** How a file begins. */
export const carHeader = (roots: readonly Cid[]): Uint8Array =>
  sectionOf(encode({ version: 1, roots: roots.map(linkOf) } satisfies CborMap, 'anywhere'))

/** One block, behind the header and other blocks. */
export const carBlock = (cid: Cid, content: Uint8Array): Uint8Array =>
  sectionOf(concat([bytesOf(cid), content]))

const sectionOf = (bytes: Uint8Array): Uint8Array => concat([varint(bytes.length), bytes])

/**
 * Reads a whole file. Blocks are views of `bytes`.
 *
 * Fails with LIMIT, TRUNCATED, CBOR_NONCANONICAL (a length that is not the shortest),
 * UNKNOWN_VERSION, CID_PROFILE, CONTENT_MISMATCH, RECORD_INVALID (a block twice, the root not among
 * the blocks, not exactly one root), and like `decode` of cbor.ts.
 */
export function readCar(bytes: Uint8Array, maxBytes: number): Verdict<Car> {
  if (bytes.length > maxBytes) {
    return refuse('LIMIT', 'the CAR file is too large', { limit: maxBytes, got: bytes.length })
  }
  const reader = new Sections(bytes)
  const first = reader.next()
  if (!first.ok) return first
  if (first.value === null) return refuse('TRUNCATED', 'the CAR file is empty')
  const root = readRoot(first.value)
  if (!root.ok) return root
  const blocks = new Map<Cid, Uint8Array>()
  for (;;) {
    const section = reader.next()
    if (!section.ok) return section
    if (section.value === null) break
    const block = readBlock(section.value)
    if (!block.ok) return block
    const { cid, content } = block.value
    if (blocks.has(cid)) return malformed('a block stands twice in the CAR file', cid)
    blocks.set(cid, content)
  }
  if (!blocks.has(root.value)) return malformed('the root is not in the CAR file', root.value)
  return accept({ root: root.value, blocks })
}

function readRoot(section: Uint8Array): Verdict<Cid> {
  const roots = readHeader(section, oneRoot)
  if (!roots.ok) return roots
  const [root] = roots.value
  return root === undefined
    ? refuse('RECORD_INVALID', 'the CAR file has no root', { field: 'roots', limit: 1, got: 0 })
    : accept(root)
}

/** The roots in a header's section. Fails like {@link readCar}. */
export function readHeader(section: Uint8Array, header = manyRoots): Verdict<readonly Cid[]> {
  const decoded = decode(section, Number.POSITIVE_INFINITY, 'anywhere')
  if (!decoded.ok) return { ...decoded, message: `not a CAR file: ${decoded.message}` }
  const version = isMap(decoded.value) ? decoded.value.version : undefined
  if (typeof version === 'number' && version !== 1) {
    return refuse('UNKNOWN_VERSION', 'a CAR file of another version', {
      field: 'version',
      limit: 1,
      got: version,
    })
  }
  const read = header.read(decoded.value, '')
  return read.ok ? accept(read.value.roots) : read
}

export interface CarBlock {
  readonly cid: Cid
  readonly content: Uint8Array
}

/** A block's section, its hash checked. Fails like {@link readCar}. */
export function readBlock(section: Uint8Array): Verdict<CarBlock> {
  if (section.length < CID_BYTES) return refuse('TRUNCATED', 'a block without its content id')
  const id = section.subarray(0, CID_BYTES)
  if (codecOfBytes(id) === null) {
    return refuse('CID_PROFILE', 'a block under a content id outside the profile')
  }
  const cid = cidOfLink(linkOfBytes(id))
  const content = section.subarray(CID_BYTES)
  return isContentOf(cid, content)
    ? accept({ cid, content })
    : refuse('CONTENT_MISMATCH', 'a block does not have the hash of its id', { got: cid })
}

const malformed = (message: string, cid: Cid): Failure =>
  refuse('RECORD_INVALID', message, { got: cid })

/** The sections of a file, each behind its length. */
class Sections {
  readonly #bytes: Uint8Array
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  /** Null at the end. */
  next(): Verdict<Uint8Array | null> {
    if (this.#at === this.#bytes.length) return accept(null)
    const length = this.#length()
    if (!length.ok) return length
    const from = this.#at
    const left = this.#bytes.length - from
    if (length.value > left) {
      return refuse('TRUNCATED', 'the CAR file ends inside a block', {
        limit: length.value,
        got: left,
      })
    }
    this.#at = from + length.value
    return accept(this.#bytes.subarray(from, this.#at))
  }

  /** Unsigned LEB128 of the shortest form. */
  #length(): Verdict<number> {
    let length = 0
    for (let n = 0; n < MAX_VARINT_BYTES; n++) {
      const byte = this.#bytes[this.#at++]
      if (byte === undefined) return refuse('TRUNCATED', 'the CAR file ends inside a length')
      length += (byte & 0x7f) * 2 ** (7 * n)
      if (byte >= 0x80) continue
      if (byte === 0 && n > 0) break
      if (length === 0) return refuse('RECORD_INVALID', 'the CAR file has an empty section')
      return accept(length)
    }
    return refuse('CBOR_NONCANONICAL', 'a length of the CAR file is longer than it need be', {
      limit: `${MAX_VARINT_BYTES} bytes of the shortest form`,
    })
  }
}

function varint(value: number): Uint8Array {
  const bytes: number[] = []
  let rest = value
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80)
  return Uint8Array.from([...bytes, rest])
}

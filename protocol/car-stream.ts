/**
 * A CAR file as it comes: one block in memory at a time, as strictly read as a whole one (car.ts).
 * docs/protocol.md, "CAR files".
 */
import { concat, toHex } from './bytes.ts'
import { type CarBlock, MAX_VARINT_BYTES, readBlock, readHeader } from './car.ts'
import { CID_BYTES, type Cid, digestOf } from './cid.ts'
import { accept, type Failure, refuse, type Verdict } from './errors.ts'
import { MAX_CAR_BLOCK_BYTES } from './limits.ts'

export class CarReader {
  readonly #chunks: AsyncIterator<Uint8Array>
  readonly #seen = new Set<string>()
  #rest: Uint8Array = new Uint8Array(0)

  /** @param bytes the file in chunks of any size */
  constructor(bytes: AsyncIterable<Uint8Array>) {
    this.#chunks = bytes[Symbol.asyncIterator]()
  }

  /** The roots; to be read first. Fails like `readCar`. */
  async roots(): Promise<Verdict<readonly Cid[]>> {
    const section = await this.#section()
    if (!section.ok) return section
    if (section.value === null) return refuse('TRUNCATED', 'the CAR file is empty')
    const roots = readHeader(section.value)
    if (!roots.ok || roots.value.length > 0) return roots
    return refuse('RECORD_INVALID', 'the CAR file has no root', { field: 'roots' })
  }

  /** The next block, its hash checked; null at the end. Fails like `readCar`. */
  async block(): Promise<Verdict<CarBlock | null>> {
    const section = await this.#section()
    if (!section.ok) return section
    if (section.value === null) return accept(null)
    const block = readBlock(section.value)
    if (!block.ok) return block
    const { cid } = block.value
    const name = `${cid.slice(0, 8)}${toHex(digestOf(cid))}`
    if (this.#seen.has(name)) {
      return refuse('RECORD_INVALID', 'a block stands twice in the CAR file', { got: cid })
    }
    this.#seen.add(name)
    return block
  }

  async #section(): Promise<Verdict<Uint8Array | null>> {
    let length = 0
    for (let n = 0; ; n++) {
      if (n === MAX_VARINT_BYTES) return LONG
      if (!(await this.#fill(1))) {
        return n === 0 ? accept(null) : refuse('TRUNCATED', 'the CAR file ends inside a length')
      }
      // SAFE: one byte is there.
      const byte = this.#take(1)[0] as number
      length += (byte & 0x7f) * 2 ** (7 * n)
      if (byte >= 0x80) continue
      if (byte === 0 && n > 0) return LONG
      break
    }
    if (length === 0) return refuse('RECORD_INVALID', 'the CAR file has an empty section')
    const limit = MAX_CAR_BLOCK_BYTES + CID_BYTES
    if (length > limit) {
      return refuse('LIMIT', 'a block of the CAR file is too large', { limit, got: length })
    }
    if (await this.#fill(length)) return accept(this.#take(length))
    return refuse('TRUNCATED', 'the CAR file ends inside a block', {
      limit: length,
      got: this.#rest.length,
    })
  }

  /** @returns false where the file ends before */
  async #fill(bytes: number): Promise<boolean> {
    if (this.#rest.length >= bytes) return true
    const parts = [this.#rest]
    let size = this.#rest.length
    while (size < bytes) {
      const next = await this.#chunks.next()
      if (next.done) break
      parts.push(next.value)
      size += next.value.length
    }
    this.#rest = concat(parts)
    return size >= bytes
  }

  #take(bytes: number): Uint8Array {
    const taken = this.#rest.subarray(0, bytes)
    this.#rest = this.#rest.subarray(bytes)
    return taken
  }
}

const LONG: Failure = refuse(
  'CBOR_NONCANONICAL',
  'a length of the CAR file is longer than it need be',
  { limit: `${MAX_VARINT_BYTES} bytes of the shortest form` },
)

/**
 * Walks protobuf messages without copying or building them: the caller is shown each field and
 * decides what to open. Bounded, and strict where parsers differ.
 * Source: https://protobuf.dev/programming-guides/encoding/
 */

/** Thrown inside a walk; callers turn it into a verdict. */
export class ProtobufError extends Error {
  override readonly name = 'ProtobufError'
  readonly offset: number
  /** Whether a bound was passed; otherwise the bytes are malformed. */
  readonly isLimit: boolean
  constructor(message: string, offset: number, isLimit = false) {
    super(message)
    this.offset = offset
    this.isLimit = isLimit
  }
}

export interface FieldVisitor {
  /** A length-delimited field: bytes `start` to `end`. */
  bytes?(field: number, start: number, end: number): void
  /** A varint; values from 2^63 are negative, beyond 2^53 they are rounded. */
  varint?(field: number, value: number): void
}

const VARINT = 0
const FIXED64 = 1
const BYTES = 2
const FIXED32 = 5

export class ProtobufWalker {
  readonly #bytes: Uint8Array
  readonly #decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  /** How many more fields may be visited. */
  #budget: number

  /** @param maxFields over all walks, so that a file of tiny fields cannot hold the process */
  constructor(bytes: Uint8Array, maxFields: number) {
    this.#bytes = bytes
    this.#budget = maxFields
  }

  /** Visits the fields of the message in bytes `start` to `end`. @throws ProtobufError */
  walk(start: number, end: number, visitor: FieldVisitor): void {
    let at = start
    while (at < end) {
      this.#budget -= 1
      if (this.#budget < 0) throw new ProtobufError('too many fields', at, true)
      const tag = this.#varint(at, end)
      at = this.#next
      const field = Math.floor(tag / 8)
      if (field < 1 || field > 0x1fffffff) throw new ProtobufError('invalid field number', at)
      switch (tag % 8) {
        case VARINT: {
          const value = this.#varint(at, end)
          at = this.#next
          visitor.varint?.(field, value >= 2 ** 63 ? value - 2 ** 64 : value)
          break
        }
        case BYTES: {
          const length = this.#varint(at, end)
          at = this.#next
          if (length > end - at) throw new ProtobufError('a field is longer than what is left', at)
          visitor.bytes?.(field, at, at + length)
          at += length
          break
        }
        case FIXED64:
          at += 8
          break
        case FIXED32:
          at += 4
          break
        default:
          throw new ProtobufError('invalid wire type', at)
      }
    }
    if (at !== end) throw new ProtobufError('the bytes end within a field', end)
  }

  /** The varints packed into bytes `start` to `end`, at most `limit`. @throws ProtobufError */
  packed(start: number, end: number, limit: number): number[] {
    const values: number[] = []
    for (let at = start; at < end; at = this.#next) {
      if (values.length === limit) throw new ProtobufError('a list is too long', at, true)
      const value = this.#varint(at, end)
      values.push(value >= 2 ** 63 ? value - 2 ** 64 : value)
    }
    return values
  }

  /** The text in bytes `start` to `end`. @throws ProtobufError where it is not UTF-8 */
  text(start: number, end: number): string {
    try {
      return this.#decoder.decode(this.#bytes.subarray(start, end))
    } catch {
      throw new ProtobufError('text is not UTF-8', start)
    }
  }

  /** Where the varint that was read last ended. */
  #next = 0

  #varint(at: number, end: number): number {
    let value = 0
    let factor = 1
    for (let i = at; i < end && i < at + 10; i++) {
      // SAFE: i lies within the bytes.
      const byte = this.#bytes[i] as number
      value += (byte & 0x7f) * factor
      if (byte < 0x80) {
        this.#next = i + 1
        return value
      }
      factor *= 128
    }
    throw new ProtobufError(end - at < 10 ? 'the bytes end within a number' : 'invalid number', at)
  }
}

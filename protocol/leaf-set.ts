/**
 * Sets of a file's leaves as they cross the wire: one bit a leaf, the first leaf in the lowest bit of
 * the first byte, in as many bytes as that takes. docs/protocol.md, "Blobs".
 */
import { accept, refuse, type Verdict } from './errors.ts'

export class LeafSet {
  /** Leaves of the file. */
  readonly count: number
  readonly #bits: Uint8Array
  #size = 0

  constructor(count: number) {
    this.count = count
    this.#bits = new Uint8Array(bytesFor(count))
  }

  /** Reads a set of a file of `count` leaves. Fails with PEER at another length or unused bits. */
  static read(bits: Uint8Array, count: number): Verdict<LeafSet> {
    if (bits.length !== bytesFor(count)) {
      const detail = { limit: bytesFor(count), got: bits.length }
      return refuse('PEER', 'a set of leaves has another length', detail)
    }
    const set = new LeafSet(count)
    for (let index = 0; index < bits.length * 8; index++) {
      if (((bits[index >> 3] ?? 0) & (1 << (index & 7))) === 0) continue
      if (index >= count) return refuse('PEER', 'a set of leaves names one past the last')
      set.add(index)
    }
    return accept(set)
  }

  /** Members. */
  get size(): number {
    return this.#size
  }

  has(index: number): boolean {
    return ((this.#bits[index >> 3] ?? 0) & (1 << (index & 7))) !== 0
  }

  add(index: number): void {
    if (this.has(index)) return
    this.#bits[index >> 3] = (this.#bits[index >> 3] ?? 0) | (1 << (index & 7))
    this.#size++
  }

  delete(index: number): void {
    if (!this.has(index)) return
    this.#bits[index >> 3] = (this.#bits[index >> 3] ?? 0) & ~(1 << (index & 7))
    this.#size--
  }

  toBytes(): Uint8Array {
    return this.#bits.slice()
  }
}

const bytesFor = (count: number): number => Math.ceil(count / 8)

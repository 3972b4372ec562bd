/** Seeded randomness: the same seed gives the same numbers on every machine. */

export class Random {
  #state: number

  /** @param parts texts or numbers that name the stream, so that each mutant has one of its own */
  constructor(...parts: readonly (string | number)[]) {
    // FNV-1a, then a mixing step for each number (mulberry32).
    let hash = 0x811c9dc5
    for (const part of parts.join('\0')) {
      hash = Math.imul(hash ^ part.charCodeAt(0), 0x01000193)
    }
    this.#state = hash
  }

  /** 32 bits. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return (mixed ^ (mixed >>> 14)) >>> 0
  }

  /** A whole number from 0 to `limit - 1`. */
  below(limit: number): number {
    return Math.floor((this.next() / 2 ** 32) * limit)
  }

  /** True once in `times`. */
  once(times: number): boolean {
    return this.below(times) === 0
  }

  pick<T>(items: readonly T[]): T {
    // SAFE: callers pass at least one item.
    return items[this.below(items.length)] as T
  }

  bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.next() & 255)
  }
}

/**
 * A set of items in the order of their ids, compared by range. docs/protocol.md, "Sync".
 *
 * That two sets are equal is said by the fingerprint alone, a SHA-256 in full. Marks of ranges lead to
 * what differs: they are short, and salted by what the asker holds. Since either side asks with a salt
 * of its own, two states of a log would have to share their marks under both; where they do they part
 * with the next change of any log.
 */
import { concat } from './bytes.ts'
import { sha256 } from './crypto.ts'
import type { SetEntry } from './sync-item.ts'
import { MARK_BYTES, SALT_BYTES, SPLIT } from './sync-message.ts'

const DIGITS = Array.from({ length: SPLIT }, (_, digit) => digit.toString(16))

/** The parts of a range, in order. */
export const partsOf = (range: string): readonly string[] => DIGITS.map((digit) => range + digit)

/** What marks are salted with. */
export const saltOf = (fingerprint: Uint8Array): Uint8Array => fingerprint.subarray(0, SALT_BYTES)

/** The mark of entries in order: what a range, or a single item, is compared by. */
const markOf = (salt: Uint8Array, entries: readonly SetEntry[]): Uint8Array =>
  sha256(concat([salt, ...entries.map(({ hash }) => hash)])).subarray(0, MARK_BYTES)

/** One after the other. */
export const marksOf = (salt: Uint8Array, entries: readonly SetEntry[]): readonly Uint8Array[] =>
  entries.map((entry) => markOf(salt, [entry]))

export class SyncSet {
  readonly entries: readonly SetEntry[]
  #fingerprint: Uint8Array | null = null

  /** @param entries by id */
  constructor(entries: readonly SetEntry[]) {
    this.entries = entries
  }

  /** SHA-256 over the hashes of all items. */
  get fingerprint(): Uint8Array {
    this.#fingerprint ??= sha256(concat(this.entries.map(({ hash }) => hash)))
    return this.#fingerprint
  }

  /** The entries whose ids begin with some digits. */
  within(range: string): readonly SetEntry[] {
    return this.entries.slice(this.#first(range), this.#first(`${range}g`))
  }

  get(id: string): SetEntry | null {
    const entry = this.entries[this.#first(id)]
    return entry?.id === id ? entry : null
  }

  /** The marks of the parts of a range, in one. */
  parts(range: string, salt: Uint8Array): Uint8Array {
    return concat(partsOf(range).map((part) => markOf(salt, this.within(part))))
  }

  /** Where ids begin that are not before a text. */
  #first(text: string): number {
    let [low, high] = [0, this.entries.length]
    while (low < high) {
      const middle = (low + high) >> 1
      // SAFE: below the length.
      if ((this.entries[middle] as SetEntry).id < text) low = middle + 1
      else high = middle
    }
    return low
  }
}

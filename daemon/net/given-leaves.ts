/**
 * What this node has given to whom lately. An asker that others can serve is told so, and asks them:
 * that is how a file which many fetch at once leaves its origin about once.
 */
import type { Cid } from '../../protocol/cid.ts'
import { LeafSet } from '../../protocol/leaf-set.ts'

/** So long a leaf that was given counts as to be had from who got it. */
const GIVEN_MS = 30_000
/** Files that are remembered; those asked for last. */
const MAX_FILES = 64

interface Gift {
  readonly peer: string
  readonly at: number
}

export class GivenLeaves {
  readonly #files = new Map<Cid, Map<number, Gift>>()
  readonly #now: () => number

  /** @param now milliseconds, of any clock that only rises */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now
  }

  /** A leaf is about to be sent to a peer. */
  give(cid: Cid, index: number, peer: string): void {
    const gifts = this.#files.get(cid) ?? new Map<number, Gift>()
    this.#files.delete(cid)
    this.#files.set(cid, gifts)
    gifts.set(index, { peer, at: this.#now() })
    const [oldest] = this.#files.keys()
    if (this.#files.size > MAX_FILES && oldest !== undefined) this.#files.delete(oldest)
  }

  /** Whether others than a peer were given a leaf lately. */
  isElsewhere(cid: Cid, index: number, peer: string): boolean {
    const gift = this.#files.get(cid)?.get(index)
    return gift !== undefined && this.#isFor(gift, peer)
  }

  /** All leaves that others than a peer were given lately. */
  elsewhere(cid: Cid, leaves: number, peer: string): LeafSet {
    const set = new LeafSet(leaves)
    const gifts = this.#files.get(cid)
    for (const [index, gift] of gifts ?? []) {
      if (this.#isFor(gift, peer)) set.add(index)
      else if (gift.peer !== peer) gifts?.delete(index)
    }
    return set
  }

  #isFor(gift: Gift, peer: string): boolean {
    return gift.peer !== peer && this.#now() - gift.at < GIVEN_MS
  }
}

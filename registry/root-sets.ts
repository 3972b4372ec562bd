/**
 * The root key sets of this machine: those of a publisher's sets of which it has seeds, all or some.
 * The identity says which one is in force and which one comes next.
 */
import { toHex } from '../protocol/bytes.ts'
import type { Cid } from '../protocol/cid.ts'
import { publicKeyOf } from '../protocol/crypto.ts'
import { commitmentOf, type Identity } from '../protocol/identity.ts'
import type { KeySet } from '../protocol/identity-operation.ts'
import type { DataFolder } from './data-folder.ts'
import { type RootSet, readRootSets, writeRootSets } from './key-files.ts'
import type { Seal } from './seal.ts'

export class RootSets {
  readonly #folder: DataFolder
  readonly #publisher: Cid
  readonly #seal: Seal | null

  constructor(folder: DataFolder, publisher: Cid, seal: Seal | null) {
    this.#folder = folder
    this.#publisher = publisher
    this.#seal = seal
  }

  /** @throws ZoariumError KEY_SEALED, STORE */
  all(): readonly RootSet[] {
    return readRootSets(this.#folder, this.#seal)
  }

  /** The set that signs, as far as it is here. @throws ZoariumError KEY_SEALED, STORE */
  inForce(identity: Identity): RootSet | null {
    return this.all().find((set) => isInForce(set, identity)) ?? null
  }

  /** The set that the next rotation reveals. @throws ZoariumError KEY_SEALED, STORE */
  committed(identity: Identity): RootSet | null {
    return this.all().find((set) => isCommitted(set, identity)) ?? null
  }

  /** All seeds, 32 bytes each. @throws ZoariumError KEY_SEALED, STORE */
  seeds(): readonly Uint8Array[] {
    return this.all().flatMap((set) => set.seeds)
  }

  /**
   * Makes sets durable beside those that are here; of a set in part the seeds come together.
   * @throws ZoariumError KEY_SEALED, DISK_FULL, STORE
   */
  add(sets: readonly RootSet[]): void {
    const merged = [...this.all()]
    for (const set of sets) {
      const at = merged.findIndex((each) => isSame(each, set))
      const there = merged[at]
      if (there === undefined) merged.push(set)
      else merged[at] = { ...there, seeds: union(there.seeds, set.seeds) }
    }
    this.#write(merged)
  }

  /**
   * Takes seeds away, as they are on another machine now.
   * @throws ZoariumError KEY_SEALED, DISK_FULL, STORE
   */
  remove(keys: ReadonlySet<string>): void {
    this.#write(
      this.all().map((set) => ({
        ...set,
        seeds: set.seeds.filter((seed) => !keys.has(toHex(publicKeyOf(seed)))),
      })),
    )
  }

  /**
   * Forgets sets that were rotated away, and those of rotations that were never signed.
   * @throws ZoariumError KEY_SEALED, DISK_FULL, STORE
   */
  forget(identity: Identity): void {
    const all = this.all()
    const kept = all.filter((set) => isInForce(set, identity) || isCommitted(set, identity))
    if (kept.length < all.length) this.#write(kept)
  }

  #write(sets: readonly RootSet[]): void {
    writeRootSets(this.#folder, this.#publisher, sets, this.#seal)
  }
}

/** Whether a set is the one in force or the one committed to. */
export const isOf = (set: KeySet, identity: Identity): boolean =>
  isInForce(set, identity) || isCommitted(set, identity)

const isInForce = (set: KeySet, { roots, threshold }: Identity): boolean =>
  isSame(set, { keys: roots, threshold })

const isCommitted = (set: KeySet, { next }: Identity): boolean => commitmentOf(set) === next

const isSame = (a: KeySet, b: KeySet): boolean =>
  a.threshold === b.threshold && a.keys.join() === b.keys.join()

const union = (a: readonly Uint8Array[], b: readonly Uint8Array[]): readonly Uint8Array[] => [
  ...new Map([...a, ...b].map((seed) => [toHex(publicKeyOf(seed)), seed])).values(),
]

/**
 * Erasure: the bytes of models that were erased go, and with them what was read from their cards.
 * docs/protocol.md, "Erasure".
 *
 * Killed at any moment, no bytes are left that count as gone, and none go that a model names:
 *
 *   1. the model gives up its files, and those that no other model names are marked
 *   2. each marked file is unlinked and its folder fsynced
 *   3. its tree and its mark are removed
 *
 * Marks that are found later are carried out, or dropped where a model names the file by now.
 */
import { setImmediate } from 'node:timers/promises'
import type { Cid } from '../protocol/cid.ts'
import type { BlobStore } from './blob-store.ts'
import type { Catalogue, ErasureRow } from './catalogue.ts'
import type { Clock } from './clock.ts'
import { failpoint } from './failpoint.ts'

/** Time from learning of an erasure to the end of the bytes, in which the root may take it back. */
export const ERASE_GRACE_MS = 72 * 3600 * 1000

/**
 * Time from noticing that no model names a file to the end of its bytes. A cut of the root takes
 * records back with all that they name; what it took by mistake, or for a thief, may come again.
 */
export const GC_GRACE_MS = 24 * 3600 * 1000

/** What a collection removed. */
export interface Collected {
  readonly count: number
  readonly bytes: number
}

/** What a collection of all files removed, and left for later. */
export interface CollectedAll extends Collected {
  readonly waiting: Collected & {
    /** When the first of them may go, milliseconds; null: none waits. */
    readonly until: number | null
  }
}

export class Erasure {
  readonly #catalogue: Catalogue
  readonly #blobs: BlobStore
  readonly #clock: Clock
  readonly #exclusively: <T>(work: () => Promise<T>) => Promise<T>
  readonly #isDoubtful: (record: Cid) => boolean

  constructor(parts: {
    readonly catalogue: Catalogue
    readonly blobs: BlobStore
    readonly clock: Clock
    /** Runs work while nothing is published: its files lie in the store before a record names them. */
    readonly exclusively: <T>(work: () => Promise<T>) => Promise<T>
    /** Whether a record may be a thief's: contested, or late and not vouched for. */
    readonly isDoubtful: (record: Cid) => boolean
  }) {
    this.#catalogue = parts.catalogue
    this.#blobs = parts.blobs
    this.#clock = parts.clock
    this.#exclusively = parts.exclusively
    this.#isDoubtful = parts.isDoubtful
  }

  /** Notes which models are erased since now; call it where withdrawals or models have come or gone. */
  note(): void {
    this.#catalogue.noteErasures(this.#clock.now())
  }

  /** Removes what is due. @throws ZoariumError STORE; what is left is removed next time */
  collect(): Promise<Collected> {
    return this.#exclusively(async () => {
      const now = this.#clock.now()
      const due = this.#catalogue
        .unstripped()
        .filter((erasure) => dueAt(erasure) <= now && this.#isSure(erasure))
      for (const { record } of due) {
        this.#catalogue.strip(record)
        await setImmediate()
      }
      failpoint('erase.after-mark')
      // Before the marks go, so that a kill in between does not leave it undone.
      if (due.length > 0 || this.#catalogue.doomed().length > 0) await this.#scrub()
      return this.#sweep()
    })
  }

  /**
   * Removes also the files that no model has named for a while, such as those of records taken back
   * by a cut. @param grace how long they wait, milliseconds
   */
  collectAll(grace = GC_GRACE_MS): Promise<CollectedAll> {
    return this.#exclusively(async () => {
      const now = this.#clock.now()
      const here = [...this.#blobs.list()].map(({ cid }) => cid)
      const unnamed = [...new Set([...here, ...this.#blobs.unfinished()])].filter(
        (cid) => !this.#isNamed(cid),
      )
      const noted = this.#catalogue.noteUnnamed(unnamed, now)
      const waiting = noted.filter(({ since }) => now - since < grace)
      for (const { cid, since } of noted) if (now - since >= grace) this.#catalogue.doom(cid)
      failpoint('gc.after-mark')
      const first = Math.min(...waiting.map(({ since }) => since))
      return {
        ...(await this.#sweep()),
        waiting: {
          count: waiting.length,
          bytes: waiting.reduce((sum, { cid }) => sum + (this.#blobs.stat(cid)?.size ?? 0), 0),
          until: waiting.length === 0 ? null : first + grace,
        },
      }
    })
  }

  /** In steps: nothing else of this process waits for long. */
  async #scrub(): Promise<void> {
    for (let isMore = this.#catalogue.scrub(true); isMore; isMore = this.#catalogue.scrub(false)) {
      await setImmediate()
    }
  }

  /** Carries out the marks. */
  async #sweep(): Promise<Collected> {
    let count = 0
    let bytes = 0
    for (const cid of this.#catalogue.doomed()) {
      if (!this.#isNamed(cid)) {
        const size = this.#blobs.stat(cid)?.size ?? null
        await this.#blobs.remove(cid)
        failpoint('erase.after-unlink')
        count += size === null ? 0 : 1
        bytes += size ?? 0
      }
      // One that is named by now has its bytes, or they are fetched.
      if (this.#isNamed(cid)) this.#catalogue.spare(cid)
      else this.#catalogue.dropBlob(cid)
      failpoint('erase.after-row')
      await setImmediate()
    }
    return { count, bytes }
  }

  /**
   * Whether bytes may go for it. A withdrawal from a log that has forked, or that came after the end
   * of its key, keeps a model from running; but what a thief may have signed deletes nothing.
   */
  #isSure({ record, isHere }: ErasureRow): boolean {
    const model = this.#catalogue.model(record)
    if (model === null) return false
    return (
      isHere ||
      this.#catalogue
        .withdrawals(model.publisher, record)
        .some((each) => each.verb === 'erase' && !each.isRestored && !this.#isDoubtful(each.record))
    )
  }

  #isNamed(cid: Cid): boolean {
    return this.#catalogue.recordsWithFile(cid).length > 0
  }
}

/** When the bytes of an erased model go, milliseconds. */
export const dueAt = ({ since, isHere }: ErasureRow): number =>
  isHere ? since : since + ERASE_GRACE_MS

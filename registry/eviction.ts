/**
 * Eviction: makes room by deleting files of models that nothing obliges this node to keep, those used
 * longest ago first. Own and pinned models, and those that a mirror rule always wants, never go.
 *
 * Killed at any moment, nothing says of a blob that it is here while it is not: what the node says it
 * holds is said anew before the first file goes, and whether a blob is here the disk alone knows. A
 * model of which some files are gone is one that is not here in full, like any other.
 */
import { setImmediate } from 'node:timers/promises'
import type { Cid } from '../protocol/cid.ts'
import type { BlobStore } from './blob-store.ts'
import type { Catalogue, ModelRow } from './catalogue.ts'
import type { Clock } from './clock.ts'
import { failpoint } from './failpoint.ts'

/** A use is written down at most this often, milliseconds: order among hours is what matters. */
export const USE_GRAIN_MS = 60_000

/** A model that was opened so long ago stays: its files are opened one after the other. */
export const READING_MS = 10_000

/** What was deleted. */
export interface Evicted {
  readonly models: readonly Cid[]
  readonly bytes: number
}

export interface EvictionParts {
  readonly catalogue: Catalogue
  readonly blobs: BlobStore
  readonly clock: Clock
  /** Whether the rules, or a pin, keep a model whatever else needs the room. */
  readonly isFirm: (model: ModelRow) => boolean
  /** Whether every file of a model is here. */
  readonly isWhole: (record: Cid) => boolean
  /** Runs work while nothing is published: its files lie in the store before a record names them. */
  readonly exclusively: <T>(work: () => Promise<T>) => Promise<T>
  /** These are held no more from now on. Called before their files go. */
  readonly onLeaving: (records: readonly Cid[]) => void
}

export interface RoomOptions {
  /** Models that stay: in use, or being fetched. */
  readonly isBusy: (record: Cid) => boolean
  /** Whether a model may go, as the last of all questions: others may have to be asked. */
  readonly mayGo: (model: ModelRow) => Promise<boolean>
}

/** A model that may go, with the blobs that it names here. */
interface Candidate {
  readonly model: ModelRow
  readonly used: number
}

export class Eviction {
  readonly #parts: EvictionParts
  /** When models were last used, as it was written down. */
  #used: Map<Cid, number> | null = null
  /** When models were last opened for reading. */
  readonly #opened = new Map<Cid, number>()
  readonly #leaving = new Set<Cid>()
  #queue: Promise<unknown> = Promise.resolve()

  constructor(parts: EvictionParts) {
    this.#parts = parts
  }

  #uses(): Map<Cid, number> {
    this.#used ??= new Map(
      this.#parts.catalogue.uses().map(({ record, used }) => [record, used] as const),
    )
    return this.#used
  }

  /** Files of a model are about to be opened. What is open already can be read to its end. */
  opens(record: Cid): void {
    const now = this.#parts.clock.now()
    for (const [each, time] of this.#opened) {
      if (now - time >= READING_MS) this.#opened.delete(each)
    }
    this.#opened.set(record, now)
  }

  #isOpening(record: Cid): boolean {
    const time = this.#opened.get(record)
    return time !== undefined && this.#parts.clock.now() - time < READING_MS
  }

  /** A model was read, run, pulled or fetched. @throws ZoariumError STORE, DISK_FULL */
  used(record: Cid): void {
    const now = this.#parts.clock.now()
    const before = this.#uses().get(record)
    // Set back, the clock would make what is used now the oldest of all.
    if (before !== undefined && now - before < USE_GRAIN_MS && now >= before) return
    this.#parts.catalogue.putUse({ record, used: now })
    this.#uses().set(record, now)
  }

  /** Whether files of a model are being deleted. */
  isLeaving(record: Cid): boolean {
    return this.#leaving.has(record)
  }

  /**
   * Deletes files until so many bytes are free, or nothing where that cannot be reached. One call after
   * the other.
   * @throws ZoariumError STORE; what is left is what was there before
   */
  makeRoom(bytes: number, options: RoomOptions): Promise<Evicted> {
    const isBusy = (record: Cid): boolean => options.isBusy(record) || this.#isOpening(record)
    const work = this.#queue.then(async () => {
      // Others may be asked for long; nobody who publishes waits for that.
      const chosen = await this.#choose(bytes, { ...options, isBusy })
      return this.#parts.exclusively(() => {
        const left = chosen.filter((model) => !isBusy(model.record) && !this.#parts.isFirm(model))
        const freed = this.#freed(left)
        // Some may have had nothing to give but what others need, too.
        const going = left.filter(({ files }) => files.some(({ cid }) => freed.has(cid)))
        return going.length > 0 && sum(freed) >= bytes
          ? this.#evict(going, freed)
          : Promise.resolve({ models: [], bytes: 0 })
      })
    })
    this.#queue = work.catch(() => {})
    return work
  }

  /** Models of which files are here and which may go, the one used longest ago first. */
  #candidates(isBusy: (record: Cid) => boolean): readonly Candidate[] {
    const { blobs, catalogue, isFirm } = this.#parts
    const records = new Set<Cid>()
    for (const { cid } of blobs.list()) {
      for (const record of catalogue.recordsWithFile(cid)) records.add(record)
    }
    const uses = this.#uses()
    return [...records]
      .flatMap((record) => catalogue.model(record) ?? [])
      .filter((model) => !isBusy(model.record) && !isFirm(model))
      .map((model) => ({ model, used: uses.get(model.record) ?? 0 }))
      .sort((a, b) => a.used - b.used || (a.model.record < b.model.record ? -1 : 1))
  }

  /** The first models, in order, whose files make room enough, or all that may go. */
  async #choose(bytes: number, { isBusy, mayGo }: RoomOptions): Promise<readonly ModelRow[]> {
    const chosen: ModelRow[] = []
    // What models name here, also what others name too, at least: the exact sum is looked up rarely.
    let [named, enough] = [0, bytes]
    for (const { model } of this.#candidates(isBusy)) {
      if (named >= enough) {
        const lacking = bytes - sum(this.#freed(chosen))
        if (lacking <= 0) break
        enough = named + lacking
      }
      // What is not here in full is no copy that anybody would miss.
      if (!this.#parts.isWhole(model.record) || (await mayGo(model))) {
        chosen.push(model)
        named += model.files.reduce((all, { size }) => all + size, 0)
      }
      await setImmediate()
    }
    return chosen
  }

  /** Blobs that no model but these names, with their sizes. */
  #freed(models: readonly ModelRow[]): ReadonlyMap<Cid, number> {
    const { blobs, catalogue } = this.#parts
    const going = new Set(models.map(({ record }) => record))
    const freed = new Map<Cid, number>()
    for (const { files } of models) {
      for (const { cid } of files) {
        const here = freed.has(cid) ? null : blobs.stat(cid)
        const isAlone = (): boolean =>
          catalogue.recordsWithFile(cid).every((record) => going.has(record))
        if (here !== null && isAlone()) freed.set(cid, here.size)
      }
    }
    return freed
  }

  async #evict(models: readonly ModelRow[], freed: ReadonlyMap<Cid, number>): Promise<Evicted> {
    const { blobs, catalogue, onLeaving } = this.#parts
    const records = models.map(({ record }) => record)
    for (const record of records) this.#leaving.add(record)
    let bytes = 0
    try {
      onLeaving(records)
      failpoint('evict.after-word')
      for (const [cid, size] of freed) {
        await blobs.remove(cid)
        bytes += size
        failpoint('evict.after-unlink')
      }
      for (const record of records) {
        catalogue.dropUse(record)
        this.#uses().delete(record)
      }
    } finally {
      for (const record of records) this.#leaving.delete(record)
    }
    return { models: records, bytes }
  }
}

const sum = (sizes: ReadonlyMap<Cid, number>): number =>
  [...sizes.values()].reduce((all, size) => all + size, 0)

/**
 * The scrub: once a day every file is hashed anew, slowly, so that bytes which rot on disk are found
 * while another node still has them. What is rotten is set aside and fetched again. A round that was
 * cut off goes on where it was.
 */
import type { ScrubView } from '../protocol/api.ts'
import { type Cid, parseCid } from '../protocol/cid.ts'
import { ZoariumError } from '../protocol/errors.ts'
import type { BlobStore } from '../registry/blob-store.ts'
import type { Catalogue } from '../registry/catalogue.ts'
import type { Clock } from '../registry/clock.ts'
import type { Log } from './log.ts'
import { type Sleep, systemSleep } from './net/sleep.ts'

/** From the beginning of one round to that of the next. */
export const SCRUB_INTERVAL_MS = 24 * 3600 * 1000
/** 32 MiB/s: 200 GiB in two hours, and a small part of what a disk and a core can do. */
export const SCRUB_BYTES_PER_SECOND = 32 * 1024 ** 2
/** Bytes after which it is written down how far a round has come: what a kill costs. */
const NOTE_BYTES = 1024 ** 3
/** Where that is written. */
const SETTING = 'scrub'

export interface ScrubParts {
  readonly blobs: Pick<BlobStore, 'list' | 'recheck'>
  readonly catalogue: Pick<Catalogue, 'setting' | 'putSetting'>
  /** 0: never. */
  readonly bytesPerSecond: number
  readonly clock: Clock
  readonly log: Pick<Log, 'info' | 'error'>
  readonly onRotten: () => void
  /** A round has come to its end. */
  readonly onEnd: () => void
  readonly sleep?: Sleep
}

interface Round {
  /** Milliseconds. */
  readonly started: number
  /** Milliseconds; null: under way. */
  finished: number | null
  /** The last file that was hashed; they go by id. */
  after: Cid | ''
  files: number
  bytes: number
  rotten: number
}

export class Scrub {
  readonly #parts: ScrubParts
  readonly #stopping = new AbortController()
  #round: Round | null
  #running: Promise<void> | null = null
  #unnoted = 0

  constructor(parts: ScrubParts) {
    this.#parts = parts
    this.#round = readRound(parts.catalogue.setting(SETTING))
  }

  view(): ScrubView | null {
    if (this.#round === null) return null
    const { started, finished, files, bytes, rotten } = this.#round
    const at = (time: number): string => new Date(time).toISOString()
    const end = finished === null ? null : at(finished)
    return { started: at(started), finished: end, files, bytes, rotten }
  }

  /** Begins a round where one is due, or goes on with one that was cut off. */
  kick(): void {
    void this.run()
  }

  /** Like {@link kick}. Resolves when nothing is left to do now; a defect alone rejects. */
  run(): Promise<void> {
    this.#running ??= this.#run()
      .catch((error: unknown) => {
        if (this.#stopping.signal.aborted) return
        if (!(error instanceof ZoariumError)) throw error
        this.#parts.log.error({ err: error }, "couldn't go on with the scrub")
      })
      .finally(() => {
        this.#running = null
      })
    return this.#running
  }

  /** Cancels what is under way; the next start goes on from there. */
  async stop(): Promise<void> {
    this.#stopping.abort(new ZoariumError('CANCELLED', 'the daemon is stopping'))
    await this.#running
  }

  async #run(): Promise<void> {
    const { bytesPerSecond, clock, log } = this.#parts
    if (bytesPerSecond === 0 || this.#stopping.signal.aborted) return
    const round = this.#due(clock.now())
    if (round === null) return
    this.#round = round
    try {
      const cids = [...this.#parts.blobs.list()].map(({ cid }) => cid).sort()
      for (const cid of cids) {
        if (cid > round.after) await this.#check(round, cid)
      }
      round.finished = clock.now()
      const { files, bytes, rotten } = round
      log.info({ files, bytes, rotten }, 'all files were hashed anew')
      this.#parts.onEnd()
    } finally {
      this.#note(round)
    }
  }

  /** The round to go on with; null where the last one is less than a day old. */
  #due(now: number): Round | null {
    const last = this.#round
    if (last !== null && last.finished === null) return last
    // Either way: a clock that was set back must not put it off.
    if (last !== null && Math.abs(now - last.started) < SCRUB_INTERVAL_MS) return null
    return { started: now, finished: null, after: '', files: 0, bytes: 0, rotten: 0 }
  }

  async #check(round: Round, cid: Cid): Promise<void> {
    const { blobs, log, onRotten } = this.#parts
    let size = 0
    try {
      const isRight = await blobs.recheck(cid, (bytes) => {
        size += bytes
        return this.#pace(bytes)
      })
      if (!isRight) {
        round.rotten += 1
        log.error({ cid }, 'the bytes of a file have changed on disk: it is set aside')
        onRotten()
      }
    } catch (error) {
      // Deleted meanwhile.
      if (!(error instanceof ZoariumError) || error.code !== 'BLOB_MISSING') throw error
      return
    }
    round.after = cid
    round.files += 1
    round.bytes += size
    this.#unnoted += size
    if (this.#unnoted >= NOTE_BYTES) this.#note(round)
  }

  #pace(bytes: number): Promise<void> {
    const { bytesPerSecond, sleep = systemSleep } = this.#parts
    return sleep((bytes / bytesPerSecond) * 1000, this.#stopping.signal)
  }

  #note(round: Round): void {
    this.#parts.catalogue.putSetting(SETTING, JSON.stringify(round))
    this.#unnoted = 0
  }
}

/** What was written last; null where it was nothing, or is not to be read. */
function readRound(text: string | null): Round | null {
  if (text === null) return null
  try {
    // SAFE: each field is looked at.
    const { started, finished, after, files, bytes, rotten } = JSON.parse(text) as Round
    const numbers = [started, finished ?? 0, files, bytes, rotten]
    const isPlace = after === '' || parseCid(after).ok
    if (!numbers.every(Number.isSafeInteger) || !isPlace) return null
    return { started, finished, after, files, bytes, rotten }
  } catch {
    return null
  }
}

/**
 * Replication of files: fetches what this node may and wants to hold, one model at a time (each
 * file comes over several streams and providers), and tries again later what nobody could give. Where
 * there is no room for what is wanted, files go that nothing obliges this node to keep.
 */
import type { Cid } from '../protocol/cid.ts'
import { ZoariumError } from '../protocol/errors.ts'
import type { ModelFileRow, ModelRow } from '../registry/catalogue.ts'
import type { Clock } from '../registry/clock.ts'
import type { Evicted } from '../registry/eviction.ts'
import type { Registry } from '../registry/registry.ts'
import type { Log } from './log.ts'
import type { Network } from './net/network.ts'
import { type Sleep, systemSleep } from './net/sleep.ts'
import { SharedWork } from './shared-work.ts'

/** First wait before a model that nobody could give is tried again; doubles up to the last. */
export const FIRST_RETRY_MS = 5_000
export const LAST_RETRY_MS = 10 * 60_000

export interface Progress {
  readonly record: Cid
  readonly path: string
  /** Bytes of the file that are here. */
  readonly done: number
  readonly size: number
}

export interface MirrorOptions {
  readonly registry: Registry
  readonly network: Pick<Network, 'fetchBlob'>
  /** Fetch all that trust rules let this node mirror; false: only what is pulled. */
  readonly follow: boolean
  /** Bytes of files on this node above which nothing is fetched. */
  readonly maxBytes: number
  /** Whether a model may go to make room; `strict`: only where its floor is kept without it. */
  readonly mayGo: (model: ModelRow, isStrict: boolean) => Promise<boolean>
  /** Whether a model is in use, so that its files stay. */
  readonly isInUse: (record: Cid) => boolean
  /** Models went to make room. */
  readonly onEvicted: (evicted: Evicted) => void
  readonly clock: Clock
  readonly log: Pick<Log, 'warn' | 'info'>
  readonly onProgress: (progress: Progress) => void
  /** A model became complete. */
  readonly onComplete: (model: ModelRow) => void
  readonly sleep?: Sleep
}

/** A model that could not be fetched. */
interface Setback {
  readonly failures: number
  /** When it is tried again, milliseconds. */
  readonly until: number
}

export class Mirror {
  readonly #options: MirrorOptions
  readonly #stop = new AbortController()
  /** A pull and the mirror share one download of a blob. */
  readonly #downloads = new SharedWork<Cid>()
  /** Blobs that are being fetched, with the publisher for whose model. */
  readonly #coming = new Map<Cid, { readonly publisher: Cid; readonly size: number }>()
  readonly #fetching = new Set<{ readonly record: Cid; readonly leave: AbortController }>()
  readonly #setbacks = new Map<Cid, Setback>()
  #running: Promise<void> | null = null
  #isAgain = false
  #alarm = new AbortController()

  constructor(options: MirrorOptions) {
    this.#options = options
  }

  /** Looks for incomplete models now; those that failed wait for their time. Cheap to repeat. */
  kick(): void {
    if (!this.#options.follow || this.#stop.signal.aborted) return
    if (this.#running !== null) {
      this.#isAgain = true
      return
    }
    // In a later turn: whoever kicks is in the middle of something.
    this.#running = Promise.resolve()
      .then(() => this.#fetchAll())
      .finally(() => {
        this.#running = null
        if (this.#isAgain) {
          this.#isAgain = false
          this.kick()
        }
      })
  }

  /** Like {@link kick}, where something has changed for those that failed, too: a peer came. */
  retry(): void {
    for (const [record, { failures }] of this.#setbacks) {
      this.#setbacks.set(record, { failures, until: 0 })
    }
    this.kick()
  }

  /** Ends the fetching of models that were erased meanwhile; what others want too goes on. */
  leaveErased(): void {
    const { catalogue } = this.#options.registry
    for (const { record, leave } of this.#fetching) {
      if (catalogue.model(record)?.withdrawn !== 'erase') continue
      leave.abort(new ZoariumError('ERASED', 'the model was erased'))
    }
  }

  /** Cancels what is under way; the bytes that are here are kept for the next start. */
  async stop(): Promise<void> {
    this.#stop.abort(new ZoariumError('CANCELLED', 'the daemon is stopping'))
    await this.#running
    await this.#downloads.settled()
  }

  /**
   * Fetches every file of a model that is not here, and makes room for it where that is needed.
   * @returns bytes of the model, and bytes that were missing
   * @throws ZoariumError TRUST without the right to mirror, ERASED, QUOTA,
   * NO_PROVIDER, CONTENT_MISMATCH, DISK_FULL, STORE, CANCELLED
   */
  fetch(model: ModelRow, signal: AbortSignal): Promise<{ bytes: number; fetched: number }> {
    return this.#fetch(model, model.files, signal, true)
  }

  /** Like {@link fetch}, of one file. */
  async fetchFile(model: ModelRow, file: ModelFileRow, signal: AbortSignal): Promise<void> {
    await this.#fetch(model, [file], signal, true)
  }

  /** Like {@link fetch}, to keep a model from getting lost: only where there is room. */
  async fill(model: ModelRow, signal: AbortSignal): Promise<void> {
    await this.#fetch(model, model.files, signal, false)
  }

  /** Bytes of files that are being fetched. */
  get coming(): number {
    return sizeOf([...this.#coming.values()])
  }

  async #fetch(
    model: ModelRow,
    files: readonly ModelFileRow[],
    signal: AbortSignal,
    mayEvict: boolean,
  ): Promise<{ bytes: number; fetched: number }> {
    const { registry, onComplete } = this.#options
    this.#requireRight(model)
    // Files of equal bytes are one blob.
    const missing = [
      ...new Map(
        files
          .filter(({ cid }) => registry.blobs.stat(cid) === null)
          .map((file) => [file.cid, file] as const),
      ).values(),
    ]
    const wanted = missing.filter(({ cid }) => !this.#coming.has(cid))
    const leave = new AbortController()
    const fetching = { record: model.record, leave }
    this.#fetching.add(fetching)
    const any = AbortSignal.any([signal, this.#stop.signal, leave.signal])
    try {
      if (mayEvict) await this.#makeRoom(wanted)
      this.#requireRoom(model, wanted)
      for (const file of missing) {
        await this.#downloads.join(file.cid, any, (until) => this.#download(model, file, until))
      }
    } finally {
      this.#fetching.delete(fetching)
    }
    registry.used(model.record)
    await registry.mendCard(model)
    if (missing.length > 0 && registry.holding(model.record).complete) onComplete(model)
    return { bytes: sizeOf(files), fetched: sizeOf(missing) }
  }

  #requireRight(model: ModelRow): void {
    const { registry } = this.#options
    if (model.withdrawn === 'erase') {
      throw new ZoariumError('ERASED', 'the model was erased')
    }
    if (!registry.mayMirror(model)) {
      throw new ZoariumError('TRUST', 'no rule lets this node hold files of that publisher', {
        field: model.publisher,
        hint: `zoarium trust add ${model.publisher} mirror`,
      })
    }
    const { fetch, rule } = registry.mirrorDecision(model)
    if (fetch !== 'never') return
    const line = rule?.line ?? null
    throw new ZoariumError('TRUST', 'a mirror rule says that its files are never fetched', {
      field: line === null ? 'mirror.otherwise' : `trust.yaml line ${line}`,
      hint: `zoarium pin ${model.record} makes an exception`,
    })
  }

  /** Lets files go that need not stay, where there is no room for others; what is above the floor first. */
  async #makeRoom(files: readonly ModelFileRow[]): Promise<void> {
    if (files.length === 0) return
    const { registry, maxBytes, mayGo, isInUse, onEvicted, log } = this.#options
    for (const isStrict of [true, false]) {
      const needed = sizeOf(files)
      const over = registry.blobs.held.bytes + this.coming + needed - maxBytes
      const short = needed - registry.quotas.spare()
      if (over <= 0 && short <= 0) return
      const evicted = await registry.makeRoom(Math.max(over, short), {
        isBusy: (record) =>
          isInUse(record) || [...this.#fetching].some((each) => each.record === record),
        mayGo: (model) => mayGo(model, isStrict),
      })
      if (evicted.models.length === 0) continue
      log.info(evicted, 'models went to make room for others')
      onEvicted(evicted)
    }
  }

  async #download(model: ModelRow, file: ModelFileRow, signal: AbortSignal): Promise<void> {
    const { network, onProgress } = this.#options
    const { record } = model
    const { cid, path, size, sha256 } = file
    this.#requireRoom(model, [file])
    this.#coming.set(cid, { publisher: model.publisher, size })
    try {
      await network.fetchBlob(
        { cid, size, sha256 },
        { record, signal, onProgress: (done) => onProgress({ record, path, done, size }) },
      )
    } finally {
      this.#coming.delete(cid)
    }
  }

  /**
   * Wants room for files of a model beside what is here and coming.
   * @throws ZoariumError QUOTA, DISK_FULL
   */
  #requireRoom({ publisher }: ModelRow, files: readonly ModelFileRow[]): void {
    if (files.length === 0) return
    const { registry, maxBytes } = this.#options
    const { quotas } = registry
    const coming = [...this.#coming.values()]
    const total = registry.blobs.held.bytes + this.coming + sizeOf(files)
    if (total <= maxBytes) {
      const others = coming.filter((each) => each.publisher === publisher)
      quotas.requireRoom(publisher, sizeOf(others) + sizeOf(files))
      quotas.clear('mirror')
      return
    }
    quotas.meet('mirror', null, maxBytes)
    throw new ZoariumError('QUOTA', 'the files would exceed mirror.maxBytes', {
      limit: maxBytes,
      got: total,
      hint: 'raise mirror.maxBytes in config.yaml, or unpin what need not stay',
    })
  }

  async #fetchAll(): Promise<void> {
    const { registry, clock } = this.#options
    const wanted = registry.incompleteModels()
    const isWanted = new Set(wanted)
    for (const record of this.#setbacks.keys()) {
      if (!isWanted.has(record)) this.#setbacks.delete(record)
    }
    for (const record of wanted) {
      if (this.#stop.signal.aborted) return
      const model = registry.catalogue.model(record)
      if (model === null || (this.#setbacks.get(record)?.until ?? 0) > clock.now()) continue
      try {
        await this.fetch(model, this.#stop.signal)
        this.#setbacks.delete(record)
      } catch (error) {
        if (this.#stop.signal.aborted) return
        this.#failed(record, error)
      }
    }
    this.#setAlarm()
  }

  #failed(record: Cid, error: unknown): void {
    const failures = (this.#setbacks.get(record)?.failures ?? 0) + 1
    const waitMs = Math.min(FIRST_RETRY_MS * 2 ** (failures - 1), LAST_RETRY_MS)
    this.#setbacks.set(record, { failures, until: this.#options.clock.now() + waitMs })
    this.#options.log.warn({ record, failures, waitMs, err: error }, "couldn't mirror a model")
  }

  /** Kicks when the first of those that failed is due. */
  #setAlarm(): void {
    const { clock, sleep = systemSleep } = this.#options
    this.#alarm.abort()
    this.#alarm = new AbortController()
    let first = Number.POSITIVE_INFINITY
    for (const { until } of this.#setbacks.values()) first = Math.min(first, until)
    if (first === Number.POSITIVE_INFINITY) return
    const signal = AbortSignal.any([this.#alarm.signal, this.#stop.signal])
    sleep(Math.max(0, first - clock.now()), signal).then(
      () => this.kick(),
      () => {},
    )
  }
}

const sizeOf = (files: readonly { readonly size: number }[]): number =>
  files.reduce((sum, { size }) => sum + size, 0)

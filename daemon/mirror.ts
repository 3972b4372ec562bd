/**
 * Replication of files: fetches what this node may and wants to hold, one model at a time (each
 * file comes over several streams and providers), and tries again later what nobody could give.
 */
import { ZoariumError } from '../protocol/errors.ts'
import type { ModelFileRow, ModelRow } from '../registry/catalogue.ts'
import type { Registry } from '../registry/registry.ts'
import type { Log } from './log.ts'
import type { Network } from './net/network.ts'

/** First wait before a model that nobody could give is tried again; doubles up to the last. */
export const FIRST_RETRY_MS = 5_000
export const LAST_RETRY_MS = 10 * 60_000

export interface Progress {
  readonly record: string
  readonly path: string
  readonly done: number
  readonly size: number
}

export interface MirrorOptions {
  readonly registry: Registry
  readonly network: Network
  /** Fetch all that trust rules let this node mirror; false: only what is pulled. */
  readonly follow: boolean
  /** Bytes of files on this node at most. */
  readonly maxBytes: number
  readonly log: Log
  readonly onProgress: (progress: Progress) => void
  /** A model became complete. */
  readonly onComplete: (model: ModelRow) => void
}

export class Mirror {
  readonly #options: MirrorOptions
  readonly #stop = new AbortController()
  /** Blobs on their way, so that a pull and the mirror share one download. */
  readonly #fetching = new Map<string, Promise<void>>()
  readonly #failures = new Map<string, number>()
  #running: Promise<void> | null = null
  #isAgain = false
  #retry: NodeJS.Timeout | null = null

  constructor(options: MirrorOptions) {
    this.#options = options
  }

  /** Looks for incomplete models now; cheap when called often. */
  kick(): void {
    if (!this.#options.follow || this.#stop.signal.aborted) return
    if (this.#running !== null) {
      this.#isAgain = true
      return
    }
    this.#running = this.#work().finally(() => {
      this.#running = null
      if (this.#isAgain) {
        this.#isAgain = false
        this.kick()
      }
    })
  }

  async stop(): Promise<void> {
    this.#stop.abort(new ZoariumError('CANCELLED', 'the daemon is stopping'))
    if (this.#retry !== null) clearTimeout(this.#retry)
    await this.#running
    await Promise.allSettled(this.#fetching.values())
  }

  /**
   * Fetches every file of a model that is not here.
   * @returns bytes of the model and bytes that were fetched
   * @throws ZoariumError TRUST without the right to mirror, QUOTA, NO_PROVIDER, CANCELLED
   */
  async fetch(model: ModelRow, signal: AbortSignal): Promise<{ bytes: number; fetched: number }> {
    const { registry } = this.#options
    if (!registry.trust.may(model.publisher, 'mirror')) {
      throw new ZoariumError('TRUST', 'no rule lets this node hold files of that publisher', {
        field: model.publisher,
        hint: `zoarium trust add ${model.publisher} mirror`,
      })
    }
    const missing = registry.holding(model.record).missing
    const size = missing.reduce((sum, file) => sum + file.size, 0)
    const held = registry.heldBytes()
    if (held + size > this.#options.maxBytes) {
      throw new ZoariumError('QUOTA', 'the files would exceed mirror.maxBytes', {
        limit: this.#options.maxBytes,
        got: held + size,
      })
    }
    const any = AbortSignal.any([signal, this.#stop.signal])
    for (const file of missing) await this.#fetchFile(model, file, any)
    const bytes = model.files.reduce((sum, file) => sum + file.size, 0)
    if (missing.length > 0) this.#options.onComplete(model)
    return { bytes, fetched: size }
  }

  async #fetchFile(model: ModelRow, file: ModelFileRow, signal: AbortSignal): Promise<void> {
    let fetching = this.#fetching.get(file.cid)
    if (fetching === undefined) {
      fetching = this.#options.network
        .fetchBlob(
          { cid: file.cid, size: file.size, sha256: file.sha256 },
          {
            record: model.record,
            signal,
            onProgress: (done) =>
              this.#options.onProgress({
                record: model.record,
                path: file.path,
                done,
                size: file.size,
              }),
          },
        )
        .finally(() => this.#fetching.delete(file.cid))
      this.#fetching.set(file.cid, fetching)
    }
    await fetching
  }

  async #work(): Promise<void> {
    const { registry, log } = this.#options
    const wanted = registry.incompleteModels()
    let retryMs = Number.POSITIVE_INFINITY
    for (const model of wanted) {
      if (this.#stop.signal.aborted) return
      try {
        await this.fetch(model, this.#stop.signal)
        this.#failures.delete(model.record)
      } catch (error) {
        if (this.#stop.signal.aborted) return
        const failures = (this.#failures.get(model.record) ?? 0) + 1
        this.#failures.set(model.record, failures)
        retryMs = Math.min(retryMs, FIRST_RETRY_MS * 2 ** (failures - 1), LAST_RETRY_MS)
        log.warn({ record: model.record, failures, err: error }, "couldn't mirror a model")
      }
    }
    if (this.#retry !== null) clearTimeout(this.#retry)
    this.#retry = null
    if (Number.isFinite(retryMs)) {
      this.#retry = setTimeout(() => this.kick(), retryMs)
      this.#retry.unref()
    }
  }
}

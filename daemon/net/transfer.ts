/**
 * Fetches one blob from several providers at once. The tree comes first and is verified; then the
 * leaves stand in one queue, from which worker streams of every provider take. Each leaf is verified
 * before it is kept. A provider that sends wrong bytes or falls below the least rate is left, and
 * what it was asked for goes back into the queue.
 */
import { leafSize, readTree } from '../../protocol/content-tree.ts'
import { type Code, type Issue, refuse, ZoariumError } from '../../protocol/errors.ts'
import { LEAF_BYTES, MAX_FRAME_BYTES } from '../../protocol/limits.ts'
import {
  type BlobRequest,
  blobReplies,
  blobRequests,
  expectReply,
  PROTOCOLS,
  readFailure,
} from '../../protocol/message.ts'
import type { BlobInfo, Download } from '../../registry/blob-store.ts'
import type { Holdings } from './holdings.ts'
import type { Links } from './links.ts'
import type { Peer } from './peers.ts'
import type { FrameStream } from './stream.ts'

/** What is fetched; size and SHA-256 stand in the record that names it. */
export type WantedBlob = Omit<BlobInfo, 'nodes'>

/** Worker streams to one provider: enough to fill a path of 50 ms, few enough for one core. */
export const STREAMS_PER_PROVIDER = 4
/** Leaves asked for at a time on one stream, so that the provider never waits for the next. */
const ASKED_PER_STREAM = 2
/** Providers used at once. */
export const MAX_PROVIDERS = 8

export interface TransferLimits {
  /** Time for a tree, and for the first bytes of anything. */
  readonly replyMs: number
  /** Time for one leaf: 1 MiB in 16 s is 64 KiB/s. */
  readonly leafMs: number
}

export const TRANSFER_LIMITS: TransferLimits = { replyMs: 10_000, leafMs: 16_000 }

export interface TransferOptions {
  readonly holdings: Holdings
  readonly links: Links
  readonly limits: TransferLimits
  readonly signal: AbortSignal
  /** Bytes that are here so far, of the blob's size. */
  readonly onProgress: (done: number) => void
}

/** The tree of this blob was served; the provider is of use. */
interface Begun {
  readonly download: Download
  readonly nodes: readonly Uint8Array[]
}

export class Transfer {
  readonly #blob: WantedBlob
  readonly #options: TransferOptions
  readonly #queue: number[] = []
  readonly #frames = new Set<FrameStream>()
  /** Those of providers that have not shown the tree yet. */
  readonly #asking = new Set<FrameStream>()
  readonly #waiting = new Set<() => void>()
  #begun: Promise<Begun> | null = null
  /** Leaves that are not kept yet; null before the tree is known. */
  #left: number | null = null
  #failure: ZoariumError | null = null
  /** Why each provider was of no use. */
  readonly issues: Issue[] = []

  constructor(blob: WantedBlob, options: TransferOptions) {
    this.#blob = blob
    this.#options = options
  }

  get isComplete(): boolean {
    return this.#left === 0
  }

  /**
   * Fetches what these peers have of it.
   * @throws ZoariumError CANCELLED, DISK_FULL, STORE; not for what peers did
   */
  async from(peers: readonly Peer[]): Promise<void> {
    const { signal } = this.#options
    const cancel = () =>
      this.#fail(new ZoariumError('CANCELLED', 'the transfer was cancelled', {}, signal.reason))
    if (signal.aborted) cancel()
    signal.addEventListener('abort', cancel)
    try {
      const candidates = [...peers]
      const provide = async () => {
        for (let peer = candidates.shift(); peer !== undefined; peer = candidates.shift()) {
          if (this.#isOver()) return
          await this.#provide(peer)
        }
      }
      await Promise.all(Array.from({ length: MAX_PROVIDERS }, provide))
    } finally {
      signal.removeEventListener('abort', cancel)
    }
    if (this.#failure !== null) throw this.#failure
  }

  /** Makes the blob visible. @throws ZoariumError CONTENT_MISMATCH, DISK_FULL, STORE */
  async finish(): Promise<void> {
    const { holdings } = this.#options
    const begun = await this.#begun
    if (begun === null) throw new TypeError('nothing was begun')
    const { cid, size, sha256 } = this.#blob
    // Before the bytes are visible, so that they can be served from then on.
    holdings.keepTree(cid, begun.nodes)
    await begun.download.finish(sha256)
    holdings.blobKept(cid, size)
  }

  /** Keeps what came for a later try. */
  async close(): Promise<void> {
    const begun = await this.#begun?.catch(() => null)
    await begun?.download.close()
  }

  #isOver(): boolean {
    return this.#left === 0 || this.#failure !== null
  }

  #fail(error: ZoariumError): void {
    this.#failure ??= error
    for (const frames of this.#frames) frames.abort(error)
    this.#wake()
  }

  /** Ends the waiting for providers that are no longer needed: some never answer. */
  #endIfComplete(): void {
    if (this.#left !== 0) return
    for (const frames of this.#asking) frames.abort(isHere())
    this.#wake()
  }

  #wake(): void {
    for (const wake of this.#waiting) wake()
    this.#waiting.clear()
  }

  #note(peer: Peer, code: Code, message: string): void {
    this.issues.push({ code, message, field: peer.id })
  }

  /** Uses one provider until nothing is left or it fails; never throws for what it did. */
  async #provide(peer: Peer): Promise<void> {
    try {
      await this.#withStream(peer, async (first) => {
        const begun = await this.#askTree(first)
        const stop = new AbortController()
        const more = Array.from({ length: STREAMS_PER_PROVIDER - 1 }, () =>
          this.#withStream(peer, (frames) => this.#work(frames, begun.download, stop.signal)),
        )
        const all = [this.#work(first, begun.download, stop.signal), ...more]
        const results = await Promise.allSettled(
          all.map((each) =>
            each.catch((error: unknown) => {
              // One stream refused is the provider's limit; wrong bytes end its use altogether.
              if (codeOf(error) !== 'BUSY') stop.abort(error)
              throw error
            }),
          ),
        )
        const errors = results.flatMap((each) => (each.status === 'rejected' ? [each.reason] : []))
        const error = errors.find((each) => codeOf(each) !== 'BUSY') ?? errors[0]
        if (error !== undefined && !this.#isOver()) throw error
      })
    } catch (error) {
      if (!(error instanceof ZoariumError)) throw error
      if (LOCAL_FAILURES.has(error.code)) this.#fail(error)
      if (this.#isOver()) return
      this.#note(peer, error.code, error.message)
      this.#options.links.blame(peer, error.code)
    }
  }

  async #withStream(peer: Peer, use: (frames: FrameStream) => Promise<void>): Promise<void> {
    if (this.#isOver()) return
    const frames = await this.#options.links.open(peer, PROTOCOLS.blob)
    this.#frames.add(frames)
    try {
      await use(frames)
      await frames.close(this.#options.limits.replyMs)
    } catch (error) {
      if (error instanceof ZoariumError) frames.abort(error)
      throw error
    } finally {
      this.#frames.delete(frames)
      this.#asking.delete(frames)
    }
  }

  async #askTree(frames: FrameStream): Promise<Begun> {
    const { cid } = this.#blob
    if (this.#isOver()) throw isHere()
    this.#asking.add(frames)
    await this.#ask(frames, { t: 'get-tree', cid })
    const reply = await this.#reply(frames, 'tree', this.#options.limits.replyMs)
    this.#asking.delete(frames)
    if (reply.size !== this.#blob.size) {
      throw ZoariumError.of(
        refuse('CONTENT_MISMATCH', 'the file has another size', {
          limit: this.#blob.size,
          got: reply.size,
        }),
      )
    }
    const leaves = readTree(cid, reply.size, reply.nodes)
    if (!leaves.ok) throw ZoariumError.of(leaves)
    this.#begun ??= this.#begin(reply.nodes, leaves.value)
    return this.#begun
  }

  async #begin(nodes: readonly Uint8Array[], leaves: readonly Uint8Array[]): Promise<Begun> {
    const { cid, size } = this.#blob
    const download = await this.#options.holdings.blobs.download(cid, size, leaves)
    this.#queue.push(...download.missing())
    this.#left = this.#queue.length
    this.#progress()
    this.#endIfComplete()
    return { download, nodes }
  }

  #progress(): void {
    const { size } = this.#blob
    this.#options.onProgress(Math.max(0, size - (this.#left ?? 0) * LEAF_BYTES))
  }

  /** Takes leaves from the queue over one stream until none is left. */
  async #work(frames: FrameStream, download: Download, stop: AbortSignal): Promise<void> {
    const asked: number[] = []
    const cut = () => frames.abort(new ZoariumError('PEER', 'the provider is left'))
    stop.addEventListener('abort', cut)
    try {
      while (!this.#isOver() && !stop.aborted) {
        while (asked.length < ASKED_PER_STREAM) {
          const index = this.#queue.shift()
          if (index === undefined) break
          asked.push(index)
          await this.#ask(frames, { t: 'get-leaf', cid: this.#blob.cid, index })
        }
        const index = asked[0]
        if (index === undefined) await this.#changed(stop)
        else {
          await this.#take(frames, download, index)
          asked.shift()
        }
      }
    } finally {
      stop.removeEventListener('abort', cut)
      // What was asked for and did not come is for others.
      if (asked.length > 0) {
        this.#queue.unshift(...asked)
        this.#wake()
      }
    }
  }

  async #take(frames: FrameStream, download: Download, index: number): Promise<void> {
    const { leafMs } = this.#options.limits
    const reply = await this.#reply(frames, 'leaf', leafMs)
    if (reply.index !== index) {
      throw new ZoariumError('PEER', 'the peer sent another leaf', {
        limit: index,
        got: reply.index,
      })
    }
    const bytes = await frames.expect(leafSize(this.#blob.size, index), leafMs)
    if (!(await download.write(index, bytes))) {
      throw new ZoariumError('CONTENT_MISMATCH', 'the peer sent wrong bytes', { got: index })
    }
    this.#left = (this.#left ?? 1) - 1
    this.#progress()
    this.#endIfComplete()
  }

  /** Resolves when the queue, or whether there is anything to do, has changed. */
  #changed(stop: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        stop.removeEventListener('abort', wake)
        resolve()
      }
      stop.addEventListener('abort', wake)
      this.#waiting.add(wake)
    })
  }

  #ask(frames: FrameStream, request: BlobRequest): Promise<void> {
    return frames.write(blobRequests.encode(request), this.#options.limits.replyMs)
  }

  async #reply<T extends 'tree' | 'leaf'>(frames: FrameStream, type: T, withinMs: number) {
    const reply = blobReplies.decode(await frames.expect(MAX_FRAME_BYTES, withinMs))
    if (!reply.ok) throw ZoariumError.of(reply)
    if (reply.value.t === 'error') {
      const { code, message } = readFailure(reply.value)
      // The provider's own troubles must not read as ours, nor as wrong bytes.
      throw new ZoariumError(PROVIDER_CODES.has(code) ? code : 'PEER', message)
    }
    const expected = expectReply(reply.value, type)
    if (!expected.ok) throw ZoariumError.of(expected)
    return expected.value
  }
}

const isHere = (): ZoariumError => new ZoariumError('CANCELLED', 'the file is here already')

/** Failures of this node: another provider would not help. */
const LOCAL_FAILURES: ReadonlySet<Code> = new Set(['DISK_FULL', 'STORE'])

/** What a provider may say of itself. */
const PROVIDER_CODES: ReadonlySet<Code> = new Set(['BLOB_MISSING', 'BUSY'])

const codeOf = (error: unknown): Code | null => (error instanceof ZoariumError ? error.code : null)

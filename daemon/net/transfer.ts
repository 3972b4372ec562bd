/**
 * Fetches one blob from several sources at once: nodes that have all of it, and nodes that are
 * fetching it too. The tree comes first and is verified; then worker streams of every source take
 * leaves, by the order of leaf-plan.ts. Each leaf is verified before it is kept, and passed on from
 * then on. A source that sends wrong bytes or falls below the least rate is left, and what it was
 * asked for is asked of others.
 */
import { leafCount, leafSize, readTree } from '../../protocol/content-tree.ts'
import { type Code, expectOk, type Issue, refuse, ZoariumError } from '../../protocol/errors.ts'
import { LeafSet } from '../../protocol/leaf-set.ts'
import { LEAF_BYTES, MAX_FRAME_BYTES } from '../../protocol/limits.ts'
import {
  type BlobReply,
  type BlobRequest,
  blobReplies,
  blobRequests,
  expectReply,
  PROTOCOLS,
  readFailure,
} from '../../protocol/message.ts'
import type { BlobInfo, Download } from '../../registry/blob-store.ts'
import type { Archive } from './archive.ts'
import { HAVE_WAIT_MS } from './blob.ts'
import { LeafPlan, type LeafSource } from './leaf-plan.ts'
import type { Links } from './links.ts'
import { PartialBlob, type PartialBlobs } from './partial-blobs.ts'
import type { Peer } from './peers.ts'
import type { FrameStream } from './stream.ts'

/** What is fetched; size and SHA-256 stand in the record that names it. */
export type WantedBlob = Omit<BlobInfo, 'nodes'>

/** Worker streams to a node that has all: enough to fill a path of 50 ms, few enough for one core. */
export const STREAMS_PER_PROVIDER = 4
/** Worker streams to a node that is fetching too: there are many of them, with less to give. */
const STREAMS_PER_FETCHER = 1
/** Leaves asked for at a time on one stream, so that the source never waits for the next. */
const ASKED_PER_STREAM = 2
/** Sources used at once. */
export const MAX_PROVIDERS = 16
/** Worker streams in all; with what is asked for on each this bounds memory at 64 MiB. */
const MAX_STREAMS = 32
/** A peer that has nothing of it may be fetching it soon: it is asked again, less and less often. */
const FIRST_AGAIN_MS = 250
const LAST_AGAIN_MS = 4_000
/** Time-bound decisions of the plan are looked at so often. */
const POLL_MS = 500
/** What a node has that is fetching too is asked for so often at most. */
const FOLLOW_MS = 250
/** A stream with nothing to ask says so often that it is still there; sources close idle ones. */
const KEEP_MS = 20_000
/** Without any new leaf for so long, nodes that are fetching too are given up. */
const STUCK_MS = 30_000

export interface TransferLimits {
  /** Time for a tree, and for the first bytes of anything. */
  readonly replyMs: number
  /** Time for one leaf: 1 MiB in 16 s is 64 KiB/s. */
  readonly leafMs: number
}

export const TRANSFER_LIMITS: TransferLimits = { replyMs: 10_000, leafMs: 16_000 }

export interface TransferOptions {
  readonly archive: Archive
  readonly links: Links
  readonly partials: PartialBlobs
  readonly random: () => number
  readonly limits: TransferLimits
  readonly signal: AbortSignal
  /** Bytes that are here so far, of the blob's size. */
  readonly onProgress: (done: number) => void
}

/** The tree of this blob was served; the provider is of use. */
interface Begun {
  readonly download: Download
  readonly partial: PartialBlob
  readonly plan: LeafPlan
}

interface Source extends LeafSource {
  readonly peer: Peer
  /** Worker streams to it. */
  streams: number
}

interface Candidate {
  readonly peer: Peer
  /** When it is asked, of `performance.now()`. */
  readonly at: number
  /** How long it is given until it is asked once more; null: it was not asked yet. */
  readonly againMs: number | null
}

export class Transfer {
  readonly #blob: WantedBlob
  readonly #options: TransferOptions
  readonly #frames = new Set<FrameStream>()
  /** Those on which a source owes an answer. */
  readonly #owing = new Set<FrameStream>()
  readonly #waiting = new Set<() => void>()
  #begun: Promise<Begun> | null = null
  /** Null before the tree is known. */
  #plan: LeafPlan | null = null
  #streams = 0
  /** Peers that are being asked or used. */
  #busy = 0
  /** Peers that are not used yet and were not given up. */
  readonly #expected = new Set<Peer>()
  #failure: ZoariumError | null = null
  /** Why each source was of no use. */
  readonly issues: Issue[] = []

  constructor(blob: WantedBlob, options: TransferOptions) {
    this.#blob = blob
    this.#options = options
  }

  get isComplete(): boolean {
    return this.#plan?.left === 0
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
      for (const peer of peers) this.#expected.add(peer)
      const candidates: Candidate[] = peers.map((peer) => ({ peer, at: 0, againMs: null }))
      await Promise.all(Array.from({ length: MAX_PROVIDERS }, () => this.#use(candidates)))
    } finally {
      signal.removeEventListener('abort', cancel)
    }
    if (this.#failure !== null) throw this.#failure
  }

  #isUsed(peer: Peer): void {
    this.#expected.delete(peer)
    if (this.#plan !== null) this.#plan.expected = this.#expected.size
  }

  /** Uses one candidate after the other. Those that have nothing yet come again, while others give. */
  async #use(candidates: Candidate[]): Promise<void> {
    for (let next = candidates.shift(); next !== undefined; next = candidates.shift()) {
      const { peer, at, againMs } = next
      const isAgain = againMs !== null
      // While nobody gives anything, nobody gets to have it.
      await this.#until(at, () => this.#busy === 0)
      if (this.#isOver() || (isAgain && this.#busy === 0)) return
      this.#busy++
      const code = await this.#provide(peer, isAgain)
      this.#busy--
      if (code !== 'BLOB_MISSING') this.#isUsed(peer)
      else {
        const ms = againMs ?? FIRST_AGAIN_MS
        const later = { at: performance.now() + ms, againMs: Math.min(2 * ms, LAST_AGAIN_MS) }
        candidates.push({ peer, ...later })
      }
      this.#wake()
    }
  }

  /** Makes the blob visible. @throws ZoariumError CONTENT_MISMATCH, DISK_FULL, STORE */
  async finish(): Promise<void> {
    const { archive } = this.#options
    const begun = await this.#begun
    if (begun === null) throw new TypeError('nothing was begun')
    const { cid, size, sha256 } = this.#blob
    // Before the bytes are visible, so that they can be served from then on.
    archive.keepTree(cid, begun.partial.nodes)
    await begun.download.finish(sha256)
    this.#options.partials.delete(cid)
    archive.blobKept(cid, size)
  }

  /** Keeps what came for a later try. */
  async close(): Promise<void> {
    const begun = await this.#begun?.catch(() => null)
    if (!begun) return
    this.#options.partials.delete(this.#blob.cid)
    await begun.download.close()
  }

  #isOver(): boolean {
    return this.isComplete || this.#failure !== null
  }

  #fail(error: ZoariumError): void {
    this.#failure ??= error
    for (const frames of this.#frames) frames.abort(error)
    this.#wake()
  }

  /** Ends the waiting for sources that are no longer needed: some never answer. */
  #endIfComplete(): void {
    if (!this.isComplete) return
    for (const frames of this.#owing) frames.abort(isHere())
    this.#wake()
  }

  #wake(): void {
    for (const wake of this.#waiting) wake()
    this.#waiting.clear()
  }

  #note(peer: Peer, code: Code, message: string): void {
    this.issues.push({ code, message, field: peer.id })
  }

  /**
   * Uses one source until nothing is left or it fails; never throws for what it did.
   * @returns why it was of no use; null: it was, or is not needed any more
   */
  async #provide(peer: Peer, isAgain: boolean): Promise<Code | null> {
    try {
      await this.#withStream(peer, async (first) => {
        const { begun, source } = await this.#askTree(peer, first)
        begun.plan.add(source)
        this.#isUsed(peer)
        this.#wake()
        try {
          await this.#drain(first, begun, source)
        } finally {
          begun.plan.remove(source)
          this.#wake()
        }
      })
    } catch (error) {
      if (!(error instanceof ZoariumError)) throw error
      const { code, message } = error
      if (LOCAL_FAILURES.has(code)) this.#fail(error)
      if (this.#isOver()) return null
      if (!isAgain) this.#note(peer, code, message)
      if (!PROVIDER_CODES.has(code)) peer.failed()
      this.#options.links.blame(peer, code)
      return code
    }
    return null
  }

  /** Takes from a source over all its streams. @throws ZoariumError what ended its use */
  async #drain(first: FrameStream, begun: Begun, source: Source): Promise<void> {
    const { peer } = source
    const stop = new AbortController()
    const isWhole = source.have === null
    const wanted = isWhole ? STREAMS_PER_PROVIDER : STREAMS_PER_FETCHER
    const extra = Math.max(0, Math.min(wanted - 1, MAX_STREAMS - this.#streams - 1))
    const works = [
      this.#work(first, begun, source, stop.signal),
      ...Array.from({ length: extra }, () =>
        this.#withStream(peer, (frames) => this.#work(frames, begun, source, stop.signal)),
      ),
    ]
    source.streams = works.length
    this.#streams += works.length
    const all = works.map((each) =>
      each.finally(() => {
        this.#streams--
        source.streams--
        // Whoever follows what is there has nothing to do any more.
        if (source.streams === 0) stop.abort()
      }),
    )
    if (!isWhole) {
      all.push(this.#withStream(peer, (frames) => this.#follow(frames, source, stop.signal)))
    }
    const results = await Promise.allSettled(
      all.map((each) =>
        each.catch((error: unknown) => {
          // One stream refused is the source's limit; wrong bytes end its use altogether.
          if (codeOf(error) !== 'BUSY') stop.abort(error)
          throw error
        }),
      ),
    )
    const errors = results.flatMap((each) => (each.status === 'rejected' ? [each.reason] : []))
    const error = errors.find((each) => !ENDS.has(codeOf(each))) ?? errors[0]
    if (error !== undefined && !this.#isOver()) throw error
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
      this.#owing.delete(frames)
    }
  }

  async #askTree(peer: Peer, frames: FrameStream): Promise<{ begun: Begun; source: Source }> {
    const { cid, size } = this.#blob
    if (this.#isOver()) throw isHere()
    this.#owing.add(frames)
    await this.#ask(frames, { t: 'get-tree', cid })
    const reply = expectBlob(await this.#reply(frames, this.#options.limits.replyMs), 'tree')
    this.#owing.delete(frames)
    if (reply.size !== size) {
      throw ZoariumError.of(
        refuse('CONTENT_MISMATCH', 'the file has another size', { limit: size, got: reply.size }),
      )
    }
    const leaves = readTree(cid, reply.size, reply.nodes)
    if (!leaves.ok) throw ZoariumError.of(leaves)
    const have = this.#leaves(reply.have)
    this.#begun ??= this.#begin(reply.nodes, leaves.value)
    return { begun: await this.#begun, source: { peer, have, streams: 0 } }
  }

  #leaves(bits: Uint8Array | null): LeafSet | null {
    return bits === null ? null : expectOk(LeafSet.read(bits, leafCount(this.#blob.size)))
  }

  async #begin(nodes: readonly Uint8Array[], leaves: readonly Uint8Array[]): Promise<Begun> {
    const { cid, size } = this.#blob
    const { archive, partials, random } = this.#options
    const download = await archive.blobs.download(cid, size, leaves)
    const partial = new PartialBlob(download, nodes)
    partials.add(cid, partial)
    const missing = new LeafSet(leaves.length)
    for (const index of download.missing()) missing.add(index)
    this.#plan = new LeafPlan(missing, random, performance.now())
    this.#plan.expected = this.#expected.size
    this.#progress()
    this.#endIfComplete()
    return { download, partial, plan: this.#plan }
  }

  #progress(): void {
    const { size } = this.#blob
    this.#options.onProgress(Math.max(0, size - (this.#plan?.left ?? 0) * LEAF_BYTES))
  }

  /** Takes leaves over one stream until none is left. */
  async #work(frames: FrameStream, begun: Begun, source: Source, stop: AbortSignal): Promise<void> {
    const { plan } = begun
    const asked: number[] = []
    /** Since when this stream has had nothing to do, or has done what is under way. */
    let since = performance.now()
    let quietSince = since
    const cut = () => frames.abort(new ZoariumError('PEER', 'the source is left'))
    stop.addEventListener('abort', cut)
    try {
      while (!this.#isOver() && !stop.aborted) {
        while (asked.length < ASKED_PER_STREAM) {
          const now = performance.now()
          const choice = plan.next(source, now)
          if (choice === null) break
          if (asked.length === 0) since = now
          plan.asked(source, choice.index, now)
          asked.push(choice.index)
          this.#owing.add(frames)
          await this.#ask(frames, { t: 'get-leaf', cid: this.#blob.cid, ...choice })
        }
        const index = asked[0]
        if (index !== undefined) {
          const bytes = await this.#take(frames, begun, index)
          asked.shift()
          plan.answered(source, index)
          quietSince = performance.now()
          if (bytes > 0) source.peer.gave(bytes * source.streams, quietSince - since)
          since = quietSince
          continue
        }
        this.#owing.delete(frames)
        const now = performance.now()
        if (source.have !== null && plan.idleFor(now) > STUCK_MS) {
          throw new ZoariumError('TIMEOUT', 'nobody has the rest of the file')
        }
        if (now - quietSince > KEEP_MS) {
          quietSince = now
          await this.#askHave(frames, source)
        }
        await this.#changed(POLL_MS, stop)
      }
    } finally {
      stop.removeEventListener('abort', cut)
      // What was asked for and did not come is for others.
      for (const index of asked) plan.answered(source, index)
      if (asked.length > 0) this.#wake()
    }
  }

  /** @returns bytes that came */
  async #take(frames: FrameStream, begun: Begun, index: number): Promise<number> {
    const { leafMs } = this.#options.limits
    const reply = await this.#reply(frames, leafMs)
    if (reply.t === 'given') {
      const given = this.#leaves(reply.given)
      // Only news keeps the same question from being asked at once again.
      if (reply.index !== index || !given?.has(index)) throw another(index, reply.index)
      begun.plan.given(given)
      return 0
    }
    const { index: got } = expectBlob(reply, 'leaf')
    if (got !== index) throw another(index, got)
    const bytes = await frames.expect(leafSize(this.#blob.size, index), leafMs)
    // Another source was quicker.
    if (!begun.plan.needs(index)) return bytes.length
    if (!(await begun.download.write(index, bytes))) {
      throw new ZoariumError('CONTENT_MISMATCH', 'the peer sent wrong bytes', { got: index })
    }
    if (!begun.plan.needs(index)) return bytes.length
    begun.plan.took(index, performance.now())
    begun.partial.kept(index)
    this.#progress()
    this.#endIfComplete()
    return bytes.length
  }

  /** Keeps up with what a node has that is fetching too. */
  async #follow(frames: FrameStream, source: Source, stop: AbortSignal): Promise<void> {
    const cut = () => frames.abort(isHere())
    stop.addEventListener('abort', cut)
    try {
      while (source.have !== null && !this.#isOver() && !stop.aborted) {
        await this.#askHave(frames, source)
        this.#wake()
        await this.#until(performance.now() + FOLLOW_MS, () => stop.aborted, stop)
      }
    } finally {
      stop.removeEventListener('abort', cut)
    }
  }

  async #askHave(frames: FrameStream, source: Source): Promise<void> {
    const withinMs = HAVE_WAIT_MS + this.#options.limits.replyMs
    this.#owing.add(frames)
    await this.#ask(frames, { t: 'get-have', cid: this.#blob.cid, known: source.have?.size ?? 0 })
    source.have = this.#leaves(expectBlob(await this.#reply(frames, withinMs), 'have').have)
    this.#owing.delete(frames)
  }

  /** Resolves at a time, or when the transfer or what it is for is over. */
  async #until(at: number, isOver: () => boolean, stop?: AbortSignal): Promise<void> {
    while (!this.#isOver() && !isOver()) {
      const left = at - performance.now()
      if (left <= 0) return
      await this.#changed(left, stop)
    }
  }

  /** Resolves when there may be something to do that there was not, at the latest after a time. */
  #changed(withinMs: number, stop?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        clearTimeout(timer)
        this.#waiting.delete(wake)
        stop?.removeEventListener('abort', wake)
        resolve()
      }
      const timer = setTimeout(wake, withinMs)
      stop?.addEventListener('abort', wake)
      this.#waiting.add(wake)
    })
  }

  #ask(frames: FrameStream, request: BlobRequest): Promise<void> {
    return frames.write(blobRequests.encode(request), this.#options.limits.replyMs)
  }

  async #reply(frames: FrameStream, withinMs: number): Promise<BlobReply> {
    const reply = blobReplies.decode(await frames.expect(MAX_FRAME_BYTES, withinMs))
    if (!reply.ok) throw ZoariumError.of(reply)
    if (reply.value.t !== 'error') return reply.value
    const { code, message } = readFailure(reply.value)
    // The source's own troubles must not read as ours, nor as wrong bytes.
    throw new ZoariumError(PROVIDER_CODES.has(code) ? code : 'PEER', message)
  }
}

/** @throws ZoariumError PEER */
function expectBlob<T extends BlobReply['t']>(
  reply: BlobReply,
  type: T,
): Extract<BlobReply, { readonly t: T }> {
  const expected = expectReply<BlobReply, T>(reply, type)
  if (!expected.ok) throw ZoariumError.of(expected)
  return expected.value
}

const another = (limit: number, got: number): ZoariumError =>
  new ZoariumError('PEER', 'the peer sent another leaf', { limit, got })

const isHere = (): ZoariumError => new ZoariumError('CANCELLED', 'the file is here already')

/** Failures of this node: another provider would not help. */
const LOCAL_FAILURES: ReadonlySet<Code> = new Set(['DISK_FULL', 'STORE'])

/** Codes of streams that end for the end of others. */
const ENDS: ReadonlySet<Code | null> = new Set(['BUSY', 'CANCELLED'])

/** What a source may say of itself; having nothing or no time is no failure. */
const PROVIDER_CODES: ReadonlySet<Code> = new Set(['BLOB_MISSING', 'BUSY'])

const codeOf = (error: unknown): Code | null => (error instanceof ZoariumError ? error.code : null)

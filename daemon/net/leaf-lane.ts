/** Ways on which a source is asked for leaves of one blob, and the one over a libp2p stream. */
import { leafCount, leafSize } from '../../protocol/content-tree.ts'
import { type Code, expectOk, ZoariumError } from '../../protocol/errors.ts'
import { LeafSet } from '../../protocol/leaf-set.ts'
import { MAX_FRAME_BYTES } from '../../protocol/limits.ts'
import {
  type BlobReply,
  type BlobRequest,
  blobReplies,
  blobRequests,
  expectReply,
  readFailure,
} from '../../protocol/message.ts'
import type { BlobInfo } from '../../registry/blob-store.ts'
import { HAVE_WAIT_MS } from './blob.ts'
import type { Choice } from './leaf-plan.ts'
import type { FrameStream } from './stream.ts'

/** What is fetched; size and SHA-256 stand in the record that names it. */
export type WantedBlob = Omit<BlobInfo, 'nodes'>

export interface TransferLimits {
  /** Time for a tree, and for the first bytes of anything. */
  readonly replyMs: number
  /** Time for one leaf: 1 MiB in 16 s is 64 KiB/s. */
  readonly leafMs: number
}

export const TRANSFER_LIMITS: TransferLimits = { replyMs: 10_000, leafMs: 16_000 }

/** The bytes of a leaf, not verified yet; or leaves that were given to others, who pass them on. */
export type LeafAnswer = { readonly bytes: Uint8Array } | { readonly given: LeafSet }

/** One answer after the other, in the order of the questions. */
export interface LeafLane {
  /** Asks for a leaf. @throws ZoariumError TIMEOUT, PEER, UNREACHABLE */
  ask(choice: Choice): Promise<void>
  /** The answer to the oldest question. @throws ZoariumError what kept it from coming */
  answer(): Promise<LeafAnswer>
  /** Says that nothing is asked for now; without that a source may close what it takes for idle. */
  keep(): Promise<void>
  abort(error: ZoariumError): void
}

/** What a source may say of itself; having nothing or no time is no failure. */
export const PROVIDER_CODES: ReadonlySet<Code> = new Set(['BLOB_MISSING', 'BUSY'])

/** Of `/zoarium/blob/1`. */
export class StreamLane implements LeafLane {
  readonly #frames: FrameStream
  readonly #blob: Pick<WantedBlob, 'cid' | 'size'>
  readonly #limits: TransferLimits
  readonly #asked: number[] = []

  constructor(frames: FrameStream, blob: Pick<WantedBlob, 'cid' | 'size'>, limits: TransferLimits) {
    this.#frames = frames
    this.#blob = blob
    this.#limits = limits
  }

  async tree(): Promise<Extract<BlobReply, { readonly t: 'tree' }>> {
    await this.#say({ t: 'get-tree', cid: this.#blob.cid })
    return expectBlob(await this.#reply(this.#limits.replyMs), 'tree')
  }

  /** What the source has once that is more than `known` leaves, or after a while; null: all. */
  async have(known: number): Promise<LeafSet | null> {
    await this.#say({ t: 'get-have', cid: this.#blob.cid, known })
    const reply = await this.#reply(HAVE_WAIT_MS + this.#limits.replyMs)
    return this.leaves(expectBlob(reply, 'have').have)
  }

  /** By which its leaves may be asked for over the web. */
  async ticket(): Promise<Uint8Array> {
    await this.#say({ t: 'get-ticket' })
    return expectBlob(await this.#reply(this.#limits.replyMs), 'ticket').ticket
  }

  leaves(bits: Uint8Array | null): LeafSet | null {
    return bits === null ? null : expectOk(LeafSet.read(bits, leafCount(this.#blob.size)))
  }

  async ask(choice: Choice): Promise<void> {
    this.#asked.push(choice.index)
    await this.#say({ t: 'get-leaf', cid: this.#blob.cid, ...choice })
  }

  async answer(): Promise<LeafAnswer> {
    const index = this.#asked.shift()
    if (index === undefined) throw new TypeError('nothing was asked')
    const { leafMs } = this.#limits
    const reply = await this.#reply(leafMs)
    if (reply.t === 'given') {
      const given = expectOk(LeafSet.read(reply.given, leafCount(this.#blob.size)))
      // Only news keeps the same question from being asked at once again.
      if (reply.index !== index || !given.has(index)) throw another(index, reply.index)
      return { given }
    }
    const { index: got } = expectBlob(reply, 'leaf')
    if (got !== index) throw another(index, got)
    return { bytes: await this.#frames.expect(leafSize(this.#blob.size, index), leafMs) }
  }

  async keep(): Promise<void> {
    await this.have(0)
  }

  abort(error: ZoariumError): void {
    this.#frames.abort(error)
  }

  close(): Promise<void> {
    return this.#frames.close(this.#limits.replyMs)
  }

  #say(request: BlobRequest): Promise<void> {
    return this.#frames.write(blobRequests.encode(request), this.#limits.replyMs)
  }

  async #reply(withinMs: number): Promise<BlobReply> {
    const reply = blobReplies.decode(await this.#frames.expect(MAX_FRAME_BYTES, withinMs))
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

/** Another leaf than the one that was asked for. */
export const another = (limit: number, got: number): ZoariumError =>
  new ZoariumError('PEER', 'the peer sent another leaf', { limit, got })

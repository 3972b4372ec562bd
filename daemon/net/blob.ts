/**
 * The serving side of `/zoarium/blob/1`: trees and leaves of blobs that this node shares, also of
 * those that it is fetching itself, one answer after the other on each stream. Flow control is the
 * asker's, who asks for one range at a time.
 */
import type { Cid } from '../../protocol/cid.ts'
import { leafCount, leafSize } from '../../protocol/content-tree.ts'
import { accept, refuse, type Verdict, ZoariumError } from '../../protocol/errors.ts'
import { LEAF_BYTES } from '../../protocol/limits.ts'
import {
  type BlobReply,
  type BlobRequest,
  blobReplies,
  blobRequests,
  failureMessage,
} from '../../protocol/message.ts'
import type { Archive } from './archive.ts'
import { GivenLeaves } from './given-leaves.ts'
import type { Links } from './links.ts'
import type { PartialBlob, PartialBlobs } from './partial-blobs.ts'
import { type Peer, STRANGER_STREAMS } from './peers.ts'
import type { FrameStream } from './stream.ts'

/** A request is a type, a content id and a number. */
const MAX_REQUEST_BYTES = 256
/** A worker stream with nothing to ask may stay open this long. */
const IDLE_MS = 60_000
/** Time for the asker to take 256 KiB: 16 KiB/s at least. */
const SEND_MS = 16_000
/** How long an answer about what is here waits for more of it. */
export const HAVE_WAIT_MS = 2_000

type Request<T extends BlobRequest['t']> = Extract<BlobRequest, { readonly t: T }>

/** A blob that a peer may have leaves of. */
interface Shared {
  readonly size: number
  /** While it is being fetched; null: all of it is here. */
  readonly partial: PartialBlob | null
}

export class BlobServer {
  readonly #archive: Archive
  readonly #links: Links
  readonly #partials: PartialBlobs
  readonly #given = new GivenLeaves()
  /** Bytes of leaves that were sent. */
  sent = 0

  constructor(archive: Archive, links: Links, partials: PartialBlobs) {
    this.#archive = archive
    this.#links = links
    this.#partials = partials
  }

  /** Answers a peer until it ends the stream. */
  async serve(peer: Peer, frames: FrameStream, isMember: boolean): Promise<void> {
    if (!isMember && peer.blobStreams >= STRANGER_STREAMS) {
      const message = 'no more streams for a peer without trust here'
      await this.#say(frames, failureMessage(refuse('BUSY', message, { limit: STRANGER_STREAMS })))
      return frames.close(SEND_MS)
    }
    peer.blobStreams++
    try {
      while (true) {
        const frame = await frames.read(MAX_REQUEST_BYTES, IDLE_MS)
        if (frame === null) break
        const request = blobRequests.decode(frame)
        if (!request.ok) {
          this.#links.blame(peer, request.code)
          await this.#say(frames, failureMessage(request))
          break
        }
        await this.#answer(peer, frames, request.value)
      }
      await frames.close(SEND_MS)
    } finally {
      peer.blobStreams--
    }
  }

  #say(frames: FrameStream, reply: BlobReply): Promise<void> {
    return frames.write(blobReplies.encode(reply), SEND_MS)
  }

  async #answer(peer: Peer, frames: FrameStream, request: BlobRequest): Promise<void> {
    const shared = this.#find(peer, request.cid)
    if (!shared.ok) return this.#say(frames, failureMessage(shared))
    switch (request.t) {
      case 'get-tree':
        return this.#sendTree(peer, frames, request.cid, shared.value)
      case 'get-have':
        return this.#sendHave(peer, frames, request, shared.value)
      case 'get-leaf':
        return this.#sendLeaf(peer, frames, request, shared.value)
    }
  }

  #find(peer: Peer, cid: Cid): Verdict<Shared> {
    if (this.#archive.isShared(cid, this.#links.publisherOf(peer))) {
      const whole = this.#archive.blobs.stat(cid)
      if (whole !== null) return accept({ size: whole.size, partial: null })
      const partial = this.#partials.get(cid)
      if (partial !== null) return accept({ size: partial.size, partial })
    }
    return refuse('BLOB_MISSING', 'the bytes are not on this node', { got: cid })
  }

  async #sendTree(peer: Peer, frames: FrameStream, cid: Cid, shared: Shared): Promise<void> {
    const { size, partial } = shared
    const nodes = partial?.nodes ?? this.#archive.tree(cid) ?? []
    const have = partial?.have.toBytes() ?? null
    await this.#links.pace(
      peer,
      nodes.reduce((sum, node) => sum + node.length, have?.length ?? 0),
    )
    await this.#say(frames, { t: 'tree', size, nodes, have })
  }

  async #sendHave(
    peer: Peer,
    frames: FrameStream,
    { cid, known }: Request<'get-have'>,
    { partial }: Shared,
  ): Promise<void> {
    if (partial !== null && partial.have.size <= known) await partial.more(HAVE_WAIT_MS)
    const now = this.#find(peer, cid)
    if (!now.ok) return this.#say(frames, failureMessage(now))
    const have = now.value.partial?.have.toBytes() ?? null
    await this.#links.pace(peer, have?.length ?? 0)
    await this.#say(frames, { t: 'have', have })
  }

  async #sendLeaf(
    peer: Peer,
    frames: FrameStream,
    { cid, index, insist }: Request<'get-leaf'>,
    { size, partial }: Shared,
  ): Promise<void> {
    const leaves = leafCount(size)
    if (index >= leaves) {
      const detail = { field: 'index', limit: leaves - 1, got: index }
      return this.#say(frames, failureMessage(refuse('PARAMETER', 'no such leaf', detail)))
    }
    if (partial !== null && !partial.have.has(index)) {
      const missing = refuse('BLOB_MISSING', 'the leaf is not here yet', { got: index })
      return this.#say(frames, failureMessage(missing))
    }
    if (!insist && this.#given.isElsewhere(cid, index, peer.id)) {
      const given = this.#given.elsewhere(cid, leaves, peer.id).toBytes()
      await this.#links.pace(peer, given.length)
      return this.#say(frames, { t: 'given', index, given })
    }
    this.#given.give(cid, index, peer.id)
    const length = leafSize(size, index)
    const start = index * LEAF_BYTES
    await this.#links.pace(peer, length)
    let parts: AsyncIterable<Uint8Array> | readonly Uint8Array[]
    try {
      parts =
        partial === null
          ? await this.#archive.blobs.open(cid, { start, end: start + length })
          : [await partial.read(index)]
    } catch (error) {
      if (!(error instanceof ZoariumError)) throw error
      return this.#say(
        frames,
        failureMessage({ code: error.code, message: error.message, ...error.data }),
      )
    }
    await this.#say(frames, { t: 'leaf', index })
    this.sent += length
    await frames.writeParts(length, parts, SEND_MS)
  }
}

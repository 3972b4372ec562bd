/**
 * The serving side of `/zoarium/blob/1`: trees and leaves of blobs that this node shares, one answer
 * after the other on each stream. Flow control is the asker's, who asks for one range at a time.
 */
import type { Cid } from '../../protocol/cid.ts'
import { leafCount, leafSize } from '../../protocol/content-tree.ts'
import { refuse, type Verdict, ZoariumError } from '../../protocol/errors.ts'
import { LEAF_BYTES } from '../../protocol/limits.ts'
import {
  type BlobReply,
  type BlobRequest,
  blobReplies,
  blobRequests,
  failureMessage,
} from '../../protocol/message.ts'
import type { Holdings } from './holdings.ts'
import type { Links } from './links.ts'
import { type Peer, STRANGER_STREAMS } from './peers.ts'
import type { FrameStream } from './stream.ts'

/** A request is a type, a content id and a number. */
const MAX_REQUEST_BYTES = 256
/** A worker stream with nothing to ask may stay open this long. */
const IDLE_MS = 60_000
/** Time for the asker to take 256 KiB: 16 KiB/s at least. */
const SEND_MS = 16_000

type Leaf = Extract<BlobRequest, { readonly t: 'get-leaf' }>

export class BlobServer {
  readonly #holdings: Holdings
  readonly #links: Links

  constructor(holdings: Holdings, links: Links) {
    this.#holdings = holdings
    this.#links = links
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
        if (request.value.t === 'get-tree') await this.#sendTree(peer, frames, request.value.cid)
        else await this.#sendLeaf(peer, frames, request.value)
      }
      await frames.close(SEND_MS)
    } finally {
      peer.blobStreams--
    }
  }

  #say(frames: FrameStream, reply: BlobReply): Promise<void> {
    return frames.write(blobReplies.encode(reply), SEND_MS)
  }

  #size(peer: Peer, cid: Cid): Verdict<number> {
    const reader = this.#links.publisherOf(peer)
    const here = this.#holdings.isShared(cid, reader) ? this.#holdings.blobs.stat(cid) : null
    return here === null
      ? refuse('BLOB_MISSING', 'the bytes are not on this node', { got: cid })
      : { ok: true, value: here.size }
  }

  async #sendTree(peer: Peer, frames: FrameStream, cid: Cid): Promise<void> {
    const size = this.#size(peer, cid)
    if (!size.ok) return this.#say(frames, failureMessage(size))
    const nodes = this.#holdings.tree(cid) ?? []
    await this.#links.pace(
      peer,
      nodes.reduce((sum, node) => sum + node.length, 0),
    )
    await this.#say(frames, { t: 'tree', size: size.value, nodes })
  }

  async #sendLeaf(peer: Peer, frames: FrameStream, { cid, index }: Leaf): Promise<void> {
    const size = this.#size(peer, cid)
    if (!size.ok) return this.#say(frames, failureMessage(size))
    const leaves = leafCount(size.value)
    if (index >= leaves) {
      const detail = { field: 'index', limit: leaves - 1, got: index }
      return this.#say(frames, failureMessage(refuse('PARAMETER', 'no such leaf', detail)))
    }
    const length = leafSize(size.value, index)
    const start = index * LEAF_BYTES
    await this.#links.pace(peer, length)
    let parts: AsyncIterable<Uint8Array>
    try {
      parts = await this.#holdings.blobs.open(cid, { start, end: start + length })
    } catch (error) {
      if (!(error instanceof ZoariumError)) throw error
      return this.#say(
        frames,
        failureMessage({ code: error.code, message: error.message, ...error.data }),
      )
    }
    await this.#say(frames, { t: 'leaf', index })
    await frames.writeParts(length, parts, SEND_MS)
  }
}

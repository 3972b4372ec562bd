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
import { Tickets } from './tickets.ts'

/** A request is a type, a content id and a number. */
const MAX_REQUEST_BYTES = 256
/** A worker stream with nothing to ask may stay open this long. */
const IDLE_MS = 60_000
/** Time for the asker to take 256 KiB: 16 KiB/s at least. */
const SEND_MS = 16_000
/** How long an answer about what is here waits for more of it. */
export const HAVE_WAIT_MS = 2_000
/** Leaves that one peer may ask for over HTTPS at a time. */
export const MAX_WEB_LEAVES = 32

/** A leaf, in parts that are read as they are sent; or all leaves that were given to others. */
export type LeafReply =
  | { readonly length: number; readonly parts: AsyncIterable<Uint8Array> | readonly Uint8Array[] }
  | { readonly given: Uint8Array }

export interface WebLeaf {
  /** Bytes of the whole file. */
  readonly size: number
  readonly reply: LeafReply
  /** To be called once it is sent, or cannot be. */
  readonly sent: () => void
}

type Request<T extends BlobRequest['t']> = Extract<BlobRequest, { readonly t: T }>

/** A blob that a peer may have leaves of. */
interface Shared {
  readonly size: number
  /** While it is being fetched; null: all of it is here. */
  readonly partial: PartialBlob | null
}

export interface BlobServerOptions {
  readonly archive: Archive
  readonly links: Links
  readonly partials: PartialBlobs
  /** Whether leaves may be asked for at the HTTPS address of this node's profile. */
  readonly isOnWeb: () => boolean
}

export class BlobServer {
  readonly #archive: Archive
  readonly #links: Links
  readonly #partials: PartialBlobs
  readonly #isOnWeb: () => boolean
  readonly #given = new GivenLeaves()
  readonly #tickets = new Tickets()
  /** Bytes of leaves that were sent. */
  sent = 0

  constructor({ archive, links, partials, isOnWeb }: BlobServerOptions) {
    this.#archive = archive
    this.#links = links
    this.#partials = partials
    this.#isOnWeb = isOnWeb
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
        await this.#answer(peer, frames, request.value, isMember)
      }
      await frames.close(SEND_MS)
    } finally {
      peer.blobStreams--
    }
  }

  #say(frames: FrameStream, reply: BlobReply): Promise<void> {
    return frames.write(blobReplies.encode(reply), SEND_MS)
  }

  async #answer(
    peer: Peer,
    frames: FrameStream,
    request: BlobRequest,
    isMember: boolean,
  ): Promise<void> {
    if (request.t === 'get-ticket') return this.#sendTicket(peer, frames, isMember)
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

  /** Members alone get one: what strangers may take is counted on their stream. */
  #sendTicket(peer: Peer, frames: FrameStream, isMember: boolean): Promise<void> {
    const ticket = isMember && this.#isOnWeb() ? this.#tickets.issue(peer) : null
    return this.#say(
      frames,
      ticket === null
        ? failureMessage(refuse('NOT_FOUND', 'this node gives you no files over HTTPS'))
        : { t: 'ticket', ticket },
    )
  }

  async #sendLeaf(
    peer: Peer,
    frames: FrameStream,
    request: Request<'get-leaf'>,
    shared: Shared,
  ): Promise<void> {
    const reply = await this.#leaf(peer, request, shared)
    if (!reply.ok) return this.#say(frames, failureMessage(reply))
    const { index } = request
    if ('given' in reply.value) {
      return this.#say(frames, { t: 'given', index, given: reply.value.given })
    }
    const { length, parts } = reply.value
    await this.#say(frames, { t: 'leaf', index })
    await frames.writeParts(length, parts, SEND_MS)
  }

  async #leaf(
    peer: Peer,
    { cid, index, insist }: Omit<Request<'get-leaf'>, 't'>,
    { size, partial }: Shared,
  ): Promise<Verdict<LeafReply>> {
    const leaves = leafCount(size)
    if (index >= leaves) {
      const detail = { field: 'index', limit: leaves - 1, got: index }
      return refuse('PARAMETER', 'no such leaf', detail)
    }
    if (partial !== null && !partial.have.has(index)) {
      return refuse('BLOB_MISSING', 'the leaf is not here yet', { got: index })
    }
    if (!insist && this.#given.isElsewhere(cid, index, peer.id)) {
      const given = this.#given.elsewhere(cid, leaves, peer.id).toBytes()
      await this.#links.pace(peer, given.length)
      return accept({ given })
    }
    this.#given.give(cid, index, peer.id)
    const length = leafSize(size, index)
    const start = index * LEAF_BYTES
    await this.#links.pace(peer, length)
    try {
      const parts =
        partial === null
          ? await this.#archive.blobs.open(cid, { start, end: start + length })
          : [await partial.read(index)]
      this.sent += length
      return accept({ length, parts })
    } catch (error) {
      if (!(error instanceof ZoariumError)) throw error
      return refuse(error.code, error.message, error.data)
    }
  }

  // Over HTTPS

  /** Whether a text is the ticket of a peer. */
  isTicket(text: string): boolean {
    return this.#tickets.peerOf(text) !== null
  }

  /** A connection has ended. */
  gone(peer: Peer): void {
    this.#tickets.end(peer)
  }

  /**
   * A leaf for a ticket, as it is given over a stream. The caller says when it is sent. Fails with
   * TOKEN, BUSY, BLOB_MISSING, PARAMETER.
   */
  async leafFor(
    ticket: string,
    request: Omit<Request<'get-leaf'>, 't'>,
  ): Promise<Verdict<WebLeaf>> {
    const peer = this.#tickets.peerOf(ticket)
    if (peer === null) return refuse('TOKEN', 'the ticket is not valid any more')
    if (peer.webLeaves >= MAX_WEB_LEAVES) {
      return refuse('BUSY', 'no more leaves at a time for one peer', { limit: MAX_WEB_LEAVES })
    }
    const shared = this.#find(peer, request.cid)
    if (!shared.ok) return shared
    peer.webLeaves++
    const reply = await this.#leaf(peer, request, shared.value)
    const { size } = shared.value
    if (reply.ok) return accept({ size, reply: reply.value, sent: () => void peer.webLeaves-- })
    peer.webLeaves--
    return reply
  }
}

/**
 * `/zoarium/peers/1`, between members: where other members are, and whether a node is reached from
 * outside. What comes of it is a hint, and leads to dials within their bounds.
 */
import { expectOk, ZoariumError } from '../../protocol/errors.ts'
import { MAX_EXCHANGED_PEERS, MAX_PEER_ADDRESSES } from '../../protocol/limits.ts'
import { expectReply, failureMessage, PROTOCOLS, readFailure } from '../../protocol/message.ts'
import {
  type Dialled,
  type ExchangedPeer,
  type PeersReply,
  type PeersRequest,
  peersReplies,
  peersRequests,
} from '../../protocol/peers-message.ts'
import type { Clock } from '../../registry/clock.ts'
import { type AddressPolicy, parseTold } from './address.ts'
import type { DialBack } from './dial-back.ts'
import type { Links } from './links.ts'
import type { Peer, PeerBook } from './peers.ts'
import type { FrameStream } from './stream.ts'

const MAX_REQUEST_BYTES = 4 * 1024
/** 32 peers with 8 addresses of 256 characters. */
const MAX_REPLY_BYTES = 96 * 1024
const REQUEST_MS = 5_000
/** Four dials one after the other, and the way there and back. */
const REPLY_MS = 25_000

export interface PeersServiceOptions {
  readonly links: Links
  readonly book: PeerBook
  readonly addresses: AddressPolicy
  readonly clock: Clock
  readonly dialBack: DialBack
}

export class PeersService {
  readonly #options: PeersServiceOptions

  constructor(options: PeersServiceOptions) {
    this.#options = options
  }

  /** @param from IP address from which the peer comes */
  async serve(peer: Peer, frames: FrameStream, from: string | null): Promise<void> {
    const { links, clock } = this.#options
    const request = peersRequests.decode(await frames.expect(MAX_REQUEST_BYTES, REQUEST_MS))
    const now = clock.now()
    let reply: PeersReply
    if (!request.ok) {
      links.blame(peer, request.code)
      reply = failureMessage(request)
    } else {
      try {
        reply = await this.#answer(peer, request.value, from, now)
      } catch (error) {
        if (!(error instanceof ZoariumError)) throw error
        reply = failureMessage({ code: error.code, message: error.message, ...error.data })
      }
    }
    await frames.write(peersReplies.encode(reply), REQUEST_MS)
    await frames.close(REQUEST_MS)
  }

  async #answer(
    peer: Peer,
    request: PeersRequest,
    from: string | null,
    now: number,
  ): Promise<PeersReply> {
    const { book, dialBack } = this.#options
    const publisher = book.publisherOf(peer)
    if (publisher === null || !book.isMember(peer)) {
      throw new ZoariumError('TRUST', 'this is for nodes of publishers that this node lists')
    }
    if (request.t === 'dial-back') {
      const results = await dialBack.dial(peer, publisher, from, request.addresses)
      return { t: 'dialled', now, observed: from, results }
    }
    if (!peer.exchanges.take()) throw new ZoariumError('BUSY', 'asked often enough')
    return { t: 'peers', peers: this.#told(peer, from, request.limit) }
  }

  /** Connected members, with addresses that a peer from there may know. */
  #told(asker: Peer, from: string | null, limit: number): ExchangedPeer[] {
    const { book, addresses } = this.#options
    return book
      .connected()
      .filter((peer) => peer !== asker && book.isMember(peer))
      .map((peer) => ({
        peer: peer.id,
        addresses: [...new Set([...peer.addresses, ...peer.announced])]
          .filter((text) => addresses.mayPassOn(parseTold(text), from))
          .slice(0, MAX_PEER_ADDRESSES),
      }))
      .filter((peer) => peer.addresses.length > 0)
      .slice(0, limit)
  }

  /** Other members, as a peer tells. @throws ZoariumError TRUST, BUSY, PEER, TIMEOUT, UNREACHABLE */
  async peersOf(peer: Peer): Promise<readonly ExchangedPeer[]> {
    const request = { t: 'get-peers', limit: MAX_EXCHANGED_PEERS } as const
    return expectOk(expectReply(await this.#ask(peer, request), 'peers')).peers
  }

  /** Whether a peer reaches this node. @throws ZoariumError as {@link peersOf} */
  async dialBack(peer: Peer, addresses: readonly string[]): Promise<Dialled> {
    const reply = await this.#ask(peer, { t: 'dial-back', addresses })
    return expectOk(expectReply(reply, 'dialled'))
  }

  async #ask(peer: Peer, request: PeersRequest): Promise<PeersReply> {
    const frames = await this.#options.links.open(peer, PROTOCOLS.peers)
    await frames.write(peersRequests.encode(request), REQUEST_MS)
    const frame = await frames.expect(MAX_REPLY_BYTES, REPLY_MS)
    await frames.close(REQUEST_MS)
    const reply = peersReplies.decode(frame, MAX_REPLY_BYTES)
    if (!reply.ok) {
      this.#options.links.blame(peer, reply.code)
      throw ZoariumError.of(reply)
    }
    if (reply.value.t === 'error') throw ZoariumError.of(readFailure(reply.value))
    return reply.value
  }
}

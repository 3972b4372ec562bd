/** What the protocols need of the node beneath them; network.ts implements it. */
import type { Cid } from '../../protocol/cid.ts'
import type { Code } from '../../protocol/errors.ts'
import type { Peer } from './peers.ts'
import type { FrameStream } from './stream.ts'

export interface Links {
  /** The publisher to which a peer is bound now, or null. */
  publisherOf(peer: Peer): Cid | null
  /** Opens a stream to a connected peer. @throws ZoariumError UNREACHABLE, PEER */
  open(peer: Peer, protocol: string): Promise<FrameStream>
  /**
   * Counts a fault of a peer, where the code is one.
   * @returns false where it was one too many: the peer is shut out for a while
   */
  blame(peer: Peer, code: Code): boolean
  /** Waits until a stranger may be sent so many bytes more; members never wait. */
  pace(peer: Peer, bytes: number): Promise<void>
  /** A peer says that it holds something that this node lacks. */
  behind(peer: Peer): void
  /**
   * A peer has passed on a signed head whose records this node lacks; it may lack them, too, for now.
   * @param isHere whether they have come
   */
  heard(peer: Peer, isHere: () => boolean): void
}

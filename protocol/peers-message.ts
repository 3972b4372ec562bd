/**
 * Messages of `/zoarium/peers/1`: where other nodes are, and whether others reach me.
 * docs/protocol.md, "Peers".
 */
import { peerId } from './binding.ts'
import {
  MAX_DIALLED_BACK,
  MAX_EXCHANGED_PEERS,
  MAX_MULTIADDR_CHARS,
  MAX_PEER_ADDRESSES,
} from './limits.ts'
import { count, FAILURE, messages } from './message.ts'
import { int, list, map, nullable, type ShapeOf, text, word } from './shape.ts'

/** A libp2p address without a PeerId. */
const ADDRESS_PATTERN = /^(?:\/[\x21-\x2e\x30-\x7e]+)+$/

const address = text(MAX_MULTIADDR_CHARS, ADDRESS_PATTERN)

const PEERS_REQUESTS = {
  /** For members of a federation alone, about other members. */
  'get-peers': map({ t: word('get-peers'), limit: int(1, MAX_EXCHANGED_PEERS) }),
  /** Connect to me there, and say how it went. */
  'dial-back': map({ t: word('dial-back'), addresses: list(address, MAX_DIALLED_BACK) }),
} as const

const PEERS_REPLIES = {
  peers: map({
    t: word('peers'),
    peers: list(
      map({ peer: peerId, addresses: list(address, MAX_PEER_ADDRESSES) }),
      MAX_EXCHANGED_PEERS,
    ),
  }),
  dialled: map({
    t: word('dialled'),
    /** The clock of the one who answers when it read the request, milliseconds since 1970. */
    now: count,
    /** From where the asker seems to come; an IP address. */
    observed: nullable(text(64)),
    results: list(
      map({
        address,
        /** Null: it was reached there. */
        code: nullable(text(40, /^[A-Z][A-Z0-9_]*$/)),
        message: nullable(text(200)),
        /** Milliseconds. */
        ms: count,
      }),
      MAX_DIALLED_BACK,
    ),
  }),
  error: FAILURE,
} as const

export type PeersRequest = ShapeOf<(typeof PEERS_REQUESTS)[keyof typeof PEERS_REQUESTS]>
export type PeersReply = ShapeOf<(typeof PEERS_REPLIES)[keyof typeof PEERS_REPLIES]>
export type Dialled = ShapeOf<(typeof PEERS_REPLIES)['dialled']>
export type ExchangedPeer = ShapeOf<(typeof PEERS_REPLIES)['peers']>['peers'][number]

export const peersRequests = messages(PEERS_REQUESTS)
export const peersReplies = messages(PEERS_REPLIES)

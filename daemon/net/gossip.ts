/**
 * What is heard by gossip: new heads and heartbeats. Both are signed by their publishers, so any
 * member may carry them; both are hints. A head that is ahead of us leads to a sync with the peer
 * that brought it; a heartbeat is kept until it runs out.
 */
import { TopicValidatorResult } from '@libp2p/gossipsub'
import type { Code } from '../../protocol/errors.ts'
import { peekHeartbeat, readHeartbeat } from '../../protocol/heartbeat.ts'
import { TOPICS } from '../../protocol/message.ts'
import type { Clock } from '../../registry/clock.ts'
import type { Holdings } from './holdings.ts'
import type { Links } from './links.ts'
import { isFault, type PeerBook } from './peers.ts'

export interface GossipOptions {
  readonly holdings: Holdings
  readonly links: Links
  readonly book: PeerBook
  readonly clock: Clock
  /** A heartbeat of a peer came in. */
  readonly onHeartbeat: (peer: string) => void
}

/** Judges one message. Rejected messages count against the peer that brought them. */
export function judgeGossip(
  options: GossipOptions,
  topic: string,
  from: string,
  data: Uint8Array,
): TopicValidatorResult {
  const peer = options.book.find(from)
  if (peer === null || !options.book.isMember(peer) || !peer.gossip.take()) {
    return TopicValidatorResult.Ignore
  }
  if (topic === TOPICS.status) return judgeHeartbeat(options, data)
  const verdict = options.holdings.admitHead(data)
  if (!verdict.ok) return judgement(verdict.code)
  const { publisher, key } = verdict.value.head
  // Of a private log: others must not hear of it from here.
  if (!options.holdings.mayRead(publisher, key, null)) return TopicValidatorResult.Ignore
  if (verdict.value.ahead) options.links.behind(peer, 'head')
  return TopicValidatorResult.Accept
}

function judgeHeartbeat(options: GossipOptions, data: Uint8Array): TopicValidatorResult {
  const { holdings, book, clock, onHeartbeat } = options
  const claim = peekHeartbeat(data)
  if (!claim.ok) return judgement(claim.code)
  const { publisher, peer: id } = claim.value
  const identity = holdings.identity(publisher)
  if (identity === null || !holdings.may(publisher, 'list')) return TopicValidatorResult.Ignore
  const verdict = readHeartbeat(data, identity, clock.now())
  if (!verdict.ok) return judgement(verdict.code)
  const peer = book.get(id)
  if (peer.heartbeat !== null && peer.heartbeat.issued >= verdict.value.issued) {
    return TopicValidatorResult.Ignore
  }
  peer.heartbeat = verdict.value
  onHeartbeat(id)
  return TopicValidatorResult.Accept
}

const judgement = (code: Code): TopicValidatorResult =>
  isFault(code) ? TopicValidatorResult.Reject : TopicValidatorResult.Ignore

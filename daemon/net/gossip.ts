/**
 * What is heard by gossip: new heads and heartbeats. Both are signed by their publishers, so any
 * member may carry them; both are hints. A head that is ahead of us leads to a sync with the peer
 * that brought it; a heartbeat is kept until it runs out.
 */
import { TopicValidatorResult } from '@libp2p/gossipsub'
import { type Code, ZoariumError } from '../../protocol/errors.ts'
import { type Head, headOf } from '../../protocol/head.ts'
import { peekHeartbeat, readHeartbeat } from '../../protocol/heartbeat.ts'
import { TOPICS } from '../../protocol/message.ts'
import { comparePositions } from '../../protocol/record.ts'
import type { Clock } from '../../registry/clock.ts'
import type { Archive } from './archive.ts'
import type { Links } from './links.ts'
import { isFault, type PeerBook } from './peers.ts'

export interface GossipOptions {
  readonly archive: Archive
  readonly links: Links
  readonly book: PeerBook
  readonly clock: Clock
  /** A heartbeat of a peer came in. */
  readonly onHeartbeat: (peer: string) => void
}

/**
 * Messages over its budget that make one fault of a peer: 20 faults a minute are some 170 messages a
 * second, what a federation of 2,500 nodes passes on.
 */
export const SURPLUS_PER_FAULT = 500

/**
 * Whether a message of a peer is looked at at all. Asked before anything of it is verified: the
 * signature of the transport costs as much as that of the content. Strangers are not heard; who goes
 * on beyond its budget, stranger or member, is shut out.
 */
export function hearsGossip(
  { book, links }: Pick<GossipOptions, 'book' | 'links'>,
  from: string,
): boolean {
  const peer = book.find(from)
  if (peer === null) return false
  if (peer.gossip.take()) return book.isMember(peer)
  peer.surplus++
  if (peer.surplus % SURPLUS_PER_FAULT === 0) links.blame(peer, 'LIMIT')
  return false
}

/**
 * Judges one message. Those that no honest peer passes on are rejected and count as faults of the
 * peer that brought them.
 */
export function judgeGossip(
  options: GossipOptions,
  topic: string,
  from: string,
  data: Uint8Array,
): TopicValidatorResult {
  const peer = options.book.find(from)
  if (peer === null || !options.book.isMember(peer)) return TopicValidatorResult.Ignore
  const judgement = (code: Code): TopicValidatorResult => {
    if (!isFault(code)) return TopicValidatorResult.Ignore
    options.links.blame(peer, code)
    return TopicValidatorResult.Reject
  }
  if (topic === TOPICS.status) return judgeHeartbeat(options, data, judgement)
  const verdict = admitHead(options.archive, data)
  if (verdict === null) return TopicValidatorResult.Ignore
  if (!verdict.ok) return judgement(verdict.code)
  const { publisher, key } = verdict.value.head
  // Of a private log: others must not hear of it from here.
  if (!options.archive.mayRead(publisher, key, null)) return TopicValidatorResult.Ignore
  if (verdict.value.ahead) {
    const head = headOf(data)
    options.links.heard(peer, () => holds(options.archive, head))
  }
  return TopicValidatorResult.Accept
}

/** Whether the records up to a head are here. */
function holds(archive: Archive, { publisher, key, ...head }: Head): boolean {
  const log = archive.logs(publisher).find((each) => each.key === key)
  return log !== undefined && comparePositions(log, head) >= 0
}

/** Null where this node cannot keep it, for want of space perhaps: a later sync brings it again. */
function admitHead(archive: Archive, data: Uint8Array): ReturnType<Archive['admitHead']> | null {
  try {
    return archive.admitHead(data)
  } catch (error) {
    if (error instanceof ZoariumError) return null
    throw error
  }
}

function judgeHeartbeat(
  options: GossipOptions,
  data: Uint8Array,
  judgement: (code: Code) => TopicValidatorResult,
): TopicValidatorResult {
  const { archive, book, clock, onHeartbeat } = options
  const claim = peekHeartbeat(data)
  if (!claim.ok) return judgement(claim.code)
  const { publisher, peer: id } = claim.value
  const identity = archive.identity(publisher)
  if (identity === null || !archive.may(publisher, 'list')) return TopicValidatorResult.Ignore
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

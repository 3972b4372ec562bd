/**
 * The peer book: what is known of each node that was met, how it behaves, and what it may.
 *
 * A peer is *bound* while it showed a binding of its PeerId to a publisher that still verifies. It
 * is a *member* where that publisher has the right `list` here, else a stranger.
 */
import { type Binding, readBinding } from '../../protocol/binding.ts'
import type { Cid } from '../../protocol/cid.ts'
import { type Code, refuse, type Verdict } from '../../protocol/errors.ts'
import type { Heartbeat } from '../../protocol/heartbeat.ts'
import { LEAF_BYTES } from '../../protocol/limits.ts'
import { createSyncMemory, type SyncMemory } from '../../protocol/sync-publishers.ts'
import type { Clock } from '../../registry/clock.ts'
import type { Archive } from './archive.ts'
import { Budget } from './rate.ts'
import type { KnownRoad } from './road-choice.ts'
import type { WebDoor } from './web-door.ts'

/** Peers remembered; those not connected and seen longest ago go first. */
export const MAX_PEERS = 1000
/** Bytes per second that a stranger gets, and what it may take at once. */
export const STRANGER_BYTES_PER_SECOND = 1024 * 1024
const STRANGER_BURST_BYTES = 4 * 1024 * 1024
/** Gossip messages of one peer that are looked at, at once and per second. */
const GOSSIP_BURST = 50
const GOSSIP_PER_SECOND = 20
/** Syncs that a peer may cause at once; then one a second by new heads, one in ten by its word. */
const HINTS_BURST = 20
const NUDGES_BURST = 5
/** Times that a member may ask the same of where nodes are, at once and per minute. */
export const ASKS_BURST = 2
const ASKS_PER_MINUTE = 1
/** Streams of blobs that a stranger may hold open. */
export const STRANGER_STREAMS = 1
/** Faults (bad signatures, wrong bytes, broken frames) that a peer may make in a minute. */
export const FAULTS_PER_MINUTE = 20
/** First time that a peer is shut out; doubles up to the last. */
const FIRST_BAN_MS = 60_000
const LAST_BAN_MS = 3600_000
/** How long a verified binding is taken as it was, while the identity stays the same. */
const RECHECK_MS = 60_000
/** Weight of the newest round trip in the smoothed one. */
const RTT_WEIGHT = 0.3

/** The same for the rate at which it gives files. */
const RATE_WEIGHT = 0.3
/** What is thought of a peer before anything was measured: bytes a second, milliseconds. */
const USUAL_RATE = 10 * 1024 * 1024
const USUAL_RTT_MS = 100

/** Codes that an honest peer never causes: it checks what it passes on. */
const FAULT_CODES: ReadonlySet<Code> = new Set([
  'SIG_INVALID',
  'SIG_NONCANONICAL',
  'SIG_WEAK',
  'SIG_LENGTH',
  'KEY_WEAK',
  'KEY_NONCANONICAL',
  'CBOR_NONCANONICAL',
  'CBOR_FLOAT',
  'CBOR_SIMPLE',
  'CID_PROFILE',
  'CONTENT_MISMATCH',
  'DEPTH',
  'INT_RANGE',
  'KEY_RESERVED',
  'LIMIT',
  'RECORD_INVALID',
  'TRAILING',
  'TRUNCATED',
  'UTF8',
])

interface Shown {
  readonly envelope: Uint8Array
  readonly binding: Binding
  /** End of the identity chain by which it was verified, and when. */
  readonly tip: Cid
  readonly at: number
}

export class Peer {
  readonly id: string
  /** Of the present connection. */
  memory: SyncMemory = createSyncMemory()
  /** What a stranger may take. */
  readonly budget: Budget
  /** Gossip messages that are looked at, and how many more there were. */
  readonly gossip: Budget
  surplus = 0
  /** Syncs that its gossip may cause, and those that its word "you lack something" may cause. */
  readonly hints: Budget
  readonly nudges: Budget
  /** Times that it may ask to be dialled back, and where other members are. */
  readonly dialBacks: Budget
  readonly exchanges: Budget
  readonly #faults: Budget
  /** Where this node reached it, and where it says that it is. */
  addresses: readonly string[] = []
  announced: readonly string[] = []
  agent = ''
  isConnected = false
  /** The binding that it showed last, verified. */
  shown: Shown | null = null
  heartbeat: Heartbeat | null = null
  rttMs: number | null = null
  /** Bytes of files a second that it gave, smoothed; null: it has given none. */
  fileRate: number | null = null
  /** When a sync last ended well, milliseconds. */
  lastSync: number | null = null
  /** Last time a connection stood, milliseconds. */
  seen = 0
  /** When it was last asked where other members are; 0: not yet. */
  exchangedAt = 0
  /** When it last said who it is; 0: not yet. */
  greetedAt = 0
  /** When it was last shut out, and until when; milliseconds. */
  bannedAt = 0
  bannedUntil = 0
  bans = 0
  /** Streams of blobs that it holds open here. */
  blobStreams = 0
  /** Where it gives leaves over HTTPS, of the present connection; null: nowhere, or not known yet. */
  door: WebDoor | null = null
  /** The quicker road to it, of the present connection. */
  road: KnownRoad | null = null
  /** Leaves that are being sent to it over HTTPS. */
  webLeaves = 0

  constructor(id: string, clock: Clock) {
    this.id = id
    this.budget = new Budget(clock, STRANGER_BURST_BYTES, STRANGER_BYTES_PER_SECOND)
    this.gossip = new Budget(clock, GOSSIP_BURST, GOSSIP_PER_SECOND)
    this.hints = new Budget(clock, HINTS_BURST, 1)
    this.nudges = new Budget(clock, NUDGES_BURST, 0.1)
    this.dialBacks = new Budget(clock, ASKS_BURST, ASKS_PER_MINUTE / 60)
    this.exchanges = new Budget(clock, ASKS_BURST, ASKS_PER_MINUTE / 60)
    this.#faults = new Budget(clock, FAULTS_PER_MINUTE, FAULTS_PER_MINUTE / 60)
  }

  measured(rttMs: number): void {
    this.rttMs = this.rttMs === null ? rttMs : this.rttMs * (1 - RTT_WEIGHT) + rttMs * RTT_WEIGHT
  }

  /** It gave bytes of a file. */
  gave(bytes: number, ms: number): void {
    const rate = (bytes * 1000) / Math.max(1, ms)
    const before = this.fileRate ?? rate
    this.fileRate = before * (1 - RATE_WEIGHT) + rate * RATE_WEIGHT
  }

  /** It was to give bytes of a file, and did not: others are asked before it. */
  failed(): void {
    this.fileRate = (this.fileRate ?? USUAL_RATE) / 2
  }

  /** How long a leaf of a file from it is likely to take, milliseconds. */
  get leafMs(): number {
    return (this.rttMs ?? USUAL_RTT_MS) + (LEAF_BYTES * 1000) / (this.fileRate ?? USUAL_RATE)
  }

  /** Counts a fault. @returns false where it was one too many */
  fault(): boolean {
    return this.#faults.take()
  }
}

/** Whether what a peer sent can only come from a fault of its own. */
export const isFault = (code: Code): boolean => FAULT_CODES.has(code)

export class PeerBook {
  readonly #peers = new Map<string, Peer>()
  readonly #clock: Clock
  readonly #archive: Archive

  constructor(clock: Clock, archive: Archive) {
    this.#clock = clock
    this.#archive = archive
  }

  get(id: string): Peer {
    let peer = this.#peers.get(id)
    if (peer === undefined) {
      peer = new Peer(id, this.#clock)
      this.#peers.set(id, peer)
      if (this.#peers.size > MAX_PEERS) this.#forgetOldest(peer)
    }
    return peer
  }

  find(id: string): Peer | null {
    return this.#peers.get(id) ?? null
  }

  /** All peers, by id. */
  all(): readonly Peer[] {
    return [...this.#peers.values()].sort((a, b) => (a.id < b.id ? -1 : 1))
  }

  connected(): readonly Peer[] {
    return this.all().filter((peer) => peer.isConnected)
  }

  #forgetOldest(newest: Peer): void {
    let oldest: Peer | null = null
    for (const peer of this.#peers.values()) {
      if (peer === newest || peer.isConnected) continue
      if (oldest === null || peer.seen < oldest.seen) oldest = peer
    }
    if (oldest !== null) this.#peers.delete(oldest.id)
  }

  /**
   * Takes in a binding that a peer shows.
   * @returns the verdict on it; KEY_NOT_DELEGATED may mean that our copy of the chain is old
   */
  show(peer: Peer, publisher: Cid, envelope: Uint8Array): Verdict<Binding> {
    const identity = this.#archive.identity(publisher)
    if (identity === null) return refuse('BINDING_INVALID', 'the identity is not known')
    const now = this.#clock.now()
    const verdict = readBinding(envelope, identity, now)
    if (!verdict.ok) return verdict
    if (verdict.value.peer !== peer.id || verdict.value.publisher !== publisher) {
      return refuse('BINDING_INVALID', 'the binding is that of another peer or publisher', {
        got: verdict.value.peer,
        limit: peer.id,
      })
    }
    peer.shown = { envelope, binding: verdict.value, tip: identity.tip, at: now }
    return verdict
  }

  /** The peer's binding, if it holds now: not run out, by a key that is still delegated. */
  bindingOf(peer: Peer): Binding | null {
    if (peer.shown === null) return null
    const { envelope, binding, tip, at } = peer.shown
    const now = this.#clock.now()
    if (binding.expires < now) return null
    const identity = this.#archive.identity(binding.publisher)
    if (identity?.tip === tip && Math.abs(now - at) < RECHECK_MS) return binding
    const verdict = this.show(peer, binding.publisher, envelope)
    return verdict.ok ? verdict.value : null
  }

  publisherOf(peer: Peer): Cid | null {
    return this.bindingOf(peer)?.publisher ?? null
  }

  isMember(peer: Peer): boolean {
    const publisher = this.publisherOf(peer)
    return publisher !== null && this.#archive.may(publisher, 'list')
  }

  heartbeatOf(peer: Peer): Heartbeat | null {
    return peer.heartbeat !== null && peer.heartbeat.expires > this.#clock.now()
      ? peer.heartbeat
      : null
  }

  /** Shuts a peer out for a while, each time for longer. @returns milliseconds */
  ban(peer: Peer): number {
    const ms = Math.min(FIRST_BAN_MS * 2 ** peer.bans, LAST_BAN_MS)
    peer.bans++
    peer.bannedAt = this.#clock.now()
    peer.bannedUntil = peer.bannedAt + ms
    return ms
  }

  isBanned(id: string): boolean {
    const peer = this.#peers.get(id)
    return peer !== undefined && this.shutOut(peer) !== null
  }

  /** Since when and until when a peer is shut out; null: it is not. */
  shutOut({ bannedAt, bannedUntil }: Peer): { since: number; until: number } | null {
    const now = this.#clock.now()
    // One that began later than now ended when the clock was set back.
    const isShutOut = bannedAt <= now && now < bannedUntil
    return isShutOut ? { since: bannedAt, until: bannedUntil } : null
  }
}

/**
 * The private peer book at work: dials members that were met before, on earlier days too, and those
 * that other members tell of, each ever more slowly while nobody answers. So a node finds its
 * federation again without the addresses that its operator once named.
 */
import type { Multiaddr } from '@multiformats/multiaddr'
import type { ExchangedPeer } from '../../protocol/peers-message.ts'
import type { Clock } from '../../registry/clock.ts'
import { type AddressPolicy, parseTold } from './address.ts'
import type { Archive } from './archive.ts'
import { jitter, type Sleep } from './sleep.ts'

/** Pause between two looks at who is away. */
const PAUSE_MS = 5_000
/** Wait before a peer that did not answer is dialled again; doubles up to the last. */
export const FIRST_WAIT_MS = 10_000
export const LAST_WAIT_MS = 3600_000
/** Dials side by side. */
const MAX_DIALS = 8
/** A peer that was not met for so long is forgotten. */
export const FORGET_MS = 30 * 24 * 3600_000
/** Peers that are remembered; those met longest ago go first. */
export const MAX_KNOWN = 1000
/** Peers of which others told, and how often each is tried. */
export const MAX_HINTS = 256
export const MAX_HINT_TRIES = 3

/** Name of libp2p's error where the bound of dials (node.ts) lets none through. */
const DENIED = 'DialDeniedError'

export interface RediallerOptions {
  readonly archive: Pick<Archive, 'knownPeers' | 'forgetPeer' | 'may'>
  readonly addresses: AddressPolicy
  /** This node's own PeerId. */
  readonly self: string
  readonly isConnected: (peer: string) => boolean
  /** Whether more connections are wanted. */
  readonly hasRoom: () => boolean
  readonly dial: (addresses: readonly Multiaddr[]) => Promise<unknown>
  readonly clock: Clock
  readonly sleep: Sleep
  readonly random: () => number
  readonly signal: AbortSignal
}

interface Wait {
  failures: number
  next: number
}

interface Candidate {
  readonly peer: string
  readonly targets: readonly Multiaddr[]
}

export class Redialler {
  readonly #options: RediallerOptions
  readonly #waits = new Map<string, Wait>()
  readonly #hints = new Map<string, ExchangedPeer>()

  constructor(options: RediallerOptions) {
    this.#options = options
  }

  /** Until the network stops. */
  async repeat(): Promise<void> {
    const { sleep, random, signal } = this.#options
    while (!signal.aborted) {
      await this.round()
      await sleep(jitter(PAUSE_MS, random), signal).catch(() => {})
    }
  }

  /** Takes in what a peer told; the oldest hints go where there are too many. */
  hint(peers: readonly ExchangedPeer[]): void {
    const { self } = this.#options
    for (const each of peers) {
      if (each.peer === self) continue
      this.#hints.delete(each.peer)
      this.#hints.set(each.peer, each)
    }
    for (const oldest of this.#hints.keys()) {
      if (this.#hints.size <= MAX_HINTS) return
      this.#hints.delete(oldest)
      this.#waits.delete(oldest)
    }
  }

  /** Dials those that are due, side by side. */
  async round(): Promise<void> {
    const { hasRoom, isConnected, clock } = this.#options
    this.#forgetOld()
    if (!hasRoom()) return
    const now = clock.now()
    const due = this.#candidates()
      .filter(({ peer }) => !isConnected(peer) && this.#isDue(peer, now))
      .slice(0, MAX_DIALS)
    await Promise.all(due.map((candidate) => this.#dial(candidate)))
  }

  #isDue(peer: string, now: number): boolean {
    const next = this.#waits.get(peer)?.next ?? 0
    // One that lies further ahead than any wait was set before the clock was set back.
    return next <= now || next - now > 2 * LAST_WAIT_MS
  }

  /** Known members, the last met first, then those told of. */
  #candidates(): Candidate[] {
    const { archive } = this.#options
    const known = archive
      .knownPeers()
      .filter(({ publisher }) => publisher !== null && archive.may(publisher, 'list'))
    const names = new Set(known.map(({ peer }) => peer))
    const told = [...this.#hints.values()].filter(({ peer }) => !names.has(peer))
    return [...known, ...told]
      .map(({ peer, addresses }) => ({ peer, targets: this.#targets(peer, addresses) }))
      .filter(({ targets }) => targets.length > 0)
  }

  #targets(peer: string, addresses: readonly string[]): readonly Multiaddr[] {
    const end = `/p2p/${peer}`
    return addresses
      .map((text) => parseTold(text.endsWith(end) ? text : text + end))
      .filter((each) => each !== null)
      .filter((each) => this.#options.addresses.mayDial(each))
  }

  async #dial({ peer, targets }: Candidate): Promise<void> {
    const { dial, clock, random } = this.#options
    try {
      await dial(targets)
      this.#waits.delete(peer)
      // A member is in the book now; another is not wanted.
      this.#hints.delete(peer)
    } catch (error) {
      // Too many dials this minute: it did not fail, and is tried as soon as there is room.
      if (error instanceof Error && error.name === DENIED) return
      const failures = (this.#waits.get(peer)?.failures ?? 0) + 1
      if (this.#hints.has(peer) && failures >= MAX_HINT_TRIES) {
        this.#hints.delete(peer)
      }
      const wait = Math.min(FIRST_WAIT_MS * 2 ** (failures - 1), LAST_WAIT_MS)
      this.#waits.set(peer, { failures, next: clock.now() + jitter(wait, random) })
    }
  }

  #forgetOld(): void {
    const { archive, clock } = this.#options
    const now = clock.now()
    const known = archive.knownPeers()
    const gone = known.filter(({ seen }, place) => now - seen > FORGET_MS || place >= MAX_KNOWN)
    for (const { peer } of gone) archive.forgetPeer(peer)
    const kept = new Set([...known.map(({ peer }) => peer), ...this.#hints.keys()])
    for (const peer of this.#waits.keys()) if (!kept.has(peer)) this.#waits.delete(peer)
  }
}

/**
 * What this node says of itself: the binding of its PeerId to its publisher, heartbeats with what it
 * serves, and what it holds. All are signed by the `serve` key and run out by themselves. Where that key may
 * not speak, nothing is said: other nodes would refuse it.
 */
import { type PeerRole, signBinding } from '../protocol/binding.ts'
import type { Cid } from '../protocol/cid.ts'
import { servingDevice } from '../protocol/delegation.ts'
import { accept, type Failure, refuse, type Verdict } from '../protocol/errors.ts'
import { type HeartbeatBody, signHeartbeat } from '../protocol/heartbeat.ts'
import { nextHoldings, type StatedHoldings, signHoldings } from '../protocol/holdings.ts'
import { MAX_BINDING_MS } from '../protocol/limits.ts'
import type { Clock } from '../registry/clock.ts'
import type { Registry } from '../registry/registry.ts'
import type { Log } from './log.ts'

/** A binding lives as long as it may, and is made anew after a day. */
export const BINDING_RENEWAL_MS = 24 * 3600 * 1000
/** A dead node leaves the list of candidates within one life of a heartbeat. */
export const HEARTBEAT_LIFE_MS = 45_000
export const HEARTBEAT_INTERVAL_MS = 15_000

export interface PresenceOptions {
  readonly registry: Pick<Registry, 'publisher' | 'signer' | 'identity' | 'replicas'>
  /** PeerId of this node. */
  readonly peer: string
  readonly clock: Clock
  /** Roles of the binding: `sync`, and `serve` where the node runs requests of others. */
  readonly roles: readonly PeerRole[]
  /** The present state of engines, queue and models. */
  readonly offer: () => HeartbeatBody
  readonly log: Pick<Log, 'info' | 'warn'>
}

/** What a node holds. */
export interface HoldingsOffer {
  readonly models: ReadonlySet<Cid>
  /** Bytes that it would still take. */
  readonly room: number
  readonly lifeMs: number
}

export interface SignedHoldings {
  readonly key: string
  readonly current: Uint8Array
  /** The statement that it changes, or null. */
  readonly base: Uint8Array | null
}

interface Speaker {
  /** 64 hex digits. */
  readonly key: string
  /** 32 bytes. */
  readonly seed: Uint8Array
}

export class Presence {
  readonly #options: PresenceOptions
  #binding: { readonly envelope: Uint8Array; readonly issued: number } | null = null
  #silence: Failure | null = null

  constructor(options: PresenceOptions) {
    this.#options = options
  }

  /** The signed binding, the same one for a day; null where the node may not speak. */
  binding(): Uint8Array | null {
    const speaker = this.#speaker()
    if (speaker === null) return null
    const { clock, peer, roles, registry } = this.#options
    const { publisher } = registry
    const { key, seed } = speaker
    const now = clock.now()
    // Dated ahead of a clock that was set back it would be refused by all others.
    const age = this.#binding === null ? -1 : now - this.#binding.issued
    if (this.#binding === null || age < 0 || age >= BINDING_RENEWAL_MS) {
      const envelope = signBinding(
        { publisher, key, peer, roles, issued: now, expires: now + MAX_BINDING_MS },
        seed,
      )
      this.#binding = { envelope, issued: now }
    }
    return this.#binding.envelope
  }

  /** A signed heartbeat of this moment; null where the node may not speak. */
  heartbeat(): Uint8Array | null {
    const speaker = this.#speaker()
    if (speaker === null) return null
    const { clock, registry, peer, offer } = this.#options
    const { publisher } = registry
    const now = clock.now()
    return signHeartbeat(
      {
        publisher,
        key: speaker.key,
        peer,
        issued: now,
        expires: now + HEARTBEAT_LIFE_MS,
        ...offer(),
      },
      speaker.seed,
    )
  }

  /**
   * A signed statement of what is held, with the one that it changes; null where the node may not
   * speak, or there is no news.
   * @param isNews whether something is to be said after what was said last
   */
  holdings(
    { models, room, lifeMs }: HoldingsOffer,
    isNews: (before: StatedHoldings) => boolean,
  ): SignedHoldings | null {
    const speaker = this.#speaker()
    if (speaker === null) return null
    const { clock, registry, peer } = this.#options
    const { publisher } = registry
    const { key, seed } = speaker
    const before = registry.replicas.node(publisher, key)
    if (before !== null && before.holdings.peer === peer && !isNews(before)) return null
    // Also where the clock was set back: the later one counts.
    const issued = Math.max(clock.now(), (before?.holdings.issued ?? 0) + 1)
    const expires = issued + lifeMs
    const next = { speaker: { publisher, key, peer }, issued, expires, models, room }
    const holdings = nextHoldings(next, before)
    const base = holdings.base === null ? null : (before?.base ?? before?.current ?? null)
    return { key, current: signHoldings(holdings, seed), base }
  }

  /** Why nothing is said, or null. */
  silence(): Failure | null {
    this.#speaker()
    return this.#silence
  }

  /** The key that speaks now. A change of that is logged once. */
  #speaker(): Speaker | null {
    const verdict = findSpeaker(this.#options)
    const before = this.#silence?.code
    this.#silence = verdict.ok ? null : verdict
    if (before === this.#silence?.code) return verdict.ok ? verdict.value : null
    const { log } = this.#options
    if (verdict.ok) {
      log.info({ key: verdict.value.key }, 'the node speaks for its publisher again')
      return verdict.value
    }
    const { code, message, hint } = verdict
    log.warn({ code, message, hint }, 'the node does not speak for its publisher any more')
    return null
  }
}

/** Fails with SCOPE where no serve key is on this machine, and like `servingDevice`. */
function findSpeaker({ registry, clock }: PresenceOptions): Verdict<Speaker> {
  const { signer, publisher } = registry
  if (!signer.purposes().includes('serve')) {
    return refuse('SCOPE', 'this machine has no key to serve, so other nodes see a stranger', {
      hint: 'stop the daemon, then: zoarium keys delegate serve',
    })
  }
  const speaker = signer.device('serve')
  const identity = registry.identity(publisher)
  if (identity === null) throw new TypeError('the own identity is in the catalogue')
  const now = clock.now()
  const device = servingDevice(identity, { key: speaker.key, issued: now }, now)
  if (device.ok) return accept(speaker)
  const command = device.code === 'KEY_EXPIRED' ? 'renew serve' : 'delegate serve'
  return refuse(device.code, `the serve key of this node may not speak: ${device.message}`, {
    field: speaker.key,
    hint: `stop the daemon, then: zoarium keys ${command}`,
  })
}

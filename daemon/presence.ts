/**
 * What this node says of itself: the binding of its PeerId to its publisher, and heartbeats with
 * what it serves. Both are signed by the `serve` key and run out by themselves.
 */
import { type PeerRole, signBinding } from '../protocol/binding.ts'
import type { Cid } from '../protocol/cid.ts'
import { type HeartbeatBody, signHeartbeat } from '../protocol/heartbeat.ts'
import { MAX_BINDING_MS } from '../protocol/limits.ts'
import type { Clock } from '../registry/clock.ts'
import type { Signer } from '../registry/signer.ts'

/** A binding lives as long as it may, and is made anew after a day. */
export const BINDING_RENEWAL_MS = 24 * 3600 * 1000
/** A dead node leaves the list of candidates within one life of a heartbeat. */
export const HEARTBEAT_LIFE_MS = 45_000
export const HEARTBEAT_INTERVAL_MS = 15_000

export interface PresenceOptions {
  readonly signer: Signer
  readonly publisher: Cid
  /** PeerId of this node. */
  readonly peer: string
  readonly clock: Clock
  /** Roles of the binding: `sync`, and `serve` where the node runs requests of others. */
  readonly roles: readonly PeerRole[]
  /** The present state of engines, queue and models. */
  readonly offer: () => HeartbeatBody
}

export class Presence {
  readonly #options: PresenceOptions
  #binding: { readonly envelope: Uint8Array; readonly issued: number } | null = null

  constructor(options: PresenceOptions) {
    this.#options = options
  }

  /** The signed binding; the same one for a day. */
  binding(): Uint8Array {
    const { clock, signer, publisher, peer, roles } = this.#options
    const now = clock.now()
    if (this.#binding === null || now - this.#binding.issued >= BINDING_RENEWAL_MS) {
      const { key, seed } = signer.device('serve')
      const envelope = signBinding(
        { publisher, key, peer, roles, issued: now, expires: now + MAX_BINDING_MS },
        seed,
      )
      this.#binding = { envelope, issued: now }
    }
    return this.#binding.envelope
  }

  /** A signed heartbeat of this moment. */
  heartbeat(): Uint8Array {
    const { clock, signer, publisher, peer, offer } = this.#options
    const now = clock.now()
    const { key, seed } = signer.device('serve')
    return signHeartbeat(
      { publisher, key, peer, issued: now, expires: now + HEARTBEAT_LIFE_MS, ...offer() },
      seed,
    )
  }
}

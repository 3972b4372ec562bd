/**
 * Candidates for a request: this node and every peer whose heartbeat offers the model, each with
 * the first rule that excludes it; measured upload throughput per peer. route.ts ranks them.
 */
import type { RouteView } from '../protocol/api.ts'
import type { ModelRow } from '../registry/catalogue.ts'
import type { Registry } from '../registry/registry.ts'
import type { Inference } from './inference/inference.ts'
import type { Network, NetworkPeer } from './net/network.ts'
import { type Candidate, ewma, type Route, rank } from './route.ts'
import { whyForbidden, whyNotRunnable } from './runnable.ts'
import type { Views } from './views.ts'

/** The node name of this node in routes and answers. */
export const LOCAL = 'local'

export interface NearestOptions {
  readonly registry: Registry
  readonly network: Network
  readonly inference: Inference
  readonly views: Views
}

export class Nearest {
  readonly #options: NearestOptions
  readonly #bytesPerMs = new Map<string, number>()

  constructor(options: NearestOptions) {
    this.#options = options
  }

  /** All nodes for a request of `bytes`, best first; excluded ones last with their reason. */
  routes(model: ModelRow, bytes: number): readonly Route[] {
    return rank(this.#candidates(model), bytes, megapixelsOf(model, bytes))
  }

  views(model: ModelRow, bytes: number): readonly RouteView[] {
    const peers = new Map(this.#options.network.peers().map((peer) => [peer.peer, peer]))
    return this.routes(model, bytes).map(({ candidate, cost }) => {
      const publisher =
        candidate.node === LOCAL
          ? this.#options.registry.publisher
          : (peers.get(candidate.node)?.publisher ?? null)
      return {
        node: candidate.node,
        publisher: publisher === null ? null : this.#options.views.publisher(publisher),
        eligible: cost !== null,
        reason: candidate.excluded,
        cost,
      }
    })
  }

  /** Takes in how fast an upload went. */
  measured(peer: string, bytes: number, ms: number): void {
    if (ms <= 0) return
    this.#bytesPerMs.set(peer, ewma(this.#bytesPerMs.get(peer) ?? null, bytes / ms))
  }

  #candidates(model: ModelRow): Candidate[] {
    const { network } = this.#options
    return [this.#local(model), ...network.peers().map((peer) => this.#remote(model, peer))]
  }

  #local(model: ModelRow): Candidate {
    const { registry, inference } = this.#options
    const status = inference.status()
    return {
      node: LOCAL,
      excluded: whyNotRunnable(registry, model)?.message ?? null,
      bytesPerMs: Number.POSITIVE_INFINITY,
      rttMs: 0,
      queue: status.queued + status.running,
      warm: status.warm.includes(model.record),
      usPerMegapixel:
        status.speed.find((entry) => entry.model === model.record)?.usPerMegapixel ?? null,
    }
  }

  #remote(model: ModelRow, peer: NetworkPeer): Candidate {
    const heartbeat = peer.heartbeat
    return {
      node: peer.peer,
      excluded: this.#whyExcluded(model, peer),
      bytesPerMs: this.#bytesPerMs.get(peer.peer) ?? null,
      rttMs: peer.rttMs,
      queue: heartbeat?.queue ?? 0,
      warm: heartbeat?.warm.includes(model.record) ?? false,
      usPerMegapixel:
        heartbeat?.speed.find((entry) => entry.model === model.record)?.usPerMegapixel ?? null,
    }
  }

  #whyExcluded(model: ModelRow, peer: NetworkPeer): string | null {
    const { registry, views } = this.#options
    const forbidden = whyForbidden(registry, model)
    if (forbidden !== null) return forbidden.message
    if (!peer.connected) return 'not connected'
    if (peer.publisher === null) return 'the peer is bound to no publisher'
    if (!registry.trust.maySend(peer.publisher)) {
      const { label, id } = views.publisher(peer.publisher)
      return `no rule lets images go to ${label ?? id}; zoarium trust add ${label ?? id} list --send`
    }
    if (!peer.roles.includes('serve')) return 'the peer does not serve'
    if (peer.heartbeat === null) return 'no heartbeat lately'
    if (!peer.heartbeat.acceptsInput) return 'it takes no images from others'
    if (!peer.heartbeat.serves.includes(model.record)) return 'it does not offer this model'
    return null
  }
}

/** The upload as decoded pixels of the model's first input; a compressed image is underrated. */
function megapixelsOf(model: ModelRow, bytes: number): number {
  const dtype = model.description.inputs[0]?.dtype ?? 'float32'
  const width = Number(/\d+/.exec(dtype)?.[0] ?? 8) / 8
  return bytes / width / 1e6
}

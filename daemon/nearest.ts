/**
 * Candidates for a request: this node and every peer, each with the first rule that excludes it,
 * and the measured upload throughput per peer. route.ts ranks them.
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
/** Smaller uploads are not measured: their time is mostly the round trip's. */
export const MIN_MEASURED_BYTES = 64 * 1024

export interface NearestOptions {
  readonly registry: Registry
  readonly network: Pick<Network, 'peers'>
  readonly inference: Pick<Inference, 'status'>
  readonly views: Views
}

export class Nearest {
  readonly #options: NearestOptions
  /** By PeerId. */
  readonly #bytesPerMs = new Map<string, number>()

  constructor(options: NearestOptions) {
    this.#options = options
  }

  /** All nodes for a request of `bytes`, best first; excluded ones last with their reason. */
  routes(model: ModelRow, bytes: number): readonly Route[] {
    const peers = this.#options.network.peers().map((peer) => this.#remote(model, peer))
    return rank([this.#local(model), ...peers], bytes, megapixelsOf(model, bytes))
  }

  views(model: ModelRow, bytes: number): readonly RouteView[] {
    return this.routes(model, bytes).map(({ candidate, cost }) => ({
      node: candidate.node,
      publisher:
        candidate.publisher === null ? null : this.#options.views.publisher(candidate.publisher),
      eligible: cost !== null,
      reason: candidate.excluded,
      cost,
    }))
  }

  /** Takes in how fast an upload went. */
  measured(peer: string, bytes: number, ms: number): void {
    if (ms <= 0 || bytes < MIN_MEASURED_BYTES) return
    this.#bytesPerMs.set(peer, ewma(this.#bytesPerMs.get(peer) ?? null, bytes / ms))
  }

  #local(model: ModelRow): Candidate {
    const { registry, inference } = this.#options
    const { queued, running, warm, speed } = inference.status()
    return {
      node: LOCAL,
      publisher: registry.publisher,
      excluded: whyNotRunnable(registry, model)?.message ?? null,
      bytesPerMs: Number.POSITIVE_INFINITY,
      rttMs: 0,
      queue: queued + running,
      ...modelAt({ warm, speed }, model),
    }
  }

  #remote(model: ModelRow, peer: NetworkPeer): Candidate {
    const { heartbeat } = peer
    return {
      node: peer.peer,
      publisher: peer.publisher,
      excluded: this.#whyExcluded(model, peer),
      bytesPerMs: this.#bytesPerMs.get(peer.peer) ?? null,
      rttMs: peer.rttMs,
      queue: heartbeat?.queue ?? 0,
      ...modelAt(heartbeat ?? { warm: [], speed: [] }, model),
    }
  }

  #whyExcluded(model: ModelRow, peer: NetworkPeer): string | null {
    const { registry, views } = this.#options
    const forbidden = whyForbidden(registry, model)
    if (forbidden !== null) return forbidden.message
    if (!peer.connected) return 'not connected'
    if (peer.publisher === null) return 'the peer is bound to no publisher'
    if (!registry.trust.maySend(peer.publisher)) {
      const name = views.nameOf(peer.publisher)
      return `no rule lets images go to ${name}; zoarium trust add ${name} list --send`
    }
    if (!peer.roles.includes('serve')) return 'the peer does not serve'
    if (peer.heartbeat === null) return 'no heartbeat lately'
    if (!peer.heartbeat.acceptsInput) return 'it takes no images from others'
    if (!peer.heartbeat.serves.includes(model.record)) return 'it does not offer this model'
    return null
  }
}

/** What a node says of one model. */
const modelAt = (
  { warm, speed }: Pick<ReturnType<Inference['status']>, 'warm' | 'speed'>,
  { record }: ModelRow,
): Pick<Candidate, 'warm' | 'usPerMegapixel'> => ({
  warm: warm.includes(record),
  usPerMegapixel: speed.find(({ model }) => model === record)?.usPerMegapixel ?? null,
})

/** The upload as decoded pixels of the model's first input; a compressed image is underrated. */
function megapixelsOf(model: ModelRow, bytes: number): number {
  const dtype = model.description.inputs[0]?.dtype ?? 'float32'
  const width = Number(/\d+/.exec(dtype)?.[0] ?? 8) / 8
  return bytes / width / 1e6
}

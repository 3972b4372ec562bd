/** What this node offers to others at this moment: the body of its heartbeats. */
import { availableParallelism, freemem } from 'node:os'
import type { Cid } from '../protocol/cid.ts'
import { type HeartbeatBody, MAX_US_PER_MEGAPIXEL } from '../protocol/heartbeat.ts'
import { MAX_HEARTBEAT_SERVES, MAX_HEARTBEAT_WARM } from '../protocol/limits.ts'
import type { Registry } from '../registry/registry.ts'
import type { Engine } from './inference/engine.ts'
import type { Inference } from './inference/inference.ts'
import { whyUnsupported } from './runnable.ts'

export interface OfferOptions {
  readonly registry: Registry
  readonly engine: Pick<Engine, 'name' | 'executionProviders'>
  readonly inference: Pick<Inference, 'status'>
  /** Where data stay, in the operator's own words. */
  readonly residency: readonly string[]
  /** Whether requests of other nodes are run. */
  readonly acceptsInput: boolean
}

export class Offer {
  readonly #options: OfferOptions
  /** By record, whether the engine can run it: reading a model's row again costs more. */
  readonly #isSupported = new Map<Cid, boolean>()

  constructor(options: OfferOptions) {
    this.#options = options
  }

  body(): HeartbeatBody {
    const { engine, inference, residency, acceptsInput } = this.#options
    const { queued, running, warm, speed } = inference.status()
    const serves = this.#serves()
    const offered = new Set(serves)
    return {
      engines: engine.executionProviders.map((provider) => ({
        name: engine.name,
        provider,
        device: provider === 'cpu' ? `${availableParallelism()} cores` : provider,
      })),
      queue: queued + running,
      warm: warm.filter((record) => offered.has(record)).slice(0, MAX_HEARTBEAT_WARM),
      serves,
      speed: speed
        .filter(({ model }) => offered.has(model))
        // The most recently measured ones come last.
        .slice(-MAX_HEARTBEAT_WARM)
        .map(({ model, usPerMegapixel }) => ({
          model,
          usPerMegapixel: Math.min(Math.max(usPerMegapixel, 1), MAX_US_PER_MEGAPIXEL),
        })),
      freeMemory: freemem(),
      residency,
      acceptsInput,
    }
  }

  /** Models that run here, own ones first, as many as a heartbeat holds. */
  #serves(): readonly Cid[] {
    const { registry } = this.#options
    const serves: Cid[] = []
    for (const record of registry.runnableModels()) {
      if (serves.length === MAX_HEARTBEAT_SERVES) return serves
      // Heartbeats are for everybody.
      const isPublic = registry.audiences.ofRecord(record) === null
      if (isPublic && this.#supports(record)) serves.push(record)
    }
    return serves
  }

  #supports(record: Cid): boolean {
    let known = this.#isSupported.get(record)
    if (known === undefined) {
      const model = this.#options.registry.catalogue.model(record)
      known = model !== null && whyUnsupported(model) === null
      // A card that is missing may come.
      if (model?.unreadable?.code !== 'BLOB_MISSING') this.#isSupported.set(record, known)
    }
    return known
  }
}

/**
 * Keeps copies of models from getting too few: sees which models have fewer than their floor, fills
 * those that are this node's to fill, and tells whether a copy here may go. The order of who fills is
 * that of registry/placement.ts; what others say they hold is looked after by asking for a part of it.
 */
import { setImmediate } from 'node:timers/promises'
import type { Cid } from '../protocol/cid.ts'
import { ZoariumError } from '../protocol/errors.ts'
import type { ModelRow } from '../registry/catalogue.ts'
import type { Clock } from '../registry/clock.ts'
import { bytesOf } from '../registry/mirror-rules.ts'
import { type PlacementNode, type Shortage, Shortages } from '../registry/placement.ts'
import type { Registry, ScarceModel } from '../registry/registry.ts'
import type { Log } from './log.ts'
import type { Mirror } from './mirror.ts'
import type { Network, NetworkPeer } from './net/network.ts'
import { jitter, type Sleep, systemSleep } from './net/sleep.ts'

/** Longest time between two looks; a turn has at least four. */
const LOOK_MS = 60_000
const LOOKS_PER_TURN = 4
/** Changes within so long are looked at together, where the operator waits to see them. */
export const KICK_MS = 3_000
/** Models that are told to the operator by name; the others are counted. */
export const MAX_NAMED = 20
/** Models that are looked at before others have their turn on the event loop. */
const BATCH = 200
/** Part of `mirror.maxBytes` up to which copies are filled: the rest is for what is used here. */
export const FILL_SHARE = 0.9
/** Peers that are asked whether they give a file before a copy of it goes here. */
const MAX_ASKED = 3

export interface PlacingOptions {
  readonly registry: Registry
  readonly network: Pick<Network, 'peers' | 'gives'>
  readonly mirror: Pick<Mirror, 'fill' | 'coming'>
  /** Whether this node fills up copies. */
  readonly fills: boolean
  readonly maxBytes: number
  /** How long a model lacks copies before the first node acts, and each one after it, milliseconds. */
  readonly turnMs: number
  readonly clock: Clock
  readonly log: Pick<Log, 'info' | 'warn'>
  /** The end of a look. */
  readonly onLook: () => void
  /** From 0 to below 1. */
  readonly random?: () => number
  readonly sleep?: Sleep
}

/** Models with fewer copies than their floor. */
export interface AtRisk {
  readonly total: number
  /** The first of them. */
  readonly models: readonly ScarceModel[]
}

export class Placing {
  readonly #options: PlacingOptions
  readonly #shortages: Shortages | null
  readonly #self: { readonly publisher: Cid; readonly key: string } | null
  readonly #stop = new AbortController()
  #atRisk: AtRisk = { total: 0, models: [] }
  #running: Promise<void> | null = null
  #isKicked = false
  #alarm = new AbortController()

  constructor(options: PlacingOptions) {
    this.#options = options
    const { registry, turnMs } = options
    const { publisher, signer } = registry
    this.#self = signer.purposes().includes('serve')
      ? { publisher, key: signer.device('serve').key }
      : null
    this.#shortages = this.#self === null ? null : new Shortages(turnMs, this.#self)
  }

  /** As of the last look. */
  get atRisk(): AtRisk {
    return this.#atRisk
  }

  /** Bytes of others' files that this node would still take to fill copies. */
  room(): number {
    const { registry, mirror, fills, maxBytes } = this.#options
    if (!fills || this.#self === null) return 0
    const left = maxBytes * FILL_SHARE - registry.blobs.held.bytes - mirror.coming
    return Math.max(0, Math.floor(Math.min(left, registry.quotas.spare())))
  }

  /** Looks again and again, until it is stopped. */
  start(): void {
    const { sleep = systemSleep, random = Math.random, turnMs } = this.#options
    const repeat = async (): Promise<void> => {
      while (!this.#stop.signal.aborted) {
        await this.look()
        const pauseMs = jitter(Math.min(LOOK_MS, turnMs / LOOKS_PER_TURN), random)
        this.#alarm = new AbortController()
        const signal = AbortSignal.any([this.#alarm.signal, this.#stop.signal])
        await sleep(pauseMs, signal).catch(() => {})
      }
    }
    this.#running = repeat()
  }

  /** The operator did something: looks soon. Cheap to repeat. */
  kick(): void {
    if (this.#isKicked || this.#stop.signal.aborted) return
    this.#isKicked = true
    const { sleep = systemSleep } = this.#options
    sleep(KICK_MS, this.#stop.signal).then(
      () => {
        this.#isKicked = false
        this.#alarm.abort()
      },
      () => {},
    )
  }

  async stop(): Promise<void> {
    this.#stop.abort(new ZoariumError('CANCELLED', 'the daemon is stopping'))
    await this.#running
  }

  /** One look: what is scarce, and what of it this node fills now. */
  async look(): Promise<void> {
    const { registry, onLook, log } = this.#options
    try {
      registry.reviewHoldings()
      const shortages = await this.#see()
      for (const { record } of this.#due(shortages)) {
        if (this.#stop.signal.aborted) return
        await this.#fill(record)
      }
      await this.#audit()
      onLook()
    } catch (error) {
      if (!(error instanceof ZoariumError)) throw error
      log.warn({ err: error }, "couldn't look after the copies of models")
    }
  }

  async #see(): Promise<readonly Shortage[]> {
    const { registry } = this.#options
    const shortages: Shortage[] = []
    const named: ScarceModel[] = []
    let total = 0
    let seen = 0
    for (const scarce of registry.scarceModels()) {
      if (scarce !== null) {
        total++
        if (named.length < MAX_NAMED) named.push(scarce)
        if (this.#isForUs(scarce.model)) shortages.push(shortageOf(registry, scarce))
      }
      if (++seen % BATCH === 0) await setImmediate()
    }
    this.#atRisk = { total, models: named }
    return shortages
  }

  #isForUs(model: ModelRow): boolean {
    const { registry } = this.#options
    return (
      registry.mayMirror(model) &&
      registry.mirrorDecision(model).fetch !== 'never' &&
      !registry.holding(model.record).complete
    )
  }

  #due(shortages: readonly Shortage[]): readonly Shortage[] {
    const { clock } = this.#options
    return this.#shortages?.due(shortages, this.#nodes(), clock.now()) ?? []
  }

  /** Nodes that are heard of now, with this one as it is. */
  #nodes(): readonly PlacementNode[] {
    const { registry, network } = this.#options
    const heard = new Set(
      network
        .peers()
        .filter(isHeard)
        .map(({ peer }) => peer),
    )
    const others = registry.replicas
      .nodes()
      .filter(({ holdings }) => heard.has(holdings.peer) && holdings.key !== this.#self?.key)
      .map(({ holdings: { publisher, key, room } }) => ({ publisher, key, room }))
    return this.#self === null ? others : [...others, { ...this.#self, room: this.room() }]
  }

  /** What others did meanwhile counts. */
  async #fill(record: Cid): Promise<void> {
    const { registry, mirror, clock, log } = this.#options
    const model = registry.catalogue.model(record)
    if (model === null || bytesOf(model.files) > this.room()) return
    const replicas = registry.holders(record).length
    if (replicas >= registry.mirrorDecision(model).floor) return
    try {
      await mirror.fill(model, this.#stop.signal)
      log.info({ record, replicas }, 'a model had too few copies, and has one more here')
    } catch (error) {
      if (!(error instanceof ZoariumError)) throw error
      if (this.#stop.signal.aborted) return
      this.#shortages?.gaveUp(record, clock.now())
      log.warn({ record, err: error }, "couldn't fetch a model that has too few copies")
    }
  }

  /**
   * Whether a copy here may go: others are said to hold the model, enough for its floor where `strict`,
   * and one of them has just given a part of it.
   */
  async mayGo(model: ModelRow, isStrict: boolean): Promise<boolean> {
    const { registry, clock } = this.#options
    const { record } = model
    const isPrivate = registry.audiences.ofRecord(record) !== null
    const others = registry.replicas.holders(record, registry.publisher)
    const { floor } = registry.mirrorDecision(model)
    // Of private models nobody tells; who may have them can be asked all the same.
    if (!isPrivate && others.length < Math.max(1, isStrict ? floor : 1)) return false
    const mayGo = await this.#isGiven(model, isPrivate ? null : others)
    if (mayGo) this.#shortages?.gaveUp(record, clock.now())
    return mayGo
  }

  /** @param by publishers who are said to hold it; null: any who may have it */
  async #isGiven(model: ModelRow, by: readonly Cid[] | null): Promise<boolean> {
    const { registry, network } = this.#options
    const { record } = model
    const peers = network
      .peers()
      .filter(({ connected, publisher }) => connected && publisher !== null)
      .filter(({ publisher }) => by === null || by.includes(publisher as Cid))
      .filter(({ publisher }) => registry.audiences.mayReadRecord(record, publisher))
    for (const peer of this.#some(peers, MAX_ASKED)) {
      if (await this.#gives(model, peer, by !== null)) return true
    }
    return false
  }

  async #gives(model: ModelRow, peer: NetworkPeer, isClaimed: boolean): Promise<boolean> {
    const { registry, network, log } = this.#options
    const [file] = this.#some(model.files, 1)
    if (file === undefined || peer.publisher === null) return false
    const probed = await network.gives(peer.peer, file)
    const isLie =
      probed === 'lacks' && isClaimed && registry.replicas.isSaidBy(peer.peer, model.record)
    if (isLie) {
      log.warn({ peer: peer.peer, record: model.record }, 'a node does not hold what it says')
      registry.replicas.doubt(peer.publisher, model.record)
    }
    return probed === 'gives'
  }

  /** Asks one peer for a part of one model that it says it holds, and that counts for somebody. */
  async #audit(): Promise<void> {
    const { registry, network } = this.#options
    const [peer] = this.#some(
      network.peers().filter(({ connected, publisher }) => connected && publisher !== null),
      1,
    )
    if (peer === undefined) return
    const said = registry.replicas
      .nodes(peer.publisher)
      .find((each) => each.holdings.peer === peer.peer)
    const [record] = said === undefined ? [] : this.#some([...said.models], 1)
    const model = record === undefined ? null : registry.catalogue.model(record)
    if (model !== null) await this.#gives(model, peer, true)
  }

  /** Some of a list, in any order. */
  #some<T>(list: readonly T[], count: number): readonly T[] {
    const { random = Math.random } = this.#options
    const left = [...list]
    const some: T[] = []
    while (some.length < count && left.length > 0) {
      some.push(...left.splice(Math.floor(random() * left.length), 1))
    }
    return some
  }
}

const isHeard = ({ connected, heartbeat }: NetworkPeer): boolean => connected || heartbeat !== null

const shortageOf = (registry: Registry, { model, floor }: ScarceModel): Shortage => ({
  record: model.record,
  size: bytesOf(model.files),
  holders: registry.holders(model.record),
  floor,
})

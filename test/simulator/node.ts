/**
 * A simulated node: the registry, the peer book, the gossip judge and the presence of the program
 * over a simulated disk, clock and network. It crashes, comes back, and knows after that what its
 * disk knows.
 */

import { type Archive, archiveOf, readableBy } from '../../daemon/net/archive.ts'
import { hearsGossip, judgeGossip } from '../../daemon/net/gossip.ts'
import { isFault, type Peer, PeerBook } from '../../daemon/net/peers.ts'
import { confirmedBy } from '../../daemon/net/sync.ts'
import { Presence } from '../../daemon/presence.ts'
import { Telling } from '../../daemon/telling.ts'
import type { Cid } from '../../protocol/cid.ts'
import { accept, type Code, ZoariumError } from '../../protocol/errors.ts'
import { readHead } from '../../protocol/head.ts'
import { TOPICS } from '../../protocol/message.ts'
import { introduce, pull } from '../../protocol/sync.ts'
import { type SyncReply, type SyncRequest, syncReplies } from '../../protocol/sync-message.ts'
import { createSyncMemory } from '../../protocol/sync-publishers.ts'
import type { SyncSource } from '../../protocol/sync-source.ts'
import type { SyncOutcome, SyncPull } from '../../protocol/sync-step.ts'
import type { KeyId } from '../../registry/catalogue.ts'
import type { Clock } from '../../registry/clock.ts'
import { MaxSeen } from '../../registry/max-seen.ts'
import { Registry } from '../../registry/registry.ts'
import { type DeviceSeeds, Signer } from '../../registry/signer.ts'
import { TrustBook } from '../../registry/trust-file.ts'
import type { Agenda } from './agenda.ts'
import type { Disk } from './disk.ts'
import { type ExchangeHost, Pull, type PullReport, serveSync } from './exchange.ts'
import { SimulatedCrash } from './failpoint.ts'
import { Greeting } from './greeting.ts'
import type { Host, Network, Protocol } from './network.ts'
import type { Random } from './random.ts'
import type { SimulatedStream } from './stream.ts'
import type { Tally } from './tally.ts'

/** As in daemon/net/network.ts. */
const GREET_INTERVAL_MS = 10 * 60_000
/** How long the word of a node on what it holds counts, as in daemon/config.ts. */
const HOLDINGS_LIFE_MS = 3 * 24 * 3600_000
/** As in daemon/self-check.ts. */
const ASK_MS = 10_000
/** Messages whose bytes are remembered, so that none is passed on twice. */
const MAX_SEEN = 1000

/** A clock that may be wrong. */
export class NodeClock implements Clock {
  offset = 0
  readonly #agenda: Agenda

  constructor(agenda: Agenda) {
    this.#agenda = agenda
  }

  now(): number {
    return Math.max(0, this.#agenda.now + this.offset)
  }
}

/** What a node tells of itself to whoever watches. */
export interface Watcher {
  started(node: SimulatedNode): void
  /** Something of the node may have changed. */
  changed(node: SimulatedNode): void
  /** A node answers a peer. */
  answers(node: SimulatedNode, peer: string, request: SyncRequest, reply: SyncReply): void
  /** A node says something to everybody who listens. */
  tellsAll(node: SimulatedNode, message: Uint8Array): void
  /** The program failed in a way that it never may. */
  defect(node: SimulatedNode, error: unknown): void
}

export interface NodeParts {
  readonly name: string
  readonly id: string
  readonly publisher: Cid
  readonly seeds: DeviceSeeds
  readonly disk: Disk
  readonly agenda: Agenda
  readonly network: Network
  readonly random: Random
  readonly tally: Tally
  readonly watcher: Watcher
  readonly recordsPerDay?: number | undefined
  readonly sabotage?: Sabotage | null
}

/** Breaks a rule of the simulated nodes on purpose: the proof that the promises are watched. */
export type Sabotage =
  /** Every signature passes. */
  | 'blind-verification'
  /** A crash undoes what was acknowledged. */
  | 'lost-writes'
  /** A crash takes the ledger of signed positions along. */
  | 'forgotten-positions'
  /** The last head heard counts, not the newest one. */
  | 'any-head'
  /** Proofs of forks are passed over. */
  | 'no-proofs'

export class SimulatedNode implements Host, ExchangeHost {
  readonly name: string
  readonly id: string
  readonly publisher: Cid
  readonly disk: Disk
  readonly clock: NodeClock
  readonly agenda: Agenda
  readonly random: Random
  readonly tally: Tally
  /** The device keys of this machine; changed while it is down. */
  seeds: DeviceSeeds
  readonly #network: Network
  /** The quota of the program's own where undefined; changed while it is down. */
  recordsPerDay: number | undefined
  readonly #watcher: Watcher
  readonly #sabotage: Sabotage | null
  #registry: Registry | null = null
  #archive: Archive | null = null
  #book: PeerBook | null = null
  #presence: Presence | null = null
  #telling: Telling | null = null
  /** Peers with a pull under way, and those that are due for another. */
  readonly #pulling = new Set<string>()
  readonly #due = new Set<string>()
  readonly #seen = new Set<string>()
  /** Counts lives; what a former one has begun does not go on. */
  #life = 0
  /** Whether peers are waited for, and whether one has confirmed the own logs. */
  #isAsking = false
  /** Own keys that peers have confirmed while others may still know more. */
  readonly #confirmed = new Set<KeyId>()
  #isStarting = false

  constructor(parts: NodeParts) {
    this.name = parts.name
    this.id = parts.id
    this.publisher = parts.publisher
    this.seeds = parts.seeds
    this.disk = parts.disk
    this.agenda = parts.agenda
    this.#network = parts.network
    this.random = parts.random
    this.tally = parts.tally
    this.#watcher = parts.watcher
    this.recordsPerDay = parts.recordsPerDay
    this.#sabotage = parts.sabotage ?? null
    this.clock = new NodeClock(parts.agenda)
  }

  // Life

  get isUp(): boolean {
    return this.#registry !== null
  }

  /** Grows with each start. */
  get life(): number {
    return this.#life
  }

  get registry(): Registry {
    if (this.#registry === null) throw new SimulatedCrash('the node is down')
    return this.#registry
  }

  get archive(): Archive {
    if (this.#archive === null) throw new SimulatedCrash('the node is down')
    return this.#archive
  }

  get book(): PeerBook {
    if (this.#book === null) throw new SimulatedCrash('the node is down')
    return this.#book
  }

  /** Opens what is on the disk, as open-registry.ts does. A disk that is full keeps it down. */
  async start(): Promise<void> {
    if (this.isUp || this.#isStarting) return
    this.#isStarting = true
    const { disk, publisher, seeds, clock } = this
    try {
      const trust = new TrustBook(
        {
          read: () => disk.trust,
          write: (text) => {
            disk.trust = text
          },
        },
        publisher,
      )
      const signer = new Signer({ publisher, seeds, ledger: disk.ledger })
      const catalogue = disk.open()
      const maxSeen = new MaxSeen(disk.journal)
      const { recordsPerDay } = this
      const quotas = recordsPerDay === undefined ? {} : { recordsPerDay }
      const parts = { catalogue, blobs: disk.blobs, trust, signer, clock, maxSeen, quotas }
      const registry = await Registry.open(parts)
      registry.admitIdentity(publisher, disk.identity, 0)
      this.#begin(registry)
    } catch (error) {
      const isExpected = disk.isDead || error instanceof ZoariumError
      disk.close()
      if (!isExpected) throw error
      this.tally.add('start failed')
    } finally {
      this.#isStarting = false
    }
  }

  #begin(registry: Registry): void {
    const { clock, publisher, id } = this
    this.#life++
    this.#registry = registry
    this.#archive = spoilt(archiveOf(registry), registry, this.#sabotage)
    this.#book = new PeerBook(clock, this.#archive)
    this.#presence = new Presence({
      registry,
      peer: id,
      clock,
      roles: ['sync'],
      offer: () => {
        throw new TypeError('a simulated node offers nothing')
      },
      log: { info: () => {}, warn: () => {} },
    })
    this.#telling = new Telling({
      isOn: true,
      registry,
      presence: this.#presence,
      room: () => 0,
      lifeMs: HOLDINGS_LIFE_MS,
      clock,
      log: { warn: () => {} },
      onTold: (key) => {
        this.tally.add('holdings told')
        this.#spread(publisher, key)
      },
    })
    registry.on('head', ({ publisher: whose, key, envelope }) => {
      if (whose !== publisher) return
      if (registry.audiences.of(whose, key) === null) this.announce(envelope)
      else this.#spread(whose, key)
    })
    registry.on('fork', ({ publisher: whose, key }) => this.#spread(whose, key))
    registry.on('trust', () => this.#greetAll())
    this.#watcher.started(this)
    this.#askPeers()
  }

  /** As daemon/self-check.ts: a node in doubt of itself waits for peers that follow it. */
  #askPeers(): void {
    this.#confirmed.clear()
    this.#isAsking = this.registry.signer.isInDoubt
    if (!this.#isAsking) return
    this.tally.add('in doubt of itself')
    this.#wait()
  }

  #wait(): void {
    this.#isAsking = true
    this.later(ASK_MS, () => {
      this.#isAsking = false
      this.#settle()
    })
  }

  #confirmedBy(peer: Peer, outcome: SyncOutcome): void {
    const { archive, registry } = this
    if (!registry.signer.isInDoubt) return
    const keys = confirmedBy(archive, this.publisherOf(peer), peer.memory, outcome)
    const news = keys.filter((key) => registry.signer.doubts(key))
    for (const key of news) this.#confirmed.add(key)
    if (news.length > 0 && !this.#isAsking) this.#wait()
  }

  #settle(): void {
    if (this.#confirmed.size === 0) return
    this.registry.signer.confirm(this.#confirmed)
    this.#confirmed.clear()
    if (!this.registry.signer.isInDoubt) this.tally.add('confirmed by peers')
    this.renewHeads()
  }

  /** Dies: what is not on the disk is gone. */
  crash(): void {
    this.#end()
    this.disk.cutPower()
    this.tally.add('crash')
    if (this.#sabotage === 'lost-writes') this.disk.forget()
    if (this.#sabotage === 'forgotten-positions') this.disk.forgetLedger()
  }

  /** Stops in good order. */
  stop(): void {
    try {
      this.#registry?.signer.end()
    } catch (error) {
      if (!(error instanceof ZoariumError)) throw error
    }
    this.#end()
  }

  #end(): void {
    if (!this.isUp) return
    this.disk.close()
    this.#registry = null
    this.#archive = null
    this.#book = null
    this.#presence = null
    this.#telling = null
    this.#pulling.clear()
    this.#due.clear()
    this.#seen.clear()
    this.#network.gone(this.id)
  }

  enter(work: () => void): void {
    if (!this.isUp) return
    const life = this.#life
    try {
      work()
    } catch (error) {
      this.#failed(error, life)
      return
    }
    if (this.isUp && this.#life === life) this.#watcher.changed(this)
  }

  /** Like {@link enter}, for what takes several steps. */
  async act(work: () => Promise<void>): Promise<void> {
    if (!this.isUp) return
    const life = this.#life
    try {
      await work()
    } catch (error) {
      this.#failed(error, life)
      return
    }
    if (this.isUp && this.#life === life) this.#watcher.changed(this)
  }

  #failed(error: unknown, life: number): void {
    if (this.#life !== life || !this.isUp) return
    if (this.disk.isDead || error instanceof SimulatedCrash) this.crash()
    else this.#watcher.defect(this, error)
  }

  /** Does something later in this life. */
  later(ms: number, work: () => void): void {
    const life = this.#life
    this.agenda.after(ms, () => {
      if (this.#life === life) this.enter(work)
    })
  }

  // Peers

  admits(peer: string): boolean {
    return !this.book.isBanned(peer)
  }

  connected(id: string, isDialler: boolean): void {
    this.enter(() => {
      const peer = this.book.get(id)
      peer.isConnected = true
      peer.seen = this.clock.now()
      peer.memory = createSyncMemory()
      if (isDialler) this.#greet(peer)
    })
  }

  disconnected(id: string): void {
    this.enter(() => {
      const peer = this.book.get(id)
      peer.isConnected = false
      peer.memory = createSyncMemory()
    })
  }

  accept(id: string, protocol: Protocol, stream: SimulatedStream): void {
    const peer = this.book.get(id)
    if (protocol === 'sync') serveSync(this, peer, stream)
    else this.#greeting(peer, stream)
  }

  #greet(peer: Peer): void {
    const stream = this.#network.open(this.id, peer.id, 'hello')
    if (stream !== null) this.#greeting(peer, stream)
  }

  #greeting(peer: Peer, stream: SimulatedStream): void {
    const presence = this.#presence
    if (presence === null) return
    const greeting = new Greeting({
      host: this,
      peer,
      stream,
      book: this.book,
      binding: () => presence.binding(),
      introduce: (publisher, then) => this.#introduce(peer, publisher, then),
      met: () => {
        peer.greetedAt = this.clock.now()
        this.soon(peer)
      },
    })
    greeting.begin()
  }

  #greetAll(): void {
    for (const peer of this.book.connected()) this.#greet(peer)
  }

  blame(peer: Peer, code: Code): boolean {
    if (!isFault(code)) return true
    this.tally.add('peer blamed')
    if (peer.fault()) return true
    if (this.book.isBanned(peer.id)) return false
    this.book.ban(peer)
    this.tally.add('peer shut out')
    // Not in the middle of what the peer has caused.
    this.later(0, () => this.#network.disconnect(this.id, peer.id))
    return false
  }

  behind(peer: Peer, because: 'head' | 'word'): void {
    const budget = because === 'head' ? peer.hints : peer.nudges
    if (budget.take()) this.soon(peer)
  }

  pace(peer: Peer, bytes: number): number {
    return this.book.isMember(peer) ? 0 : peer.budget.owe(bytes)
  }

  voice(peer: Peer, request: SyncRequest, reply: SyncReply): Uint8Array | null {
    this.#watcher.answers(this, peer.id, request, reply)
    return syncReplies.encode(reply)
  }

  // Sync

  /** What a round does: all connected peers are compared with. */
  round(): void {
    this.enter(() => {
      this.renewHeads()
      this.#tellHoldings()
      for (const peer of this.book.connected()) {
        const age = this.clock.now() - peer.greetedAt
        if (age > GREET_INTERVAL_MS || age < 0) this.#greet(peer)
        this.pull(peer)
      }
    })
  }

  /** What a timer of daemon.ts does: what fails there, with a full disk say, is tried again. */
  renewHeads(): void {
    try {
      this.registry.heads()
    } catch (error) {
      if (!(error instanceof ZoariumError)) throw error
    }
  }

  /** Like a look of daemon/placing.ts, which ends with the word on what is held. */
  #tellHoldings(): void {
    try {
      this.registry.reviewHoldings()
      this.#telling?.tell()
    } catch (error) {
      if (!(error instanceof ZoariumError)) throw error
    }
  }

  /** Pulls what a peer has; one at a time from one peer. */
  pull(peer: Peer, onEnd: (report: PullReport) => void = () => {}): void {
    if (this.#pulling.has(peer.id)) return
    this.#exchange(peer, pull(this.readable(peer), peer.memory), (report) => {
      this.#pulling.delete(peer.id)
      if (report.isOk) peer.lastSync = this.clock.now()
      for (const { code } of report.outcome?.refused ?? []) this.tally.add(`refused: ${code}`)
      if (report.outcome !== null) this.#confirmedBy(peer, report.outcome)
      onEnd(report)
      if (report.more || this.#due.delete(peer.id)) this.soon(peer)
    })
  }

  /** Tells peers of a log that has news, where they may know. */
  #spread(publisher: Cid, key: string): void {
    for (const peer of this.book.connected()) {
      if (this.archive.mayRead(publisher, key, this.publisherOf(peer))) this.soon(peer)
    }
  }

  publisherOf(peer: Peer): Cid | null {
    return this.book.publisherOf(peer)
  }

  readable(peer: Peer): SyncSource {
    return readableBy(this.archive, this.publisherOf(peer))
  }

  /** A pull that begins after the one under way. */
  soon(peer: Peer): void {
    if (this.#pulling.has(peer.id)) this.#due.add(peer.id)
    else if (peer.isConnected) this.pull(peer)
  }

  #exchange(peer: Peer, steps: SyncPull, onEnd: (report: PullReport) => void): void {
    const stream = this.#network.open(this.id, peer.id, 'sync')
    if (stream === null) return
    this.#pulling.add(peer.id)
    new Pull({ host: this, peer, stream, steps, onEnd }).begin()
  }

  /** A stream to a peer for somebody who speaks for himself. */
  link(peer: string): SimulatedStream | null {
    return this.#network.open(this.id, peer, 'sync')
  }

  /** Identity chain and profile of a publisher. */
  #introduce(peer: Peer, publisher: Cid, then: () => void): void {
    const stream = this.#network.open(this.id, peer.id, 'sync')
    if (stream === null) return
    const steps = introduce(this.readable(peer), publisher)
    new Pull({ host: this, peer, stream, steps, onEnd: then }).begin()
  }

  // Gossip

  announce(head: Uint8Array): void {
    this.#watcher.tellsAll(this, head)
    this.#remember(head)
    for (const peer of this.book.connected()) this.#network.gossip(this.id, peer.id, head)
  }

  hear(id: string, message: Uint8Array): void {
    if (!this.#remember(message)) return
    this.enter(() => {
      const { archive, book, clock } = this
      const links = {
        behind: (peer: Peer) => this.behind(peer, 'word'),
        heard: (peer: Peer) => this.behind(peer, 'head'),
        blame: (peer: Peer, code: Code) => this.blame(peer, code),
        publisherOf: (peer: Peer) => this.publisherOf(peer),
        open: () => Promise.reject(new TypeError('gossip opens no stream')),
        pace: () => Promise.reject(new TypeError('gossip is not paced')),
      }
      if (!hearsGossip({ book, links }, id)) return
      const options = { archive, links, book, clock, onHeartbeat: () => {} }
      if (judgeGossip(options, TOPICS.heads, id, message) !== 'accept') return
      this.#watcher.tellsAll(this, message)
      for (const peer of book.connected()) {
        if (peer.id !== id) this.#network.gossip(this.id, peer.id, message)
      }
    })
  }

  /** @returns whether it is new */
  #remember(message: Uint8Array): boolean {
    const text = Buffer.from(message.buffer, message.byteOffset, message.length).toString('latin1')
    if (this.#seen.has(text)) return false
    if (this.#seen.size >= MAX_SEEN) this.#seen.clear()
    this.#seen.add(text)
    return true
  }
}

/** The archive of a node whose rules are broken on purpose. */
function spoilt(archive: Archive, registry: Registry, sabotage: Sabotage | null): Archive {
  if (sabotage === 'no-proofs') {
    const passed = accept(null)
    return { ...archive, admitProof: () => passed, proof: () => null }
  }
  if (sabotage !== 'any-head') return archive
  // Nobody is told of what is written past the registry, so that its items are read anew.
  let anew = archive
  return {
    ...archive,
    set: (...which) => {
      anew = archiveOf(registry)
      return anew.set(...which)
    },
    logOf: (id) => anew.logOf(id),
    admitHead: (envelope) => {
      const read = readHead(envelope)
      if (!read.ok) return read
      const { head } = read.value
      const { publisher, key, issued } = head
      registry.catalogue.putHead(publisher, key, envelope, issued)
      return accept({ head, ahead: false })
    },
  }
}

/**
 * The network of one node: who is connected, what they hold, and the four things that go between
 * nodes: hello, sync, blobs, inference. This file joins the parts and owns their life; what each
 * does stands in its own file.
 */
import { publicKeyFromRaw } from '@libp2p/crypto/keys'
import type { TopicValidatorResult } from '@libp2p/gossipsub'
import type { Connection, PeerId, Stream } from '@libp2p/interface'
import { peerIdFromPublicKey, peerIdFromString } from '@libp2p/peer-id'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { Cid } from '../../protocol/cid.ts'
import { publicKeyOf } from '../../protocol/crypto.ts'
import { type Code, ZoariumError } from '../../protocol/errors.ts'
import type { Heartbeat } from '../../protocol/heartbeat.ts'
import { MAX_PEER_ADDRESSES } from '../../protocol/limits.ts'
import { PROTOCOLS, TOPICS } from '../../protocol/message.ts'
import type { Dialled } from '../../protocol/peers-message.ts'
import { createSyncMemory } from '../../protocol/sync-publishers.ts'
import type { Clock } from '../../registry/clock.ts'
import { SqliteHints } from '../../registry/sqlite-hints.ts'
import type { Log } from '../log.ts'
import type { PublicWeb } from '../public-web.ts'
import { AddressPolicy, bareAddress, hostOf } from './address.ts'
import type { Archive } from './archive.ts'
import { BlobServer } from './blob.ts'
import { HintDatastore } from './datastore.ts'
import { DialBack } from './dial-back.ts'
import { Dialler, parseAddress } from './dialler.ts'
import { hearsGossip, judgeGossip } from './gossip.ts'
import { Greeter } from './hello.ts'
import {
  InferService,
  type RemoteAnswer,
  type RemoteInferHandler,
  type RemoteRequest,
} from './infer.ts'
import { TRANSFER_LIMITS, type TransferLimits, type WantedBlob } from './leaf-lane.ts'
import type { Links } from './links.ts'
import { createNode, MAX_CONNECTIONS, type NetNode } from './node.ts'
import { PartialBlobs } from './partial-blobs.ts'
import { isFault, type Peer, PeerBook } from './peers.ts'
import { PeersService } from './peers-service.ts'
import { type Probed, probe } from './probe.ts'
import { type FetchOptions, Providers } from './providers.ts'
import { Redialler } from './redialler.ts'
import { type Sleep, systemSleep } from './sleep.ts'
import { FrameStream } from './stream.ts'
import { type FoundRoster, type SyncReport, SyncService } from './sync.ts'
import { SyncRounds } from './sync-rounds.ts'
import type { UpgradeRequest, WebSockets } from './web-socket.ts'

/** A peer is asked who it is again after this. */
const GREET_INTERVAL_MS = 10 * 60_000
const OPEN_STREAM_MS = 10_000
const PING_MS = 5_000
/** A member is asked again where others are after this. */
const EXCHANGE_INTERVAL_MS = 10 * 60_000
/** Connections from which on no more are looked for. */
const ENOUGH_CONNECTIONS = MAX_CONNECTIONS / 2
/** Peers that are asked for a roster; each may answer with 1 MiB. */
const MAX_ASKED = 20
/** Weight of members when connections must be dropped. */
const MEMBER_TAG = { name: 'zoarium-member', value: 50 }

/** Streams that one connection may hold open here, by protocol. */
const INBOUND_STREAMS = { hello: 4, sync: 4, blob: 16, infer: 8, peers: 2 } as const

export interface NetworkOptions {
  readonly archive: Archive
  /** 32 bytes of the transport key. */
  readonly peerKeySeed: Uint8Array
  /** Multiaddrs. */
  readonly listen: readonly string[]
  /** Multiaddrs at which others reach this node besides, through a reverse proxy say. */
  readonly announce?: readonly string[]
  /** TCP ports that may be dialled where the operator named no address; none: all. */
  readonly dialPorts?: readonly number[]
  /** Multiaddrs of peers to which a connection is kept. */
  readonly bootstrap: readonly string[]
  readonly mdns: boolean
  readonly dht: boolean
  /** What peers told of peers; default: in memory. The caller closes it. */
  readonly hints?: SqliteHints
  readonly log: Log
  readonly clock: Clock
  /** Program and version, as peers see it. */
  readonly agent?: string
  /** The present binding of this PeerId, or null for a node that stays a stranger. */
  readonly binding: () => Uint8Array | null
  readonly heartbeat: () => Uint8Array | null
  /** Runs requests of members; null: this node runs nothing for others. */
  readonly infer: RemoteInferHandler | null
  readonly sleep?: Sleep
  /** From 0 to below 1. */
  readonly random?: () => number
  readonly transferLimits?: TransferLimits
  /** The web, where files of peers may be asked for at the address of their profile; default: not. */
  readonly web?: PublicWeb
  /** Whether peers may ask for files at the address of this node's profile; default: not. */
  readonly isOnWeb?: () => boolean
}

/** A peer as others see it. */
export interface NetworkPeer {
  readonly peer: string
  readonly addresses: readonly string[]
  readonly connected: boolean
  /** Publisher of its binding, if that holds now. */
  readonly publisher: Cid | null
  readonly roles: readonly string[]
  readonly agent: string
  /** Smoothed round trip, milliseconds. */
  readonly rttMs: number | null
  /** Bytes of files a second that it gave, smoothed. */
  readonly fileRate: number | null
  /** When a sync last ended well, milliseconds since 1970. */
  readonly lastSync: number | null
  /** Since when, and until when it is shut out for its faults, milliseconds; null: it is not. */
  readonly shutOut: { readonly since: number; readonly until: number } | null
  /** The newest that has not run out. */
  readonly heartbeat: Heartbeat | null
}

export interface NetworkEvents {
  /** A peer came, said who it is, or went. */
  readonly peer: { readonly peer: string; readonly connected: boolean }
  readonly heartbeat: { readonly peer: string }
  /** A peer listens to gossip from now on. */
  readonly gossip: { readonly peer: string }
  readonly sync: SyncReport
}

type Listener<N extends keyof NetworkEvents> = (event: NetworkEvents[N]) => void

export class Network {
  readonly peerId: string
  readonly #options: NetworkOptions
  readonly #addresses: AddressPolicy
  readonly #book: PeerBook
  readonly #sync: SyncService
  readonly #greeter: Greeter
  readonly #blobs: BlobServer
  readonly #infer: InferService
  readonly #rounds: SyncRounds
  readonly #dialler: Dialler
  readonly #redialler: Redialler
  readonly #whereabouts: PeersService
  readonly #providers: Providers
  readonly #stop = new AbortController()
  readonly #listeners = new Map<keyof NetworkEvents, Set<Listener<never>>>()
  readonly #loops: Promise<void>[] = []
  /** Addresses to which a connection is kept. */
  readonly #kept = new Set<string>()
  #node: NetNode | null = null
  #webSockets: WebSockets | null = null
  #unlisten: (() => void) | null = null

  constructor(options: NetworkOptions) {
    this.#options = options
    const { archive, clock, log } = options
    this.peerId = peerIdFromPublicKey(publicKeyFromRaw(publicKeyOf(options.peerKeySeed))).toString()
    const { listen, announce = [], dialPorts = [] } = options
    this.#addresses = new AddressPolicy({
      listen: listen.map(parseAddress),
      ports: dialPorts,
    })
    for (const address of announce) this.#addresses.list(parseAddress(address))
    this.#book = new PeerBook(clock, archive)
    const links: Links = {
      publisherOf: (peer) => this.#book.publisherOf(peer),
      open: (peer, protocol) => this.#open(peer, protocol),
      blame: (peer, code) => this.#blame(peer, code),
      pace: (peer, bytes) => this.#pace(peer, bytes),
      behind: (peer) => {
        if (peer.nudges.take()) this.#rounds.soon(peer)
      },
      heard: (peer, isHere) => {
        if (peer.hints.take()) this.#background(this.#rounds.until(peer, isHere))
      },
    }
    this.#sync = new SyncService(archive, links)
    this.#greeter = new Greeter({
      archive,
      links,
      book: this.#book,
      sync: this.#sync,
      clock,
      log,
      agent: options.agent ?? 'zoarium',
      binding: options.binding,
      heartbeat: options.heartbeat,
    })
    const partials = new PartialBlobs()
    this.#blobs = new BlobServer({
      archive,
      links,
      partials,
      isOnWeb: options.isOnWeb ?? (() => false),
    })
    this.#infer = new InferService({
      archive,
      links,
      book: this.#book,
      handler: options.infer,
      greet: (peer) => this.#greet(peer),
    })
    const { sleep = systemSleep, random = Math.random, transferLimits } = options
    const { signal } = this.#stop
    const node = () => this.#started()
    const addresses = this.#addresses
    this.#dialler = new Dialler({ node, addresses, sleep, random, log, signal })
    this.#redialler = new Redialler({
      archive,
      addresses,
      self: this.peerId,
      isConnected: (peer) => this.#book.find(peer)?.isConnected ?? false,
      hasRoom: () => this.#book.connected().length < ENOUGH_CONNECTIONS,
      dial: (targets) => this.#dialler.dial(targets),
      clock,
      sleep,
      random,
      signal,
    })
    this.#whereabouts = new PeersService({
      links,
      book: this.#book,
      addresses,
      clock,
      dialBack: new DialBack({
        addresses,
        clock,
        profileUrl: (publisher) => archive.profileUrl(publisher),
        probe: (address) => this.#dialler.probe(address),
      }),
    })
    this.#rounds = new SyncRounds({
      sync: this.#sync,
      book: this.#book,
      clock,
      sleep,
      random,
      signal,
      onReport: (report) => this.#emit('sync', report),
      visit: (peer) => this.#visit(peer),
      finish: () => this.#providers.provide(),
    })
    this.#providers = new Providers({
      archive,
      links,
      book: this.#book,
      partials,
      web: options.web ?? null,
      random,
      limits: transferLimits ?? TRANSFER_LIMITS,
      clock,
      dhtPeers: () => this.dhtPeers,
      log,
      signal,
      node,
    })
    this.#links = links
  }

  readonly #links: Links

  /** Bytes of files that were sent to peers since the start. */
  get blobBytesSent(): number {
    return this.#blobs.sent
  }

  /** Whether a text is the ticket under which a connected peer asks for leaves over HTTPS. */
  isTicket(text: string): boolean {
    return this.#blobs.isTicket(text)
  }

  /** Like {@link BlobServer.leafFor}. */
  leafFor(...asked: Parameters<BlobServer['leafFor']>): ReturnType<BlobServer['leafFor']> {
    return this.#blobs.leafFor(...asked)
  }

  /** Peers in the table of the DHT; null: this node takes no part in it. */
  get dhtPeers(): number | null {
    return this.#node?.services.dht?.routingTable.size ?? null
  }

  get isStarted(): boolean {
    return this.#node?.status === 'started'
  }

  // Life

  /** Listens and begins to dial. @throws ZoariumError CONFIG where an address cannot be used */
  async start(): Promise<void> {
    const { listen, bootstrap, mdns, dht, clock, archive, peerKeySeed } = this.#options
    for (const address of bootstrap.map(parseAddress)) this.#addresses.list(address)
    const { node, webSockets } = await createNode({
      seed: peerKeySeed,
      listen,
      announce: this.#options.announce ?? [],
      addresses: this.#addresses,
      clock,
      agent: this.#options.agent ?? 'zoarium',
      mdns,
      dht,
      datastore: new HintDatastore({
        hints: this.#options.hints ?? new SqliteHints(':memory:', clock),
        clock,
        self: this.peerId,
        accepts: (peer) => this.#book.isMember(this.#book.get(peer)),
      }),
      isBanned: (peer) => this.#book.isBanned(peer),
      hears: (peer) => hearsGossip({ book: this.#book, links: this.#links }, peer),
      validate: (topic, from, data) => this.#judge(topic, from, data),
    })
    this.#node = node
    this.#webSockets = webSockets
    await this.#handleAll(node)
    node.addEventListener('connection:open', ({ detail }) => this.#onOpen(detail))
    node.addEventListener('peer:disconnect', ({ detail }) => this.#onGone(detail))
    node.addEventListener('peer:identify', ({ detail }) =>
      this.#onIdentified(detail.peerId, detail.listenAddrs),
    )
    node.addEventListener('peer:discovery', ({ detail }) =>
      this.#background(this.#dialler.found(detail.id)),
    )
    try {
      await node.start()
    } catch (error) {
      throw new ZoariumError('CONFIG', "couldn't listen on an address", { field: 'listen' }, error)
    }
    const { gossip } = node.services
    for (const topic of Object.values(TOPICS)) gossip.subscribe(topic)
    gossip.addEventListener('subscription-change', ({ detail }) =>
      this.#emit('gossip', { peer: detail.peerId.toString() }),
    )
    this.#unlisten = archive.onTrust(() => this.#greetAll())
    this.#loops.push(this.#rounds.repeat())
    for (const address of bootstrap) this.keep(address)
    this.#loops.push(this.#redialler.repeat())
  }

  async stop(): Promise<void> {
    this.#stop.abort(new ZoariumError('CANCELLED', 'the network is stopping'))
    this.#unlisten?.()
    this.#webSockets?.stop()
    await this.#node?.stop()
    await this.#providers.settled()
    await Promise.allSettled(this.#loops)
  }

  /** @returns a function that ends the listening */
  on<N extends keyof NetworkEvents>(name: N, listener: Listener<N>): () => void {
    const listeners = this.#listeners.get(name) ?? new Set()
    this.#listeners.set(name, listeners)
    listeners.add(listener)
    return () => void listeners.delete(listener)
  }

  #emit<N extends keyof NetworkEvents>(name: N, event: NetworkEvents[N]): void {
    // SAFE: `on` files each listener under the name that types it.
    for (const listener of this.#listeners.get(name) ?? []) (listener as Listener<N>)(event)
  }

  async #handleAll(node: NetNode): Promise<void> {
    const handlers = {
      hello: async (peer: Peer, frames: FrameStream) => {
        await this.#greeter.serve(peer, frames)
        await this.#greeted(peer)
      },
      sync: (peer: Peer, frames: FrameStream) => this.#sync.serve(peer, frames),
      blob: (peer: Peer, frames: FrameStream) =>
        this.#blobs.serve(peer, frames, this.#book.isMember(peer)),
      infer: (peer: Peer, frames: FrameStream) => this.#infer.serve(peer, frames),
      peers: (peer: Peer, frames: FrameStream, { remoteAddr }: Connection) =>
        this.#whereabouts.serve(peer, frames, hostOf(remoteAddr)),
    }
    for (const name of Object.keys(handlers) as (keyof typeof handlers)[]) {
      const serve = (stream: Stream, connection: Connection) => {
        const frames = new FrameStream(stream)
        const peer = this.#book.get(connection.remotePeer.toString())
        return this.#guard(peer, frames, handlers[name](peer, frames, connection))
      }
      const maxInboundStreams = INBOUND_STREAMS[name]
      await node.handle(PROTOCOLS[name], serve, { maxInboundStreams, maxOutboundStreams: 64 })
    }
  }

  /** What a peer does wrong ends its stream, and no more. */
  async #guard(peer: Peer, frames: FrameStream, serving: Promise<void>): Promise<void> {
    try {
      await serving
    } catch (error) {
      if (error instanceof ZoariumError) {
        frames.abort(error)
        this.#blame(peer, error.code)
        this.#options.log.debug({ peer: peer.id, err: error }, 'a stream ended early')
      } else {
        // A bug of ours; one request must not take the daemon down with it.
        frames.abort(new ZoariumError('INTERNAL', 'a defect in this program', {}, error))
        this.#options.log.error({ peer: peer.id, err: error }, 'a stream met a defect')
      }
    }
  }

  // Connections

  /** Makes a connection of a WebSocket that came through an HTTP server, within all bounds. */
  accept(upgrade: UpgradeRequest): void {
    if (this.#webSockets === null) upgrade.socket.destroy()
    else this.#webSockets.accept(upgrade)
  }

  addresses(): readonly string[] {
    return this.#node?.getMultiaddrs().map((address) => address.toString()) ?? []
  }

  peers(): readonly NetworkPeer[] {
    return this.#book.all().map((peer) => {
      const binding = this.#book.bindingOf(peer)
      return {
        peer: peer.id,
        addresses: peer.addresses,
        connected: peer.isConnected,
        publisher: binding?.publisher ?? null,
        roles: binding?.roles ?? [],
        agent: peer.agent,
        rttMs: peer.rttMs,
        fileRate: peer.fileRate,
        lastSync: peer.lastSync,
        shutOut: this.#book.shutOut(peer),
        heartbeat: this.#book.heartbeatOf(peer),
      }
    })
  }

  /**
   * Connects to an address that the operator names, and waits for the peer's hello.
   * @returns its PeerId
   * @throws ZoariumError PARAMETER, UNREACHABLE
   */
  async connect(address: string): Promise<string> {
    const connection = await this.#dialler.connect(address)
    const peer = this.#book.get(connection.remotePeer.toString())
    await this.#greet(peer)
    return peer.id
  }

  /** Keeps a connection to an address that the operator accepted. @throws ZoariumError PARAMETER */
  keep(address: string): void {
    const target = parseAddress(address)
    const text = target.toString()
    if (this.#kept.has(text)) return
    this.#kept.add(text)
    this.#addresses.list(target)
    this.#loops.push(this.#dialler.keep(target))
  }

  #started(): NetNode {
    if (this.#node === null || this.#stop.signal.aborted) {
      throw new ZoariumError('UNREACHABLE', 'the network is not running')
    }
    return this.#node
  }

  #within(ms: number): AbortSignal {
    return AbortSignal.any([AbortSignal.timeout(ms), this.#stop.signal])
  }

  #onOpen(connection: Connection): void {
    const peer = this.#book.get(connection.remotePeer.toString())
    peer.isConnected = true
    peer.seen = this.#options.clock.now()
    if (connection.direction === 'outbound') {
      peer.addresses = [bareAddress(connection.remoteAddr)]
      this.#background(this.#greet(peer))
    }
    this.#emit('peer', { peer: peer.id, connected: true })
  }

  /** It said where it is; a member is remembered with that. */
  #onIdentified(id: PeerId, addresses: readonly Multiaddr[]): void {
    const peer = this.#book.get(id.toString())
    const told = addresses.filter((each) => this.#addresses.mayDial(each)).map(bareAddress)
    peer.announced = told.slice(0, MAX_PEER_ADDRESSES)
    this.#remember(peer)
  }

  #remember(peer: Peer): void {
    const { archive, clock } = this.#options
    if (!this.#book.isMember(peer)) return
    const addresses = [...new Set([...peer.addresses, ...peer.announced])]
    archive.keepPeer({
      peer: peer.id,
      addresses: addresses.map((each) => `${each}/p2p/${peer.id}`),
      publisher: this.#book.publisherOf(peer),
      binding: peer.shown?.envelope ?? null,
      seen: clock.now(),
    })
  }

  #onGone(id: PeerId): void {
    const peer = this.#book.get(id.toString())
    peer.isConnected = false
    peer.seen = this.#options.clock.now()
    // The other side forgets, too.
    peer.memory = createSyncMemory()
    peer.door = null
    peer.road = null
    this.#blobs.gone(peer)
    this.#emit('peer', { peer: peer.id, connected: false })
  }

  /** What fails here is tried again by a later round. */
  #background(work: Promise<unknown>): void {
    work.catch((error: unknown) => {
      if (!this.#stop.signal.aborted) this.#options.log.debug({ err: error }, 'not this time')
    })
  }

  /** Others matter now: what they said of themselves before the change was not kept. */
  #greetAll(): void {
    for (const peer of this.#book.connected()) this.#background(this.#greet(peer))
  }

  async #greet(peer: Peer): Promise<void> {
    await this.#greeter.greet(peer)
    await this.#greeted(peer)
  }

  async #greeted(peer: Peer): Promise<void> {
    const node = this.#started()
    const now = this.#options.clock.now()
    const isFirst = peer.greetedAt === 0
    peer.greetedAt = now
    if (this.#book.isMember(peer)) {
      const id = peerIdFromString(peer.id)
      const tags = { [MEMBER_TAG.name]: { value: MEMBER_TAG.value } }
      await node.peerStore.merge(id, { tags })
      this.#remember(peer)
    }
    this.#emit('peer', { peer: peer.id, connected: peer.isConnected })
    if (isFirst) this.#background(this.#ping(peer))
    this.#background(this.#exchange(peer))
    this.#rounds.soon(peer)
  }

  async #ping(peer: Peer): Promise<void> {
    const options = { signal: this.#within(PING_MS) }
    peer.measured(await this.#started().services.ping.ping(peerIdFromString(peer.id), options))
  }

  async #open(peer: Peer, protocol: string): Promise<FrameStream> {
    const connection = this.#started()
      .getConnections(peerIdFromString(peer.id))
      .find(({ status, direct }) => status === 'open' && direct)
    if (connection === undefined) {
      throw new ZoariumError('UNREACHABLE', 'the peer is not connected', { field: peer.id })
    }
    let stream: Stream
    try {
      stream = await connection.newStream(protocol, {
        signal: this.#within(OPEN_STREAM_MS),
        maxOutboundStreams: 64,
      })
    } catch (error) {
      const message = "couldn't open a stream to the peer"
      throw new ZoariumError('PEER', message, { field: peer.id }, error)
    }
    return new FrameStream(stream)
  }

  // Bounds

  #blame(peer: Peer, code: Code): boolean {
    if (!isFault(code) || peer.fault()) return true
    if (this.#book.isBanned(peer.id)) return false
    const ms = this.#book.ban(peer)
    this.#options.log.warn({ peer: peer.id, code, ms }, 'a peer is shut out for a while')
    const error = new ZoariumError('PEER', 'the peer is shut out')
    // A close would wait for what the peer still has to say.
    const connections = this.#node?.getConnections(peerIdFromString(peer.id)) ?? []
    for (const connection of connections) connection.abort(error)
    return false
  }

  async #pace(peer: Peer, bytes: number): Promise<void> {
    if (this.#book.isMember(peer)) return
    const ms = peer.budget.owe(bytes)
    const { sleep = systemSleep } = this.#options
    if (ms > 0) await sleep(ms, this.#stop.signal)
  }

  // Sync

  /**
   * Compares with one peer, or with all connected ones, now.
   * @throws ZoariumError UNREACHABLE where the peer named is not connected
   */
  async syncNow(peer: string | null = null): Promise<readonly SyncReport[]> {
    if (peer === null) {
      return Promise.all(this.#book.connected().map((each) => this.#rounds.fresh(each)))
    }
    const named = this.#book.find(peer)
    if (named === null || !named.isConnected) {
      throw new ZoariumError('UNREACHABLE', 'the peer is not connected', { field: peer })
    }
    return [await this.#rounds.fresh(named)]
  }

  /** What each connected peer hands out for the id of a roster record or issuer. */
  async findRoster(of: Cid): Promise<readonly FoundRoster[]> {
    const peers = this.#book.connected().slice(0, MAX_ASKED)
    const asked = peers.map((peer) => this.#sync.findRoster(peer, of))
    const answers = await Promise.allSettled(asked)
    for (const each of answers) {
      if (each.status === 'rejected' && !(each.reason instanceof ZoariumError)) throw each.reason
    }
    return answers.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []))
  }

  /**
   * Compares soon with all connected peers that may read a log: each then learns that something is
   * new. For what gossip does not carry.
   */
  spread(publisher: Cid, key: string): void {
    const { archive } = this.#options
    for (const peer of this.#book.connected()) {
      if (archive.mayRead(publisher, key, this.#book.publisherOf(peer))) this.#rounds.soon(peer)
    }
  }

  /** What a round does with a peer beside the sync. */
  async #visit(peer: Peer): Promise<void> {
    this.#background(this.#ping(peer))
    const age = this.#options.clock.now() - peer.greetedAt
    // Greeted later than now: the clock was set back since.
    if (age < 0 || age > GREET_INTERVAL_MS) await this.#greet(peer)
    this.#background(this.#exchange(peer))
  }

  /** Asks a member where others are, now and then, while more connections are wanted. */
  async #exchange(peer: Peer): Promise<void> {
    const now = this.#options.clock.now()
    if (!this.#book.isMember(peer)) return
    if (this.#book.connected().length >= ENOUGH_CONNECTIONS) return
    if (peer.exchangedAt !== 0 && Math.abs(now - peer.exchangedAt) < EXCHANGE_INTERVAL_MS) return
    peer.exchangedAt = now
    try {
      this.#redialler.hint(await this.#whereabouts.peersOf(peer))
    } catch (error) {
      // It may list this node's publisher soon.
      if (error instanceof ZoariumError && error.code === 'TRUST') peer.exchangedAt = 0
      throw error
    }
  }

  /**
   * Asks a connected peer whether it reaches this node at these addresses, without PeerIds.
   * @throws ZoariumError UNREACHABLE, TRUST, BUSY, PEER, TIMEOUT
   */
  dialBack(peer: string, addresses: readonly string[]): Promise<Dialled> {
    return this.#whereabouts.dialBack(this.#book.get(peer), addresses)
  }

  // Gossip

  #judge(topic: string, from: string, data: Uint8Array): TopicValidatorResult {
    const { archive, clock } = this.#options
    const onHeartbeat = (peer: string) => this.#emit('heartbeat', { peer })
    const options = { archive, clock, links: this.#links, book: this.#book, onHeartbeat }
    return judgeGossip(options, topic, from, data)
  }

  /** Tells all peers of a new head of this node. A hint: what is lost is found by sync. */
  announceHead(envelope: Uint8Array): void {
    this.#publish(TOPICS.heads, envelope)
  }

  publishHeartbeat(envelope: Uint8Array): void {
    this.#publish(TOPICS.status, envelope)
  }

  #publish(topic: string, envelope: Uint8Array): void {
    const node = this.#node
    if (node === null || !this.isStarted) return
    this.#background(node.services.gossip.publish(topic, envelope))
  }

  // Blobs

  /**
   * Fetches a blob from those who have it, verified, into this node's blobs. What came is kept
   * when it fails, and the next call goes on from there. One call at a time for one blob.
   * @throws ZoariumError NO_PROVIDER, CANCELLED, CONTENT_MISMATCH, DISK_FULL, STORE
   */
  fetchBlob(blob: WantedBlob, options: FetchOptions): Promise<void> {
    return this.#providers.fetch(blob, options)
  }

  /** Whether a connected peer gives a part of a file now. Never throws. */
  async gives(peer: string, blob: Pick<WantedBlob, 'cid' | 'size'>): Promise<Probed> {
    const named = this.#book.find(peer)
    if (named === null || !named.isConnected) return 'unknown'
    return probe(this.#links, named, blob, this.#options.random ?? Math.random)
  }

  // Inference

  /**
   * Runs a request at a peer; nothing leaves before its binding and this node's trust are checked.
   * @throws ZoariumError UNREACHABLE, BINDING_INVALID, TRUST, LIMIT, TIMEOUT, CANCELLED, PEER, and
   *   what the peer answers
   */
  async infer(peer: string, request: RemoteRequest, signal: AbortSignal): Promise<RemoteAnswer> {
    const named = this.#book.find(peer)
    if (named === null || !named.isConnected) {
      throw new ZoariumError('UNREACHABLE', 'the peer is not connected', { field: peer })
    }
    return this.#infer.ask(named, request, AbortSignal.any([signal, this.#stop.signal]))
  }
}

/**
 * Builds the libp2p node; the only file that imports libp2p's modules. All its bounds stand here.
 *
 * TLS stands before Noise: both ends speak both, and bulk transfer costs TLS about 40 % less CPU in
 * Node (docs/benchmarks.md); a dial takes some milliseconds longer.
 */
import assert from 'node:assert/strict'
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import { type GossipSub, gossipsub, type TopicValidatorResult } from '@libp2p/gossipsub'
import { createTopicScoreParams } from '@libp2p/gossipsub/score'
import { identify } from '@libp2p/identify'
import type { ConnectionGater, Libp2p, MultiaddrConnection, PeerId } from '@libp2p/interface'
import { type KadDHTComponents, kadDHT, type SingleKadDHT } from '@libp2p/kad-dht'
import { mdns } from '@libp2p/mdns'
import { noise } from '@libp2p/noise'
import { type Ping, ping } from '@libp2p/ping'
import { type TCPSocketOptions, tcp } from '@libp2p/tcp'
import { tls } from '@libp2p/tls'
import { yamux } from '@libp2p/yamux'
import { createLibp2p } from 'libp2p'
import { sha256 } from '../../protocol/crypto.ts'
import { MAX_GOSSIP_BYTES } from '../../protocol/limits.ts'
import { PROTOCOLS, TOPICS } from '../../protocol/message.ts'
import type { Clock } from '../../registry/clock.ts'
import { type AddressPolicy, hostOf, isLoopback } from './address.ts'
import type { HintDatastore } from './datastore.ts'
import { Budget } from './rate.ts'
import { WebSockets } from './web-socket.ts'

const MIB = 1024 * 1024

/** Connections; beyond, those of peers without trust go first. */
export const MAX_CONNECTIONS = 80
/** Connections that have not said who they are; the default of 10 lets anyone lock all others out. */
const MAX_PENDING_CONNECTIONS = 200
/** Time to agree on encryption and multiplexing. */
const UPGRADE_TIMEOUT_MS = 3_000
/** New connections from one address, per second. */
const INBOUND_PER_SECOND = 5
/** The same for this machine itself: several daemons on one host meet at once. */
const LOOPBACK_INBOUND_PER_SECOND = 64
/** Addresses whose connection rate is watched. */
const MAX_WATCHED_HOSTS = 10_000
/** Streams of one connection in each direction: 16 of blobs, 8 of inference, the rest of others. */
const MAX_STREAMS = 64
/**
 * A peer that answers no ping for so long is gone. A ping stands behind what is being sent: by
 * default two seconds of a full line end the connection.
 */
const PING_TIMEOUT_MS = 30_000
/** Window of a stream; must stay below the read buffer, or a paused reader is reset. */
const MAX_WINDOW_BYTES = 4 * MIB
const MAX_READ_BUFFER_BYTES = 8 * MIB
/** Frames are handed over in pieces of 256 KiB; more than this unsent is a bug. */
const MAX_WRITE_BUFFER_BYTES = 8 * MIB
/** Dials to addresses that were never reached, per minute. */
const NEW_DIALS_PER_MINUTE = 20
const DIAL_TIMEOUT_MS = 10_000

export interface NodeServices extends Record<string, unknown> {
  readonly ping: Ping
  readonly gossip: GossipSub
  readonly dht?: SingleKadDHT
}

export type NetNode = Libp2p<NodeServices>

export interface NodeOptions {
  /** 32 bytes of the Ed25519 transport key. */
  readonly seed: Uint8Array
  readonly listen: readonly string[]
  /** Further addresses at which others reach this node, as its operator says. */
  readonly announce: readonly string[]
  readonly addresses: AddressPolicy
  readonly clock: Clock
  readonly agent: string
  readonly mdns: boolean
  readonly dht: boolean
  readonly datastore: HintDatastore
  /** Whether a peer is shut out for a while. */
  readonly isBanned: (peer: string) => boolean
  /** Whether a gossip message of a peer is looked at; asked once for each. */
  readonly hears: (peer: string) => boolean
  readonly validate: (topic: string, from: string, data: Uint8Array) => TopicValidatorResult
}

export interface CreatedNode {
  /** Not started yet. */
  readonly node: NetNode
  readonly webSockets: WebSockets
}

export async function createNode(options: NodeOptions): Promise<CreatedNode> {
  const { seed, listen, announce, addresses } = options
  const { lookup } = addresses
  const made: WebSockets[] = []
  const node = await createLibp2p<NodeServices>({
    start: false,
    privateKey: await generateKeyPairFromSeed('Ed25519', seed),
    nodeInfo: { name: 'zoarium', version: '1', userAgent: options.agent },
    addresses: {
      listen: [...listen],
      appendAnnounce: [...announce],
      announceFilter: (own) => own.filter((address) => addresses.mayTell(address)),
    },
    transports: [
      tcp({ dialOpts: { lookup } as TCPSocketOptions }),
      (components) => {
        const webSockets = new WebSockets({ lookup }, components)
        made.push(webSockets)
        return webSockets
      },
    ],
    connectionEncrypters: [tls(), noise()],
    streamMuxers: [
      yamux({
        maxInboundStreams: MAX_STREAMS,
        maxOutboundStreams: MAX_STREAMS,
        streamOptions: {
          maxStreamWindowSize: MAX_WINDOW_BYTES,
          maxReadBufferLength: MAX_READ_BUFFER_BYTES,
          maxWriteBufferLength: MAX_WRITE_BUFFER_BYTES,
        },
      }),
    ],
    connectionManager: {
      maxConnections: MAX_CONNECTIONS,
      maxIncomingPendingConnections: MAX_PENDING_CONNECTIONS,
      inboundUpgradeTimeout: UPGRADE_TIMEOUT_MS,
      inboundConnectionThreshold: LOOPBACK_INBOUND_PER_SECOND,
      dialTimeout: DIAL_TIMEOUT_MS,
    },
    connectionMonitor: { pingTimeout: { minTimeout: PING_TIMEOUT_MS } },
    connectionGater: createGater(options),
    peerStore: { addressFilter: (_peer, address) => addresses.mayDial(address) },
    peerDiscovery: options.mdns ? [mdns({ serviceTag: '_zoarium._udp.local' })] : [],
    datastore: options.datastore,
    services: {
      identify: identify(),
      ping: ping(),
      gossip: createGossip(),
      ...(options.dht ? { dht: createDht(addresses) } : {}),
    },
  })
  node.addEventListener('connection:open', ({ detail: { direction, remoteAddr } }) => {
    if (direction === 'outbound') addresses.reached(remoteAddr)
  })
  hearOnly(node.services.gossip, options.hears)
  for (const topic of Object.values(TOPICS)) {
    node.services.gossip.topicValidators.set(topic, (from, { data }) =>
      options.validate(topic, from.toString(), data),
    )
  }
  const [webSockets] = made
  assert(webSockets)
  return { node, webSockets }
}

/**
 * Drops messages before gossipsub verifies them, one by one: a frame holds hundreds, and all of a
 * frame are verified in one turn of the event loop. Its scores come too late for that.
 */
function hearOnly(gossip: GossipSub, hears: (peer: string) => boolean): void {
  // SAFE: gossipsub calls this one method, which it says may be replaced, for each frame.
  const inbound = gossip as unknown as {
    handleReceivedRpc(from: PeerId, rpc: { readonly messages: readonly unknown[] }): Promise<void>
  }
  const handle = inbound.handleReceivedRpc.bind(gossip)
  inbound.handleReceivedRpc = (from, rpc) => {
    const peer = from.toString()
    return handle(from, { ...rpc, messages: rpc.messages.filter(() => hears(peer)) })
  }
}

/** Messages are hints and carry their own signatures; the content is their id. */
const createGossip = () =>
  gossipsub({
    allowedTopics: Object.values(TOPICS),
    allowPublishToZeroTopicPeers: true,
    ignoreDuplicatePublishError: true,
    emitSelf: false,
    doPX: false,
    globalSignaturePolicy: 'StrictSign',
    maxInboundDataLength: MAX_GOSSIP_BYTES,
    msgIdFn: ({ data }) => sha256(data).subarray(0, 20),
    scoreParams: {
      topics: Object.fromEntries(Object.values(TOPICS).map((topic) => [topic, topicScore()])),
    },
  })

/** Only invalid messages count against a peer: few messages are no fault in a quiet federation. */
const topicScore = () =>
  createTopicScoreParams({
    topicWeight: 1,
    timeInMeshWeight: 0.01,
    timeInMeshQuantum: 1000,
    timeInMeshCap: 100,
    firstMessageDeliveriesWeight: 0.1,
    firstMessageDeliveriesDecay: 0.9,
    firstMessageDeliveriesCap: 50,
    meshMessageDeliveriesWeight: 0,
    meshFailurePenaltyWeight: 0,
    invalidMessageDeliveriesWeight: -10,
    invalidMessageDeliveriesDecay: 0.97,
  })

const createDht = (addresses: AddressPolicy) =>
  // SAFE: it has a table; only the type that all kinds of DHT share says nothing of it.
  kadDHT({
    protocol: PROTOCOLS.kad,
    clientMode: false,
    // The default drops private addresses, and with them every node of an institute's own network.
    peerInfoMapper: ({ id, multiaddrs }) => ({
      id,
      multiaddrs: multiaddrs.filter((address) => addresses.mayDial(address)),
    }),
  }) as (components: KadDHTComponents) => SingleKadDHT

function createGater(options: NodeOptions): ConnectionGater {
  const { addresses, clock, isBanned } = options
  const newDials = new Budget(clock, NEW_DIALS_PER_MINUTE, NEW_DIALS_PER_MINUTE / 60)
  const hosts = new Map<string, Budget>()
  const isBannedPeer = (peer: PeerId): boolean => isBanned(peer.toString())
  return {
    denyDialPeer: isBannedPeer,
    denyDialMultiaddr: (address) => {
      if (addresses.isListed(address) || addresses.wasReached(address)) return false
      return !addresses.mayDial(address) || !newDials.take()
    },
    denyInboundConnection: ({ remoteAddr }: MultiaddrConnection) => {
      const host = hostOf(remoteAddr)
      if (host === null || isLoopback(remoteAddr)) return false
      let budget = hosts.get(host)
      if (budget === undefined) {
        if (hosts.size >= MAX_WATCHED_HOSTS) hosts.clear()
        budget = new Budget(clock, INBOUND_PER_SECOND, INBOUND_PER_SECOND)
        hosts.set(host, budget)
      }
      return !budget.take()
    },
    denyInboundEncryptedConnection: isBannedPeer,
  }
}

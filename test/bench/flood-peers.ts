/**
 * The other processes of flood-bench.ts: an honest node that publishes steadily, and a peer that
 * sends bad signatures as fast as it is told to, by one road or another, and comes back when it was
 * thrown out.
 */
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import { identify } from '@libp2p/identify'
import type { Connection, PrivateKey, Stream } from '@libp2p/interface'
import { noise } from '@libp2p/noise'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { FrameStream } from '../../daemon/net/stream.ts'
import { cidOf } from '../../protocol/cid.ts'
import { randomBytes } from '../../protocol/crypto.ts'
import { signHead } from '../../protocol/head.ts'
import { MAX_SYNC_RECORDS } from '../../protocol/limits.ts'
import { helloMessages, PROTOCOLS, TOPICS } from '../../protocol/message.ts'
import { idOf } from '../../protocol/sync-item.ts'
import { type SyncReply, syncReplies, syncRequests } from '../../protocol/sync-message.ts'
import { systemClock } from '../../registry/clock.ts'
import type { Registry } from '../../registry/registry.ts'
import { bindingOf, startNode, type TestNode } from '../helpers/network.ts'
import { seedOf, TestPublisher, utf8 } from '../helpers/publisher.ts'
import { PUBSUB_PROTOCOL, pubsubFrame, pubsubMessage } from '../helpers/pubsub.ts'
import { helloOf } from '../helpers/raw-peer.ts'
import { openTestRegistry } from '../helpers/registry.ts'

/** By which road the bad signatures come. */
export const ROADS = ['heads', 'transport', 'pages'] as const
export type Road = (typeof ROADS)[number]

const SIGNATURE_BYTES = 64
const BATCHES_PER_SECOND = 100
/** Different messages of one flood; more than a second's worth. */
const POOL = 10_000
/** Time before a peer that was thrown out dials again. */
const RETRY_MS = 100

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

/** A head with a signature that is nobody's. */
function badHead(own: TestPublisher, seq: number): Uint8Array {
  const issued = systemClock.now()
  const { publisher } = own
  const tip = cidOf('dag-cbor', utf8(`${seq}`))
  const head = { publisher, key: own.key(), epoch: 0, seq, tip, issued, expires: issued + 60_000 }
  const envelope = signHead(head, own.seeds.publish)
  return spoilt(envelope)
}

/** The same with another signature, below the group's order, so that it must be computed. */
function spoilt(envelope: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(envelope)
  copy.set(randomBytes(31), copy.length - SIGNATURE_BYTES)
  return copy
}

/** Gossip of bad heads; by the road `transport` the signature of libp2p is wrong as well. */
async function gossipOf(own: TestPublisher, key: PrivateKey, road: Road): Promise<Uint8Array[]> {
  const made: Uint8Array[] = []
  for (let n = 0; n < POOL; n++) {
    made.push(await pubsubMessage(key, TOPICS.heads, badHead(own, n), n, road === 'heads'))
  }
  return made
}

/** What the parent hears now and then. */
export interface FloodNews {
  /** Bad signatures sent so far. */
  readonly sent: number
  readonly connections: number
}

/** Floods until it is killed. @param perSecond bad signatures */
export async function flood(road: Road, own: TestPublisher, address: string, perSecond: number) {
  const privateKey = await generateKeyPairFromSeed('Ed25519', seedOf(own.name))
  const node = await createLibp2p({
    privateKey,
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    services: { identify: identify() },
  })
  const id = node.peerId.toString()
  const news = { sent: 0, connections: 0 }
  await node.handle(PROTOCOLS.hello, async (stream) => {
    await greet(new FrameStream(stream), own, id).catch(() => {})
  })
  const page = road === 'pages' ? badPage(own) : null
  await node.handle(PROTOCOLS.sync, async (stream) => {
    await answerSync(new FrameStream(stream), own, page, news).catch(() => {})
  })
  const messages = road === 'pages' ? [] : await gossipOf(own, privateKey, road)
  setInterval(() => process.send?.(news), 200)
  const target = multiaddr(address)
  for (;;) {
    try {
      const connection = await node.dial(target)
      news.connections++
      if (road === 'pages') await nudge(connection)
      else await blast(await connection.newStream(PUBSUB_PROTOCOL), messages, perSecond, news)
    } catch {
      // Thrown out, or not let in.
    }
    await sleep(RETRY_MS)
  }
}

/** Says again and again that there is something to be pulled. */
async function nudge(connection: Connection): Promise<void> {
  while (connection.status === 'open') {
    await sleep(RETRY_MS)
    const frames = new FrameStream(await connection.newStream(PROTOCOLS.sync))
    await frames.write(syncRequests.encode({ t: 'done', behind: true }), 1000)
    await frames.close(1000)
  }
}

async function greet(frames: FrameStream, own: TestPublisher, id: string): Promise<void> {
  const binding = bindingOf(own, id, ['sync'], systemClock.now())
  await frames.write(helloMessages.encode(helloOf(own, id, { binding })), 1000)
  await frames.expect(1 << 17, 5000)
  await frames.close(1000)
}

/** Sends at a steady rate, in batches, whether the other side takes it or not. */
async function blast(
  stream: Stream,
  messages: readonly Uint8Array[],
  perSecond: number,
  news: { sent: number },
) {
  const batch = Math.ceil(perSecond / BATCHES_PER_SECOND)
  const started = performance.now()
  for (let n = 0; stream.status === 'open'; n++) {
    const from = (n * batch) % POOL
    if (!stream.send(pubsubFrame(messages.slice(from, from + batch)))) {
      await Promise.race([
        sleep(1000),
        new Promise((resolve) => stream.addEventListener('drain', resolve, { once: true })),
      ])
    }
    news.sent += batch
    await sleep(Math.max(0, started + ((n + 1) * 1000) / BATCHES_PER_SECOND - performance.now()))
  }
}

/** Records in order whose signatures are nobody's: as many as fit an answer. */
function badPage(own: TestPublisher): { envelope: Uint8Array; card: null }[] {
  return Array.from({ length: MAX_SYNC_RECORDS }, (_, n) => ({
    envelope: spoilt(own.profile(`flood-${n}`).envelope),
    card: null,
  }))
}

async function answerSync(
  frames: FrameStream,
  own: TestPublisher,
  records: readonly { envelope: Uint8Array; card: null }[] | null,
  news: { sent: number },
): Promise<void> {
  const { publisher, identity } = own
  const tip = cidOf('dag-cbor', utf8('ahead'))
  const items = [
    {
      publisher,
      key: null,
      epoch: 0,
      seq: identity.length,
      tip: identity.tip,
      day: 0,
      forked: false,
    },
    { publisher, key: own.key(), epoch: 0, seq: 1_000_000, tip, day: 0, forked: false },
  ].sort((a, b) => (idOf(a) < idOf(b) ? -1 : 1))
  for (;;) {
    const frame = await frames.expect(1 << 21, 15_000)
    const request = syncRequests.decode(frame)
    if (!request.ok || request.value.t === 'done') return
    const { t } = request.value
    const reply: SyncReply =
      t === 'open'
        ? { t: 'state', publishers: [publisher], parts: new Uint8Array(96).fill(news.sent) }
        : t === 'compare'
          ? {
              t: 'items',
              items: records === null ? items.filter(({ key }) => key === null) : items,
              lacks: [],
              more: false,
            }
          : t === 'get-identity'
            ? { t: 'identity', operations: own.operations.slice(request.value.from), more: false }
            : t === 'get-profile'
              ? { t: 'profile', envelope: null }
              : { t: 'records', logs: [{ records: records ?? [], head: null, more: true }] }
    if (reply.t === 'records') news.sent += records?.length ?? 0
    await frames.write(syncReplies.encode(reply), 5000)
  }
}

/** A node on loopback by the system's clock. */
export async function nodeNow(own: TestPublisher, registry: Registry): Promise<TestNode> {
  const node: TestNode = await startNode(own, {
    registry,
    clock: systemClock,
    binding: () => bindingOf(own, node.network.peerId, ['sync', 'serve'], systemClock.now()),
  })
  return node
}

/** An honest node that signs a record now and then, and says its number. @param everyMs time between two */
export async function publish(own: TestPublisher, address: string, everyMs: number): Promise<void> {
  const registry = await openTestRegistry(own, systemClock)
  const { network } = await nodeNow(own, registry)
  registry.on('head', ({ envelope }) => network.announceHead(envelope))
  await network.connect(address)
  const profile = { label: own.name, handle: null, url: null, ror: null }
  for (let n = 0; ; n++) {
    const { record } = registry.publishProfile({ ...profile, displayName: `record ${n}` })
    process.send?.(record.seq)
    await sleep(everyMs)
  }
}

if (import.meta.main) {
  process.on('disconnect', () => process.exit())
  const [role = '', name = '', start = '', address = '', rate = ''] = process.argv.slice(2)
  const own = new TestPublisher(name, Number(start))
  if (role === 'honest') await publish(own, address, Number(rate))
  else await flood(role as Road, own, address, Number(rate))
}

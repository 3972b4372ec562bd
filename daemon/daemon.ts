/**
 * The composition root: the only place where the big things are made, in the order in which they
 * depend on each other, and stopped in the opposite order.
 */
import { availableParallelism, freemem } from 'node:os'
import { join } from 'node:path'
import type { Cid } from '../protocol/cid.ts'
import type { HeartbeatBody } from '../protocol/heartbeat.ts'
import { MAX_HEARTBEAT_SERVES, MAX_HEARTBEAT_WARM } from '../protocol/limits.ts'
import { VERSION } from '../protocol/version.ts'
import { systemClock } from '../registry/clock.ts'
import { dataFolder } from '../registry/data-folder.ts'
import { openRegistry } from '../registry/open-registry.ts'
import type { Registry } from '../registry/registry.ts'
import { type Config, type DaemonOptions, readConfig } from './config.ts'
import { createHttpServer } from './http/server.ts'
import type { Engine } from './inference/engine.ts'
import { Inference } from './inference/inference.ts'
import { createOnnxEngine } from './inference/onnx-engine.ts'
import { Inferring } from './inferring.ts'
import { createLog } from './log.ts'
import { Metrics } from './metrics.ts'
import { Mirror } from './mirror.ts'
import { Nearest } from './nearest.ts'
import { holdingsOf } from './net/holdings.ts'
import { Network } from './net/network.ts'
import { Node } from './node.ts'
import { HEARTBEAT_INTERVAL_MS, Presence } from './presence.ts'
import { Publishing } from './publishing.ts'
import { whyNotRunnable } from './runnable.ts'
import { Tokens } from './tokens.ts'
import { Views } from './views.ts'

/** How often own heads are looked at; those older than a day are signed anew. */
const HEAD_RENEWAL_MS = 3600_000

export interface Daemon {
  /** Base URL of the first HTTP address. */
  readonly url: string
  /** libp2p addresses with the PeerId. */
  readonly addresses: readonly string[]
  readonly publisher: Cid
  readonly peer: string
  stop(): Promise<void>
}

/**
 * Opens the data folder and starts everything.
 * @throws ZoariumError NOT_INITIALISED, LOCKED, CONFIG, POLICY, STORE, NEWER_STORE
 */
export async function createDaemon(options: DaemonOptions): Promise<Daemon> {
  const paths = dataFolder(options.folder)
  const config = readConfig(paths.config, options)
  const stops: (() => Promise<unknown> | unknown)[] = []
  const stop = async (): Promise<void> => {
    for (const each of stops.splice(0).reverse()) await each()
  }
  try {
    return await start(config, stops, stop)
  } catch (error) {
    await stop()
    throw error
  }
}

async function start(
  config: Config,
  stops: (() => Promise<unknown> | unknown)[],
  stop: () => Promise<void>,
): Promise<Daemon> {
  const paths = dataFolder(config.folder)
  const log = createLog(config.logLevel)
  const clock = systemClock
  const opened = await openRegistry(paths, clock)
  stops.push(() => opened.close())
  const { registry } = opened

  const engine = await createOnnxEngine({ spool: join(paths.spool, 'engine') })
  const inference = new Inference({ engine, clock })
  stops.push(async () => {
    await inference.close()
    await engine.close()
  })
  const views = new Views(registry)

  const network = new Network({
    holdings: holdingsOf(registry),
    peerKeySeed: opened.peerKey,
    listen: config.network.listen,
    bootstrap: config.network.peers,
    mdns: config.network.mdns,
    dht: config.network.dht,
    log: log.child({ part: 'net' }),
    clock,
    agent: `zoarium/${VERSION}`,
    // These are made below, from the network; it calls them only once it is started.
    binding: () => presence.binding(),
    heartbeat: () => presence.heartbeat(),
    infer: config.inference.acceptRemote ? (request) => inferring.serve(request) : null,
  })
  const presence = new Presence({
    signer: registry.signer,
    publisher: registry.publisher,
    peer: network.peerId,
    clock,
    roles: config.inference.acceptRemote ? ['sync', 'serve'] : ['sync'],
    status: () => statusOf(config, registry, engine, inference),
  })
  const nearest = new Nearest({ registry, network, inference, views })
  const inferring = new Inferring({ registry, network, inference, nearest, views })
  const metrics = createMetrics(registry, network, inference)
  const mirror = new Mirror({
    registry,
    network,
    follow: config.mirror.follow,
    maxBytes: config.mirror.maxBytes,
    log: log.child({ part: 'mirror' }),
    onProgress: (progress) => node.emit('progress', { ...progress }),
    onComplete: (model) => {
      node.emit('blob', { record: model.record, complete: true })
      beat()
    },
  })
  stops.push(() => mirror.stop())
  const node = new Node({
    registry,
    network,
    inference,
    engine,
    inferring,
    nearest,
    publishing: new Publishing({ registry, inference, views }),
    mirror,
    tokens: new Tokens(registry.catalogue, clock, opened.token),
    views,
    metrics,
    clock,
    spool: paths.spool,
  })
  const beat = (): void => network.publishHeartbeat(presence.heartbeat())

  registry.on('record', ({ id, record }) => {
    node.emit('record', { record: id, publisher: record.publisher, kind: record.kind })
    mirror.kick()
    if (record.publisher === registry.publisher) beat()
  })
  registry.on('head', ({ publisher, envelope }) => {
    if (publisher === registry.publisher) network.announceHead(envelope)
    node.emit('head', { publisher })
  })
  registry.on('identity', ({ publisher }) => node.emit('identity', { publisher }))
  registry.on('trust', () => {
    mirror.kick()
    beat()
  })
  registry.on('blob', ({ cid, size }) => {
    metrics.fetchedBytes.inc(size)
    node.emit('blob', { cid, size })
  })
  network.on('peer', (event) => {
    node.emit('peer', event)
    if (event.connected) mirror.kick()
  })
  network.on('heartbeat', (event) => node.emit('peer', event))

  await network.start()
  stops.push(() => network.stop())
  const http = createHttpServer({ node, config: config.http, log: log.child({ part: 'http' }) })
  await http.start()
  stops.push(() => http.stop())
  registry.heads()
  mirror.kick()
  const timers = [
    setInterval(beat, HEARTBEAT_INTERVAL_MS),
    setInterval(() => registry.heads(), HEAD_RENEWAL_MS),
  ]
  stops.push(() => {
    for (const timer of timers) clearInterval(timer)
  })
  const [url = ''] = http.urls
  return {
    url,
    addresses: network.addresses(),
    publisher: registry.publisher,
    peer: network.peerId,
    stop,
  }
}

function statusOf(
  config: Config,
  registry: Registry,
  engine: Engine,
  inference: Inference,
): HeartbeatBody {
  const { queued, running, warm, speed } = inference.status()
  const serves = registry.trust
    .with('run')
    .flatMap((publisher) => registry.completeModels(publisher))
    .filter((model) => whyNotRunnable(registry, model) === null)
    .map(({ record }) => record)
    .slice(0, MAX_HEARTBEAT_SERVES)
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
    speed: speed.filter(({ model }) => offered.has(model)).slice(0, MAX_HEARTBEAT_WARM),
    freeMemory: freemem(),
    residency: config.inference.residency,
    acceptsInput: config.inference.acceptRemote,
  }
}

const createMetrics = (registry: Registry, network: Network, inference: Inference): Metrics =>
  new Metrics({
    zoarium_records: { help: 'Records here', read: () => registry.counts().records },
    zoarium_models: { help: 'Model records here', read: () => registry.counts().models },
    zoarium_blob_bytes: { help: 'Bytes of files here', read: () => registry.heldBytes() },
    zoarium_peers: {
      help: 'Connected peers',
      read: () => network.peers().filter(({ connected }) => connected).length,
    },
    zoarium_inference_queue: {
      help: 'Inference requests that wait or run',
      read: () => inference.status().queued + inference.status().running,
    },
  })

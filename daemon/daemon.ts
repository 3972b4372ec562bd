/**
 * The composition root: the only place where the big things are made, in the order in which they
 * depend on each other, and stopped in the opposite order.
 */
import { join } from 'node:path'
import type { ScrubView } from '../protocol/api.ts'
import type { Cid } from '../protocol/cid.ts'
import { ZoariumError } from '../protocol/errors.ts'
import { VERSION } from '../protocol/version.ts'
import { systemClock } from '../registry/clock.ts'
import { dataFolder } from '../registry/data-folder.ts'
import { type AskSecret, openRegistry } from '../registry/open-registry.ts'
import { OwnKeys } from '../registry/own-keys.ts'
import type { Registry } from '../registry/registry.ts'
import { SqliteHints } from '../registry/sqlite-hints.ts'
import { Attesting } from './attesting.ts'
import { type Config, type DaemonOptions, readConfig } from './config.ts'
import { Doctor } from './doctor.ts'
import { Erasing } from './erasing.ts'
import { Federation } from './federation.ts'
import { HandleChecks } from './handle-checks.ts'
import { createHttpServer } from './http/server.ts'
import { HttpsWeb } from './https-web.ts'
import { Inference } from './inference/inference.ts'
import { createOnnxEngine } from './inference/onnx-engine.ts'
import { Inferring } from './inferring.ts'
import { KeyRenewals } from './key-renewals.ts'
import { createLog } from './log.ts'
import { Metrics } from './metrics.ts'
import { Mirror } from './mirror.ts'
import { Nearest } from './nearest.ts'
import { archiveOf } from './net/archive.ts'
import { Network } from './net/network.ts'
import { publicAddress } from './net/web-socket-address.ts'
import { Node } from './node.ts'
import { Offer } from './offer.ts'
import { type AtRisk, Placing } from './placing.ts'
import { HEARTBEAT_INTERVAL_MS, Presence } from './presence.ts'
import { PublicWeb } from './public-web.ts'
import { Publishing } from './publishing.ts'
import { quotaViews } from './quota-views.ts'
import { whyForbidden } from './runnable.ts'
import { Scrub } from './scrub.ts'
import { SelfCheck } from './self-check.ts'
import { Telling } from './telling.ts'
import { Tokens } from './tokens.ts'
import { watchTrust } from './trust-watch.ts'
import { Views } from './views.ts'

/** How often own heads are looked at; those older than a day are signed anew. */
const HEAD_CHECK_MS = 3600_000
/** How often it is looked which device keys run out. */
const KEY_CHECK_MS = 3600_000
/** How often it is looked which handles are due; each is checked once an hour at most. */
const HANDLE_CHECK_MS = 600_000
/** How often it is looked which erased files are due: the last hour of 72 matters little. */
const COLLECT_MS = 3600_000
/** How often it is looked whether the files are due to be hashed anew, once a day. */
const SCRUB_CHECK_MS = 600_000
/** Changes within so long are told in one heartbeat. */
const BEAT_DELAY_MS = 250

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
 * @param ask for what opens sealed keys
 * @throws ZoariumError NOT_INITIALISED, LOCKED, CONFIG, KEY_SEALED, POLICY, STORE, NEWER_STORE
 */
export async function createDaemon(
  options: DaemonOptions,
  ask: AskSecret | null = null,
): Promise<Daemon> {
  const paths = dataFolder(options.folder)
  const config = readConfig(paths.config, options)
  const stops: (() => Promise<unknown> | unknown)[] = []
  // What cannot be stopped keeps nothing else from it; the data folder must be let go of.
  const stop = async (): Promise<void> => {
    const failures: unknown[] = []
    for (const each of stops.splice(0).reverse()) {
      try {
        await each()
      } catch (error) {
        failures.push(error)
      }
    }
    if (failures.length > 0) throw failures[0]
  }
  try {
    return await start(config, ask, stops, stop)
  } catch (error) {
    await stop().catch(() => {})
    throw error
  }
}

async function start(
  config: Config,
  ask: AskSecret | null,
  stops: (() => Promise<unknown> | unknown)[],
  stop: () => Promise<void>,
): Promise<Daemon> {
  const paths = dataFolder(config.folder)
  const log = createLog(config.logLevel)
  const clock = systemClock
  const opened = await openRegistry(paths, clock, ask, config.quotas)
  stops.push(() => opened.close())
  const { registry } = opened

  const engine = await createOnnxEngine({ spool: join(paths.spool, 'engine') })
  const inference = new Inference({ engine, clock })
  stops.push(() => inference.close())
  const views = new Views(registry)

  const web = new PublicWeb(new HttpsWeb(), config.web.allowPrivate)
  const hints = new SqliteHints(paths.hints, clock)
  stops.push(() => hints.close())
  const network = new Network({
    hints,
    archive: archiveOf(registry),
    peerKeySeed: opened.peerKey,
    listen: config.network.listen,
    announce: announced(config),
    dialPorts: config.network.dialPorts,
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
    web,
    isOnWeb: () => namesPublicUrl(config, registry.profile(registry.publisher)?.url),
  })
  const { acceptRemote, residency } = config.inference
  const offer = new Offer({ registry, engine, inference, residency, acceptsInput: acceptRemote })
  const presence = new Presence({
    registry,
    peer: network.peerId,
    clock,
    log: log.child({ part: 'presence' }),
    roles: acceptRemote ? ['sync', 'serve'] : ['sync'],
    offer: () => offer.body(),
  })
  const nearest = new Nearest({ registry, network, inference, views })
  const inferring = new Inferring({
    registry,
    network,
    inference,
    nearest,
    views,
    fetch: (model, signal) => mirror.fetch(model, signal),
  })
  const metrics = createMetrics(
    registry,
    network,
    inference,
    views,
    () => scrub.view(),
    () => placing.atRisk,
  )
  const { follow, maxBytes, tell, turnSeconds, wordSeconds } = config.mirror
  const mirror = new Mirror({
    registry,
    network,
    follow,
    maxBytes,
    mayGo: (model, isStrict) => placing.mayGo(model, isStrict),
    isInUse: (record) => inference.status().warm.includes(record),
    onEvicted: ({ models, bytes }) => {
      metrics.evictedBytes.inc(bytes)
      for (const record of models) node.emit('blob', { record, complete: false })
      beatSoon()
    },
    clock,
    log: log.child({ part: 'mirror' }),
    onProgress: (progress) => node.emit('progress', { ...progress }),
    onComplete: (model) => {
      node.emit('blob', { record: model.record, complete: true })
      beatSoon()
      telling.kick()
    },
  })
  stops.push(() => mirror.stop())
  const placing = new Placing({
    registry,
    network,
    mirror,
    fills: follow && tell,
    maxBytes,
    turnMs: turnSeconds * 1000,
    clock,
    log: log.child({ part: 'placing' }),
    onLook: () => telling.kick(),
  })
  stops.push(() => placing.stop())
  const telling = new Telling({
    isOn: tell,
    registry,
    presence,
    room: () => placing.room(),
    lifeMs: wordSeconds * 1000,
    clock,
    log: log.child({ part: 'telling' }),
    onTold: (key) => network.spread(registry.publisher, key),
  })
  stops.push(() => telling.stop())
  const self = new SelfCheck({
    registry,
    network,
    log: log.child({ part: 'self' }),
    isAlone: config.isAlone,
  })
  const keys = new OwnKeys(opened, clock)
  const renewals = new KeyRenewals({
    registry,
    keys,
    isAutomatic: config.keys.renew,
    clock,
    log: log.child({ part: 'keys' }),
  })
  const handles = new HandleChecks({
    handles: registry.handles,
    web,
    log: log.child({ part: 'handles' }),
  })
  stops.push(() => handles.stop())
  const scrub = new Scrub({
    blobs: registry.blobs,
    catalogue: registry.catalogue,
    bytesPerSecond: config.scrub.bytesPerSecond,
    clock,
    log: log.child({ part: 'scrub' }),
    onRotten: () => mirror.retry(),
    onEnd: () => collectAll(),
  })
  stops.push(() => scrub.stop())
  const federation = new Federation({
    registry,
    network,
    views,
    log: log.child({ part: 'federation' }),
  })
  const doctor = new Doctor({
    config,
    node: () => node.node(),
    clock,
    connected: () =>
      network
        .peers()
        .filter(({ connected }) => connected)
        .map(({ peer, publisher }) => ({
          peer,
          publisher,
          isMember: publisher !== null && registry.trust.may(publisher, 'list'),
        })),
    dialBack: (peer, addresses) => network.dialBack(peer, addresses),
    dhtPeers: () => network.dhtPeers,
    listed: () => registry.trust.with('list').filter((id) => id !== registry.publisher).length,
    room: () => registry.quotas.room(),
  })
  const node: Node = new Node({
    doctor,
    registry,
    network,
    inference,
    engine,
    inferring,
    nearest,
    erasing: new Erasing({ registry, views }),
    federation,
    publishing: new Publishing({ registry, inference, views, self }),
    attesting: new Attesting({ registry, inference, engine, self }),
    self,
    mirror,
    placing,
    handles,
    scrub,
    keys,
    renewals,
    presence,
    tokens: new Tokens(registry.catalogue, clock, opened.token),
    views,
    metrics,
    clock,
    spool: paths.spool,
  })
  stops.push(watchTrust({ registry, log: log.child({ part: 'trust' }) }))
  // What fails in a timer, a full disk say, must not end the daemon.
  const regular = (work: () => void) => (): void => {
    try {
      if (network.isStarted) work()
    } catch (error) {
      if (!(error instanceof ZoariumError)) throw error
      log.error({ err: error }, 'a regular task failed')
    }
  }
  // What may not run any more is not left running.
  const endForbidden = (): void => {
    const mayRun = (record: Cid): boolean => {
      const model = registry.catalogue.model(record)
      // A package that is being tested has no record yet.
      if (model === null) return registry.catalogue.record(record) === null
      return whyForbidden(registry, model) === null
    }
    inference.retain(mayRun).catch((error) => log.error({ err: error }, "couldn't end a session"))
  }
  const collect = (): void => {
    registry.collect().catch((error) => log.error({ err: error }, "couldn't delete erased files"))
  }
  const collectAll = (): void => {
    registry
      .collectAll()
      .catch((error) => log.error({ err: error }, "couldn't delete files that no model names"))
  }
  const renewHeads = regular(() => registry.heads())
  const renewKeys = regular(() => renewals.check())
  const beat = regular(() => {
    const heartbeat = presence.heartbeat()
    if (heartbeat !== null) network.publishHeartbeat(heartbeat)
  })
  let isDue = false
  const beatSoon = (): void => {
    if (isDue) return
    isDue = true
    setTimeout(() => {
      isDue = false
      beat()
    }, BEAT_DELAY_MS).unref()
  }

  registry.on('record', ({ id, record }) => {
    node.emit('record', { record: id, publisher: record.publisher, kind: record.kind })
    mirror.kick()
    if (record.publisher === registry.publisher) {
      beatSoon()
      telling.kick()
      if (record.kind === 'model') placing.kick()
    }
    if (record.kind === 'profile') handles.kick()
  })
  registry.on('head', ({ publisher, key, envelope }) => {
    if (publisher === registry.publisher) {
      if (registry.audiences.of(publisher, key) === null) network.announceHead(envelope)
      else network.spread(publisher, key)
    }
    node.emit('head', { publisher })
  })
  registry.on('holdings', ({ publisher }) => node.emit('holdings', { publisher }))
  // Before the files go: nothing says of a model that it is held here while it is not.
  registry.on('leaving', () => telling.tell())
  registry.on('fork', ({ publisher, key }) => {
    endForbidden()
    network.spread(publisher, key)
  })
  registry.on('standing', () => {
    endForbidden()
    mirror.leaveErased()
    mirror.kick()
    beatSoon()
    telling.kick()
  })
  registry.on('identity', ({ publisher }) => node.emit('identity', { publisher }))
  registry.on('trust', () => {
    federation.connectAll()
    endForbidden()
    mirror.retry()
    placing.kick()
    handles.kick()
    beatSoon()
  })
  registry.on('blob', ({ cid, size }) => {
    metrics.fetchedBytes.inc(size)
    node.emit('blob', { cid, size })
  })
  network.on('peer', (event) => {
    node.emit('peer', event)
    if (event.connected) mirror.retry()
  })
  network.on('heartbeat', (event) => node.emit('peer', event))

  self.start()
  stops.push(() => self.stop())
  await network.start()
  stops.push(() => network.stop())
  federation.connectAll()
  const http = createHttpServer({
    node,
    config: { ...config.http, hosts: servedHosts(config) },
    log: log.child({ part: 'http' }),
    network,
  })
  await http.start()
  stops.push(() => http.stop())
  renewKeys()
  registry.heads()
  mirror.kick()
  telling.kick()
  placing.start()
  handles.kick()
  collect()
  scrub.kick()
  const timers = [
    setInterval(beat, HEARTBEAT_INTERVAL_MS),
    setInterval(renewHeads, HEAD_CHECK_MS),
    setInterval(renewKeys, KEY_CHECK_MS),
    setInterval(() => handles.kick(), HANDLE_CHECK_MS),
    setInterval(collect, COLLECT_MS),
    setInterval(() => scrub.kick(), SCRUB_CHECK_MS),
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

/** @throws ZoariumError CONFIG */
function announced({ http, network }: Config): readonly string[] {
  const { publicUrl } = http
  return [...(publicUrl === null ? [] : [publicAddress(publicUrl)]), ...network.announce]
}

/** Whether the publisher's profile names this node's own address, and not that of another. */
function namesPublicUrl({ http }: Config, url: string | null | undefined): boolean {
  const bare = (text: string): string => text.replace(/\/+$/, '')
  return http.publicUrl !== null && url != null && bare(url) === bare(http.publicUrl)
}

/** A proxy passes the name on under which it was asked. */
function servedHosts({ http: { hosts, publicUrl } }: Config): readonly string[] {
  return publicUrl === null ? hosts : [...hosts, new URL(publicUrl).hostname]
}

const createMetrics = (
  registry: Registry,
  network: Network,
  inference: Inference,
  views: Views,
  scrub: () => ScrubView | null,
  atRisk: () => AtRisk,
): Metrics =>
  new Metrics({
    zoarium_records: { help: 'Records here', read: () => registry.counts().records },
    zoarium_models: { help: 'Model records here', read: () => registry.counts().models },
    zoarium_blob_bytes: { help: 'Bytes of files here', read: () => registry.blobs.held.bytes },
    zoarium_disk_reserve_bytes: {
      help: 'Room kept for withdrawals and deletions on a full disk; 0: it was needed',
      read: () => registry.reserve.bytes,
    },
    zoarium_rotten_files: {
      help: 'Files set aside since the start because their bytes had changed on disk',
      read: () => registry.blobs.rotten,
    },
    zoarium_incomplete_models: {
      help: 'Models that this node fetches by itself and does not hold in full',
      read: () => registry.incompleteModels().length,
    },
    zoarium_models_at_risk: {
      help: 'Models listed here that fewer institutions hold than their floor',
      read: () => atRisk().total,
    },
    zoarium_holders: {
      help: 'Nodes whose word on what they hold is known here, this one included',
      read: () => registry.replicas.nodes().length,
    },
    zoarium_scrubbed_bytes: {
      help: 'Bytes hashed anew in the round of the scrub that is under way, or was the last',
      read: () => scrub()?.bytes ?? 0,
    },
    zoarium_scrub_start_seconds: {
      help: 'When that round began, seconds since 1970; 0: never',
      read: () => Date.parse(scrub()?.started ?? '1970') / 1000,
    },
    zoarium_sent_bytes: {
      help: 'Bytes of files sent to peers since the start',
      read: () => network.blobBytesSent,
    },
    zoarium_peers: {
      help: 'Connected peers',
      read: () => network.peers().filter(({ connected }) => connected).length,
    },
    zoarium_limits_met: {
      help: 'Limits that are met now, by kind',
      read: () => {
        const counts: Record<string, number> = {}
        for (const { kind } of quotaViews(registry, network, views)) {
          counts[kind] = (counts[kind] ?? 0) + 1
        }
        return counts
      },
    },
    zoarium_inference_queue: {
      help: 'Inference requests that wait or run',
      read: () => inference.status().queued + inference.status().running,
    },
  })

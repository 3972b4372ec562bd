/** Real libp2p nodes on loopback, for tests; stopped after each test. */
import { pino } from 'pino'
import { archiveOf } from '../../daemon/net/archive.ts'
import type { RemoteInferHandler } from '../../daemon/net/infer.ts'
import { Network, type NetworkEvents, type NetworkOptions } from '../../daemon/net/network.ts'
import type { Sleep } from '../../daemon/net/sleep.ts'
import { type PeerRole, signBinding } from '../../protocol/binding.ts'
import { type Heartbeat, signHeartbeat } from '../../protocol/heartbeat.ts'
import type { BlobStore } from '../../registry/blob-store.ts'
import type { Registry } from '../../registry/registry.ts'
import { START, seedOf, type TestPublisher } from './publisher.ts'
import { openTestRegistry, trust } from './registry.ts'

const LIFE_MS = 24 * 3600 * 1000
const running: Network[] = []

/** Real time, moved to when test publishers' keys hold. */
const offset = START + 30 * LIFE_MS - Date.now()
export const testClock = { now: () => Date.now() + offset }

export interface TestNode {
  readonly own: TestPublisher
  readonly registry: Registry
  readonly network: Network
  readonly address: string
  /** Resolves with the next event that fits. */
  next<N extends keyof NetworkEvents>(
    name: N,
    fits?: (event: NetworkEvents[N]) => boolean,
  ): Promise<NetworkEvents[N]>
}

export interface TestNodeOptions extends Partial<NetworkOptions> {
  readonly roles?: readonly PeerRole[]
  /** Publishers with the right `mirror`, and those to whom input may go. */
  readonly trusts?: readonly TestPublisher[]
  readonly infer?: RemoteInferHandler | null
  readonly blobs?: BlobStore
  /** Default: a new one. */
  readonly registry?: Registry
}

/** Starts a node of a publisher; `name` makes its transport key. */
export async function startNode(
  own: TestPublisher,
  {
    roles = ['sync', 'serve'],
    trusts = [],
    blobs,
    registry: known,
    ...options
  }: TestNodeOptions = {},
  name = own.name,
): Promise<TestNode> {
  const registry = known ?? (await openTestRegistry(own, testClock, blobs))
  for (const each of trusts) trust(registry, each.publisher, 'mirror', true)
  const network: Network = new Network({
    archive: archiveOf(registry),
    peerKeySeed: seedOf(`${name} peer`),
    listen: ['/ip4/127.0.0.1/tcp/0'],
    bootstrap: [],
    mdns: false,
    dht: false,
    log: pino({ level: 'silent' }),
    clock: testClock,
    binding: () => bindingOf(own, network.peerId, roles),
    heartbeat: () => null,
    infer: null,
    ...options,
  })
  running.push(network)
  await network.start()
  return {
    own,
    registry,
    network,
    address: network.addresses()[0] ?? '',
    next: (name, fits = () => true) =>
      new Promise((resolve) => {
        const off = network.on(name, (event) => {
          if (!fits(event)) return
          off()
          resolve(event)
        })
      }),
  }
}

export function bindingOf(
  own: TestPublisher,
  peer: string,
  roles: readonly PeerRole[],
  issued = testClock.now(),
): Uint8Array {
  const { publisher } = own
  const life = { issued, expires: issued + LIFE_MS }
  return signBinding({ publisher, key: own.key('serve'), peer, roles, ...life }, own.seeds.serve)
}

export function heartbeatOf(
  own: TestPublisher,
  peer: string,
  changes: Partial<Heartbeat> = {},
): Uint8Array {
  const now = testClock.now()
  const heartbeat: Heartbeat = {
    publisher: own.publisher,
    key: own.key('serve'),
    peer,
    issued: now,
    expires: now + 45_000,
    engines: [{ name: 'onnx', provider: 'cpu', device: 'cpu' }],
    queue: 1,
    warm: [],
    serves: [],
    speed: [],
    freeMemory: 1e9,
    residency: ['DE'],
    acceptsInput: true,
    ...changes,
  }
  return signHeartbeat(heartbeat, own.seeds.serve)
}

/** A sleep that ends when the test says so. */
export function manualSleep(): { readonly sleep: Sleep; readonly wake: () => void } {
  const waiting = new Set<() => void>()
  return {
    sleep: (_ms, signal) =>
      new Promise((resolve, reject) => {
        if (signal.aborted) return reject(signal.reason)
        const wake = () => {
          waiting.delete(wake)
          resolve()
        }
        waiting.add(wake)
        signal.addEventListener('abort', () => reject(signal.reason))
      }),
    wake: () => {
      for (const wake of waiting) wake()
    },
  }
}

export const stopAll = async (): Promise<void> => {
  await Promise.all(running.splice(0).map((network) => network.stop()))
}

/** Call in a `describe`: stops what its tests started. */
export const stopNodes = (): void => {
  afterEach(stopAll)
}

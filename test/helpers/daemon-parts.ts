/** The parts of a daemon over a registry in memory, an engine of functions, and peers on paper. */
import { Inference } from '../../daemon/inference/inference.ts'
import { MemoryEngine, type MemoryModel } from '../../daemon/inference/memory-engine.ts'
import { Inferring } from '../../daemon/inferring.ts'
import { createLog } from '../../daemon/log.ts'
import { Nearest } from '../../daemon/nearest.ts'
import type { RemoteAnswer, RemoteRequest } from '../../daemon/net/infer.ts'
import type { NetworkPeer } from '../../daemon/net/network.ts'
import type { FoundRoster } from '../../daemon/net/sync.ts'
import { SelfCheck } from '../../daemon/self-check.ts'
import { Views } from '../../daemon/views.ts'
import type { Cid } from '../../protocol/cid.ts'
import { type Failure, refuse, ZoariumError } from '../../protocol/errors.ts'
import type { Heartbeat } from '../../protocol/heartbeat.ts'
import type { ModelRow } from '../../registry/catalogue.ts'
import type { RegistryParts } from '../../registry/registry.ts'
import { type ExampleOptions, exampleFiles } from './package.ts'
import type { TestModel, TestPublisher } from './publisher.ts'
import { keepFiles } from './registry.ts'
import { admit, type TestRegistry, testRegistry } from './test-registry.ts'

/** Peers as a list; what is sent to them is answered by a function. */
export class PaperNetwork {
  readonly peerId = 'here'
  readonly isStarted = true
  known: readonly NetworkPeer[] = []
  readonly asked: { readonly peer: string; readonly request: RemoteRequest }[] = []
  answer: (peer: string, signal: AbortSignal) => RemoteAnswer | Promise<RemoteAnswer> = () =>
    remoteAnswer

  peers(): readonly NetworkPeer[] {
    return this.known
  }

  /** Nothing ever happens on it. */
  on(): () => void {
    return () => {}
  }

  addresses(): readonly string[] {
    return ['/ip4/127.0.0.1/tcp/1/p2p/here']
  }

  isTicket(): boolean {
    return false
  }

  async leafFor(): Promise<Failure> {
    return refuse('TOKEN', 'nobody has a ticket')
  }

  async connect(address: string): Promise<string> {
    return address
  }

  readonly kept: string[] = []
  /** What peers hand out. */
  rosters: readonly FoundRoster[] = []

  keep(address: string): void {
    this.kept.push(address)
  }

  async findRoster(): Promise<readonly FoundRoster[]> {
    return this.rosters
  }

  async syncNow(): Promise<readonly never[]> {
    return []
  }

  async infer(peer: string, request: RemoteRequest, signal: AbortSignal): Promise<RemoteAnswer> {
    this.asked.push({ peer, request })
    return this.answer(peer, signal)
  }
}

export const remoteAnswer: RemoteAnswer = {
  body: new Uint8Array([7]),
  mediaType: 'image/png',
  outputs: [],
  timings: { computeMs: 3 },
  notes: ['from afar'],
  receipt: null,
  uploadMs: 10,
}

const image = { name: 'x', dtype: 'float32', shape: [-1, 1, -1, -1] } as const

export interface DaemonParts extends TestRegistry {
  readonly network: PaperNetwork
  readonly inference: Inference
  readonly engine: MemoryEngine
  readonly views: Views
  readonly nearest: Nearest
  readonly inferring: Inferring
  readonly self: SelfCheck
}

/** @param run what the network of every model computes; default: output equals input */
export async function daemonParts(
  run: MemoryModel['run'] = (inputs) => inputs,
  change: Partial<RegistryParts> = {},
): Promise<DaemonParts> {
  const test = await testRegistry('here', change)
  const { registry, clock } = test
  const network = new PaperNetwork()
  const engine = new MemoryEngine({ 'weights.onnx': { inputs: [image], outputs: [image], run } })
  const inference = new Inference({ engine, clock })
  const views = new Views(registry)
  const nearest = new Nearest({ registry, network, inference, views })
  const fetch = async (): Promise<never> => {
    throw new ZoariumError('NO_PROVIDER', 'nobody has it')
  }
  const inferring = new Inferring({ registry, network, inference, nearest, views, fetch })
  const self = new SelfCheck({ registry, network, log: createLog('silent'), isAlone: false })
  return { ...test, network, engine, inference, views, nearest, inferring, self }
}

/** A model record with a card that can be read; each name has other weights. */
export function cardModel(
  publisher: TestPublisher,
  name: string,
  { version = '1.0.0', ...options }: ExampleOptions = {},
): TestModel {
  const files = exampleFiles({ ...options, name: `Model ${name}`, version })
  const card = files.get('rdf.yaml')
  if (card === undefined) throw new TypeError('the example has no card')
  return publisher.model({ name, version, card })
}

/** Takes in a model, and its files unless told otherwise. */
export async function hold(
  { registry }: Pick<TestRegistry, 'registry'>,
  model: TestModel,
  withFiles = true,
): Promise<ModelRow> {
  const id = admit(registry, model)
  if (withFiles) await keepFiles(registry, model)
  const row = registry.catalogue.model(id)
  if (row === null) throw new TypeError('the record is no model')
  return row
}

/** A connected peer that takes images and offers some models. */
export function peerOf(
  publisher: TestPublisher,
  serves: readonly Cid[],
  {
    peer = `${publisher.name}-peer`,
    ...changes
  }: Partial<NetworkPeer> & { readonly said?: Partial<Heartbeat> } = {},
): NetworkPeer {
  const { said, ...rest } = changes
  const heartbeat: Heartbeat = {
    publisher: publisher.publisher,
    key: publisher.key('serve'),
    peer,
    issued: publisher.now,
    expires: publisher.now + 45_000,
    engines: [],
    queue: 0,
    warm: serves,
    serves,
    speed: [],
    freeMemory: 1e9,
    residency: [],
    acceptsInput: true,
    ...said,
  }
  return {
    peer,
    addresses: [],
    connected: true,
    shutOut: null,
    publisher: publisher.publisher,
    roles: ['sync', 'serve'],
    agent: 'test',
    rttMs: 10,
    fileRate: null,
    lastSync: null,
    heartbeat,
    ...rest,
  }
}

/** Fails with a code. */
export const failing = (code: ZoariumError['code']) => (): never => {
  throw new ZoariumError(code, `fails with ${code}`)
}

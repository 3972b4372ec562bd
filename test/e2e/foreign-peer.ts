/**
 * Peers in the test's own process that a real daemon meets: nodes over an archive that the test
 * bends, with the system's clock, since the daemon has no other.
 */
import { pino } from 'pino'
import { type Archive, archiveOf } from '../../daemon/net/archive.ts'
import { Network, type NetworkOptions } from '../../daemon/net/network.ts'
import { helloMessages, type PROTOCOLS } from '../../protocol/message.ts'
import { systemClock } from '../../registry/clock.ts'
import type { Registry } from '../../registry/registry.ts'
import { bindingOf } from '../helpers/network.ts'
import { exampleFiles } from '../helpers/package.ts'
import { seedOf, type TestModel, TestPublisher } from '../helpers/publisher.ts'
import { helloOf, type RawHandler, type RawPeer, startRawPeer } from '../helpers/raw-peer.ts'
import { openTestRegistry } from '../helpers/registry.ts'

const HOUR_MS = 3600_000
const running: Network[] = []

export interface ForeignPeer {
  readonly registry: Registry
  readonly network: Network
  readonly address: string
}

/** A publisher whose keys hold now. */
export const foundedNow = (name: string): TestPublisher =>
  new TestPublisher(name, systemClock.now() - HOUR_MS)

/** A model with a card that can be read. */
export function modelOf(own: TestPublisher, name: string, weights?: Uint8Array): TestModel {
  // No two publishers have the same card: the node would know it already.
  const files = exampleFiles({ name, card: (card) => (card.description = `Of ${own.name}.`) })
  const card = files.get('rdf.yaml') ?? new Uint8Array()
  return own.model({ name, card, weights: weights ?? files.get('weights.onnx') ?? card })
}

/**
 * A node of a publisher.
 * @param bend what its archive says instead of the truth
 */
export async function startForeignPeer(
  own: TestPublisher,
  prepare: (registry: Registry) => Promise<void> | void = () => {},
  bend: (honest: Archive) => Partial<Archive> = () => ({}),
  options: Partial<NetworkOptions> = {},
): Promise<ForeignPeer> {
  const registry = await openTestRegistry(own, systemClock)
  await prepare(registry)
  const honest = archiveOf(registry)
  const network: Network = new Network({
    archive: { ...honest, ...bend(honest) },
    peerKeySeed: seedOf(`${own.name} peer ${running.length}`),
    listen: ['/ip4/127.0.0.1/tcp/0'],
    bootstrap: [],
    mdns: false,
    dht: false,
    log: pino({ level: 'silent' }),
    clock: systemClock,
    binding: () => bindingOf(own, network.peerId, ['sync', 'serve'], systemClock.now()),
    heartbeat: () => null,
    infer: null,
    ...options,
  })
  running.push(network)
  await network.start()
  return { registry, network, address: network.addresses()[0] ?? '' }
}

/** A peer that says hello as it should, and then does what the test wants. */
export async function startBarePeer(
  own: TestPublisher,
  handlers: Partial<Record<keyof typeof PROTOCOLS, RawHandler>>,
  name: string,
): Promise<RawPeer> {
  let id = ''
  const hello: RawHandler = async (frames) => {
    const binding = bindingOf(own, id, ['sync', 'serve'], systemClock.now())
    await frames.write(helloMessages.encode(helloOf(own, id, { binding })), 1000)
    await frames.expect(1 << 16, 1000)
    await frames.close(1000)
  }
  const peer = await startRawPeer(own, { hello, ...handlers }, `bare ${name}`)
  id = peer.peerId
  return peer
}

/** Call in a `describe`. */
export function stopForeignPeers(): void {
  afterEach(async () => {
    await Promise.all(running.splice(0).map((network) => network.stop()))
  })
}

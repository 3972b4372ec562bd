/** A peer that says hello and then does what a test wants; stopped after each test. */
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import { identify } from '@libp2p/identify'
import type { Libp2p, Stream } from '@libp2p/interface'
import { noise } from '@libp2p/noise'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { createLibp2p } from 'libp2p'
import { FrameStream } from '../../daemon/net/stream.ts'
import { type Hello, helloMessages, PROTOCOLS } from '../../protocol/message.ts'
import { bindingOf } from './network.ts'
import type { TestPublisher } from './publisher.ts'
import { seedOf } from './publisher.ts'

export interface RawPeer {
  readonly node: Libp2p
  readonly peerId: string
  readonly address: string
}

export type RawHandler = (frames: FrameStream, stream: Stream) => Promise<void>

const running: Libp2p[] = []

export const helloOf = (own: TestPublisher, peer: string, changes: Partial<Hello> = {}): Hello => ({
  t: 'hello',
  versions: [1],
  agent: 'raw',
  identityLength: own.identity.length,
  binding: bindingOf(own, peer, ['sync', 'serve']),
  heartbeat: null,
  limits: { streams: 1, bytesPerSecond: 0, inferBytes: 0 },
  ...changes,
})

/** @param handlers by protocol name; a missing `hello` says who it is, as it should */
export async function startRawPeer(
  own: TestPublisher,
  handlers: Partial<Record<keyof typeof PROTOCOLS, RawHandler>>,
  name = `raw ${own.name}`,
): Promise<RawPeer> {
  const node = await createLibp2p({
    privateKey: await generateKeyPairFromSeed('Ed25519', seedOf(name)),
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    services: { identify: identify(), ping: ping() },
  })
  running.push(node)
  const peerId = node.peerId.toString()
  const hello: RawHandler = async (frames) => {
    await frames.write(helloMessages.encode(helloOf(own, peerId)), 1000)
    await frames.expect(1 << 16, 1000)
    await frames.close(1000)
  }
  const sync: RawHandler = async (frames) => frames.abort(new Error('no sync'))
  for (const [protocol, handle] of Object.entries({ hello, sync, ...handlers })) {
    await node.handle(PROTOCOLS[protocol as keyof typeof PROTOCOLS], async (stream) => {
      await handle(new FrameStream(stream), stream).catch(() => {})
    })
  }
  return { node, peerId, address: node.getMultiaddrs()[0]?.toString() ?? '' }
}

/** Call in a `describe`. */
export function stopRawPeers(): void {
  afterEach(async () => {
    await Promise.all(running.splice(0).map((node) => node.stop()))
  })
}

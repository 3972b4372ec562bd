/** The providing side of transfer-bench.ts: a node with one file, an HTTP server, bare streams. */

import { once } from 'node:events'
import { createReadStream } from 'node:fs'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { generateKeyPair } from '@libp2p/crypto/keys'
import type { Stream } from '@libp2p/interface'
import { noise } from '@libp2p/noise'
import { tcp } from '@libp2p/tcp'
import { tls } from '@libp2p/tls'
import { yamux } from '@libp2p/yamux'
import { createLibp2p } from 'libp2p'
import { createHttpServer } from '../../daemon/http/server.ts'
import { expectOk } from '../../protocol/errors.ts'
import type { ModelFile } from '../../protocol/record.ts'
import { FileBlobs } from '../../registry/file-blobs.ts'
import { makeCertificate } from '../helpers/certificate.ts'
import { createFakeNode } from '../helpers/fake-node.ts'
import { startNode, type TestNode } from '../helpers/network.ts'
import { TestPublisher } from '../helpers/publisher.ts'
import { admit, keepFiles } from '../helpers/registry.ts'

/** The host that the provider's profile names. */
export const WEB_HOST = 'zoo.institute-a.example'
export const BULK_PROTOCOL = '/zoarium/bench/bulk'
const PART_BYTES = 256 * 1024

/** What the provider says once it is ready. */
export interface ProviderReady {
  readonly address: string
  readonly http: string
  /** Null without openssl. */
  readonly https: { readonly port: number; readonly ca: string; readonly profile: string } | null
  readonly bare: Readonly<Record<'noise' | 'tls', string>>
  readonly file: ModelFile
}

export const foldersIn = (folder: string) => ({
  blobs: join(folder, 'blobs'),
  partial: join(folder, 'partial'),
  quarantine: join(folder, 'quarantine'),
})

/** A libp2p node with nothing but a transport and one encryption. */
export const bareNode = async (encryption: 'noise' | 'tls') =>
  createLibp2p({
    privateKey: await generateKeyPair('Ed25519'),
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    transports: [tcp()],
    connectionEncrypters: [encryption === 'tls' ? tls() : noise()],
    streamMuxers: [yamux()],
  })

async function provide(folder: string, bytes: number): Promise<ProviderReady> {
  const a = new TestPublisher('a')
  const b = new TestPublisher('b')
  const blobs = new FileBlobs(foldersIn(join(folder, 'provider')))
  const node = await startNode(a, { trusts: [b], blobs, isOnWeb: () => true })
  const model = a.model({ name: 'bulk', weights: contents(bytes) })
  admit(node.registry, model)
  await keepFiles(node.registry, model)
  const { record } = model.signed
  const file = record.kind === 'model' && record.body.files.find(({ role }) => role === 'weights')
  if (!file) throw new TypeError('the model has weights')

  const plain = join(folder, 'plain')
  await blobs.copyTo(file.cid, plain)
  const server = http.createServer((_request, response) => {
    createReadStream(plain).pipe(response)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const https = await serveHttps(folder, node)
  const bare = { noise: await bareAddress('noise', bytes), tls: await bareAddress('tls', bytes) }
  return { address: node.address, http: `http://127.0.0.1:${port}/`, https, bare, file }
}

/** The routes of a daemon, over TLS, and the profile that names them. */
async function serveHttps(folder: string, { own, network }: TestNode) {
  const made = makeCertificate(folder, [`DNS:${WEB_HOST}`])
  if (made === null) return null
  const tls = { cert: made.path, key: join(folder, 'key.pem') }
  const api = createFakeNode(folder, {
    isTicket: (text) => network.isTicket(text),
    leaf: async (ticket, asked) => expectOk(await network.leafFor(ticket, asked)),
  })
  const note = () => {}
  const server = createHttpServer({
    node: api,
    config: { listen: ['127.0.0.1:0'], tls, behindProxy: false, hosts: [WEB_HOST] },
    log: { debug: note, info: note, warn: note, error: note },
  })
  await server.start()
  const port = Number(new URL(server.urls[0] ?? '').port)
  const url = `https://${WEB_HOST}:${port}`
  const profile = own.profile('a', 'A', [], null, url).envelope
  const ca = made.cert.toString()
  return { port, ca, profile: Buffer.from(profile).toString('base64') }
}

async function bareAddress(kind: 'noise' | 'tls', bytes: number): Promise<string> {
  const node = await bareNode(kind)
  await node.handle(BULK_PROTOCOL, (stream) => send(stream, bytes))
  return node.getMultiaddrs()[0]?.toString() ?? ''
}

async function send(stream: Stream, bytes: number): Promise<void> {
  const part = new Uint8Array(PART_BYTES)
  for (let left = bytes; left > 0; left -= PART_BYTES) {
    if (!stream.send(part))
      await new Promise((resolve) => stream.addEventListener('drain', resolve, { once: true }))
  }
}

/** Bytes without repetition. */
export function contents(length: number): Uint8Array {
  const words = new Uint32Array(length / 4)
  for (let i = 0, x = 1; i < words.length; i++) {
    x = (Math.imul(x, 1664525) + 1013904223) | 0
    words[i] = x
  }
  return new Uint8Array(words.buffer)
}

if (import.meta.main) {
  const [folder = '', bytes = ''] = process.argv.slice(2)
  // Never outlives the bench.
  process.on('disconnect', () => process.exit())
  process.send?.(await provide(folder, Number(bytes)))
}

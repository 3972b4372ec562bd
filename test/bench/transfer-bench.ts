/**
 * Transfer: one file between two processes on loopback, verified and on disk, against a bare HTTP
 * download that hashes and writes the same bytes, and against bare bytes over the same encryption.
 * The provider (transfer-provider.ts) runs in a process of its own, as it does in life.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, open, rm } from 'node:fs/promises'
import http from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { multiaddr } from '@multiformats/multiaddr'
import { HttpsWeb } from '../../daemon/https-web.ts'
import type { NetworkOptions } from '../../daemon/net/network.ts'
import { PublicWeb } from '../../daemon/public-web.ts'
import type { WebRequest } from '../../daemon/web.ts'
import { expectOk, ZoariumError } from '../../protocol/errors.ts'
import { FileBlobs } from '../../registry/file-blobs.ts'
import { startDelayProxy } from '../helpers/delay-proxy.ts'
import { startNode, stopAll } from '../helpers/network.ts'
import { TestPublisher } from '../helpers/publisher.ts'
import { type Figure, figure, median } from './figure.ts'
import {
  BULK_PROTOCOL,
  bareNode,
  foldersIn,
  type ProviderReady,
  WEB_HOST,
} from './transfer-provider.ts'

const MIB = 1024 * 1024
const FILE_BYTES = 192 * MIB
const REPEATS = 5
/** Round trip between institutes of one country or two. */
const FAR_RTT_MS = 50

export async function benchTransfer(): Promise<Figure[]> {
  const folder = await mkdtemp(join(tmpdir(), 'zoarium-bench-'))
  const script = fileURLToPath(new URL('./transfer-provider.ts', import.meta.url))
  const provider = fork(script, [folder, String(FILE_BYTES)], { stdio: 'inherit' })
  try {
    return await measure(provider, folder)
  } finally {
    provider.kill()
    await stopAll()
    await rm(folder, { recursive: true, force: true })
  }
}

async function measure(provider: ChildProcess, folder: string): Promise<Figure[]> {
  const [ready] = (await once(provider, 'message')) as [ProviderReady]
  const mib = {
    libp2p: [] as number[],
    far: [] as number[],
    https: [] as number[],
    http: [] as number[],
    noise: [] as number[],
    tls: [] as number[],
  }
  const note = async (times: number[], work: () => Promise<void>) => {
    const started = performance.now()
    await work()
    times.push(FILE_BYTES / MIB / ((performance.now() - started) / 1000))
  }
  const a = new TestPublisher('a')
  const b = new TestPublisher('b')
  const bare = { noise: await bareNode('noise'), tls: await bareNode('tls') }
  const far = await startDelayProxy(ready.address, FAR_RTT_MS)
  // One run of each after the other, so that a busy machine is busy for all of them.
  for (let i = 0; i < REPEATS; i++) {
    const fetchFrom = async (
      times: number[],
      name: string,
      address: string,
      https: Https | null = null,
    ) => {
      const blobs = new FileBlobs(foldersIn(join(folder, `${name}-${i}`)))
      const web = overHttps(https)
      const node = await startNode(b, { trusts: [a], blobs, ...web }, `${name} ${i}`)
      await node.network.connect(address)
      await node.network.syncNow()
      if (https !== null) {
        const profile = Buffer.from(https.profile, 'base64')
        expectOk(node.registry.admitProfile(new Uint8Array(profile)))
      }
      const { signal } = new AbortController()
      await note(times, () => node.network.fetchBlob(ready.file, { signal }))
      await stopAll()
    }
    await fetchFrom(mib.libp2p, 'near', ready.address)
    await fetchFrom(mib.far, 'far', far.address)
    if (ready.https !== null) {
      await fetchFrom(mib.https, 'https', ready.address, ready.https)
    }
    await note(mib.http, () => downloadHttp(ready, join(folder, `http-${i}`)))
    for (const kind of ['noise', 'tls'] as const) {
      await note(mib[kind], () => downloadBare(bare[kind], ready.bare[kind]))
    }
  }
  far.close()
  await bare.noise.stop()
  await bare.tls.stop()
  const value = median(mib.libp2p)
  const against = (name: string, goal: string, values: readonly number[]) =>
    figure('blob transfer, verified and on disk', value, 'MiB/s', goal, {
      name,
      value: median(values),
    })
  return [
    figure(
      `blob transfer, verified and on disk, ${FAR_RTT_MS} ms away`,
      median(mib.far),
      'MiB/s',
      '>= 95 MiB/s (100 MB/s)',
      { name: 'the same without delay', value },
    ),
    against('HTTP download with SHA-256, on disk', 'ratio >= 0.8 over HTTP', mib.http),
    figure(
      'blob transfer over HTTPS ranges, verified and on disk',
      median(mib.https),
      'MiB/s',
      'informative',
      { name: 'the same over libp2p alone', value },
    ),
    against('bare bytes over libp2p with Noise', 'ratio >= 0.8', mib.noise),
    against('bare bytes over libp2p with TLS', 'informative', mib.tls),
  ]
}

type Https = NonNullable<ProviderReady['https']>

/** What lets a node ask the provider's address on loopback. */
function overHttps(https: Https | null): Partial<NetworkOptions> {
  if (https === null) return {}
  const { ca, port } = https
  const web = new HttpsWeb({ ca, port })
  const here = { addresses: async () => ['127.0.0.1'], get: (each: WebRequest) => web.get(each) }
  return { web: new PublicWeb(here, [WEB_HOST]) }
}

/** As a careful HTTP client does it: hash while writing, then make it durable. */
async function downloadHttp({ http: url, file }: ProviderReady, path: string): Promise<void> {
  const response = await new Promise<http.IncomingMessage>((resolve, reject) =>
    http.get(url, { agent: false }, resolve).on('error', reject),
  )
  const hash = createHash('sha256')
  const target = await open(path, 'w')
  for await (const part of response) {
    hash.update(part)
    await target.write(part)
  }
  await target.sync()
  await target.close()
  if (hash.digest('hex') !== file.sha256) throw new ZoariumError('CONTENT_MISMATCH', 'wrong bytes')
}

/** All bytes over one stream into nothing. */
async function downloadBare(node: Awaited<ReturnType<typeof bareNode>>, address: string) {
  const connection = await node.dial(multiaddr(address))
  const stream = await connection.newStream(BULK_PROTOCOL)
  let left = FILE_BYTES
  await new Promise<void>((resolve, reject) => {
    stream.addEventListener('message', ({ data }) => {
      left -= data.byteLength
      if (left === 0) resolve()
    })
    stream.addEventListener('close', ({ error }) => reject(error ?? new Error('closed')))
  })
  stream.abort(new Error('that was all'))
}

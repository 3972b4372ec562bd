/**
 * Flood: what 5,000 bad signatures a second from one peer do to a node, by each road by which they
 * can come: heads in gossip whose own signature is wrong, gossip whose transport signature is wrong,
 * pages of records with wrong signatures. The peer is a member, so that it is listened to at all, and
 * comes back when it was thrown out. Meanwhile an honest node publishes 20 records a second. Both run
 * in processes of their own (flood-peers.ts). Measured are the event loop of the node in the middle,
 * with a registry on disk, and how many of the honest records it has taken in.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { fileURLToPath } from 'node:url'
import { expectOk } from '../../protocol/errors.ts'
import { systemClock } from '../../registry/clock.ts'
import { memoryLedger } from '../../registry/ledger.ts'
import { MemoryBlobs } from '../../registry/memory-blobs.ts'
import { Registry } from '../../registry/registry.ts'
import { Signer } from '../../registry/signer.ts'
import { SqliteCatalogue } from '../../registry/sqlite-catalogue.ts'
import { memoryTrust, TrustBook } from '../../registry/trust-file.ts'
import { stopAll } from '../helpers/network.ts'
import { TestPublisher } from '../helpers/publisher.ts'
import { trust } from '../helpers/registry.ts'
import { type Figure, figure } from './figure.ts'
import { type FloodNews, nodeNow, ROADS, type Road } from './flood-peers.ts'

const BAD_PER_SECOND = 5000
const HONEST_EVERY_MS = 50
const PHASE_MS = 10_000
const LOOP_RESOLUTION_MS = 2

export async function benchFlood(): Promise<Figure[]> {
  const folder = await mkdtemp(join(tmpdir(), 'zoarium-bench-'))
  const start = systemClock.now() - 3600_000
  const victim = new TestPublisher('victim', start)
  const honest = new TestPublisher('honest', start)
  const registry = await openOnDisk(victim, join(folder, 'catalogue.sqlite'))
  const children: ChildProcess[] = []
  try {
    trust(registry, honest.publisher, 'list')
    const { address } = await nodeNow(victim, registry)
    const script = fileURLToPath(new URL('./flood-peers.ts', import.meta.url))
    const run = (role: Road | 'honest', name: string, rate: number): ChildProcess => {
      const args = [role, name, String(start), address, String(rate)]
      const child = fork(script, args, { stdio: 'inherit' })
      children.push(child)
      return child
    }
    const published = { seq: 0 }
    run('honest', honest.name, HONEST_EVERY_MS).on('message', (seq) => {
      published.seq = Number(seq)
    })
    const counts = (): Counts => ({
      taken: registry.catalogue.log(honest.publisher, honest.key())?.seq ?? 0,
      published: published.seq,
    })
    const calm = await phase(counts, null)
    const figures = [figure('event loop, calm, p99', calm.p99, 'ms', 'informative')]
    for (const road of ROADS) {
      const flooder = new TestPublisher(`flood ${road}`, start)
      trust(registry, flooder.publisher, 'list')
      const child = run(road, flooder.name, BAD_PER_SECOND)
      const { p99, share, news } = await phase(counts, child)
      child.kill()
      const what = `${road}: ${news.sent} bad signatures, ${news.connections} connections`
      process.stderr.write(`  ${what}\n`)
      const base = { name: 'without a flood' }
      figures.push(
        figure(`event loop under ${BAD_PER_SECOND}/s by ${road}, p99`, p99, 'ms', '< 50', {
          ...base,
          value: calm.p99,
        }),
        figure(
          `honest records taken in meanwhile, ${road}`,
          share,
          'of those published',
          '>= 0.9',
          {
            ...base,
            value: calm.share,
          },
        ),
      )
    }
    return figures
  } finally {
    for (const child of children) child.kill()
    await stopAll()
    await registry.close()
    await rm(folder, { recursive: true, force: true })
  }
}

async function openOnDisk(own: TestPublisher, file: string): Promise<Registry> {
  const { publisher, seeds } = own
  const registry = await Registry.open({
    catalogue: new SqliteCatalogue(file),
    blobs: new MemoryBlobs(),
    trust: new TrustBook(memoryTrust(), publisher),
    signer: new Signer({ publisher, seeds, ledger: memoryLedger() }),
    clock: systemClock,
  })
  expectOk(registry.admitIdentity(publisher, own.operations, 0))
  return registry
}

/** Honest records: the newest here, and the newest there. */
interface Counts {
  readonly taken: number
  readonly published: number
}

interface Phase {
  /** Milliseconds. */
  readonly p99: number
  /** Honest records taken in, of those published. */
  readonly share: number
  readonly news: FloodNews
}

/** @param child that floods, and says how much */
async function phase(counts: () => Counts, child: ChildProcess | null): Promise<Phase> {
  let news: FloodNews = { sent: 0, connections: 0 }
  child?.on('message', (message) => {
    news = message as FloodNews
  })
  if (child === null) while (counts().taken === 0) await sleep(20)
  // What a flood does before it is first thrown out counts.
  else while (news.connections === 0) await sleep(20)
  const before = counts()
  const loop = monitorEventLoopDelay({ resolution: LOOP_RESOLUTION_MS })
  loop.enable()
  await sleep(PHASE_MS)
  loop.disable()
  const after = counts()
  const share = (after.taken - before.taken) / (after.published - before.published)
  return { p99: loop.percentile(99) / 1e6, share, news }
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

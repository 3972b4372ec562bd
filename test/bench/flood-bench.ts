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
/** Time for greetings, and for a flood to have its messages signed. */
const SETTLE_MS = 4000
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
    run('honest', 'honest', HONEST_EVERY_MS)
    const calm = await phase(registry, honest, null)
    const figures = [figure('event loop, calm, p99', calm.p99, 'ms', 'informative')]
    for (const road of ROADS) {
      const flooder = new TestPublisher(`flood ${road}`, start)
      trust(registry, flooder.publisher, 'list')
      const child = run(road, flooder.name, BAD_PER_SECOND)
      const { p99, records, news } = await phase(registry, honest, child)
      child.kill()
      const what = `${road}: ${news.sent} bad signatures, ${news.connections} connections`
      process.stderr.write(`  ${what}\n`)
      const base = { name: 'without a flood' }
      figures.push(
        figure(`event loop under ${BAD_PER_SECOND}/s by ${road}, p99`, p99, 'ms', '< 50', {
          ...base,
          value: calm.p99,
        }),
        figure(`honest records meanwhile, ${road}`, records, 'records/s', 'ratio >= 0.9', {
          ...base,
          value: calm.records,
        }),
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

interface Phase {
  /** Milliseconds. */
  readonly p99: number
  /** Honest ones taken in a second. */
  readonly records: number
  readonly news: FloodNews
}

/** @param child that floods, and says how much */
async function phase(
  registry: Registry,
  honest: TestPublisher,
  child: ChildProcess | null,
): Promise<Phase> {
  let news: FloodNews = { sent: 0, connections: 0 }
  child?.on('message', (message) => {
    news = message as FloodNews
  })
  const count = (): number => registry.catalogue.log(honest.publisher, honest.key())?.seq ?? 0
  // The flood begins within this time; what it does until it is first thrown out counts.
  const isCalm = child === null
  await sleep(isCalm ? SETTLE_MS : 0)
  while (!isCalm && news.connections === 0) await sleep(20)
  const [sentBefore, before, started] = [news.sent, count(), performance.now()]
  const loop = monitorEventLoopDelay({ resolution: LOOP_RESOLUTION_MS })
  loop.enable()
  await sleep(PHASE_MS)
  loop.disable()
  const seconds = (performance.now() - started) / 1000
  return {
    p99: loop.percentile(99) / 1e6,
    records: (count() - before) / seconds,
    news: { sent: news.sent - sentBefore, connections: news.connections },
  }
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

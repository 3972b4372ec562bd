/**
 * The first sync of 100,000 records between two daemons, from the moment at which the receiving one
 * is ready, against admission alone: the same records in pages of 500 into the folder of the other.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { initNode, type NodeProcess, startNode } from '../../cli/colony.ts'
import type { NodeView } from '../../protocol/api.ts'
import type { Cid } from '../../protocol/cid.ts'
import { expectOk } from '../../protocol/errors.ts'
import { systemClock } from '../../registry/clock.ts'
import { dataFolder } from '../../registry/data-folder.ts'
import { openRegistry } from '../../registry/open-registry.ts'
import { TestPublisher } from '../helpers/publisher.ts'
import { type Figure, figure } from './figure.ts'

/** Below the quota of a day each. */
const PUBLISHERS = 10
const RECORDS_OF_ONE = 10_000
const RECORDS = PUBLISHERS * RECORDS_OF_ONE
const PAGE = 500
const POLL_MS = 250
const JSON_TYPE = { 'content-type': 'application/json' }

type Offer = { readonly envelope: Uint8Array; readonly card: null }

export async function benchFirstSync(): Promise<Figure[]> {
  const path = await mkdtemp(join(tmpdir(), 'zoarium-bench-'))
  const nodes: NodeProcess[] = []
  const start = async (name: string, flags: readonly string[] = []): Promise<NodeProcess> => {
    const node = await startNode(join(path, name), ['--log-level', 'error', ...flags])
    nodes.push(node)
    return node
  }
  try {
    const founded = systemClock.now() - 24 * 3600 * 1000
    const publishers = Array.from(
      { length: PUBLISHERS },
      (_, n) => new TestPublisher(`bench ${n}`, founded),
    )
    const names = ['full', 'empty']
    for (const name of names) await initNode(join(path, name), name)
    const own = await Promise.all(names.map((name) => publisherOf(join(path, name))))
    const listed = [...own, ...publishers.map(({ publisher }) => publisher)]
    for (const name of names) await list(join(path, name), listed)
    const alone = await fill(join(path, 'full'), publishers)
    const full = await start('full')
    const peers = full.addresses.flatMap((address) => ['--peer', address])
    const empty = await start('empty', peers)
    const together = await timeUntilAll(empty)
    const rate = (ms: number): number => (1000 * RECORDS) / ms
    return [
      figure(
        `first sync of ${RECORDS} records between two daemons`,
        rate(together),
        'records/s',
        'ratio >= 0.8',
        { name: 'admission alone', value: rate(alone) },
      ),
    ]
  } finally {
    await Promise.all(nodes.map((node) => node.stop()))
    await rm(path, { recursive: true })
  }
}

async function publisherOf(folder: string): Promise<Cid> {
  const opened = await openRegistry(dataFolder(folder), systemClock)
  await opened.close()
  return opened.registry.publisher
}

/** Lets a folder's node list publishers: its peer, too, or that would be a stranger, who is paced. */
async function list(folder: string, publishers: readonly Cid[]): Promise<void> {
  const { registry, close } = await openRegistry(dataFolder(folder), systemClock)
  for (const publisher of publishers) {
    if (publisher !== registry.publisher) registry.setTrust({ publisher, right: 'list' })
  }
  await close()
}

/** Takes all records in. @returns the milliseconds of admission */
async function fill(folder: string, publishers: readonly TestPublisher[]): Promise<number> {
  const opened = await openRegistry(dataFolder(folder), systemClock)
  const { registry } = opened
  let ms = 0
  for (const own of publishers) {
    expectOk(registry.admitIdentity(own.publisher, own.operations, 0))
    for (let n = 0; n < RECORDS_OF_ONE; n += PAGE) {
      const page = Array.from({ length: PAGE }, (_, at): Offer => {
        const { envelope } = own.tag('target', `t${(n + at) % 100}`, own.publisher)
        return { envelope, card: null }
      })
      const started = performance.now()
      registry.admitRecords(page).map(expectOk)
      ms += performance.now() - started
    }
  }
  await opened.close()
  return ms
}

/** @returns milliseconds until a node has all records */
async function timeUntilAll(node: NodeProcess): Promise<number> {
  const started = performance.now()
  for (;;) {
    // Answered after the exchange that is under way, so that asking costs the node next to nothing.
    await fetch(new URL('/v1/sync', node.url), { method: 'POST', headers: JSON_TYPE, body: '{}' })
    const answer = await fetch(new URL('/v1/node', node.url))
    // SAFE: our own daemon answers.
    const { counts } = (await answer.json()) as NodeView
    if (counts.records >= RECORDS) return performance.now() - started
    await setTimeout(POLL_MS)
  }
}

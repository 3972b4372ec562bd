/**
 * Reconciliation: what an exchange costs that finds nothing new, and one that finds 1,000 new records
 * in 10 logs, by the size of the set and by the number of nodes; on models of nodes (sync-model.ts),
 * since what is measured does not touch the records. And the first sync of 100,000 records between two
 * processes with a registry on disk each, against admission alone (first-sync.ts).
 * docs/benchmarks.md, "Reconciliation", has a plot of it, which sync-plot.ts draws.
 */
import type { SignedRecord } from '../../protocol/record.ts'
import { type Figure, figure, median } from './figure.ts'
import { benchFirstSync } from './first-sync.ts'
import { ModelNode, modelLogs, modelNews, type PullCost } from './sync-model.ts'

const SIZES = [1_000, 10_000, 100_000, 1_000_000]
const NODES = [2, 5, 10, 20, 50]
const MAX_LOGS = 1_000
const RECORDS_OF_A_LOG = 100
const NEWS = 1_000
const CHANGED = 10
const ROUNDS = 9
/** Nodes that a node is connected with, where there are as many. */
const NEIGHBOURS = 4
/** Bytes of an id, in the list of all that is the simplest way to reconcile. */
const ID_BYTES = 32

export async function benchSync(): Promise<Figure[]> {
  return [...SIZES.flatMap(bySize), ...NODES.flatMap(byNodes), ...(await benchFirstSync())]
}

const logsOf = (records: number): number =>
  Math.min(MAX_LOGS, Math.max(CHANGED, records / RECORDS_OF_A_LOG))

function bySize(records: number): Figure[] {
  const logs = modelLogs(logsOf(records), records)
  const news = modelNews(logs, Math.min(NEWS, records), CHANGED)
  const known = byId(news)
  const calm: PullCost[] = []
  const busy: PullCost[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const [asker, answerer] = [new ModelNode(logs), new ModelNode(logs)]
    // They name their publishers to each other.
    asker.pull(answerer, known)
    calm.push(asker.pull(answerer, known))
    for (const each of news.values()) answerer.take(each)
    busy.push(asker.pull(answerer, known))
    if (asker.fingerprint !== answerer.fingerprint) throw new TypeError('they still differ')
  }
  const of = (costs: readonly PullCost[], name: keyof PullCost): number =>
    median(costs.map((cost) => cost[name]))
  const naive = { name: 'ids of all records', value: records * ID_BYTES }
  const size = `${records} records in ${logs.size * 10} logs`
  const what = `${of(busy, 'records')} new in ${CHANGED} logs`
  return [
    figure(`nothing new, ${size}`, of(calm, 'bytes'), 'B', '<= 350', naive),
    figure(`nothing new, ${size}, time`, of(calm, 'ms'), 'ms', '< 5'),
    figure(`nothing new, ${size}, round trips`, of(calm, 'roundTrips'), 'round trips', '1'),
    figure(`${what}, ${size}, besides records`, of(busy, 'bytes'), 'B', '<= 4000', naive),
    figure(`${what}, ${size}, records`, of(busy, 'recordBytes'), 'B', 'informative'),
    figure(`${what}, ${size}, before records`, of(busy, 'roundTripsBefore'), 'round trips', '<= 3'),
    figure(`${what}, ${size}, time`, of(busy, 'ms'), 'ms', 'informative'),
  ]
}

const byId = (
  news: ReadonlyMap<string, readonly SignedRecord[]>,
): ReadonlyMap<string, SignedRecord> =>
  new Map([...news.values()].flat().map((signed) => [signed.id, signed]))

/** One node has news; all compare with their neighbours, round after round, until all have it. */
function byNodes(count: number): Figure[] {
  const logs = modelLogs(MAX_LOGS, 1_000_000)
  const news = modelNews(logs, NEWS, CHANGED)
  const known = byId(news)
  const nodes = Array.from({ length: count }, () => new ModelNode(logs))
  const round = (): readonly PullCost[] =>
    nodes.flatMap((node, n) =>
      neighbours(n, count).map((other) => node.pull(nodes[other] as ModelNode, known)),
    )
  round()
  const calm = sum(round()) / count
  for (const each of news.values()) nodes[0]?.take(each)
  let rounds = 0
  let bytes = 0
  let records = 0
  do {
    const costs = round()
    bytes += sum(costs)
    records += costs.reduce((total, cost) => total + cost.records, 0)
    rounds++
  } while (new Set(nodes.map(({ fingerprint }) => fingerprint)).size > 1)
  const size = `${count} nodes`
  const least = { name: 'each new record once', value: NEWS * (count - 1) }
  return [
    figure(`a round with nothing new, ${size}`, calm, 'B/node', 'informative'),
    figure(`until all have the news, ${size}`, bytes / count, 'B/node', 'informative'),
    figure(`until all have the news, ${size}, rounds`, rounds, 'rounds', 'informative'),
    figure(`until all have the news, ${size}, records`, records, 'records', 'informative', least),
  ]
}

const sum = (costs: readonly PullCost[]): number =>
  costs.reduce((total, { bytes }) => total + bytes, 0)

/** Those on both sides, and those half and a third of the way round. */
function neighbours(n: number, count: number): readonly number[] {
  const steps = [1, count - 1, Math.floor(count / 2), Math.floor(count / 3)]
  const others = steps.map((step) => (n + step) % count).filter((other) => other !== n)
  return [...new Set(others)].slice(0, NEIGHBOURS)
}

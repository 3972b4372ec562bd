/**
 * The order of arrival: whatever a publisher and thieves of its keys have signed, nodes that got it
 * all come to one state, in whatever order and how often it came.
 */
import type { Cid } from '../../../protocol/cid.ts'
import type { Registry } from '../../../registry/registry.ts'
import { Breach, type Outcome, type Target } from '../fuzzer.ts'
import { type History, historyOf, openNode } from '../history.ts'
import { Random } from '../random.ts'

/** The records up to each one, as a peer would send them that follows just these. */
function branches(records: History['records']): number[][] {
  const places = new Map(records.map(({ signed }, n) => [signed.id, n]))
  return records.map((_, tip) => {
    const branch: number[] = []
    for (let at: number | undefined = tip; at !== undefined; ) {
      branch.unshift(at)
      const prev: Cid | null = records[at]?.signed.record.prev ?? null
      at = prev === null ? undefined : places.get(prev)
    }
    return branch
  })
}

/** A node that hears of everything: in one order, with repetitions, then from peers on each branch. */
async function deliver({ publisher, records }: History, random: Random): Promise<Registry> {
  const registry = await openNode(publisher)
  const { operations } = publisher
  const id = publisher.publisher
  const offer = (n: number): void => {
    const record = records[n]
    if (record !== undefined) registry.admitRecord(record.signed.envelope, record.card)
    else registry.admitIdentity(id, operations.slice(0, n - records.length + 1), 0)
  }
  const all = records.length + operations.length
  for (let n = 0; n < all; n++) offer(random.below(all))
  registry.admitIdentity(id, operations, 0)
  for (let pass = 0; pass < 2; pass++) for (const branch of branches(records)) branch.forEach(offer)
  return registry
}

/** What must be equal. Of a forked log each node may hold another branch. */
function stateOf(registry: Registry, { publisher: { publisher } }: History): string {
  const chain = registry.identity(publisher)
  const logs = registry.catalogue.logs(publisher).map(({ key, epoch, seq, tip, proof }) => ({
    key,
    ...(proof === null ? { epoch, seq, tip } : { isForked: true }),
  }))
  const isForked = logs.some((log) => 'isForked' in log)
  const models = isForked ? [] : registry.search({ sort: 'name' }).items.map((row) => row.name)
  return JSON.stringify({ length: chain?.length, tip: chain?.tip, logs, models })
}

export const deliveryTarget: Target = {
  name: 'delivery',
  share: 1,
  mutant: (random) => ({
    raw: random.bytes(4 + random.below(14)),
    finish: (bytes) => bytes,
    isSigned: true,
  }),
  async judge(script): Promise<Outcome> {
    const history = historyOf(script)
    const states: string[] = []
    for (const order of ['one', 'another']) {
      const registry = await deliver(history, new Random(order, ...script))
      states.push(stateOf(registry, history))
      await registry.close()
    }
    if (states[0] !== states[1]) throw new Breach(`two states: ${states.join(' and ')}`)
    return 'accepted'
  },
}

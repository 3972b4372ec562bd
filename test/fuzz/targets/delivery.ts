/**
 * The order of arrival: whatever a publisher and thieves of its keys have signed, nodes that got it
 * all come to one state, in whatever order and how often it came.
 */
import type { Cid } from '../../../protocol/cid.ts'
import { expectOk, ZoariumError } from '../../../protocol/errors.ts'
import type { SignedRecord } from '../../../protocol/record.ts'
import { memoryLedger } from '../../../registry/ledger.ts'
import { MemoryBlobs } from '../../../registry/memory-blobs.ts'
import { MemoryCatalogue } from '../../../registry/memory-catalogue.ts'
import { Registry } from '../../../registry/registry.ts'
import { Signer } from '../../../registry/signer.ts'
import { memoryTrust, TrustBook } from '../../../registry/trust-file.ts'
import { lastOf, START, TestPublisher } from '../../helpers/publisher.ts'
import { Breach, type Outcome, type Target } from '../fuzzer.ts'
import { Random } from '../random.ts'

/** Records and operations of a history, in the order of their making. */
interface History {
  readonly publisher: TestPublisher
  readonly records: readonly { readonly signed: SignedRecord; readonly card: Uint8Array | null }[]
}

const OPERATIONS_AT_FIRST = 3

/** Each byte is a step, and what it is about. */
function historyOf(script: Uint8Array): History {
  const publisher = new TestPublisher('fuzz')
  const records: { signed: SignedRecord; card: Uint8Array | null }[] = []
  const about = (byte: number) => records[(byte >> 3) % records.length]?.signed
  for (const [n, byte] of script.entries()) {
    const signed = about(byte)
    const step = byte & 7
    if (step < 4 || signed === undefined) records.push(publisher.model({ name: `m${n}` }))
    else if (step === 4) publisher.rewind(signed)
    else if (step === 5) records.push({ signed: publisher.withdraw(signed.id), card: null })
    else cut(publisher, step === 6, byte > 127, signed)
  }
  return { publisher, records }
}

/** A cut at a record, where the root may make it; the log goes on from there. */
function cut(
  publisher: TestPublisher,
  isHeal: boolean,
  isLast: boolean,
  signed: SignedRecord,
): void {
  const common = { key: signed.record.key, last: lastOf(signed), ts: START }
  try {
    if (isHeal || !isLast) publisher.sign({ op: isHeal ? 'heal' : 'epoch', ...common })
    else publisher.sign({ op: 'revoke', reason: 'stolen', ...common })
    publisher.rewind(signed)
  } catch (error) {
    if (!(error instanceof ZoariumError)) throw error
  }
}

const own = new TestPublisher('here')

async function openNode(): Promise<Registry> {
  const registry = await Registry.open({
    catalogue: new MemoryCatalogue(),
    blobs: new MemoryBlobs(),
    trust: new TrustBook(memoryTrust(), own.publisher),
    signer: new Signer({ publisher: own.publisher, seeds: own.seeds, ledger: memoryLedger() }),
    clock: { now: () => START + 24 * 3600 * 1000 },
  })
  expectOk(registry.admitIdentity(own.publisher, own.operations, 0))
  return registry
}

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
  const registry = await openNode()
  const { operations } = publisher
  const id = publisher.publisher
  expectOk(registry.admitIdentity(id, operations.slice(0, OPERATIONS_AT_FIRST), 0))
  registry.setTrust({ publisher: id, right: 'list' })
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

/** What a publisher and thieves of its keys have signed, and a node that hears of it. */
import { expectOk, ZoariumError } from '../../protocol/errors.ts'
import type { SignedRecord } from '../../protocol/record.ts'
import { memoryLedger } from '../../registry/ledger.ts'
import { MemoryBlobs } from '../../registry/memory-blobs.ts'
import { MemoryCatalogue } from '../../registry/memory-catalogue.ts'
import { Registry } from '../../registry/registry.ts'
import { Signer } from '../../registry/signer.ts'
import { memoryTrust, TrustBook } from '../../registry/trust-file.ts'
import { lastOf, START, TestPublisher } from '../helpers/publisher.ts'

/** Records and operations of a history, in the order of their making. */
export interface History {
  readonly publisher: TestPublisher
  readonly records: readonly { readonly signed: SignedRecord; readonly card: Uint8Array | null }[]
}

/** Operations that every node of a test knows. */
export const OPERATIONS_AT_FIRST = 3

/** Each byte is a step, and what it is about. */
export function historyOf(script: Uint8Array): History {
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

/** A node that lists a publisher, of which it knows the first operations. */
export async function openNode({ publisher, operations }: TestPublisher): Promise<Registry> {
  const registry = await Registry.open({
    catalogue: new MemoryCatalogue(),
    blobs: new MemoryBlobs(),
    trust: new TrustBook(memoryTrust(), own.publisher),
    signer: new Signer({ publisher: own.publisher, seeds: own.seeds, ledger: memoryLedger() }),
    clock: { now: () => START + 24 * 3600 * 1000 },
  })
  expectOk(registry.admitIdentity(own.publisher, own.operations, 0))
  expectOk(registry.admitIdentity(publisher, operations.slice(0, OPERATIONS_AT_FIRST), 0))
  registry.setTrust({ publisher, right: 'list' })
  return registry
}

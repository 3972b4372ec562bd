/** A registry in memory that belongs to a test publisher. */
import type { Cid } from '../../protocol/cid.ts'
import { expectOk } from '../../protocol/errors.ts'
import type { SignedRecord } from '../../protocol/record.ts'
import type { BlobStore } from '../../registry/blob-store.ts'
import type { Clock } from '../../registry/clock.ts'
import { memoryLedger } from '../../registry/ledger.ts'
import { MemoryBlobs } from '../../registry/memory-blobs.ts'
import { MemoryCatalogue } from '../../registry/memory-catalogue.ts'
import { Registry } from '../../registry/registry.ts'
import { Signer } from '../../registry/signer.ts'
import type { Right } from '../../registry/trust.ts'
import { TrustBook } from '../../registry/trust-file.ts'
import type { TestModel, TestPublisher } from './publisher.ts'

export async function openTestRegistry(
  own: TestPublisher,
  clock: Clock,
  blobs: BlobStore = new MemoryBlobs(),
): Promise<Registry> {
  const { publisher, seeds } = own
  let policy: string | null = null
  const file = {
    read: () => policy,
    write: (text: string) => {
      policy = text
    },
  }
  const registry = await Registry.open({
    catalogue: new MemoryCatalogue(),
    blobs,
    trust: new TrustBook(file, publisher),
    signer: new Signer({ publisher, seeds, ledger: memoryLedger() }),
    clock,
  })
  expectOk(registry.admitIdentity(publisher, own.operations, 0))
  return registry
}

export function trust(registry: Registry, publisher: Cid, right: Right, send = false): void {
  registry.setTrust({ publisher, right, send })
}

/** Takes in records in order, as if they came from the publisher itself. */
export function admit(registry: Registry, ...records: readonly (SignedRecord | TestModel)[]): void {
  for (const each of records) {
    if ('signed' in each) expectOk(registry.admitRecord(each.signed.envelope, each.card))
    else expectOk(registry.admitRecord(each.envelope, null))
  }
}

/** Puts the files of a model into the registry's blobs. */
export async function keepFiles(registry: Registry, model: TestModel): Promise<void> {
  for (const bytes of model.files.values()) {
    const parts = (async function* () {
      yield bytes
    })()
    const { cid, size, nodes } = await registry.blobs.put(parts, bytes.length)
    registry.keepTree(cid, nodes)
    registry.blobKept(cid, size)
  }
}

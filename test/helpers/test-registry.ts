/** A registry with its publisher, clock and policy in the hands of the test. */
import type { Cid } from '../../protocol/cid.ts'
import { expectOk } from '../../protocol/errors.ts'
import type { Clock } from '../../registry/clock.ts'
import { memoryLedger } from '../../registry/ledger.ts'
import { MemoryBlobs } from '../../registry/memory-blobs.ts'
import { MemoryCatalogue } from '../../registry/memory-catalogue.ts'
import { type Package, readPackage } from '../../registry/package.ts'
import { openFolder, type PackageSource } from '../../registry/package-source.ts'
import { Registry, type RegistryParts } from '../../registry/registry.ts'
import { Signer } from '../../registry/signer.ts'
import { memoryTrust, TrustBook } from '../../registry/trust-file.ts'
import { temporaryFolder } from './folder.ts'
import { type ExampleOptions, writeExamplePackage } from './package.ts'
import { START, type TestModel, TestPublisher } from './publisher.ts'

/** A clock that stands still until it is moved. */
export class TestClock implements Clock {
  time = START + 24 * 3600 * 1000
  now(): number {
    return this.time
  }
}

export interface TestRegistry {
  readonly registry: Registry
  readonly parts: RegistryParts
  /** The registry's own publisher; its logs are the registry's to write. */
  readonly own: TestPublisher
  readonly clock: TestClock
}

/** @param change parts to use instead of those in memory */
export async function testRegistry(
  name = 'here',
  change: Partial<RegistryParts> = {},
): Promise<TestRegistry> {
  const own = new TestPublisher(name)
  const { publisher, seeds, operations } = own
  const clock = new TestClock()
  const parts: RegistryParts = {
    catalogue: new MemoryCatalogue(),
    blobs: new MemoryBlobs(),
    trust: new TrustBook(memoryTrust(), publisher),
    signer: new Signer({ publisher, seeds, ledger: memoryLedger() }),
    clock,
    ...change,
  }
  const registry = await Registry.open(parts)
  expectOk(registry.admitIdentity(publisher, operations, 0))
  return { registry, parts, own, clock }
}

/** Takes in a publisher's identity and gives it a right. */
export function introduce(
  registry: Registry,
  publisher: TestPublisher,
  right: 'see' | 'list' | 'mirror' | 'run' = 'list',
): Cid {
  expectOk(registry.admitIdentity(publisher.publisher, publisher.operations, 0))
  if (right !== 'see') registry.setTrust({ publisher: publisher.publisher, right })
  return publisher.publisher
}

/** Takes in a model with its card. @returns the record's id */
export function admit(registry: Registry, { signed, card }: TestModel): Cid {
  expectOk(registry.admitRecord(signed.envelope, card))
  return signed.id
}

/** A small valid package in a folder of its own. */
export async function examplePackage(
  options: ExampleOptions = {},
): Promise<{ readonly pkg: Package; readonly source: PackageSource; readonly folder: string }> {
  const folder = temporaryFolder()
  await writeExamplePackage(folder, options)
  const source = expectOk(await openFolder(folder))
  return { pkg: expectOk(await readPackage(source)), source, folder }
}

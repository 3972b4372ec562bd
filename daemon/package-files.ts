/** Files of a package, before they are blobs. */
import { createWriteStream } from 'node:fs'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { storeError } from '../registry/durable-file.ts'
import type { PackageSource } from '../registry/package-source.ts'

/** Writes a copy of a file to `target`. @throws ZoariumError DISK_FULL, STORE, ZIP */
export async function copyFrom(source: PackageSource, path: string, target: string): Promise<void> {
  const bytes = Readable.from(await source.open(path))
  try {
    await pipeline(bytes, createWriteStream(target, { mode: 0o600 }))
  } catch (error) {
    throw storeError('copy a file of the package', error)
  }
}

/** A small file's bytes; its size was checked when the package was read. */
export async function collect(source: PackageSource, path: string): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  for await (const chunk of await source.open(path)) chunks.push(chunk)
  return Buffer.concat(chunks)
}

/** Blobs in memory: the twin of the ones on disk, for tests and nodes that keep nothing. */
import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { writeFile } from 'node:fs/promises'
import type { Cid } from '../protocol/cid.ts'
import { createTreeHasher } from '../protocol/content-tree.ts'
import { sha256 } from '../protocol/crypto.ts'
import { ZoariumError } from '../protocol/errors.ts'
import { LEAF_BYTES } from '../protocol/limits.ts'
import type { BlobInfo, BlobRange, BlobStore, Download } from './blob-store.ts'
import { storeError } from './durable-file.ts'
import { cutLeaves } from './leaves.ts'

export class MemoryBlobs implements BlobStore {
  readonly #blobs = new Map<Cid, Uint8Array>()
  /** Leaves of downloads, by index. */
  readonly #partial = new Map<Cid, Map<number, Uint8Array>>()
  readonly #downloads = new Set<Cid>()
  #losses = 0

  async put(bytes: AsyncIterable<Uint8Array>, maxBytes: number): Promise<BlobInfo> {
    const hasher = createTreeHasher()
    const leaves: Uint8Array[] = []
    let size = 0
    for await (const leaf of cutLeaves(bytes, maxBytes)) {
      size += leaf.length
      if (size > maxBytes) {
        throw new ZoariumError('LIMIT', 'the file is larger than a file may be', {
          limit: maxBytes,
        })
      }
      hasher.leaf(leaf)
      leaves.push(leaf.slice())
    }
    const info = hasher.finish()
    this.#blobs.set(info.cid, new Uint8Array(Buffer.concat(leaves)))
    return info
  }

  stat(cid: Cid): { readonly size: number } | null {
    const bytes = this.#blobs.get(cid)
    return bytes === undefined ? null : { size: bytes.length }
  }

  async open(cid: Cid, range: BlobRange = {}): Promise<AsyncIterable<Uint8Array>> {
    const bytes = this.#get(cid)
    return read(bytes.subarray(range.start ?? 0, range.end ?? bytes.length))
  }

  async recheck(cid: Cid, pace: (bytes: number) => Promise<void>): Promise<boolean> {
    await pace(this.#get(cid).length)
    return true
  }

  async copyTo(cid: Cid, path: string): Promise<void> {
    const bytes = this.#get(cid)
    try {
      await writeFile(path, bytes, { flag: 'wx' })
    } catch (error) {
      throw storeError('copy a file', error)
    }
  }

  async download(cid: Cid, size: number, leaves: readonly Uint8Array[]): Promise<Download> {
    if (this.#downloads.has(cid)) {
      throw new ZoariumError('BUSY', 'a download of that file is under way', { got: cid })
    }
    this.#downloads.add(cid)
    const kept = this.#partial.get(cid) ?? new Map<number, Uint8Array>()
    this.#partial.set(cid, kept)
    // No bytes are all here at once, as on disk.
    if (size === 0) kept.set(0, new Uint8Array())
    const leafSize = (index: number): number => Math.min(LEAF_BYTES, size - index * LEAF_BYTES)
    const missing = (): number[] => leaves.flatMap((_, index) => (kept.has(index) ? [] : [index]))
    const close = async (): Promise<void> => void this.#downloads.delete(cid)
    return {
      cid,
      size,
      missing,
      close,
      write: async (index, bytes) => {
        const digest = leaves[index]
        assert(digest !== undefined, 'leaf of the file')
        if (bytes.length !== leafSize(index) || Buffer.compare(sha256(bytes), digest) !== 0) {
          return false
        }
        kept.set(index, bytes.slice())
        return true
      },
      read: async (index) => {
        const leaf = kept.get(index)
        assert(leaf !== undefined, 'leaf that is here')
        return leaf
      },
      finish: async (wanted) => {
        assert.equal(missing().length, 0, 'no leaf is missing')
        const whole = Buffer.concat(leaves.map((_, index) => kept.get(index) ?? new Uint8Array()))
        const got = Buffer.from(sha256(whole)).toString('hex')
        this.#partial.delete(cid)
        await close()
        if (got !== wanted) {
          throw new ZoariumError(
            'CONTENT_MISMATCH',
            'the file does not have the SHA-256 of its record',
            { field: cid, limit: wanted, got },
          )
        }
        this.#blobs.set(cid, new Uint8Array(whole))
      },
    }
  }

  readonly rotten = 0

  get losses(): number {
    return this.#losses
  }

  get held(): { readonly count: number; readonly bytes: number } {
    const sizes = [...this.#blobs.values()].map((bytes) => bytes.length)
    return { count: sizes.length, bytes: sizes.reduce((sum, size) => sum + size, 0) }
  }

  async remove(cid: Cid): Promise<void> {
    this.#blobs.delete(cid)
    if (!this.#downloads.has(cid)) this.#partial.delete(cid)
    this.#losses += 1
  }

  *unfinished(): Iterable<Cid> {
    for (const cid of this.#partial.keys()) if (!this.#downloads.has(cid)) yield cid
  }

  *list(): Iterable<{ readonly cid: Cid; readonly size: number }> {
    for (const [cid, bytes] of this.#blobs) yield { cid, size: bytes.length }
  }

  async close(): Promise<void> {}

  #get(cid: Cid): Uint8Array {
    const bytes = this.#blobs.get(cid)
    if (bytes !== undefined) return bytes
    throw new ZoariumError('BLOB_MISSING', 'the bytes are not on this node', { got: cid })
  }
}

async function* read(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += LEAF_BYTES) yield bytes.slice(at, at + LEAF_BYTES)
}

/**
 * A download on disk: `partial/<cid>`, sparse until its leaves have come. The bytes themselves are
 * the only record of what is here: whoever resumes hashes them again, so that no bitmap has to be
 * believed after a crash.
 */
import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { constants, type FileHandle, open, rm } from 'node:fs/promises'
import type { Cid } from '../protocol/cid.ts'
import { createSha256, sha256 } from '../protocol/crypto.ts'
import { ZoariumError } from '../protocol/errors.ts'
import { LEAF_BYTES } from '../protocol/limits.ts'
import type { Download } from './blob-store.ts'
import { storeError } from './durable-file.ts'
import { failpoint } from './failpoint.ts'

/** Leaves kept in memory until their turn, 1 MiB each: what a few streams have on their way. */
const MAX_EARLY_LEAVES = 16

/** What the store does at the end of a download. */
interface DownloadEnd {
  /** Makes the partial file a visible blob. */
  publish(file: FileHandle): Promise<void>
  /** The partial file is closed. */
  ended(): void
}

/** A write may take fewer bytes than given. */
export async function writeAll(file: FileHandle, bytes: Uint8Array, start: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, start + done)
    done += bytesWritten
  }
}

export class FileDownload implements Download {
  readonly cid: Cid
  readonly size: number
  readonly #leaves: readonly Uint8Array[]
  readonly #path: string
  readonly #file: FileHandle
  readonly #end: DownloadEnd
  readonly #isHere: boolean[]
  /** Hash over the leaves before `#hashed`; runs along, so that the end costs no second pass. */
  readonly #whole = createSha256()
  #hashed = 0
  #isReadingBack = false
  /** Leaves that came before their turn in that hash; the rest are read back from the disk. */
  readonly #early = new Map<number, Uint8Array>()
  #isClosed = false

  private constructor(
    cid: Cid,
    size: number,
    leaves: readonly Uint8Array[],
    path: string,
    file: FileHandle,
    end: DownloadEnd,
  ) {
    this.cid = cid
    this.size = size
    this.#leaves = leaves
    this.#path = path
    this.#file = file
    this.#end = end
    this.#isHere = leaves.map(() => false)
  }

  static async open(
    cid: Cid,
    size: number,
    leaves: readonly Uint8Array[],
    path: string,
    end: DownloadEnd,
  ): Promise<FileDownload> {
    assert.equal(leaves.length, Math.max(1, Math.ceil(size / LEAF_BYTES)), 'leaves of the file')
    const file = await open(path, constants.O_RDWR | constants.O_CREAT, 0o600)
    const download = new FileDownload(cid, size, leaves, path, file, end)
    try {
      await download.#resume()
    } catch (error) {
      await file.close()
      throw error
    }
    return download
  }

  missing(): readonly number[] {
    return this.#isHere.flatMap((isHere, index) => (isHere ? [] : [index]))
  }

  async write(index: number, bytes: Uint8Array): Promise<boolean> {
    assert(index >= 0 && index < this.#leaves.length, 'leaf of the file')
    assert(!this.#isClosed, 'download is open')
    if (!this.#fits(index, bytes)) return false
    if (this.#isHere[index]) return true
    await this.#attempt(() => writeAll(this.#file, bytes, index * LEAF_BYTES))
    if (this.#isHere[index]) return true
    failpoint('download.after-leaf')
    this.#isHere[index] = true
    await this.#attempt(() => this.#hashOn(index, bytes))
    return true
  }

  async read(index: number): Promise<Uint8Array> {
    assert(this.#isHere[index], 'leaf that is here')
    return await this.#attempt(() => this.#early.get(index) ?? this.#read(index))
  }

  async finish(wanted: string): Promise<void> {
    assert.equal(this.missing().length, 0, 'no leaf is missing')
    assert(!this.#isClosed, 'download is open')
    const got = Buffer.from(this.#whole.digest()).toString('hex')
    if (got !== wanted) {
      await rm(this.#path, { force: true })
      await this.close()
      throw new ZoariumError(
        'CONTENT_MISMATCH',
        'the file does not have the SHA-256 of its record',
        {
          field: this.cid,
          limit: wanted,
          got,
        },
      )
    }
    await this.#end.publish(this.#file)
    failpoint('download.after-end')
    await this.close()
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    await this.#file.close()
    // Nothing came that a later download could go on from.
    if (!this.#isHere.includes(true)) await rm(this.#path, { force: true })
    this.#end.ended()
  }

  /** Finds the leaves that an earlier download left here. */
  async #resume(): Promise<void> {
    const { size: there } = await this.#file.stat()
    if (there > this.size) await this.#file.truncate(this.size)
    for (let index = 0; index < this.#leaves.length; index += 1) {
      if (index * LEAF_BYTES + this.#leafSize(index) > there) return
      const bytes = await this.#read(index)
      if (!this.#fits(index, bytes)) continue
      this.#isHere[index] = true
      if (index === this.#hashed) this.#hash(bytes)
    }
  }

  /** Carries the hash of the whole on from leaf `index`, if it has come that far. */
  async #hashOn(index: number, bytes: Uint8Array): Promise<void> {
    if (this.#early.size < MAX_EARLY_LEAVES) this.#early.set(index, bytes)
    // Whoever reads back will come to this leaf too.
    if (this.#isReadingBack || index !== this.#hashed) return
    this.#isReadingBack = true
    try {
      while (this.#isHere[this.#hashed]) {
        const next = this.#hashed
        this.#hash(this.#early.get(next) ?? (await this.#read(next)))
        this.#early.delete(next)
      }
    } finally {
      this.#isReadingBack = false
    }
  }

  #hash(leaf: Uint8Array): void {
    this.#whole.update(leaf)
    this.#hashed += 1
  }

  #leafSize(index: number): number {
    return Math.min(LEAF_BYTES, this.size - index * LEAF_BYTES)
  }

  #fits(index: number, bytes: Uint8Array): boolean {
    if (bytes.length !== this.#leafSize(index)) return false
    // SAFE: callers pass an index below the number of leaves.
    return Buffer.compare(sha256(bytes), this.#leaves[index] as Uint8Array) === 0
  }

  async #read(index: number): Promise<Uint8Array> {
    const bytes = Buffer.allocUnsafeSlow(this.#leafSize(index))
    for (let done = 0; done < bytes.length; ) {
      const at = index * LEAF_BYTES + done
      const { bytesRead } = await this.#file.read(bytes, done, bytes.length - done, at)
      if (bytesRead === 0)
        throw new ZoariumError('STORE', `couldn't read a download: it ends early`)
      done += bytesRead
    }
    return bytes
  }

  async #attempt<T>(work: () => T | Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      throw storeError('store a download', error)
    }
  }
}

/**
 * Blobs on disk: `blobs/<two characters>/<cid>`, each file whole. docs/architecture.md, "Blobs".
 *
 * Order of writing: temporary file in the same file system, fsync, rename, fsync of the folder; only
 * then is a promise resolved. What a crash leaves behind are temporary files, which the next start
 * deletes, and partial downloads, which can be resumed.
 *
 * One process at a time (sqlite-lock.ts). A file is trusted for as long as inode, size and times
 * are those that it had when this process hashed or wrote it.
 */
import { Buffer } from 'node:buffer'
import fs from 'node:fs'
import { constants, copyFile, type FileHandle, open, rm } from 'node:fs/promises'
import path from 'node:path'
import { type Cid, parseCid } from '../protocol/cid.ts'
import { createTreeHasher } from '../protocol/content-tree.ts'
import { randomBytes } from '../protocol/crypto.ts'
import { ZoariumError } from '../protocol/errors.ts'
import { LEAF_BYTES } from '../protocol/limits.ts'
import type { BlobInfo, BlobRange, BlobStore, Download } from './blob-store.ts'
import type { DataFolder } from './data-folder.ts'
import { storeError, syncFolder } from './durable-file.ts'
import { failpoint } from './failpoint.ts'
import { FileDownload, writeAll } from './file-download.ts'
import { cutLeaves } from './leaves.ts'

type Folders = Pick<DataFolder, 'blobs' | 'partial' | 'quarantine'>

/** Temporary files of `put`, directly under `blobs/`. */
const TEMPORARY = '.put-'

/** Whether a name under `blobs/` is that of an unfinished put. */
export const isTemporary = (name: string): boolean => name.startsWith(TEMPORARY)

export class FileBlobs implements BlobStore {
  readonly #folders: Folders
  /** What a blob's file looked like when its bytes were last verified. */
  readonly #verified = new Map<Cid, string>()
  readonly #verifying = new Map<Cid, Promise<boolean>>()
  readonly #downloads = new Set<Cid>()
  #losses = 0
  #rotten = 0
  /** Counted when first asked for; kept up to date from then on. */
  #held: { count: number; bytes: number } | null = null

  /**
   * Opens the store, and deletes what a crash left of unfinished puts, unless it is to be looked at.
   * @throws ZoariumError STORE
   */
  constructor(folders: Folders, { keepsLeftovers = false } = {}) {
    this.#folders = folders
    try {
      const { blobs, partial, quarantine } = folders
      for (const folder of [blobs, partial, quarantine]) {
        fs.mkdirSync(folder, { recursive: true, mode: 0o700 })
      }
      if (keepsLeftovers) return
      for (const name of fs.readdirSync(blobs)) {
        if (isTemporary(name)) fs.rmSync(path.join(blobs, name))
      }
    } catch (error) {
      throw storeError('open the blob store', error)
    }
  }

  async put(bytes: AsyncIterable<Uint8Array>, maxBytes: number): Promise<BlobInfo> {
    const name = TEMPORARY + Buffer.from(randomBytes(8)).toString('hex')
    const temporary = path.join(this.#folders.blobs, name)
    let file: FileHandle | null = null
    try {
      file = await this.#attempt('store a file', () => open(temporary, 'wx', 0o600))
      const info = await this.#write(file, bytes, maxBytes)
      await this.#publish(file, temporary, info.cid)
      return info
    } catch (error) {
      await rm(temporary, { force: true })
      throw error
    } finally {
      await file?.close()
    }
  }

  /** Hashes and writes leaf by leaf; the disk writes one while the next is read and hashed. */
  async #write(
    file: FileHandle,
    bytes: AsyncIterable<Uint8Array>,
    maxBytes: number,
  ): Promise<BlobInfo> {
    const hasher = createTreeHasher()
    let size = 0
    let writing: Promise<unknown> = Promise.resolve()
    try {
      for await (const leaf of cutLeaves(bytes, maxBytes)) {
        const start = size
        size += leaf.length
        if (size > maxBytes) throw tooLarge(maxBytes)
        hasher.leaf(leaf)
        await writing
        writing = this.#attempt('store a file', () => writeAll(file, leaf, start))
        // Awaited one turn later; until then a failure must not count as unhandled.
        writing.catch(() => {})
      }
    } finally {
      // The leaf's memory and the file must stay until the disk is done with them.
      await writing.catch(() => {})
    }
    await writing
    return hasher.finish()
  }

  /** Fsync, rename, fsync of the folder. The file's bytes have been verified. */
  async #publish(file: FileHandle, from: string, cid: Cid): Promise<void> {
    const target = this.#path(cid)
    failpoint('blob.before-sync')
    await this.#attempt('store a file', async () => {
      await file.sync()
      failpoint('blob.before-rename')
      const folder = path.dirname(target)
      if (fs.mkdirSync(folder, { recursive: true, mode: 0o700 }) !== undefined) {
        syncFolder(this.#folders.blobs)
      }
      const before = this.stat(cid)
      fs.renameSync(from, target)
      failpoint('blob.after-rename')
      if (before === null) this.#count(1, fs.statSync(target).size)
      const handle = await open(folder, 'r')
      await handle.sync().finally(() => handle.close())
    })
    this.#verified.set(cid, fingerprint(fs.statSync(target)))
  }

  stat(cid: Cid): { readonly size: number } | null {
    const stats = fs.statSync(this.#path(cid), { throwIfNoEntry: false })
    return stats === undefined ? null : { size: stats.size }
  }

  async open(cid: Cid, range: BlobRange = {}): Promise<AsyncIterable<Uint8Array>> {
    const size = await this.#verify(cid)
    const start = range.start ?? 0
    const end = Math.min(range.end ?? size, size)
    return this.#read(cid, start, end)
  }

  async *#read(cid: Cid, start: number, end: number): AsyncGenerator<Uint8Array> {
    const file = await this.#attempt('read a file', () => open(this.#path(cid), 'r'))
    try {
      for (let at = start; at < end; ) {
        const wanted = Buffer.allocUnsafeSlow(Math.min(LEAF_BYTES, end - at))
        const { bytesRead } = await this.#attempt('read a file', () =>
          file.read(wanted, 0, wanted.length, at),
        )
        if (bytesRead === 0) throw new ZoariumError('STORE', `couldn't read a file: it ends early`)
        yield new Uint8Array(wanted.buffer, 0, bytesRead)
        at += bytesRead
      }
    } finally {
      await file.close()
    }
  }

  async recheck(cid: Cid, pace: (bytes: number) => Promise<void>): Promise<boolean> {
    const stats = fs.statSync(this.#path(cid), { throwIfNoEntry: false })
    if (stats === undefined) throw missing(cid)
    return this.#hashAgain(cid, fingerprint(stats), pace)
  }

  async copyTo(cid: Cid, target: string): Promise<void> {
    await this.#verify(cid)
    await this.#attempt('copy a file', () =>
      // A clone shares blocks until written to, so the copy stays independent.
      copyFile(this.#path(cid), target, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE),
    )
  }

  async download(cid: Cid, size: number, leaves: readonly Uint8Array[]): Promise<Download> {
    if (this.#downloads.has(cid)) {
      throw new ZoariumError('BUSY', 'a download of that file is under way', { got: cid })
    }
    this.#downloads.add(cid)
    const partial = path.join(this.#folders.partial, cid)
    try {
      return await FileDownload.open(cid, size, leaves, partial, {
        publish: (file) => this.#publish(file, partial, cid),
        ended: () => void this.#downloads.delete(cid),
      })
    } catch (error) {
      this.#downloads.delete(cid)
      throw storeError('open a download', error)
    }
  }

  get rotten(): number {
    return this.#rotten
  }

  get losses(): number {
    return this.#losses
  }

  get held(): { readonly count: number; readonly bytes: number } {
    if (this.#held === null) {
      const sizes = [...this.list()].map(({ size }) => size)
      this.#held = { count: sizes.length, bytes: sizes.reduce((sum, size) => sum + size, 0) }
    }
    return this.#held
  }

  /** In one turn with the change that it counts, so that nothing is counted twice. */
  #count(files: 1 | -1, size: number): void {
    if (this.#held === null) return
    const { count, bytes } = this.#held
    this.#held = { count: count + files, bytes: bytes + files * size }
  }

  async remove(cid: Cid): Promise<void> {
    await this.#lose(cid, 'remove a file', (file) => {
      const folder = path.dirname(file)
      fs.rmSync(file, { force: true })
      if (fs.existsSync(folder)) syncFolder(folder)
      this.#dropQuarantined(cid)
      if (this.#downloads.has(cid)) return
      fs.rmSync(path.join(this.#folders.partial, cid), { force: true })
      syncFolder(this.#folders.partial)
    })
  }

  /** What is erased must not stay in a corner, be it damaged. */
  #dropQuarantined(cid: Cid): void {
    const { quarantine } = this.#folders
    const found = fs.readdirSync(quarantine).filter((name) => name.startsWith(`${cid}-`))
    for (const name of found) fs.rmSync(path.join(quarantine, name))
    if (found.length > 0) syncFolder(quarantine)
  }

  *unfinished(): Iterable<Cid> {
    for (const name of fs.readdirSync(this.#folders.partial)) {
      const cid = parseCid(name)
      if (cid.ok && !this.#downloads.has(cid.value)) yield cid.value
    }
  }

  /** Takes a blob out of sight. */
  async #lose(cid: Cid, action: string, take: (file: string) => void): Promise<void> {
    this.#verified.delete(cid)
    this.#losses += 1
    await this.#attempt(action, async () => {
      const before = this.stat(cid)
      take(this.#path(cid))
      if (before !== null) this.#count(-1, before.size)
    })
  }

  *list(): Iterable<{ readonly cid: Cid; readonly size: number }> {
    const { blobs } = this.#folders
    for (const folder of fs.readdirSync(blobs, { withFileTypes: true })) {
      if (!folder.isDirectory()) continue
      for (const name of fs.readdirSync(path.join(blobs, folder.name))) {
        const cid = parseCid(name)
        const stat = cid.ok ? this.stat(cid.value) : null
        if (cid.ok && stat !== null) yield { cid: cid.value, size: stat.size }
      }
    }
  }

  async close(): Promise<void> {
    await Promise.allSettled(this.#verifying.values())
  }

  /** The last character of a cid has only 8 values, and the first ones are the same in all. */
  #path(cid: Cid): string {
    return path.join(this.#folders.blobs, cid.slice(-3, -1), cid)
  }

  /** The size of the blob, once its bytes are known to be right. */
  async #verify(cid: Cid): Promise<number> {
    const stats = fs.statSync(this.#path(cid), { throwIfNoEntry: false })
    if (stats === undefined) throw missing(cid)
    if (this.#verified.get(cid) === fingerprint(stats)) return stats.size
    let verifying = this.#verifying.get(cid)
    if (verifying === undefined) {
      verifying = this.#hashAgain(cid, fingerprint(stats))
      this.#verifying.set(cid, verifying)
      const end = (): void => void this.#verifying.delete(cid)
      verifying.then(end, end)
    }
    if (await verifying) return stats.size
    throw new ZoariumError('CONTENT_MISMATCH', 'the bytes on disk have changed; set aside', {
      got: cid,
      hint: 'the file is fetched anew from other nodes; check the disk for errors',
    })
  }

  /** @returns whether the bytes are right; otherwise they are set aside */
  async #hashAgain(
    cid: Cid,
    mark: string,
    pace: (bytes: number) => Promise<void> = async () => {},
  ): Promise<boolean> {
    if (await this.#isRight(cid, pace)) {
      this.#verified.set(cid, mark)
      return true
    }
    // Other bytes may have come into its place meanwhile.
    const stats = fs.statSync(this.#path(cid), { throwIfNoEntry: false })
    if (stats === undefined) throw missing(cid)
    if (fingerprint(stats) !== mark) return this.#hashAgain(cid, fingerprint(stats), pace)
    await this.#quarantine(cid)
    this.#rotten += 1
    return false
  }

  async #isRight(cid: Cid, pace: (bytes: number) => Promise<void>): Promise<boolean> {
    const hasher = createTreeHasher()
    const whole = this.#read(cid, 0, this.stat(cid)?.size ?? 0)
    try {
      for await (const leaf of cutLeaves(whole)) {
        hasher.leaf(leaf)
        await pace(leaf.length)
      }
    } catch (error) {
      // A sector that is lost is as good as a wrong one.
      if (isUnreadable(error)) return false
      throw error
    }
    return hasher.finish().cid === cid
  }

  async #quarantine(cid: Cid): Promise<void> {
    const suffix = Buffer.from(randomBytes(4)).toString('hex')
    const target = path.join(this.#folders.quarantine, `${cid}-${suffix}`)
    await this.#lose(cid, 'set a file aside', (file) => fs.renameSync(file, target))
  }

  async #attempt<T>(action: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      throw storeError(action, error)
    }
  }
}

const fingerprint = ({ ino, size, mtimeMs, ctimeMs }: fs.Stats): string =>
  `${ino} ${size} ${mtimeMs} ${ctimeMs}`

/** What disks and file systems say of data that they have lost. */
const UNREADABLE = new Set(['EIO', 'EBADMSG', 'EUCLEAN'])

const isUnreadable = (error: unknown): boolean =>
  error instanceof ZoariumError &&
  UNREADABLE.has((error.cause as NodeJS.ErrnoException | undefined)?.code ?? '')

const missing = (cid: Cid): ZoariumError =>
  new ZoariumError('BLOB_MISSING', 'the bytes are not on this node', { got: cid })

const tooLarge = (maxBytes: number): ZoariumError =>
  new ZoariumError('LIMIT', 'the file is larger than a file may be', { limit: maxBytes })

/**
 * The blob seam: files' bytes, addressed by content id, whole and immutable.
 *
 * Contract of every implementation (test/suites/blob-store.ts runs on all of them):
 * - A blob is visible (`stat`, `open`) only after all its bytes were verified and are durable.
 * - Nothing is half-visible after a crash; a partial download survives one and can be resumed.
 * - Inner tree nodes are not kept here: `put` hands them to the caller, and a download begins with
 *   the leaves of a tree that the caller has verified.
 * - Reads verify: bytes that no longer fit are reported as CONTENT_MISMATCH and moved aside,
 *   never served; from then on the blob is missing.
 * - Byte arrays handed over may be reused by the caller once the promise has settled; those handed
 *   out may be kept.
 */
import type { Cid } from '../protocol/cid.ts'

/** What is known of a file once all its bytes have passed. */
export interface BlobInfo {
  readonly cid: Cid
  /** Bytes. */
  readonly size: number
  /** Plain SHA-256 of the bytes, 64 hex digits. */
  readonly sha256: string
  /** Inner nodes of its tree, root first; empty where the file is one leaf. */
  readonly nodes: readonly Uint8Array[]
}

export interface BlobRange {
  /** First byte, default 0. */
  readonly start?: number
  /** One past the last byte, default the size; what lies beyond the size is left out. */
  readonly end?: number
}

/** A blob that is being fetched leaf by leaf, in any order; survives a restart. */
export interface Download {
  readonly cid: Cid
  readonly size: number
  /** Indexes of the leaves that are not here yet, ascending. */
  missing(): readonly number[]
  /**
   * Takes in leaf `index`. The bytes are hashed against the tree first.
   * @returns false, and keeps nothing, where they do not fit.
   * @throws ZoariumError DISK_FULL, STORE
   */
  write(index: number, bytes: Uint8Array): Promise<boolean>
  /** The bytes of a leaf that is here. @throws ZoariumError STORE */
  read(index: number): Promise<Uint8Array>
  /**
   * Makes the blob visible and ends the download; no leaf may be missing. Checks the whole file's
   * SHA-256 (64 hex digits) first.
   * @throws ZoariumError CONTENT_MISMATCH (the partial file is dropped), STORE, DISK_FULL
   */
  finish(sha256: string): Promise<void>
  /** Ends the download and keeps what is here for later. Safe to repeat, also after `finish`. */
  close(): Promise<void>
}

export interface BlobStore {
  /**
   * Stores a stream of bytes whose id is not known yet.
   * @throws ZoariumError LIMIT beyond `maxBytes`, DISK_FULL, STORE, or what the stream threw;
   * nothing is kept then
   */
  put(bytes: AsyncIterable<Uint8Array>, maxBytes: number): Promise<BlobInfo>
  /** Size in bytes, or null where the blob is not here. */
  stat(cid: Cid): { readonly size: number } | null
  /**
   * The bytes of a range, verified (the whole file, once since the process began).
   * @throws ZoariumError BLOB_MISSING, CONTENT_MISMATCH
   */
  open(cid: Cid, range?: BlobRange): Promise<AsyncIterable<Uint8Array>>
  /**
   * Hashes a blob anew, whatever is known of it, and sets it aside where its bytes are wrong or
   * cannot be read.
   * @param pace waited for after each part of so many bytes; what it throws ends the work
   * @returns whether the bytes are right
   * @throws ZoariumError BLOB_MISSING, STORE
   */
  recheck(cid: Cid, pace: (bytes: number) => Promise<void>): Promise<boolean>
  /** Copies a blob to a new path, verified; never a link. @throws as `open` */
  copyTo(cid: Cid, path: string): Promise<void>
  /**
   * Starts or resumes a download.
   * @param leaves SHA-256 digest of each leaf (32 bytes), from the verified tree
   * @throws ZoariumError BUSY where one for this blob is under way
   */
  download(cid: Cid, size: number, leaves: readonly Uint8Array[]): Promise<Download>
  /**
   * How many blobs have gone since the store was opened, removed or set aside; for whoever
   * remembers what is here.
   */
  readonly losses: number
  /** How many of them were set aside because their bytes were wrong. */
  readonly rotten: number
  /** How many blobs are here, and their bytes together; cheap to ask, except for the first time. */
  readonly held: { readonly count: number; readonly bytes: number }
  /**
   * Removes the blob, durably, what was set aside of it, and what is here of it from a download that
   * is not under way.
   */
  remove(cid: Cid): Promise<void>
  /** Downloads that were begun and are not under way. */
  unfinished(): Iterable<Cid>
  /** All visible blobs. */
  list(): Iterable<{ readonly cid: Cid; readonly size: number }>
  close(): Promise<void>
}

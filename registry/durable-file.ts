/**
 * Small files that must survive a power cut: written beside their place, fsynced, renamed, and the
 * folder fsynced. A reader sees the old bytes or the new ones, never a mixture.
 */
import fs from 'node:fs'
import path from 'node:path'
import { ZoariumError } from '../protocol/errors.ts'

const NO_SPACE = new Set(['ENOSPC', 'EDQUOT', 'EFBIG'])

/** What a file system's error means to the user. */
export function storeError(action: string, cause: unknown): ZoariumError {
  if (cause instanceof ZoariumError) return cause
  const code = (cause as NodeJS.ErrnoException).code ?? ''
  if (NO_SPACE.has(code)) {
    return new ZoariumError(
      'DISK_FULL',
      `couldn't ${action}: no space is left`,
      { hint: 'free some space on the disk of the data folder, then try again' },
      cause,
    )
  }
  return new ZoariumError('STORE', `couldn't ${action}: ${code || String(cause)}`, {}, cause)
}

/** Makes the names in a folder durable. */
export const syncFolder = (folder: string): void => syncFile(folder)

/** Makes the bytes of a file durable. */
export function syncFile(file: string): void {
  const handle = fs.openSync(file, 'r')
  try {
    fs.fsyncSync(handle)
  } finally {
    fs.closeSync(handle)
  }
}

/** What the name of a file has while its bytes are not in their place. */
const UNFINISHED = '.next'

/** Whether a name is that of a file whose writing did not end. */
export const isUnfinished = (name: string): boolean => name.endsWith(UNFINISHED)

/** A file whose new bytes are on disk but not yet in their place. */
export interface PreparedFile {
  /** Puts the bytes in place, durably; needs no further disk space. */
  commit(): void
  /** Forgets them. */
  drop(): void
}

/**
 * First half of a durable write. At most one at a time for one path.
 * @throws ZoariumError DISK_FULL, STORE
 */
export function prepareFile(
  file: string,
  content: string | Uint8Array,
  mode = 0o600,
): PreparedFile {
  const next = `${file}${UNFINISHED}`
  const attempt = (action: string, work: () => void): void => {
    try {
      work()
    } catch (error) {
      fs.rmSync(next, { force: true })
      throw storeError(`${action} ${path.basename(file)}`, error)
    }
  }
  attempt('write', () => {
    // A leftover of a crash may have another mode.
    fs.rmSync(next, { force: true })
    const handle = fs.openSync(next, 'wx', mode)
    try {
      fs.writeFileSync(handle, content)
      fs.fsyncSync(handle)
    } finally {
      fs.closeSync(handle)
    }
  })
  return {
    commit: () =>
      attempt('replace', () => {
        fs.renameSync(next, file)
        syncFolder(path.dirname(file))
      }),
    drop: () => fs.rmSync(next, { force: true }),
  }
}

/** Writes a whole file durably. @throws ZoariumError DISK_FULL, STORE */
export function writeDurably(file: string, content: string | Uint8Array, mode = 0o600): void {
  prepareFile(file, content, mode).commit()
}

/** The text of a file, or null where there is none. @throws ZoariumError STORE */
export function readText(file: string): string | null {
  try {
    return fs.readFileSync(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw storeError(`read ${path.basename(file)}`, error)
  }
}

/**
 * A backup: a data folder of its own from which the node comes back, made while the daemon runs.
 *
 * What was last signed (`last-signed.json`) is left out on purpose: a backup cannot know what was
 * signed after it, and without that file the node signs nothing until a peer has said so (signer.ts).
 * `identity.json` comes last, so that a backup which was cut off counts as no node.
 */
import fs from 'node:fs'
import path from 'node:path'
import { parseCid } from '../protocol/cid.ts'
import { ZoariumError } from '../protocol/errors.ts'
import { createFolders, type DataFolder, dataFolder, requireInitialised } from './data-folder.ts'
import { readText, storeError, syncFile, syncFolder, writeDurably } from './durable-file.ts'
import { copyDatabase } from './sqlite-copy.ts'
import { type FolderLock, lockFolder } from './sqlite-lock.ts'

export interface BackupOptions {
  /** Also the private keys and that of the transport, as they lie here: sealed, or open. */
  readonly keys: boolean
  /** Also the files of models. */
  readonly files: boolean
}

export interface Backup {
  /** Absolute path of its folder. */
  readonly path: string
  /** Bytes of the catalogue. */
  readonly catalogueBytes: number
  /** Private key files that are in it. */
  readonly keys: number
  /** Files of models, and their bytes. */
  readonly files: { readonly count: number; readonly bytes: number }
}

/**
 * Writes a backup into a folder that is empty or not there yet; it is for its owner only.
 * @throws ZoariumError NOT_INITIALISED, USAGE where something is in that folder, STORE, DISK_FULL;
 * what was written by then stays, and counts as no node
 */
export async function backUp(
  folder: DataFolder,
  target: string,
  options: BackupOptions,
): Promise<Backup> {
  requireInitialised(folder)
  const copy = dataFolder(target)
  requireEmpty(copy.path)
  // Where no daemon runs, none may change the keys meanwhile; one that runs does not.
  const lock = lockUnlessUsed(folder)
  try {
    createFolders(copy)
    const keys = options.keys ? copyKeys(folder, copy) : 0
    const catalogueBytes = await copyDatabase(folder.catalogue, copy.catalogue)
    for (const name of ['config', 'trust', 'maxSeen'] as const) {
      copySmall(folder[name], copy[name])
    }
    const files = options.files ? copyFiles(folder, copy) : { count: 0, bytes: 0 }
    copySmall(folder.identity, copy.identity)
    return { path: copy.path, catalogueBytes, keys, files }
  } catch (error) {
    throw storeError('write the backup', error)
  } finally {
    lock?.release()
  }
}

function requireEmpty(target: string): void {
  let names: readonly string[]
  try {
    names = fs.readdirSync(target)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return
    throw storeError(`read ${target}`, error)
  }
  if (names.length === 0) return
  throw new ZoariumError('USAGE', `something is in ${target} already`, {
    hint: 'name a folder that is empty or not there yet; each backup has one of its own',
  })
}

function lockUnlessUsed(folder: DataFolder): FolderLock | null {
  try {
    return lockFolder(folder)
  } catch (error) {
    if (error instanceof ZoariumError && error.code === 'LOCKED') return null
    throw error
  }
}

function copySmall(from: string, to: string): boolean {
  const text = readText(from)
  if (text !== null) writeDurably(to, text)
  return text !== null
}

function copyKeys(folder: DataFolder, copy: DataFolder): number {
  const names = fs.readdirSync(folder.keys).filter((name) => name.endsWith('.json'))
  for (const name of names) copySmall(path.join(folder.keys, name), path.join(copy.keys, name))
  copySmall(folder.peerKey, copy.peerKey)
  return names.length
}

/** Files never change; one that goes meanwhile is left out. */
function copyFiles(folder: DataFolder, copy: DataFolder): Backup['files'] {
  let count = 0
  let bytes = 0
  const { COPYFILE_EXCL, COPYFILE_FICLONE } = fs.constants
  for (const entry of fs.readdirSync(folder.blobs, { withFileTypes: true })) {
    if (!entry.isDirectory()) continue
    const target = path.join(copy.blobs, entry.name)
    fs.mkdirSync(target, { mode: 0o700 })
    for (const name of fs.readdirSync(path.join(folder.blobs, entry.name))) {
      if (!parseCid(name).ok) continue
      const to = path.join(target, name)
      try {
        fs.copyFileSync(
          path.join(folder.blobs, entry.name, name),
          to,
          COPYFILE_EXCL | COPYFILE_FICLONE,
        )
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') continue
        throw error
      }
      syncFile(to)
      count += 1
      bytes += fs.statSync(to).size
    }
    syncFolder(target)
  }
  syncFolder(copy.blobs)
  return { count, bytes }
}

/** What lies in a data folder beside the node's own: traces of a crash, of downloads, of rot. */
import fs from 'node:fs'
import path from 'node:path'
import { type Cid, parseCid } from '../protocol/cid.ts'
import type { DataFolder } from './data-folder.ts'
import { isUnfinished, storeError } from './durable-file.ts'
import { isTemporary } from './file-blobs.ts'

export interface Leftover {
  /** Relative to the data folder. */
  readonly path: string
  /** `temporary`: of a write that did not end; `download`: to be gone on with; `rotten`: set aside. */
  readonly kind: 'temporary' | 'download' | 'rotten'
  /** Bytes on disk. */
  readonly bytes: number
  /** The blob of a download or of rotten bytes. */
  readonly cid: Cid | null
}

/** Bytes of a block in which file systems count. */
const BLOCK_BYTES = 512

/** By kind, then path. @throws ZoariumError STORE */
export function findLeftovers(folder: DataFolder): readonly Leftover[] {
  const cidOf = (name: string): Cid | null => {
    const cid = parseCid(name.split('-')[0] ?? '')
    return cid.ok ? cid.value : null
  }
  const at = (parent: string, kind: Leftover['kind'], isOne: (name: string) => boolean) =>
    namesIn(parent)
      .filter(isOne)
      .map((name): Leftover => {
        const file = path.join(parent, name)
        const cid = kind === 'temporary' ? null : cidOf(name)
        return { path: path.relative(folder.path, file), kind, bytes: bytesAt(file), cid }
      })
  try {
    return [
      ...at(folder.path, 'temporary', isUnfinished),
      ...at(folder.keys, 'temporary', isUnfinished),
      ...at(folder.blobs, 'temporary', isTemporary),
      ...at(folder.spool, 'temporary', () => true),
      ...at(folder.partial, 'download', () => true),
      ...at(folder.quarantine, 'rotten', () => true),
    ]
  } catch (error) {
    throw storeError('look for leftovers', error)
  }
}

/** @throws ZoariumError STORE */
export function dropLeftover(folder: DataFolder, { path: relative }: Leftover): void {
  try {
    fs.rmSync(path.join(folder.path, relative), { recursive: true, force: true })
  } catch (error) {
    throw storeError(`delete ${relative}`, error)
  }
}

function namesIn(folder: string): readonly string[] {
  return fs.existsSync(folder) ? fs.readdirSync(folder).sort() : []
}

/** Downloads are sparse: what they take up counts. */
function bytesAt(file: string): number {
  const stats = fs.lstatSync(file)
  if (!stats.isDirectory()) return stats.blocks * BLOCK_BYTES
  return namesIn(file).reduce((sum, name) => sum + bytesAt(path.join(file, name)), 0)
}

/** How much room the disk of the data folder has; a test says it. */
import fs from 'node:fs'
import { storeError } from './durable-file.ts'

export interface DiskSpace {
  /** Bytes that this process may still use, and those of the whole disk. @throws ZoariumError STORE */
  read(): { readonly free: number; readonly total: number }
}

/** That of the disk on which a folder lies. */
export const diskOf = (folder: string): DiskSpace => ({
  read() {
    try {
      const { bavail, blocks, bsize } = fs.statfsSync(folder)
      return { free: bavail * bsize, total: blocks * bsize }
    } catch (error) {
      throw storeError('look at the disk', error)
    }
  },
})

/** For registries in memory. */
const ENDLESS = { free: Number.MAX_SAFE_INTEGER, total: Number.MAX_SAFE_INTEGER }
export const endlessDisk: DiskSpace = { read: () => ENDLESS }

/**
 * Room on the disk that is kept for taking back and deleting: a file of random bytes, which no file
 * system can fold up. It goes when the disk is full and one of both is to be done, and comes again
 * once there is room.
 */
import fs from 'node:fs'
import { randomBytes } from '../protocol/crypto.ts'
import { ZoariumError } from '../protocol/errors.ts'
import type { DiskSpace } from './disk-space.ts'
import { storeError, syncFile } from './durable-file.ts'

/** 4 MiB: some hundred withdrawals, or the marks of one deletion, which then makes room itself. */
export const RESERVE_BYTES = 4 * 1024 ** 2
/** So much must be free before the reserve is taken from it, as a multiple of the reserve. */
const PLENTY = 4

export interface Reserve {
  /** Bytes that it holds now. */
  readonly bytes: number
  /** Gives up the room. @returns whether there was any */
  release(): boolean
  /** Gives it up where less is free than it holds. @throws ZoariumError STORE */
  releaseIfNeeded(): void
  /** Takes the room again, where there is plenty. @throws ZoariumError STORE */
  fill(): void
}

/** For registries in memory. */
export const noReserve: Reserve = {
  bytes: 0,
  release: () => false,
  releaseIfNeeded: () => {},
  fill: () => {},
}

export function fileReserve(file: string, disk: DiskSpace): Reserve {
  const size = (): number => fs.statSync(file, { throwIfNoEntry: false })?.size ?? 0
  const attempt = <T>(work: () => T): T => {
    try {
      return work()
    } catch (error) {
      throw storeError('keep room on the disk', error)
    }
  }
  const release = (): boolean =>
    attempt(() => {
      const isHere = size() > 0
      fs.rmSync(file, { force: true })
      return isHere
    })
  return {
    get bytes() {
      return size()
    },
    release,
    releaseIfNeeded() {
      if (disk.read().free < RESERVE_BYTES) release()
    },
    fill() {
      if (size() === RESERVE_BYTES || disk.read().free < PLENTY * RESERVE_BYTES) return
      try {
        attempt(() => {
          fs.writeFileSync(file, randomBytes(RESERVE_BYTES), { mode: 0o600 })
          syncFile(file)
        })
      } catch (error) {
        release()
        // A quota of which the disk says nothing: the room comes another time.
        if (!(error instanceof ZoariumError) || error.code !== 'DISK_FULL') throw error
      }
    },
  }
}

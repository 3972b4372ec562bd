/**
 * Copies of a database by SQLite's own backup: as it stands between two transactions, whoever writes
 * to it meanwhile.
 */
import fs from 'node:fs'
import path from 'node:path'
import Database from 'better-sqlite3'
import { ZoariumError } from '../protocol/errors.ts'
import { storeError, syncFile, syncFolder } from './durable-file.ts'

/** How long a copy waits for a writer that holds the whole database, milliseconds. */
const BUSY_MS = 10_000

/**
 * Copies a database to a new file, durably, and looks through the copy.
 * @returns its size in bytes
 * @throws ZoariumError STORE (also where the copy is damaged, as the original is then), DISK_FULL
 */
export async function copyDatabase(from: string, to: string): Promise<number> {
  try {
    const source = new Database(from, { fileMustExist: true, timeout: BUSY_MS })
    try {
      // All pages in one step: a write of another process would begin the copy anew.
      await source.backup(to, { progress: ({ remainingPages }) => remainingPages })
    } finally {
      source.close()
    }
    fs.chmodSync(to, 0o600)
    const [fault] = findDamage(to, 'quick_check(1)')
    if (fault !== undefined) {
      throw new ZoariumError('STORE', `the catalogue is damaged: ${fault}`, {
        hint: 'keep the backups that you have, and run: zoarium fsck',
      })
    }
    syncFile(to)
    syncFolder(path.dirname(to))
    return fs.statSync(to).size
  } catch (error) {
    throw copyError(error)
  }
}

/**
 * What SQLite finds wrong with a database, a line each; none where it is whole.
 * @throws ZoariumError STORE where it cannot be read at all
 */
export function findDamage(
  file: string,
  check: 'quick_check(1)' | 'integrity_check(100)',
): readonly string[] {
  try {
    const db = new Database(file, { fileMustExist: true })
    try {
      const rows = db.pragma(check) as readonly Record<string, string>[]
      return rows.flatMap((row) => Object.values(row)).filter((text) => text !== 'ok')
    } finally {
      db.close()
    }
  } catch (error) {
    if (error instanceof Database.SqliteError && /^SQLITE_(CORRUPT|NOTADB)/.test(error.code)) {
      return [error.message]
    }
    throw copyError(error)
  }
}

function copyError(error: unknown): unknown {
  const isFull = error instanceof Database.SqliteError && error.code.startsWith('SQLITE_FULL')
  return storeError('copy the catalogue', isFull ? { code: 'ENOSPC' } : error)
}

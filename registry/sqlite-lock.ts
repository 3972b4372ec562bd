/**
 * One process per data folder. The lock is SQLite's own exclusive file lock, so the kernel lets go
 * of it however the process ends; a stale lock cannot be. The pid beside it only serves messages.
 */
import fs from 'node:fs'
import process from 'node:process'
import Database from 'better-sqlite3'
import { ZoariumError } from '../protocol/errors.ts'
import type { DataFolder } from './data-folder.ts'
import { readText, storeError } from './durable-file.ts'

export interface FolderLock {
  release(): void
}

/**
 * Takes the folder for this process; makes the folder where it is missing.
 * @throws ZoariumError LOCKED naming the process, STORE
 */
export function lockFolder(folder: DataFolder): FolderLock {
  let db: Database.Database | null = null
  try {
    fs.mkdirSync(folder.path, { recursive: true, mode: 0o700 })
    db = new Database(folder.lock, { timeout: 0 })
    db.exec('BEGIN EXCLUSIVE')
    fs.writeFileSync(folder.pid, `${process.pid}\n`, { mode: 0o600 })
  } catch (error) {
    db?.close()
    if ((error as { code?: string }).code === 'SQLITE_BUSY') throw lockedError(folder)
    throw storeError(`lock the data folder ${folder.path}`, error)
  }
  const held = db
  return {
    release() {
      if (!held.open) return
      fs.rmSync(folder.pid, { force: true })
      held.close()
    },
  }
}

function lockedError(folder: DataFolder): ZoariumError {
  const pid = readText(folder.pid)?.trim()
  const holder = pid ? `process ${pid}` : 'another process'
  return new ZoariumError('LOCKED', `${holder} uses the data folder ${folder.path}`, {
    ...(pid ? { got: `pid ${pid}` } : {}),
    hint: 'stop it first, or give this one a folder of its own with ZOARIUM_DIR',
  })
}

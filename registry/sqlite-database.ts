/**
 * One SQLite connection, set up so that an acknowledged write survives a power cut and a damaged
 * file is noticed; failures come out as ZoariumError.
 */
import fs from 'node:fs'
import Database from 'better-sqlite3'
import { ZoariumError } from '../protocol/errors.ts'
import { MIGRATIONS } from './sqlite-schema.ts'

type Value = string | number | Uint8Array | null

/** Page cache in KiB; the index of 100,000 models fits. */
const CACHE_KIB = 64 * 1024

export class SqliteDatabase {
  readonly #db: Database.Database
  readonly #statements = new Map<string, Database.Statement>()
  readonly #atomic: (work: () => unknown) => unknown

  /**
   * Opens or creates a database and brings it to the newest schema.
   * @param file path, `:memory:`, or a connection that the caller has opened and that belongs here
   * from now on: a simulated disk
   * @throws ZoariumError NEWER_STORE (the file is left untouched), STORE, DISK_FULL
   */
  constructor(file: string | Database.Database) {
    const isPath = typeof file === 'string' && file !== ':memory:'
    // SQLite removes its write-ahead log when the last connection closes in good order.
    const wasKilled = isPath && fs.existsSync(`${file}-wal`)
    this.#db = typeof file === 'string' ? attempt('open', () => new Database(file)) : file
    this.#atomic = this.#db.transaction((work: () => unknown) => work())
    try {
      attempt('open', () => {
        checkVersion(this.#db)
        setUp(this.#db)
        if (wasKilled) check(this.#db)
        migrate(this.#db)
      })
    } catch (error) {
      this.#db.close()
      throw error
    }
  }

  run(sql: string, ...values: Value[]): number {
    return attempt('write', () => this.#prepare(sql).run(...values).changes)
  }

  /** The first row. */
  get<T>(sql: string, ...values: Value[]): T | undefined {
    // SAFE: callers name the columns that they select.
    return attempt('read', () => this.#prepare(sql).get(...values) as T | undefined)
  }

  all<T>(sql: string, ...values: Value[]): T[] {
    // SAFE: as in `get`.
    return attempt('read', () => this.#prepare(sql).all(...values) as T[])
  }

  /** All or nothing; nested ones undo only themselves. */
  transaction<T>(work: () => T): T {
    return attempt('write', () => this.#atomic(work) as T)
  }

  close(): void {
    this.#db.close()
  }

  #prepare(sql: string): Database.Statement {
    let statement = this.#statements.get(sql)
    if (statement === undefined) {
      statement = this.#db.prepare(sql)
      this.#statements.set(sql, statement)
    }
    return statement
  }
}

function checkVersion(db: Database.Database): void {
  const version = db.pragma('user_version', { simple: true }) as number
  if (version <= MIGRATIONS.length) return
  throw new ZoariumError('NEWER_STORE', 'the data folder was written by a newer zoarium', {
    got: `schema ${version}`,
    limit: `schema ${MIGRATIONS.length}`,
    hint: 'run the newer version again; this one has changed nothing',
  })
}

function setUp(db: Database.Database): void {
  db.pragma('journal_mode = WAL')
  // Said explicitly: the library's build falls back to NORMAL in WAL mode, which loses
  // acknowledged writes in a power cut.
  db.pragma('synchronous = FULL')
  db.pragma('foreign_keys = ON')
  // What an erasure deletes is overwritten.
  db.pragma('secure_delete = ON')
  db.pragma('cell_size_check = ON')
  db.pragma('trusted_schema = OFF')
  db.pragma(`cache_size = -${CACHE_KIB}`)
}

function check(db: Database.Database): void {
  const found = db.pragma('quick_check(1)', { simple: true })
  if (found !== 'ok') throw damaged(String(found))
}

function migrate(db: Database.Database): void {
  const done = db.pragma('user_version', { simple: true }) as number
  MIGRATIONS.slice(done).forEach((sql, n) => {
    db.transaction(() => {
      db.exec(sql)
      db.pragma(`user_version = ${done + n + 1}`)
    })()
  })
}

const damaged = (message: string, cause?: unknown): ZoariumError =>
  new ZoariumError(
    'STORE',
    `the catalogue is damaged: ${message}`,
    { hint: 'stop the daemon, keep the file aside, and restore catalogue.sqlite from a backup' },
    cause,
  )

function attempt<T>(action: string, work: () => T): T {
  try {
    return work()
  } catch (error) {
    if (!(error instanceof Database.SqliteError)) throw error
    const { code, message } = error
    if (code.startsWith('SQLITE_FULL')) {
      throw new ZoariumError(
        'DISK_FULL',
        `couldn't ${action} the catalogue: no space is left`,
        { hint: 'free some space on the disk of the data folder, then try again' },
        error,
      )
    }
    if (code.startsWith('SQLITE_CORRUPT') || code === 'SQLITE_NOTADB') throw damaged(message, error)
    // Broken statements and constraints are defects of this program.
    if (code === 'SQLITE_ERROR' || code.startsWith('SQLITE_CONSTRAINT')) throw error
    throw new ZoariumError('STORE', `couldn't ${action} the catalogue: ${message}`, {}, error)
  }
}

/** Bytes of a row without the extra methods of node's Buffer, so that no caller relies on them. */
export const plain = (bytes: Uint8Array): Uint8Array =>
  new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)

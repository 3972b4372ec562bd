/**
 * What peers told and what may be lost: libp2p's book of addresses and the provider records of the
 * DHT, in a file of its own. Nothing waits for the disk here, and a damaged file is begun anew.
 */
import assert from 'node:assert/strict'
import fs from 'node:fs'
import Database from 'better-sqlite3'
import type { Clock } from './clock.ts'

/** Page cache in KiB; 20,000 provider records need about 4 MiB. */
const CACHE_KIB = 4 * 1024
/** Written into the file; another number begins it anew. */
const SCHEMA = 1

export interface Hint {
  readonly key: string
  readonly value: Uint8Array
}

export interface HintOwner {
  /** What it is, for quotas. */
  readonly kind: string
  /** Who told it, or ''. */
  readonly peer: string
}

export class SqliteHints {
  readonly #db: Database.Database
  readonly #clock: Clock
  readonly #statements = new Map<string, Database.Statement>()

  /** @param file path, or `:memory:` */
  constructor(file: string, clock: Clock) {
    this.#clock = clock
    this.#db = open(file)
  }

  get(key: string): Uint8Array | null {
    const [row] = this.#rows<{ value: Buffer }>('SELECT value FROM hints WHERE key = ?', key)
    return row === undefined ? null : plain(row.value)
  }

  put(key: string, value: Uint8Array, { kind, peer }: HintOwner): void {
    const sql = 'INSERT OR REPLACE INTO hints VALUES (?, ?, ?, ?, ?) RETURNING key'
    this.#rows(sql, key, kind, peer, this.#clock.now(), value)
  }

  /** @returns whose it was; null: there was none */
  delete(key: string): HintOwner | null {
    const sql = 'DELETE FROM hints WHERE key = ? RETURNING kind, peer'
    return this.#rows<HintOwner>(sql, key)[0] ?? null
  }

  /** In order of the keys, up to `limit`, after the key `after`. */
  list(prefix: string, after: string, limit: number): readonly Hint[] {
    const sql =
      'SELECT key, value FROM hints WHERE key >= ? AND key < ? AND key > ? ORDER BY key LIMIT ?'
    const end = `${prefix}\uffff`
    return this.#rows<{ key: string; value: Buffer }>(sql, prefix, end, after, limit).map(
      ({ key, value }) => ({ key, value: plain(value) }),
    )
  }

  /** How many there are of each kind and peer. */
  counts(): readonly (HintOwner & { readonly count: number })[] {
    return this.#rows('SELECT kind, peer, count(*) AS count FROM hints GROUP BY kind, peer')
  }

  /** Drops those of a kind that were put in longest ago. @returns how many went */
  dropOldest(kind: string, count: number): number {
    const oldest = 'SELECT key FROM hints WHERE kind = ? ORDER BY at LIMIT ?'
    return this.#rows(`DELETE FROM hints WHERE key IN (${oldest}) RETURNING key`, kind, count)
      .length
  }

  /** Drops those of a kind that were put in before a time, or after now: the clock was set back. */
  dropBefore(kind: string, time: number): void {
    const sql = 'DELETE FROM hints WHERE kind = ? AND (at < ? OR at > ?) RETURNING key'
    this.#rows(sql, kind, time, this.#clock.now())
  }

  close(): void {
    this.#db.close()
  }

  /** None where the disk is full or the file broken: nothing rests on what is kept here. */
  #rows<T>(sql: string, ...values: (string | number | Uint8Array)[]): readonly T[] {
    // Libp2p may still write while it stops.
    if (!this.#db.open) return []
    try {
      let statement = this.#statements.get(sql)
      if (statement === undefined) {
        statement = this.#db.prepare(sql)
        this.#statements.set(sql, statement)
      }
      // SAFE: each caller names the columns that it selects.
      return statement.all(...values) as readonly T[]
    } catch (error) {
      if (!(error instanceof Database.SqliteError)) throw error
      return []
    }
  }
}

function open(file: string): Database.Database {
  const first = attempt(file)
  if (first !== null) return first
  for (const each of [file, `${file}-wal`, `${file}-shm`]) fs.rmSync(each, { force: true })
  // On a full disk in memory: nothing rests on it.
  return attempt(file) ?? attempt(':memory:') ?? assert.fail('no SQLite')
}

/** Null where the file cannot be used. */
function attempt(file: string): Database.Database | null {
  let db: Database.Database | null = null
  try {
    db = new Database(file)
    db.pragma('journal_mode = WAL')
    // A power cut may take the last ones along, and damages nothing.
    db.pragma('synchronous = NORMAL')
    db.pragma('trusted_schema = OFF')
    db.pragma(`cache_size = -${CACHE_KIB}`)
    const version = db.pragma('user_version', { simple: true })
    if (version === 0) create(db)
    const isWhole = db.pragma('quick_check(1)', { simple: true }) === 'ok'
    if (isWhole && (version === 0 || version === SCHEMA)) return db
  } catch (error) {
    if (!(error instanceof Database.SqliteError)) throw error
  }
  db?.close()
  return null
}

function create(db: Database.Database): void {
  db.exec(`
    CREATE TABLE hints (
      key TEXT PRIMARY KEY,
      kind TEXT NOT NULL,
      peer TEXT NOT NULL,
      at INTEGER NOT NULL,
      value BLOB NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX hints_by_age ON hints (kind, at);
  `)
  db.pragma(`user_version = ${SCHEMA}`)
}

const plain = (value: Buffer): Uint8Array =>
  new Uint8Array(value.buffer, value.byteOffset, value.byteLength)

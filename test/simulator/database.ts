/**
 * The database on a simulated disk: what is committed stays when its process dies. In most seeds it
 * is the catalogue in memory, ten times as fast; in some the real one.
 */
import Database from 'better-sqlite3'
import { ZoariumError } from '../../protocol/errors.ts'
import type { Catalogue } from '../../registry/catalogue.ts'
import { MemoryCatalogue, type MemoryState } from '../../registry/memory-catalogue.ts'
import { SqliteCatalogue } from '../../registry/sqlite-catalogue.ts'
import type { Random } from './random.ts'
import { ReadCache, type Statement, tablesOf } from './read-cache.ts'

export type CatalogueKind = 'memory' | 'sqlite'

/** One database, and copies of it. */
export interface SimulatedDatabase<Copy = unknown> {
  /** As a process does that starts. @param onWrite called before each write, which fails if it throws */
  open(onWrite: () => void): Catalogue
  /** The process is gone. */
  close(): void
  readonly inTransaction: boolean
  /** All that is committed. */
  copy(): Copy
  /** Puts a copy back; the database is closed. */
  restore(copy: Copy): void
  isFull: boolean
  /** What the disk says where a write fails. */
  failure(): Error
}

export const createDatabase = (kind: CatalogueKind, random: Random): SimulatedDatabase =>
  kind === 'memory' ? new MemoryDatabase(random) : new SqliteDatabase()

class MemoryDatabase implements SimulatedDatabase<MemoryState> {
  isFull = false
  readonly #random: Random
  #state: MemoryState = new MemoryCatalogue().state()
  #open: MemoryCatalogue | null = null

  constructor(random: Random) {
    this.#random = random
  }

  open(onWrite: () => void): Catalogue {
    this.#open = new MemoryCatalogue(this.#state, (grows) => {
      onWrite()
      // Some rows still find room in pages that are there.
      if (!grows || !this.isFull || this.#random.chance(0.5)) return
      throw new ZoariumError('DISK_FULL', 'no space is left')
    })
    return this.#open
  }

  close(): void {
    if (this.#open === null) return
    this.#state = this.#open.state()
    this.#open.close()
    this.#open = null
  }

  get inTransaction(): boolean {
    return this.#open?.inTransaction ?? false
  }

  copy(): MemoryState {
    return this.#open?.state() ?? this.#state
  }

  restore(state: MemoryState): void {
    this.#state = state
  }

  failure(): Error {
    return new ZoariumError('STORE', 'disk I/O error')
  }
}

/** Pages that a full disk still takes: none. */
const ROOMY_PAGES = 1_000_000

let empty: Buffer | null = null

/** A new database; the schema is made once. */
function emptyDatabase(): Buffer {
  if (empty === null) {
    const handle = new Database(':memory:')
    const catalogue = new SqliteCatalogue(handle)
    empty = handle.serialize()
    catalogue.close()
  }
  return empty
}

class SqliteDatabase implements SimulatedDatabase<Buffer> {
  #file: Buffer = emptyDatabase()
  #handle: Database.Database | null = null
  #isFull = false

  open(onWrite: () => void): Catalogue {
    const handle = new Database(this.#file)
    const prepare = handle.prepare.bind(handle)
    const reads = new ReadCache(handle)
    // SAFE: the catalogue calls no more of a statement than these three.
    handle.prepare = ((sql: string) =>
      watched(prepare(sql), reads, onWrite)) as typeof handle.prepare
    this.#handle = handle
    this.isFull = this.#isFull
    return new SqliteCatalogue(handle)
  }

  close(): void {
    if (this.#handle === null) return
    this.#file = this.#handle.serialize()
    this.#handle.close()
    this.#handle = null
  }

  get inTransaction(): boolean {
    return this.#handle?.inTransaction ?? false
  }

  copy(): Buffer {
    return this.#handle === null ? this.#file : this.#handle.serialize()
  }

  restore(file: Buffer): void {
    this.#file = file
  }

  get isFull(): boolean {
    return this.#isFull
  }

  set isFull(isFull: boolean) {
    this.#isFull = isFull
    const handle = this.#handle
    if (handle === null) return
    const pages = handle.pragma('page_count', { simple: true }) as number
    handle.pragma(`max_page_count = ${isFull ? pages : ROOMY_PAGES}`)
  }

  failure(): Error {
    return new Database.SqliteError('disk I/O error', 'SQLITE_IOERR_WRITE')
  }
}

function watched(statement: Database.Statement, reads: ReadCache, onWrite: () => void): Statement {
  if (statement.readonly) return reads.watch(statement)
  const tables = tablesOf(statement.source)
  const about = (values: readonly unknown[]): void => {
    onWrite()
    reads.written(tables, values[0])
  }
  return {
    run: (...values) => {
      about(values)
      return statement.run(...values)
    },
    get: (...values) => {
      about(values)
      return statement.get(...values)
    },
    all: (...values) => {
      about(values)
      return statement.all(...values)
    },
  }
}

/**
 * The disk of a simulated node: what is on it outlives a crash, what is not does not. The database
 * is a real one in memory; the ledger and the files beside it are kept as the program would have
 * written them. Any write may fail, or be the last one.
 */
import Database from 'better-sqlite3'
import { ZoariumError } from '../../protocol/errors.ts'
import { EMPTY_LEDGER, type Ledger, type LedgerState } from '../../registry/ledger.ts'
import type { Journal } from '../../registry/max-seen.ts'
import { MemoryBlobs } from '../../registry/memory-blobs.ts'
import { SqliteCatalogue } from '../../registry/sqlite-catalogue.ts'
import { failpoint, SimulatedCrash } from './failpoint.ts'
import type { Random } from './random.ts'
import { ReadCache, type Statement, tablesOf } from './read-cache.ts'

/** A copy of a data folder. */
export interface Snapshot {
  readonly database: Buffer
  readonly ledger: LedgerState
  /** Of max-seen.ts. */
  readonly journal: string | null
}

/** What happens to a write: the process dies, or the disk gives an error. */
export type WriteFault = 'crash' | 'error'

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

export class Disk {
  /** trust.yaml */
  trust: string | null = null
  /** identity.json */
  identity: readonly Uint8Array[] = []
  readonly blobs = new MemoryBlobs()
  readonly #random: Random
  #database: Buffer = emptyDatabase()
  /** As it was when it was opened. */
  #opened: Buffer = this.#database
  #ledger: LedgerState = EMPTY_LEDGER
  /** The journal of max-seen.ts, and how much of it is certain to outlive a crash. */
  #journal: string | null = null
  #synced = 0
  #handle: Database.Database | null = null
  #isFull = false
  #isDead = false
  #fault: { readonly kind: WriteFault; left: number } | null = null

  constructor(random: Random) {
    this.#random = random
  }

  /** Opens the database, as a process does that starts. */
  open(): Database.Database {
    this.#opened = this.#database
    const handle = new Database(this.#database)
    const prepare = handle.prepare.bind(handle)
    const reads = new ReadCache(handle)
    // SAFE: the catalogue calls no more of a statement than these three.
    handle.prepare = ((sql: string) => this.#watched(prepare(sql), reads)) as typeof handle.prepare
    this.#handle = handle
    this.#isDead = false
    this.isFull = this.#isFull
    return handle
  }

  get isDead(): boolean {
    return this.#isDead
  }

  /** The process is gone, in good order or not; what was committed stays. */
  close(): void {
    this.#fault = null
    this.#isDead = true
    if (this.#handle === null) return
    this.#database = this.#handle.serialize()
    this.#handle.close()
    this.#handle = null
  }

  /** What a disk does that says "written" too early: all since the process began is lost. */
  forget(): void {
    this.#database = this.#opened
  }

  forgetLedger(): void {
    this.#ledger = EMPTY_LEDGER
  }

  /** The process dies in the middle of its work: nothing that it still does reaches the disk. */
  die(): void {
    this.#isDead = true
    // Inside a transaction the work is undone first, on its way out.
    if (this.#handle?.inTransaction === false) this.close()
  }

  snapshot(): Snapshot {
    const database = this.#handle === null ? this.#database : this.#handle.serialize()
    return { database, ledger: this.#ledger, journal: this.#journal }
  }

  /** Puts an old copy back; the node is down. @param all what lies beside the database, too */
  restore({ database, ledger, journal }: Snapshot, all: boolean): void {
    this.#database = database
    if (!all) return
    this.#ledger = ledger
    this.#journal = journal
    this.#synced = 0
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

  /** One of the next writes to the database goes wrong. */
  failWrite(kind: WriteFault, after: number): void {
    this.#fault = { kind, left: after }
  }

  calm(): void {
    this.#fault = null
  }

  get ledgerState(): LedgerState {
    return this.#ledger
  }

  get ledger(): Ledger {
    return {
      read: () => this.#ledger,
      prepare: (state) => {
        this.#requireLife()
        this.#requireSpace()
        return { commit: () => this.#rename(state), drop: () => {} }
      },
    }
  }

  #rename(state: LedgerState): void {
    this.#requireLife()
    const before = this.#ledger
    failpoint('ledger.before-rename')
    this.#ledger = state
    try {
      failpoint('ledger.before-folder-sync')
    } catch (crash) {
      // The folder was not synced: the name may be that of the old file or of the new one.
      if (this.#random.chance(0.5)) this.#ledger = before
      throw crash
    }
  }

  get journal(): Journal {
    return {
      read: () => this.#journal,
      append: (text) => {
        this.#requireLife()
        this.#requireSpace()
        this.#journal = (this.#journal ?? '') + text
      },
      replace: (text) => {
        this.#requireLife()
        this.#requireSpace()
        this.#journal = text
        this.#synced = text.length
      },
    }
  }

  /** Of what was written and not synced, a power cut leaves any beginning. */
  cutPower(): void {
    if (this.#journal === null) return
    this.#synced = this.#random.int(this.#synced, this.#journal.length)
    this.#journal = this.#journal.slice(0, this.#synced)
  }

  #requireSpace(): void {
    if (this.#isFull) throw new ZoariumError('DISK_FULL', 'no space is left')
  }

  #requireLife(): void {
    if (this.#isDead) throw new SimulatedCrash('the process is dead')
  }

  #watched(statement: Database.Statement, reads: ReadCache): Statement {
    if (statement.readonly) return reads.watch(statement)
    const tables = tablesOf(statement.source)
    const about = (values: readonly unknown[]): void => {
      this.#write()
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

  #write(): void {
    this.#requireLife()
    if (this.#fault === null || this.#fault.left-- > 0) return
    const { kind } = this.#fault
    this.#fault = null
    if (kind === 'error') throw new Database.SqliteError('disk I/O error', 'SQLITE_IOERR_WRITE')
    this.die()
    throw new SimulatedCrash('at a write')
  }
}

/**
 * The disk of a simulated node: what is on it outlives a crash, what is not does not. database.ts
 * has the database; the ledger and the files beside it are kept as the program would have written
 * them. Any write may fail, or be the last one.
 */
import { ZoariumError } from '../../protocol/errors.ts'
import type { Catalogue } from '../../registry/catalogue.ts'
import { EMPTY_LEDGER, type Ledger, type LedgerState } from '../../registry/ledger.ts'
import type { Journal } from '../../registry/max-seen.ts'
import { MemoryBlobs } from '../../registry/memory-blobs.ts'
import { type CatalogueKind, createDatabase, type SimulatedDatabase } from './database.ts'
import { failpoint, SimulatedCrash } from './failpoint.ts'
import type { Random } from './random.ts'

/** A copy of a data folder. */
export interface Snapshot {
  readonly database: unknown
  readonly ledger: LedgerState
  /** Of max-seen.ts. */
  readonly journal: string | null
}

/** What happens to a write: the process dies, or the disk gives an error. */
export type WriteFault = 'crash' | 'error'

export class Disk {
  /** trust.yaml */
  trust: string | null = null
  /** identity.json */
  identity: readonly Uint8Array[] = []
  readonly blobs = new MemoryBlobs()
  readonly kind: CatalogueKind
  readonly #random: Random
  readonly #database: SimulatedDatabase
  /** As it was when it was opened. */
  #opened: unknown = null
  #ledger: LedgerState = EMPTY_LEDGER
  /** The journal of max-seen.ts, and how much of it is certain to outlive a crash. */
  #journal: string | null = null
  #synced = 0
  #isFull = false
  #isDead = false
  #fault: { readonly kind: WriteFault; left: number } | null = null

  constructor(random: Random, kind: CatalogueKind) {
    this.kind = kind
    this.#random = random
    this.#database = createDatabase(kind, random.fork('database'))
  }

  /** Opens the database, as a process does that starts. */
  open(): Catalogue {
    this.#opened = this.#database.copy()
    this.#isDead = false
    return this.#database.open(() => this.#write())
  }

  get isDead(): boolean {
    return this.#isDead
  }

  /** The process is gone, in good order or not; what was committed stays. */
  close(): void {
    this.#fault = null
    this.#isDead = true
    this.#database.close()
  }

  /** What a disk does that says "written" too early: all since the process began is lost. */
  forget(): void {
    this.#database.restore(this.#opened)
  }

  forgetLedger(): void {
    this.#ledger = EMPTY_LEDGER
  }

  /** The process dies in the middle of its work: nothing that it still does reaches the disk. */
  die(): void {
    this.#isDead = true
    // Inside a transaction the work is undone first, on its way out.
    if (!this.#database.inTransaction) this.close()
  }

  snapshot(): Snapshot {
    return { database: this.#database.copy(), ledger: this.#ledger, journal: this.#journal }
  }

  /** Puts an old copy back; the node is down. @param all what lies beside the database, too */
  restore({ database, ledger, journal }: Snapshot, all: boolean): void {
    this.#database.restore(database)
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
    this.#database.isFull = isFull
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

  #write(): void {
    this.#requireLife()
    if (this.#fault === null || this.#fault.left-- > 0) return
    const { kind } = this.#fault
    this.#fault = null
    if (kind === 'error') throw this.#database.failure()
    this.die()
    throw new SimulatedCrash('at a write')
  }
}

/**
 * The ledger: what this node last signed with each of its keys, kept outside the catalogue so that
 * a catalogue which comes back from a backup cannot hide it. signer.ts says in which order it is
 * written.
 */
import type { Cid } from '../protocol/cid.ts'
import type { Position } from '../protocol/record.ts'
import type { KeyId } from './catalogue.ts'
import type { PreparedFile } from './durable-file.ts'

export interface SignedPosition extends Position {
  readonly id: Cid
}

export interface LedgerState {
  /** The newest position signed by each key. */
  readonly positions: ReadonlyMap<KeyId, SignedPosition>
  /** Keys of which peers were given records: only of those can anybody hold more than this folder. */
  readonly shared: ReadonlySet<KeyId>
  /** Those of them for whose logs the node was not stopped in order since, or was in doubt then. */
  readonly unsettled: ReadonlySet<KeyId>
}

/** What a node begins with. */
export const EMPTY_LEDGER: LedgerState = {
  positions: new Map(),
  shared: new Set(),
  unsettled: new Set(),
}

/** Where it is kept; a test keeps it in memory. */
export interface Ledger {
  /** Null where it is lost, and with it what was signed and shared. @throws ZoariumError STORE */
  read(): LedgerState | null
  /** Writes a state durably, to be put in place by `commit`. @throws DISK_FULL, STORE */
  prepare(state: LedgerState): PreparedFile
}

/** A ledger that is forgotten with the process. */
export function memoryLedger(state: LedgerState | null = EMPTY_LEDGER): Ledger {
  let kept = state
  return {
    read: () => kept,
    prepare: (next) => ({
      commit: () => {
        kept = next
      },
      drop: () => {},
    }),
  }
}

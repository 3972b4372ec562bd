/**
 * The signer: this node's device keys, and what it last signed with each.
 *
 * A node must never sign two records at one position, not even after a crash or with a catalogue
 * that was restored from a backup. So each position signed is also kept outside the catalogue, in
 * this order:
 *
 *   1. the new position is written and fsynced beside the ledger
 *   2. the record is committed to the catalogue
 *   3. the new ledger is renamed into place; then only may the record be seen outside
 *
 * Killed before 2, nothing was signed as far as anyone can know: the ledger is the old one. Killed
 * between 2 and 3, the catalogue is ahead of the ledger: the record itself is the evidence, and the
 * ledger catches up at the next start. A ledger ahead of the catalogue has no such explanation: the
 * catalogue is not the one that this node signed with, and the node refuses to sign until peers
 * have given back what is missing.
 */

import { toHex } from '../protocol/bytes.ts'
import type { Cid } from '../protocol/cid.ts'
import { publicKeyOf } from '../protocol/crypto.ts'
import type { Scope } from '../protocol/device.ts'
import { ZoariumError } from '../protocol/errors.ts'
import { comparePositions, type Position, type RecordKind } from '../protocol/record.ts'
import type { Catalogue, KeyId } from './catalogue.ts'
import type { PreparedFile } from './durable-file.ts'

export interface SignedPosition extends Position {
  readonly id: Cid
}
/** The newest position signed by each key. */
export type SignedPositions = ReadonlyMap<KeyId, SignedPosition>

/** Where the positions are kept; a test keeps them in memory. */
export interface Ledger {
  /** @throws ZoariumError STORE */
  read(): SignedPositions
  /** Writes the positions durably, to be put in place by `commit`. @throws DISK_FULL, STORE */
  prepare(positions: SignedPositions): PreparedFile
}

/** The scope whose key signs records of a kind. */
export const scopeOf = (kind: RecordKind): Scope => (kind === 'attest' ? 'serve' : 'publish')

export class Signer {
  readonly publisher: Cid
  readonly #seeds: Readonly<Record<Scope, Uint8Array | null>>
  readonly #keys: Readonly<Record<Scope, KeyId | null>>
  readonly #ledger: Ledger
  #positions: SignedPositions

  /** @param options.seeds 32 bytes each; null where the key lives on another machine */
  constructor(options: {
    readonly publisher: Cid
    readonly seeds: Readonly<Record<Scope, Uint8Array | null>>
    readonly ledger: Ledger
  }) {
    const { publisher, seeds, ledger } = options
    const keyOf = (seed: Uint8Array | null): KeyId | null => seed && toHex(publicKeyOf(seed))
    this.publisher = publisher
    this.#seeds = seeds
    this.#keys = { publish: keyOf(seeds.publish), serve: keyOf(seeds.serve) }
    this.#ledger = ledger
    this.#positions = ledger.read()
  }

  /** The scopes whose keys this machine has. */
  scopes(): readonly Scope[] {
    return (['publish', 'serve'] as const).filter((scope) => this.#seeds[scope] !== null)
  }

  /** The key of a scope with its seed, 32 bytes. @throws ZoariumError SCOPE where it is not here */
  device(scope: Scope): { readonly key: KeyId; readonly seed: Uint8Array } {
    const seed = this.#seeds[scope]
    const key = this.#keys[scope]
    if (seed !== null && key !== null) return { key, seed }
    throw new ZoariumError('SCOPE', `this machine does not have the key to ${scope}`, {
      field: scope,
      hint: `do this on the machine that has keys/${scope}.json`,
    })
  }

  /**
   * Whether the catalogue knows all that was signed with a key.
   * @param next the position to be signed; in a new epoch nothing can stand there
   * @throws ZoariumError SELF_UNSURE
   */
  requireSure(catalogue: Catalogue, key: KeyId, next: Position): void {
    const signed = this.#positions.get(key)
    if (signed === undefined || next.epoch > signed.epoch) return
    const log = catalogue.log(this.publisher, key)
    if (log !== null && comparePositions(log, signed) > 0) return
    if (log !== null && comparePositions(log, signed) === 0 && log.tip === signed.id) return
    const known = log === null ? 'no record' : `position ${log.epoch}.${log.seq}`
    throw new ZoariumError(
      'SELF_UNSURE',
      `this node has signed up to position ${signed.epoch}.${signed.seq}, but its catalogue has ${known}`,
      {
        field: key,
        limit: `${signed.epoch}.${signed.seq} ${signed.id}`,
        got: log === null ? 'none' : `${log.epoch}.${log.seq} ${log.tip}`,
        hint: 'connect to a node that holds your records and wait for the next synchronisation',
      },
    )
  }

  /** First step of signing: see the head of this file. */
  prepare(key: KeyId, position: SignedPosition): PreparedFile {
    const positions = new Map([...this.#positions, [key, position]])
    const prepared = this.#ledger.prepare(positions)
    return {
      commit: () => {
        prepared.commit()
        this.#positions = positions
      },
      drop: () => prepared.drop(),
    }
  }

  /** Takes over positions of own logs that are newer in the catalogue. */
  catchUp(catalogue: Catalogue): void {
    for (const scope of this.scopes()) {
      const { key } = this.device(scope)
      const log = catalogue.log(this.publisher, key)
      const signed = this.#positions.get(key)
      if (log === null || (signed !== undefined && comparePositions(log, signed) <= 0)) continue
      this.prepare(key, { epoch: log.epoch, seq: log.seq, id: log.tip }).commit()
    }
  }
}

/** A ledger that is forgotten with the process. */
export function memoryLedger(): Ledger {
  let kept: SignedPositions = new Map()
  return {
    read: () => kept,
    prepare: (positions) => ({
      commit: () => {
        kept = positions
      },
      drop: () => {},
    }),
  }
}

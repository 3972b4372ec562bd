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
 *
 * Both may have come back together, as with the snapshot of a machine. So a node that was not
 * stopped in order is in doubt even where they agree, of each of its logs until a peer that follows
 * it and may read that log has compared it. Nobody can hold more of a log that was never given away:
 * a first or lone node is never in doubt.
 */

import { toHex } from '../protocol/bytes.ts'
import type { Cid } from '../protocol/cid.ts'
import { publicKeyOf } from '../protocol/crypto.ts'
import { type Failure, refuse, ZoariumError } from '../protocol/errors.ts'
import { headOf } from '../protocol/head.ts'
import { comparePositions, type Position } from '../protocol/record.ts'
import type { Catalogue, KeyId } from './catalogue.ts'
import type { PreparedFile } from './durable-file.ts'
import { failpoint } from './failpoint.ts'
import type { Ledger, LedgerState, SignedPosition } from './ledger.ts'
import { PURPOSES, type Purpose } from './purpose.ts'

/** Seeds of 32 bytes each; one that is absent or null is on another machine. */
export type DeviceSeeds = Readonly<Partial<Record<Purpose, Uint8Array | null>>>

/** Commands that make keys which `init` does not: the root gives them in a moment. */
const MAKING: Readonly<Partial<Record<Purpose, string>>> = {
  erase: 'zoarium keys delegate erase',
  private: 'zoarium keys confide PUBLISHER...',
}

const ASK_PEERS =
  'connect to a node that holds your records; if there is none, start with --i-am-alone'

export class Signer {
  readonly publisher: Cid
  readonly #devices: ReadonlyMap<Purpose, { readonly key: KeyId; readonly seed: Uint8Array }>
  readonly #ledger: Ledger
  #state: LedgerState
  readonly #keys: ReadonlySet<KeyId>
  readonly #doubted: Set<KeyId>

  constructor(options: {
    readonly publisher: Cid
    readonly seeds: DeviceSeeds
    readonly ledger: Ledger
  }) {
    const { publisher, seeds, ledger } = options
    this.publisher = publisher
    this.#devices = new Map(
      PURPOSES.flatMap((purpose) => {
        const seed = seeds[purpose]
        return seed ? [[purpose, { key: toHex(publicKeyOf(seed)), seed }]] : []
      }),
    )
    this.#ledger = ledger
    const keys = new Set([...this.#devices.values()].map(({ key }) => key))
    this.#keys = keys
    this.#state = ledger.read() ?? { positions: new Map(), shared: keys, unsettled: keys }
    this.#doubted = new Set([...this.#state.unsettled].filter((key) => keys.has(key)))
  }

  /** What this machine has keys for. */
  purposes(): readonly Purpose[] {
    return [...this.#devices.keys()]
  }

  /** The keys themselves. */
  keys(): ReadonlySet<KeyId> {
    return this.#keys
  }

  /** A key with its seed, 32 bytes. @throws ZoariumError SCOPE where it is not here */
  device(purpose: Purpose): { readonly key: KeyId; readonly seed: Uint8Array } {
    const device = this.#devices.get(purpose)
    if (device !== undefined) return device
    const making = MAKING[purpose]
    const name = purpose === 'private' ? 'for a private log' : `to ${purpose}`
    throw new ZoariumError('SCOPE', `this machine does not have the key ${name}`, {
      field: purpose,
      hint:
        making === undefined
          ? `do this on the machine that has keys/${purpose}.json`
          : `stop the daemon, run \`${making}\` where the root keys are, and start it again`,
    })
  }

  /** Whether the node was not stopped in order, and peers have not confirmed all its logs since. */
  get isInDoubt(): boolean {
    return this.#doubted.size > 0
  }

  /** The same of one log. */
  doubts(key: KeyId): boolean {
    return this.#doubted.has(key)
  }

  /** Begins to sign for a catalogue; until {@link end} the node counts as not stopped. */
  begin(catalogue: Catalogue): void {
    this.catchUp(catalogue)
    const { shared } = this.#state
    const given = [...this.#state.positions].filter(([key]) => shared.has(key))
    const positions = new Map([...this.#known(catalogue), ...given])
    const state = { positions, shared, unsettled: shared }
    try {
      this.#write(state)
    } catch (error) {
      // A node with a full disk still reads and serves; what it signs later says so first.
      if (!(error instanceof ZoariumError) || error.code !== 'DISK_FULL') throw error
      this.#state = state
    }
  }

  /**
   * The node is stopped in order; what was in doubt stays so. Where the disk is full, it will be.
   * @throws ZoariumError STORE
   */
  end(): void {
    try {
      this.#write({ ...this.#state, unsettled: this.#doubted })
    } catch (error) {
      if (!(error instanceof ZoariumError) || error.code !== 'DISK_FULL') throw error
    }
  }

  /** Peers are about to be given records of the log of a key. Costs a write the first time. */
  share(key: KeyId): void {
    const { shared, unsettled } = this.#state
    if (shared.has(key) || !this.#keys.has(key)) return
    failpoint('share.before-ledger')
    this.#write({
      ...this.#state,
      shared: new Set([...shared, key]),
      unsettled: new Set([...unsettled, key]),
    })
    failpoint('share.after-ledger')
  }

  /** Peers that follow the logs of own keys have given all that they have of them. */
  confirm(keys: Iterable<KeyId>): void {
    for (const key of keys) this.#doubted.delete(key)
  }

  /** The operator's word that nobody holds more of the own logs than this catalogue. */
  insist(catalogue: Catalogue): void {
    this.#doubted.clear()
    this.#write({ ...this.#state, positions: this.#known(catalogue) })
  }

  /**
   * Why this node must not sign at a position now; null: it may. Fails like {@link whyBehind}, and
   * with SELF_UNSURE while the node is in doubt of that log.
   */
  whyUnsure(catalogue: Catalogue, key: KeyId, next: Position): Failure | null {
    const behind = this.whyBehind(catalogue, key, next)
    if (behind !== null || !this.#doubted.has(key)) return behind
    return refuse(
      'SELF_UNSURE',
      'this node was not stopped in order, and no peer has confirmed yet what it signed last',
      { field: key, hint: ASK_PEERS },
    )
  }

  /**
   * Why a catalogue lacks something that was signed before a position; null: nothing. In an epoch
   * that was raised since nothing can stand. Fails with SELF_UNSURE.
   */
  whyBehind(catalogue: Catalogue, key: KeyId, next: Position): Failure | null {
    const signed = this.#newest(catalogue, key)
    if (signed === null || next.epoch > signed.epoch) return null
    const log = catalogue.log(this.publisher, key)
    const order = log === null ? -1 : comparePositions(log, signed)
    if (order > 0 || (order === 0 && log?.tip === signed.id)) return null
    const known = log === null ? 'no record' : `position ${log.epoch}.${log.seq}`
    return refuse(
      'SELF_UNSURE',
      `this node has signed up to position ${signed.epoch}.${signed.seq}, but its catalogue has ${known}`,
      {
        field: key,
        limit: `${signed.epoch}.${signed.seq} ${signed.id}`,
        got: log === null ? 'none' : `${log.epoch}.${log.seq} ${log.tip}`,
        hint: ASK_PEERS,
      },
    )
  }

  /**
   * The newest position that was signed with a key as far as is known: by the ledger, or by a head
   * that has come back from peers, which knows better than a ledger that was restored.
   */
  #newest(catalogue: Catalogue, key: KeyId): SignedPosition | null {
    const signed = this.#state.positions.get(key) ?? null
    const row = catalogue.heads(this.publisher).find((each) => each.key === key)
    if (row === undefined) return signed
    const { epoch, seq, tip: id } = headOf(row.envelope)
    const stated = { epoch, seq, id }
    return signed === null || comparePositions(stated, signed) > 0 ? stated : signed
  }

  /** First step of signing: see the head of this file. */
  prepare(key: KeyId, position: SignedPosition): PreparedFile {
    const positions = new Map([...this.#state.positions, [key, position]])
    return this.#prepare({ ...this.#state, positions })
  }

  /** Takes over positions of own logs that are newer in the catalogue. */
  catchUp(catalogue: Catalogue): void {
    for (const [key, position] of this.#known(catalogue)) {
      const signed = this.#state.positions.get(key)
      if (signed !== undefined && comparePositions(position, signed) <= 0) continue
      this.prepare(key, position).commit()
    }
  }

  /** Where the logs of this machine's keys end in a catalogue. */
  #known(catalogue: Catalogue): ReadonlyMap<KeyId, SignedPosition> {
    const logs = this.purposes().flatMap(
      (purpose) => catalogue.log(this.publisher, this.device(purpose).key) ?? [],
    )
    return new Map(logs.map(({ key, epoch, seq, tip }) => [key, { epoch, seq, id: tip }]))
  }

  #write(state: LedgerState): void {
    this.#prepare(state).commit()
  }

  #prepare(state: LedgerState): PreparedFile {
    const prepared = this.#ledger.prepare(state)
    return {
      commit: () => {
        prepared.commit()
        this.#state = state
      },
      drop: () => prepared.drop(),
    }
  }
}

/** This node's own logs: the only place where records and heads are signed. */
import { findDevice } from '../protocol/delegation.ts'
import { type Cut, type Device, deviceOf } from '../protocol/device.ts'
import { expectOk, type Failure, type Verdict, ZoariumError } from '../protocol/errors.ts'
import { headOf, signHead } from '../protocol/head.ts'
import { HEAD_LIFE_MS } from '../protocol/limits.ts'
import { nextPlace } from '../protocol/log.ts'
import {
  comparePositions,
  type RecordBody,
  type SignedRecord,
  signRecord,
} from '../protocol/record.ts'
import type { Catalogue, KeyId, LogRow, RecordIndex } from './catalogue.ts'
import type { Clock } from './clock.ts'
import { failpoint } from './failpoint.ts'
import { healCommand } from './fork.ts'
import type { Identities } from './identities.ts'
import { type Purpose, purposeOf } from './purpose.ts'
import type { Signer } from './signer.ts'

/** A head is signed anew after this, so that others see that the node is alive. */
export const HEAD_RENEWAL_MS = 24 * 3600 * 1000

export interface OwnHead {
  readonly key: KeyId
  readonly envelope: Uint8Array
  /** Whether it was signed just now. */
  readonly isNew: boolean
}

export class OwnLog {
  readonly #catalogue: Catalogue
  readonly #identities: Identities
  readonly #signer: Signer
  readonly #clock: Clock
  readonly #onChange: () => void

  constructor(parts: {
    readonly catalogue: Catalogue
    readonly identities: Identities
    readonly signer: Signer
    readonly clock: Clock
    /** A log or head is another one now. */
    readonly onChange?: () => void
  }) {
    this.#catalogue = parts.catalogue
    this.#identities = parts.identities
    this.#signer = parts.signer
    this.#clock = parts.clock
    this.#onChange = parts.onChange ?? (() => {})
  }

  /**
   * Signs the next record of a log and keeps it, in the order that signer.ts explains. Not
   * interruptible: nothing else of this process runs before the record is durable.
   *
   * @param also further writes, in the same transaction
   * @param isPrivate whether it is for the audience of the private log alone
   * @throws ZoariumError SELF_UNSURE, CONTESTED, SCOPE, KEY_REVOKED, KEY_EXPIRED, DISK_FULL, STORE, or what the
   * record's own rules say; nothing is signed then
   */
  append(
    statement: RecordBody,
    index: RecordIndex = {},
    also: () => void = () => {},
    isPrivate = false,
  ): SignedRecord {
    const { publisher } = this.#signer
    const identity = this.#identities.get(publisher)
    if (identity === null) throw new TypeError('the own identity is in the catalogue')
    const { key, seed } = this.#signer.device(purposeOf(statement, isPrivate))
    const { cuts } = expectOk(deviceOf(identity, key))
    const log = this.#catalogue.log(publisher, key)
    if (this.#identities.isContested(publisher)) throw forked('identity', 'zoarium keys rotate')
    if (this.#catalogue.proof(publisher, key) !== null) {
      throw forked('log', healCommand({ ...(log ?? { epoch: 0, seq: 0 }), key }))
    }
    requireNamed(log, cuts)
    const place = nextPlace(log, cuts)
    const unsure = this.#signer.whyUnsure(this.#catalogue, key, place)
    if (unsure !== null) throw ZoariumError.of(unsure)

    const base = { publisher, key, ...place, idv: identity.length, ts: this.#clock.now() }
    const signed = signRecord({ ...base, ...statement }, seed)
    // What other nodes would refuse is never kept.
    expectOk(findDevice(identity, signed.record))

    const { epoch, seq } = place
    failpoint('sign.before-ledger')
    const ledger = this.#signer.prepare(key, { epoch, seq, id: signed.id })
    failpoint('sign.before-row')
    try {
      this.#catalogue.transaction(() => {
        also()
        this.#catalogue.appendRecord(signed, index)
      })
    } catch (error) {
      ledger.drop()
      throw error
    }
    this.#onChange()
    failpoint('sign.after-row')
    ledger.commit()
    failpoint('sign.after-ledger')
    return signed
  }

  /**
   * Why this node must not sign records now, as far as its own past goes; null: it may.
   * Fails with SELF_UNSURE.
   * @param purposes of the logs that are meant
   */
  whyUnsure(purposes: readonly Purpose[] = this.#signer.purposes()): Failure | null {
    const { publisher } = this.#signer
    for (const purpose of this.#signer.purposes()) {
      if (!purposes.includes(purpose)) continue
      const { key } = this.#signer.device(purpose)
      const found = this.#device(key)
      const next = nextPlace(this.#catalogue.log(publisher, key), found.ok ? found.value.cuts : [])
      const failure = this.#signer.whyUnsure(this.#catalogue, key, next)
      if (failure !== null) return failure
    }
    return null
  }

  #device(key: KeyId): Verdict<Device> {
    const identity = this.#identities.get(this.#signer.publisher)
    if (identity === null) throw new TypeError('the own identity is in the catalogue')
    return deviceOf(identity, key)
  }

  /**
   * The heads of the own logs; those that are new or a day old are signed now, but for logs of which
   * this node is not sure.
   */
  heads(): readonly OwnHead[] {
    return this.#signer.purposes().flatMap((purpose) => this.#head(purpose) ?? [])
  }

  #head(purpose: Purpose): OwnHead | null {
    const { publisher } = this.#signer
    const { key, seed } = this.#signer.device(purpose)
    const log = this.#catalogue.log(publisher, key)
    if (log === null || log.proof !== null) return null
    const now = this.#clock.now()
    if (log.head !== null) {
      const head = headOf(log.head)
      const age = now - head.issued
      const isCurrent = head.tip === log.tip && age >= 0 && age < HEAD_RENEWAL_MS
      if (isCurrent) return { key, envelope: log.head, isNew: false }
    }
    const { epoch, seq, tip } = log
    if (this.#signer.whyUnsure(this.#catalogue, key, { epoch, seq: seq + 1 }) !== null) return null
    const head = { publisher, key, epoch, seq, tip, issued: now, expires: now + HEAD_LIFE_MS }
    const envelope = signHead(head, seed)
    failpoint('head.before-row')
    this.#catalogue.putHead(publisher, key, envelope, now)
    failpoint('head.after-row')
    this.#onChange()
    return { key, envelope, isNew: true }
  }
}

/** Whether the record that the root named last is here. @throws ZoariumError SELF_UNSURE */
function requireNamed(log: LogRow | null, cuts: readonly Cut[]): void {
  const named = cuts.at(-1)?.last ?? null
  if (named === null || (log !== null && comparePositions(log, named) >= 0)) return
  throw new ZoariumError('SELF_UNSURE', 'records up to the one that the root named are missing', {
    limit: `${named.epoch}.${named.seq} ${named.tip}`,
    got: log === null ? 'none' : `${log.epoch}.${log.seq} ${log.tip}`,
    hint: 'connect to a node that holds your records and wait for the next synchronisation',
  })
}

const forked = (what: 'log' | 'identity', command: string): ZoariumError =>
  new ZoariumError(
    'CONTESTED',
    `your own ${what} has forked: two statements were signed at one place`,
    {
      hint: `the key was used on two machines, or an old backup was restored; stop the daemon, then: ${command}`,
    },
  )

/**
 * Admission: what of other nodes' statements enters the catalogue. docs/protocol.md, "Admission".
 *
 * Checks run in one order, the cheapest first: length, known id, header, trust, delegated key,
 * encoding and signature and body, delegation at that place, quota, place in the log, card. A
 * refusal says nothing about the id, since anybody can spoil a signature; nothing is remembered
 * of refused bytes but the proof that a log has forked.
 */
import type { Cid } from '../protocol/cid.ts'
import { findDevice } from '../protocol/delegation.ts'
import { checkPosition, type Device, deviceOf, isSettled, isVouched } from '../protocol/device.ts'
import { accept, type Failure, refuse, type Verdict } from '../protocol/errors.ts'
import { type Head, headOf, readHead } from '../protocol/head.ts'
import { MAX_CLOCK_AHEAD_MS } from '../protocol/limits.ts'
import { checkEquivocation, checkNext, type Fork } from '../protocol/log.ts'
import {
  comparePositions,
  openRecord,
  readRecord,
  type SignedRecord,
  verifyRecord,
} from '../protocol/record.ts'
import type { Audiences } from './audiences.ts'
import { indexCard, withoutCard } from './card-index.ts'
import type { CardReading } from './card-reader.ts'
import type { Catalogue, ProfileRow, RecordIndex } from './catalogue.ts'
import type { Clock } from './clock.ts'
import { contested, isForked } from './fork.ts'
import type { Identities } from './identities.ts'
import { profileOf } from './profile.ts'
import type { Quotas } from './quotas.ts'
import { retractBranch } from './retraction.ts'
import type { TrustPolicy } from './trust.ts'

/** Envelopes of one publisher that count for nothing, above which no more of its settled forks is kept. */
export const MAX_EVIDENCE = 1000

/** `known`: the record was here before. */
export type Admitted =
  | { readonly status: 'admitted'; readonly signed: SignedRecord }
  | { readonly status: 'known'; readonly id: Cid }

export interface AdmittedHead {
  readonly head: Head
  /** Whether the log has records that are not here. */
  readonly ahead: boolean
  /** Whether the head is newer than the one that was here. */
  readonly isNew: boolean
}

export interface AdmittedProof extends Fork {
  /** Whether the log counts as forked since now. */
  readonly isNew: boolean
}

export class Admission {
  readonly #catalogue: Catalogue
  readonly #identities: Identities
  readonly #policy: () => TrustPolicy
  readonly #clock: Clock
  readonly #audiences: Pick<Audiences, 'whyClosed'>
  readonly #quotas: Pick<Quotas, 'record' | 'profile' | 'count' | 'countProfile'>
  readonly #readCard: (card: Uint8Array) => CardReading

  constructor(parts: {
    readonly catalogue: Catalogue
    readonly identities: Identities
    readonly policy: () => TrustPolicy
    readonly clock: Clock
    readonly audiences: Pick<Audiences, 'whyClosed'>
    readonly quotas: Pick<Quotas, 'record' | 'profile' | 'count' | 'countProfile'>
    readonly readCard: (card: Uint8Array) => CardReading
  }) {
    this.#quotas = parts.quotas
    this.#catalogue = parts.catalogue
    this.#identities = parts.identities
    this.#policy = parts.policy
    this.#clock = parts.clock
    this.#audiences = parts.audiences
    this.#readCard = parts.readCard
  }

  /**
   * Takes in the next record of a log.
   *
   * Fails with TRUST, AUDIENCE, GAP (records or identity operations before it are missing), KEY_NOT_DELEGATED,
   * KEY_REVOKED, KEY_EXPIRED, SCOPE, HELD (dated ahead of the clock: offer it again later), QUOTA, DISK_FULL, CONTESTED,
   * EQUIVOCATION (the proof is kept), PREV_UNKNOWN, SEQ, and like `readRecord` and `indexCard`.
   *
   * @param card the card's bytes of a model record; null where it has none, the card is here, or the
   * model is known to be erased
   */
  record(envelope: Uint8Array, card: Uint8Array | null): Verdict<Admitted> {
    const opened = openRecord(envelope)
    if (!opened.ok) return opened
    const { header } = opened.value
    const { id, publisher, key } = header
    if (this.#catalogue.record(id) !== null) {
      if (card !== null) return this.#mend(id, envelope, card)
      return accept({ status: 'known', id })
    }
    if (!this.#policy().may(publisher, 'list')) return untrusted(publisher)
    const known = this.#device(publisher, key)
    if (!known.ok) return known
    const device = known.value
    const placed = checkPosition(device, header)
    if (!placed.ok) return placed
    const log = this.#catalogue.log(publisher, key)
    // A log without records may have forked, too.
    const proof = log === null ? this.#catalogue.proof(publisher, key) : log.proof
    if (isForked(proof, header)) return contested(publisher, key)

    const read = verifyRecord(opened.value)
    if (!read.ok) return read
    const signed = read.value
    const delegated = this.#delegation(signed)
    if (!delegated.ok) return delegated
    const quota = this.#quotas.record(signed)
    if (!quota.ok) return quota
    const next = checkNext(log, signed, device.cuts)
    if (!next.ok) return next.code === 'EQUIVOCATION' ? this.#keepProof(signed, device, next) : next
    const index = this.#index(signed, card)
    if (!index.ok) return index

    const isLate = this.#clock.now() > device.notAfter && !isVouched(device, signed.record)
    this.#catalogue.appendRecord(signed, { ...index.value, isLate })
    this.#quotas.count(signed)
    return accept({ status: 'admitted', signed })
  }

  /**
   * Takes in a profile without its log, for publishers that are only seen.
   * Fails like `record`, and with RECORD_INVALID for records of other kinds.
   */
  profile(envelope: Uint8Array): Verdict<ProfileRow> {
    const read = readRecord(envelope)
    if (!read.ok) return read
    const { id, record } = read.value
    if (record.kind !== 'profile') {
      return refuse('RECORD_INVALID', 'not a profile', { field: 'kind', got: record.kind })
    }
    const known = this.#device(record.publisher, record.key)
    if (!known.ok) return known
    const delegated = this.#delegation(read.value)
    if (!delegated.ok) return delegated
    const row = profileOf(id, envelope, record.publisher, record.body)
    if (this.#catalogue.profile(record.publisher)?.record === id) return accept(row)
    const quota = this.#quotas.profile(record.publisher)
    if (!quota.ok) return quota
    this.#catalogue.putProfile(row)
    this.#quotas.countProfile(record.publisher)
    return accept(row)
  }

  /**
   * Takes in a head. What an older one says is ignored: positions that were seen never fall.
   *
   * Fails with GAP without the identity, KEY_NOT_DELEGATED, KEY_REVOKED or SEQ (beyond a cut),
   * CONTESTED, HELD, and like `readHead`.
   */
  head(envelope: Uint8Array): Verdict<AdmittedHead> {
    const read = readHead(envelope)
    if (!read.ok) return read
    const { head } = read.value
    const { publisher, key, issued } = head
    const known = this.#device(publisher, key)
    if (!known.ok) return known
    const placed = checkPosition(known.value, head)
    if (!placed.ok) return placed
    const due = this.#due(issued, 'issued')
    if (!due.ok) return due

    const before = this.#catalogue.heads(publisher).find((each) => each.key === key)
    const isNew = before === undefined || this.#isNewer(head, headOf(before.envelope))
    if (isNew) this.#catalogue.putHead(publisher, key, envelope, issued)
    const log = this.#catalogue.log(publisher, key)
    const ahead = log === null ? 1 : comparePositions(head, log)
    // At an equal position another tip is news too: the record there proves a fork.
    return accept({ head, ahead: ahead > 0 || (ahead === 0 && head.tip !== log?.tip), isNew })
  }

  /**
   * Takes in the proof that a log forked. What was signed before the fork stays and may follow;
   * nothing else does. Where the root has settled the fork, the proof is evidence and no more.
   *
   * Fails with TRUST, GAP without the identity, KEY_NOT_DELEGATED, and like `checkEquivocation`.
   */
  proof(first: Uint8Array, second: Uint8Array): Verdict<AdmittedProof> {
    const proven = checkEquivocation(first, second)
    if (!proven.ok) return proven
    const { publisher, key } = proven.value
    if (!this.#policy().may(publisher, 'list')) return untrusted(publisher)
    const known = this.#device(publisher, key)
    if (!known.ok) return known
    const isNew =
      this.#catalogue.proof(publisher, key) === null && !isSettled(known.value, proven.value)
    this.#put(known.value, proven.value, [first, second])
    return accept({ ...proven.value, isNew })
  }

  /**
   * The key, if that publisher ever delegated it, and for this node too; cheap, before any signature.
   */
  #device(publisher: Cid, key: string): Verdict<Device> {
    const identity = this.#identities.get(publisher)
    if (identity === null) {
      return refuse('GAP', 'the identity of the publisher is missing here', { got: publisher })
    }
    if (this.#identities.isContested(publisher)) return contested(publisher, null)
    return this.#audiences.whyClosed(publisher, key) ?? deviceOf(identity, key)
  }

  #delegation(signed: SignedRecord): Verdict<unknown> {
    const identity = this.#identities.get(signed.record.publisher)
    if (identity === null) throw new TypeError('the identity was looked up before')
    const found = findDevice(identity, signed.record)
    return found.ok ? this.#due(signed.record.ts, 'ts') : found
  }

  #due(time: number, field: string): Verdict<unknown> {
    const now = this.#clock.now()
    if (time <= now + MAX_CLOCK_AHEAD_MS) return accept(null)
    return refuse('HELD', 'dated in the future; one of the two clocks is wrong', {
      field,
      limit: now + MAX_CLOCK_AHEAD_MS,
      got: time,
    })
  }

  /**
   * Position first, then date: a clock that was set back must not hide a record. One that came while
   * this clock was ahead gives way to any of its position.
   */
  #isNewer(head: Head, before: Head): boolean {
    const order = comparePositions(head, before)
    if (order !== 0) return order > 0
    return head.issued > before.issued || !this.#due(before.issued, 'issued').ok
  }

  #index({ id, record }: SignedRecord, card: Uint8Array | null): Verdict<RecordIndex> {
    if (record.kind !== 'model') return accept({})
    const bytes = card ?? this.#catalogue.card(record.body.card)
    const isErased = this.#catalogue.withdrawal(record.publisher, id) === 'erase'
    return bytes === null && isErased
      ? accept(withoutCard(record.body))
      : indexCard(record.body, bytes, this.#readCard)
  }

  /** A record that was here without its card, which is what came now. */
  #mend(id: Cid, envelope: Uint8Array, card: Uint8Array): Verdict<Admitted> {
    if (this.#catalogue.modelsWithoutCard().includes(id)) {
      const read = readRecord(envelope)
      if (!read.ok) return read
      const index = this.#index(read.value, card)
      if (!index.ok) return index
      this.#catalogue.reindex(id, index.value)
    }
    return accept({ status: 'known', id })
  }

  /** Two records at one position: the proof is kept, and the log ends before them. */
  #keepProof(signed: SignedRecord, device: Device, failure: Failure): Failure {
    const { publisher, key } = signed.record
    const ours = this.#catalogue.recordAt(publisher, key, signed.record)
    if (ours === null) return failure
    const proof = checkEquivocation(ours.envelope, signed.envelope)
    if (!proof.ok) return proof
    this.#put(device, proof.value, [ours.envelope, signed.envelope])
    return { ...failure, hint: 'the proof is kept; the log ends here until its root settles it' }
  }

  /** Keeps the proof of a fork; one that the root has settled is evidence only. */
  #put(device: Device, fork: Fork, proof: readonly [Uint8Array, Uint8Array]): void {
    const { publisher, key } = fork
    if (!isSettled(device, fork)) {
      this.#catalogue.putProof(publisher, key, ...proof)
      return
    }
    if (this.#catalogue.countEvidence(publisher) < MAX_EVIDENCE) {
      this.#catalogue.putEvidence(publisher, key, proof)
    }
    const log = this.#catalogue.log(publisher, key)
    // Ours may be the branch that the root has left.
    if (log !== null) retractBranch(this.#catalogue, log, device)
  }
}

const untrusted = (publisher: Cid): Failure =>
  refuse('TRUST', 'no rule lets records of this publisher in', {
    got: publisher,
    hint: `to list its models: zoarium trust add ${publisher} list`,
  })

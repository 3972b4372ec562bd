/**
 * Rosters: those that this node issues, and those of others that it follows. docs/protocol.md,
 * "Rosters". Which rights they give is the policy file's to say (trust.ts); here stands who the
 * members are, what a roster's file holds, and what of a foreign file contradicts what is known.
 */
import type { Cid } from '../protocol/cid.ts'
import { findDevice } from '../protocol/delegation.ts'
import { deviceOf } from '../protocol/device.ts'
import {
  accept,
  expectOk,
  type Failure,
  refuse,
  type Verdict,
  ZoariumError,
} from '../protocol/errors.ts'
import { readHead } from '../protocol/head.ts'
import { isSameOperation } from '../protocol/identity-operation.ts'
import { MAX_CLOCK_AHEAD_MS } from '../protocol/limits.ts'
import {
  comparePositions,
  type LogRecord,
  peekRecord,
  type SignedRecord,
} from '../protocol/record.ts'
import type { RosterBody } from '../protocol/roster.ts'
import { readRosterCar, type VerifiedRoster, writeRosterCar } from '../protocol/roster-car.ts'
import type { Audiences } from './audiences.ts'
import type { Catalogue, KeyId, RosterRow } from './catalogue.ts'
import type { Clock } from './clock.ts'
import { contested } from './fork.ts'
import type { Identities } from './identities.ts'
import type { TrustPolicy } from './trust.ts'

/** What is known of one roster by name. */
export interface RosterState {
  readonly publisher: Cid
  readonly name: string
  /** The one that stands; null where it is withdrawn or not here. */
  readonly standing: RosterRow | null
  /** Others of that name that none replaces and none withdrew. */
  readonly rivals: readonly Cid[]
  readonly state: 'OK' | 'WITHDRAWN' | 'CONTESTED' | 'UNKNOWN'
}

/** A change of an own roster: what is left out stays as it was. */
export interface RosterChange {
  readonly add?: readonly Cid[]
  readonly remove?: readonly Cid[]
  readonly right?: RosterBody['right']
  readonly bootstrap?: readonly string[]
}

export interface RosterParts {
  readonly publisher: Cid
  readonly catalogue: Catalogue
  readonly identities: Identities
  readonly audiences: Pick<Audiences, 'of'>
  readonly policy: () => TrustPolicy
  readonly clock: Clock
  readonly isContested: (record: Cid) => boolean
  /** Signs and keeps a record. */
  readonly append: (
    statement: { kind: 'roster'; body: RosterBody } | WithdrawStatement,
  ) => SignedRecord
}
type WithdrawStatement = {
  kind: 'withdraw'
  body: { target: Cid; verb: 'recall'; reason: string; note: string }
}

export class Rosters {
  readonly #parts: RosterParts

  constructor(parts: RosterParts) {
    this.#parts = parts
  }

  /** Own rosters by name, then those followed in the order of the policy file. */
  all(): readonly RosterState[] {
    const { publisher, catalogue, policy } = this.#parts
    const own = new Set(catalogue.rosters(publisher).map(({ name }) => name))
    const followed = policy().rosters.filter(
      (each) => each.publisher !== publisher || !own.has(each.name),
    )
    return [
      ...[...own].map((name) => this.state(publisher, name)),
      ...followed.map((each) => this.state(each.publisher, each.name)),
    ]
  }

  state(publisher: Cid, name: string): RosterState {
    const { catalogue, isContested } = this.#parts
    const last = catalogue.rosters(publisher).filter((each) => each.name === name)
    const [first, ...rivals] = last.filter((each) => !each.isWithdrawn).map(({ record }) => record)
    const standing = first === undefined ? null : catalogue.roster(first)
    const missing = last.length > 0 ? 'WITHDRAWN' : 'UNKNOWN'
    const state = standing === null ? missing : isContested(standing.record) ? 'CONTESTED' : 'OK'
    return { publisher, name, standing, rivals, state }
  }

  /** Members of a roster as it stands; none where it is withdrawn or not known here. */
  members(publisher: Cid, name: string): readonly Cid[] {
    return this.state(publisher, name).standing?.body.members ?? []
  }

  // Own

  /**
   * Signs an own roster anew, or the first of its name, which recommends `mirror` unless told
   * otherwise. Where nothing changes nothing is signed.
   * @throws ZoariumError NAME, RECORD_INVALID, LIMIT, and like `append`
   */
  set(name: string, { add = [], remove = [], right, bootstrap }: RosterChange): RosterRow {
    const { publisher } = this.#parts
    const { standing, rivals } = this.state(publisher, name)
    const before = standing?.body ?? null
    const members = new Set([...(before?.members ?? []), ...add])
    for (const each of remove) members.delete(each)
    const body: RosterBody = {
      name,
      members: [...members].sort(),
      right: right ?? before?.right ?? 'mirror',
      bootstrap: bootstrap ?? before?.bootstrap ?? [],
      replaces: standing === null ? [] : [standing.record, ...rivals],
    }
    const isSettled = standing !== null && rivals.length === 0 && this.#isFresh(standing)
    if (isSettled && isSame(standing.body, body)) return standing
    this.#parts.append({ kind: 'roster', body })
    // SAFE: it was just appended, and replaces what stood.
    return this.state(publisher, name).standing as RosterRow
  }

  /** Whether its log goes on: with a new key, a roster has to be signed anew to be joined by. */
  #isFresh({ publisher, envelope }: RosterRow): boolean {
    const head = this.#headOf(publisher, envelope)
    const read = head === null ? null : readHead(head)
    return read?.ok === true && read.value.head.expires >= this.#parts.clock.now()
  }

  /** The newest head of the log in which a record stands. */
  #headOf(publisher: Cid, envelope: Uint8Array): Uint8Array | null {
    const key = keyOf({ envelope })
    const heads = this.#parts.catalogue.heads(publisher)
    return heads.find((each) => each.key === key)?.envelope ?? null
  }

  /** Takes an own roster back: it has no members from then on. @throws ZoariumError NOT_FOUND */
  withdraw(name: string, reason: string, note: string): void {
    const { standing, rivals } = this.state(this.#parts.publisher, name)
    if (standing === null) throw new ZoariumError('NOT_FOUND', 'no own roster of that name stands')
    for (const target of [standing.record, ...rivals]) {
      const body = { target, verb: 'recall', reason, note } as const
      this.#parts.append({ kind: 'withdraw', body })
    }
  }

  // Files

  /**
   * The file of a roster, which is for everybody: one that stands in a private log is as if it were
   * not there. Fails with NOT_FOUND, CONTESTED, LIMIT.
   */
  file(publisher: Cid, name: string): Verdict<Uint8Array> {
    const { catalogue, audiences } = this.#parts
    const { standing, state } = this.state(publisher, name)
    const key = standing === null ? null : keyOf(standing)
    if (standing === null || key === null || audiences.of(publisher, key) !== null) {
      return refuse('NOT_FOUND', 'no roster of that name is handed out here', {
        got: `${publisher}/${name}`,
      })
    }
    if (state === 'CONTESTED') return contested(publisher, key)
    const head = this.#headOf(publisher, standing.envelope)
    if (head === null) {
      return refuse('NOT_FOUND', 'no head of the log of the roster is here', { got: publisher })
    }
    return writeRosterCar({
      operations: catalogue.identityOps(publisher),
      head,
      roster: standing.envelope,
    })
  }

  /** Whether it is handed out to anybody: an own one, or one that this node follows. */
  isPublic(publisher: Cid, name: string): boolean {
    const { publisher: own, policy } = this.#parts
    return publisher === own || policy().roster(publisher, name) !== null
  }

  /**
   * Rosters of a record id or issuer that are handed out to anybody, which are the own ones and those
   * followed, and the file of the only one.
   */
  find(of: Cid): { readonly records: readonly Cid[]; readonly car: Uint8Array | null } {
    const found = this.all().flatMap(({ publisher, name, standing }) => {
      if (standing === null || (publisher !== of && standing.record !== of)) return []
      const file = this.file(publisher, name)
      return file.ok ? [{ record: standing.record, car: file.value }] : []
    })
    const [only] = found
    return {
      records: found.map(({ record }) => record),
      car: found.length === 1 && only !== undefined ? only.car : null,
    }
  }

  // Files of others

  /**
   * A file that may be relied on now: verified, fresh, and against nothing that is known here.
   *
   * Fails like `readRosterCar`, and with STALE (its head has expired, or a newer roster is known),
   * KEY_EXPIRED, HELD (dated ahead of the clock), CONTESTED, EQUIVOCATION, RECALLED (withdrawn), and, where the
   * chain here is longer, KEY_REVOKED or SEQ.
   */
  check(car: Uint8Array): Verdict<VerifiedRoster> {
    const read = readRosterCar(car)
    if (!read.ok) return read
    const roster = read.value
    const refused = this.#whyOld(roster) ?? this.#whyContradicted(roster)
    return refused ?? accept(roster)
  }

  #whyOld({ identity, newest, signed }: VerifiedRoster): Failure | null {
    const now = this.#parts.clock.now()
    const dated = Math.max(newest.issued, signed.record.ts)
    if (dated > now + MAX_CLOCK_AHEAD_MS) {
      return refuse('HELD', 'dated in the future; one of the two clocks is wrong', {
        limit: now + MAX_CLOCK_AHEAD_MS,
        got: dated,
      })
    }
    const device = expectOk(deviceOf(identity, newest.key))
    if (now > device.notAfter) {
      return refuse('KEY_EXPIRED', 'the key that signed the roster has run out', {
        limit: new Date(device.notAfter).toISOString(),
        got: new Date(now).toISOString(),
        hint: 'its issuer has to sign the roster anew: zoarium roster set',
      })
    }
    if (now <= newest.expires) return null
    return refuse('STALE', 'the file is too old: members may have left since', {
      limit: new Date(newest.expires).toISOString(),
      got: new Date(now).toISOString(),
      hint: 'ask the issuer for a new one, or join by the address of a node that is up',
    })
  }

  #whyContradicted({ identity, operations, signed, body }: VerifiedRoster): Failure | null {
    const { catalogue, identities, isContested } = this.#parts
    const { id, record } = signed
    const { publisher, key } = record
    const known = identities.get(publisher)
    if (known === null) return null
    const ours = catalogue.identityOps(publisher)
    const isFork = operations.some((each, n) => {
      const here = ours[n]
      return here !== undefined && !isSameOperation(here, each)
    })
    if (isFork || identities.isContested(publisher)) return contested(publisher, null)
    if (known.length > identity.length) {
      const delegated = findDevice(known, record)
      if (!delegated.ok) return delegated
    }
    const there = catalogue.recordAt(publisher, key, record)
    if (there !== null && there.id !== id) {
      return refuse('EQUIVOCATION', "another record is known at the roster's place", {
        limit: there.id,
        got: id,
      })
    }
    if (isContested(id)) return contested(publisher, key)
    return this.#whySuperseded(signed, body.name)
  }

  #whySuperseded({ id, record }: SignedRecord, name: string): Failure | null {
    const { catalogue } = this.#parts
    const { publisher } = record
    const { standing } = this.state(publisher, name)
    const last = catalogue.rosters(publisher).find((each) => each.record === id)
    if (last?.isWithdrawn) {
      return refuse('RECALLED', 'its issuer has withdrawn the roster', { got: id })
    }
    const isOld =
      catalogue.isReplaced(publisher, id) ||
      (standing !== null && standing.record !== id && isLater(standing.envelope, record))
    if (!isOld) return null
    return refuse('STALE', 'a newer roster of that name is known here', {
      got: id,
      hint: standing === null ? 'it is withdrawn' : `zoarium join ${standing.record}`,
    })
  }
}

/** Whether a record stands after another one in the same log. */
function isLater(envelope: Uint8Array, than: LogRecord): boolean {
  const peeked = peekRecord(envelope)
  return peeked.ok && peeked.value.key === than.key && comparePositions(peeked.value, than) > 0
}

const keyOf = ({ envelope }: Pick<RosterRow, 'envelope'>): KeyId =>
  expectOk(peekRecord(envelope)).key

const isSame = (a: RosterBody, b: RosterBody): boolean =>
  a.right === b.right &&
  a.members.join() === b.members.join() &&
  a.bootstrap.join() === b.bootstrap.join()

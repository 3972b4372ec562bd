/**
 * Closure: whether a record came while its key was in force. Nobody can tell when a record was
 * signed but by what it stands before; so what comes after the end of a key, from a thief of old
 * keys perhaps, is not run unless somebody has vouched for it: the root by a cut, its steward, or
 * two other institutions by naming it in time. docs/protocol.md, "Closed records".
 */
import type { Cid } from '../protocol/cid.ts'
import { type Device, deviceOf, isVouched } from '../protocol/device.ts'
import { expectOk } from '../protocol/errors.ts'
import { comparePositions, type Position, peekRecord } from '../protocol/record.ts'
import type { Catalogue, KeyId } from './catalogue.ts'
import type { Clock } from './clock.ts'
import type { Identities } from './identities.ts'
import type { MentionRow } from './mention.ts'
import type { TrustPolicy } from './trust.ts'

/** Other publishers that have to name a record, or a later one of its log. */
const WITNESSES = 2

export class Closure {
  readonly #catalogue: Catalogue
  readonly #identities: Identities
  readonly #policy: () => TrustPolicy
  readonly #clock: Clock

  constructor(parts: {
    readonly catalogue: Catalogue
    readonly identities: Identities
    readonly policy: () => TrustPolicy
    readonly clock: Clock
  }) {
    this.#catalogue = parts.catalogue
    this.#identities = parts.identities
    this.#policy = parts.policy
    this.#clock = parts.clock
  }

  /** Whether nobody has vouched for a record that came late. */
  isUnclosed(id: Cid): boolean {
    if (!this.#catalogue.isLate(id)) return false
    const row = this.#catalogue.record(id)
    if (row === null) return false
    const { publisher, key, ...position } = expectOk(peekRecord(row.envelope))
    return (
      !this.#isInForce(publisher, key, position) && !this.#isWitnessed(publisher, key, position)
    )
  }

  /** Whether the key is in force now, or its root has vouched for what stands there. */
  #isInForce(publisher: Cid, key: KeyId, position: Position): boolean {
    const device = this.#device(publisher, key)
    if (device === null) return false
    return this.#clock.now() <= device.notAfter || isVouched(device, position)
  }

  #device(publisher: Cid, key: KeyId): Device | null {
    const identity = this.#identities.get(publisher)
    const device = identity === null ? null : deviceOf(identity, key)
    return device?.ok ? device.value : null
  }

  #isWitnessed(publisher: Cid, key: KeyId, position: Position): boolean {
    const steward = this.#identities.get(publisher)?.steward
    const witnesses = new Set<Cid>()
    for (const mention of this.#catalogue.mentions(publisher, key)) {
      if (comparePositions(mention, position) < 0 || !this.#counts(mention)) continue
      if (mention.by === steward) return true
      witnesses.add(mention.by)
    }
    return witnesses.size >= WITNESSES
  }

  /** Whether the naming record itself came in time: one that did not would vouch for itself. */
  #counts({ by, record }: MentionRow): boolean {
    if (!this.#policy().may(by, 'list') || this.#identities.isContested(by)) return false
    const row = this.#catalogue.record(record)
    if (row === null) return false
    const { key, ...position } = expectOk(peekRecord(row.envelope))
    return !this.#catalogue.isLate(record) || this.#isInForce(by, key, position)
  }
}

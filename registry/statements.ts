/**
 * What this node's publisher says, models aside: who it is, how its models are called, that one is
 * taken back, what it holds of anybody's. What is said of a private model stays in the private log.
 */
import type { Cid } from '../protocol/cid.ts'
import { type Failure, refuse, ZoariumError } from '../protocol/errors.ts'
import { MAX_REPLACES } from '../protocol/limits.ts'
import type { ProfileBody, RecordBody, SignedRecord, WithdrawBody } from '../protocol/record.ts'
import type { Audiences } from './audiences.ts'
import type { Catalogue, ModelRow } from './catalogue.ts'
import type { OwnLog } from './own-log.ts'

/** Models are published with their files: publication.ts. */
export type Statement = Exclude<RecordBody, { readonly kind: 'model' }>

export interface StatementsParts {
  readonly publisher: Cid
  readonly catalogue: Catalogue
  readonly audiences: Audiences
  readonly log: OwnLog
  /** A statement was signed and kept. */
  readonly onSigned: (signed: SignedRecord) => void
}

export class Statements {
  readonly #parts: StatementsParts

  constructor(parts: StatementsParts) {
    this.#parts = parts
  }

  /** Signs any statement but a model. @throws like {@link OwnLog.append} */
  append(statement: Statement, isPrivate = false): SignedRecord {
    const { log, onSigned } = this.#parts
    const signed = log.append(statement, {}, () => {}, isPrivate)
    onSigned(signed)
    return signed
  }

  /** Signs a profile that stands in for the present ones. @throws like {@link OwnLog.append} */
  profile(profile: Omit<ProfileBody, 'replaces'>): SignedRecord {
    const { publisher: own, catalogue } = this.#parts
    const several = catalogue
      .conflicts()
      .find(({ publisher, kind }) => publisher === own && kind === 'profile')
    const present = catalogue.profile(own)
    const all = several?.records ?? (present === null ? [] : [present.record])
    const replaces = all.slice(0, MAX_REPLACES)
    return this.append({ kind: 'profile', body: { ...profile, replaces } })
  }

  /**
   * Takes an own model back: `yank` leaves it out of what a name stands for, `recall` forbids to
   * run it, `erase` removes its bytes; `restore` takes an erasure back while the bytes are here.
   * @throws ZoariumError SCOPE for another publisher's model, and without a key to erase for
   * `erase` and `restore`, USAGE where there is nothing to restore, BLOB_MISSING where the bytes
   * are gone, RECORD_INVALID for a reason or note against the rules, and like {@link OwnLog.append}
   */
  withdraw(model: ModelRow, how: Omit<WithdrawBody, 'target'>): SignedRecord {
    this.#requireOwn(model, 'withdraws')
    const targets = how.verb === 'restore' ? this.#erasuresOf(model) : [model.record]
    const signed = targets.map((target) =>
      this.#about(model, { kind: 'withdraw', body: { target, ...how } }),
    )
    // SAFE: there is at least one target.
    return signed.at(-1) as SignedRecord
  }

  /** The withdrawals that erase a model. */
  #erasuresOf({ publisher, record, card }: ModelRow): readonly Cid[] {
    const { catalogue } = this.#parts
    const standing = catalogue
      .withdrawals(publisher, record)
      .filter(({ verb, isRestored }) => verb === 'erase' && !isRestored)
    if (standing.length === 0) {
      throw new ZoariumError('USAGE', 'the model is not erased', { got: record })
    }
    if (catalogue.card(card) === null) {
      throw new ZoariumError('BLOB_MISSING', 'its bytes are gone from this node', {
        got: record,
        hint: 'publish it anew, as another version',
      })
    }
    return standing.map((each) => each.record)
  }

  /**
   * Gives a version of an own model a name that can move on, such as `stable`.
   * @throws ZoariumError SCOPE for another publisher's model, NAME, and like {@link OwnLog.append}
   */
  tag(model: ModelRow, tag: string): SignedRecord {
    this.#requireOwn(model, 'tags')
    const { publisher, name, record: target } = model
    const standing = this.#parts.catalogue.tags(publisher, name, tag)
    const replaces = standing.map(({ record }) => record)
    return this.#about(model, { kind: 'tag', body: { name, tag, target, replaces } })
  }

  /**
   * States something of a model, of anybody's.
   * @param more further fields of the claim
   * @throws ZoariumError AUDIENCE for a private model, RECORD_INVALID or LIMIT for fields against
   * the rules, and like {@link OwnLog.append}
   */
  attest(
    { record: target, root }: ModelRow,
    claim: string,
    more: Readonly<Record<string, string | number>> = {},
  ): SignedRecord {
    const failure = this.whySecret(target)
    if (failure !== null) throw ZoariumError.of(failure)
    return this.append({ kind: 'attest', body: { ...more, target, root, claim } })
  }

  /** Why no public record may name a record; null: it may. Fails with AUDIENCE. */
  whySecret(record: Cid): Failure | null {
    if (this.#parts.audiences.ofRecord(record) === null) return null
    return refuse('AUDIENCE', 'it is private, and a public record would tell all of it', {
      got: record,
    })
  }

  #about({ record }: ModelRow, statement: Statement): SignedRecord {
    return this.append(statement, this.#parts.audiences.ofRecord(record) !== null)
  }

  #requireOwn(model: ModelRow, verb: string): void {
    if (model.publisher === this.#parts.publisher) return
    throw new ZoariumError('SCOPE', `only its publisher ${verb} a model`, {
      got: model.publisher,
      hint: 'to keep it from running here, change the trust rule of its publisher',
    })
  }
}

/**
 * Who may read private logs. A log is public unless the root has confided its key to an audience;
 * this node then shows it to nodes of that audience only, and only while it belongs there itself.
 * docs/protocol.md, "Private logs".
 */
import type { Audience, RosterName } from '../protocol/audience.ts'
import type { Cid } from '../protocol/cid.ts'
import { expectOk, type Failure, refuse } from '../protocol/errors.ts'
import { peekRecord } from '../protocol/record.ts'
import type { Catalogue, KeyId } from './catalogue.ts'
import type { Identities } from './identities.ts'

export interface AudiencesParts {
  readonly catalogue: Pick<Catalogue, 'record'>
  readonly identities: Pick<Identities, 'get'>
  /** This node's publisher. */
  readonly own: Cid
  /** Members of a roster, as the newest record of that name that is known here says. */
  readonly membersOf: (roster: RosterName) => readonly Cid[]
}

export class Audiences {
  readonly #parts: AudiencesParts

  constructor(parts: AudiencesParts) {
    this.#parts = parts
  }

  /** For whom a log is; null: for everybody. */
  of(publisher: Cid, key: KeyId): Audience | null {
    const devices = this.#parts.identities.get(publisher)?.devices ?? []
    return devices.find((device) => device.key === key)?.audience ?? null
  }

  /** For whom the log of a record is that is here; null: for everybody. */
  ofRecord(record: Cid): Audience | null {
    const log = this.#logOf(record)
    return log === null ? null : this.of(log.publisher, log.key)
  }

  /** @param reader the publisher of the node that asks; null where it is not bound to one */
  mayRead(publisher: Cid, key: KeyId, reader: Cid | null): boolean {
    const audience = this.of(publisher, key)
    if (audience === null) return true
    const isMember = (each: Cid): boolean =>
      each === publisher ||
      audience.publishers.includes(each) ||
      audience.rosters.some((roster) => this.#parts.membersOf(roster).includes(each))
    return reader !== null && isMember(reader) && isMember(this.#parts.own)
  }

  /** Like {@link mayRead}; a record that is not here may be asked for. */
  mayReadRecord(record: Cid, reader: Cid | null): boolean {
    const log = this.#logOf(record)
    return log === null || this.mayRead(log.publisher, log.key, reader)
  }

  /** Why this node takes nothing of a log; null: it may. Fails with AUDIENCE. */
  whyClosed(publisher: Cid, key: KeyId): Failure | null {
    if (this.mayRead(publisher, key, this.#parts.own)) return null
    return refuse('AUDIENCE', 'the log is private, and not for this node', { got: publisher })
  }

  #logOf(record: Cid): { readonly publisher: Cid; readonly key: KeyId } | null {
    const row = this.#parts.catalogue.record(record)
    return row === null ? null : expectOk(peekRecord(row.envelope))
  }
}

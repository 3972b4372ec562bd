/**
 * Evidence in the SQLite catalogue: what was signed and counts for nothing. Records are taken back
 * here with everything that was derived from them.
 */
import type { Cid } from '../protocol/cid.ts'
import { expectOk } from '../protocol/errors.ts'
import { type Position, peekRecord } from '../protocol/record.ts'
import type { KeyId, Proof, ProofRow, RivalBranch } from './catalogue.ts'
import type { SqliteAttestations } from './sqlite-attestations.ts'
import { plain, type SqliteDatabase } from './sqlite-database.ts'
import type { SqliteModels } from './sqlite-models.ts'
import type { SqliteNames } from './sqlite-names.ts'
import type { SqliteWithdrawals } from './sqlite-withdrawals.ts'

interface ProofColumns {
  readonly key: KeyId
  readonly first: Uint8Array
  readonly second: Uint8Array
}

export class SqliteEvidence {
  readonly #db: SqliteDatabase
  readonly #models: SqliteModels
  readonly #names: SqliteNames
  readonly #attestations: SqliteAttestations
  readonly #withdrawals: SqliteWithdrawals

  constructor(
    db: SqliteDatabase,
    parts: {
      readonly models: SqliteModels
      readonly names: SqliteNames
      readonly withdrawals: SqliteWithdrawals
      readonly attestations: SqliteAttestations
    },
  ) {
    this.#db = db
    this.#models = parts.models
    this.#names = parts.names
    this.#withdrawals = parts.withdrawals
    this.#attestations = parts.attestations
  }

  /** Envelopes in the order of their coming. */
  list(publisher: Cid): readonly Uint8Array[] {
    return this.#envelopes(
      'SELECT envelope FROM evidence WHERE publisher = ? ORDER BY id',
      publisher,
    )
  }

  count(publisher: Cid): number {
    const sql = 'SELECT count(*) AS n FROM evidence WHERE publisher = ?'
    return this.#db.get<{ n: number }>(sql, publisher)?.n ?? 0
  }

  put(publisher: Cid, key: KeyId, envelopes: readonly Uint8Array[]): void {
    for (const envelope of envelopes) {
      const there = this.#db.get(
        'SELECT 1 FROM evidence WHERE publisher = ? AND key = ? AND envelope = ?',
        publisher,
        key,
        envelope,
      )
      if (there !== undefined) continue
      this.#db.run(
        'INSERT INTO evidence (publisher, key, envelope) VALUES (?, ?, ?)',
        publisher,
        key,
        envelope,
      )
    }
  }

  drop(publisher: Cid, envelope: Uint8Array): void {
    this.#db.run('DELETE FROM evidence WHERE publisher = ? AND envelope = ?', publisher, envelope)
  }

  settle(publisher: Cid, key: KeyId): void {
    const proof = this.proof(publisher, key)
    if (proof === null) return
    this.put(publisher, key, proof)
    this.#db.run('DELETE FROM proofs WHERE publisher = ? AND key = ?', publisher, key)
  }

  proof(publisher: Cid, key: KeyId): Proof | null {
    const row = this.#db.get<ProofColumns>(
      'SELECT key, first, second FROM proofs WHERE publisher = ? AND key = ?',
      publisher,
      key,
    )
    return row === undefined ? null : toProof(row).proof
  }

  proofs(publisher: Cid): readonly ProofRow[] {
    return this.#db
      .all<ProofColumns>(
        'SELECT key, first, second FROM proofs WHERE publisher = ? ORDER BY key',
        publisher,
      )
      .map(toProof)
  }

  retract(publisher: Cid, key: KeyId, after: Position | null): void {
    this.#db.run('DELETE FROM heads WHERE publisher = ? AND key = ?', publisher, key)
    const log = this.#db.get<{ id: number }>(
      'SELECT id FROM logs WHERE publisher = ? AND key = ?',
      publisher,
      key,
    )
    if (log === undefined) return
    const gone = this.#db.all<{ id: number; record: Cid; envelope: Uint8Array }>(
      `SELECT id, record, envelope FROM records WHERE log = ? AND (epoch, seq) > (?, ?)
       ORDER BY epoch, seq`,
      log.id,
      after?.epoch ?? -1,
      after?.seq ?? -1,
    )
    for (const { id, record, envelope } of gone) {
      this.put(publisher, key, [envelope])
      this.#models.remove(publisher, id)
      this.#attestations.remove(record)
      // What it withdrew stands again, unless another one takes it back too.
      const target = this.#withdrawals.remove(record, publisher)
      if (target !== null) this.#models.withdraw(target)
      if (this.#names.remove(publisher, record)) this.#models.renamePublisher(publisher)
      this.#db.run('DELETE FROM late WHERE record = ?', record)
      this.#db.run('DELETE FROM mentions WHERE record = ?', record)
      this.#db.run('DELETE FROM records WHERE id = ?', id)
    }
    this.#shorten(log.id)
  }

  /** Sets the position of a log to its newest record; one without records goes. */
  #shorten(log: number): void {
    const left = this.#envelopes(
      'SELECT envelope FROM records WHERE log = ? ORDER BY epoch, seq',
      log,
    ).map((envelope) => expectOk(peekRecord(envelope)))
    const newest = left.at(-1)
    if (newest === undefined) {
      this.#db.run('DELETE FROM logs WHERE id = ?', log)
      return
    }
    this.#db.run(
      'UPDATE logs SET epoch = ?, seq = ?, tip = ?, time = ? WHERE id = ?',
      newest.epoch,
      newest.seq,
      newest.id,
      left.reduce((time, { ts }) => Math.max(time, ts), 0),
      log,
    )
  }

  putRival(publisher: Cid, { from, operations }: RivalBranch): void {
    this.#db.run('DELETE FROM identity_rivals WHERE publisher = ?', publisher)
    operations.forEach((envelope, index) => {
      this.#db.run(
        'INSERT INTO identity_rivals VALUES (?, ?, ?)',
        publisher,
        from + index,
        envelope,
      )
    })
  }

  rival(publisher: Cid): RivalBranch | null {
    const rows = this.#db.all<{ n: number; envelope: Uint8Array }>(
      'SELECT n, envelope FROM identity_rivals WHERE publisher = ? ORDER BY n',
      publisher,
    )
    const [first] = rows
    if (first === undefined) return null
    return { from: first.n, operations: rows.map(({ envelope }) => plain(envelope)) }
  }

  #envelopes(sql: string, value: string | number): readonly Uint8Array[] {
    return this.#db.all<{ envelope: Uint8Array }>(sql, value).map((row) => plain(row.envelope))
  }
}

const toProof = ({ key, first, second }: ProofColumns): ProofRow => ({
  key,
  proof: [plain(first), plain(second)],
})

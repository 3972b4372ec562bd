/** Attestations in the SQLite catalogue, by what was looked at. */
import type { Cid } from '../protocol/cid.ts'
import type { AttestBody } from '../protocol/record.ts'
import type { AttestationRow } from './catalogue.ts'
import type { SqliteDatabase } from './sqlite-database.ts'
import { STANDS } from './sqlite-withdrawals.ts'

export class SqliteAttestations {
  readonly #db: SqliteDatabase

  constructor(db: SqliteDatabase) {
    this.#db = db
  }

  put(record: Cid, publisher: Cid, { target, root, claim }: AttestBody): void {
    const sql = 'INSERT INTO attestations VALUES (?, ?, ?, ?, ?)'
    this.#db.run(sql, record, publisher, target, root, claim)
  }

  remove(record: Cid): void {
    this.#db.run('DELETE FROM attestations WHERE record = ?', record)
  }

  of(root: Cid): readonly AttestationRow[] {
    return this.#db
      .all<Omit<AttestationRow, 'isWithdrawn'> & { readonly withdrawn: 0 | 1 }>(
        `SELECT *, EXISTS
           (SELECT 1 FROM withdrawals w WHERE w.publisher = a.publisher AND w.target = a.record
             AND ${STANDS}) AS withdrawn
         FROM attestations a WHERE root = ? ORDER BY record`,
        root,
      )
      .map(({ withdrawn, ...row }) => ({ ...row, isWithdrawn: withdrawn === 1 }))
  }

  roots(publishers: readonly Cid[], least: number): readonly Cid[] {
    return this.#db
      .all<{ root: Cid }>(
        `SELECT root FROM attestations
         WHERE publisher IN (SELECT value FROM json_each(?))
         GROUP BY root HAVING count(DISTINCT publisher) >= ? ORDER BY root`,
        JSON.stringify(publishers),
        least,
      )
      .map(({ root }) => root)
  }
}

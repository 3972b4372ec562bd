/**
 * Withdrawals of the SQLite catalogue: what publishers have taken back, and what this node's operator
 * erased here. In whatever order they come, a `restore` makes the withdrawal that it names count for
 * nothing.
 */
import type { Cid } from '../protocol/cid.ts'
import type { WithdrawBody } from '../protocol/record.ts'
import {
  type ErasureRow,
  type UnnamedRow,
  WITHDRAWALS,
  type Withdrawal,
  type WithdrawalRow,
} from './catalogue.ts'
import type { SqliteDatabase } from './sqlite-database.ts'

const RESTORE = 0
const ERASE = WITHDRAWALS.indexOf('erase') + 1
/** Whether the withdrawal `w` was taken back by its own publisher. */
const IS_RESTORED = `EXISTS (SELECT 1 FROM withdrawals r
  WHERE r.publisher = w.publisher AND r.target = w.record AND r.verb = ${RESTORE})`

/** Whether the withdrawal `w` stands. */
export const STANDS = `w.verb <> ${RESTORE} AND NOT ${IS_RESTORED}`

interface ErasureColumns {
  readonly record: Cid
  readonly since: number
  readonly here: number
}

export class SqliteWithdrawals {
  readonly #db: SqliteDatabase

  constructor(db: SqliteDatabase) {
    this.#db = db
  }

  /** @returns the model that may be withdrawn otherwise now, if it is here */
  put(record: Cid, publisher: Cid, { target, verb }: WithdrawBody): Cid {
    const rank = verb === 'restore' ? RESTORE : WITHDRAWALS.indexOf(verb) + 1
    this.#db.run(
      'INSERT INTO withdrawals (publisher, target, record, verb) VALUES (?, ?, ?, ?)',
      publisher,
      target,
      record,
      rank,
    )
    return rank === RESTORE ? this.#targetOf(publisher, target) : target
  }

  /** Takes one back as if it had never come. @returns as {@link put}; null: it was none */
  remove(record: Cid, publisher: Cid): Cid | null {
    const row = this.#db.get<{ target: Cid; verb: number }>(
      'DELETE FROM withdrawals WHERE publisher = ? AND record = ? RETURNING target, verb',
      publisher,
      record,
    )
    if (row === undefined) return null
    return row.verb === RESTORE ? this.#targetOf(publisher, row.target) : row.target
  }

  /** What a withdrawal withdraws; itself where it is not known here. */
  #targetOf(publisher: Cid, withdrawal: Cid): Cid {
    const row = this.#db.get<{ target: Cid }>(
      'SELECT target FROM withdrawals WHERE publisher = ? AND record = ?',
      publisher,
      withdrawal,
    )
    return row?.target ?? withdrawal
  }

  /** Rank of the strongest verb that stands; 0: not withdrawn. */
  strongest(publisher: Cid, target: Cid): number {
    const here = this.#db.get('SELECT 1 FROM erasures WHERE record = ? AND here = 1', target)
    if (here !== undefined) return ERASE
    const row = this.#db.get<{ verb: number | null }>(
      `SELECT max(verb) AS verb FROM withdrawals w
       WHERE publisher = ? AND target = ? AND ${STANDS}`,
      publisher,
      target,
    )
    return row?.verb ?? 0
  }

  list(publisher: Cid, target: Cid): readonly WithdrawalRow[] {
    return this.#db
      .all<{ record: Cid; verb: number; restored: number }>(
        `SELECT record, verb, ${IS_RESTORED} AS restored FROM withdrawals w
         WHERE publisher = ? AND target = ? AND verb <> ${RESTORE} ORDER BY record`,
        publisher,
        target,
      )
      .map(({ record, verb, restored }) => ({
        record,
        // SAFE: `put` wrote the column.
        verb: WITHDRAWALS[verb - 1] as Withdrawal,
        isRestored: restored === 1,
      }))
  }

  note(now: number): void {
    this.#db.run(
      `INSERT OR IGNORE INTO erasures SELECT record, ?, 0 FROM models WHERE withdrawn = ${ERASE}`,
      now,
    )
    this.#db.run(
      `DELETE FROM erasures WHERE here = 0
         AND record NOT IN (SELECT record FROM models WHERE withdrawn = ${ERASE})`,
    )
  }

  eraseHere(record: Cid, now: number): void {
    this.#db.run(
      `INSERT INTO erasures VALUES (?, ?, 1) ON CONFLICT (record) DO UPDATE SET here = 1`,
      record,
      now,
    )
  }

  restoreHere(record: Cid): void {
    this.#db.run('UPDATE erasures SET here = 0 WHERE record = ?', record)
  }

  erasures(): readonly ErasureRow[] {
    return this.#db.all<ErasureColumns>('SELECT * FROM erasures ORDER BY record').map(toErasure)
  }

  unstripped(): readonly ErasureRow[] {
    return this.#db
      .all<ErasureColumns>(
        `SELECT e.record, e.since, e.here FROM erasures e JOIN models m ON m.record = e.record
         WHERE m.withdrawn = ${ERASE} AND
           (m.carded = 1 OR EXISTS (SELECT 1 FROM model_files f WHERE f.model = m.id))
         ORDER BY e.record`,
      )
      .map(toErasure)
  }

  /** Dooms the blobs among these that no model names. */
  doomUnnamed(cids: readonly Cid[]): void {
    for (const cid of cids) {
      this.#db.run(
        `INSERT OR IGNORE INTO doomed SELECT ?
         WHERE NOT EXISTS (SELECT 1 FROM model_files WHERE cid = ?)`,
        cid,
        cid,
      )
    }
  }

  doomed(): readonly Cid[] {
    return this.#db.all<{ cid: Cid }>('SELECT cid FROM doomed ORDER BY cid').map((row) => row.cid)
  }

  dropBlob(cid: Cid): void {
    this.#db.run('DELETE FROM trees WHERE cid = ?', cid)
    this.spare(cid)
  }

  spare(cid: Cid): void {
    this.#db.run('DELETE FROM doomed WHERE cid = ?', cid)
  }

  /** Writes nothing where nothing has changed: the disk may be full. */
  noteUnnamed(cids: readonly Cid[], now: number): readonly UnnamedRow[] {
    const before = new Map(
      this.#db
        .all<UnnamedRow>('SELECT cid, since FROM unnamed')
        .map(({ cid, since }) => [cid, since]),
    )
    const rows = [...cids]
      .sort()
      .map((cid) => ({ cid, since: Math.min(before.get(cid) ?? now, now) }))
    for (const { cid, since } of rows) {
      if (before.get(cid) !== since) {
        this.#db.run('INSERT OR REPLACE INTO unnamed VALUES (?, ?)', cid, since)
      }
      before.delete(cid)
    }
    for (const cid of before.keys()) this.#db.run('DELETE FROM unnamed WHERE cid = ?', cid)
    return rows
  }
}

const toErasure = ({ record, since, here }: ErasureColumns): ErasureRow => ({
  record,
  since,
  isHere: here === 1,
})

/**
 * Profiles, tags and rosters of the SQLite catalogue: statements of which a later one replaces an earlier,
 * in whatever order they come. Of those that none replaces, the greatest record id stands.
 */
import type { Cid } from '../protocol/cid.ts'
import type { RosterBody, TagBody } from '../protocol/record.ts'
import type { ConflictRow, LastRoster, ProfileRow, RosterRow, TagRow } from './catalogue.ts'
import { plain, type SqliteDatabase } from './sqlite-database.ts'
import { STANDS } from './sqlite-withdrawals.ts'

interface ProfileColumns extends Omit<ProfileRow, 'displayName' | 'replaces'> {
  readonly display_name: string
  readonly replaces: string
}

export class SqliteNames {
  readonly #db: SqliteDatabase

  constructor(db: SqliteDatabase) {
    this.#db = db
  }

  /** @returns whether the publisher goes by another label or name now */
  putProfile(profile: ProfileRow): boolean {
    const { record, publisher, envelope, label, displayName, handle, url, ror, replaces } = profile
    const before = this.profile(publisher)
    this.#db.run(
      'INSERT OR IGNORE INTO profiles VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)',
      record,
      publisher,
      envelope,
      label,
      displayName,
      handle,
      url,
      ror,
      JSON.stringify(replaces),
    )
    this.#replace(publisher, record, replaces)
    return isRenamed(before, this.profile(publisher))
  }

  profile(publisher: Cid): ProfileRow | null {
    const row = this.#db.get<ProfileColumns>(
      `SELECT * FROM profiles p WHERE p.publisher = ? AND NOT EXISTS
         (SELECT 1 FROM replaced r WHERE r.publisher = p.publisher AND r.record = p.record)
       ORDER BY p.record DESC LIMIT 1`,
      publisher,
    )
    return row === undefined ? null : toProfile(row)
  }

  profilesByLabel(label: string): readonly ProfileRow[] {
    return this.#db
      .all<{ publisher: Cid }>(
        'SELECT DISTINCT publisher FROM profiles WHERE label = ? ORDER BY publisher',
        label,
      )
      .flatMap(({ publisher }) => this.profile(publisher) ?? [])
      .filter((profile) => profile.label === label)
  }

  putTag(record: Cid, publisher: Cid, { name, tag, target, replaces }: TagBody): void {
    this.#db.run('INSERT INTO tags VALUES (?, ?, ?, ?, ?)', record, publisher, name, tag, target)
    this.#replace(publisher, record, replaces)
  }

  tags(publisher: Cid, name: string, tag: string): readonly TagRow[] {
    return this.#db.all<TagRow>(
      `SELECT record, target FROM tags t WHERE publisher = ? AND name = ? AND tag = ? AND NOT EXISTS
         (SELECT 1 FROM replaced r WHERE r.publisher = t.publisher AND r.record = t.record)
       ORDER BY record DESC`,
      publisher,
      name,
      tag,
    )
  }

  putRoster({ record, publisher, envelope, body }: RosterRow): void {
    this.#db.run(
      'INSERT OR IGNORE INTO rosters VALUES (?, ?, ?, ?, ?)',
      record,
      publisher,
      body.name,
      envelope,
      JSON.stringify(body),
    )
    this.#replace(publisher, record, body.replaces)
  }

  rosters(publisher: Cid): readonly LastRoster[] {
    return this.#db
      .all<Omit<LastRoster, 'isWithdrawn'> & { readonly withdrawn: 0 | 1 }>(
        `SELECT record, name, EXISTS
           (SELECT 1 FROM withdrawals w WHERE w.publisher = t.publisher AND w.target = t.record
             AND ${STANDS}) AS withdrawn
         FROM rosters t WHERE publisher = ? AND NOT EXISTS
           (SELECT 1 FROM replaced r WHERE r.publisher = t.publisher AND r.record = t.record)
         ORDER BY name, record DESC`,
        publisher,
      )
      .map(({ withdrawn, ...row }) => ({ ...row, isWithdrawn: withdrawn === 1 }))
  }

  roster(record: Cid): RosterRow | null {
    const row = this.#db.get<Omit<RosterRow, 'body'> & { readonly body: string }>(
      'SELECT record, publisher, envelope, body FROM rosters WHERE record = ?',
      record,
    )
    if (row === undefined) return null
    const { envelope, body } = row
    // SAFE: `putRoster` wrote the column.
    return { ...row, envelope: plain(envelope), body: JSON.parse(body) as RosterBody }
  }

  isReplaced(publisher: Cid, record: Cid): boolean {
    const sql = 'SELECT 1 FROM replaced WHERE publisher = ? AND record = ?'
    return this.#db.get(sql, publisher, record) !== undefined
  }

  conflicts(): readonly ConflictRow[] {
    const standing = (table: string): string =>
      `FROM ${table} t WHERE NOT EXISTS
         (SELECT 1 FROM replaced r WHERE r.publisher = t.publisher AND r.record = t.record)`
    const rows = this.#db.all<{
      publisher: Cid
      kind: ConflictRow['kind']
      name: string
      records: string
    }>(
      `SELECT publisher, kind, name, group_concat(record) AS records FROM (
         SELECT publisher, 'profile' AS kind, '' AS name, record ${standing('profiles')}
         UNION ALL SELECT publisher, 'roster', name, record ${standing('rosters')}
         UNION ALL SELECT publisher, 'tag', name || '@' || tag, record ${standing('tags')}
       ) GROUP BY publisher, kind, name HAVING count(*) > 1 ORDER BY publisher, kind, name`,
    )
    return rows.map(({ records, ...row }) => ({
      ...row,
      // SAFE: content ids, which have no comma.
      records: records.split(',').sort().reverse() as Cid[],
    }))
  }

  /** Takes back a profile, tag or roster. @returns whether the publisher goes by another label or name now */
  remove(publisher: Cid, record: Cid): boolean {
    const before = this.profile(publisher)
    this.#db.run('DELETE FROM profiles WHERE record = ?', record)
    this.#db.run('DELETE FROM tags WHERE record = ?', record)
    this.#db.run('DELETE FROM rosters WHERE record = ?', record)
    this.#db.run('DELETE FROM replaced WHERE publisher = ? AND replacement = ?', publisher, record)
    return isRenamed(before, this.profile(publisher))
  }

  #replace(publisher: Cid, replacement: Cid, records: readonly Cid[]): void {
    for (const record of records) {
      this.#db.run(
        'INSERT OR IGNORE INTO replaced VALUES (?, ?, ?)',
        publisher,
        record,
        replacement,
      )
    }
  }
}

const isRenamed = (before: ProfileRow | null, now: ProfileRow | null): boolean =>
  before?.label !== now?.label || before?.displayName !== now?.displayName

const toProfile = ({ display_name, replaces, envelope, ...row }: ProfileColumns): ProfileRow => ({
  ...row,
  envelope: plain(envelope),
  displayName: display_name,
  // SAFE: `putProfile` wrote the column.
  replaces: JSON.parse(replaces) as Cid[],
})

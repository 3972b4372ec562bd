/** The models' part of the SQLite catalogue: rows, index and search. */
import type { Cid } from '../protocol/cid.ts'
import type { ModelBody } from '../protocol/record.ts'
import { withoutCard } from './card-index.ts'
import {
  type ModelFileRow,
  type ModelPage,
  type ModelQuery,
  type ModelRow,
  type ProfileRow,
  type RecordIndex,
  WITHDRAWALS,
} from './catalogue.ts'
import {
  formatCursor,
  inputFacets,
  modelText,
  pageSize,
  parseCursor,
  queryAxes,
  queryWords,
  TEXT_WEIGHTS,
  wordsOf,
} from './model-index.ts'
import type { SqliteDatabase } from './sqlite-database.ts'
import type { SqliteWithdrawals } from './sqlite-withdrawals.ts'

interface Row {
  id: number
  record: Cid
  publisher: Cid
  name: string
  version: string
  root: Cid
  card: Cid
  ts: number
  description: string
  files: string
  aliases: string
  tested: string
  unreadable: string | null
  withdrawn: number
}

/** A found model: its row, its sort key, and with words the number of all hits. */
interface Hit {
  readonly id: number
  readonly key: number | string
  readonly total?: number
}

/** A model record that was just appended. */
export interface NewModel {
  /** Row of the record. */
  readonly id: number
  readonly record: Cid
  readonly publisher: Cid
  readonly body: ModelBody
  readonly ts: number
  readonly time: number
  readonly epoch: number
  readonly seq: number
  readonly index: RecordIndex
}

type StandingProfile = (publisher: Cid) => Pick<ProfileRow, 'label' | 'displayName'> | null

/** Tables with rows of a model, but its full text. */
const DETAILS = ['model_details', 'model_inputs', 'model_tags', 'model_aliases', 'model_files']
/** Pages of the full text that are merged at once: a few milliseconds. */
const SCRUB_PAGES = 64
const NEWEST_FIRST = 'ORDER BY time DESC, epoch DESC, seq DESC, record DESC'
const BM25 = `bm25(model_text, ${Object.values(TEXT_WEIGHTS).join(', ')})`
/** Expression that a page is sorted by, and its direction; equal keys go by row, likewise. */
const SORTS = {
  relevance: { key: BM25, order: 'ASC', after: '>' },
  newest: { key: 'm.time', order: 'DESC', after: '<' },
  name: { key: 'm.name', order: 'ASC', after: '>' },
} as const

export class SqliteModels {
  readonly #db: SqliteDatabase
  readonly #withdrawals: SqliteWithdrawals
  readonly #profile: StandingProfile

  constructor(db: SqliteDatabase, withdrawals: SqliteWithdrawals, profile: StandingProfile) {
    this.#db = db
    this.#withdrawals = withdrawals
    this.#profile = profile
  }

  insert(model: NewModel): void {
    const { id, record, publisher, body, index } = model
    this.#db.run(
      `INSERT INTO models (id, record, publisher, name, version, root, card, ts, time, epoch, seq,
         tested, withdrawn) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      id,
      record,
      publisher,
      body.name,
      body.version,
      body.root,
      body.card,
      model.ts,
      model.time,
      model.epoch,
      model.seq,
      body.tested,
      this.#withdrawals.strongest(publisher, record),
    )
    this.#insertDetails(id, publisher, body, index)
    this.#chooseNewest(publisher, body.name)
  }

  /** Derives anew what the card of a model says. */
  reindex(record: Cid, index: RecordIndex): void {
    const row = this.#db.get<{ id: number }>('SELECT id FROM models WHERE record = ?', record)
    const model = this.get(record)
    if (row === undefined || model === null) return
    this.#deleteDetails(row.id)
    this.#insertDetails(row.id, model.publisher, model, index)
  }

  #insertDetails(
    id: number,
    publisher: Cid,
    { name, files, aliases }: Pick<ModelBody, 'name' | 'aliases'> & Pick<ModelRow, 'files'>,
    index: RecordIndex,
  ): void {
    const { description } = index
    if (description === undefined) throw new TypeError('a model record comes with a description')
    this.#db.run(
      'UPDATE models SET license = ?, carded = ? WHERE id = ?',
      description.license?.toLowerCase() ?? null,
      index.isCardless === true ? 0 : 1,
      id,
    )
    this.#db.run(
      'INSERT INTO model_details VALUES (?, ?, ?, ?, ?)',
      id,
      JSON.stringify(description),
      JSON.stringify(files),
      JSON.stringify(aliases),
      index.unreadable ? JSON.stringify(index.unreadable) : null,
    )
    for (const input of inputFacets(description)) {
      const { axes, dtype, channels, channelStep } = input
      this.#db.run(
        'INSERT INTO model_inputs (axes, dtype, channels, channel_step, model) VALUES (?, ?, ?, ?, ?)',
        axes,
        dtype,
        channels,
        channelStep,
        id,
      )
    }
    for (const tag of new Set(description.tags.map((each) => each.toLowerCase()))) {
      this.#db.run('INSERT INTO model_tags (tag, model) VALUES (?, ?)', tag, id)
    }
    for (const alias of new Set(aliases)) {
      this.#db.run('INSERT INTO model_aliases (alias, model) VALUES (?, ?)', alias, id)
    }
    for (const cid of new Set(files.map((file) => file.cid))) {
      this.#db.run('INSERT INTO model_files (cid, model) VALUES (?, ?)', cid, id)
    }
    this.#insertText(id, publisher, { name, aliases, description })
  }

  #deleteDetails(id: number): void {
    for (const table of DETAILS) this.#db.run(`DELETE FROM ${table} WHERE model = ?`, id)
    this.#db.run('DELETE FROM model_text WHERE rowid = ?', id)
  }

  /** Takes back a model, if the record is one. */
  remove(publisher: Cid, id: number): void {
    const row = this.#db.get<{ name: string }>('SELECT name FROM models WHERE id = ?', id)
    if (row === undefined) return
    this.#deleteDetails(id)
    this.#db.run('DELETE FROM models WHERE id = ?', id)
    this.#chooseNewest(publisher, row.name)
  }

  /** Takes over how a model is withdrawn, if it is here. */
  withdraw(target: Cid): void {
    const row = this.#db.get<Pick<Row, 'id' | 'publisher' | 'name' | 'version'>>(
      'SELECT id, publisher, name, version FROM models WHERE record = ?',
      target,
    )
    if (row === undefined) return
    const { id, publisher, name, version } = row
    const verb = this.#withdrawals.strongest(publisher, target)
    this.#db.run('UPDATE models SET withdrawn = ? WHERE id = ?', verb, id)
    this.#chooseNewest(publisher, name)
    const isStripped =
      this.#db.get('SELECT 1 FROM model_files WHERE model = ? LIMIT 1', id) === undefined
    // It stands again and wants its files, with which its card comes.
    if (isStripped && WITHDRAWALS[verb - 1] !== 'erase')
      this.reindex(target, withoutCard({ name, version }))
  }

  /** Removes what was derived from the card of a model, its claims, and the card if none has it. */
  strip(record: Cid): void {
    const model = this.get(record)
    const row = this.#db.get<{ id: number }>('SELECT id FROM models WHERE record = ?', record)
    if (model === null || row === undefined) return
    const { id } = row
    const { description, unreadable } = withoutCard(model)
    this.#deleteDetails(id)
    this.#db.run('UPDATE models SET license = NULL, carded = 0 WHERE id = ?', id)
    this.#db.run(
      'INSERT INTO model_details VALUES (?, ?, ?, ?, ?)',
      id,
      JSON.stringify(description),
      JSON.stringify(model.files),
      JSON.stringify(model.aliases),
      JSON.stringify(unreadable),
    )
    this.#db.run(
      'DELETE FROM cards WHERE cid = ? AND NOT EXISTS (SELECT 1 FROM models WHERE card = ? AND carded = 1)',
      model.card,
      model.card,
    )
  }

  /**
   * Merges pages of the full text: it keeps the words of a removed row until the segment that has them
   * is written anew. By SQLite's book, a negative number begins anew, and fewer than 2 changes end it.
   */
  scrubText(isFirst: boolean): boolean {
    const changes = (): number => this.#db.get<{ n: number }>('SELECT total_changes() AS n')?.n ?? 0
    const before = changes()
    const pages = isFirst ? -SCRUB_PAGES : SCRUB_PAGES
    this.#db.run("INSERT INTO model_text (model_text, rank) VALUES ('merge', ?)", pages)
    return changes() - before >= 2
  }

  withoutCard(): readonly Cid[] {
    return this.#db
      .all<{ record: Cid }>(
        'SELECT record FROM models WHERE carded = 0 AND withdrawn < ? ORDER BY record',
        WITHDRAWALS.indexOf('erase') + 1,
      )
      .map((row) => row.record)
  }

  /** Writes the full text of a publisher's models anew: its label or name has changed. */
  renamePublisher(publisher: Cid): void {
    for (const { id } of this.#db.all<{ id: number }>(
      'SELECT id FROM models WHERE publisher = ? AND carded = 1',
      publisher,
    )) {
      const model = this.#one('WHERE id = ?', id)
      this.#db.run('DELETE FROM model_text WHERE rowid = ?', id)
      if (model !== null) this.#insertText(id, publisher, model)
    }
  }

  get(record: Cid): ModelRow | null {
    return this.#one('WHERE record = ?', record)
  }

  versions(publisher: Cid, name: string): readonly ModelRow[] {
    return this.#many(`WHERE publisher = ? AND name = ? ${NEWEST_FIRST}`, publisher, name)
  }

  byAlias(alias: string): readonly ModelRow[] {
    return this.#many(
      'WHERE id IN (SELECT model FROM model_aliases WHERE alias = ?) ORDER BY record',
      alias,
    )
  }

  byRoot(root: Cid): readonly ModelRow[] {
    return this.#many('WHERE root = ? ORDER BY record', root)
  }

  ids(publisher: Cid): readonly Cid[] {
    return this.#db
      .all<{ record: Cid }>(
        'SELECT record FROM models WHERE publisher = ? AND withdrawn <= ? ORDER BY id',
        publisher,
        WITHDRAWALS.indexOf('yank') + 1,
      )
      .map((row) => row.record)
  }

  withFile(cid: Cid): readonly Cid[] {
    return this.#db
      .all<{ record: Cid }>(
        `SELECT record FROM models WHERE id IN (SELECT model FROM model_files WHERE cid = ?)
         ORDER BY record`,
        cid,
      )
      .map((row) => row.record)
  }

  countOf(publisher: Cid): number {
    return (
      this.#db.get<{ n: number }>('SELECT count(*) AS n FROM models WHERE publisher = ?', publisher)
        ?.n ?? 0
    )
  }

  blobsOf(publisher: Cid): readonly Cid[] {
    return this.#db
      .all<{ cid: Cid }>(
        `SELECT DISTINCT f.cid FROM models m JOIN model_files f ON f.model = m.id
         WHERE m.publisher = ? ORDER BY f.cid`,
        publisher,
      )
      .map((row) => row.cid)
  }

  count(): number {
    return this.#db.get<{ n: number }>('SELECT count(*) AS n FROM models')?.n ?? 0
  }

  search(query: ModelQuery): ModelPage {
    const limit = pageSize(query)
    const words = queryWords(query.text)
    const asked = query.sort ?? 'relevance'
    const sort = words === null && asked === 'relevance' ? 'newest' : asked
    const cursor = parseCursor(query.cursor, sort)
    if (words?.length === 0) return { items: [], total: 0, next: null }

    const { key, order, after } = SORTS[sort]
    const where = conditions(query, words)
    const source =
      words === null ? 'models m' : 'model_text JOIN models m ON m.id = model_text.rowid'
    const hits = `SELECT m.id AS id, ${key} AS key FROM ${source} WHERE ${where.sql.join(' AND ')}`
    const rest = `${cursor === null ? '' : `WHERE (key, id) ${after} (?, ?)`}
      ORDER BY key ${order}, id ${order} LIMIT ?`
    const values = [...(cursor === null ? [] : [cursor.key, cursor.row]), limit + 1]
    // Hits of words are found once, for the page and the count; without words, a page walks an
    // index and stops at its end.
    const page: Hit[] =
      words === null
        ? this.#db.all(`SELECT id, key FROM (${hits}) ${rest}`, ...where.values, ...values)
        : this.#db.all(
            `WITH hits AS MATERIALIZED (${hits})
             SELECT id, key, (SELECT count(*) FROM hits) AS total FROM hits ${rest}`,
            ...where.values,
            ...values,
          )
    const total =
      page[0]?.total ??
      this.#db.get<{ n: number }>(`SELECT count(*) AS n FROM (${hits})`, ...where.values)?.n ??
      0
    const shown = page.slice(0, limit)
    const last = page.length > limit ? shown.at(-1) : undefined
    return {
      items: shown.flatMap(({ id }) => this.#one('WHERE id = ?', id) ?? []),
      total,
      next: last === undefined ? null : formatCursor(sort, { key: last.key, row: last.id }),
    }
  }

  #insertText(
    id: number,
    publisher: Cid,
    model: Pick<ModelRow, 'name' | 'aliases' | 'description'>,
  ): void {
    const text = modelText(model, this.#profile(publisher))
    const fold = (value: string): string => wordsOf(value).join(' ')
    this.#db.run(
      'INSERT INTO model_text (rowid, name, tags, people, description) VALUES (?, ?, ?, ?, ?)',
      id,
      fold(text.name),
      fold(text.tags),
      fold(text.people),
      fold(text.description),
    )
  }

  /** Of the versions of a name, a search lists the newest one that stands. */
  #chooseNewest(publisher: Cid, name: string): void {
    this.#db.run(
      'UPDATE models SET newest = 0 WHERE publisher = ? AND name = ? AND newest = 1',
      publisher,
      name,
    )
    this.#db.run(
      `UPDATE models SET newest = 1 WHERE id = (
         SELECT id FROM models WHERE publisher = ? AND name = ? AND withdrawn = 0
         ${NEWEST_FIRST} LIMIT 1)`,
      publisher,
      name,
    )
  }

  #one(where: string, value: string | number): ModelRow | null {
    return this.#many(where, value)[0] ?? null
  }

  #many(where: string, ...values: (string | number)[]): readonly ModelRow[] {
    return this.#db
      .all<Row>(
        `SELECT id, record, publisher, name, version, root, card, ts, description, files, aliases,
           tested, unreadable, withdrawn
         FROM models JOIN model_details ON model_details.model = models.id ${where}`,
        ...values,
      )
      .map(toModel)
  }
}

/** The conditions of a query as SQL, with their values. */
function conditions(
  query: ModelQuery,
  words: readonly string[] | null,
): { sql: string[]; values: (string | number)[] } {
  const sql = ['m.newest = 1']
  const values: (string | number)[] = []
  const add = (condition: string, ...given: (string | number)[]): void => {
    sql.push(condition)
    values.push(...given)
  }
  if (words !== null) add('model_text MATCH ?', matchOf(words))
  if (query.publisher !== undefined) add('m.publisher = ?', query.publisher)
  if (query.hidden?.length) {
    add('m.publisher NOT IN (SELECT value FROM json_each(?))', JSON.stringify(query.hidden))
  }
  if (query.license !== undefined) add('m.license = ?', query.license.toLowerCase())
  if (query.tag !== undefined) {
    add('m.id IN (SELECT model FROM model_tags WHERE tag = ?)', query.tag.toLowerCase())
  }
  const input: string[] = []
  const inputValues: (string | number)[] = []
  if (query.axes !== undefined) {
    input.push('i.axes = ?')
    inputValues.push(queryAxes(query.axes))
  }
  if (query.dtype !== undefined) {
    input.push('i.dtype = ?')
    inputValues.push(query.dtype)
  }
  if (query.channels !== undefined) {
    input.push(`(i.channels = ? OR
      (i.channel_step > 0 AND i.channels <= ? AND (? - i.channels) % i.channel_step = 0))`)
    inputValues.push(query.channels, query.channels, query.channels)
  }
  if (input.length > 0) {
    const rule = `EXISTS (SELECT 1 FROM model_inputs i WHERE i.model = m.id AND ${input.join(' AND ')})`
    add(rule, ...inputValues)
  }
  return { sql, values }
}

/** The words as an FTS5 expression; they hold letters and digits only, and are quoted besides. */
const matchOf = (words: readonly string[]): string =>
  words.map((word, n) => (n === words.length - 1 ? `"${word}" *` : `"${word}"`)).join(' ')

const toModel = (row: Row): ModelRow => ({
  record: row.record,
  publisher: row.publisher,
  name: row.name,
  version: row.version,
  root: row.root,
  card: row.card,
  ts: row.ts,
  // SAFE: this file wrote the columns.
  description: JSON.parse(row.description) as ModelRow['description'],
  files: JSON.parse(row.files) as readonly ModelFileRow[],
  aliases: JSON.parse(row.aliases) as readonly string[],
  tested: row.tested,
  withdrawn: WITHDRAWALS[row.withdrawn - 1] ?? null,
  unreadable:
    row.unreadable === null ? null : (JSON.parse(row.unreadable) as ModelRow['unreadable']),
})

/** The catalogue on disk. Every statement of SQL stands in the sqlite-*.ts files. */
import type { Cid } from '../protocol/cid.ts'
import type { LogRecord, Position, SignedRecord } from '../protocol/record.ts'
import {
  type AttestationRow,
  type Catalogue,
  type ConflictRow,
  type ErasureRow,
  type HeadRow,
  type HoldingsRow,
  type Intake,
  type KeyId,
  type LastRoster,
  type LogRow,
  type ModelPage,
  type ModelQuery,
  type ModelRow,
  type PeerRow,
  type ProfileRow,
  type Proof,
  type ProofRow,
  type RecordIndex,
  type RecordRow,
  type RivalBranch,
  type RosterRow,
  type TagRow,
  type TokenRow,
  type UnnamedRow,
  type UseRow,
  WITHDRAWALS,
  type Withdrawal,
  type WithdrawalRow,
} from './catalogue.ts'
import { type MentionRow, mentionsOf } from './mention.ts'
import { profileOf } from './profile.ts'
import { SqliteAttestations } from './sqlite-attestations.ts'
import { plain, SqliteDatabase } from './sqlite-database.ts'
import { SqliteEvidence } from './sqlite-evidence.ts'
import { SqliteModels } from './sqlite-models.ts'
import { SqliteNames } from './sqlite-names.ts'
import { SqliteWithdrawals } from './sqlite-withdrawals.ts'

interface LogColumns extends Omit<LogRow, 'head' | 'headIssued' | 'proof'> {
  readonly head: Uint8Array | null
  readonly issued: number | null
  readonly first: Uint8Array | null
  readonly second: Uint8Array | null
}

/** What may be here of a publisher without records. */
const TABLES_OF_STRANGERS = [
  'publishers',
  'identity_ops',
  'identity_rivals',
  'heads',
  'profiles',
  'rosters',
  'replaced',
  'evidence',
  'intake',
  'proofs',
  'holdings',
]
const RECORDS = 'SELECT record AS id, kind, envelope FROM records'
const ofLog = (column: string, table: string): string =>
  `(SELECT ${column} FROM ${table} WHERE publisher = l.publisher AND key = l.key)`
/** Subqueries: SQLite takes nine times as long for a row where two outer joins find nothing. */
const LOGS = `SELECT l.publisher, l.key, l.epoch, l.seq, l.tip,
  ${ofLog('first', 'proofs')} AS first, ${ofLog('second', 'proofs')} AS second,
  ${ofLog('envelope', 'heads')} AS head, ${ofLog('issued', 'heads')} AS issued FROM logs l`

export class SqliteCatalogue implements Catalogue {
  readonly #db: SqliteDatabase
  readonly #models: SqliteModels
  readonly #names: SqliteNames
  readonly #attestations: SqliteAttestations
  readonly #withdrawals: SqliteWithdrawals
  readonly #evidence: SqliteEvidence

  /** @param file as SqliteDatabase takes it; @throws ZoariumError NEWER_STORE, STORE, DISK_FULL */
  constructor(file: ConstructorParameters<typeof SqliteDatabase>[0]) {
    this.#db = new SqliteDatabase(file)
    this.#names = new SqliteNames(this.#db)
    this.#withdrawals = new SqliteWithdrawals(this.#db)
    this.#models = new SqliteModels(this.#db, this.#withdrawals, (each) => this.profile(each))
    this.#attestations = new SqliteAttestations(this.#db)
    this.#evidence = new SqliteEvidence(this.#db, {
      models: this.#models,
      names: this.#names,
      withdrawals: this.#withdrawals,
      attestations: this.#attestations,
    })
  }

  transaction<T>(work: () => T): T {
    return this.#db.transaction(work)
  }

  close(): void {
    this.#db.close()
  }

  // Identity chains

  putIdentityOp(publisher: Cid, n: number, envelope: Uint8Array): void {
    this.transaction(() => {
      this.#db.run('INSERT OR IGNORE INTO publishers (publisher) VALUES (?)', publisher)
      this.#db.run('INSERT INTO identity_ops VALUES (?, ?, ?)', publisher, n, envelope)
    })
  }

  identityOps(publisher: Cid, from = 0): readonly Uint8Array[] {
    return this.#envelopes(
      'SELECT envelope FROM identity_ops WHERE publisher = ? AND n >= ? ORDER BY n',
      publisher,
      from,
    )
  }

  dropIdentityOps(publisher: Cid, from: number): void {
    this.#db.run('DELETE FROM identity_ops WHERE publisher = ? AND n >= ?', publisher, from)
  }

  putRival(publisher: Cid, branch: RivalBranch): void {
    this.transaction(() => this.#evidence.putRival(publisher, branch))
  }

  rival(publisher: Cid): RivalBranch | null {
    return this.#evidence.rival(publisher)
  }

  publishers(): readonly Cid[] {
    return this.#db
      .all<{ publisher: Cid }>('SELECT publisher FROM publishers ORDER BY id')
      .map((row) => row.publisher)
  }

  dropPublisher(publisher: Cid): void {
    this.transaction(() => {
      for (const table of TABLES_OF_STRANGERS) {
        this.#db.run(`DELETE FROM ${table} WHERE publisher = ?`, publisher)
      }
    })
  }

  // Logs and records

  appendRecord(signed: SignedRecord, index: RecordIndex): void {
    const { id: record, envelope, record: payload } = signed
    const { publisher, key, epoch, seq, ts, kind } = payload
    this.transaction(() => {
      const log = this.#db.get<{ id: number; time: number }>(
        `INSERT INTO logs (publisher, key, epoch, seq, tip, time) VALUES (?, ?, ?, ?, ?, ?)
         ON CONFLICT (publisher, key) DO UPDATE SET epoch = excluded.epoch, seq = excluded.seq,
           tip = excluded.tip, time = max(time, excluded.time)
         RETURNING id, time`,
        publisher,
        key,
        epoch,
        seq,
        record,
        ts,
      )
      // SAFE: an upsert returns its row.
      const { id: logId, time } = log as { id: number; time: number }
      const row = this.#db.get<{ id: number }>(
        `INSERT INTO records (record, log, epoch, seq, kind, envelope) VALUES (?, ?, ?, ?, ?, ?)
         RETURNING id`,
        record,
        logId,
        epoch,
        seq,
        kind,
        envelope,
      )
      if (index.isLate) this.#db.run('INSERT INTO late VALUES (?)', record)
      for (const target of mentionsOf(payload)) {
        this.#db.run('INSERT OR IGNORE INTO mentions VALUES (?, ?, ?)', target, record, publisher)
      }
      if (payload.kind === 'model') {
        const { body } = payload
        this.#putCard(body.card, index)
        // SAFE: an insert returns its row.
        const { id } = row as { id: number }
        this.#models.insert({ id, record, publisher, body, ts, time, epoch, seq, index })
      } else {
        this.#indexStatement(signed, payload)
      }
    })
  }

  #putCard(cid: Cid, { card }: RecordIndex): void {
    if (card !== undefined) this.#db.run('INSERT OR IGNORE INTO cards VALUES (?, ?)', cid, card)
  }

  #indexStatement(signed: SignedRecord, record: LogRecord): void {
    const { publisher } = record
    if (record.kind === 'withdraw') {
      this.#models.withdraw(this.#withdrawals.put(signed.id, publisher, record.body))
    } else if (record.kind === 'tag') {
      this.#names.putTag(signed.id, publisher, record.body)
    } else if (record.kind === 'profile') {
      this.putProfile(profileOf(signed.id, signed.envelope, publisher, record.body))
    } else if (record.kind === 'roster') {
      const { id, envelope } = signed
      this.#names.putRoster({ record: id, publisher, envelope, body: record.body })
    } else if (record.kind === 'attest') {
      this.#attestations.put(signed.id, publisher, record.body)
    }
  }

  record(id: Cid): RecordRow | null {
    const [row] = this.#records(`${RECORDS} WHERE record = ?`, id)
    return row ?? null
  }

  recordAt(publisher: Cid, key: KeyId, { epoch, seq }: Position): RecordRow | null {
    const [row] = this.#records(
      `${RECORDS} WHERE epoch = ? AND seq = ?
         AND log = (SELECT id FROM logs WHERE publisher = ? AND key = ?)`,
      epoch,
      seq,
      publisher,
      key,
    )
    return row ?? null
  }

  recordsAfter(
    publisher: Cid,
    key: KeyId,
    after: Position | null,
    limit: number,
  ): readonly RecordRow[] {
    return this.#records(
      `${RECORDS} WHERE (epoch, seq) > (?, ?)
         AND log = (SELECT id FROM logs WHERE publisher = ? AND key = ?)
       ORDER BY epoch, seq LIMIT ?`,
      after?.epoch ?? -1,
      after?.seq ?? -1,
      publisher,
      key,
      limit,
    )
  }

  isLate(record: Cid): boolean {
    return this.#db.get('SELECT 1 FROM late WHERE record = ?', record) !== undefined
  }

  mentions(publisher: Cid, key: KeyId): readonly MentionRow[] {
    return this.#db.all<MentionRow>(
      `SELECT m.publisher AS "by", m.record, r.epoch, r.seq FROM mentions m
       JOIN records r ON r.record = m.target
       WHERE r.log = (SELECT id FROM logs WHERE publisher = ? AND key = ?) AND m.publisher <> ?
       ORDER BY r.epoch, r.seq, m.record`,
      publisher,
      key,
      publisher,
    )
  }

  log(publisher: Cid, key: KeyId): LogRow | null {
    const row = this.#db.get<LogColumns>(
      `${LOGS} WHERE l.publisher = ? AND l.key = ?`,
      publisher,
      key,
    )
    return row === undefined ? null : toLog(row)
  }

  logs(publisher?: Cid): readonly LogRow[] {
    const rows =
      publisher === undefined
        ? this.#db.all<LogColumns>(`${LOGS} ORDER BY l.publisher, l.key`)
        : this.#db.all<LogColumns>(`${LOGS} WHERE l.publisher = ? ORDER BY l.key`, publisher)
    return rows.map(toLog)
  }

  putHead(publisher: Cid, key: KeyId, envelope: Uint8Array, issued: number): void {
    this.#db.run(
      'INSERT OR REPLACE INTO heads VALUES (?, ?, ?, ?)',
      publisher,
      key,
      envelope,
      issued,
    )
  }

  heads(publisher: Cid): readonly HeadRow[] {
    return this.#db
      .all<HeadRow>(
        'SELECT key, envelope, issued FROM heads WHERE publisher = ? ORDER BY key',
        publisher,
      )
      .map((row) => ({ ...row, envelope: plain(row.envelope) }))
  }

  putProof(publisher: Cid, key: KeyId, first: Uint8Array, second: Uint8Array): void {
    this.#db.run('INSERT OR IGNORE INTO proofs VALUES (?, ?, ?, ?)', publisher, key, first, second)
  }

  proof(publisher: Cid, key: KeyId): Proof | null {
    return this.#evidence.proof(publisher, key)
  }

  proofs(publisher: Cid): readonly ProofRow[] {
    return this.#evidence.proofs(publisher)
  }

  card(cid: Cid): Uint8Array | null {
    const row = this.#db.get<{ bytes: Uint8Array }>('SELECT bytes FROM cards WHERE cid = ?', cid)
    return row === undefined ? null : plain(row.bytes)
  }

  // Evidence

  retract(publisher: Cid, key: KeyId, after: Position | null): void {
    this.transaction(() => this.#evidence.retract(publisher, key, after))
  }

  settle(publisher: Cid, key: KeyId): void {
    this.transaction(() => this.#evidence.settle(publisher, key))
  }

  putEvidence(publisher: Cid, key: KeyId, envelopes: readonly Uint8Array[]): void {
    this.transaction(() => this.#evidence.put(publisher, key, envelopes))
  }

  evidence(publisher: Cid): readonly Uint8Array[] {
    return this.#evidence.list(publisher)
  }

  countEvidence(publisher: Cid): number {
    return this.#evidence.count(publisher)
  }

  dropEvidence(publisher: Cid, envelope: Uint8Array): void {
    this.#evidence.drop(publisher, envelope)
  }

  // Profiles

  putProfile(profile: ProfileRow): void {
    this.transaction(() => {
      if (this.#names.putProfile(profile)) this.#models.renamePublisher(profile.publisher)
    })
  }

  profile(publisher: Cid): ProfileRow | null {
    return this.#names.profile(publisher)
  }

  profilesByLabel(label: string): readonly ProfileRow[] {
    return this.#names.profilesByLabel(label)
  }

  // Models

  model(record: Cid): ModelRow | null {
    return this.#models.get(record)
  }

  modelVersions(publisher: Cid, name: string): readonly ModelRow[] {
    return this.#models.versions(publisher, name)
  }

  modelsByAlias(alias: string): readonly ModelRow[] {
    return this.#models.byAlias(alias)
  }

  modelsByRoot(root: Cid): readonly ModelRow[] {
    return this.#models.byRoot(root)
  }

  modelIds(publisher: Cid): readonly Cid[] {
    return this.#models.ids(publisher)
  }

  modelCount(publisher: Cid): number {
    return this.#models.countOf(publisher)
  }

  blobsOf(publisher: Cid): readonly Cid[] {
    return this.#models.blobsOf(publisher)
  }

  intake(publisher: Cid, kind: Intake, day: number): number {
    const row = this.#db.get<{ records: number }>(
      'SELECT records FROM intake WHERE publisher = ? AND kind = ? AND day = ?',
      publisher,
      kind,
      day,
    )
    return row?.records ?? 0
  }

  countIntake(publisher: Cid, kind: Intake, day: number): void {
    this.#db.run(
      `INSERT INTO intake VALUES (?, ?, ?, 1) ON CONFLICT (publisher, kind) DO UPDATE SET
         records = CASE WHEN day = excluded.day THEN records + 1 ELSE 1 END, day = excluded.day`,
      publisher,
      kind,
      day,
    )
  }

  search(query: ModelQuery): ModelPage {
    return this.#models.search(query)
  }

  recordsWithFile(cid: Cid): readonly Cid[] {
    return this.#models.withFile(cid)
  }

  tags(publisher: Cid, name: string, tag: string): readonly TagRow[] {
    return this.#names.tags(publisher, name, tag)
  }

  // Rosters and attestations

  putRoster(roster: RosterRow): void {
    this.transaction(() => this.#names.putRoster(roster))
  }

  dropRoster(publisher: Cid, record: Cid): void {
    this.transaction(() => this.#names.remove(publisher, record))
  }

  rosters(publisher: Cid): readonly LastRoster[] {
    return this.#names.rosters(publisher)
  }

  roster(record: Cid): RosterRow | null {
    return this.#names.roster(record)
  }

  isReplaced(publisher: Cid, record: Cid): boolean {
    return this.#names.isReplaced(publisher, record)
  }

  attestations(root: Cid): readonly AttestationRow[] {
    return this.#attestations.of(root)
  }

  attestedRoots(publishers: readonly Cid[], least: number): readonly Cid[] {
    return this.#attestations.roots(publishers, least)
  }

  withdrawals(publisher: Cid, target: Cid): readonly WithdrawalRow[] {
    return this.#withdrawals.list(publisher, target)
  }

  withdrawal(publisher: Cid, target: Cid): Withdrawal | null {
    return WITHDRAWALS[this.#withdrawals.strongest(publisher, target) - 1] ?? null
  }

  modelsWithoutCard(): readonly Cid[] {
    return this.#models.withoutCard()
  }

  reindex(record: Cid, index: RecordIndex): void {
    this.transaction(() => {
      const model = this.model(record)
      if (model === null) return
      this.#putCard(model.card, index)
      this.#models.reindex(record, index)
    })
  }

  // Erasures

  noteErasures(now: number): void {
    this.transaction(() => this.#withdrawals.note(now))
  }

  erasures(): readonly ErasureRow[] {
    return this.#withdrawals.erasures()
  }

  eraseHere(record: Cid, now: number): void {
    this.transaction(() => {
      this.#withdrawals.eraseHere(record, now)
      this.#models.withdraw(record)
    })
  }

  restoreHere(record: Cid): void {
    this.transaction(() => {
      this.#withdrawals.restoreHere(record)
      this.#models.withdraw(record)
    })
  }

  strip(record: Cid): void {
    this.transaction(() => {
      const cids = (this.model(record)?.files ?? []).map(({ cid }) => cid)
      this.#models.strip(record)
      this.#withdrawals.doomUnnamed(cids)
    })
  }

  scrub(isFirst: boolean): boolean {
    return this.transaction(() => this.#models.scrubText(isFirst))
  }

  unstripped(): readonly ErasureRow[] {
    return this.#withdrawals.unstripped()
  }

  doom(cid: Cid): void {
    this.#db.run('INSERT OR IGNORE INTO doomed VALUES (?)', cid)
  }

  doomed(): readonly Cid[] {
    return this.#withdrawals.doomed()
  }

  dropBlob(cid: Cid): void {
    this.transaction(() => this.#withdrawals.dropBlob(cid))
  }

  spare(cid: Cid): void {
    this.#withdrawals.spare(cid)
  }

  noteUnnamed(cids: readonly Cid[], now: number): readonly UnnamedRow[] {
    return this.transaction(() => this.#withdrawals.noteUnnamed(cids, now))
  }

  conflicts(): readonly ConflictRow[] {
    return this.#names.conflicts()
  }

  // Blob trees

  putTree(cid: Cid, nodes: readonly Uint8Array[]): void {
    this.transaction(() => {
      nodes.forEach((node, n) => {
        this.#db.run('INSERT OR IGNORE INTO trees VALUES (?, ?, ?)', cid, n, node)
      })
    })
  }

  tree(cid: Cid): readonly Uint8Array[] | null {
    const nodes = this.#envelopes(
      'SELECT node AS envelope FROM trees WHERE cid = ? ORDER BY n',
      cid,
    )
    return nodes.length === 0 ? null : nodes
  }

  // The node's own

  holdings(): readonly HoldingsRow[] {
    return this.#db
      .all<HoldingsRow>(
        'SELECT publisher, key, current, base FROM holdings ORDER BY publisher, key',
      )
      .map(({ publisher, key, current, base }) => ({
        publisher,
        key,
        current: plain(current),
        base: base === null ? null : plain(base),
      }))
  }

  putHoldings({ publisher, key, current, base }: HoldingsRow): void {
    this.#db.run(
      `INSERT INTO holdings (publisher, key, current, base) VALUES (?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET current = excluded.current, base = excluded.base`,
      publisher,
      key,
      current,
      base,
    )
  }

  dropHoldings(publisher: Cid, key: KeyId): void {
    this.#db.run('DELETE FROM holdings WHERE publisher = ? AND key = ?', publisher, key)
  }

  uses(): readonly UseRow[] {
    return this.#db.all<UseRow>('SELECT record, used FROM uses ORDER BY used, record')
  }

  putUse({ record, used }: UseRow): void {
    this.#db.run('INSERT OR REPLACE INTO uses VALUES (?, ?)', record, used)
  }

  dropUse(record: Cid): void {
    this.#db.run('DELETE FROM uses WHERE record = ?', record)
  }

  peers(): readonly PeerRow[] {
    return this.#db
      .all<PeerRow & { addresses: string }>('SELECT * FROM peers ORDER BY seen DESC, peer')
      .map((row) => ({
        ...row,
        // SAFE: `putPeer` wrote the column.
        addresses: JSON.parse(row.addresses) as string[],
        binding: row.binding && plain(row.binding),
      }))
  }

  putPeer({ peer, addresses, publisher, binding, seen }: PeerRow): void {
    this.#db.run(
      'INSERT OR REPLACE INTO peers VALUES (?, ?, ?, ?, ?)',
      peer,
      JSON.stringify(addresses),
      publisher,
      binding,
      seen,
    )
  }

  removePeer(peer: string): void {
    this.#db.run('DELETE FROM peers WHERE peer = ?', peer)
  }

  tokens(): readonly TokenRow[] {
    return (
      this.#db
        .all<TokenRow & { scopes: string }>('SELECT * FROM tokens ORDER BY created, id')
        // SAFE: `putToken` wrote the column.
        .map((row) => ({ ...row, scopes: JSON.parse(row.scopes) as string[] }))
    )
  }

  putToken({ id, label, hash, scopes, created, expires }: TokenRow): void {
    this.#db.run(
      'INSERT OR REPLACE INTO tokens VALUES (?, ?, ?, ?, ?, ?)',
      id,
      label,
      hash,
      JSON.stringify(scopes),
      created,
      expires,
    )
  }

  removeToken(id: string): boolean {
    return this.#db.run('DELETE FROM tokens WHERE id = ?', id) > 0
  }

  setting(key: string): string | null {
    const row = this.#db.get<{ value: string }>('SELECT value FROM settings WHERE key = ?', key)
    return row?.value ?? null
  }

  putSetting(key: string, value: string): void {
    this.#db.run('INSERT OR REPLACE INTO settings VALUES (?, ?)', key, value)
  }

  counts(): { readonly records: number; readonly models: number; readonly publishers: number } {
    const count = (table: string): number =>
      this.#db.get<{ n: number }>(`SELECT count(*) AS n FROM ${table}`)?.n ?? 0
    return {
      records: count('records'),
      models: this.#models.count(),
      publishers: count('publishers'),
    }
  }

  #records(sql: string, ...values: (string | number)[]): readonly RecordRow[] {
    return this.#db
      .all<RecordRow>(sql, ...values)
      .map((row) => ({ ...row, envelope: plain(row.envelope) }))
  }

  #envelopes(sql: string, ...values: (string | number)[]): readonly Uint8Array[] {
    return this.#db.all<{ envelope: Uint8Array }>(sql, ...values).map((row) => plain(row.envelope))
  }
}

const toLog = (row: LogColumns): LogRow => ({
  publisher: row.publisher,
  key: row.key,
  epoch: row.epoch,
  seq: row.seq,
  tip: row.tip,
  head: row.head && plain(row.head),
  headIssued: row.issued ?? 0,
  proof: row.first && row.second ? [plain(row.first), plain(row.second)] : null,
})

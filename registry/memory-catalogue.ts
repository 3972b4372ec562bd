/** The catalogue in memory: the twin of the one on disk, for tests and the simulator. */
import { compareText, equalBytes } from '../protocol/bytes.ts'
import type { Cid } from '../protocol/cid.ts'
import {
  comparePositions,
  type Position,
  type SignedRecord,
  type WithdrawBody,
} from '../protocol/record.ts'
import { withoutCard } from './card-index.ts'
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
import { compare, fitsFacets, scoreOf } from './memory-search.ts'
import { History, MemoryTable } from './memory-table.ts'
import { type MentionRow, mentionsOf } from './mention.ts'
import { formatCursor, pageSize, parseCursor, queryWords } from './model-index.ts'
import { profileOf } from './profile.ts'

type Log = Omit<LogRow, 'head' | 'headIssued' | 'proof'> & {
  readonly time: number
  /** `publisher key`. */
  readonly place: string
  readonly records: readonly SignedRecord[]
}
interface Model {
  readonly row: Omit<ModelRow, 'withdrawn'>
  /** Order of coming. */
  readonly n: number
  readonly time: number
  readonly epoch: number
  readonly seq: number
  readonly isCardless: boolean
  /** It was erased, and names no blob until it stands again. */
  readonly isStripped: boolean
}
interface Tag {
  readonly record: Cid
  readonly publisher: Cid
  readonly name: string
  readonly tag: string
  readonly target: Cid
}

/** Whose a record is that names others, and which. */
interface Mention {
  readonly record: Cid
  readonly by: Cid
  readonly targets: readonly Cid[]
}

interface WithdrawalOf {
  readonly record: Cid
  /** `publisher target`. */
  readonly place: string
  readonly verb: WithdrawBody['verb']
}

interface Evidence {
  readonly key: KeyId
  readonly envelope: Uint8Array
}

/** What stands in the tables; a copy of it is a snapshot. */
const emptyState = () => ({
  operations: new Map<Cid, readonly Uint8Array[]>(),
  logs: new Map<string, Log>(),
  heads: new Map<string, HeadRow & { readonly publisher: Cid }>(),
  proofs: new Map<string, ProofRow & { readonly publisher: Cid }>(),
  records: new Map<Cid, SignedRecord>(),
  late: new Map<Cid, true>(),
  /** By the naming record. */
  mentions: new Map<Cid, Mention>(),
  cards: new Map<Cid, Uint8Array>(),
  profiles: new Map<Cid, ProfileRow>(),
  tags: new Map<Cid, Tag>(),
  rosters: new Map<Cid, RosterRow>(),
  attestations: new Map<Cid, Omit<AttestationRow, 'isWithdrawn'>>(),
  /** By the record that replaces them: `publisher record` of what it replaces. */
  replaced: new Map<Cid, readonly string[]>(),
  withdrawals: new Map<Cid, WithdrawalOf>(),
  rivals: new Map<Cid, RivalBranch>(),
  evidence: new Map<Cid, readonly Evidence[]>(),
  models: new Map<Cid, Model>(),
  trees: new Map<Cid, readonly Uint8Array[]>(),
  holdings: new Map<string, HoldingsRow>(),
  /** When. */
  uses: new Map<Cid, number>(),
  peers: new Map<string, PeerRow>(),
  tokens: new Map<string, TokenRow>(),
  settings: new Map<string, string>(),
  erasures: new Map<Cid, ErasureRow>(),
  doomed: new Map<Cid, true>(),
  /** Since when. */
  unnamed: new Map<Cid, number>(),
  /** By publisher and kind. */
  intake: new Map<string, { readonly day: number; readonly records: number }>(),
})
export type MemoryState = ReturnType<typeof emptyState>

/** Models without their card, of whatever publisher. */
const CARDLESS = 'cardless'
/** Withdrawals that erase, of whatever publisher. */
const ERASING = 'erase'

/** By what rows are asked for, apart from their key. */
const GROUPS: {
  readonly [N in keyof MemoryState]?: (row: RowOf<MemoryState[N]>) => readonly string[]
} = {
  logs: ({ publisher }) => [publisher],
  heads: ({ publisher }) => [publisher],
  proofs: ({ publisher }) => [publisher],
  holdings: ({ publisher }) => [publisher],
  mentions: ({ targets }) => targets,
  profiles: ({ publisher }) => [publisher],
  tags: ({ publisher, name, tag }) => [`${publisher} ${name} ${tag}`],
  rosters: ({ publisher }) => [publisher],
  attestations: ({ root }) => [root],
  replaced: (places) => places,
  withdrawals: ({ place, verb }) => (verb === 'erase' ? [place, ERASING] : [place]),
  models: ({ row: { publisher, name, root, card, files }, isCardless }) => [
    publisher,
    `${publisher} ${name}`,
    root,
    card,
    ...new Set(files.map(({ cid }) => `file ${cid}`)),
    ...(isCardless ? [CARDLESS] : []),
  ],
}

type RowOf<M> = M extends Map<unknown, infer V> ? V : never
type KeyOf<M> = M extends Map<infer K, unknown> ? K : never
type Tables = {
  readonly [N in keyof MemoryState]: MemoryTable<KeyOf<MemoryState[N]>, RowOf<MemoryState[N]>>
}

export class MemoryCatalogue implements Catalogue {
  readonly #history: History
  #open: Tables | null

  /**
   * @param state what is here already; it stays as it is
   * @param onWrite called before each write, which is not done where it throws: a simulated disk
   */
  constructor(
    state: MemoryState = emptyState(),
    onWrite: (grows: boolean) => void = () => undefined,
  ) {
    this.#history = new History(onWrite)
    // SAFE: each table is made under the name of its rows.
    this.#open = Object.fromEntries(
      Object.entries(state).map(([name, rows]) => [
        name,
        new MemoryTable<unknown, never>(
          this.#history,
          rows as Map<unknown, never>,
          GROUPS[name as keyof MemoryState] ?? null,
        ),
      ]),
    ) as unknown as Tables
  }

  get #tables(): Tables {
    if (this.#open === null) throw new TypeError('the catalogue is closed')
    return this.#open
  }

  /** What is here now. */
  state(): MemoryState {
    // SAFE: each map is copied under its own name.
    return Object.fromEntries(
      Object.entries(this.#tables).map(([name, table]) => [name, table.copy()]),
    ) as unknown as MemoryState
  }

  get inTransaction(): boolean {
    return this.#history.inTransaction
  }

  transaction<T>(work: () => T): T {
    return this.#history.transaction(work)
  }

  close(): void {
    this.#open = null
  }

  putIdentityOp(publisher: Cid, n: number, envelope: Uint8Array): void {
    const operations = this.identityOps(publisher)
    if (operations.length !== n) throw new TypeError(`operation ${n} after ${operations.length}`)
    this.#tables.operations.set(publisher, [...operations, envelope.slice()])
  }

  identityOps(publisher: Cid, from = 0): readonly Uint8Array[] {
    return (this.#tables.operations.get(publisher) ?? []).slice(from)
  }

  dropIdentityOps(publisher: Cid, from: number): void {
    this.#tables.operations.set(publisher, this.identityOps(publisher).slice(0, from))
  }

  putRival(publisher: Cid, branch: RivalBranch): void {
    this.#tables.rivals.set(publisher, branch)
  }

  rival(publisher: Cid): RivalBranch | null {
    return this.#tables.rivals.get(publisher) ?? null
  }

  publishers(): readonly Cid[] {
    return [...this.#tables.operations.keys()]
  }

  dropPublisher(publisher: Cid): void {
    const { operations, heads, proofs, profiles, rosters, rivals, evidence, intake, holdings } =
      this.#tables
    this.transaction(() => {
      operations.delete(publisher)
      rivals.delete(publisher)
      evidence.delete(publisher)
      for (const kind of ['records', 'profiles']) intake.delete(`${publisher} ${kind}`)
      for (const table of [heads, proofs, holdings]) {
        for (const { key } of table.of(publisher)) table.delete(`${publisher} ${key}`)
      }
      for (const table of [profiles, rosters]) {
        for (const record of table.keysOf(publisher)) table.delete(record)
      }
    })
  }

  appendRecord(signed: SignedRecord, index: RecordIndex): void {
    this.transaction(() => this.#append(signed, index))
  }

  #append(signed: SignedRecord, index: RecordIndex): void {
    const { id, record } = signed
    const { publisher, key, epoch, seq, ts } = record
    if (this.#tables.records.has(id)) throw new TypeError('the record is here already')
    const place = `${publisher} ${key}`
    const before = this.#tables.logs.get(place)
    const time = Math.max(before?.time ?? 0, ts)
    const kept = { ...signed, envelope: signed.envelope.slice() }
    this.#tables.logs.set(place, {
      place,
      publisher,
      key,
      epoch,
      seq,
      tip: id,
      time,
      records: [...(before?.records ?? []), kept],
    })
    this.#tables.records.set(id, kept)
    if (index.isLate) this.#tables.late.set(id, true)
    const targets = mentionsOf(record)
    if (targets.length > 0) this.#tables.mentions.set(id, { record: id, by: publisher, targets })
    if (record.kind === 'model') {
      const { name, version, root, card, files, aliases, tested } = record.body
      const { description, unreadable = null } = index
      if (description === undefined) throw new TypeError('a model record comes with a description')
      if (index.card !== undefined) this.#tables.cards.set(card, index.card.slice())
      const names = { publisher, name, version, root, card }
      const row = { record: id, ...names, ts, description, files, aliases, tested, unreadable }
      const isCardless = index.isCardless === true
      const order = { n: this.#nextNumber(), time, epoch, seq }
      this.#tables.models.set(id, { row, ...order, isCardless, isStripped: false })
    } else if (record.kind === 'withdraw') {
      const { target, verb } = record.body
      this.#tables.withdrawals.set(id, { record: id, place: `${publisher} ${target}`, verb })
      this.#restand()
    } else if (record.kind === 'tag') {
      const { name, tag, target, replaces } = record.body
      this.#tables.tags.set(id, { record: id, publisher, name, tag, target })
      this.#replace(publisher, id, replaces)
    } else if (record.kind === 'profile') {
      this.putProfile(profileOf(id, signed.envelope, publisher, record.body))
    } else if (record.kind === 'roster') {
      this.putRoster({ record: id, publisher, envelope: signed.envelope, body: record.body })
    } else if (record.kind === 'attest') {
      const { target, root, claim } = record.body
      this.#tables.attestations.set(id, { record: id, publisher, target, root, claim })
    }
  }

  record(id: Cid): RecordRow | null {
    const signed = this.#tables.records.get(id)
    return signed === undefined ? null : toRow(signed)
  }

  recordAt(publisher: Cid, key: KeyId, { epoch, seq }: Position): RecordRow | null {
    const [found] = this.#after(publisher, key, { epoch, seq: seq - 1 })
    return found?.record.epoch === epoch && found.record.seq === seq ? toRow(found) : null
  }

  recordsAfter(
    publisher: Cid,
    key: KeyId,
    after: Position | null,
    limit: number,
  ): readonly RecordRow[] {
    return this.#after(publisher, key, after, limit).map(toRow)
  }

  /** Records of a log after a position; it is mostly near the end. */
  #after(publisher: Cid, key: KeyId, after: Position | null, limit = 1): readonly SignedRecord[] {
    const records = this.#recordsOf(publisher, key)
    const isBefore = ({ record }: SignedRecord): boolean =>
      after !== null && comparePositions(record, after) <= 0
    const from = records.findLastIndex(isBefore) + 1
    return records.slice(from, from + limit)
  }

  isLate(record: Cid): boolean {
    return this.#tables.late.has(record)
  }

  mentions(publisher: Cid, key: KeyId): readonly MentionRow[] {
    return this.#recordsOf(publisher, key)
      .flatMap(({ id, record: { epoch, seq } }) =>
        this.#tables.mentions
          .of(id)
          .flatMap(({ record, by }) => (by === publisher ? [] : [{ by, record, epoch, seq }])),
      )
      .sort((a, b) => comparePositions(a, b) || compare(a.record, b.record))
  }

  log(publisher: Cid, key: KeyId): LogRow | null {
    const log = this.#tables.logs.get(`${publisher} ${key}`)
    return log === undefined ? null : this.#withHead(log)
  }

  #withHead({ publisher, key, epoch, seq, tip, place }: Log): LogRow {
    const { envelope: head = null, issued = 0 } = this.#tables.heads.get(place) ?? {}
    const { proof = null } = this.#tables.proofs.get(place) ?? {}
    return { publisher, key, epoch, seq, tip, head, headIssued: issued, proof }
  }

  logs(publisher?: Cid): readonly LogRow[] {
    const { logs } = this.#tables
    return (publisher === undefined ? logs.values() : logs.of(publisher))
      .toSorted((a, b) => compare(a.publisher, b.publisher) || compare(a.key, b.key))
      .map((log) => this.#withHead(log))
  }

  putHead(publisher: Cid, key: KeyId, envelope: Uint8Array, issued: number): void {
    const head = { publisher, key, envelope: envelope.slice(), issued }
    this.#tables.heads.set(`${publisher} ${key}`, head)
  }

  heads(publisher: Cid): readonly HeadRow[] {
    return this.#tables.heads
      .of(publisher)
      .map(({ key, envelope, issued }) => ({ key, envelope, issued }))
      .sort((a, b) => compare(a.key, b.key))
  }

  putProof(publisher: Cid, key: KeyId, first: Uint8Array, second: Uint8Array): void {
    const place = `${publisher} ${key}`
    if (this.#tables.proofs.has(place)) return
    const proof = [first.slice(), second.slice()] as const
    this.#tables.proofs.set(place, { publisher, key, proof })
  }

  proof(publisher: Cid, key: KeyId): Proof | null {
    return this.#tables.proofs.get(`${publisher} ${key}`)?.proof ?? null
  }

  proofs(publisher: Cid): readonly ProofRow[] {
    return this.#tables.proofs
      .of(publisher)
      .map(({ key, proof }) => ({ key, proof }))
      .sort((a, b) => compare(a.key, b.key))
  }

  card(cid: Cid): Uint8Array | null {
    return this.#tables.cards.get(cid) ?? null
  }

  retract(publisher: Cid, key: KeyId, after: Position | null): void {
    this.transaction(() => this.#retract(publisher, key, after))
  }

  #retract(publisher: Cid, key: KeyId, after: Position | null): void {
    const place = `${publisher} ${key}`
    const { logs, heads, records } = this.#tables
    heads.delete(place)
    const log = logs.get(place)
    if (log === undefined) return
    const before = this.#recordsOf(publisher, key)
    const left = before.filter(
      ({ record }) => after !== null && comparePositions(record, after) <= 0,
    )
    const gone = before.slice(left.length)
    this.putEvidence(
      publisher,
      key,
      gone.map(({ envelope }) => envelope),
    )
    const { models, tags, profiles, rosters, attestations } = this.#tables
    const { replaced, withdrawals, late, mentions } = this.#tables
    const statements = [models, tags, profiles, rosters, attestations]
    const derived = [...statements, replaced, withdrawals, late, mentions]
    for (const { id } of gone) {
      for (const table of [records, ...derived]) table.delete(id)
    }
    this.#restand()
    const newest = left.at(-1)
    if (newest === undefined) {
      logs.delete(place)
      return
    }
    const { epoch, seq } = newest.record
    const time = Math.max(...left.map(({ record }) => record.ts))
    logs.set(place, { ...log, epoch, seq, tip: newest.id, time, records: left })
  }

  settle(publisher: Cid, key: KeyId): void {
    const proof = this.proof(publisher, key)
    if (proof === null) return
    this.transaction(() => {
      this.putEvidence(publisher, key, proof)
      this.#tables.proofs.delete(`${publisher} ${key}`)
    })
  }

  putEvidence(publisher: Cid, key: KeyId, envelopes: readonly Uint8Array[]): void {
    let kept = this.#tables.evidence.get(publisher) ?? []
    for (const envelope of envelopes) {
      const isHere = kept.some((each) => each.key === key && equalBytes(each.envelope, envelope))
      if (!isHere) kept = [...kept, { key, envelope: envelope.slice() }]
    }
    this.#tables.evidence.set(publisher, kept)
  }

  evidence(publisher: Cid): readonly Uint8Array[] {
    return (this.#tables.evidence.get(publisher) ?? []).map(({ envelope }) => envelope)
  }

  countEvidence(publisher: Cid): number {
    return this.evidence(publisher).length
  }

  dropEvidence(publisher: Cid, envelope: Uint8Array): void {
    const kept = this.#tables.evidence.get(publisher) ?? []
    this.#tables.evidence.set(
      publisher,
      kept.filter((each) => !equalBytes(each.envelope, envelope)),
    )
  }

  putProfile(profile: ProfileRow): void {
    this.transaction(() => {
      this.#tables.profiles.set(profile.record, profile)
      this.#replace(profile.publisher, profile.record, profile.replaces)
    })
  }

  profile(publisher: Cid): ProfileRow | null {
    return greatest(this.#tables.profiles.of(publisher).filter((row) => !this.#isReplaced(row)))
  }

  profilesByLabel(label: string): readonly ProfileRow[] {
    const publishers = new Set(this.#tables.profiles.values().map((row) => row.publisher))
    return [...publishers]
      .sort(compare)
      .flatMap((publisher) => this.profile(publisher) ?? [])
      .filter((profile) => profile.label === label)
  }

  model(record: Cid): ModelRow | null {
    const model = this.#tables.models.get(record)
    return model === undefined ? null : this.#withWithdrawal(model)
  }

  modelVersions(publisher: Cid, name: string): readonly ModelRow[] {
    return this.#versions(publisher, name).map((model) => this.#withWithdrawal(model))
  }

  modelsByAlias(alias: string): readonly ModelRow[] {
    return this.#rowsOf(
      this.#tables.models
        .values()
        .filter(({ row, isStripped }) => row.aliases.includes(alias) && !isStripped),
    )
  }

  modelsByRoot(root: Cid): readonly ModelRow[] {
    return this.#rowsOf(this.#tables.models.of(root))
  }

  modelIds(publisher: Cid): readonly Cid[] {
    return this.#tables.models
      .of(publisher)
      .toSorted((a, b) => a.n - b.n)
      .map((model) => this.#withWithdrawal(model))
      .filter(({ withdrawn }) => withdrawn === null || withdrawn === 'yank')
      .map(({ record }) => record)
  }

  modelCount(publisher: Cid): number {
    return this.#tables.models.of(publisher).length
  }

  blobsOf(publisher: Cid): readonly Cid[] {
    const models = this.#tables.models.of(publisher).filter(({ isStripped }) => !isStripped)
    return [...new Set(models.flatMap(({ row }) => row.files.map(({ cid }) => cid)))].sort(compare)
  }

  intake(publisher: Cid, kind: Intake, day: number): number {
    const counted = this.#tables.intake.get(`${publisher} ${kind}`)
    return counted?.day === day ? counted.records : 0
  }

  countIntake(publisher: Cid, kind: Intake, day: number): void {
    const records = this.intake(publisher, kind, day) + 1
    this.#tables.intake.set(`${publisher} ${kind}`, { day, records })
  }

  search(query: ModelQuery): ModelPage {
    const limit = pageSize(query)
    const words = queryWords(query.text)
    const asked = query.sort ?? 'relevance'
    const sort = words === null && asked === 'relevance' ? 'newest' : asked
    const cursor = parseCursor(query.cursor, sort)
    const hits = this.#tables.models
      .values()
      .filter((model) => this.#isNewest(model) && fitsFacets(model.row, query))
      .flatMap((model) => {
        const score =
          words === null ? 0 : scoreOf(model.row, this.profile(model.row.publisher), words)
        if (score === null) return []
        const key = { relevance: -score, newest: model.time, name: model.row.name }[sort]
        return [{ key, row: model.n, model }]
      })
    const direction = sort === 'newest' ? -1 : 1
    const order = (a: Place, b: Place): number =>
      direction * (compare(a.key, b.key) || a.row - b.row)
    hits.sort(order)
    const rest = cursor === null ? hits : hits.filter((hit) => order(hit, cursor) > 0)
    const shown = rest.slice(0, limit)
    const last = rest.length > limit ? shown.at(-1) : undefined
    return {
      items: shown.map(({ model }) => this.#withWithdrawal(model)),
      total: hits.length,
      next: last === undefined ? null : formatCursor(sort, last),
    }
  }

  recordsWithFile(cid: Cid): readonly Cid[] {
    return this.#tables.models
      .of(`file ${cid}`)
      .flatMap(({ row, isStripped }) => (isStripped ? [] : [row.record]))
      .sort(compare)
  }

  /** What was stripped and stands again wants its files, with which its card comes. */
  #restand(): void {
    for (const { row, isStripped } of this.#tables.models.values()) {
      if (isStripped && this.withdrawal(row.publisher, row.record) !== 'erase') {
        this.reindex(row.record, withoutCard(row))
      }
    }
  }

  withdrawals(publisher: Cid, target: Cid): readonly WithdrawalRow[] {
    return this.#tables.withdrawals
      .of(`${publisher} ${target}`)
      .flatMap(({ record, verb }) =>
        verb === 'restore'
          ? []
          : [{ record, verb, isRestored: this.#isRestored(publisher, record) }],
      )
      .sort((a, b) => compare(a.record, b.record))
  }

  #isRestored(publisher: Cid, withdrawal: Cid): boolean {
    return this.#tables.withdrawals
      .of(`${publisher} ${withdrawal}`)
      .some(({ verb }) => verb === 'restore')
  }

  withdrawal(publisher: Cid, target: Cid): Withdrawal | null {
    if (this.#tables.erasures.get(target)?.isHere === true) return 'erase'
    return this.withdrawals(publisher, target)
      .filter(({ isRestored }) => !isRestored)
      .reduce<Withdrawal | null>((before, { verb }) => stronger(before, verb), null)
  }

  modelsWithoutCard(): readonly Cid[] {
    return this.#tables.models
      .of(CARDLESS)
      .map((model) => this.#withWithdrawal(model))
      .flatMap(({ record, withdrawn }) => (withdrawn === 'erase' ? [] : [record]))
      .sort(compare)
  }

  reindex(record: Cid, index: RecordIndex): void {
    const model = this.#tables.models.get(record)
    if (model === undefined) return
    const { description, unreadable = null, card, isCardless = false } = index
    if (description === undefined) throw new TypeError('a model record comes with a description')
    const row = { ...model.row, description, unreadable }
    this.transaction(() => {
      if (card !== undefined) this.#tables.cards.set(model.row.card, card.slice())
      this.#tables.models.set(record, { ...model, row, isCardless, isStripped: false })
    })
  }

  noteErasures(now: number): void {
    const { erasures, models, withdrawals } = this.#tables
    const erased = new Set(
      withdrawals.of(ERASING).flatMap(({ place }) => {
        // SAFE: a place is a publisher and a target.
        const [publisher, target] = place.split(' ') as [Cid, Cid]
        const isErased = models.has(target) && this.withdrawal(publisher, target) === 'erase'
        return isErased ? [target] : []
      }),
    )
    this.transaction(() => {
      for (const record of erased) {
        if (!erasures.has(record)) erasures.set(record, { record, since: now, isHere: false })
      }
      for (const { record, isHere } of erasures.values()) {
        if (!isHere && !erased.has(record)) erasures.delete(record)
      }
    })
  }

  erasures(): readonly ErasureRow[] {
    return [...this.#tables.erasures.values()].sort((a, b) => compare(a.record, b.record))
  }

  eraseHere(record: Cid, now: number): void {
    const since = this.#tables.erasures.get(record)?.since ?? now
    this.#tables.erasures.set(record, { record, since, isHere: true })
  }

  restoreHere(record: Cid): void {
    const erasure = this.#tables.erasures.get(record)
    this.transaction(() => {
      if (erasure !== undefined) this.#tables.erasures.set(record, { ...erasure, isHere: false })
      this.#restand()
    })
  }

  strip(record: Cid): void {
    const { models, cards, doomed } = this.#tables
    const model = models.get(record)
    if (model === undefined) return
    const { description, unreadable } = withoutCard(model.row)
    const row = { ...model.row, description, unreadable }
    const { card, files } = row
    this.transaction(() => {
      models.set(record, { ...model, row, isCardless: true, isStripped: true })
      if (models.of(card).every(({ isCardless }) => isCardless)) cards.delete(card)
      for (const { cid } of files) if (this.recordsWithFile(cid).length === 0) doomed.set(cid, true)
    })
  }

  scrub(): boolean {
    return false
  }

  unstripped(): readonly ErasureRow[] {
    return this.erasures().filter(({ record }) => {
      const model = this.#tables.models.get(record)
      return (
        model !== undefined &&
        !model.isStripped &&
        this.#withWithdrawal(model).withdrawn === 'erase'
      )
    })
  }

  doom(cid: Cid): void {
    this.#tables.doomed.set(cid, true)
  }

  doomed(): readonly Cid[] {
    return [...this.#tables.doomed.keys()].sort(compare)
  }

  dropBlob(cid: Cid): void {
    this.transaction(() => {
      this.#tables.trees.delete(cid)
      this.#tables.doomed.delete(cid)
    })
  }

  spare(cid: Cid): void {
    this.#tables.doomed.delete(cid)
  }

  noteUnnamed(cids: readonly Cid[], now: number): readonly UnnamedRow[] {
    const { unnamed } = this.#tables
    const rows = [...cids].sort(compare).map((cid) => ({
      cid,
      since: Math.min(unnamed.get(cid) ?? now, now),
    }))
    this.transaction(() => {
      for (const cid of [...unnamed.keys()]) unnamed.delete(cid)
      for (const { cid, since } of rows) unnamed.set(cid, since)
    })
    return rows
  }

  tags(publisher: Cid, name: string, tag: string): readonly TagRow[] {
    return this.#tables.tags
      .of(`${publisher} ${name} ${tag}`)
      .filter((row) => !this.#isReplaced(row))
      .sort((a, b) => compareText(b.record, a.record))
      .map(({ record, target }) => ({ record, target }))
  }

  putRoster(roster: RosterRow): void {
    this.transaction(() => {
      this.#tables.rosters.set(roster.record, { ...roster, envelope: roster.envelope.slice() })
      this.#replace(roster.publisher, roster.record, roster.body.replaces)
    })
  }

  dropRoster(_publisher: Cid, record: Cid): void {
    this.transaction(() => {
      this.#tables.rosters.delete(record)
      this.#tables.replaced.delete(record)
    })
  }

  rosters(publisher: Cid): readonly LastRoster[] {
    return this.#tables.rosters
      .of(publisher)
      .filter((row) => !this.#isReplaced(row))
      .map(({ record, body }) => ({
        record,
        name: body.name,
        isWithdrawn: this.withdrawal(publisher, record) !== null,
      }))
      .sort((a, b) => compare(a.name, b.name) || compare(b.record, a.record))
  }

  roster(record: Cid): RosterRow | null {
    return this.#tables.rosters.get(record) ?? null
  }

  isReplaced(publisher: Cid, record: Cid): boolean {
    return this.#isReplaced({ publisher, record })
  }

  conflicts(): readonly ConflictRow[] {
    const { profiles, rosters, tags } = this.#tables
    const all = [
      ...profiles.values().map((row) => ({ row, kind: 'profile' as const, name: '' })),
      ...rosters.values().map((row) => ({
        row,
        kind: 'roster' as const,
        name: row.body.name,
      })),
      ...tags.values().map((row) => ({
        row,
        kind: 'tag' as const,
        name: `${row.name}@${row.tag}`,
      })),
    ].filter(({ row }) => !this.#isReplaced(row))
    const groups = Map.groupBy(all, ({ row, kind, name }) => `${row.publisher} ${kind} ${name}`)
    return [...groups]
      .sort(([a], [b]) => compare(a, b))
      .flatMap(([, group]) => {
        const [first, second] = group
        if (first === undefined || second === undefined) return []
        const { row, kind, name } = first
        const records = group.map((each) => each.row.record).sort((a, b) => compare(b, a))
        return [{ publisher: row.publisher, kind, name, records }]
      })
  }

  attestations(root: Cid): readonly AttestationRow[] {
    return this.#tables.attestations
      .of(root)
      .map((row) => ({ ...row, isWithdrawn: this.withdrawal(row.publisher, row.record) !== null }))
      .sort((a, b) => compare(a.record, b.record))
  }

  attestedRoots(publishers: readonly Cid[], least: number): readonly Cid[] {
    const by = new Map<Cid, Set<Cid>>()
    for (const { root, publisher } of this.#tables.attestations.values()) {
      if (publishers.includes(publisher)) by.set(root, (by.get(root) ?? new Set()).add(publisher))
    }
    return [...by].flatMap(([root, all]) => (all.size >= least ? [root] : [])).sort(compare)
  }

  putTree(cid: Cid, nodes: readonly Uint8Array[]): void {
    if (nodes.length === 0) return
    this.#tables.trees.set(
      cid,
      nodes.map((node) => node.slice()),
    )
  }

  tree(cid: Cid): readonly Uint8Array[] | null {
    return this.#tables.trees.get(cid) ?? null
  }

  holdings(): readonly HoldingsRow[] {
    return [...this.#tables.holdings.values()].sort(
      (a, b) => compareText(a.publisher, b.publisher) || compareText(a.key, b.key),
    )
  }

  putHoldings({ publisher, key, current, base }: HoldingsRow): void {
    const row = { publisher, key, current: current.slice(), base: base?.slice() ?? null }
    this.#tables.holdings.set(`${publisher} ${key}`, row)
  }

  dropHoldings(publisher: Cid, key: KeyId): void {
    this.#tables.holdings.delete(`${publisher} ${key}`)
  }

  uses(): readonly UseRow[] {
    return [...this.#tables.uses.keys()]
      .map((record) => ({ record, used: this.#tables.uses.get(record) ?? 0 }))
      .sort((a, b) => a.used - b.used || compareText(a.record, b.record))
  }

  putUse({ record, used }: UseRow): void {
    this.#tables.uses.set(record, used)
  }

  dropUse(record: Cid): void {
    this.#tables.uses.delete(record)
  }

  peers(): readonly PeerRow[] {
    return [...this.#tables.peers.values()].sort(
      (a, b) => b.seen - a.seen || compare(a.peer, b.peer),
    )
  }

  putPeer(peer: PeerRow): void {
    this.#tables.peers.set(peer.peer, peer)
  }

  removePeer(peer: string): void {
    this.#tables.peers.delete(peer)
  }

  tokens(): readonly TokenRow[] {
    return [...this.#tables.tokens.values()].sort(
      (a, b) => a.created - b.created || compare(a.id, b.id),
    )
  }

  putToken(token: TokenRow): void {
    this.#tables.tokens.set(token.id, token)
  }

  removeToken(id: string): boolean {
    return this.#tables.tokens.delete(id)
  }

  setting(key: string): string | null {
    return this.#tables.settings.get(key) ?? null
  }

  putSetting(key: string, value: string): void {
    this.#tables.settings.set(key, value)
  }

  counts(): { readonly records: number; readonly models: number; readonly publishers: number } {
    const { records, models, operations } = this.#tables
    return { records: records.size, models: models.size, publishers: operations.size }
  }

  #recordsOf(publisher: Cid, key: KeyId): readonly SignedRecord[] {
    return this.#tables.logs.get(`${publisher} ${key}`)?.records ?? []
  }

  #nextNumber(): number {
    return this.#tables.models.values().reduce((most, { n }) => Math.max(most, n), -1) + 1
  }

  #replace(publisher: Cid, replacement: Cid, records: readonly Cid[]): void {
    if (records.length === 0) return
    this.#tables.replaced.set(
      replacement,
      records.map((record) => `${publisher} ${record}`),
    )
  }

  #isReplaced(row: { publisher: Cid; record: Cid }): boolean {
    return this.#tables.replaced.hasGroup(`${row.publisher} ${row.record}`)
  }

  #withWithdrawal({ row }: Model): ModelRow {
    return { ...row, withdrawn: this.withdrawal(row.publisher, row.record) }
  }

  #rowsOf(models: readonly Model[]): readonly ModelRow[] {
    return models
      .toSorted((a, b) => compare(a.row.record, b.row.record))
      .map((model) => this.#withWithdrawal(model))
  }

  #versions(publisher: Cid, name: string): readonly Model[] {
    return this.#tables.models
      .of(`${publisher} ${name}`)
      .toSorted(
        (a, b) =>
          b.time - a.time ||
          b.epoch - a.epoch ||
          b.seq - a.seq ||
          compare(b.row.record, a.row.record),
      )
  }

  #isNewest(model: Model): boolean {
    const { publisher, name } = model.row
    const standing = this.#versions(publisher, name).find(
      (each) => this.#withWithdrawal(each).withdrawn === null,
    )
    return standing === model
  }
}

const toRow = ({ id, envelope, record: { kind } }: SignedRecord): RecordRow => ({
  id,
  kind,
  envelope,
})

interface Place {
  readonly key: number | string
  readonly row: number
}

const stronger = (a: Withdrawal | null, b: Withdrawal): Withdrawal =>
  a !== null && WITHDRAWALS.indexOf(a) > WITHDRAWALS.indexOf(b) ? a : b

const greatest = <T extends { readonly record: Cid }>(rows: readonly T[]): T | null =>
  rows.reduce<T | null>((best, row) => (best && best.record > row.record ? best : row), null)

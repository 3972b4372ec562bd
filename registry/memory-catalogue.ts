/** The catalogue in memory: the twin of the one on disk, for tests. Small before fast. */
import { compareText, equalBytes } from '../protocol/bytes.ts'
import type { Cid } from '../protocol/cid.ts'
import {
  comparePositions,
  type Position,
  type RecordKind,
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
  type RivalBranch,
  type RosterRow,
  type TagRow,
  type TokenRow,
  WITHDRAWALS,
  type Withdrawal,
  type WithdrawalRow,
} from './catalogue.ts'
import { compare, fitsFacets, scoreOf } from './memory-search.ts'
import { type MentionRow, mentionsOf } from './mention.ts'
import { formatCursor, pageSize, parseCursor, queryWords } from './model-index.ts'
import { profileOf } from './profile.ts'

type Log = Omit<LogRow, 'head' | 'headIssued' | 'proof'> & {
  readonly time: number
  readonly records: readonly Cid[]
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

interface Evidence {
  readonly key: KeyId
  readonly envelope: Uint8Array
}

/** Every value is replaced, never changed, so that a copy of the maps is a snapshot. */
const emptyState = () => ({
  operations: new Map<Cid, readonly Uint8Array[]>(),
  logs: new Map<string, Log>(),
  heads: new Map<string, HeadRow & { publisher: Cid }>(),
  proofs: new Map<string, ProofRow & { publisher: Cid }>(),
  records: new Map<Cid, SignedRecord>(),
  late: new Map<Cid, true>(),
  /** By the naming record: whose it is, and what it names. */
  mentions: new Map<Cid, { readonly by: Cid; readonly targets: readonly Cid[] }>(),
  cards: new Map<Cid, Uint8Array>(),
  profiles: new Map<Cid, ProfileRow>(),
  tags: new Map<Cid, Tag>(),
  rosters: new Map<Cid, RosterRow>(),
  /** By the record that replaces them: `publisher record` of what it replaces. */
  replaced: new Map<Cid, readonly string[]>(),
  /** By their own record; of `publisher target`. */
  withdrawals: new Map<Cid, { readonly place: string; readonly verb: WithdrawBody['verb'] }>(),
  rivals: new Map<Cid, RivalBranch>(),
  evidence: new Map<Cid, readonly Evidence[]>(),
  models: new Map<Cid, Model>(),
  trees: new Map<Cid, readonly Uint8Array[]>(),
  peers: new Map<string, PeerRow>(),
  tokens: new Map<string, TokenRow>(),
  settings: new Map<string, string>(),
  erasures: new Map<Cid, ErasureRow>(),
  doomed: new Map<Cid, true>(),
  /** By publisher and kind. */
  intake: new Map<string, { readonly day: number; readonly records: number }>(),
})
type State = ReturnType<typeof emptyState>

export class MemoryCatalogue implements Catalogue {
  #state: State = emptyState()

  transaction<T>(work: () => T): T {
    const before = this.#state
    // SAFE: each map is copied under its own name.
    this.#state = Object.fromEntries(
      Object.entries(before).map(([name, map]) => [name, new Map<unknown, unknown>(map)]),
    ) as unknown as State
    try {
      return work()
    } catch (error) {
      this.#state = before
      throw error
    }
  }

  close(): void {}

  putIdentityOp(publisher: Cid, n: number, envelope: Uint8Array): void {
    const operations = this.identityOps(publisher)
    if (operations.length !== n) throw new TypeError(`operation ${n} after ${operations.length}`)
    this.#state.operations.set(publisher, [...operations, envelope.slice()])
  }

  identityOps(publisher: Cid, from = 0): readonly Uint8Array[] {
    return (this.#state.operations.get(publisher) ?? []).slice(from)
  }

  dropIdentityOps(publisher: Cid, from: number): void {
    this.#state.operations.set(publisher, this.identityOps(publisher).slice(0, from))
  }

  putRival(publisher: Cid, branch: RivalBranch): void {
    this.#state.rivals.set(publisher, branch)
  }

  rival(publisher: Cid): RivalBranch | null {
    return this.#state.rivals.get(publisher) ?? null
  }

  publishers(): readonly Cid[] {
    return [...this.#state.operations.keys()]
  }

  dropPublisher(publisher: Cid): void {
    const { operations, heads, proofs, profiles, rosters, rivals, evidence } = this.#state
    operations.delete(publisher)
    rivals.delete(publisher)
    for (const kind of ['records', 'profiles']) this.#state.intake.delete(`${publisher} ${kind}`)
    evidence.delete(publisher)
    for (const [id, row] of heads) if (row.publisher === publisher) heads.delete(id)
    for (const [id, row] of proofs) if (row.publisher === publisher) proofs.delete(id)
    for (const [id, row] of profiles) if (row.publisher === publisher) profiles.delete(id)
    for (const [id, row] of rosters) if (row.publisher === publisher) rosters.delete(id)
  }

  appendRecord(signed: SignedRecord, index: RecordIndex): void {
    const { id, record } = signed
    const { publisher, key, epoch, seq, ts } = record
    if (this.#state.records.has(id)) throw new TypeError('the record is here already')
    const before = this.#state.logs.get(`${publisher} ${key}`)
    const time = Math.max(before?.time ?? 0, ts)
    this.#state.logs.set(`${publisher} ${key}`, {
      publisher,
      key,
      epoch,
      seq,
      tip: id,
      time,
      records: [...(before?.records ?? []), id],
    })
    this.#state.records.set(id, { ...signed, envelope: signed.envelope.slice() })
    if (index.isLate) this.#state.late.set(id, true)
    this.#state.mentions.set(id, { by: publisher, targets: mentionsOf(record) })
    if (record.kind === 'model') {
      const { name, version, root, card, files, aliases, tested } = record.body
      const { description, unreadable = null } = index
      if (description === undefined) throw new TypeError('a model record comes with a description')
      if (index.card !== undefined) this.#state.cards.set(card, index.card.slice())
      const names = { publisher, name, version, root, card }
      const row = { record: id, ...names, ts, description, files, aliases, tested, unreadable }
      const isCardless = index.isCardless === true
      const place = { n: this.#nextNumber(), time, epoch, seq }
      this.#state.models.set(id, { row, ...place, isCardless, isStripped: false })
    } else if (record.kind === 'withdraw') {
      const { target, verb } = record.body
      this.#state.withdrawals.set(id, { place: `${publisher} ${target}`, verb })
      this.#restand()
    } else if (record.kind === 'tag') {
      const { name, tag, target, replaces } = record.body
      this.#state.tags.set(id, { record: id, publisher, name, tag, target })
      this.#replace(publisher, id, replaces)
    } else if (record.kind === 'profile') {
      this.putProfile(profileOf(id, signed.envelope, publisher, record.body))
    } else if (record.kind === 'roster') {
      this.putRoster({ record: id, publisher, envelope: signed.envelope, body: record.body })
    }
  }

  record(id: Cid): { readonly envelope: Uint8Array; readonly kind: RecordKind } | null {
    const signed = this.#state.records.get(id)
    return signed === undefined ? null : { envelope: signed.envelope, kind: signed.record.kind }
  }

  recordAt(publisher: Cid, key: KeyId, { epoch, seq }: Position): Uint8Array | null {
    const found = this.#recordsOf(publisher, key).find(
      ({ record }) => record.epoch === epoch && record.seq === seq,
    )
    return found?.envelope ?? null
  }

  recordsAfter(
    publisher: Cid,
    key: KeyId,
    after: Position | null,
    limit: number,
  ): readonly Uint8Array[] {
    const { epoch, seq } = after ?? { epoch: -1, seq: -1 }
    return this.#recordsOf(publisher, key)
      .filter(({ record }) => record.epoch > epoch || (record.epoch === epoch && record.seq > seq))
      .slice(0, limit)
      .map(({ envelope }) => envelope)
  }

  isLate(record: Cid): boolean {
    return this.#state.late.has(record)
  }

  mentions(publisher: Cid, key: KeyId): readonly MentionRow[] {
    const named = new Map(this.#recordsOf(publisher, key).map((each) => [each.id, each.record]))
    return [...this.#state.mentions]
      .filter(([, { by }]) => by !== publisher)
      .flatMap(([record, { by, targets }]) =>
        targets.flatMap((target) => {
          const place = named.get(target)
          return place ? [{ by, record, epoch: place.epoch, seq: place.seq }] : []
        }),
      )
      .sort((a, b) => comparePositions(a, b) || compare(a.record, b.record))
  }

  log(publisher: Cid, key: KeyId): LogRow | null {
    const log = this.#state.logs.get(`${publisher} ${key}`)
    if (log === undefined) return null
    const { time: _, records: __, ...row } = log
    const head = this.#state.heads.get(`${publisher} ${key}`)
    const proof = this.proof(publisher, key)
    return { ...row, head: head?.envelope ?? null, headIssued: head?.issued ?? 0, proof }
  }

  logs(publisher?: Cid): readonly LogRow[] {
    return [...this.#state.logs.values()]
      .filter((log) => publisher === undefined || log.publisher === publisher)
      .sort((a, b) => compare(a.publisher, b.publisher) || compare(a.key, b.key))
      .flatMap((log) => this.log(log.publisher, log.key) ?? [])
  }

  putHead(publisher: Cid, key: KeyId, envelope: Uint8Array, issued: number): void {
    const head = { publisher, key, envelope: envelope.slice(), issued }
    this.#state.heads.set(`${publisher} ${key}`, head)
  }

  heads(publisher: Cid): readonly HeadRow[] {
    return [...this.#state.heads.values()]
      .filter((head) => head.publisher === publisher)
      .map(({ key, envelope, issued }) => ({ key, envelope, issued }))
      .sort((a, b) => compare(a.key, b.key))
  }

  putProof(publisher: Cid, key: KeyId, first: Uint8Array, second: Uint8Array): void {
    const place = `${publisher} ${key}`
    if (this.#state.proofs.has(place)) return
    const proof = [first.slice(), second.slice()] as const
    this.#state.proofs.set(place, { publisher, key, proof })
  }

  proof(publisher: Cid, key: KeyId): Proof | null {
    return this.#state.proofs.get(`${publisher} ${key}`)?.proof ?? null
  }

  proofs(publisher: Cid): readonly ProofRow[] {
    return [...this.#state.proofs.values()]
      .filter((each) => each.publisher === publisher)
      .map(({ key, proof }) => ({ key, proof }))
      .sort((a, b) => compare(a.key, b.key))
  }

  card(cid: Cid): Uint8Array | null {
    return this.#state.cards.get(cid) ?? null
  }

  retract(publisher: Cid, key: KeyId, after: Position | null): void {
    const place = `${publisher} ${key}`
    const { logs, heads, records } = this.#state
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
    const { models, tags, profiles, rosters, replaced, withdrawals, late, mentions } = this.#state
    const derived = [models, tags, profiles, rosters, replaced, withdrawals, late, mentions]
    for (const { id } of gone) {
      for (const map of [records, ...derived]) map.delete(id)
    }
    this.#restand()
    const newest = left.at(-1)
    if (newest === undefined) {
      logs.delete(place)
      return
    }
    const { epoch, seq } = newest.record
    const time = Math.max(...left.map(({ record }) => record.ts))
    const ids = left.map(({ id }) => id)
    logs.set(place, { ...log, epoch, seq, tip: newest.id, time, records: ids })
  }

  settle(publisher: Cid, key: KeyId): void {
    const proof = this.proof(publisher, key)
    if (proof === null) return
    this.putEvidence(publisher, key, proof)
    this.#state.proofs.delete(`${publisher} ${key}`)
  }

  putEvidence(publisher: Cid, key: KeyId, envelopes: readonly Uint8Array[]): void {
    let kept = this.#state.evidence.get(publisher) ?? []
    for (const envelope of envelopes) {
      const isHere = kept.some((each) => each.key === key && equalBytes(each.envelope, envelope))
      if (!isHere) kept = [...kept, { key, envelope: envelope.slice() }]
    }
    this.#state.evidence.set(publisher, kept)
  }

  evidence(publisher: Cid): readonly Uint8Array[] {
    return (this.#state.evidence.get(publisher) ?? []).map(({ envelope }) => envelope)
  }

  countEvidence(publisher: Cid): number {
    return this.evidence(publisher).length
  }

  dropEvidence(publisher: Cid, envelope: Uint8Array): void {
    const kept = this.#state.evidence.get(publisher) ?? []
    this.#state.evidence.set(
      publisher,
      kept.filter((each) => !equalBytes(each.envelope, envelope)),
    )
  }

  putProfile(profile: ProfileRow): void {
    this.#state.profiles.set(profile.record, profile)
    this.#replace(profile.publisher, profile.record, profile.replaces)
  }

  profile(publisher: Cid): ProfileRow | null {
    const standing = [...this.#state.profiles.values()].filter(
      (row) => row.publisher === publisher && !this.#isReplaced(row),
    )
    return greatest(standing)
  }

  profilesByLabel(label: string): readonly ProfileRow[] {
    const publishers = new Set([...this.#state.profiles.values()].map((row) => row.publisher))
    return [...publishers]
      .sort(compare)
      .flatMap((publisher) => this.profile(publisher) ?? [])
      .filter((profile) => profile.label === label)
  }

  model(record: Cid): ModelRow | null {
    const model = this.#state.models.get(record)
    return model === undefined ? null : this.#withWithdrawal(model)
  }

  modelVersions(publisher: Cid, name: string): readonly ModelRow[] {
    return this.#versions(publisher, name).map((model) => this.#withWithdrawal(model))
  }

  modelsByAlias(alias: string): readonly ModelRow[] {
    return this.#modelsWhere((row, model) => row.aliases.includes(alias) && !model.isStripped)
  }

  modelsByRoot(root: Cid): readonly ModelRow[] {
    return this.#modelsWhere((row) => row.root === root)
  }

  modelIds(publisher: Cid): readonly Cid[] {
    return [...this.#state.models.values()]
      .filter(({ row }) => row.publisher === publisher)
      .map((model) => this.#withWithdrawal(model))
      .filter(({ withdrawn }) => withdrawn === null || withdrawn === 'yank')
      .map(({ record }) => record)
  }

  modelCount(publisher: Cid): number {
    return this.#modelsWhere((row) => row.publisher === publisher).length
  }

  blobsOf(publisher: Cid): readonly Cid[] {
    const models = this.#modelsWhere(
      (row, model) => row.publisher === publisher && !model.isStripped,
    )
    return [...new Set(models.flatMap(({ files }) => files.map(({ cid }) => cid)))].sort(compare)
  }

  intake(publisher: Cid, kind: Intake, day: number): number {
    const counted = this.#state.intake.get(`${publisher} ${kind}`)
    return counted?.day === day ? counted.records : 0
  }

  countIntake(publisher: Cid, kind: Intake, day: number): void {
    const records = this.intake(publisher, kind, day) + 1
    this.#state.intake.set(`${publisher} ${kind}`, { day, records })
  }

  search(query: ModelQuery): ModelPage {
    const limit = pageSize(query)
    const words = queryWords(query.text)
    const asked = query.sort ?? 'relevance'
    const sort = words === null && asked === 'relevance' ? 'newest' : asked
    const cursor = parseCursor(query.cursor, sort)
    const hits = [...this.#state.models.values()]
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
    return this.#modelsWhere(
      (row, model) => !model.isStripped && row.files.some((file) => file.cid === cid),
    ).map((row) => row.record)
  }

  /** What was stripped and stands again wants its files, with which its card comes. */
  #restand(): void {
    for (const { row, isStripped } of this.#state.models.values()) {
      if (isStripped && this.withdrawal(row.publisher, row.record) !== 'erase') {
        this.reindex(row.record, withoutCard(row))
      }
    }
  }

  withdrawals(publisher: Cid, target: Cid): readonly WithdrawalRow[] {
    return [...this.#state.withdrawals]
      .filter(([, { place }]) => place === `${publisher} ${target}`)
      .flatMap(([record, { verb }]) =>
        verb === 'restore'
          ? []
          : [{ record, verb, isRestored: this.#isRestored(publisher, record) }],
      )
      .sort((a, b) => compare(a.record, b.record))
  }

  #isRestored(publisher: Cid, withdrawal: Cid): boolean {
    const place = `${publisher} ${withdrawal}`
    return [...this.#state.withdrawals.values()].some(
      (each) => each.verb === 'restore' && each.place === place,
    )
  }

  withdrawal(publisher: Cid, target: Cid): Withdrawal | null {
    if (this.#state.erasures.get(target)?.isHere === true) return 'erase'
    return this.withdrawals(publisher, target)
      .filter(({ isRestored }) => !isRestored)
      .reduce<Withdrawal | null>((before, { verb }) => stronger(before, verb), null)
  }

  modelsWithoutCard(): readonly Cid[] {
    return this.#modelsWhere(
      (_, model) => model.isCardless && this.#withWithdrawal(model).withdrawn !== 'erase',
    ).map((row) => row.record)
  }

  reindex(record: Cid, index: RecordIndex): void {
    const model = this.#state.models.get(record)
    if (model === undefined) return
    const { description, unreadable = null, card, isCardless = false } = index
    if (description === undefined) throw new TypeError('a model record comes with a description')
    if (card !== undefined) this.#state.cards.set(model.row.card, card.slice())
    const row = { ...model.row, description, unreadable }
    this.#state.models.set(record, { ...model, row, isCardless, isStripped: false })
  }

  noteErasures(now: number): void {
    const { erasures, models } = this.#state
    const targets = [...this.#state.withdrawals.values()].flatMap(({ place, verb }) =>
      verb === 'erase' ? [place.split(' ')[1] as Cid] : [],
    )
    const erased = new Set(
      targets.filter((target) => {
        const model = models.get(target)
        return model !== undefined && this.withdrawal(model.row.publisher, target) === 'erase'
      }),
    )
    for (const record of erased) {
      if (!erasures.has(record)) erasures.set(record, { record, since: now, isHere: false })
    }
    for (const { record, isHere } of erasures.values()) {
      if (!isHere && !erased.has(record)) erasures.delete(record)
    }
  }

  erasures(): readonly ErasureRow[] {
    return [...this.#state.erasures.values()].sort((a, b) => compare(a.record, b.record))
  }

  eraseHere(record: Cid, now: number): void {
    const since = this.#state.erasures.get(record)?.since ?? now
    this.#state.erasures.set(record, { record, since, isHere: true })
  }

  restoreHere(record: Cid): void {
    const erasure = this.#state.erasures.get(record)
    if (erasure !== undefined) this.#state.erasures.set(record, { ...erasure, isHere: false })
    this.#restand()
  }

  strip(record: Cid): void {
    const { models, cards, doomed } = this.#state
    const model = models.get(record)
    if (model === undefined) return
    const { description, unreadable } = withoutCard(model.row)
    const row = { ...model.row, description, unreadable }
    models.set(record, { ...model, row, isCardless: true, isStripped: true })
    const { card, files } = model.row
    const isShared = [...models.values()].some((each) => each.row.card === card && !each.isCardless)
    if (!isShared) cards.delete(card)
    for (const { cid } of files) if (this.recordsWithFile(cid).length === 0) doomed.set(cid, true)
  }

  scrub(): boolean {
    return false
  }

  unstripped(): readonly ErasureRow[] {
    return this.erasures().filter(({ record }) => {
      const model = this.#state.models.get(record)
      return (
        model !== undefined &&
        !model.isStripped &&
        this.#withWithdrawal(model).withdrawn === 'erase'
      )
    })
  }

  doom(cid: Cid): void {
    this.#state.doomed.set(cid, true)
  }

  doomed(): readonly Cid[] {
    return [...this.#state.doomed.keys()].sort(compare)
  }

  dropBlob(cid: Cid): void {
    this.#state.trees.delete(cid)
    this.#state.doomed.delete(cid)
  }

  spare(cid: Cid): void {
    this.#state.doomed.delete(cid)
  }

  tags(publisher: Cid, name: string, tag: string): readonly TagRow[] {
    const standing = [...this.#state.tags.values()].filter(
      (row) =>
        row.publisher === publisher &&
        row.name === name &&
        row.tag === tag &&
        !this.#isReplaced(row),
    )
    return standing
      .sort((a, b) => compareText(b.record, a.record))
      .map(({ record, target }) => ({ record, target }))
  }

  putRoster(roster: RosterRow): void {
    this.#state.rosters.set(roster.record, { ...roster, envelope: roster.envelope.slice() })
    this.#replace(roster.publisher, roster.record, roster.body.replaces)
  }

  dropRoster(_publisher: Cid, record: Cid): void {
    this.#state.rosters.delete(record)
    this.#state.replaced.delete(record)
  }

  rosters(publisher: Cid): readonly LastRoster[] {
    return [...this.#state.rosters.values()]
      .filter((row) => row.publisher === publisher && !this.#isReplaced(row))
      .map(({ record, body }) => ({
        record,
        name: body.name,
        isWithdrawn: this.withdrawal(publisher, record) !== null,
      }))
      .sort((a, b) => compare(a.name, b.name) || compare(b.record, a.record))
  }

  roster(record: Cid): RosterRow | null {
    return this.#state.rosters.get(record) ?? null
  }

  isReplaced(publisher: Cid, record: Cid): boolean {
    return this.#isReplaced({ publisher, record })
  }

  conflicts(): readonly ConflictRow[] {
    const { profiles, rosters, tags } = this.#state
    const all = [
      ...[...profiles.values()].map((row) => ({ row, kind: 'profile' as const, name: '' })),
      ...[...rosters.values()].map((row) => ({
        row,
        kind: 'roster' as const,
        name: row.body.name,
      })),
      ...[...tags.values()].map((row) => ({
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
    return this.#attestations()
      .filter((row) => row.root === root)
      .sort((a, b) => compare(a.record, b.record))
  }

  attestedRoots(publishers: readonly Cid[], least: number): readonly Cid[] {
    const by = new Map<Cid, Set<Cid>>()
    for (const { root, publisher } of this.#attestations()) {
      if (publishers.includes(publisher)) by.set(root, (by.get(root) ?? new Set()).add(publisher))
    }
    return [...by].flatMap(([root, all]) => (all.size >= least ? [root] : [])).sort(compare)
  }

  #attestations(): readonly AttestationRow[] {
    return [...this.#state.records.values()].flatMap(({ id: record, record: payload }) => {
      if (payload.kind !== 'attest') return []
      const { publisher } = payload
      const { target, root, claim } = payload.body
      const isWithdrawn = this.withdrawal(publisher, record) !== null
      return [{ record, publisher, target, root, claim, isWithdrawn }]
    })
  }

  putTree(cid: Cid, nodes: readonly Uint8Array[]): void {
    if (nodes.length === 0) return
    this.#state.trees.set(
      cid,
      nodes.map((node) => node.slice()),
    )
  }

  tree(cid: Cid): readonly Uint8Array[] | null {
    return this.#state.trees.get(cid) ?? null
  }

  peers(): readonly PeerRow[] {
    return [...this.#state.peers.values()].sort(
      (a, b) => b.seen - a.seen || compare(a.peer, b.peer),
    )
  }

  putPeer(peer: PeerRow): void {
    this.#state.peers.set(peer.peer, peer)
  }

  tokens(): readonly TokenRow[] {
    return [...this.#state.tokens.values()].sort(
      (a, b) => a.created - b.created || compare(a.id, b.id),
    )
  }

  putToken(token: TokenRow): void {
    this.#state.tokens.set(token.id, token)
  }

  removeToken(id: string): boolean {
    return this.#state.tokens.delete(id)
  }

  setting(key: string): string | null {
    return this.#state.settings.get(key) ?? null
  }

  putSetting(key: string, value: string): void {
    this.#state.settings.set(key, value)
  }

  counts(): { readonly records: number; readonly models: number; readonly publishers: number } {
    const { records, models, operations } = this.#state
    return { records: records.size, models: models.size, publishers: operations.size }
  }

  #recordsOf(publisher: Cid, key: KeyId): readonly SignedRecord[] {
    const log = this.#state.logs.get(`${publisher} ${key}`)
    return (log?.records ?? []).flatMap((id) => this.#state.records.get(id) ?? [])
  }

  #nextNumber(): number {
    return Math.max(-1, ...[...this.#state.models.values()].map(({ n }) => n)) + 1
  }

  #replace(publisher: Cid, replacement: Cid, records: readonly Cid[]): void {
    this.#state.replaced.set(
      replacement,
      records.map((record) => `${publisher} ${record}`),
    )
  }

  #isReplaced(row: { publisher: Cid; record: Cid }): boolean {
    const place = `${row.publisher} ${row.record}`
    return [...this.#state.replaced.values()].some((places) => places.includes(place))
  }

  #withWithdrawal({ row }: Model): ModelRow {
    return { ...row, withdrawn: this.withdrawal(row.publisher, row.record) }
  }

  #modelsWhere(test: (row: Model['row'], model: Model) => boolean): readonly ModelRow[] {
    return [...this.#state.models.values()]
      .filter((model) => test(model.row, model))
      .sort((a, b) => compare(a.row.record, b.row.record))
      .map((model) => this.#withWithdrawal(model))
  }

  #versions(publisher: Cid, name: string): readonly Model[] {
    return [...this.#state.models.values()]
      .filter(({ row }) => row.publisher === publisher && row.name === name)
      .sort(
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

interface Place {
  readonly key: number | string
  readonly row: number
}

const stronger = (a: Withdrawal | null, b: Withdrawal): Withdrawal =>
  a !== null && WITHDRAWALS.indexOf(a) > WITHDRAWALS.indexOf(b) ? a : b

const greatest = <T extends { readonly record: Cid }>(rows: readonly T[]): T | null =>
  rows.reduce<T | null>((best, row) => (best && best.record > row.record ? best : row), null)

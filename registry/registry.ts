/**
 * The registry: what this node holds and will accept, behind one door. It opens no socket and
 * starts no timer; whoever does tells it the result.
 *
 * Invariants: a record is in the catalogue only after every check of admission.ts or signed by
 * this node; a blob is visible only after all its bytes were verified; a model whose publisher
 * lost the right to be listed is neither found nor resolved.
 */
import { concat } from '../protocol/bytes.ts'
import { type Cid, codecOf } from '../protocol/cid.ts'
import { checkPosition, type Device, deviceOf } from '../protocol/device.ts'
import { expectOk, type Failure, type Verdict, ZoariumError } from '../protocol/errors.ts'
import type { Identity } from '../protocol/identity.ts'
import { MAX_CLOCK_AHEAD_MS } from '../protocol/limits.ts'
import {
  type LogPosition,
  type ProfileBody,
  peekRecord,
  readRecord,
  type SignedRecord,
  type WithdrawBody,
} from '../protocol/record.ts'
import { Admission, type Admitted, type AdmittedHead, type AdmittedProof } from './admission.ts'
import { Audiences } from './audiences.ts'
import type { BlobStore } from './blob-store.ts'
import { CardReader } from './card-reader.ts'
import type {
  Catalogue,
  ErasureRow,
  KeyId,
  LogRow,
  ModelPage,
  ModelQuery,
  ModelRow,
  ProfileRow,
} from './catalogue.ts'
import type { Clock } from './clock.ts'
import { Closure } from './closure.ts'
import { type DiskSpace, endlessDisk } from './disk-space.ts'
import { type Collected, type CollectedAll, Erasure } from './erasure.ts'
import { Events, type RegistryEvents } from './events.ts'
import { type Evicted, Eviction, type RoomOptions } from './eviction.ts'
import { failpoint } from './failpoint.ts'
import { isForked } from './fork.ts'
import { Handles } from './handles.ts'
import { type AdmittedIdentity, Identities } from './identities.ts'
import { type JoinPlan, planJoin } from './joining.ts'
import { type LogStatus, type LogStatusParts, logStatuses } from './log-status.ts'
import { Lookup } from './lookup.ts'
import { MaxSeen, memoryJournal } from './max-seen.ts'
import type { MirrorDecision } from './mirror-rules.ts'
import { type Holding, ModelFiles } from './model-files.ts'
import { OwnLog } from './own-log.ts'
import type { Package } from './package.ts'
import type { PackageSource } from './package-source.ts'
import { Publication, type PublicationOptions, type PublicationPlan } from './publication.ts'
import type { Purpose } from './purpose.ts'
import { type QuotaLimits, Quotas } from './quotas.ts'
import { renewals } from './renewal.ts'
import { Replicas } from './replicas.ts'
import { noReserve, type Reserve } from './reserve.ts'
import { Rosters } from './rosters.ts'
import { type JudgedAttestation, type RunGrant, RunRight } from './run-right.ts'
import type { Signer } from './signer.ts'
import { type Statement, Statements } from './statements.ts'
import type { RunRule, TrustPolicy } from './trust.ts'
import type { TrustBook, TrustChange } from './trust-file.ts'

export interface RegistryParts {
  readonly catalogue: Catalogue
  readonly blobs: BlobStore
  readonly trust: TrustBook
  readonly signer: Signer
  readonly clock: Clock
  /** Default: forgotten with the process. */
  readonly maxSeen?: MaxSeen
  /** Default: a disk without end. */
  readonly disk?: DiskSpace
  /** Default: none. */
  readonly reserve?: Reserve
  readonly quotas?: Partial<QuotaLimits>
  /** Default: cards are read when they are admitted. */
  readonly cards?: CardReader
}

/** A model that is about to get lost. */
export interface ScarceModel {
  readonly model: ModelRow
  /** Institutions that hold it in full. */
  readonly replicas: number
  readonly floor: number
}

export class Registry {
  readonly publisher: Cid
  readonly catalogue: Catalogue
  readonly blobs: BlobStore
  readonly signer: Signer
  readonly handles: Handles
  readonly audiences: Audiences
  readonly rosters: Rosters
  readonly #book: TrustBook
  readonly #clock: Clock
  readonly #maxSeen: MaxSeen
  readonly #events = new Events()
  readonly #identities: Identities
  readonly #admission: Admission
  readonly #cards: CardReader
  readonly #lookup: Lookup
  readonly #own: OwnLog
  readonly #closure: Closure
  readonly #publication: Publication
  readonly quotas: Quotas
  readonly reserve: Reserve
  readonly #erasure: Erasure
  readonly #runRight: RunRight
  readonly #statements: Statements
  readonly #files: ModelFiles
  readonly replicas: Replicas
  readonly #eviction: Eviction
  /** The rules of the book, with the rosters as they stand now. */
  #policy: TrustPolicy
  /** Publishers with records here that may no longer be listed. */
  #hidden: readonly Cid[] = []

  private constructor(parts: RegistryParts) {
    const { catalogue, blobs, trust, signer, clock } = parts
    const policy = (): TrustPolicy => this.#policy
    const { publisher } = signer
    this.publisher = publisher
    this.catalogue = catalogue
    this.blobs = blobs
    this.signer = signer
    this.#book = trust
    this.#policy = trust.policy
    this.#clock = clock
    this.#maxSeen = parts.maxSeen ?? new MaxSeen(memoryJournal())
    this.#identities = new Identities(catalogue, policy)
    const identities = this.#identities
    this.audiences = new Audiences({
      catalogue,
      identities,
      own: publisher,
      membersOf: (roster) => this.rosterMembers(roster.publisher, roster.name),
    })
    const { audiences } = this
    const { disk = endlessDisk, quotas: limits = {} } = parts
    this.reserve = parts.reserve ?? noReserve
    this.quotas = new Quotas({ own: publisher, catalogue, blobs, clock, disk, limits })
    const { quotas } = this
    this.#cards = parts.cards ?? new CardReader(0)
    this.#admission = new Admission({
      catalogue,
      identities,
      policy,
      clock,
      audiences,
      quotas,
      readCard: (card) => this.#cards.read(card),
    })
    this.#closure = new Closure({ catalogue, identities, policy, clock })
    this.handles = new Handles({ catalogue, policy, clock })
    this.#lookup = new Lookup(catalogue, this.handles, policy)
    const onChange = (): void => this.#events.emit('changed', { publisher })
    this.#own = new OwnLog({ catalogue, identities, signer, clock, onChange })
    this.#publication = new Publication({
      catalogue,
      blobs,
      log: this.#own,
      publisher,
      isPrivate: (record) => audiences.ofRecord(record) !== null,
    })
    const isContested = (record: Cid): boolean => this.isContested(record)
    this.rosters = new Rosters({
      publisher,
      catalogue,
      identities,
      audiences,
      policy,
      clock,
      isContested,
      append: (statement) => this.append(statement),
    })
    this.#runRight = new RunRight({
      catalogue,
      policy,
      isContested,
      isUnclosed: (record) => this.isUnclosed(record),
    })
    // First of all listeners: the others may ask what runs now.
    for (const name of ['record', 'standing', 'identity', 'trust', 'fork'] as const) {
      this.#events.on(name, () => this.#runRight.forget())
    }
    this.#statements = new Statements({
      publisher,
      catalogue,
      audiences,
      log: this.#own,
      onSigned: (signed) => this.#signed(signed),
    })
    this.#files = new ModelFiles({ catalogue, blobs, audiences, runRight: this.#runRight, policy })
    this.replicas = new Replicas({
      catalogue,
      identity: (each) => identities.get(each),
      policy,
      clock,
    })
    const exclusively: Publication['exclusively'] = (work) => this.#publication.exclusively(work)
    this.#eviction = new Eviction({
      catalogue,
      blobs,
      clock,
      isFirm: (model) => this.#files.isFirm(model),
      isWhole: (record) => this.holding(record).complete,
      exclusively,
      onLeaving: (records) => this.#events.emit('leaving', { records }),
    })
    const isDoubtful = (record: Cid) => this.isContested(record) || this.isUnclosed(record)
    this.#erasure = new Erasure({ catalogue, blobs, clock, exclusively, isDoubtful })
  }

  /**
   * Opens a registry over its parts, and clears up after a process that was killed.
   * @throws ZoariumError STORE, DISK_FULL
   */
  static async open(parts: RegistryParts): Promise<Registry> {
    const registry = new Registry(parts)
    parts.signer.begin(parts.catalogue)
    await registry.#publication.recover()
    registry.#erasure.note()
    registry.#judge()
    registry.replicas.load()
    return registry
  }

  async close(): Promise<void> {
    await this.#publication.exclusively(() => Promise.resolve())
    await this.#cards.close()
    this.signer.end()
    await this.blobs.close()
    this.catalogue.close()
  }

  /** @returns a function that ends the listening */
  on<N extends keyof RegistryEvents>(
    name: N,
    listener: (event: RegistryEvents[N]) => void,
  ): () => void {
    return this.#events.on(name, listener)
  }

  // Publishers

  /** All publishers of whom an identity is here, in the order of their coming. */
  publishers(): readonly Cid[] {
    return this.catalogue.publishers()
  }

  identity(publisher: Cid): Identity | null {
    return this.#identities.get(publisher)
  }

  identityOps(publisher: Cid, from = 0): readonly Uint8Array[] {
    return this.catalogue.identityOps(publisher, from)
  }

  profile(publisher: Cid): ProfileRow | null {
    return this.catalogue.profile(publisher)
  }

  /** Whether the identity of a publisher has forked, and no branch has won. */
  isFrozen(publisher: Cid): boolean {
    return this.#identities.isContested(publisher)
  }

  /** Own device keys that the root is to renew now, the next one to end first. */
  renewals(): readonly Device[] {
    const identity = this.identity(this.publisher)
    return identity === null ? [] : renewals(identity, this.#clock.now())
  }

  /** Like {@link OwnLog.whyUnsure}. */
  whyUnsure(purposes?: readonly Purpose[]): Failure | null {
    return this.#own.whyUnsure(purposes)
  }

  /** The publisher that an id, petname, verified handle or label names. Fails with NOT_FOUND, AMBIGUOUS. */
  resolvePublisher(text: string): Verdict<Cid> {
    return this.#lookup.publisher(text)
  }

  // Trust

  /** The rules in force. */
  get trust(): TrustPolicy {
    return this.#policy
  }

  /** What is wrong with the policy file; the rules before it are in force then. */
  get trustFault(): Failure | null {
    return this.#book.fault
  }

  /** Takes in the policy file where it was changed by hand. @returns whether it was */
  reloadTrust(): boolean {
    const isChanged = this.#book.reload()
    if (isChanged && this.trustFault === null) this.#trustChanged(null)
    return isChanged
  }

  /** @throws ZoariumError USAGE, POLICY, DISK_FULL, STORE */
  setTrust(change: TrustChange): void {
    this.#book.set(change)
    this.#trustChanged(change.publisher)
  }

  /** @returns whether there was a rule; @throws ZoariumError POLICY, DISK_FULL, STORE */
  removeTrust(publisher: Cid): boolean {
    const isRemoved = this.#book.remove(publisher)
    if (isRemoved) this.#trustChanged(publisher)
    return isRemoved
  }

  #trustChanged(publisher: Cid | null): void {
    this.#judge()
    this.replicas.review()
    this.#events.emit('trust', { publisher })
  }

  #judge(): void {
    this.#policy = this.#book.policy.narrowed((publisher, name) =>
      this.rosters.members(publisher, name),
    )
    this.#hidden = this.publishers().filter(
      (each) => !this.trust.may(each, 'list') && this.catalogue.logs(each).length > 0,
    )
  }

  /** A roster that is followed may have other members now. */
  #rosterChanged(publisher: Cid): void {
    const isFollowed = this.trust.rosters.some((each) => each.publisher === publisher)
    if (isFollowed) this.#trustChanged(null)
  }

  /** Whether a model may run; the one rule for every road. Like {@link RunRight.of}. */
  mayRun(model: ModelRow): Verdict<RunGrant> {
    return this.#runRight.of(model)
  }

  /** Like {@link RunRight.attestations}. */
  attestations(model: ModelRow): readonly JudgedAttestation[] {
    return this.#runRight.attestations(model)
  }

  /** Like {@link RunRight.rulesFor}. */
  runRulesFor(model: ModelRow): readonly RunRule[] {
    return this.#runRight.rulesFor(model)
  }

  // Rosters

  /** Members of a roster as its issuer names them now; none where it is withdrawn or not here. */
  rosterMembers(publisher: Cid, name: string): readonly Cid[] {
    return this.rosters.members(publisher, name)
  }

  /** What following the roster of a file would change. Fails like {@link Rosters.check}, PARAMETER. */
  planJoin(car: Uint8Array, grantRun: boolean): Verdict<JoinPlan> {
    const roster = this.rosters.check(car)
    return roster.ok ? planJoin(this.trust, roster.value, grantRun) : roster
  }

  /** Keeps a roster and follows it from now on. @throws ZoariumError POLICY, DISK_FULL, STORE */
  join({ roster, right }: JoinPlan): void {
    const { identity, operations, signed, body, head } = roster
    const { publisher } = identity
    const { name, members, bootstrap } = body
    expectOk(this.admitIdentity(publisher, operations, 0))
    const { id: record, envelope } = signed
    this.catalogue.putRoster({ record, publisher, envelope, body })
    expectOk(this.admitHead(head))
    this.#book.follow({ publisher, name, right, members, bootstrap })
    this.#trustChanged(null)
  }

  /** Follows a roster no more. @returns whether it did; @throws ZoariumError POLICY, DISK_FULL, STORE */
  leave(publisher: Cid, name: string): boolean {
    const isLeft = this.#book.unfollow(publisher, name)
    if (isLeft) this.#trustChanged(null)
    return isLeft
  }

  // Taking in what others signed

  /** Like {@link Identities.admit}. */
  admitIdentity(
    publisher: Cid,
    operations: readonly Uint8Array[],
    from: number,
  ): Verdict<AdmittedIdentity> {
    const before = this.identity(publisher)
    const verdict = this.#identities.admit(publisher, operations, from)
    // Also where it was refused: another branch may be known now.
    this.#events.emit('changed', { publisher })
    const after = this.identity(publisher)
    // Also where a later operation was refused: what came before it is kept.
    if (after !== null && after.tip !== before?.tip) {
      // Records may have been taken back.
      this.quotas.forget()
      this.#files.recordsGone()
      this.#erasure.note()
      this.replicas.review(publisher)
      if (verdict.ok && verdict.value.isReplaced) this.#admitEvidence(publisher)
      this.#rosterChanged(publisher)
      this.#events.emit('identity', { publisher })
      this.#events.emit('standing', { publisher })
    }
    return verdict
  }

  /** What a thief's branch of the chain had taken back may stand again. */
  #admitEvidence(publisher: Cid): void {
    const evidence = this.catalogue.evidence(publisher)
    if (evidence.length === 0 || !this.trust.may(publisher, 'list')) return
    const verdicts = this.admitRecords(evidence.map((envelope) => ({ envelope, card: null })))
    verdicts.forEach((verdict, index) => {
      const envelope = evidence[index]
      if (verdict.ok && verdict.value.status === 'admitted' && envelope !== undefined) {
        this.catalogue.dropEvidence(publisher, envelope)
      }
    })
  }

  /** Like {@link Admission.profile}. */
  admitProfile(envelope: Uint8Array): Verdict<ProfileRow> {
    return this.#admission.profile(envelope)
  }

  /** Like {@link CardReader.readAhead}: admission then only keeps what the cards say. */
  readAhead(cards: readonly Uint8Array[]): Promise<void> {
    return this.#cards.readAhead(cards)
  }

  /** Like {@link Admission.record}. */
  admitRecord(envelope: Uint8Array, card: Uint8Array | null): Verdict<Admitted> {
    // SAFE: one in, one out.
    return this.admitRecords([{ envelope, card }])[0] as Verdict<Admitted>
  }

  /**
   * Takes in records in order and makes them durable together, which is much faster than one by
   * one. @throws ZoariumError DISK_FULL, STORE; none is kept then
   */
  admitRecords(
    records: readonly { readonly envelope: Uint8Array; readonly card: Uint8Array | null }[],
  ): readonly Verdict<Admitted>[] {
    const verdicts = this.#together(() => {
      const all = records.map(({ envelope, card }) => this.#admission.record(envelope, card))
      // In the same transaction: the time of an erasure counts from here.
      this.#erasure.note()
      failpoint('admit.before-commit')
      return all
    })
    failpoint('admit.after-commit')
    const admitted = verdicts.flatMap((verdict) =>
      verdict.ok && verdict.value.status === 'admitted' ? [verdict.value.signed] : [],
    )
    for (const publisher of touchedBy(records, verdicts))
      this.#events.emit('changed', { publisher })
    const isOwn = admitted.some(({ record }) => record.publisher === this.publisher)
    if (isOwn) this.signer.catchUp(this.catalogue)
    for (const signed of admitted) this.#kept(signed)
    const forked = verdicts.findIndex((verdict) => !verdict.ok && verdict.code === 'EQUIVOCATION')
    const twin = records[forked]
    if (twin !== undefined) this.#events.emit('fork', expectOk(peekRecord(twin.envelope)))
    return verdicts
  }

  #together<T>(work: () => T): T {
    try {
      return this.catalogue.transaction(work)
    } catch (error) {
      this.quotas.forget()
      // What is no withdrawal is refused on a disk that full.
      if (isFull(error) && this.reserve.release()) return this.#together(work)
      throw error
    }
  }

  /** Like {@link Admission.proof}. */
  admitProof(first: Uint8Array, second: Uint8Array): Verdict<AdmittedProof> {
    const verdict = this.#admission.proof(first, second)
    if (verdict.ok) this.#events.emit('changed', verdict.value)
    if (verdict.ok && verdict.value.isNew) this.#events.emit('fork', verdict.value)
    return verdict
  }

  /** Like {@link Admission.head}. */
  admitHead(envelope: Uint8Array): Verdict<AdmittedHead> {
    const verdict = this.#admission.head(envelope)
    if (verdict.ok && verdict.value.isNew) {
      const { publisher, key } = verdict.value.head
      this.#events.emit('changed', { publisher })
      // Of strangers there may be any number.
      if (this.trust.may(publisher, 'list')) this.#maxSeen.note(publisher, key, verdict.value.head)
      this.#events.emit('head', { publisher, key, envelope })
    }
    return verdict
  }

  /** Like {@link Replicas.admit}. */
  admitHoldings(current: Uint8Array, base: Uint8Array | null): ReturnType<Replicas['admit']> {
    const verdict = this.replicas.admit(current, base)
    if (verdict.ok && verdict.value.isNew) {
      const { publisher } = verdict.value
      this.#events.emit('changed', { publisher })
      this.#events.emit('holdings', { publisher })
    }
    return verdict
  }

  /** Lets go of statements of holdings that have run out. Call it now and then. */
  reviewHoldings(): void {
    for (const publisher of this.replicas.review()) {
      this.#events.emit('changed', { publisher })
      this.#events.emit('holdings', { publisher })
    }
  }

  // Signing

  /** Name and version that a package would get. Fails with NAME, VERSION_EXISTS. */
  planPublication(pkg: Package, options: PublicationOptions): Verdict<PublicationPlan> {
    return this.#publication.plan(pkg, options)
  }

  /** Like {@link Publication.publish}. */
  async publish(pkg: Package, source: PackageSource, plan: PublicationPlan): Promise<SignedRecord> {
    const signed = await this.#publication.publish(pkg, source, plan)
    // Its files may be those that another publisher's model lacked.
    this.#files.filesCame(null)
    this.#signed(signed)
    return signed
  }

  /** Like {@link Statements.profile}. */
  publishProfile(profile: Omit<ProfileBody, 'replaces'>): SignedRecord {
    return this.#statements.profile(profile)
  }

  /** Like {@link Statements.withdraw}. */
  withdraw(model: ModelRow, how: Omit<WithdrawBody, 'target'>): SignedRecord {
    this.reserve.releaseIfNeeded()
    return this.#statements.withdraw(model, how)
  }

  /** Like {@link Statements.tag}. */
  tag(model: ModelRow, tag: string): SignedRecord {
    return this.#statements.tag(model, tag)
  }

  /** Like {@link Statements.attest}. */
  attest(...statement: Parameters<Statements['attest']>): SignedRecord {
    return this.#statements.attest(...statement)
  }

  /** Like {@link Statements.whySecret}. */
  whySecret(record: Cid): Failure | null {
    return this.#statements.whySecret(record)
  }

  /** Like {@link Statements.append}. */
  append(statement: Statement): SignedRecord {
    return this.#statements.append(statement)
  }

  /** A record was admitted or signed. */
  #kept(signed: SignedRecord): void {
    const { kind, publisher } = signed.record
    if (kind === 'roster' || kind === 'withdraw') this.#rosterChanged(publisher)
    this.#events.emit('record', signed)
    if (kind === 'withdraw') this.#events.emit('standing', { publisher })
  }

  #signed(signed: SignedRecord): void {
    this.#erasure.note()
    this.#kept(signed)
    this.heads()
  }

  /** The heads of the own logs, renewed where they are a day old. Call it daily. */
  heads(): readonly Uint8Array[] {
    const { publisher } = this
    return this.#own.heads().map(({ key, envelope, isNew }) => {
      if (isNew) this.#events.emit('head', { publisher, key, envelope })
      return envelope
    })
  }

  // Erasing

  /** Models that are erased, by record id. */
  erasures(): readonly ErasureRow[] {
    return this.catalogue.erasures()
  }

  /**
   * Erases a model of anybody on this node: its bytes go at once and are not fetched again.
   * @throws ZoariumError STORE, DISK_FULL; what is left of the bytes goes with the next collection
   */
  async eraseHere({ record, publisher }: ModelRow): Promise<Collected> {
    this.reserve.releaseIfNeeded()
    this.catalogue.eraseHere(record, this.#clock.now())
    this.#events.emit('standing', { publisher })
    return this.#erasure.collect()
  }

  /** Takes that back: bytes are fetched again where the rules say so. */
  restoreHere({ record, publisher }: ModelRow): void {
    this.catalogue.restoreHere(record)
    this.#erasure.note()
    this.#events.emit('standing', { publisher })
  }

  /** Like {@link Erasure.collect}. Call it now and then. */
  collect(): Promise<Collected> {
    return this.#deleting(() => this.#erasure.collect())
  }

  /** Like {@link Erasure.collectAll}. */
  collectAll(grace?: number): Promise<CollectedAll> {
    return this.#deleting(() => this.#erasure.collectAll(grace))
  }

  /** Work that makes room, and may be begun anew: only where it needs the reserve it is given up. */
  async #deleting<T>(work: () => Promise<T>): Promise<T> {
    const done = await work().catch((error: unknown) => {
      if (isFull(error) && this.reserve.release()) return work()
      throw error
    })
    this.reserve.fill()
    return done
  }

  // Records and models

  /** @throws ZoariumError NOT_FOUND */
  record(id: Cid): SignedRecord {
    const row = this.catalogue.record(id)
    if (row !== null) return expectOk(readRecord(row.envelope))
    throw new ZoariumError('NOT_FOUND', 'no record of that id is here', { got: id })
  }

  /** Like {@link Lookup.model}. */
  resolve(ref: string): Verdict<ModelRow> {
    return this.#lookup.model(ref)
  }

  /** Like {@link Lookup.withErased}. */
  resolveWithErased(ref: string): Verdict<ModelRow> {
    return this.#lookup.withErased(ref)
  }

  /** All versions of a name, newest first. */
  versions(publisher: Cid, name: string): readonly ModelRow[] {
    return this.catalogue.modelVersions(publisher, name)
  }

  /**
   * Whether a record is at a fork of its log or after it, or the identity of its publisher has
   * forked: nobody knows what its signer meant.
   */
  isContested(id: Cid): boolean {
    const row = this.catalogue.record(id)
    if (row === null) return false
    const { publisher, key, epoch, seq } = expectOk(peekRecord(row.envelope))
    if (this.isFrozen(publisher)) return true
    return isForked(this.catalogue.proof(publisher, key), { epoch, seq })
  }

  /** Like {@link Closure.isUnclosed}. */
  isUnclosed(record: Cid): boolean {
    return this.#closure.isUnclosed(record)
  }

  /** What the operator should know of the logs of all publishers that are listed here. */
  logStatuses(): readonly LogStatus[] {
    const parts: LogStatusParts = {
      catalogue: this.catalogue,
      isFrozen: (publisher) => this.isFrozen(publisher),
      isUnclosed: (record) => this.isUnclosed(record),
      stated: (publisher, key) => this.#stated(publisher, key),
      now: this.#clock.now(),
    }
    return [...this.trust.with('list')].sort().flatMap((each) => logStatuses(each, parts))
  }

  /** What was ever seen to be stated of a log, unless its root has made that void since. */
  #stated(publisher: Cid, key: KeyId): LogPosition | null {
    const position = this.#maxSeen.of(publisher, key)
    const identity = this.identity(publisher)
    const device = identity === null ? null : deviceOf(identity, key)
    if (position === null || !device?.ok) return null
    return checkPosition(device.value, position).ok ? position : null
  }

  /** Searches all that this node lists. @throws ZoariumError PARAMETER */
  search(query: ModelQuery): ModelPage {
    return this.catalogue.search({ ...query, hidden: [...this.#hidden, ...(query.hidden ?? [])] })
  }

  /**
   * Whether a moment lies ahead of the clock. What is dated so has come while the clock was wrong,
   * and says nothing of how fresh a log is.
   */
  isAhead(time: number): boolean {
    return time > this.horizon()
  }

  /** What is dated later lies ahead of the clock, milliseconds. */
  horizon(): number {
    return this.#clock.now() + MAX_CLOCK_AHEAD_MS
  }

  logs(publisher?: Cid): readonly LogRow[] {
    return this.catalogue.logs(publisher)
  }

  counts(): ReturnType<Catalogue['counts']> {
    return this.catalogue.counts()
  }

  // Files

  /** Like {@link ModelFiles.holding}. */
  holding(record: Cid): Holding {
    return this.#files.holding(record)
  }

  /** Like {@link ModelFiles.mayMirror}. */
  mayMirror(model: ModelRow): boolean {
    return this.#files.mayMirror(model)
  }

  /** Like {@link ModelFiles.decision}. */
  mirrorDecision(model: ModelRow): MirrorDecision {
    return this.#files.decision(model)
  }

  /**
   * Pins a model: its files are fetched and kept. @param name what it is, for people
   * @returns whether it was not pinned; @throws ZoariumError POLICY, DISK_FULL, STORE
   */
  pin({ record }: ModelRow, name: string): boolean {
    const isNew = this.#book.pin(record, name)
    if (isNew) this.#trustChanged(null)
    return isNew
  }

  /** Takes that back. @returns whether it was pinned; @throws ZoariumError POLICY, DISK_FULL, STORE */
  unpin(record: Cid): boolean {
    const wasPinned = this.#book.unpin(record)
    if (wasPinned) this.#trustChanged(null)
    return wasPinned
  }

  /** Files of a model are about to be read here, or run. */
  opens(record: Cid): void {
    this.#eviction.opens(record)
    this.used(record)
  }

  /** Like {@link Eviction.used}; a full disk keeps nobody from using what is here. */
  used(record: Cid): void {
    try {
      this.#eviction.used(record)
    } catch (error) {
      if (!(error instanceof ZoariumError)) throw error
    }
  }

  /** Like {@link Eviction.makeRoom}. */
  makeRoom(bytes: number, options: RoomOptions): Promise<Evicted> {
    return this.#eviction.makeRoom(bytes, options)
  }

  /** Institutions that hold a model in full, this node's among them, as their nodes say. */
  holders(record: Cid): readonly Cid[] {
    const { publisher } = this
    const isHere = this.holding(record).complete && !this.#eviction.isLeaving(record)
    const isElsewhere = this.replicas
      .nodes(publisher)
      .some(({ holdings, models }) => !this.signer.keys().has(holdings.key) && models.has(record))
    const own = isHere || isElsewhere ? [publisher] : []
    return [...own, ...this.replicas.holders(record, publisher)]
  }

  /**
   * Looks at all models for everybody that are listed here, own ones first: those that have fewer copies
   * than their floor, and null for each other one.
   */
  *scarceModels(): Generator<ScarceModel | null> {
    const { floor, rules } = this.trust.mirror
    const most = Math.max(floor, ...rules.map((rule) => rule.floor ?? 0))
    for (const publisher of this.trust.with('list')) {
      for (const record of this.catalogue.modelIds(publisher)) yield this.#scarce(record, most)
    }
  }

  /** @param most highest floor of any model */
  #scarce(record: Cid, most: number): ScarceModel | null {
    const replicas = this.holders(record).length
    if (replicas >= most || this.audiences.ofRecord(record) !== null) return null
    const model = this.catalogue.model(record)
    if (model === null) return null
    const { floor } = this.mirrorDecision(model)
    return replicas < floor ? { model, replicas, floor } : null
  }

  /** Like {@link ModelFiles.mirrored}. */
  mirroredModels(): readonly Cid[] {
    return this.#files.mirrored()
  }

  /** Like {@link ModelFiles.incomplete}. */
  incompleteModels(): readonly Cid[] {
    return this.#files.incomplete()
  }

  /** Models for everybody whose files are all here, own ones first: what the node says it holds. */
  heldForAll(): readonly Cid[] {
    return this.mirroredModels().filter(
      (record) =>
        this.audiences.ofRecord(record) === null &&
        this.holding(record).complete &&
        !this.#eviction.isLeaving(record),
    )
  }

  /** Like {@link ModelFiles.runnable}. */
  runnableModels(): Generator<Cid> {
    return this.#files.runnable()
  }

  /**
   * Inner nodes of a blob's tree, root first; none for a file of one leaf; null where they are not
   * known here.
   */
  tree(cid: Cid): readonly Uint8Array[] | null {
    return this.catalogue.tree(cid) ?? (codecOf(cid) === 'raw' ? [] : null)
  }

  /** Keeps a tree that the caller has verified. */
  keepTree(cid: Cid, nodes: readonly Uint8Array[]): void {
    this.catalogue.putTree(cid, nodes)
  }

  /** A download has made a blob visible. */
  blobKept(cid: Cid, size: number): void {
    const records = this.catalogue.recordsWithFile(cid)
    this.#files.filesCame(records)
    this.quotas.kept(cid, size)
    // What named it was erased while it came.
    if (records.length === 0) this.catalogue.doom(cid)
    this.#events.emit('blob', { cid, size })
  }

  /** Reads the card of a model that was here without it and whose files have come. */
  async mendCard({ record, card }: ModelRow): Promise<void> {
    if (!this.catalogue.modelsWithoutCard().includes(record) || this.blobs.stat(card) === null)
      return
    const parts: Uint8Array[] = []
    for await (const part of await this.blobs.open(card)) parts.push(part)
    this.admitRecord(this.record(record).envelope, concat(parts))
  }

  /** Like {@link ModelFiles.isShared}. */
  isShared(cid: Cid, reader: Cid | null): boolean {
    return this.#files.isShared(cid, reader)
  }
}

/** Publishers of which a log may be another one after some records were judged. */
function touchedBy(
  records: readonly { readonly envelope: Uint8Array }[],
  verdicts: readonly Verdict<Admitted>[],
): ReadonlySet<Cid> {
  const publishers = new Set<Cid>()
  for (const [n, verdict] of verdicts.entries()) {
    if (verdict.ok) {
      if (verdict.value.status === 'admitted') publishers.add(verdict.value.signed.record.publisher)
      continue
    }
    // A refused one may have proved a fork, or taken back the branch that the root has left.
    const peeked = peekRecord(records[n]?.envelope ?? new Uint8Array())
    if (peeked.ok) publishers.add(peeked.value.publisher)
  }
  return publishers
}

const isFull = (error: unknown): boolean =>
  error instanceof ZoariumError && error.code === 'DISK_FULL'

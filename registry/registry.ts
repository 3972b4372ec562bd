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
import { expectOk, type Failure, refuse, type Verdict, ZoariumError } from '../protocol/errors.ts'
import type { Identity } from '../protocol/identity.ts'
import { MAX_CLOCK_AHEAD_MS, MAX_REPLACES } from '../protocol/limits.ts'
import {
  type LogPosition,
  type ProfileBody,
  peekRecord,
  type RecordBody,
  readRecord,
  type SignedRecord,
  type WithdrawBody,
} from '../protocol/record.ts'
import { Admission, type Admitted, type AdmittedHead, type AdmittedProof } from './admission.ts'
import { Audiences } from './audiences.ts'
import type { BlobStore } from './blob-store.ts'
import type {
  Catalogue,
  ErasureRow,
  KeyId,
  LogRow,
  ModelFileRow,
  ModelPage,
  ModelQuery,
  ModelRow,
  ProfileRow,
} from './catalogue.ts'
import type { Clock } from './clock.ts'
import { Closure } from './closure.ts'
import { type DiskSpace, endlessDisk } from './disk-space.ts'
import { type Collected, Erasure } from './erasure.ts'
import { Events, type RegistryEvents } from './events.ts'
import { isForked } from './fork.ts'
import { Handles } from './handles.ts'
import { type AdmittedIdentity, Identities } from './identities.ts'
import { type JoinPlan, planJoin } from './joining.ts'
import { type LogStatus, type LogStatusParts, logStatuses } from './log-status.ts'
import { Lookup } from './lookup.ts'
import { MaxSeen, memoryJournal } from './max-seen.ts'
import { OwnLog } from './own-log.ts'
import type { Package } from './package.ts'
import type { PackageSource } from './package-source.ts'
import { Publication, type PublicationOptions, type PublicationPlan } from './publication.ts'
import { type QuotaLimits, Quotas } from './quotas.ts'
import { renewals } from './renewal.ts'
import { Rosters } from './rosters.ts'
import { type JudgedAttestation, type RunGrant, RunRight } from './run-right.ts'
import type { Signer } from './signer.ts'
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
  readonly quotas?: Partial<QuotaLimits>
}

/** What of a model's files is here. */
export interface Holding {
  readonly complete: boolean
  readonly missing: readonly ModelFileRow[]
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
  readonly #lookup: Lookup
  readonly #own: OwnLog
  readonly #closure: Closure
  readonly #publication: Publication
  readonly quotas: Quotas
  readonly #erasure: Erasure
  readonly #runRight: RunRight
  /** The rules of the book, with the rosters as they stand now. */
  #policy: TrustPolicy
  /** Publishers with records here that may no longer be listed. */
  #hidden: readonly Cid[] = []
  /** What was found of each model's files: complete until a blob goes, lacking until one comes. */
  #found = { complete: new Set<Cid>(), lacking: new Set<Cid>(), losses: 0 }

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
    this.quotas = new Quotas({ own: publisher, catalogue, blobs, clock, disk, limits })
    const { quotas } = this
    this.#admission = new Admission({ catalogue, identities, policy, clock, audiences, quotas })
    this.#closure = new Closure({ catalogue, identities, policy, clock })
    this.handles = new Handles({ catalogue, policy, clock })
    this.#lookup = new Lookup(catalogue, this.handles, policy)
    this.#own = new OwnLog({ catalogue, identities: this.#identities, signer, clock })
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
    const exclusively: Publication['exclusively'] = (work) => this.#publication.exclusively(work)
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
    return registry
  }

  async close(): Promise<void> {
    await this.#publication.exclusively(() => Promise.resolve())
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
  whyUnsure(): Failure | null {
    return this.#own.whyUnsure()
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

  /** Whether files of a model may be held: those of what runs, too. */
  mayMirror(model: ModelRow): boolean {
    return this.trust.may(model.publisher, 'mirror') || this.mayRun(model).ok
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
    const after = this.identity(publisher)
    // Also where a later operation was refused: what came before it is kept.
    if (after !== null && after.tip !== before?.tip) {
      // Records may have been taken back.
      this.quotas.forget()
      this.#found.complete.clear()
      this.#erasure.note()
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
      return all
    })
    const admitted = verdicts.flatMap((verdict) =>
      verdict.ok && verdict.value.status === 'admitted' ? [verdict.value.signed] : [],
    )
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
      throw error
    }
  }

  /** Like {@link Admission.proof}. */
  admitProof(first: Uint8Array, second: Uint8Array): Verdict<AdmittedProof> {
    const verdict = this.#admission.proof(first, second)
    if (verdict.ok && verdict.value.isNew) this.#events.emit('fork', verdict.value)
    return verdict
  }

  /** Like {@link Admission.head}. */
  admitHead(envelope: Uint8Array): Verdict<AdmittedHead> {
    const verdict = this.#admission.head(envelope)
    if (verdict.ok && verdict.value.isNew) {
      const { publisher, key } = verdict.value.head
      // Of strangers there may be any number.
      if (this.trust.may(publisher, 'list')) this.#maxSeen.note(publisher, key, verdict.value.head)
      this.#events.emit('head', { publisher, key, envelope })
    }
    return verdict
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
    this.#found.lacking.clear()
    this.#signed(signed)
    return signed
  }

  /** Signs a profile that stands in for the present ones. @throws like {@link OwnLog.append} */
  publishProfile(profile: Omit<ProfileBody, 'replaces'>): SignedRecord {
    const several = this.catalogue
      .conflicts()
      .find(({ publisher, kind }) => publisher === this.publisher && kind === 'profile')
    const present = this.profile(this.publisher)
    const all = several?.records ?? (present === null ? [] : [present.record])
    return this.append({
      kind: 'profile',
      body: { ...profile, replaces: all.slice(0, MAX_REPLACES) },
    })
  }

  /**
   * Takes an own model back: `yank` leaves it out of what a name stands for, `recall` forbids to
   * run it, `erase` removes its bytes; `restore` takes an erasure back while the bytes are here.
   * @throws ZoariumError SCOPE for another publisher's model, and without a key to erase for
   * `erase` and `restore`, USAGE where there is nothing to restore, BLOB_MISSING where the bytes
   * are gone, RECORD_INVALID for a reason or note against the rules, and like {@link OwnLog.append}
   */
  withdraw(model: ModelRow, how: Omit<WithdrawBody, 'target'>): SignedRecord {
    this.#requireOwn(model, 'withdraws')
    const targets = how.verb === 'restore' ? this.#erasuresOf(model) : [model.record]
    const signed = targets.map((target) =>
      this.#appendAbout(model, { kind: 'withdraw', body: { target, ...how } }),
    )
    // SAFE: there is at least one target.
    return signed.at(-1) as SignedRecord
  }

  /** The withdrawals that erase a model. */
  #erasuresOf({ publisher, record, card }: ModelRow): readonly Cid[] {
    const standing = this.catalogue
      .withdrawals(publisher, record)
      .filter(({ verb, isRestored }) => verb === 'erase' && !isRestored)
    if (standing.length === 0) {
      throw new ZoariumError('USAGE', 'the model is not erased', { got: record })
    }
    if (this.catalogue.card(card) === null) {
      throw new ZoariumError('BLOB_MISSING', 'its bytes are gone from this node', {
        got: record,
        hint: 'publish it anew, as another version',
      })
    }
    return standing.map((each) => each.record)
  }

  /**
   * Gives a version of an own model a name that can move on, such as `stable`.
   * @throws ZoariumError SCOPE for another publisher's model, NAME, and like {@link OwnLog.append}
   */
  tag(model: ModelRow, tag: string): SignedRecord {
    this.#requireOwn(model, 'tags')
    const { name, record: target } = model
    const standing = this.catalogue.tags(this.publisher, name, tag)
    const replaces = standing.map(({ record }) => record)
    return this.#appendAbout(model, { kind: 'tag', body: { name, tag, target, replaces } })
  }

  /**
   * States something of a model, of anybody's.
   * @param more further fields of the claim
   * @throws ZoariumError AUDIENCE for a private model, whose record nobody else is to hear of,
   * RECORD_INVALID or LIMIT for fields against the rules, and like {@link OwnLog.append}
   */
  attest(
    { record: target, root }: ModelRow,
    claim: string,
    more: Readonly<Record<string, string | number>> = {},
  ): SignedRecord {
    const failure = this.whySecret(target)
    if (failure !== null) throw ZoariumError.of(failure)
    return this.append({ kind: 'attest', body: { ...more, target, root, claim } })
  }

  /** Why no public record may name a record; null: it may. Fails with AUDIENCE. */
  whySecret(record: Cid): Failure | null {
    if (this.audiences.ofRecord(record) === null) return null
    return refuse('AUDIENCE', 'it is private, and a public record would tell all of it', {
      got: record,
    })
  }

  /** What is said of a private model stays in the private log. */
  #appendAbout(
    { record }: ModelRow,
    statement: Exclude<RecordBody, { readonly kind: 'model' }>,
  ): SignedRecord {
    const isPrivate = this.audiences.ofRecord(record) !== null
    const signed = this.#own.append(statement, {}, () => {}, isPrivate)
    this.#signed(signed)
    return signed
  }

  #requireOwn(model: ModelRow, verb: string): void {
    if (model.publisher === this.publisher) return
    throw new ZoariumError('SCOPE', `only its publisher ${verb} a model`, {
      got: model.publisher,
      hint: 'to keep it from running here, change the trust rule of its publisher',
    })
  }

  /** Signs any statement but a model. @throws like {@link OwnLog.append} */
  append(statement: Exclude<RecordBody, { readonly kind: 'model' }>): SignedRecord {
    const signed = this.#own.append(statement)
    this.#signed(signed)
    return signed
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
    return this.#erasure.collect()
  }

  /** Like {@link Erasure.collectAll}. */
  collectAll(): Promise<Collected> {
    return this.#erasure.collectAll()
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
    return time > this.#clock.now() + MAX_CLOCK_AHEAD_MS
  }

  logs(publisher?: Cid): readonly LogRow[] {
    return this.catalogue.logs(publisher)
  }

  counts(): ReturnType<Catalogue['counts']> {
    return this.catalogue.counts()
  }

  // Files

  /** What of a model's files is here; a record that is no model here is not complete. */
  holding(record: Cid): Holding {
    const { losses } = this.blobs
    if (losses !== this.#found.losses) this.#found = { ...this.#found, complete: new Set(), losses }
    const { complete, lacking } = this.#found
    if (complete.has(record)) return { complete: true, missing: [] }
    const model = this.catalogue.model(record)
    const missing = (model?.files ?? []).filter((file) => this.blobs.stat(file.cid) === null)
    const isComplete = model !== null && missing.length === 0
    if (isComplete) {
      complete.add(record)
      lacking.delete(record)
    } else if (model !== null) lacking.add(record)
    return { complete: isComplete, missing }
  }

  /** Like {@link holding}, without a look at what was found lacking and got no file since. */
  #isComplete(record: Cid): boolean {
    return !this.#found.lacking.has(record) && this.holding(record).complete
  }

  /** Models whose files this node may hold, own ones first; recalled ones are left out. */
  mirroredModels(): readonly Cid[] {
    const followed = this.trust
      .with('mirror')
      .flatMap((publisher) => this.catalogue.modelIds(publisher))
    return [...new Set([...followed, ...this.#runRight.attestedModels()])]
  }

  /** Models that this node may mirror and does not hold in full. */
  incompleteModels(): readonly Cid[] {
    return this.mirroredModels().filter((record) => !this.#isComplete(record))
  }

  /** Models that may run here and are whole, own ones first; recalled ones are left out. */
  *runnableModels(): Generator<Cid> {
    for (const publisher of this.trust.with('run')) {
      for (const record of this.catalogue.modelIds(publisher)) {
        if (this.#isComplete(record)) yield record
      }
    }
    for (const record of this.#runRight.attestedModels()) {
      if (this.#isComplete(record)) yield record
    }
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
    for (const record of records) this.#found.lacking.delete(record)
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

  /**
   * Whether a peer may read a blob: a model that is mirrored here, is not erased and is for that
   * peer names it.
   * @param reader publisher of the peer, or null
   */
  isShared(cid: Cid, reader: Cid | null): boolean {
    return this.catalogue.recordsWithFile(cid).some((record) => {
      const model = this.catalogue.model(record)
      return (
        model !== null &&
        model.withdrawn !== 'erase' &&
        this.mayMirror(model) &&
        this.audiences.mayReadRecord(record, reader)
      )
    })
  }
}

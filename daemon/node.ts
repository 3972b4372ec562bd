/**
 * The node as the HTTP routes see it: {@link NodeApi} over registry, network and inference. No
 * rule is decided here; each call names the part that decides.
 */
import type {
  CollectedView,
  DoctorView,
  ErasureView,
  EventView,
  GarbageView,
  IdentityView,
  ImportView,
  JoinView,
  KeysView,
  LeaveView,
  ModelPageView,
  ModelView,
  NewTokenView,
  NodeView,
  PeerView,
  PinView,
  ProfileView,
  PublisherView,
  PublishView,
  PullView,
  Right,
  RosterView,
  RouteView,
  Scope,
  StatementView,
  SyncView,
  TokenView,
  TrustExplanation,
  TrustView,
} from '../protocol/api.ts'
import type { Claim } from '../protocol/attestation.ts'
import { type Cid, parseCid } from '../protocol/cid.ts'
import { expectOk, ZoariumError } from '../protocol/errors.ts'
import { type HandleDocument, handleDocument } from '../protocol/handle.ts'
import type { ProfileBody, WithdrawBody } from '../protocol/record.ts'
import { parseHandle } from '../protocol/reference.ts'
import { VERSION } from '../protocol/version.ts'
import type { ModelQuery, ModelRow } from '../registry/catalogue.ts'
import type { Clock } from '../registry/clock.ts'
import { exportModels } from '../registry/model-export.ts'
import { importModels } from '../registry/model-import.ts'
import type { OwnKeys } from '../registry/own-keys.ts'
import { isSameProfile } from '../registry/profile.ts'
import type { Registry } from '../registry/registry.ts'
import type { Attesting } from './attesting.ts'
import type { Doctor } from './doctor.ts'
import type { Erasing } from './erasing.ts'
import { Explanation } from './explanation.ts'
import type { Federation } from './federation.ts'
import type { HandleChecks } from './handle-checks.ts'
import type {
  FileAnswer,
  InferAnswer,
  InferInput,
  InferOptions,
  JoinOptions,
  LeafAnswer,
  LeafQuery,
  NodeApi,
  PublishOptions,
  RosterEdit,
} from './http/node-api.ts'
import type { Engine } from './inference/engine.ts'
import type { Inference } from './inference/inference.ts'
import type { Inferring } from './inferring.ts'
import type { KeyRenewals } from './key-renewals.ts'
import { keysView } from './keys.ts'
import type { Metrics } from './metrics.ts'
import type { Mirror } from './mirror.ts'
import { LOCAL, type Nearest } from './nearest.ts'
import type { Network, NetworkPeer } from './net/network.ts'
import type { Placing } from './placing.ts'
import type { Presence } from './presence.ts'
import type { Publishing } from './publishing.ts'
import { quotaViews } from './quota-views.ts'
import { isOnDemand } from './runnable.ts'
import type { Scrub } from './scrub.ts'
import type { SelfCheck } from './self-check.ts'
import type { Tokens } from './tokens.ts'
import type { Views } from './views.ts'
import { warningsOf } from './warnings.ts'

export interface NodeParts {
  readonly registry: Registry
  readonly network: Pick<
    Network,
    'peerId' | 'isStarted' | 'addresses' | 'peers' | 'connect' | 'syncNow' | 'isTicket' | 'leafFor'
  >
  readonly inference: Pick<Inference, 'status'>
  readonly engine: Pick<Engine, 'name' | 'version' | 'executionProviders' | 'isolation'>
  readonly inferring: Inferring
  readonly nearest: Nearest
  readonly publishing: Publishing
  readonly attesting: Attesting
  readonly erasing: Erasing
  readonly federation: Federation
  readonly self: Pick<SelfCheck, 'settled' | 'isAsking'>
  readonly mirror: Mirror
  readonly doctor: Pick<Doctor, 'examine'>
  readonly placing: Pick<Placing, 'atRisk'>
  readonly keys: Pick<OwnKeys, 'overview'>
  readonly renewals: Pick<KeyRenewals, 'views'>
  readonly presence: Pick<Presence, 'silence'>
  readonly handles: Pick<HandleChecks, 'kick'>
  readonly scrub: Pick<Scrub, 'view'>
  readonly tokens: Tokens
  readonly views: Views
  readonly metrics: Metrics
  readonly clock: Clock
  readonly spool: string
}

export class Node implements NodeApi {
  readonly #parts: NodeParts
  readonly #started: number
  readonly #listeners = new Set<(event: EventView) => void>()

  constructor(parts: NodeParts) {
    this.#parts = parts
    this.#started = parts.clock.now()
  }

  get spool(): string {
    return this.#parts.spool
  }

  node(): NodeView {
    const { registry, network, inference, engine, views, self } = this.#parts
    const { renewals, presence } = this.#parts
    const { queued, running, warm } = inference.status()
    return {
      publisher: views.publisher(registry.publisher),
      peer: network.peerId,
      addresses: network.addresses(),
      version: VERSION,
      started: new Date(this.#started).toISOString(),
      counts: registry.counts(),
      logs: registry.logStatuses().map(({ publisher, key, position, state, missing }) => ({
        publisher,
        key,
        epoch: position?.epoch ?? null,
        seq: position?.seq ?? null,
        state,
        missing,
      })),
      blobs: registry.blobs.held,
      engine: {
        name: engine.name,
        version: engine.version,
        executionProviders: engine.executionProviders,
        isolation: engine.isolation,
        queued,
        running,
        // A session of a card's test, before its publication, belongs to no record.
        warm: warm.filter((record) => registry.catalogue.record(record) !== null),
      },
      quotas: quotaViews(registry, network, views),
      incomplete: registry.incompleteModels().length,
      atRisk: {
        total: this.#parts.placing.atRisk.total,
        models: this.#parts.placing.atRisk.models.map(({ model, replicas, floor }) => ({
          ref: views.ref(model),
          record: model.record,
          replicas,
          floor,
        })),
      },
      scrub: this.#parts.scrub.view(),
      self: self.isAsking ? 'asking' : registry.whyUnsure() === null ? 'sure' : 'unsure',
      renewals: renewals.views(),
      warnings: warningsOf(registry, presence.silence()),
      rosters: this.#parts.federation.statuses(),
    }
  }

  handleDocument(): HandleDocument {
    return handleDocument(this.#parts.registry.publisher)
  }

  ownHandle(): string | null {
    const { registry } = this.#parts
    return registry.profile(registry.publisher)?.handle ?? null
  }

  notReady(): readonly string[] {
    return this.#parts.network.isStarted ? [] : ['the network is starting']
  }

  peers(): readonly PeerView[] {
    return this.#parts.network.peers().map((peer) => this.#peerView(peer))
  }

  #peerView(peer: NetworkPeer): PeerView {
    return {
      peer: peer.peer,
      addresses: peer.addresses,
      connected: peer.connected,
      publisher: peer.publisher === null ? null : this.#parts.views.publisher(peer.publisher),
      roles: peer.roles,
      rttMs: peer.rttMs,
      fileRate: peer.fileRate,
      lastSync: peer.lastSync === null ? null : new Date(peer.lastSync).toISOString(),
      shutOutUntil: peer.shutOut === null ? null : new Date(peer.shutOut.until).toISOString(),
      serves: peer.heartbeat?.serves.length ?? 0,
      queue: peer.heartbeat?.queue ?? null,
    }
  }

  async connect(address: string): Promise<PeerView> {
    const { network } = this.#parts
    const id = await network.connect(address)
    const peer = network.peers().find((entry) => entry.peer === id)
    if (peer === undefined) throw new ZoariumError('UNREACHABLE', 'the connection broke at once')
    return this.#peerView(peer)
  }

  async sync(peer: string | null): Promise<readonly SyncView[]> {
    const reports = await this.#parts.network.syncNow(peer)
    return reports.map(({ behind: _, more: __, confirms: ___, ...view }) => view)
  }

  model(ref: string): ModelView {
    return this.#parts.views.model(expectOk(this.#parts.registry.resolve(ref)))
  }

  search(query: ModelQuery): ModelPageView {
    const { registry, views } = this.#parts
    const page = registry.search(query)
    return {
      items: page.items.map((model) => views.summary(model)),
      total: page.total,
      next: page.next,
      // They explain why nothing was found, and are not looked up otherwise.
      unlisted: page.total === 0 ? this.#unlisted() : [],
    }
  }

  #unlisted(): readonly PublisherView[] {
    const { registry, views } = this.#parts
    return registry
      .publishers()
      .filter((publisher) => !registry.trust.may(publisher, 'list'))
      .map((publisher) => views.publisher(publisher))
  }

  envelope(record: Cid): Uint8Array {
    return this.#parts.registry.record(record).envelope
  }

  identity(publisher: string): IdentityView {
    const { registry } = this.#parts
    const id = expectOk(registry.resolvePublisher(publisher))
    const identity = registry.identity(id)
    if (identity === null) throw new ZoariumError('NOT_FOUND', 'no identity of that publisher')
    return {
      publisher: id,
      operations: registry
        .identityOps(id)
        .map((operation) => Buffer.from(operation).toString('base64')),
      devices: identity.devices.map(({ key, scope, notBefore, notAfter }) => ({
        key,
        scope,
        notBefore: new Date(notBefore).toISOString(),
        notAfter: new Date(notAfter).toISOString(),
      })),
    }
  }

  async file(ref: string, path: string, signal: AbortSignal): Promise<FileAnswer> {
    const { registry, mirror } = this.#parts
    const model = expectOk(registry.resolve(ref))
    const file = model.files.find((entry) => entry.path === path)
    if (file === undefined) {
      throw new ZoariumError('NOT_FOUND', 'the model has no such file', { field: path })
    }
    if (registry.blobs.stat(file.cid) === null && isOnDemand(registry, model)) {
      await mirror.fetchFile(model, file, signal)
    }
    if (registry.blobs.stat(file.cid) === null) {
      throw new ZoariumError('BLOB_MISSING', 'the file is not on this node', {
        field: path,
        hint: `zoarium pull ${ref}`,
      })
    }
    return {
      size: file.size,
      mediaType: file.mediaType,
      cid: file.cid,
      open: (range) => {
        registry.opens(model.record)
        return registry.blobs.open(file.cid, range)
      },
    }
  }

  blob(cid: Cid): FileAnswer {
    const { blobs } = this.#parts.registry
    const info = blobs.stat(cid)
    if (info === null) {
      throw new ZoariumError('BLOB_MISSING', 'the file is not on this node', { got: cid })
    }
    const mediaType = 'application/octet-stream'
    return { cid, size: info.size, mediaType, open: (range) => blobs.open(cid, range) }
  }

  isTicket(text: string): boolean {
    return this.#parts.network.isTicket(text)
  }

  async leaf(ticket: string, asked: LeafQuery): Promise<LeafAnswer> {
    return expectOk(await this.#parts.network.leafFor(ticket, asked))
  }

  publish(zip: string, options: PublishOptions, signal: AbortSignal): Promise<PublishView> {
    return this.#parts.publishing.publish(zip, options, signal)
  }

  async withdraw(ref: string, how: Omit<WithdrawBody, 'target'>): Promise<StatementView> {
    await this.#parts.self.settled()
    const { registry } = this.#parts
    const found = how.verb === 'restore' ? registry.resolveWithErased(ref) : registry.resolve(ref)
    const model = expectOk(found)
    return this.#stated(model, registry.withdraw(model, how).id)
  }

  erasures(): readonly ErasureView[] {
    return this.#parts.erasing.list()
  }

  eraseHere(ref: string): Promise<CollectedView> {
    return this.#parts.erasing.eraseHere(ref)
  }

  restoreHere(ref: string): readonly ErasureView[] {
    return this.#parts.erasing.restoreHere(ref)
  }

  doctor(): Promise<DoctorView> {
    return this.#parts.doctor.examine()
  }

  collectGarbage(isNow: boolean): Promise<GarbageView> {
    return this.#parts.erasing.collectGarbage(isNow)
  }

  async attest(
    ref: string,
    claim: Claim,
    note: string,
    signal: AbortSignal,
  ): Promise<StatementView> {
    const model = expectOk(this.#parts.registry.resolve(ref))
    const { id } = await this.#parts.attesting.attest(model, claim, note, signal)
    return this.#stated(model, id)
  }

  async tag(ref: string, tag: string): Promise<StatementView> {
    await this.#parts.self.settled()
    const model = expectOk(this.#parts.registry.resolve(ref))
    return this.#stated(model, this.#parts.registry.tag(model, tag).id)
  }

  keys(): KeysView {
    return keysView(this.#parts.keys.overview())
  }

  profile(): ProfileView {
    const { registry, views } = this.#parts
    const profile = registry.profile(registry.publisher)
    if (profile === null) {
      throw new ZoariumError('NOT_FOUND', 'no profile of this publisher is here yet', {
        got: registry.publisher,
      })
    }
    const { record, url, ror } = profile
    return { record, publisher: views.publisher(registry.publisher), url, ror }
  }

  async setProfile(profile: Omit<ProfileBody, 'replaces'>): Promise<ProfileView> {
    const { registry, self, handles } = this.#parts
    await self.settled()
    const { handle } = profile
    if (handle !== null) expectOk(parseHandle(handle))
    const present = registry.profile(registry.publisher)
    if (present === null || !isSameProfile(present, profile)) registry.publishProfile(profile)
    // Also where nothing changed: its host may be ready now.
    if (handle !== null) registry.handles.again(handle)
    handles.kick()
    return this.profile()
  }

  #stated(model: ModelRow, record: Cid): StatementView {
    return { record, target: model.record, ref: this.#parts.views.ref(model) }
  }

  exportModels(refs: readonly string[]): AsyncIterable<Uint8Array> {
    const { registry } = this.#parts
    return exportModels(
      registry,
      refs.map((ref) => expectOk(registry.resolve(ref))),
    )
  }

  async importModels(car: AsyncIterable<Uint8Array>): Promise<ImportView> {
    const { registry, views } = this.#parts
    const { models, ...rest } = await importModels(registry, car)
    return {
      models: models.flatMap((record) => {
        const model = registry.catalogue.model(record)
        return model === null ? [] : [{ record, ref: views.ref(model) }]
      }),
      ...rest,
    }
  }

  async pull(ref: string, signal: AbortSignal): Promise<PullView> {
    const { registry, mirror, views } = this.#parts
    const model = expectOk(registry.resolve(ref))
    const started = performance.now()
    const { bytes, fetched } = await mirror.fetch(model, signal)
    return {
      record: model.record,
      ref: views.ref(model),
      bytes,
      fetched,
      ms: performance.now() - started,
    }
  }

  resolve(ref: string): Cid {
    return expectOk(this.#parts.registry.resolve(ref)).record
  }

  async infer(
    record: Cid,
    inputs: readonly InferInput[],
    options: InferOptions,
    signal: AbortSignal,
  ): Promise<InferAnswer> {
    const { registry, inferring, metrics } = this.#parts
    const model = expectOk(registry.resolve(record))
    const started = performance.now()
    try {
      const answer = await inferring.infer(model, inputs, options, signal)
      const where = answer.node === LOCAL ? 'local' : 'remote'
      metrics.inferences.inc({ where, code: 'OK' })
      metrics.inferenceSeconds.observe({ where }, (performance.now() - started) / 1000)
      return answer
    } catch (error) {
      const code = error instanceof ZoariumError ? error.code : 'INTERNAL'
      metrics.inferences.inc({ where: options.on === LOCAL ? 'local' : 'remote', code })
      throw error
    }
  }

  async route(ref: string, bytes: number): Promise<readonly RouteView[]> {
    return this.#parts.nearest.views(expectOk(this.#parts.registry.resolve(ref)), bytes)
  }

  trust(): TrustView {
    const { registry, views } = this.#parts
    const { trust } = registry
    const viewOf = (id: Cid): PublisherView => views.publisher(id)
    return {
      items: trust.with('see').map((id) => {
        const { because, rule, roster } = trust.grant(id)
        return {
          publisher: viewOf(id),
          own: id === registry.publisher,
          // SAFE: only strangers have their right from nothing.
          because: because as Exclude<typeof because, 'default'>,
          roster: roster === null ? null : { publisher: roster.publisher, name: roster.name },
          line: (rule ?? roster)?.line ?? null,
        }
      }),
      run: trust.run.map(({ attested, of, publishers, line }) => ({
        attested,
        of: of.map(viewOf),
        publishers: publishers?.map(viewOf) ?? null,
        line,
      })),
      strangers: this.#unlisted().filter(({ id }) => trust.rule(id) === null),
    }
  }

  addTrust(
    publisher: string,
    right: Right,
    { petname, send }: { petname: string | null; send: boolean | null },
  ): TrustView {
    const { registry } = this.#parts
    const id = expectOk(registry.resolvePublisher(publisher))
    registry.setTrust({
      publisher: id,
      right,
      ...(send === null ? {} : { send }),
      ...(petname === null ? {} : { petname }),
    })
    return this.trust()
  }

  removeTrust(publisher: string): TrustView {
    const { registry } = this.#parts
    const id = expectOk(registry.resolvePublisher(publisher))
    if (registry.trust.rule(id) === null) {
      const { roster } = registry.trust.grant(id)
      throw new ZoariumError('NOT_FOUND', 'no rule names that publisher', {
        got: publisher,
        ...(roster === null
          ? {}
          : {
              hint: `it has its right from the roster ${roster.name}: zoarium leave ${roster.name}`,
            }),
      })
    }
    registry.removeTrust(id)
    return this.trust()
  }

  explainTrust(ref: string): TrustExplanation {
    const { registry, views } = this.#parts
    return new Explanation(registry, views).of(ref)
  }

  rosters(): readonly RosterView[] {
    return this.#parts.federation.list()
  }

  roster(publisher: string, name: string): RosterView {
    return this.#parts.federation.one(publisher, name)
  }

  rosterFile(publisher: string, name: string): Uint8Array {
    return this.#parts.federation.file(publisher, name)
  }

  setRoster(name: string, edit: RosterEdit): RosterView {
    return this.#parts.federation.set(name, edit)
  }

  withdrawRoster(name: string): RosterView {
    return this.#parts.federation.withdraw(name)
  }

  join(options: JoinOptions): Promise<JoinView> {
    return this.#parts.federation.join(options)
  }

  leave(publisher: string, name: string): LeaveView {
    return this.#parts.federation.leave(publisher, name)
  }

  pins(): readonly PinView[] {
    const { registry, views } = this.#parts
    return registry.trust.mirror.pins.map((record) => {
      const model = registry.catalogue.model(record)
      const isListed = model !== null && registry.trust.may(model.publisher, 'list')
      const { complete: held } = registry.holding(record)
      return { record, ref: isListed ? views.ref(model) : null, held }
    })
  }

  pin(ref: string): readonly PinView[] {
    const { registry, views } = this.#parts
    const model = expectOk(registry.resolve(ref))
    if (!registry.mayMirror(model)) {
      throw new ZoariumError('TRUST', 'no rule lets this node hold files of that publisher', {
        field: model.publisher,
        hint: `zoarium trust add ${views.nameOf(model.publisher)} mirror`,
      })
    }
    registry.pin(model, views.ref(model))
    return this.pins()
  }

  unpin(ref: string): readonly PinView[] {
    const { registry } = this.#parts
    // The model may be gone, or its publisher not listed any more.
    const id = parseCid(ref)
    const record = id.ok ? id.value : expectOk(registry.resolve(ref)).record
    if (!registry.unpin(record)) {
      throw new ZoariumError('NOT_FOUND', 'the model is not pinned', {
        got: ref,
        hint: 'zoarium pin list',
      })
    }
    return this.pins()
  }

  tokens(): readonly TokenView[] {
    return this.#parts.tokens.list()
  }

  addToken(label: string, scopes: readonly Scope[], expiresMs: number | null): NewTokenView {
    return this.#parts.tokens.add(label, scopes, expiresMs)
  }

  revokeToken(id: string): boolean {
    return this.#parts.tokens.revoke(id)
  }

  scopesOf(token: string): readonly Scope[] | null {
    return this.#parts.tokens.scopesOf(token)
  }

  subscribe(listener: (event: EventView) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Tells every subscriber. */
  emit(type: EventView['type'], data: EventView['data']): void {
    const event = { type, at: new Date(this.#parts.clock.now()).toISOString(), data }
    for (const listener of this.#listeners) listener(event)
  }

  metrics(): Promise<string> {
    return this.#parts.metrics.text()
  }
}

/**
 * What the HTTP routes need of the daemon; node.ts implements it over registry, network and
 * inference. Routes stay thin: parse, call, reply. Every method may throw a ZoariumError.
 */
import type {
  CollectedView,
  DoctorView,
  ErasureView,
  EventView,
  GarbageView,
  IdentityView,
  ImportView,
  InferView,
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
  PublishView,
  PullView,
  Right,
  RosterRight,
  RosterView,
  RouteView,
  Scope,
  StatementView,
  SyncView,
  TokenView,
  TrustExplanation,
  TrustView,
} from '../../protocol/api.ts'
import type { Claim } from '../../protocol/attestation.ts'
import type { Cid } from '../../protocol/cid.ts'
import type { HandleDocument } from '../../protocol/handle.ts'
import type { WeightFormat } from '../../protocol/model-description.ts'
import type { ProfileBody, WithdrawBody } from '../../protocol/record.ts'
import type { BlobRange } from '../../registry/blob-store.ts'
import type { ModelQuery } from '../../registry/catalogue.ts'

export interface PublishOptions {
  readonly name: string | null
  readonly version: string | null
  /** Keep only these weights; null: all that the card names. */
  readonly weights: readonly WeightFormat[] | null
  readonly dryRun: boolean
  /** Skip the card's own test. */
  readonly untested: boolean
  /** For the audience of the private log alone. */
  readonly private: boolean
}

export interface InferInput {
  /** Tensor id of the card; null: the only or next required input. */
  readonly name: string | null
  readonly mediaType: string | null
  readonly bytes: Uint8Array
}

/** Longest deadline that a caller may set: longer work belongs into a job. */
export const MAX_DEADLINE_MS = 600_000

export interface InferOptions {
  /** `local`, `nearest` or a PeerId, publisher id or label of one node. */
  readonly on: string
  readonly output: 'png' | 'tiff' | 'npy' | 'zip' | null
  readonly accept: string | null
  readonly deadlineMs: number | null
}

export interface InferAnswer extends InferView {
  readonly body: Uint8Array
}

/** A change of an own roster: null: as it was. */
export interface RosterEdit {
  /** Ids, handles, petnames or labels. */
  readonly add: readonly string[] | null
  readonly remove: readonly string[] | null
  readonly right: RosterRight | null
  readonly bootstrap: readonly string[] | null
}

export interface JoinOptions {
  /** The file of the roster; null: `ref` names it. */
  readonly car: Uint8Array | null
  /** Its record or issuer. */
  readonly ref: string | null
  readonly grantRun: boolean
  readonly dryRun: boolean
}

export interface FileAnswer {
  readonly size: number
  readonly mediaType: string
  readonly cid: Cid
  open(range: BlobRange): Promise<AsyncIterable<Uint8Array>>
}

export interface LeafQuery {
  readonly cid: Cid
  readonly index: number
  /** Also where it was given to others lately. */
  readonly insist: boolean
}

export interface LeafAnswer {
  /** Bytes of the whole file. */
  readonly size: number
  /** The leaf's bytes; or, one bit each, all leaves that were given to others. */
  readonly reply:
    | { readonly length: number; readonly parts: Iterable<Uint8Array> | AsyncIterable<Uint8Array> }
    | { readonly given: Uint8Array }
  /** To be called once it is sent, or cannot be. */
  readonly sent: () => void
}

export interface NodeApi {
  node(): NodeView
  /** What confirms this node's handle. */
  handleDocument(): HandleDocument
  /** The handle that this node's own profile claims. */
  ownHandle(): string | null
  /** Empty: ready. */
  notReady(): readonly string[]
  peers(): readonly PeerView[]
  connect(address: string): Promise<PeerView>
  sync(peer: string | null): Promise<readonly SyncView[]>

  /** @throws NOT_FOUND, AMBIGUOUS, REF, VERSION_CONFLICT */
  model(ref: string): ModelView
  search(query: ModelQuery): ModelPageView
  /** Payload and signature of a record. @throws NOT_FOUND */
  envelope(record: Cid): Uint8Array
  identity(publisher: string): IdentityView
  /** A file by its content id. @throws BLOB_MISSING */
  blob(cid: Cid): FileAnswer
  /** Whether a text is the ticket of a connected node. */
  isTicket(text: string): boolean
  /** A leaf of a file for another node. @throws TOKEN, BUSY, BLOB_MISSING, PARAMETER */
  leaf(ticket: string, asked: LeafQuery): Promise<LeafAnswer>
  /**
   * Fetches it first where a mirror rule says that the model comes on demand.
   * @throws NOT_FOUND, BLOB_MISSING, and as {@link pull}
   */
  file(ref: string, path: string, signal: AbortSignal): Promise<FileAnswer>

  /** Folder for uploads that are too large for memory; emptied at start. */
  readonly spool: string
  /** @param zip path of a complete zip in {@link spool}; the caller removes it */
  publish(zip: string, options: PublishOptions, signal: AbortSignal): Promise<PublishView>
  /** @throws SCOPE for models of others and for `erase` */
  withdraw(ref: string, how: Omit<WithdrawBody, 'target'>): Promise<StatementView>
  /** Models that are erased here. */
  erasures(): readonly ErasureView[]
  /** Erases a model of anybody on this node, at once. */
  eraseHere(ref: string): Promise<CollectedView>
  /** Takes that back. @throws NOT_FOUND where the operator did not erase it */
  restoreHere(ref: string): readonly ErasureView[]
  /** What works and what does not, as members confirm it; takes seconds. */
  doctor(): Promise<DoctorView>
  /** Deletes files that no model names. */
  collectGarbage(isNow: boolean): Promise<GarbageView>
  /** @throws TEST_FAILED, AUDIENCE, and where the model cannot be tested here */
  attest(ref: string, claim: Claim, note: string, signal: AbortSignal): Promise<StatementView>
  /** @throws SCOPE for models of others, NAME */
  tag(ref: string, tag: string): Promise<StatementView>
  /** The own keys. @throws STORE */
  keys(): KeysView
  /** @throws NOT_FOUND where no profile of this node's publisher is here */
  profile(): ProfileView
  /** @throws NAME, RECORD_INVALID, LIMIT, NFC, and what keeps the node from signing */
  setProfile(profile: Omit<ProfileBody, 'replaces'>): Promise<ProfileView>
  /** The models as a CAR file, in chunks. Fails before the first one or not at all, but for the disk. */
  exportModels(refs: readonly string[]): AsyncIterable<Uint8Array>
  importModels(car: AsyncIterable<Uint8Array>): Promise<ImportView>
  pull(ref: string, signal: AbortSignal): Promise<PullView>
  /** The model that a reference names now. @throws NOT_FOUND, AMBIGUOUS, REF, VERSION_CONFLICT, TRUST */
  resolve(ref: string): Cid
  infer(
    record: Cid,
    inputs: readonly InferInput[],
    options: InferOptions,
    signal: AbortSignal,
  ): Promise<InferAnswer>
  route(ref: string, bytes: number): Promise<readonly RouteView[]>

  trust(): TrustView
  addTrust(
    publisher: string,
    right: Right,
    /** null: as it was */
    options: { petname: string | null; send: boolean | null },
  ): TrustView
  removeTrust(publisher: string): TrustView
  explainTrust(ref: string): TrustExplanation

  rosters(): readonly RosterView[]
  /** @throws NOT_FOUND, AMBIGUOUS */
  roster(publisher: string, name: string): RosterView
  /** The CAR file of a roster. @throws NOT_FOUND, CONTESTED */
  rosterFile(publisher: string, name: string): Uint8Array
  setRoster(name: string, edit: RosterEdit): RosterView
  withdrawRoster(name: string): RosterView
  join(options: JoinOptions): Promise<JoinView>
  leave(publisher: string, name: string): LeaveView

  pins(): readonly PinView[]
  /** @throws NOT_FOUND, AMBIGUOUS, REF, TRUST where files of its publisher may not be held */
  pin(ref: string): readonly PinView[]
  /** @throws NOT_FOUND where it was not pinned */
  unpin(ref: string): readonly PinView[]

  tokens(): readonly TokenView[]
  addToken(label: string, scopes: readonly Scope[], expiresMs: number | null): NewTokenView
  revokeToken(id: string): boolean
  /** Scopes of a presented token; null: not one of ours. Constant time in the token. */
  scopesOf(token: string): readonly Scope[] | null

  /** @returns the function that ends the subscription */
  subscribe(listener: (event: EventView) => void): () => void
  metrics(): Promise<string>
}

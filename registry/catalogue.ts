/**
 * The catalogue seam: everything this node knows, but files' bytes. Rows in, rows out; the rules
 * (what may be admitted, seen, mirrored, run) stand in admission.ts and trust.ts.
 *
 * Contract of every implementation (test/suites/catalogue.ts runs on all of them):
 * - Calls are synchronous. Each call is one transaction: durable when it returns, or nothing.
 *   `transaction` makes one of many; inside it nothing is durable until it returns.
 * - Writes throw ZoariumError DISK_FULL or STORE and change nothing then; reads throw STORE.
 * - Byte arrays that are handed over belong to the catalogue; those handed out may be kept.
 * - Lists come in the order that their docstring states, so that runs repeat.
 */
import type { Cid } from '../protocol/cid.ts'
import type { Code } from '../protocol/errors.ts'
import type { ModelDescription } from '../protocol/model-description.ts'
import type { Position, RecordKind, RosterBody, SignedRecord } from '../protocol/record.ts'
import type { MentionRow } from './mention.ts'

/** A device key as 64 hex digits. */
export type KeyId = string

/** One log: a device key's records of one publisher. */
export interface LogRow {
  readonly publisher: Cid
  readonly key: KeyId
  readonly epoch: number
  readonly seq: number
  /** Id of its newest record here. */
  readonly tip: Cid
  /** The newest signed head (envelope) of that key, or null; it may be ahead of the tip. */
  readonly head: Uint8Array | null
  /** `issued` of that head, milliseconds; 0 without one. */
  readonly headIssued: number
  /** Two envelopes at one position, if the log forked. */
  readonly proof: Proof | null
}

/** A record as it was signed. */
export interface RecordRow {
  readonly id: Cid
  readonly kind: RecordKind
  readonly envelope: Uint8Array
}

/** Two records (envelopes) at one position. */
export type Proof = readonly [Uint8Array, Uint8Array]

export interface ProofRow {
  readonly key: KeyId
  readonly proof: Proof
}

export interface HeadRow {
  readonly key: KeyId
  readonly envelope: Uint8Array
  /** Milliseconds. */
  readonly issued: number
}

/** The branch of a forked identity chain that is not followed here. */
export interface RivalBranch {
  /** Number of its first operation; those before it are common. */
  readonly from: number
  readonly operations: readonly Uint8Array[]
}

/** A model record as the catalogue lists it. */
export interface ModelRow {
  readonly record: Cid
  readonly publisher: Cid
  readonly name: string
  readonly version: string
  readonly root: Cid
  readonly card: Cid
  /** When the publisher signed it, milliseconds. */
  readonly ts: number
  readonly description: ModelDescription
  readonly files: readonly ModelFileRow[]
  readonly aliases: readonly string[]
  readonly tested: string
  /** The strongest withdrawal that its publisher signed and did not restore, or null. */
  readonly withdrawn: Withdrawal | null
  /** Why the card could not be read here, or null; the description then only has the name. */
  readonly unreadable: { readonly code: Code; readonly message: string } | null
}

/** Verbs of withdrawal, weakest first. */
export const WITHDRAWALS = ['yank', 'recall', 'erase'] as const
export type Withdrawal = (typeof WITHDRAWALS)[number]

export interface ModelFileRow {
  readonly path: string
  readonly size: number
  readonly cid: Cid
  /** 64 hex digits. */
  readonly sha256: string
  readonly role: string
  readonly mediaType: string
}

/**
 * What to search for; all given conditions must hold, those on axes, channels and dtype for one and
 * the same input. Found is the newest version of each name that is not withdrawn.
 */
export interface ModelQuery {
  /**
   * Words; all must occur, the last one as the beginning of a word. Ranked full text over name,
   * alias, description, tags, authors, and the publisher's label and name.
   */
  readonly text?: string
  /** Space and time axes of an input, in any order, e.g. `yx` or `tzyx`; `b` and `c` are ignored. */
  readonly axes?: string
  /** Channels of an input; one without a channel axis has 1. */
  readonly channels?: number
  readonly dtype?: string
  readonly tag?: string
  readonly license?: string
  readonly publisher?: Cid
  /** Publishers to leave out. */
  readonly hidden?: readonly Cid[]
  /** Default `relevance` where there are words, else `newest`. */
  readonly sort?: 'relevance' | 'newest' | 'name'
  /** 1 to {@link MAX_PAGE}, default 20. */
  readonly limit?: number
  /** Opaque, from the page before. */
  readonly cursor?: string
}

export const MAX_PAGE = 100
export const DEFAULT_PAGE = 20

export interface ModelPage {
  readonly items: readonly ModelRow[]
  readonly total: number
  readonly next: string | null
}

export interface ProfileRow {
  readonly publisher: Cid
  readonly record: Cid
  readonly envelope: Uint8Array
  readonly label: string
  readonly displayName: string
  readonly handle: string | null
  readonly url: string | null
  readonly ror: string | null
  /** Profile records that it stands in for. */
  readonly replaces: readonly Cid[]
}

export interface TagRow {
  readonly record: Cid
  readonly target: Cid
}

export interface RosterRow {
  readonly record: Cid
  readonly publisher: Cid
  readonly envelope: Uint8Array
  readonly body: RosterBody
}

/** A roster that no other replaces. Its body may be large, and there may be many. */
export interface LastRoster {
  readonly record: Cid
  readonly name: string
  readonly isWithdrawn: boolean
}

export interface AttestationRow {
  readonly record: Cid
  readonly publisher: Cid
  readonly target: Cid
  readonly root: Cid
  readonly claim: string
  readonly isWithdrawn: boolean
}

/** Statements of one publisher that none of them replaces, and only one can hold. */
export interface ConflictRow {
  readonly publisher: Cid
  readonly kind: 'profile' | 'roster' | 'tag'
  /** Of the roster, or `name@tag`; '' for a profile. */
  readonly name: string
  /** The one that holds comes first. */
  readonly records: readonly Cid[]
}

export interface PeerRow {
  /** libp2p PeerId, base58 or base36 text. */
  readonly peer: string
  readonly addresses: readonly string[]
  readonly publisher: Cid | null
  /** The binding's envelope. */
  readonly binding: Uint8Array | null
  /** Last time a connection stood, milliseconds. */
  readonly seen: number
}

/** What a node says it holds: its newest statement, and the one that it changes. */
export interface HoldingsRow {
  readonly publisher: Cid
  readonly key: KeyId
  readonly current: Uint8Array
  readonly base: Uint8Array | null
}

/** When a model was last used here. */
export interface UseRow {
  readonly record: Cid
  /** Milliseconds. */
  readonly used: number
}

export interface TokenRow {
  readonly id: string
  readonly label: string
  /** SHA-256 of the token, hex; the token itself is never kept. */
  readonly hash: string
  readonly scopes: readonly string[]
  readonly created: number
  readonly expires: number | null
}

/** What {@link Catalogue.appendRecord} stores beside the record, in the same transaction. */
export interface RecordIndex {
  /** Whether the time of its key was over when it came; see closure.ts. */
  readonly isLate?: boolean
  /** The card's original bytes; model records only. */
  readonly card?: Uint8Array
  /** The normalised description; model records only. */
  readonly description?: ModelDescription
  /** Set where the card could not be read; model records only. */
  readonly unreadable?: ModelRow['unreadable']
  /** The card is not here; model records only. */
  readonly isCardless?: boolean
}

/** A model that is erased. */
export interface ErasureRow {
  readonly record: Cid
  /** When this node learned of it, milliseconds. */
  readonly since: number
  /** Whether its operator erased it on this node. */
  readonly isHere: boolean
}

/** A blob that no model names. */
export interface UnnamedRow {
  readonly cid: Cid
  /** Milliseconds. */
  readonly since: number
}

/** A withdrawal of a record, which may itself have been taken back by a `restore`. */
export interface WithdrawalRow {
  readonly record: Cid
  readonly verb: Withdrawal
  readonly isRestored: boolean
}

/** What is counted by day: records of logs, and profiles that came without their log. */
export type Intake = 'records' | 'profiles'

export interface Catalogue {
  /** Runs many calls as one transaction; a throw undoes them all. May be nested. */
  transaction<T>(work: () => T): T

  // Identity chains
  /** Appends operation `n` (0-based). The caller has verified it. */
  putIdentityOp(publisher: Cid, n: number, envelope: Uint8Array): void
  /** Operations from number `from`, ascending. */
  identityOps(publisher: Cid, from?: number): readonly Uint8Array[]
  /** Removes the operations from number `from` on. */
  dropIdentityOps(publisher: Cid, from: number): void
  /** Keeps the other branch of a chain; one a publisher. */
  putRival(publisher: Cid, branch: RivalBranch): void
  rival(publisher: Cid): RivalBranch | null
  /** All publishers with a chain, in the order of their coming. */
  publishers(): readonly Cid[]
  /** Removes a stranger, one without records: its chain, profile, heads and holdings. */
  dropPublisher(publisher: Cid): void

  // Logs and records
  /**
   * Appends a verified record to its log, sets the log's position, and indexes it by kind:
   * model rows with full text, withdrawals, tags, profiles, rosters, attestations.
   */
  appendRecord(record: SignedRecord, index: RecordIndex): void
  record(id: Cid): RecordRow | null
  /** The record at a position of a log. */
  recordAt(publisher: Cid, key: KeyId, position: Position): RecordRow | null
  /** Records of a log after a position (null: from the start), ascending. */
  recordsAfter(
    publisher: Cid,
    key: KeyId,
    after: Position | null,
    limit: number,
  ): readonly RecordRow[]
  /** Whether a record came when the time of its key was over. */
  isLate(record: Cid): boolean
  /** What records of other publishers name in a log, by position, then by the naming record. */
  mentions(publisher: Cid, key: KeyId): readonly MentionRow[]
  log(publisher: Cid, key: KeyId): LogRow | null
  /** By publisher, then key. */
  logs(publisher?: Cid): readonly LogRow[]
  /** Keeps the newest head of a key; the log itself need not be here. */
  putHead(publisher: Cid, key: KeyId, envelope: Uint8Array, issued: number): void
  /** By key. */
  heads(publisher: Cid): readonly HeadRow[]
  /**
   * Keeps the proof that a log forked, of which no record need be here; the first one stays until it
   * is settled.
   */
  putProof(publisher: Cid, key: KeyId, first: Uint8Array, second: Uint8Array): void
  proof(publisher: Cid, key: KeyId): Proof | null
  /** By key. */
  proofs(publisher: Cid): readonly ProofRow[]
  card(cid: Cid): Uint8Array | null

  // Evidence
  /**
   * Takes back the records of a log after a position (null: all) with what was derived from them,
   * and the log's head, as if they had never come; the records stay as evidence. A log without
   * records goes; the proof that it forked stays.
   */
  retract(publisher: Cid, key: KeyId, after: Position | null): void
  /** The fork of a log is settled: its proof stays as evidence. */
  settle(publisher: Cid, key: KeyId): void
  /** Keeps envelopes of a device key that count for nothing; each once. */
  putEvidence(publisher: Cid, key: KeyId, envelopes: readonly Uint8Array[]): void
  /** In the order of their coming. */
  evidence(publisher: Cid): readonly Uint8Array[]
  /** How many envelopes {@link evidence} has. */
  countEvidence(publisher: Cid): number
  dropEvidence(publisher: Cid, envelope: Uint8Array): void

  // Profiles
  /** Keeps a profile; of those that none replaces, the greatest record id stands. */
  putProfile(profile: ProfileRow): void
  profile(publisher: Cid): ProfileRow | null
  /** Standing profiles of a label, by publisher. */
  profilesByLabel(label: string): readonly ProfileRow[]

  // Models
  model(record: Cid): ModelRow | null
  /**
   * All versions of a name, newest first; withdrawn ones too. Within a log the position orders;
   * between logs of one publisher the running maximum of `ts`, then the record id.
   */
  modelVersions(publisher: Cid, name: string): readonly ModelRow[]
  /** By record id. */
  modelsByAlias(alias: string): readonly ModelRow[]
  /** By record id. */
  modelsByRoot(root: Cid): readonly ModelRow[]
  /** Ids of a publisher's models in the order of their coming; not what was recalled or erased. */
  modelIds(publisher: Cid): readonly Cid[]
  /** Models of a publisher, withdrawn ones too. */
  modelCount(publisher: Cid): number
  /** Blobs that a publisher's models name, each once, by id. */
  blobsOf(publisher: Cid): readonly Cid[]
  /** Records of a publisher that were counted on a day, a number of days since 1970. */
  intake(publisher: Cid, kind: Intake, day: number): number
  /** Counts one more; other days are forgotten. */
  countIntake(publisher: Cid, kind: Intake, day: number): void
  /** @throws ZoariumError PARAMETER for a cursor or limit that is none */
  search(query: ModelQuery): ModelPage
  /** Records that name a blob, by record id. */
  recordsWithFile(cid: Cid): readonly Cid[]
  /** Withdrawals of a record by its publisher, by record id. */
  withdrawals(publisher: Cid, target: Cid): readonly WithdrawalRow[]
  /** The strongest one that stands, those of this node's operator among them. */
  withdrawal(publisher: Cid, target: Cid): Withdrawal | null
  /** Models that are not erased and whose card is not here, by record id. */
  modelsWithoutCard(): readonly Cid[]
  /** Derives anew what the card of a model says. */
  reindex(record: Cid, index: RecordIndex): void
  /** Tags of that name that none replaces; the first stands: the one of the greatest record id. */
  tags(publisher: Cid, name: string, tag: string): readonly TagRow[]

  // Rosters and attestations
  /** Keeps a roster; its log need not be here. */
  putRoster(roster: RosterRow): void
  /** Takes a roster back, and what it replaced stands again. */
  dropRoster(publisher: Cid, record: Cid): void
  /** Those that none replaces: by name, then the greatest record id first; it stands. */
  rosters(publisher: Cid): readonly LastRoster[]
  roster(record: Cid): RosterRow | null
  /** Whether a record of the publisher replaces another one, be that one here or not. */
  isReplaced(publisher: Cid, record: Cid): boolean
  /** By record id. */
  attestations(root: Cid): readonly AttestationRow[]
  /** Roots that at least so many of some publishers attest, whatever they claim; in order. */
  attestedRoots(publishers: readonly Cid[], least: number): readonly Cid[]

  // Erasures
  /** Notes since when the models that are erased now have been, and forgets those that are not. */
  noteErasures(now: number): void
  /** Those noted, by record id. */
  erasures(): readonly ErasureRow[]
  /** The operator erases a model on this node, or no longer. */
  eraseHere(record: Cid, now: number): void
  restoreHere(record: Cid): void
  /**
   * Removes what was derived from the card of an erased model, its claim on blobs, and the card
   * where no other model has it. The blobs that no model names any more are doomed.
   */
  strip(record: Cid): void
  /**
   * Rewrites a part of the search index, in which words of stripped models are left otherwise; call
   * it again until nothing is left to do.
   * @param isFirst whether models were stripped since the last call
   * @returns whether there is more to do
   */
  scrub(isFirst: boolean): boolean
  /** Erased models that were not stripped, by record id. */
  unstripped(): readonly ErasureRow[]
  /** Marks a blob whose bytes are to go. */
  doom(cid: Cid): void
  /** By id. */
  doomed(): readonly Cid[]
  /** The blob is gone, and its tree with it. */
  dropBlob(cid: Cid): void
  /** The blob stays after all. */
  spare(cid: Cid): void
  /**
   * Notes the blobs that no model names now, and forgets all others.
   * @returns since when it was so noted of each, milliseconds, never after `now`; by id
   */
  noteUnnamed(cids: readonly Cid[], now: number): readonly UnnamedRow[]

  /** By publisher, kind, then name. */
  conflicts(): readonly ConflictRow[]

  // Blob trees
  /** Inner nodes of a blob's tree, root first. */
  putTree(cid: Cid, nodes: readonly Uint8Array[]): void
  tree(cid: Cid): readonly Uint8Array[] | null

  // Holdings
  /** By publisher, then key. */
  holdings(): readonly HoldingsRow[]
  /** Keeps the newest statement of a node; one a device key. */
  putHoldings(row: HoldingsRow): void
  dropHoldings(publisher: Cid, key: KeyId): void

  // The node's own
  /** The models that were used here, the one used longest ago first, then by record id. */
  uses(): readonly UseRow[]
  /** Notes when a model was last used. */
  putUse(use: UseRow): void
  dropUse(record: Cid): void
  peers(): readonly PeerRow[]
  putPeer(peer: PeerRow): void
  removePeer(peer: string): void
  tokens(): readonly TokenRow[]
  putToken(token: TokenRow): void
  /** @returns whether there was one */
  removeToken(id: string): boolean
  /** Small values of the program itself, by key. */
  setting(key: string): string | null
  putSetting(key: string, value: string): void

  /** Counts for status and metrics. */
  counts(): { readonly records: number; readonly models: number; readonly publishers: number }
  close(): void
}

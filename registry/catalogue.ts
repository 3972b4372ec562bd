/**
 * The catalogue seam: everything this node knows, but files' bytes. Rows in, rows out; the rules
 * (what may be admitted, seen, mirrored, run) stand in admission.ts and trust.ts.
 *
 * Contract of every implementation (test/suites/catalogue.ts runs on all of them):
 * - Calls are synchronous. Each call is one transaction: durable when it returns, or nothing.
 * - Byte arrays that are handed over belong to the catalogue; those handed out may be kept.
 * - Lists come in the order that their docstring states, so that runs repeat.
 */
import type { Cid } from '../protocol/cid.ts'
import type { Position, RecordKind, SignedRecord } from '../protocol/record.ts'
import type { ModelDescription } from '../protocol/model-description.ts'

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
  /** The newest signed head (envelope) that names it, or null. */
  readonly head: Uint8Array | null
  /** `issued` of that head, milliseconds; 0 without one. */
  readonly headIssued: number
  /** Two envelopes at one position, if the log forked. */
  readonly proof: readonly [Uint8Array, Uint8Array] | null
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
  readonly withdrawn: 'yank' | 'recall' | 'erase' | null
}

export interface ModelFileRow {
  readonly path: string
  readonly size: number
  readonly cid: Cid
  /** 64 hex digits. */
  readonly sha256: string
  readonly role: string
  readonly mediaType: string
}

/** What to search for; all given conditions must hold. */
export interface ModelQuery {
  /** Words; ranked full text over name, description, tags, authors, documentation title. */
  readonly text?: string
  /** Spatial axes of an input, in any order, e.g. `yx` or `zyx`. */
  readonly axes?: string
  /** Channels of an input. */
  readonly channels?: number
  readonly dtype?: string
  readonly tag?: string
  readonly license?: string
  readonly publisher?: Cid
  readonly sort?: 'relevance' | 'newest' | 'name'
  /** 1 to {@link MAX_PAGE}, default 20. */
  readonly limit?: number
  /** Opaque, from the page before. */
  readonly cursor?: string
}

export const MAX_PAGE = 100

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
  /** The card's original bytes; model records only. */
  readonly card?: Uint8Array
  /** The normalised description; model records only. */
  readonly description?: ModelDescription
}

export interface Catalogue {
  // Identity chains
  /** Appends operation `n` (0-based). The caller has verified it. */
  putIdentityOp(publisher: Cid, n: number, envelope: Uint8Array): void
  /** Operations from number `from`, ascending. */
  identityOps(publisher: Cid, from?: number): readonly Uint8Array[]
  /** All publishers with a chain, by id. */
  publishers(): readonly Cid[]
  /** Removes a stranger: its chain, profile and heads. */
  dropPublisher(publisher: Cid): void

  // Logs and records
  /**
   * Appends a verified record to its log, sets the log's position, and indexes it by kind:
   * model rows with full text, withdrawals, tags, profiles.
   */
  appendRecord(record: SignedRecord, index: RecordIndex): void
  record(id: Cid): { readonly envelope: Uint8Array; readonly kind: RecordKind } | null
  /** The record at a position of a log. */
  recordAt(publisher: Cid, key: KeyId, position: Position): Uint8Array | null
  /** Records of a log after a position (null: from the start), ascending. */
  recordsAfter(publisher: Cid, key: KeyId, after: Position | null, limit: number): readonly Uint8Array[]
  log(publisher: Cid, key: KeyId): LogRow | null
  /** By publisher, then key. */
  logs(publisher?: Cid): readonly LogRow[]
  putHead(publisher: Cid, key: KeyId, envelope: Uint8Array, issued: number): void
  putProof(publisher: Cid, key: KeyId, first: Uint8Array, second: Uint8Array): void
  card(cid: Cid): Uint8Array | null

  // Profiles
  putProfile(profile: ProfileRow): void
  profile(publisher: Cid): ProfileRow | null
  profilesByLabel(label: string): readonly ProfileRow[]

  // Models
  model(record: Cid): ModelRow | null
  /** All versions of a name, newest position first; withdrawn ones too. */
  modelVersions(publisher: Cid, name: string): readonly ModelRow[]
  modelsByAlias(alias: string): readonly ModelRow[]
  /** Model records of a publisher, newest first. */
  modelsOf(publisher: Cid): readonly ModelRow[]
  search(query: ModelQuery): ModelPage
  /** Records that name a blob, by record id. */
  recordsWithFile(cid: Cid): readonly Cid[]
  /** Tag's target, or null. */
  tag(publisher: Cid, name: string, tag: string): Cid | null

  // Blob trees
  /** Inner nodes of a blob's tree, root first. */
  putTree(cid: Cid, nodes: readonly Uint8Array[]): void
  tree(cid: Cid): readonly Uint8Array[] | null

  // The node's own
  peers(): readonly PeerRow[]
  putPeer(peer: PeerRow): void
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

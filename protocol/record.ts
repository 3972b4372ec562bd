/**
 * Records: one signed statement in a log. docs/protocol.md, "Records".
 * The types stand here; reading and signing below.
 */
import type { Cid } from './cid.ts'
import type { FileRole } from './model-description.ts'

export const RECORD_KINDS = ['model', 'withdraw', 'tag', 'attest', 'profile', 'roster'] as const
export type RecordKind = (typeof RECORD_KINDS)[number]

/** A place in a log. Epochs are raised by the root only; seq counts from 0 in each. */
export interface Position {
  readonly epoch: number
  readonly seq: number
}

export interface ModelFile {
  /** Relative path, `/` between folders. */
  readonly path: string
  /** Bytes. */
  readonly size: number
  readonly cid: Cid
  /** Plain SHA-256, 64 hex digits. */
  readonly sha256: string
  readonly role: FileRole
  readonly mediaType: string
}

export interface Parent {
  readonly record: Cid
  readonly relation: 'converted' | 'finetuned' | 'repaired' | 'revised'
}

export interface Origin {
  readonly scheme: string
  readonly id: string
  readonly version: string
  readonly url: string
  readonly sha256: string
}

export interface ModelBody {
  readonly name: string
  readonly version: string
  /** Content id (raw) of the card's original bytes. */
  readonly card: Cid
  /** By path. */
  readonly files: readonly ModelFile[]
  /** Content id of the UnixFS folder of all files. */
  readonly root: Cid
  readonly parents: readonly Parent[]
  readonly origin: Origin | null
  readonly aliases: readonly string[]
  /** `reproduced`: the publisher ran the card's test before signing; `untested`: it did not. */
  readonly tested: 'reproduced' | 'untested'
}

export interface WithdrawBody {
  readonly target: Cid
  readonly verb: 'yank' | 'recall' | 'erase'
  readonly reason: string
  readonly note: string
}

export interface TagBody {
  readonly name: string
  readonly tag: string
  readonly target: Cid
  readonly replaces: readonly Cid[]
}

export interface ProfileBody {
  readonly label: string
  readonly displayName: string
  readonly handle: string | null
  readonly url: string | null
  readonly ror: string | null
  readonly replaces: readonly Cid[]
}

export type RecordBody =
  | { readonly kind: 'model'; readonly body: ModelBody }
  | { readonly kind: 'withdraw'; readonly body: WithdrawBody }
  | { readonly kind: 'tag'; readonly body: TagBody }
  | { readonly kind: 'profile'; readonly body: ProfileBody }
  /** Kinds that this version keeps and shows but does not read. */
  | { readonly kind: 'attest' | 'roster'; readonly body: Readonly<Record<string, unknown>> }

/** A record's payload, decoded. */
export type LogRecord = Position & {
  readonly publisher: Cid
  /** Device key, 64 hex digits. */
  readonly key: string
  readonly prev: Cid | null
  /** Number of identity operations that the signer knew. */
  readonly idv: number
  /** Milliseconds since 1970 UTC; informs, never orders. */
  readonly ts: number
} & RecordBody

/** A record with its bytes. */
export interface SignedRecord {
  /** Content id of the payload. */
  readonly id: Cid
  /** Payload, then 64 bytes of signature. */
  readonly envelope: Uint8Array
  readonly record: LogRecord
}

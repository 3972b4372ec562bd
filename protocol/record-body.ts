/**
 * Bodies of records, by kind. docs/protocol.md, "Records". Inside a body only content ids refer to
 * other things, never names.
 */
import type { CID } from 'multiformats/cid'
import { type AttestBody, attestation } from './attestation.ts'
import { compareText, equalBytes } from './bytes.ts'
import type { CborValue } from './cbor.ts'
import { type Cid, codecOf } from './cid.ts'
import { accept, refuse, type Verdict } from './errors.ts'
import { checkPaths } from './file-path.ts'
import { folderCid } from './folder.ts'
import {
  LEAF_BYTES,
  MAX_ALIASES,
  MAX_BLOB_BYTES,
  MAX_CARD_BYTES,
  MAX_DISPLAY_NAME_CHARS,
  MAX_FILES,
  MAX_NOTE_CHARS,
  MAX_PARENTS,
  MAX_PATH_BYTES,
  MAX_REPLACES,
  MAX_URL_CHARS,
} from './limits.ts'
import { FILE_ROLES, type FileRole } from './model-description.ts'
import {
  checkAlias,
  checkShown,
  HANDLE_PATTERN,
  parseLabel,
  parseName,
  parseTag,
  parseVersion,
} from './reference.ts'
import { type RosterBody, roster } from './roster.ts'
import {
  checked,
  distinct,
  key as hash,
  int,
  linkTo,
  list,
  map,
  nullable,
  type Shape,
  text,
  word,
} from './shape.ts'
import { statementLink } from './statement.ts'

export const RECORD_KINDS = ['model', 'withdraw', 'tag', 'attest', 'profile', 'roster'] as const
export type RecordKind = (typeof RECORD_KINDS)[number]

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

/** `restore` names a withdrawal, which then counts for nothing; the others name a model. */
export const WITHDRAW_VERBS = ['yank', 'recall', 'erase', 'restore'] as const
export type WithdrawVerb = (typeof WITHDRAW_VERBS)[number]

export interface WithdrawBody {
  readonly target: Cid
  readonly verb: WithdrawVerb
  /** A code: `wrong-output`, `licence`, ... */
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
  /** A domain name. */
  readonly handle: string | null
  /** https only. */
  readonly url: string | null
  /** The nine characters of a ROR id. */
  readonly ror: string | null
  readonly replaces: readonly Cid[]
}

export type RecordBody =
  | { readonly kind: 'model'; readonly body: ModelBody }
  | { readonly kind: 'withdraw'; readonly body: WithdrawBody }
  | { readonly kind: 'tag'; readonly body: TagBody }
  | { readonly kind: 'profile'; readonly body: ProfileBody }
  | { readonly kind: 'attest'; readonly body: AttestBody }
  | { readonly kind: 'roster'; readonly body: RosterBody }

const shown = (max: number) => checked((value) => checkShown(value, max))

const replaces = distinct(statementLink, MAX_REPLACES)
const url = text(MAX_URL_CHARS, /^https:\/\/[\x21-\x7e]+$/)

const fileFields: Shape<ModelFile> = map({
  path: text(MAX_PATH_BYTES),
  size: int(0, MAX_BLOB_BYTES),
  cid: linkTo('raw', 'dag-pb'),
  sha256: hash,
  role: word(...FILE_ROLES),
  mediaType: text(127, /^[a-z0-9][a-z0-9!#$&^_.+-]*\/[a-z0-9][a-z0-9!#$&^_.+-]*$/),
})

/** A file of one leaf is that leaf, so its two hashes are one; a larger one is a tree. */
const file: Shape<ModelFile> = {
  read(value, field) {
    const read = fileFields.read(value, field)
    if (!read.ok) return read
    const isLeaf = codecOf(read.value.cid) === 'raw'
    // SAFE: these fields were just read as a link and as 32 bytes.
    const { cid, sha256 } = value as { cid: CID; sha256: Uint8Array }
    if (
      isLeaf === read.value.size <= LEAF_BYTES &&
      (!isLeaf || equalBytes(cid.multihash.digest, sha256))
    ) {
      return read
    }
    return refuse('RECORD_INVALID', 'cid, size and sha256 do not belong together', {
      field: `${field}.cid`,
    })
  },
  write: fileFields.write,
}

const model: Shape<ModelBody> = map({
  name: checked(parseName),
  version: checked(parseVersion),
  card: linkTo('raw'),
  files: list(file, MAX_FILES),
  root: linkTo('dag-pb'),
  parents: distinct(
    map({
      record: statementLink,
      relation: word('converted', 'finetuned', 'repaired', 'revised'),
    }),
    MAX_PARENTS,
    (parent) => parent.record,
  ),
  origin: nullable(
    map({
      scheme: text(32, /^[a-z][a-z0-9+.-]*$/),
      id: shown(MAX_DISPLAY_NAME_CHARS),
      version: shown(64),
      url: shown(MAX_URL_CHARS),
      sha256: hash,
    }),
  ),
  aliases: distinct(checked(checkAlias), MAX_ALIASES),
  tested: word('reproduced', 'untested'),
})

const withdraw: Shape<WithdrawBody> = map({
  target: statementLink,
  verb: word(...WITHDRAW_VERBS),
  reason: text(40, /^[a-z][a-z0-9-]*$/),
  note: shown(MAX_NOTE_CHARS),
})

const tag: Shape<TagBody> = map({
  name: checked(parseName),
  tag: checked(parseTag),
  target: statementLink,
  replaces,
})

const profile: Shape<ProfileBody> = map({
  label: checked(parseLabel),
  displayName: shown(MAX_DISPLAY_NAME_CHARS),
  handle: nullable(text(253, HANDLE_PATTERN)),
  url: nullable(url),
  ror: nullable(text(9, /^0[0-9a-hjkmnp-tv-z]{6}[0-9]{2}$/)),
  replaces,
})

const shapes = { model, withdraw, tag, profile, attest: attestation, roster }

/** Reads and checks a body. Fields are named from `body`. */
export function readBody(kind: RecordKind, value: CborValue): Verdict<RecordBody> {
  // SAFE: the body that a kind's shape reads belongs to that kind.
  const read = (shapes[kind] as Shape<RecordBody['body']>).read(value, 'body')
  if (!read.ok) return read
  const body = { kind, body: read.value } as RecordBody
  const sound = body.kind === 'model' ? checkModel(body.body) : accept(true)
  return sound.ok ? accept(body) : sound
}

/** The body as it is encoded. */
export const writeBody = ({ kind, body }: RecordBody): CborValue =>
  (shapes[kind] as Shape<RecordBody['body']>).write(body)

/** What the fields of a model say about each other. */
function checkModel({ card, files, root }: ModelBody): Verdict<true> {
  const paths = checkPaths(files.map(({ path }) => path))
  if (!paths.ok) return paths
  for (const [index, { path }] of files.entries()) {
    const before = files[index - 1]
    if (before !== undefined && compareText(before.path, path) >= 0) {
      return refuse('RECORD_INVALID', 'files are not in the order of their paths', {
        field: `body.files[${index}].path`,
      })
    }
  }
  const cards = files.filter(({ role }) => role === 'card')
  if (cards.length !== 1 || cards[0]?.cid !== card || cards[0].size > MAX_CARD_BYTES) {
    return refuse('RECORD_INVALID', 'not exactly one file is the card', { field: 'body.card' })
  }
  const folder = folderCid(files)
  if (!folder.ok) return { ...folder, field: 'body.files' }
  return folder.value === root
    ? accept(true)
    : refuse('CONTENT_MISMATCH', 'root is not the folder of these files', {
        field: 'body.root',
        limit: folder.value,
        got: root,
      })
}

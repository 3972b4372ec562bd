/**
 * Key bundles: what goes from machine to machine so that the root keys of a publisher can lie on
 * several, or on one without a network. A bundle has the chain, operations that are not signed by
 * enough keys yet, and heads of the logs; all of it is public. docs/protocol.md,
 * "Signing on several machines".
 */
import { type CborMap, decode, encode, isMap } from './cbor.ts'
import type { Cid } from './cid.ts'
import { accept, type Failure, refuse, type Verdict } from './errors.ts'
import { readHead } from './head.ts'
import { extendIdentity, type Identity } from './identity.ts'
import { type Draft, readDraft } from './identity-draft.ts'
import {
  MAX_BUNDLE_BYTES,
  MAX_BUNDLE_HEADS,
  MAX_DRAFTS,
  MAX_IDENTITY_OP_BYTES,
  MAX_IDENTITY_OPS,
  MAX_STATEMENT_BYTES,
} from './limits.ts'
import { bytes, list, map, type Shape } from './shape.ts'
import { statementLink } from './statement.ts'

const TYPE = 'key-bundle'
const VERSION = 1
/** Payload and signature of a head. */
const MAX_HEAD_BYTES = MAX_STATEMENT_BYTES + 64

export interface Bundle {
  readonly publisher: Cid
  /** The chain, in order. */
  readonly operations: readonly Uint8Array[]
  /** Operations that follow it, each with too few signatures. */
  readonly drafts: readonly Uint8Array[]
  /** Newest heads of the publisher's logs. */
  readonly heads: readonly Uint8Array[]
}

const shape: Shape<Bundle> = map({
  publisher: statementLink,
  operations: list(bytes(1, MAX_IDENTITY_OP_BYTES), MAX_IDENTITY_OPS),
  drafts: list(bytes(1, MAX_IDENTITY_OP_BYTES), MAX_DRAFTS),
  heads: list(bytes(1, MAX_HEAD_BYTES), MAX_BUNDLE_HEADS),
})

/** A bundle whose statements all hold. */
export interface CheckedBundle extends Bundle {
  readonly identity: Identity
  readonly open: readonly Draft[]
}

export const encodeBundle = (bundle: Bundle): Uint8Array =>
  // SAFE: a shape of maps writes maps.
  encode({ t: TYPE, v: VERSION, ...(shape.write(bundle) as CborMap) })

/**
 * Reads a bundle and checks all that is signed in it; fields name the place, such as
 * `operations[3].s`. Fails with LIMIT, UNKNOWN_VERSION, RECORD_INVALID, UNKNOWN_FIELD,
 * IDENTITY_INVALID (another publisher's), and like `extendIdentity`, `readDraft` and `readHead`.
 */
export function readBundle(encoded: Uint8Array): Verdict<CheckedBundle> {
  const decoded = decode(encoded, MAX_BUNDLE_BYTES)
  if (!decoded.ok) return { ...decoded, message: `not a key bundle: ${decoded.message}` }
  if (!isMap(decoded.value) || decoded.value.t !== TYPE) {
    return refuse('RECORD_INVALID', 'not a key bundle', { field: 't', limit: TYPE })
  }
  const { t: _, v, ...fields } = decoded.value
  if (v !== VERSION) {
    return refuse('UNKNOWN_VERSION', 'a key bundle of a version that this node does not speak', {
      field: 'v',
      limit: VERSION,
      ...(typeof v === 'number' ? { got: v } : {}),
      hint: 'a newer version of this program may read it',
    })
  }
  const read = shape.read(fields, '')
  if (!read.ok) return read
  const { publisher, operations, drafts, heads } = read.value
  const chain = readChain(operations)
  if (!chain.ok) return chain
  const identity = chain.value
  if (identity.publisher !== publisher) return foreign('publisher', identity.publisher, publisher)

  const open: Draft[] = []
  for (const [index, envelope] of drafts.entries()) {
    const draft = readDraft(open.at(-1)?.after ?? identity, envelope)
    if (!draft.ok) return within(`drafts[${index}]`, draft)
    open.push(draft.value)
  }
  for (const [index, envelope] of heads.entries()) {
    const head = readHead(envelope)
    if (!head.ok) return within(`heads[${index}]`, head)
    const got = head.value.head.publisher
    if (got !== publisher) return foreign(`heads[${index}].publisher`, publisher, got)
  }
  return accept({ publisher, operations, drafts, heads, identity, open })
}

function readChain(operations: readonly Uint8Array[]): Verdict<Identity> {
  let identity: Identity | null = null
  for (const [index, operation] of operations.entries()) {
    const extended = extendIdentity(identity, operation)
    if (!extended.ok) return within(`operations[${index}]`, extended)
    identity = extended.value
  }
  if (identity !== null) return accept(identity)
  return refuse('IDENTITY_INVALID', 'an identity without operations', { field: 'operations' })
}

const foreign = (field: string, limit: Cid, got: Cid): Failure =>
  refuse('IDENTITY_INVALID', 'of another publisher than the rest', { field, limit, got })

const within = (place: string, failure: Failure): Failure => ({
  ...failure,
  field: failure.field === undefined ? place : `${place}.${failure.field}`,
})

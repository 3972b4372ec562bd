/**
 * Drafts: operations of an identity on their way from root key to root key. The envelope is that of
 * an operation with fewer signatures, so the last one to sign makes it one. docs/protocol.md,
 * "Signing on several machines".
 */
import { toHex } from './bytes.ts'
import { publicKeyOf } from './crypto.ts'
import { accept, expectOk, type Verdict } from './errors.ts'
import { type Identity, type NewOperation, proposeOperation } from './identity.ts'
import {
  checkSignersSoFar,
  countSigners,
  type Operation,
  sealOperation,
  signPayload,
} from './identity-operation.ts'

export interface Draft {
  readonly envelope: Uint8Array
  readonly operation: Operation
  /** The identity, were it signed. */
  readonly after: Identity
  /** Root keys that have signed, 64 hex digits each. */
  readonly signers: readonly string[]
  /** Root keys that may sign, those that have not. */
  readonly open: readonly string[]
  /**
   * How many signatures it needs yet, 0: it is whole. A key of both sets of a rotation counts in
   * both, so that fewer may do.
   */
  readonly missing: number
}

/** Places an operation after others, signed with those of the seeds that may. */
export function draftOperation(
  identity: Identity,
  operation: NewOperation,
  seeds: readonly Uint8Array[],
): Draft {
  const place = { n: identity.length, prev: identity.tip }
  const bare = sealOperation({ ...operation, ...place }, [])
  return signDraft(identity, expectOk(readDraft(identity, bare)), seeds)
}

/**
 * Reads the next operation of a chain, whoever has signed it so far.
 * Fails like `extendIdentity`, but never for signatures that are not there.
 */
export function readDraft(identity: Identity, envelope: Uint8Array): Verdict<Draft> {
  const proposed = proposeOperation(identity, envelope)
  if (!proposed.ok) return proposed
  const { operation, after, sets, payload, signatures } = proposed.value
  const checked = checkSignersSoFar(sets, payload, signatures)
  if (!checked.ok) return checked
  const signers = signatures.map(([key]) => toHex(key))
  const keys = new Set(sets.flatMap((set) => set.keys))
  const open = [...keys].filter((key) => !signers.includes(key))
  const missing = sets.map((set) => Math.max(0, set.threshold - countSigners(set.keys, signatures)))
  const sum = missing.reduce((total, each) => total + each, 0)
  return accept({ envelope, operation, after, signers, open, missing: sum })
}

/** Adds the signatures of those seeds (32 bytes each) that may sign and have not. */
export function signDraft(identity: Identity, draft: Draft, seeds: readonly Uint8Array[]): Draft {
  const { payload, signatures } = expectOk(proposeOperation(identity, draft.envelope))
  const able = new Map(seeds.map((seed) => [toHex(publicKeyOf(seed)), seed]))
  const chosen = draft.open.flatMap((key) => able.get(key) ?? [])
  return expectOk(readDraft(identity, signPayload(payload, signatures, chosen)))
}

/**
 * Operations of identities: their fields, and the envelope that carries the signatures of several
 * root keys. docs/protocol.md, "Identities". What an operation does stands in identity.ts.
 */
import { audience } from './audience.ts'
import { compareBytes, equalBytes, fromHex, toHex } from './bytes.ts'
import { type CborMap, decode, encode } from './cbor.ts'
import { type Cid, cidOf } from './cid.ts'
import { publicKeyOf } from './crypto.ts'
import { accept, refuse, type Verdict } from './errors.ts'
import { MAX_IDENTITY_OP_BYTES, MAX_IDENTITY_OPS, MAX_ROOT_KEYS, MAX_SEQ } from './limits.ts'
import type { LogPosition } from './record.ts'
import { SCOPES } from './scope.ts'
import { bytes, int, key, list, map, nullable, type Shape, type ShapeOf, word } from './shape.ts'
import { checkKey, sign, verify } from './signature.ts'
import { decodePayload, encodePayload, statementLink, time } from './statement.ts'

/** k of n root keys. */
export interface KeySet {
  /** 64 hex digits each, ascending. */
  readonly keys: readonly string[]
  readonly threshold: number
}

const anyInt = int(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER)
const envelopeShape = map({
  p: bytes(1, MAX_IDENTITY_OP_BYTES),
  // A rotation is signed by two key sets.
  s: list(list(bytes(0, 64), 2), 2 * MAX_ROOT_KEYS),
})
const common = { n: time, prev: nullable(statementLink), ts: time }
const keySet = { keys: list(key, MAX_ROOT_KEYS), threshold: anyInt, next: key }
/** The last good record of a log. */
const last: Shape<LogPosition> = map({
  epoch: int(0, MAX_IDENTITY_OPS),
  seq: int(0, MAX_SEQ),
  tip: statementLink,
})

const shapes = {
  genesis: map({ ...common, op: word('genesis'), ...keySet }),
  delegate: map({
    ...common,
    op: word('delegate'),
    key,
    scope: word(...SCOPES),
    notBefore: time,
    notAfter: time,
  }),
  /** As `delegate` with the scope `publish`, for a log that is private to an audience. */
  confide: map({ ...common, op: word('confide'), key, notBefore: time, notAfter: time, audience }),
  renew: map({ ...common, op: word('renew'), key, notAfter: time, last: nullable(last) }),
  revoke: map({
    ...common,
    op: word('revoke'),
    key,
    last: nullable(last),
    reason: word('superseded', 'lost', 'stolen', 'staff-left'),
  }),
  epoch: map({ ...common, op: word('epoch'), key, last: nullable(last) }),
  heal: map({ ...common, op: word('heal'), key, last }),
  rotate: map({ ...common, op: word('rotate'), ...keySet }),
  succeed: map({ ...common, op: word('succeed'), steward: nullable(statementLink) }),
}

/** What an operation says, with its place in the chain. */
export type Operation = {
  [N in keyof typeof shapes]: ShapeOf<(typeof shapes)[N]>
}[keyof typeof shapes]
/** Operations on one device key. */
export type DeviceOperation = Exclude<Operation, { op: 'genesis' | 'rotate' | 'succeed' }>

/** A root key and its signature over the payload. */
export type Signature = readonly [key: Uint8Array, signature: Uint8Array]

/** Signs an operation with each seed and puts all together. */
export function sealOperation(operation: Operation, seeds: readonly Uint8Array[]): Uint8Array {
  // SAFE: a shape of maps writes maps, and `op` tells which one it is.
  const fields = (shapes[operation.op] as Shape<Operation>).write(operation) as CborMap
  return signPayload(encodePayload('identity', fields), [], seeds)
}

/** The payload of an operation with the signatures that it has and those of further seeds. */
export function signPayload(
  payload: Uint8Array,
  before: readonly Signature[],
  seeds: readonly Uint8Array[],
): Uint8Array {
  const added = seeds.map((seed): Signature => [publicKeyOf(seed), sign('identity', payload, seed)])
  const signatures = [...before, ...added].sort(([a], [b]) => compareBytes(a, b))
  return encode({ p: payload, s: signatures })
}

/** Takes an operation apart; nothing is checked but the encoding and the shape of the envelope. */
export function openOperation(envelope: Uint8Array): Verdict<{
  readonly payload: Uint8Array
  readonly signatures: readonly Signature[]
  readonly fields: CborMap
}> {
  const decoded = decode(envelope, MAX_IDENTITY_OP_BYTES)
  if (!decoded.ok) return decoded
  const read = envelopeShape.read(decoded.value, '')
  if (!read.ok) return read
  const { p: payload, s } = read.value
  const signatures: Signature[] = []
  for (const [index, [signer, signature]] of s.entries()) {
    if (signer === undefined || signature === undefined) {
      return refuse('RECORD_INVALID', 'not a key and its signature', { field: `s[${index}]` })
    }
    signatures.push([signer, signature])
  }
  const fields = decodePayload('identity', payload, MAX_IDENTITY_OP_BYTES)
  return fields.ok ? accept({ payload, signatures, fields: fields.value }) : fields
}

/** Content id of an operation's payload; null where it is not an operation. */
export function operationId(envelope: Uint8Array): Cid | null {
  const opened = openOperation(envelope)
  return opened.ok ? cidOf('dag-cbor', opened.value.payload) : null
}

/** Whether two operations have one payload; their signatures may differ. */
export function isSameOperation(first: Uint8Array, second: Uint8Array): boolean {
  if (equalBytes(first, second)) return true
  const id = operationId(first)
  return id !== null && id === operationId(second)
}

/**
 * Reads the fields of an operation.
 * Fails with UNKNOWN_VERSION, RECORD_INVALID, UNKNOWN_FIELD, CID_PROFILE or LIMIT.
 */
export function readOperation(fields: CborMap): Verdict<Operation> {
  const { op } = fields
  if (typeof op === 'string' && Object.hasOwn(shapes, op)) {
    // SAFE: looked up just now.
    return shapes[op as keyof typeof shapes].read(fields, '')
  }
  return refuse('UNKNOWN_VERSION', 'an identity operation that this version does not know', {
    field: 'op',
    got: typeof op === 'string' ? op.slice(0, 40) : typeof op,
    hint: 'a newer version of this program may read it',
  })
}

/** 1 <= k <= n, keys ascending, each once and none weak. */
export function checkKeySet({ keys, threshold }: KeySet): Verdict<KeySet> {
  if (threshold < 1 || threshold > keys.length) {
    return refuse('THRESHOLD', 'a threshold outside 1 to the number of keys', {
      field: 'threshold',
      limit: keys.length,
      got: threshold,
    })
  }
  for (const [index, key] of keys.entries()) {
    const field = `keys[${index}]`
    const before = keys[index - 1]
    if (before === key) return refuse('THRESHOLD', 'a key stands twice', { field })
    if (before !== undefined && before > key) {
      return refuse('IDENTITY_INVALID', 'keys are not in order', { field })
    }
    const checked = checkKey(fromHex(key))
    if (!checked.ok) return { ...checked, field }
  }
  return accept({ keys, threshold })
}

/** At least `threshold` keys of each set signed, each once, and nobody else. */
export function checkSigners(
  sets: readonly KeySet[],
  payload: Uint8Array,
  signatures: readonly Signature[],
): Verdict<true> {
  const listed = checkList(sets, signatures)
  if (!listed.ok) return listed
  for (const { keys, threshold } of sets) {
    const count = countSigners(keys, signatures)
    if (count < threshold) {
      return refuse('THRESHOLD_NOT_MET', 'too few root signatures', {
        field: 's',
        limit: threshold,
        got: count,
      })
    }
  }
  return verifyAll(payload, signatures)
}

/** Like {@link checkSigners}, of an operation that further keys have yet to sign. */
export function checkSignersSoFar(
  sets: readonly KeySet[],
  payload: Uint8Array,
  signatures: readonly Signature[],
): Verdict<true> {
  const listed = checkList(sets, signatures)
  return listed.ok ? verifyAll(payload, signatures) : listed
}

/** How many of some keys have signed. */
export const countSigners = (keys: readonly string[], signatures: readonly Signature[]): number =>
  signatures.filter(([signer]) => keys.includes(toHex(signer))).length

/** The signers are root keys, ascending, each once. */
function checkList(sets: readonly KeySet[], signatures: readonly Signature[]): Verdict<true> {
  const signers = signatures.map(([signer]) => toHex(signer))
  for (const [index, signer] of signers.entries()) {
    const field = `s[${index}]`
    const before = signers[index - 1]
    if (before === signer) return refuse('THRESHOLD_NOT_MET', 'each key counts once', { field })
    if (before !== undefined && before > signer) {
      return refuse('IDENTITY_INVALID', 'signatures are not in order', { field })
    }
    if (!sets.some(({ keys }) => keys.includes(signer))) {
      return refuse('IDENTITY_INVALID', 'signed by a key that is no root', { field })
    }
  }
  return accept(true)
}

function verifyAll(payload: Uint8Array, signatures: readonly Signature[]): Verdict<true> {
  for (const [index, [signer, signature]] of signatures.entries()) {
    const verified = verify('identity', payload, signature, signer)
    if (!verified.ok) return { ...verified, field: `s[${index}]` }
  }
  return accept(true)
}

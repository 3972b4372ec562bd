/**
 * Identities: a publisher is a numbered chain of operations that its root keys sign; its id is the
 * content id of the first one's payload. docs/protocol.md, "Identities".
 *
 * Root keys sign nothing else. Each key set commits to the next one by hash, so that a thief of
 * today's keys cannot name tomorrow's. An operation that this version does not know is refused,
 * never skipped: what follows it might mean something else.
 */
import { fromHex, toHex } from './bytes.ts'
import { type CborMap, encode } from './cbor.ts'
import { type Cid, cidOf } from './cid.ts'
import { publicKeyOf, sha256 } from './crypto.ts'
import { applyToDevices, type Device } from './device.ts'
import { accept, assert, expectOk, type Failure, refuse, type Verdict } from './errors.ts'
import {
  checkKeySet,
  checkSigners,
  type KeySet,
  type Operation,
  openOperation,
  readOperation,
  type Signature,
  sealOperation,
} from './identity-operation.ts'
import { MAX_IDENTITY_OPS } from './limits.ts'
import { nullable } from './shape.ts'
import { checkKey } from './signature.ts'
import { statementLink, time } from './statement.ts'

/** What a chain of operations adds up to. */
export interface Identity {
  readonly publisher: Cid
  /** Number of operations. */
  readonly length: number
  /** Content id of the newest operation's payload. */
  readonly tip: Cid
  /** Root keys, 64 hex digits each, ascending. */
  readonly roots: readonly string[]
  readonly threshold: number
  /** Commitment to the next root key set, see {@link commitmentOf}. */
  readonly next: string
  /** Number of rotations so far. */
  readonly rotations: number
  /** In the order of their delegation. */
  readonly devices: readonly Device[]
  /** The publisher that vouches for the records of this one when it can no longer; none by default. */
  readonly steward?: Cid
}

/** The key set of some seeds (32 bytes each). */
export const keySetOf = (seeds: readonly Uint8Array[], threshold: number): KeySet => ({
  keys: seeds.map((seed) => toHex(publicKeyOf(seed))).sort(),
  threshold,
})

/** What an operation says of the next key set: the SHA-256 of its encoding, 64 hex digits. */
export const commitmentOf = ({ keys, threshold }: KeySet): string =>
  toHex(sha256(encode({ keys: keys.map(fromHex), threshold })))

/**
 * Founds a publisher. All roots sign.
 *
 * @param roots seeds of the root keys, 32 bytes each
 * @param next the key set that a later rotation will reveal; keep its seeds elsewhere
 * @param ts milliseconds since 1970 UTC
 */
export function createGenesis(options: {
  readonly roots: readonly Uint8Array[]
  readonly threshold: number
  readonly next: KeySet
  readonly ts: number
}): { readonly envelope: Uint8Array; readonly identity: Identity } {
  const { roots, threshold, next, ts } = options
  const { keys } = keySetOf(roots, threshold)
  const place = { op: 'genesis', n: 0, prev: null, ts } as const
  const envelope = sealOperation({ ...place, keys, threshold, next: commitmentOf(next) }, roots)
  return { envelope, identity: expectOk(extendIdentity(null, envelope)) }
}

/** An operation that follows others; its place in the chain is for {@link signOperation}. */
export type NewOperation = Unplaced<Exclude<Operation, { op: 'genesis' }>>
type Unplaced<T> = T extends Operation ? Omit<T, 'n' | 'prev'> : never

/**
 * Signs the next operation of a chain with the seeds of root keys, those of a new key set among
 * them. Throws a ZoariumError where others would refuse it.
 */
export function signOperation(
  identity: Identity,
  operation: NewOperation,
  rootSeeds: readonly Uint8Array[],
): Uint8Array {
  const place = { n: identity.length, prev: identity.tip }
  const envelope = sealOperation({ ...operation, ...place }, rootSeeds)
  expectOk(extendIdentity(identity, envelope))
  return envelope
}

/** Reads a whole chain. */
export function readIdentity(operations: readonly Uint8Array[]): Verdict<Identity> {
  let identity: Identity | null = null
  for (const operation of operations) {
    const extended = extendIdentity(identity, operation)
    if (!extended.ok) return extended
    identity = extended.value
  }
  return identity === null
    ? refuse('IDENTITY_INVALID', 'an identity without operations')
    : accept(identity)
}

/**
 * Checks the next operation of a chain, null standing before the first, and applies it.
 *
 * Fails with GAP, SEQ or PREV_UNKNOWN (not the next one), IDENTITY_TOO_LONG, IDENTITY_INVALID,
 * THRESHOLD, THRESHOLD_NOT_MET, PREROTATION, KEY_NOT_DELEGATED, KEY_REVOKED, UNKNOWN_VERSION (also
 * for unknown operations), UNKNOWN_FIELD, RECORD_INVALID, and like cbor.ts and signature.ts.
 */
export function extendIdentity(identity: Identity | null, envelope: Uint8Array): Verdict<Identity> {
  const proposed = proposeOperation(identity, envelope)
  if (!proposed.ok) return proposed
  const { after, sets, payload, signatures } = proposed.value
  const signed = checkSigners(sets, payload, signatures)
  return signed.ok ? accept(after) : signed
}

/** The next operation of a chain, before its signatures were looked at. */
export interface Proposal {
  readonly operation: Operation
  /** The identity, were it signed. */
  readonly after: Identity
  /** The key sets of which a threshold has to sign. */
  readonly sets: readonly KeySet[]
  readonly payload: Uint8Array
  readonly signatures: readonly Signature[]
}

/** Like {@link extendIdentity}, but for the signatures. */
export function proposeOperation(
  identity: Identity | null,
  envelope: Uint8Array,
): Verdict<Proposal> {
  const opened = openOperation(envelope)
  if (!opened.ok) return opened
  const { payload, signatures, fields } = opened.value
  const placed = checkPlace(identity, fields)
  if (!placed.ok) return placed
  const read = readOperation(fields)
  if (!read.ok) return read
  const operation = read.value

  const changed = apply(identity, operation)
  if (!changed.ok) return changed
  const sets = [identity, isKeySet(operation) ? changed.value : null].flatMap((each) =>
    each === null ? [] : [{ keys: each.roots, threshold: each.threshold }],
  )
  const tip = cidOf('dag-cbor', payload)
  const length = (identity?.length ?? 0) + 1
  const publisher = identity?.publisher ?? tip
  return accept({
    operation,
    after: { publisher, ...changed.value, length, tip },
    sets,
    payload,
    signatures,
  })
}

type State = Omit<Identity, 'publisher' | 'length' | 'tip'>
type KeySetOperation = Extract<Operation, { op: 'genesis' | 'rotate' }>

const isKeySet = (operation: Operation): operation is KeySetOperation =>
  operation.op === 'genesis' || operation.op === 'rotate'

/** What an operation makes of an identity, whoever signed it. */
function apply(identity: Identity | null, operation: Operation): Verdict<State> {
  if (isKeySet(operation)) return setRoots(identity, operation)
  // checkPlace lets only a genesis come first.
  assert(identity !== null, 'a chain begins with its genesis')
  if (operation.op === 'succeed') return succeed(identity, operation.steward)
  const usable = checkKey(fromHex(operation.key))
  if (!usable.ok) return { ...usable, field: 'key' }
  if (identity.roots.includes(operation.key)) return rootAsDevice('key')
  const devices = applyToDevices(identity.devices, operation, identity.length)
  return devices.ok ? accept({ ...identity, devices: devices.value }) : devices
}

function succeed(identity: Identity, steward: Cid | null): Verdict<State> {
  const { steward: _, ...rest } = identity
  if (steward === null) return accept(rest)
  return steward === identity.publisher
    ? refuse('IDENTITY_INVALID', 'a publisher is not its own steward', { field: 'steward' })
    : accept({ ...rest, steward })
}

function setRoots(identity: Identity | null, operation: KeySetOperation): Verdict<State> {
  const { keys, threshold, next } = operation
  const checked = checkKeySet({ keys, threshold })
  if (!checked.ok) return checked
  const rotations = identity === null ? 0 : identity.rotations + 1
  const { devices = [] } = identity ?? {}
  if (identity !== null && commitmentOf(checked.value) !== identity.next) {
    return refuse('PREROTATION', 'the key set is not the one that was committed to', {
      field: 'keys',
      limit: identity.next,
      got: commitmentOf(checked.value),
    })
  }
  const taken = new Set(devices.map((device) => device.key))
  const index = keys.findIndex((key) => taken.has(key))
  if (index >= 0) return rootAsDevice(`keys[${index}]`)
  return accept({ ...identity, roots: keys, threshold, next, rotations, devices })
}

const rootAsDevice = (field: string): Failure =>
  refuse('IDENTITY_INVALID', 'a root key is no device key', { field })

/** Whether an operation is the next one: its number and the one before, and genesis first. */
function checkPlace(identity: Identity | null, fields: CborMap): Verdict<true> {
  const expected = identity?.length ?? 0
  const number = time.read(fields.n, 'n')
  if (!number.ok) return number
  const place = { field: 'n', limit: expected, got: number.value }
  if (number.value > expected)
    return refuse('GAP', 'an operation before this one is missing', place)
  if (number.value < expected) return refuse('SEQ', 'an operation of that number is known', place)
  if (expected >= MAX_IDENTITY_OPS) {
    return refuse('IDENTITY_TOO_LONG', 'more operations than are followed', {
      limit: MAX_IDENTITY_OPS,
    })
  }
  if ((identity === null) !== (fields.op === 'genesis')) {
    return refuse('IDENTITY_INVALID', 'genesis comes first, and once', { field: 'op' })
  }
  const prev = nullable(statementLink).read(fields.prev, 'prev')
  if (!prev.ok) return prev
  return prev.value === (identity?.tip ?? null)
    ? accept(true)
    : refuse('PREV_UNKNOWN', 'the operation follows another one', {
        field: 'prev',
        limit: identity?.tip ?? 'null',
        got: prev.value ?? 'null',
      })
}

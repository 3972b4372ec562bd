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
import { accept, assert, expectOk, refuse, type Verdict } from './errors.ts'
import {
  checkKeySet,
  checkThreshold,
  delegateShape,
  genesisShape,
  type KeySet,
  openOperation,
  sealOperation,
} from './identity-operation.ts'
import { MAX_DELEGATION_MS, MAX_IDENTITY_OPS } from './limits.ts'
import type { LogRecord } from './record.ts'
import { nullable } from './shape.ts'
import { checkKey } from './signature.ts'
import { statementLink, time } from './statement.ts'

export type Scope = 'publish' | 'serve'

/** A key that a publisher delegated to one machine. */
export interface Device {
  /** 64 hex digits. */
  readonly key: string
  readonly scope: Scope
  /** Milliseconds since 1970 UTC, both included. */
  readonly notBefore: number
  readonly notAfter: number
  /** Number of the operation that delegated it. */
  readonly since: number
}

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
  /** In the order of their delegation. */
  readonly devices: readonly Device[]
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
  const fields = genesisShape.write({
    op: 'genesis',
    n: 0,
    prev: null,
    ts,
    keys,
    threshold,
    next: commitmentOf(next),
  })
  const envelope = sealOperation(fields as CborMap, roots)
  return { envelope, identity: expectOk(extendIdentity(null, envelope)) }
}

/** The operation that delegates a device key, signed by these roots; throws if others refuse it. */
export function signDelegation(
  identity: Identity,
  device: Omit<Device, 'since'> & { readonly ts: number },
  rootSeeds: readonly Uint8Array[],
): Uint8Array {
  const { key, scope, notBefore, notAfter, ts } = device
  const fields = delegateShape.write({
    op: 'delegate',
    n: identity.length,
    prev: identity.tip,
    ts,
    key,
    scope,
    notBefore,
    notAfter,
  })
  const envelope = sealOperation(fields as CborMap, rootSeeds)
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
 * THRESHOLD, THRESHOLD_NOT_MET, UNKNOWN_VERSION (also for unknown operations), UNKNOWN_FIELD,
 * RECORD_INVALID, and like cbor.ts and signature.ts.
 */
export function extendIdentity(identity: Identity | null, envelope: Uint8Array): Verdict<Identity> {
  const opened = openOperation(envelope)
  if (!opened.ok) return opened
  const { payload, signatures, fields } = opened.value
  const placed = checkPlace(identity, fields)
  if (!placed.ok) return placed

  switch (fields.op) {
    case 'genesis': {
      const read = genesisShape.read(fields, '')
      if (!read.ok) return read
      const { keys, threshold, next } = read.value
      const checked = checkKeySet({ keys, threshold })
      if (!checked.ok) return checked
      const signed = checkThreshold(checked.value, payload, signatures)
      if (!signed.ok) return signed
      const id = cidOf('dag-cbor', payload)
      return accept({
        publisher: id,
        length: 1,
        tip: id,
        roots: keys,
        threshold,
        next,
        devices: [],
      })
    }
    case 'delegate': {
      // SAFE: checkPlace lets only a genesis come first.
      const before = identity as Identity
      const read = delegateShape.read(fields, '')
      if (!read.ok) return read
      const signed = checkThreshold({ ...before, keys: before.roots }, payload, signatures)
      if (!signed.ok) return signed
      const { key, scope, notBefore, notAfter } = read.value
      const device: Device = { key, scope, notBefore, notAfter, since: before.length }
      const checked = checkDelegation(before, device)
      if (!checked.ok) return checked
      return accept({
        ...before,
        length: before.length + 1,
        tip: cidOf('dag-cbor', payload),
        devices: [...before.devices, device],
      })
    }
    default:
      return refuse('UNKNOWN_VERSION', 'an identity operation that this version does not know', {
        field: 'op',
        got: typeof fields.op === 'string' ? fields.op.slice(0, 40) : typeof fields.op,
        hint: 'a newer version of this program may read it',
      })
  }
}

/**
 * The delegation under which a record was signed. No clock is asked: the record's own `ts` must lie
 * in the delegation, and the signer must have known of it (`idv`).
 *
 * Fails with KEY_NOT_DELEGATED, KEY_EXPIRED, SCOPE, or GAP where identity operations are missing.
 */
export function findDevice(identity: Identity, record: LogRecord): Verdict<Device> {
  assert(record.publisher === identity.publisher, 'an identity of another publisher')
  if (record.idv > identity.length) {
    return refuse('GAP', 'identity operations that the signer knew are missing here', {
      field: 'idv',
      limit: identity.length,
      got: record.idv,
    })
  }
  const found = deviceOf(identity, record.key)
  if (!found.ok) return found
  const device = found.value
  if (record.idv <= device.since) {
    return refuse('KEY_NOT_DELEGATED', 'signed before the key was delegated', {
      field: 'idv',
      limit: device.since + 1,
      got: record.idv,
    })
  }
  if (record.ts < device.notBefore || record.ts > device.notAfter) return expired(device, record.ts)
  if (!isInScope(device.scope, record)) {
    return refuse('SCOPE', `a ${device.scope} key may not sign that kind of record`, {
      field: 'kind',
      limit: device.scope,
      got: record.kind,
    })
  }
  return found
}

/** A delegated key by its hex text. Fails with KEY_NOT_DELEGATED. */
export function deviceOf(identity: Identity, key: string): Verdict<Device> {
  const device = identity.devices.find((each) => each.key === key)
  return device === undefined
    ? refuse('KEY_NOT_DELEGATED', 'the key was never delegated by that publisher', {
        field: 'key',
        got: key,
      })
    : accept(device)
}

/**
 * The serve key that issued a statement of a node, such as a binding: delegated when it was issued
 * and still now. Times are in milliseconds since 1970 UTC.
 * Fails with KEY_NOT_DELEGATED, SCOPE or KEY_EXPIRED.
 */
export function servingDevice(
  identity: Identity,
  { key, issued }: { readonly key: string; readonly issued: number },
  now: number,
): Verdict<Device> {
  const found = deviceOf(identity, key)
  if (!found.ok) return found
  const device = found.value
  if (device.scope !== 'serve') {
    return refuse('SCOPE', 'only a serve key may speak for a node', {
      field: 'key',
      limit: 'serve',
      got: device.scope,
    })
  }
  if (issued < device.notBefore) return expired(device, issued)
  return now > device.notAfter ? expired(device, now) : found
}

const expired = (device: Device, at: number) =>
  refuse('KEY_EXPIRED', 'outside the time for which the key was delegated', {
    field: 'ts',
    limit: `${device.notBefore} to ${device.notAfter}`,
    got: at,
  })

/** Claims of an attest record that speak for the institution, not for one machine. */
const PUBLISH_CLAIMS: ReadonlySet<unknown> = new Set(['reviewed', 'advisory'])

function isInScope(scope: Scope, record: LogRecord): boolean {
  if (scope === 'serve') return record.kind === 'attest' && !PUBLISH_CLAIMS.has(record.body.claim)
  return !(record.kind === 'withdraw' && record.body.verb === 'erase')
}

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

function checkDelegation(identity: Identity, device: Device): Verdict<true> {
  const usable = checkKey(fromHex(device.key))
  if (!usable.ok) return { ...usable, field: 'key' }
  if (identity.roots.includes(device.key)) {
    return refuse('IDENTITY_INVALID', 'a root key is no device key', { field: 'key' })
  }
  if (identity.devices.some((each) => each.key === device.key)) {
    return refuse('IDENTITY_INVALID', 'the key is delegated already', { field: 'key' })
  }
  const life = device.notAfter - device.notBefore
  if (life <= 0 || life > MAX_DELEGATION_MS) {
    return refuse('IDENTITY_INVALID', 'a delegation that is empty or too long', {
      field: 'notAfter',
      limit: MAX_DELEGATION_MS,
      got: life,
    })
  }
  return accept(true)
}

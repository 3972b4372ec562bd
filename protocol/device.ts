/**
 * Device keys: what the root said of each, and which places in its log that leaves open.
 * docs/protocol.md, "Cuts".
 *
 * A cut names the last good record of a log. Records up to it are good for ever; what stands after
 * it in an earlier epoch is void, whoever signed it. Positions decide, never clocks: a thief can
 * date his records as he likes, but he cannot place them before a record that the root has named.
 */
import { type Audience, checkAudience } from './audience.ts'
import { accept, type Failure, refuse, type Verdict } from './errors.ts'
import type { DeviceOperation } from './identity-operation.ts'
import { MAX_DELEGATION_MS } from './limits.ts'
import { comparePositions, type LogPosition, type Position } from './record.ts'
import type { Scope } from './scope.ts'

/** Why a key was revoked. */
export type Reason = 'superseded' | 'lost' | 'stolen' | 'staff-left'

/** What a root said of a device's log. */
export interface Cut {
  /** The last good record; null: none is. */
  readonly last: LogPosition | null
  /** The epoch in which the log goes on; null: it has ended. */
  readonly epoch: number | null
}

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
  /** The epoch in which it signs. */
  readonly epoch: number
  /** Oldest first; none names a record before that of the one before. */
  readonly cuts: readonly Cut[]
  readonly revoked: Reason | null
  /** For whom its log is; absent: for everybody. */
  readonly audience?: Audience
}

/** A delegated key by its hex text. Fails with KEY_NOT_DELEGATED. */
export function deviceOf(
  { devices }: { readonly devices: readonly Device[] },
  key: string,
): Verdict<Device> {
  const device = devices.find((each) => each.key === key)
  return device === undefined
    ? refuse('KEY_NOT_DELEGATED', 'the key was never delegated by that publisher', {
        field: 'key',
        got: key,
      })
    : accept(device)
}

/** Fewest digits by which a key may be named. */
const MIN_DIGITS = 8

/** The one of several keys that begins with some hex digits. Fails with USAGE, NOT_FOUND, AMBIGUOUS. */
export function byDigits<T extends { readonly key: string }>(
  all: readonly T[],
  digits: string,
): Verdict<T> {
  if (!new RegExp(`^[0-9a-f]{${MIN_DIGITS},64}$`).test(digits)) {
    return refuse('USAGE', 'a key is named by its first 8 to 64 hex digits', {
      got: digits,
      hint: 'zoarium keys list shows them',
    })
  }
  const [found, ...more] = all.filter(({ key }) => key.startsWith(digits))
  if (found === undefined) {
    return refuse('NOT_FOUND', 'no device key begins like that', { got: digits })
  }
  return more.length === 0
    ? accept(found)
    : refuse('AMBIGUOUS', 'several device keys begin like that', { got: digits })
}

/**
 * Whether records of a device may stand at a position.
 * Fails with KEY_REVOKED (after the cut of a revocation), or SEQ (after another cut in an epoch
 * that is over, or in an epoch that the root has not raised).
 */
export function checkPosition(device: Device, position: Position): Verdict<true> {
  if (position.epoch > device.epoch) {
    return refuse('SEQ', 'an epoch that the root has not raised', {
      field: 'epoch',
      limit: device.epoch,
      got: position.epoch,
    })
  }
  const cut = device.cuts.find((each) => isVoid(each, position))
  if (cut === undefined) return accept(true)
  const [code, message] =
    cut.epoch === null
      ? (['KEY_REVOKED', 'the key was revoked before that position'] as const)
      : (['SEQ', 'the root has ended that epoch before the position'] as const)
  return refuse(code, message, {
    field: 'seq',
    limit: cut.last === null ? 'no record' : `${textOf(cut.last)} ${cut.last.tip}`,
    got: textOf(position),
  })
}

/** Whether the root has vouched for what stands at a position: it is at or before a cut. */
export const isVouched = (device: Device, position: Position): boolean =>
  device.cuts.some(({ last }) => last !== null && comparePositions(position, last) <= 0)

/**
 * Whether a fork at a position changes nothing: it is void, or the root named a record at or after
 * it, and with that the branch which stands.
 */
export const isSettled = (device: Device, position: Position): boolean =>
  isVouched(device, position) || device.cuts.some((cut) => isVoid(cut, position))

/** Whether a cut makes what stands at a position void. */
export const isVoid = ({ last, epoch }: Cut, position: Position): boolean =>
  (last === null || comparePositions(position, last) > 0) &&
  (epoch === null || position.epoch < epoch)

/**
 * What an operation makes of a publisher's devices.
 * Fails with KEY_NOT_DELEGATED, KEY_REVOKED or IDENTITY_INVALID.
 *
 * @param n number of the operation
 */
export function applyToDevices(
  devices: readonly Device[],
  operation: DeviceOperation,
  n: number,
): Verdict<readonly Device[]> {
  if (operation.op === 'delegate') return delegate(devices, operation, n)
  if (operation.op === 'confide') return confide(devices, operation, n)
  const found = deviceOf({ devices }, operation.key)
  if (!found.ok) return found
  const device = found.value
  if (device.revoked !== null) {
    return refuse('KEY_REVOKED', 'the key was revoked by an earlier operation', {
      field: 'key',
      got: device.key,
    })
  }
  const checked = checkLast(device, operation.last)
  if (!checked.ok) return checked
  const changed = cut(device, operation)
  if (!changed.ok) return changed
  return accept(devices.map((each) => (each === device ? changed.value : each)))
}

type Delegation = Pick<
  Extract<DeviceOperation, { op: 'delegate' }>,
  'key' | 'scope' | 'notBefore' | 'notAfter'
>

function delegate(
  devices: readonly Device[],
  { key, scope, notBefore, notAfter }: Delegation,
  n: number,
): Verdict<readonly Device[]> {
  if (devices.some((each) => each.key === key)) {
    return refuse('IDENTITY_INVALID', 'the key is delegated already', { field: 'key' })
  }
  const life = checkLife(notAfter - notBefore)
  if (!life.ok) return life
  const times = { notBefore, notAfter, since: n }
  return accept([...devices, { key, scope, ...times, epoch: 0, cuts: [], revoked: null }])
}

function confide(
  devices: readonly Device[],
  { audience, ...operation }: Extract<DeviceOperation, { op: 'confide' }>,
  n: number,
): Verdict<readonly Device[]> {
  const checked = checkAudience(audience)
  if (!checked.ok) return checked
  const delegated = delegate(devices, { ...operation, scope: 'publish' }, n)
  if (!delegated.ok) return delegated
  const before = delegated.value.slice(0, -1)
  return accept([...before, ...delegated.value.slice(-1).map((each) => ({ ...each, audience }))])
}

function cut(
  device: Device,
  operation: Exclude<DeviceOperation, { op: 'delegate' | 'confide' }>,
): Verdict<Device> {
  const { last } = operation
  const withCut = (epoch: number | null) => ({ ...device, cuts: [...device.cuts, { last, epoch }] })
  switch (operation.op) {
    case 'renew': {
      const life = checkLife(operation.notAfter - device.notAfter)
      if (!life.ok) return life
      return accept({ ...withCut(device.epoch), notAfter: operation.notAfter })
    }
    case 'revoke':
      return accept({ ...withCut(null), revoked: operation.reason })
    case 'epoch':
    case 'heal': {
      const epoch = device.epoch + 1
      return accept({ ...withCut(epoch), epoch })
    }
  }
}

/** Cuts only move on: what the root vouched for once is good for ever. */
function checkLast(device: Device, last: LogPosition | null): Verdict<true> {
  const before = device.cuts.at(-1)?.last ?? null
  if (last === null) return before === null ? accept(true) : misplaced(before, last)
  const allowed = checkPosition(device, last)
  if (!allowed.ok) return misplaced(before, last)
  const order = before === null ? 1 : comparePositions(last, before)
  return order > 0 || (order === 0 && last.tip === before?.tip)
    ? accept(true)
    : misplaced(before, last)
}

const misplaced = (before: LogPosition | null, last: LogPosition | null): Failure =>
  refuse('IDENTITY_INVALID', 'the last good record cannot stand after the cut before', {
    field: 'last',
    limit: before === null ? 'no record' : `${textOf(before)} ${before.tip}`,
    got: last === null ? 'null' : `${textOf(last)} ${last.tip}`,
  })

function checkLife(life: number): Verdict<true> {
  if (life > 0 && life <= MAX_DELEGATION_MS) return accept(true)
  return refuse('IDENTITY_INVALID', 'a delegation that is empty or too long', {
    field: 'notAfter',
    limit: MAX_DELEGATION_MS,
    got: life,
  })
}

const textOf = ({ epoch, seq }: Position): string => `${epoch}.${seq}`

/**
 * Delegations: whether a device key may sign what it signed. docs/protocol.md, "Records" and
 * "Bindings".
 */
import { checkPosition, type Device, deviceOf, isVouched } from './device.ts'
import { assert, type Failure, refuse, type Verdict } from './errors.ts'
import type { Identity } from './identity.ts'
import type { LogRecord } from './record.ts'
import { isInScope } from './scope.ts'

/**
 * The delegation under which a record was signed. No clock is asked: the record's own `ts` must lie
 * in the delegation, unless the root has vouched for the record, and the signer must have known of
 * the delegation (`idv`).
 *
 * Fails with KEY_NOT_DELEGATED, KEY_REVOKED, KEY_EXPIRED, SEQ (a place that a cut has closed),
 * SCOPE, or GAP where identity operations are missing.
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
  const placed = checkPosition(device, record)
  if (!placed.ok) return placed
  const isInTime = record.ts >= device.notBefore && record.ts <= device.notAfter
  if (!isInTime && !isVouched(device, record)) return expired(device, record.ts)
  if (!isInScope(device.scope, device.audience !== undefined, record)) {
    return refuse('SCOPE', `a ${device.scope} key may not sign that kind of record`, {
      field: 'kind',
      limit: device.scope,
      got: record.kind,
    })
  }
  return found
}

/**
 * The serve key that issued a statement of a node, such as a binding: delegated when it was issued
 * and still now. Times are in milliseconds since 1970 UTC.
 * Fails with KEY_NOT_DELEGATED, KEY_REVOKED, SCOPE or KEY_EXPIRED.
 */
export function servingDevice(
  identity: Identity,
  { key, issued }: { readonly key: string; readonly issued: number },
  now: number,
): Verdict<Device> {
  const found = deviceOf(identity, key)
  if (!found.ok) return found
  const device = found.value
  if (device.revoked !== null) {
    return refuse('KEY_REVOKED', 'the key was revoked', { field: 'key', got: device.revoked })
  }
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

const expired = (device: Device, at: number): Failure =>
  refuse('KEY_EXPIRED', 'outside the time for which the key was delegated', {
    field: 'ts',
    limit: `${device.notBefore} to ${device.notAfter}`,
    got: at,
  })

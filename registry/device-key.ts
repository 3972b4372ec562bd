/** The own device keys as this machine knows them: their state, and the newest record of each log. */
import type { Device } from '../protocol/device.ts'
import { headOf } from '../protocol/head.ts'
import type { Identity } from '../protocol/identity.ts'
import { comparePositions, type LogPosition } from '../protocol/record.ts'
import type { Registry } from './registry.ts'
import { RENEWAL_NOTICE_MS } from './renewal.ts'

export type KeyState = 'active' | 'expiring' | 'expired' | 'revoked'

export interface DeviceKey extends Device {
  readonly state: KeyState
  /** Whether its seed is on this machine. */
  readonly isHere: boolean
  /** The newest record of its log that is known here. */
  readonly last: LogPosition | null
}

/**
 * @param here keys whose seeds are on this machine
 * @param now milliseconds
 */
export const deviceKeys = (
  registry: Registry,
  identity: Identity,
  here: readonly string[],
  now: number,
): readonly DeviceKey[] =>
  identity.devices.map((device) => ({
    ...device,
    state: stateOf(device, now),
    isHere: here.includes(device.key),
    last: newestRecord(registry, device.key),
  }))

/** The newest record of an own log that is known here, be it from the head that names it. */
export function newestRecord({ catalogue, publisher }: Registry, key: string): LogPosition | null {
  const log = catalogue.log(publisher, key)
  const tip = log && { epoch: log.epoch, seq: log.seq, tip: log.tip }
  const row = catalogue.heads(publisher).find((each) => each.key === key)
  if (row === undefined) return tip
  const head = headOf(row.envelope)
  if (tip !== null && comparePositions(tip, head) >= 0) return tip
  return { epoch: head.epoch, seq: head.seq, tip: head.tip }
}

function stateOf({ revoked, notAfter }: Device, now: number): KeyState {
  if (revoked !== null) return 'revoked'
  if (now > notAfter) return 'expired'
  return notAfter - now <= RENEWAL_NOTICE_MS ? 'expiring' : 'active'
}

/** Renewal: which device keys run out soon, so that the root can renew them in time. */
import type { Device } from '../protocol/device.ts'
import type { Identity } from '../protocol/identity.ts'

/** How long before its end a key is to be renewed: time to fetch the root keys from a safe. */
export const RENEWAL_NOTICE_MS = 30 * 24 * 3600 * 1000

/**
 * The devices of a publisher whose time ends within the notice or has ended, the next one first.
 * Revoked ones are left to end.
 *
 * @param now milliseconds
 */
export const renewals = ({ devices }: Identity, now: number): readonly Device[] =>
  devices
    .filter((device) => device.revoked === null && device.notAfter - now <= RENEWAL_NOTICE_MS)
    .sort((a, b) => a.notAfter - b.notAfter)

/** Renewal: which device keys run out soon, so that the root renews them in time. */
import type { Device } from '../protocol/device.ts'
import type { Identity } from '../protocol/identity.ts'

const DAY_MS = 24 * 3600 * 1000
/** How long before its end a key is to be renewed: time to fetch the root keys from a safe. */
export const RENEWAL_NOTICE_MS = 30 * DAY_MS
/**
 * How long before its end a node that has the root keys renews a key by itself: after people were
 * told, and early enough for one that was switched off for a week.
 */
export const RENEWAL_MARGIN_MS = 14 * DAY_MS

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

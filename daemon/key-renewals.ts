/**
 * Renewal of the own device keys while the node runs. From 30 days before a key runs out people are
 * told; a node that has enough root keys renews the keys of its own machine by itself from 14 days
 * before, in the order of writes that no kill breaks (registry/identity-writer.ts).
 */
import type { RenewalView } from '../protocol/api.ts'
import { type Issue, issueOf, ZoariumError } from '../protocol/errors.ts'
import { SCOPES } from '../protocol/scope.ts'
import type { Clock } from '../registry/clock.ts'
import type { DeviceKey } from '../registry/device-key.ts'
import type { KeyOverview, OwnKeys } from '../registry/own-keys.ts'
import { PURPOSES } from '../registry/purpose.ts'
import type { Registry } from '../registry/registry.ts'
import { RENEWAL_MARGIN_MS } from '../registry/renewal.ts'
import type { Log } from './log.ts'

/** The same warning is logged once in so long. */
const WARNING_MS = 24 * 3600 * 1000

export interface KeyRenewalParts {
  readonly registry: Pick<Registry, 'renewals' | 'whyUnsure'>
  readonly keys: Pick<OwnKeys, 'overview' | 'renew'>
  /** Whether the node may renew by itself. */
  readonly isAutomatic: boolean
  readonly clock: Clock
  readonly log: Pick<Log, 'info' | 'warn'>
}

/** What the last look at a key that runs out has found. */
interface Finding {
  /** Whether this node can renew it. */
  readonly isOurs: boolean
  readonly problem: Issue | null
}

export class KeyRenewals {
  readonly #parts: KeyRenewalParts
  readonly #found = new Map<string, Finding>()
  readonly #warned = new Map<string, number>()

  constructor(parts: KeyRenewalParts) {
    this.#parts = parts
  }

  /**
   * Renews what is due and warns of what is not renewed by itself. Call it at the start and every
   * hour.
   */
  check(): void {
    this.#found.clear()
    const due = this.#parts.registry.renewals()
    if (due.length === 0) return
    const overview = this.#overview()
    for (const { key } of due) {
      const device = overview?.devices.find((each) => each.key === key)
      if (overview !== null && device !== undefined) this.#look(device, overview)
    }
    this.#warn()
  }

  /** The keys that run out within 30 days or have run out, the next one first. */
  views(): readonly RenewalView[] {
    return this.#parts.registry.renewals().map(({ key, scope, notAfter }) => {
      const { isOurs = false, problem = null } = this.#found.get(key) ?? {}
      const renews = isOurs ? new Date(notAfter - RENEWAL_MARGIN_MS).toISOString() : null
      return { key, scope, notAfter: new Date(notAfter).toISOString(), renews, problem }
    })
  }

  #overview(): KeyOverview | null {
    try {
      return this.#parts.keys.overview()
    } catch (error) {
      // Files that cannot be read now must not end the daemon.
      if (!(error instanceof ZoariumError)) throw error
      this.#parts.log.warn({ err: error }, 'could not read the own keys')
      return null
    }
  }

  #look(device: DeviceKey, { identity, rootsHere }: KeyOverview): void {
    const { registry, keys, isAutomatic, clock, log } = this.#parts
    const { key, scope, audience, isHere, notAfter } = device
    // A key to erase is for the day on which it is needed.
    const isDaily = scope !== 'erase'
    const isOurs = isAutomatic && isHere && isDaily && rootsHere.length >= identity.threshold
    if (!isOurs || notAfter - clock.now() > RENEWAL_MARGIN_MS) {
      this.#found.set(key, { isOurs, problem: null })
      return
    }
    // A folder that came back from a snapshot may lack operations, and would fork the identity. What
    // only an audience can confirm holds up no other key.
    const unsure = registry.whyUnsure(audience === undefined ? SCOPES : PURPOSES)
    if (unsure !== null) {
      this.#found.set(key, { isOurs, problem: issueOf(unsure) })
      return
    }
    try {
      keys.renew([key])
      log.info({ key, scope }, 'device key renewed')
    } catch (error) {
      if (!(error instanceof ZoariumError)) throw error
      const { code, message, data } = error
      this.#found.set(key, { isOurs, problem: { code, message, ...data } })
    }
  }

  #warn(): void {
    const { clock, log } = this.#parts
    const now = clock.now()
    for (const { key, scope, notAfter, renews, problem } of this.views()) {
      const since = now - (this.#warned.get(key) ?? Number.NEGATIVE_INFINITY)
      if (since >= 0 && since < WARNING_MS) continue
      this.#warned.set(key, now)
      log.warn({ key, scope, notAfter, renews, problem }, 'a device key runs out')
    }
  }
}

/** The own keys as `zoarium keys` changes them, while no daemon runs, and as all show them. */
import type { DeviceKeyView, KeysView } from '../protocol/api.ts'
import type { Draft } from '../protocol/identity-draft.ts'
import type { Operation } from '../protocol/identity-operation.ts'
import type { LogPosition } from '../protocol/record.ts'
import { systemClock } from '../registry/clock.ts'
import { dataFolder } from '../registry/data-folder.ts'
import type { DeviceKey } from '../registry/device-key.ts'
import { type AskSecret, type OpenRegistry, openRegistry } from '../registry/open-registry.ts'
import { type KeyOverview, OwnKeys, type OwnKeysOptions } from '../registry/own-keys.ts'

/**
 * Opens the data folder, does something with the own keys and lets go of it.
 * @param ask for what opens sealed keys
 * @throws ZoariumError LOCKED where a daemon runs, NOT_INITIALISED, KEY_SEALED, STORE, NEWER_STORE,
 * POLICY
 */
export async function withKeys<T>(
  folder: string,
  ask: AskSecret,
  work: (keys: OwnKeys, opened: OpenRegistry) => Promise<T> | T,
  options: OwnKeysOptions = {},
): Promise<T> {
  const opened = await openRegistry(dataFolder(folder), systemClock, ask)
  try {
    return await work(new OwnKeys(opened, systemClock, options), opened)
  } finally {
    await opened.close()
  }
}

export function keysView(overview: KeyOverview): KeysView {
  const { identity, rootsHere, isNextHere, nextHere, isSealed, devices } = overview
  const { publisher, length, tip, threshold, rotations, roots, next } = identity
  return {
    publisher,
    length,
    tip,
    threshold,
    rotations,
    roots: roots.map((key) => ({ key, here: rootsHere.includes(key) })),
    next: { commitment: next, here: isNextHere, held: nextHere },
    sealed: isSealed,
    steward: identity.steward ?? null,
    devices: devices.map(deviceView),
  }
}

export function deviceView(device: DeviceKey): DeviceKeyView {
  const { key, scope, audience = null, state, isHere, revoked, epoch, last, cuts } = device
  const notBefore = new Date(device.notBefore).toISOString()
  const notAfter = new Date(device.notAfter).toISOString()
  const log = { epoch, last, cuts }
  return { key, scope, audience, state, notBefore, notAfter, here: isHere, revoked, ...log }
}

/** An operation that root keys have yet to sign. */
export interface DraftView {
  /** Its number in the chain. */
  readonly number: number
  /** What it says, in words; `operation` is what is signed. */
  readonly text: string
  readonly operation: Operation
  /** Root keys that have signed. */
  readonly signers: readonly string[]
  readonly missing: number
  /** Root keys that may sign. */
  readonly open: readonly string[]
}

export const draftView = ({ operation, signers, missing, open }: Draft): DraftView => ({
  number: operation.n,
  text: textOf(operation),
  operation,
  signers,
  missing,
  open,
})

/** What an operation does. Whoever signs it reads this, so nothing of it is left out. */
function textOf(operation: Operation): string {
  switch (operation.op) {
    case 'delegate':
      return `let key ${operation.key} ${operation.scope} ${lifeText(operation)}`
    case 'confide':
      return `let key ${operation.key} publish for an audience alone ${lifeText(operation)}: ${JSON.stringify(operation.audience)}`
    case 'renew':
      return `let key ${operation.key} sign until ${dayOf(operation.notAfter)}; good so far: ${lastText(operation.last)}`
    case 'revoke':
      return `revoke key ${operation.key} (${operation.reason}); good for ever: ${lastText(operation.last)}`
    case 'epoch':
      return `void what key ${operation.key} signed after: ${lastText(operation.last)}`
    case 'heal':
      return `heal the log of key ${operation.key} after: ${lastText(operation.last)}`
    case 'genesis':
    case 'rotate':
      return `let ${operation.threshold} of these root keys sign: ${operation.keys.join(', ')}; next set: ${operation.next}`
    case 'succeed':
      return operation.steward === null
        ? 'name no steward any more'
        : `name ${operation.steward} the steward of this publisher`
  }
}

const lifeText = ({ notBefore, notAfter }: { notBefore: number; notAfter: number }): string =>
  `from ${dayOf(notBefore)} to ${dayOf(notAfter)}`

const dayOf = (time: number): string => new Date(time).toISOString().slice(0, 10)

const lastText = (last: LogPosition | null): string =>
  last === null ? 'none of its records' : `its records up to ${last.epoch}.${last.seq} ${last.tip}`

/**
 * The root keys of a simulated publisher, on a machine of their own. It remembers every set that it
 * ever made and finds the one in force by the chain, as own-keys.ts does.
 */
import type { Audience } from '../../protocol/audience.ts'
import { toHex } from '../../protocol/bytes.ts'
import { publicKeyOf } from '../../protocol/crypto.ts'
import { type Device, deviceOf } from '../../protocol/device.ts'
import { expectOk, ZoariumError } from '../../protocol/errors.ts'
import {
  commitmentOf,
  extendIdentity,
  type Identity,
  keySetOf,
  type NewOperation,
  signOperation,
} from '../../protocol/identity.ts'
import { MAX_CLOCK_AHEAD_MS, MAX_DELEGATION_MS } from '../../protocol/limits.ts'
import type { LogPosition } from '../../protocol/record.ts'
import type { Scope } from '../../protocol/scope.ts'
import type { NewIdentity } from '../../registry/new-identity.ts'
import { PURPOSES, type Purpose } from '../../registry/purpose.ts'
import type { DeviceSeeds } from '../../registry/signer.ts'
import type { Random } from './random.ts'

/** The keys that a machine has from the first day. */
export type MachineScope = 'publish' | 'serve'

/** What a device key is for. */
export const purposeOf = ({ scope, audience }: Device): Purpose =>
  audience === undefined ? scope : 'private'

interface RootSet {
  readonly seeds: readonly Uint8Array[]
  readonly threshold: number
}

export class Root {
  readonly #random: Random
  readonly #sets: RootSet[]
  /** Every device seed that was ever made, the newest last. */
  readonly #devices: Partial<Record<Purpose, Uint8Array[]>>

  constructor(made: NewIdentity, random: Random) {
    this.#random = random
    this.#sets = [
      { seeds: made.roots, threshold: 1 },
      { seeds: made.nextRoots, threshold: 1 },
    ]
    this.#devices = { publish: [made.seeds.publish], serve: [made.seeds.serve] }
  }

  /** The root keys in force: what a thief would take. */
  inForce(identity: Identity): readonly Uint8Array[] {
    const set = this.#sets.find(({ seeds, threshold }) => {
      const { keys } = keySetOf(seeds, threshold)
      return keys.join() === identity.roots.join() && threshold === identity.threshold
    })
    if (set === undefined) throw new ZoariumError('SCOPE', 'the root keys in force are elsewhere')
    return set.seeds
  }

  /** Whether a device key was made here. */
  made(key: string): boolean {
    const seeds = Object.values(this.#devices).flat()
    return seeds.some((seed) => toHex(publicKeyOf(seed)) === key)
  }

  /** The newest seeds whose keys a chain has delegated and not revoked, or the first ones. */
  seeds(identity: Identity): DeviceSeeds {
    const seeds: Partial<Record<Purpose, Uint8Array>> = {}
    for (const purpose of PURPOSES) {
      const made = this.#devices[purpose] ?? []
      const live = made.findLast((seed) => {
        const device = deviceOf(identity, toHex(publicKeyOf(seed)))
        return device.ok && device.value.revoked === null
      })
      const [first] = made
      if (first !== undefined) seeds[purpose] = live ?? first
    }
    return seeds
  }

  /** Signs operations one after the other. @throws ZoariumError as `signOperation` says */
  sign(identity: Identity, operations: readonly NewOperation[]): readonly Uint8Array[] {
    let now = identity
    return operations.map((operation) => {
      const seeds = this.inForce(now)
      const own = operation.op === 'rotate' ? this.#revealed(now).seeds : []
      const envelope = signOperation(now, operation, [...seeds, ...own])
      now = expectOk(extendIdentity(now, envelope))
      return envelope
    })
  }

  renewal(device: Device, last: LogPosition | null, ts: number): NewOperation {
    const notAfter = Math.min(ts, device.notAfter) + MAX_DELEGATION_MS
    return { op: 'renew', key: device.key, notAfter, last, ts }
  }

  delegation(scope: Scope, ts: number): NewOperation {
    return { op: 'delegate', scope, ...this.#newKey(scope, ts) }
  }

  /** A private log. */
  confiding(audience: Audience, ts: number): NewOperation {
    return { op: 'confide', audience, ...this.#newKey('private', ts) }
  }

  /** A key in the place of another one. */
  successor(device: Device, ts: number): NewOperation {
    const { scope, audience } = device
    return audience === undefined ? this.delegation(scope, ts) : this.confiding(audience, ts)
  }

  #newKey(purpose: Purpose, ts: number) {
    const seed = this.#random.bytes(32)
    this.#devices[purpose] = [...(this.#devices[purpose] ?? []), seed]
    const notBefore = Math.max(0, ts - MAX_CLOCK_AHEAD_MS)
    const notAfter = notBefore + MAX_DELEGATION_MS
    return { key: toHex(publicKeyOf(seed)), notBefore, notAfter, ts }
  }

  /** Reveals the set that was committed to, and commits to a new one of up to 2-of-3. */
  rotation(identity: Identity, ts: number): NewOperation {
    const { seeds, threshold } = this.#revealed(identity)
    const count = this.#random.int(1, 3)
    const after: RootSet = {
      seeds: Array.from({ length: count }, () => this.#random.bytes(32)),
      threshold: Math.min(count, this.#random.int(1, 2)),
    }
    this.#sets.push(after)
    const next = commitmentOf(keySetOf(after.seeds, after.threshold))
    return { op: 'rotate', ...keySetOf(seeds, threshold), next, ts }
  }

  #revealed(identity: Identity): RootSet {
    const set = this.#sets.find(
      ({ seeds, threshold }) => commitmentOf(keySetOf(seeds, threshold)) === identity.next,
    )
    if (set === undefined) throw new ZoariumError('SCOPE', 'the committed root keys are elsewhere')
    return set
  }
}

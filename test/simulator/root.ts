/**
 * The root keys of a simulated publisher, on a machine of their own. It remembers every set that it
 * ever made and finds the one in force by the chain, as own-keys.ts does.
 */
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
import type { NewIdentity } from '../../registry/new-identity.ts'
import type { Random } from './random.ts'

/** The keys that a machine has from the first day. */
export type MachineScope = 'publish' | 'serve'

interface RootSet {
  readonly seeds: readonly Uint8Array[]
  readonly threshold: number
}

export class Root {
  readonly #random: Random
  readonly #sets: RootSet[]
  /** Every device seed that was ever made, the newest last. */
  readonly #devices: Record<MachineScope, Uint8Array[]>

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
    const seeds = [...this.#devices.publish, ...this.#devices.serve]
    return seeds.some((seed) => toHex(publicKeyOf(seed)) === key)
  }

  /** The newest seeds whose keys a chain has delegated and not revoked, or those at hand. */
  seeds(identity: Identity): Readonly<Record<MachineScope, Uint8Array>> {
    const newest = (scope: MachineScope): Uint8Array => {
      const made = this.#devices[scope]
      const live = made.findLast((seed) => {
        const device = deviceOf(identity, toHex(publicKeyOf(seed)))
        return device.ok && device.value.revoked === null
      })
      // SAFE: the first one was made with the identity.
      return live ?? (made[0] as Uint8Array)
    }
    return { publish: newest('publish'), serve: newest('serve') }
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

  delegation(scope: MachineScope, ts: number): NewOperation {
    const seed = this.#random.bytes(32)
    this.#devices[scope].push(seed)
    const notBefore = Math.max(0, ts - MAX_CLOCK_AHEAD_MS)
    const notAfter = notBefore + MAX_DELEGATION_MS
    return { op: 'delegate', key: toHex(publicKeyOf(seed)), scope, notBefore, notAfter, ts }
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

/** A new publisher: root keys, a device key to publish and one to serve. */

import { toHex } from '../protocol/bytes.ts'
import type { Cid } from '../protocol/cid.ts'
import { publicKeyOf, randomBytes } from '../protocol/crypto.ts'
import { expectOk } from '../protocol/errors.ts'
import {
  createGenesis,
  extendIdentity,
  type Identity,
  keySetOf,
  signOperation,
} from '../protocol/identity.ts'
import { MAX_CLOCK_AHEAD_MS, MAX_DELEGATION_MS } from '../protocol/limits.ts'
import type { Scope } from '../protocol/scope.ts'

/** Seeds are 32 bytes each. */
export interface NewIdentity {
  readonly publisher: Cid
  readonly identity: Identity
  readonly operations: readonly Uint8Array[]
  readonly roots: readonly Uint8Array[]
  /** The root keys that the first operation commits to, for the day of a rotation. */
  readonly nextRoots: readonly Uint8Array[]
  readonly seeds: Readonly<Record<Exclude<Scope, 'erase'>, Uint8Array>>
}

/**
 * @param now milliseconds
 * @param randomSeed 32 bytes at each call; tests pass their own
 */
export function createIdentity(now: number, randomSeed = () => randomBytes(32)): NewIdentity {
  const roots = [randomSeed()]
  const nextRoots = [randomSeed()]
  const seeds = { publish: randomSeed(), serve: randomSeed() }
  const next = keySetOf(nextRoots, 1)
  const genesis = createGenesis({ roots, threshold: 1, next, ts: now })
  const operations = [genesis.envelope]
  let { identity } = genesis
  // A clock that is set back a little must not put the first records before the delegation.
  const notBefore = Math.max(0, now - MAX_CLOCK_AHEAD_MS)
  const notAfter = notBefore + MAX_DELEGATION_MS
  for (const scope of ['publish', 'serve'] as const) {
    const key = toHex(publicKeyOf(seeds[scope]))
    const delegation = { op: 'delegate', key, scope, notBefore, notAfter, ts: now } as const
    const operation = signOperation(identity, delegation, roots)
    operations.push(operation)
    identity = expectOk(extendIdentity(identity, operation))
  }
  return { publisher: identity.publisher, identity, operations, roots, nextRoots, seeds }
}

/**
 * Writes operations on the own identity, so that a folder that is killed at any moment has all keys
 * that its identity names:
 *
 *   1. new seeds are written beside those in force (keys/*.json)
 *   2. the operations that name them are written (identity.json); from now on they hold
 *   3. the catalogue takes them in; where that was missed, the next opening does it
 *   4. root keys that were rotated away are forgotten (keys/root.json)
 *
 * Killed before 2, a seed is here that no operation names: the next delegation takes it up, the
 * next rotation forgets it.
 */
import { expectOk } from '../protocol/errors.ts'
import { failpoint } from './failpoint.ts'
import { writeIdentityFile } from './key-files.ts'
import type { OpenRegistry } from './open-registry.ts'

/**
 * Steps 1 to 3.
 * @param signed operations that follow those here, known to be valid
 * @param before makes new seeds durable
 * @throws ZoariumError DISK_FULL, STORE
 */
export function writeOperations(
  { folder, registry }: OpenRegistry,
  signed: readonly Uint8Array[],
  before: () => void,
): void {
  const { publisher } = registry
  const present = registry.identityOps(publisher)
  before()
  failpoint('keys.before-identity')
  writeIdentityFile(folder, { publisher, operations: [...present, ...signed] })
  failpoint('keys.after-identity')
  expectOk(registry.admitIdentity(publisher, signed, present.length))
  failpoint('keys.after-catalogue')
}

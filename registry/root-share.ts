/**
 * Root keys that move to a machine of their own: the n-th key of the set in force and the n-th of
 * the set that was committed to go to a sealed file, and from there to a data folder which may be
 * empty, and then is one that signs for the publisher and runs no node.
 */
import { toHex } from '../protocol/bytes.ts'
import { publicKeyOf } from '../protocol/crypto.ts'
import { assert, expectOk, ZoariumError } from '../protocol/errors.ts'
import { type Identity, readIdentity } from '../protocol/identity.ts'
import { MAX_IDENTITY_OP_BYTES, MAX_IDENTITY_OPS } from '../protocol/limits.ts'
import type { Clock } from './clock.ts'
import { createFolders, type DataFolder, isInitialised } from './data-folder.ts'
import { failpoint } from './failpoint.ts'
import { type RootSet, writeIdentityFile, writeRootSets } from './key-files.ts'
import { readBounded, requireAbsent, takeInChain } from './key-transfer.ts'
import { type AskSecret, type OpenRegistry, openRegistry } from './open-registry.ts'
import { isOf, RootSets } from './root-sets.ts'
import { Seal, type SealCost, type SealSecret } from './seal.ts'
import { type RootShare, readShare, writeShare } from './share-file.ts'
import { lockFolder } from './sqlite-lock.ts'

/** Largest file of root keys, in bytes: the longest chain, encoded twice over, and some keys. */
export const MAX_SHARE_BYTES = 2 * MAX_IDENTITY_OPS * MAX_IDENTITY_OP_BYTES

/**
 * Writes root keys of this machine to a file and, where asked, removes them here once that is
 * durable.
 * @param n which key of each set, from 1
 * @param ask for the secret that seals the file
 * @returns the keys, 64 hex digits each: of the set in force, and of the one that comes next
 * @throws ZoariumError USAGE where the file is there or no set has so many keys, SCOPE where that
 * key is not on this machine, KEY_SEALED, DISK_FULL, STORE
 */
export async function exportShare(
  opened: OpenRegistry,
  n: number,
  file: string,
  ask: () => Promise<SealSecret>,
  options: { readonly isMove: boolean; readonly cost?: SealCost },
): Promise<readonly string[]> {
  const { registry, folder, seal } = opened
  const { publisher } = registry
  requireAbsent(file)
  const identity = registry.identity(publisher)
  assert(identity !== null, 'the own identity is in the catalogue')
  const roots = new RootSets(folder, publisher, seal)
  const sets = [roots.inForce(identity), roots.committed(identity)].flatMap((set) =>
    set === null ? [] : [pick(set, n)],
  )
  const keys = sets.flatMap(({ seeds }) => seeds.map(keyOf))
  if (keys.length === 0) {
    const isNone = n > identity.roots.length
    throw new ZoariumError(
      isNone ? 'USAGE' : 'SCOPE',
      isNone ? 'there are fewer root keys' : 'that root key is not on this machine',
      { field: 'root', limit: identity.roots.length, got: n },
    )
  }
  const share = { publisher, operations: registry.identityOps(publisher), sets }
  writeShare(file, share, new Seal(await ask(), options.cost))
  failpoint('keys.after-share')
  if (options.isMove) roots.remove(new Set(keys))
  return keys
}

/**
 * Takes root keys in from a file; an empty data folder becomes one that signs.
 * @param ask for what opens the file, and the folder's own keys
 * @returns how many keys are new here
 * @throws ZoariumError NOT_FOUND, LIMIT, RECORD_INVALID, KEY_SEALED, IDENTITY_INVALID where they are
 * another publisher's or were rotated away, CONTESTED, LOCKED, NEWER_STORE, DISK_FULL, STORE
 */
export async function importShare(
  folder: DataFolder,
  file: string,
  ask: AskSecret,
  clock: Clock,
): Promise<number> {
  const text = new TextDecoder().decode(readBounded(file, MAX_SHARE_BYTES))
  const { share, seal } = await readShare(file, text, async (by) => new Seal(await ask(by)))
  const theirs = expectOk(readIdentity(share.operations))
  const usable = share.sets.filter((set) => isOf(set, theirs))
  if (usable.every(({ seeds }) => seeds.length === 0)) {
    throw new ZoariumError('IDENTITY_INVALID', 'no root key of that chain is in the file', {
      field: 'sets',
    })
  }
  if (!isInitialised(folder)) {
    found(folder, { ...share, sets: usable }, seal)
    return usable.flatMap(({ seeds }) => seeds).length
  }
  const opened = await openRegistry(folder, clock, ask)
  try {
    return add(opened, theirs, { ...share, sets: usable })
  } finally {
    await opened.close()
  }
}

/** A data folder with root keys and nothing else, sealed as the file was. */
function found(folder: DataFolder, share: RootShare, seal: Seal): void {
  const lock = lockFolder(folder)
  try {
    createFolders(folder)
    writeRootSets(folder, share.publisher, share.sets, seal)
    failpoint('keys.before-identity')
    // Last: from now on the folder counts as a node's.
    writeIdentityFile(folder, share)
  } finally {
    lock.release()
  }
}

function add(
  { registry, folder, seal, ...rest }: OpenRegistry,
  theirs: Identity,
  share: RootShare,
) {
  const { publisher } = registry
  if (share.publisher !== publisher) {
    throw new ZoariumError('IDENTITY_INVALID', 'the keys of another publisher', {
      field: 'publisher',
      limit: publisher,
      got: share.publisher,
    })
  }
  const roots = new RootSets(folder, publisher, seal)
  const before = new Set(roots.seeds().map(keyOf))
  // The keys first: a chain that names them must not be here without them.
  roots.add(share.sets)
  takeInChain({ registry, folder, seal, ...rest }, share.operations, theirs)
  const identity = registry.identity(publisher)
  if (identity !== null && !share.sets.some((set) => isOf(set, identity))) {
    roots.forget(identity)
    throw new ZoariumError('IDENTITY_INVALID', 'these root keys were rotated away', {
      field: 'sets',
    })
  }
  return roots.seeds().filter((seed) => !before.has(keyOf(seed))).length
}

/** Whether a file is one of root keys, as far as its first byte tells. */
export function isShareFile(file: string): boolean {
  const [first] = readBounded(file, MAX_SHARE_BYTES)
  return first === 0x7b
}

const keyOf = (seed: Uint8Array): string => toHex(publicKeyOf(seed))

/** A set with the seed of its n-th key only, where that is here. */
const pick = (set: RootSet, n: number): RootSet => ({
  ...set,
  seeds: set.seeds.filter((seed) => keyOf(seed) === set.keys[n - 1]),
})

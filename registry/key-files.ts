/**
 * Keys and what was signed with them, as files: `keys/*.json`, `identity.json`, `last-signed.json`.
 * Each names its version. Private keys are of version 1, or of version 2 where that is sealed.
 */
import { Buffer } from 'node:buffer'
import path from 'node:path'
import { toHex } from '../protocol/bytes.ts'
import { type Cid, parseCid } from '../protocol/cid.ts'
import { publicKeyOf } from '../protocol/crypto.ts'
import { ZoariumError } from '../protocol/errors.ts'
import { keySetOf, readIdentity } from '../protocol/identity.ts'
import type { KeySet } from '../protocol/identity-operation.ts'
import type { KeyId } from './catalogue.ts'
import type { DataFolder } from './data-folder.ts'
import { prepareFile } from './durable-file.ts'
import type { Ledger, SignedPosition } from './ledger.ts'
import type { NewIdentity } from './new-identity.ts'
import { PURPOSES, type Purpose } from './purpose.ts'
import { type Seal, type SealKind, sealKindOf } from './seal.ts'
import {
  damaged,
  readJson,
  readSecret,
  SEALED_VERSION,
  toJson,
  writeJson,
  writeSecret,
} from './secret-json.ts'

const isHex32 = (value: unknown): value is string =>
  typeof value === 'string' && /^[0-9a-f]{64}$/.test(value)

/** Publisher id and identity operations, as init made them. */
export interface IdentityFile {
  readonly publisher: Cid
  readonly operations: readonly Uint8Array[]
}

/** A set of root keys, with the seeds (32 bytes each) of those that are on this machine. */
export interface RootSet extends KeySet {
  readonly seeds: readonly Uint8Array[]
}

/** The root set of some seeds, all of them here. */
export const rootSetOf = (seeds: readonly Uint8Array[], threshold: number): RootSet => ({
  ...keySetOf(seeds, threshold),
  seeds,
})

/** Writes all keys, and last the file that says that the node is initialised. */
export function writeIdentity(folder: DataFolder, made: NewIdentity): void {
  const { publisher, operations, seeds } = made
  const sets = [rootSetOf(made.roots, 1), rootSetOf(made.nextRoots, 1)]
  writeRootSets(folder, publisher, sets, null)
  for (const scope of ['publish', 'serve'] as const) {
    writeSeed(folder, publisher, scope, seeds[scope], null)
  }
  writeIdentityFile(folder, { publisher, operations })
}

/** @throws ZoariumError DISK_FULL, STORE */
export function writeIdentityFile(folder: DataFolder, file: IdentityFile): void {
  writeJson(folder.identity, textOfIdentity(file))
}

/** @throws ZoariumError DISK_FULL, STORE */
export function writeSeed(
  folder: DataFolder,
  publisher: Cid,
  purpose: Purpose,
  seed: Uint8Array,
  seal: Seal | null,
): void {
  const key = toHex(publicKeyOf(seed))
  writeSecret(keyFile(folder, purpose), { purpose, publisher, key, seed: toHex(seed) }, seal)
}

/**
 * Writes the root key sets that this machine knows. Which one is in force and which one comes next
 * is for the identity to say, so that the file may be ahead of it.
 * @throws ZoariumError DISK_FULL, STORE
 */
export function writeRootSets(
  folder: DataFolder,
  publisher: Cid,
  sets: readonly RootSet[],
  seal: Seal | null,
): void {
  const written = sets.map(textOfSet)
  writeSecret(keyFile(folder, 'root'), { purpose: 'root', publisher, sets: written }, seal)
}

/**
 * The root key sets that this machine knows; none where they are kept elsewhere.
 * @throws ZoariumError KEY_SEALED, STORE
 */
export function readRootSets(folder: DataFolder, seal: Seal | null): readonly RootSet[] {
  const file = keyFile(folder, 'root')
  const value = readSecret(file, seal)
  if (value === null) return []
  const { sets, threshold, seeds, nextSeeds } = value
  // The first form of the file, which named the sets by their turn.
  if (sets === undefined) {
    return [seeds, nextSeeds].map((each) =>
      rootSetOf(readSeeds(file, each), Number.isSafeInteger(threshold) ? Number(threshold) : 1),
    )
  }
  if (!Array.isArray(sets)) throw damaged(file)
  return sets.map((set) => readRootSet(file, set))
}

/** @throws ZoariumError STORE */
export function readRootSet(file: string, value: unknown): RootSet {
  const { threshold, keys, seeds } = (value ?? {}) as Record<string, unknown>
  const known = readSeeds(file, seeds)
  if (!Array.isArray(keys) || !keys.every(isHex32) || !Number.isSafeInteger(threshold)) {
    throw damaged(file)
  }
  // Seeds may be moved to other machines, never changed.
  if (known.some((seed) => !keys.includes(toHex(publicKeyOf(seed))))) throw damaged(file)
  return { threshold: Number(threshold), keys, seeds: known }
}

function readSeeds(file: string, value: unknown): readonly Uint8Array[] {
  if (!Array.isArray(value) || !value.every(isHex32)) throw damaged(file)
  return value.map((seed) => new Uint8Array(Buffer.from(seed, 'hex')))
}

/** @throws ZoariumError NOT_INITIALISED, STORE */
export function readIdentityFile(folder: DataFolder): IdentityFile {
  const value = readJson(folder.identity)
  if (value === null) {
    throw new ZoariumError('NOT_INITIALISED', `no node in ${folder.path} yet`, {
      hint: 'run: zoarium init --name "YOUR INSTITUTE"',
    })
  }
  return readIdentityFields(folder.identity, value)
}

/** @throws ZoariumError STORE where it is not the chain of that publisher */
export function readIdentityFields(file: string, value: Record<string, unknown>): IdentityFile {
  const publisher = parseCid(String(value.publisher))
  const encoded = Array.isArray(value.operations) ? value.operations : []
  const operations = encoded.map((each) => new Uint8Array(Buffer.from(String(each), 'base64')))
  const identity = readIdentity(operations)
  if (!publisher.ok || !identity.ok || identity.value.publisher !== publisher.value) {
    throw damaged(file)
  }
  return { publisher: publisher.value, operations }
}

/**
 * The seed of a device key, or null where it is not on this machine.
 * @throws ZoariumError KEY_SEALED, STORE
 */
export function readSeed(
  folder: DataFolder,
  purpose: Purpose,
  seal: Seal | null,
): Uint8Array | null {
  const file = keyFile(folder, purpose)
  const value = readSecret(file, seal)
  if (value === null) return null
  const { seed, key } = value
  if (!isHex32(seed)) throw damaged(file)
  const bytes = new Uint8Array(Buffer.from(seed, 'hex'))
  if (toHex(publicKeyOf(bytes)) !== key) throw damaged(file)
  return bytes
}

/** The ledger of the signer on disk; `init` writes an empty one. */
export function fileLedger(file: string): Ledger {
  return {
    read() {
      const value = readJson(file)
      if (value === null) return null
      const { logs, shared, unsettled } = value
      if (typeof logs !== 'object' || logs === null) throw damaged(file)
      const positions = new Map(
        Object.entries(logs).map(([key, each]) => [key, readPosition(file, each)] as const),
      )
      return { positions, shared: readKeys(file, shared), unsettled: readKeys(file, unsettled) }
    },
    prepare: ({ positions, shared, unsettled }) =>
      prepareFile(
        file,
        toJson({
          logs: Object.fromEntries(positions),
          shared: [...shared],
          unsettled: [...unsettled],
        }),
      ),
  }
}

function readKeys(file: string, value: unknown): ReadonlySet<KeyId> {
  if (!Array.isArray(value) || !value.every(isHex32)) throw damaged(file)
  return new Set(value)
}

function readPosition(file: string, value: unknown): SignedPosition {
  const { epoch, seq, id } = (value ?? {}) as Record<string, unknown>
  const cid = parseCid(String(id))
  if (!Number.isSafeInteger(epoch) || !Number.isSafeInteger(seq) || !cid.ok) throw damaged(file)
  return { epoch: Number(epoch), seq: Number(seq), id: cid.value }
}

const FILES = ['root', ...PURPOSES] as const

const keyFile = (folder: DataFolder, purpose: (typeof FILES)[number]): string =>
  path.join(folder.keys, `${purpose}.json`)

/**
 * How many files of private keys are here, how many of them are sealed, and under what.
 * @throws ZoariumError STORE
 */
export function countSealed(folder: DataFolder): {
  readonly all: number
  readonly sealed: number
  readonly by: SealKind | null
} {
  const files = FILES.map((each) => readJson(keyFile(folder, each), SEALED_VERSION))
  const present = files.filter((value) => value !== null)
  const sealed = present.filter(({ version }) => version === SEALED_VERSION)
  const kinds = sealed.map((value) => sealKindOf(value) ?? 'passphrase')
  const [by = null] = kinds
  return { all: present.length, sealed: sealed.length, by }
}

/**
 * Seals all private keys anew, or leaves them open with null. Killed half-way, some files are
 * sealed and some are not, which reads as well.
 * @throws ZoariumError KEY_SEALED, DISK_FULL, STORE
 */
export function resealKeys(folder: DataFolder, before: Seal | null, after: Seal | null): void {
  for (const purpose of FILES) {
    const file = keyFile(folder, purpose)
    const value = readSecret(file, before)
    if (value !== null) writeSecret(file, value, after)
  }
}

/** As it stands in a file. */
export const textOfSet = ({ threshold, keys, seeds }: RootSet) => ({
  threshold,
  keys,
  seeds: seeds.map((seed) => toHex(seed)),
})

/** As it stands in a file. */
export const textOfIdentity = ({ publisher, operations }: IdentityFile) => ({
  publisher,
  operations: operations.map((each) => Buffer.from(each).toString('base64')),
})

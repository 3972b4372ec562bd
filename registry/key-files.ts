/**
 * Keys and what was signed with them, as files: `keys/*.json`, `identity.json`, `last-signed.json`.
 * Each names its version, so that sealed keys can follow.
 */
import { Buffer } from 'node:buffer'
import path from 'node:path'
import { toHex } from '../protocol/bytes.ts'
import { type Cid, parseCid } from '../protocol/cid.ts'
import { publicKeyOf } from '../protocol/crypto.ts'
import type { Scope } from '../protocol/device.ts'
import { ZoariumError } from '../protocol/errors.ts'
import { keySetOf, readIdentity } from '../protocol/identity.ts'
import type { KeySet } from '../protocol/identity-operation.ts'
import type { DataFolder } from './data-folder.ts'
import { prepareFile, readText, writeDurably } from './durable-file.ts'
import type { NewIdentity } from './new-identity.ts'
import type { Ledger, SignedPosition } from './signer.ts'

const VERSION = 1
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
  writeRootSets(folder, publisher, [rootSetOf(made.roots, 1), rootSetOf(made.nextRoots, 1)])
  for (const scope of ['publish', 'serve'] as const) {
    writeSeed(folder, publisher, scope, seeds[scope])
  }
  writeIdentityFile(folder, { publisher, operations })
}

/** @throws ZoariumError DISK_FULL, STORE */
export function writeIdentityFile(folder: DataFolder, file: IdentityFile): void {
  const operations = file.operations.map((each) => Buffer.from(each).toString('base64'))
  writeJson(folder.identity, { publisher: file.publisher, operations })
}

/** @throws ZoariumError DISK_FULL, STORE */
export function writeSeed(
  folder: DataFolder,
  publisher: Cid,
  purpose: Scope,
  seed: Uint8Array,
): void {
  const key = toHex(publicKeyOf(seed))
  writeJson(keyFile(folder, purpose), { purpose, publisher, key, seed: toHex(seed) })
}

/**
 * Writes the root key sets that this machine knows. Which one is in force and which one comes next
 * is for the identity to say, so that the file may be ahead of it.
 * @throws ZoariumError DISK_FULL, STORE
 */
export function writeRootSets(folder: DataFolder, publisher: Cid, sets: readonly RootSet[]): void {
  const written = sets.map(({ threshold, keys, seeds }) => ({
    threshold,
    keys,
    seeds: seeds.map((seed) => toHex(seed)),
  }))
  writeJson(rootFile(folder), { purpose: 'root', publisher, sets: written })
}

/** The root key sets that this machine knows; none where they are kept elsewhere. @throws STORE */
export function readRootSets(folder: DataFolder): readonly RootSet[] {
  const file = rootFile(folder)
  const value = readJson(file)
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

function readRootSet(file: string, value: unknown): RootSet {
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
  const publisher = parseCid(String(value.publisher))
  const encoded = Array.isArray(value.operations) ? value.operations : []
  const operations = encoded.map((each) => new Uint8Array(Buffer.from(String(each), 'base64')))
  const identity = readIdentity(operations)
  if (!publisher.ok || !identity.ok || identity.value.publisher !== publisher.value) {
    throw damaged(folder.identity)
  }
  return { publisher: publisher.value, operations }
}

/** The seed of a device key, or null where it is not on this machine. @throws ZoariumError STORE */
export function readSeed(folder: DataFolder, scope: Scope): Uint8Array | null {
  const file = keyFile(folder, scope)
  const value = readJson(file)
  if (value === null) return null
  const { seed, key } = value
  if (!isHex32(seed)) throw damaged(file)
  const bytes = new Uint8Array(Buffer.from(seed, 'hex'))
  if (toHex(publicKeyOf(bytes)) !== key) throw damaged(file)
  return bytes
}

/** The ledger of the signer on disk. */
export function fileLedger(file: string): Ledger {
  return {
    read() {
      const logs = readJson(file)?.logs ?? {}
      if (typeof logs !== 'object' || logs === null) throw damaged(file)
      return new Map(Object.entries(logs).map(([key, value]) => [key, readPosition(file, value)]))
    },
    prepare: (positions) => prepareFile(file, toJson({ logs: Object.fromEntries(positions) })),
  }
}

function readPosition(file: string, value: unknown): SignedPosition {
  const { epoch, seq, id } = (value ?? {}) as Record<string, unknown>
  const cid = parseCid(String(id))
  if (!Number.isSafeInteger(epoch) || !Number.isSafeInteger(seq) || !cid.ok) throw damaged(file)
  return { epoch: Number(epoch), seq: Number(seq), id: cid.value }
}

const rootFile = (folder: DataFolder): string => path.join(folder.keys, 'root.json')

const keyFile = (folder: DataFolder, scope: Scope): string =>
  path.join(folder.keys, `${scope}.json`)

const toJson = (value: object): string =>
  `${JSON.stringify({ version: VERSION, ...value }, null, 2)}\n`

const writeJson = (file: string, value: object): void => writeDurably(file, toJson(value))

function readJson(file: string): Record<string, unknown> | null {
  const text = readText(file)
  if (text === null) return null
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw damaged(file)
  }
  if (typeof value !== 'object' || value === null) throw damaged(file)
  // SAFE: a JSON object.
  const { version } = value as Record<string, unknown>
  if (version === VERSION) return value as Record<string, unknown>
  throw new ZoariumError('NEWER_STORE', `${path.basename(file)} is of a version not known here`, {
    got: String(version),
    limit: VERSION,
  })
}

const damaged = (file: string): ZoariumError =>
  new ZoariumError('STORE', `${path.basename(file)} is damaged`, {
    field: file,
    hint: 'restore it from a backup',
  })

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
import { readIdentity } from '../protocol/identity.ts'
import type { DataFolder } from './data-folder.ts'
import { prepareFile, readText, writeDurably } from './durable-file.ts'
import type { NewIdentity } from './new-identity.ts'
import type { Ledger, SignedPosition } from './signer.ts'

const VERSION = 1
const HEX_32 = /^[0-9a-f]{64}$/

/** Publisher id and identity operations, as init made them. */
export interface IdentityFile {
  readonly publisher: Cid
  readonly operations: readonly Uint8Array[]
}

/** Writes all keys, and last the file that says that the node is initialised. */
export function writeIdentity(folder: DataFolder, made: NewIdentity): void {
  const { publisher, operations, seeds } = made
  const hex = (bytes: Uint8Array): string => toHex(bytes)
  writeJson(path.join(folder.keys, 'root.json'), {
    purpose: 'root',
    publisher,
    threshold: 1,
    seeds: made.roots.map(hex),
    nextSeeds: made.nextRoots.map(hex),
  })
  for (const purpose of ['publish', 'serve'] as const) {
    const key = toHex(publicKeyOf(seeds[purpose]))
    writeJson(keyFile(folder, purpose), { purpose, publisher, key, seed: hex(seeds[purpose]) })
  }
  writeJson(folder.identity, {
    publisher,
    operations: operations.map((each) => Buffer.from(each).toString('base64')),
  })
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
  if (typeof seed !== 'string' || !HEX_32.test(seed)) throw damaged(file)
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

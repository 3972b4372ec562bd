/**
 * The own identity as a file that goes from machine to machine, so that the root keys can live on
 * one without a network: it takes the chain in, signs, and gives it back. The file has the chain
 * and the newest heads of the logs, which say where a cut may be; all of it is public.
 */
import { Buffer } from 'node:buffer'
import fs from 'node:fs'
import { accept, expectOk, refuse, type Verdict, ZoariumError } from '../protocol/errors.ts'
import { readHead } from '../protocol/head.ts'
import { type Identity, readIdentity } from '../protocol/identity.ts'
import { isSameOperation } from '../protocol/identity-operation.ts'
import { MAX_IDENTITY_OP_BYTES, MAX_IDENTITY_OPS } from '../protocol/limits.ts'
import { comparePositions } from '../protocol/record.ts'
import { storeError, writeDurably } from './durable-file.ts'
import { writeIdentityFile } from './key-files.ts'
import type { OpenRegistry } from './open-registry.ts'

const VERSION = 1
/** Largest file, in bytes: the longest chain as base64, and as much again for heads. */
export const MAX_TRANSFER_BYTES = 3 * MAX_IDENTITY_OPS * MAX_IDENTITY_OP_BYTES

interface Transfer {
  readonly operations: readonly Uint8Array[]
  readonly heads: readonly Uint8Array[]
}

/** Writes the identity to a file. @throws ZoariumError DISK_FULL, STORE */
export function exportIdentity({ registry }: OpenRegistry, file: string): void {
  const { publisher, catalogue } = registry
  // Own ones that are missing or old are signed now.
  registry.heads()
  const heads = catalogue.heads(publisher).filter(({ key, envelope }) => {
    const log = catalogue.log(publisher, key)
    // One behind the log would have it cut too early.
    return log === null || comparePositions(expectOk(readHead(envelope)).head, log) >= 0
  })
  const value = {
    version: VERSION,
    publisher,
    operations: registry.identityOps(publisher).map(base64),
    heads: heads.map(({ envelope }) => base64(envelope)),
  }
  writeDurably(file, `${JSON.stringify(value, null, 2)}\n`)
}

/**
 * Takes in the own identity from a file.
 * @returns how many operations are new here
 * @throws ZoariumError IDENTITY_INVALID where it is another publisher's, CONTESTED where both
 * machines have signed on their own, RECORD_INVALID, UNKNOWN_VERSION, LIMIT, NOT_FOUND, STORE, and
 * what is wrong with operations and heads; nothing of a wrong chain is taken in
 */
export function importIdentity({ registry, folder }: OpenRegistry, file: string): number {
  const { publisher } = registry
  const { operations, heads } = expectOk(readTransfer(readBounded(file)))
  const theirs = expectOk(readIdentity(operations))
  const ours = registry.identity(publisher)
  if (theirs.publisher !== publisher) {
    throw new ZoariumError('IDENTITY_INVALID', 'the keys of another publisher', {
      limit: publisher,
      got: theirs.publisher,
    })
  }
  const before = registry.identityOps(publisher)
  const isFork = operations.some((operation, index) => {
    const known = before[index]
    return known !== undefined && !isSameOperation(known, operation)
  })
  if (isFork && !mayWin(theirs, ours)) {
    // Taken in, it would freeze the publisher on all nodes.
    throw new ZoariumError('CONTESTED', 'operations were signed here and there on their own', {
      hint: 'sign on one machine at a time: import, sign, export',
    })
  }
  expectOk(registry.admitIdentity(publisher, operations, 0))
  writeIdentityFile(folder, { publisher, operations: registry.identityOps(publisher) })
  for (const head of heads) takeHead(registry.admitHead(head))
  return Math.max(0, registry.identityOps(publisher).length - before.length)
}

/** A rotation ends a fork, as it does on other nodes. */
const mayWin = (theirs: Identity, ours: Identity | null): boolean =>
  theirs.rotations > (ours?.rotations ?? 0)

/** A head of a log that has been cut since is passed over. */
function takeHead(verdict: Verdict<unknown>): void {
  if (!verdict.ok && verdict.code !== 'KEY_REVOKED' && verdict.code !== 'SEQ') expectOk(verdict)
}

function readBounded(file: string): string {
  try {
    const { size } = fs.statSync(file)
    if (size <= MAX_TRANSFER_BYTES) return fs.readFileSync(file, 'utf8')
    const detail = { limit: MAX_TRANSFER_BYTES, got: size }
    throw new ZoariumError('LIMIT', 'too large a file of keys', detail)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
      throw new ZoariumError('NOT_FOUND', 'no such file', { got: file }, error)
    }
    throw storeError(`read ${file}`, error)
  }
}

function readTransfer(text: string): Verdict<Transfer> {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return refuse('RECORD_INVALID', 'not a file that keys export has written')
  }
  const { version, operations, heads } = (value ?? {}) as Record<string, unknown>
  if (typeof version === 'number' && version !== VERSION) {
    return refuse('UNKNOWN_VERSION', 'a file of keys of another version', {
      limit: VERSION,
      got: version,
    })
  }
  const [ops, signed] = [bytesOf(operations), bytesOf(heads)]
  return version === VERSION && ops !== null && signed !== null
    ? accept({ operations: ops, heads: signed })
    : refuse('RECORD_INVALID', 'not a file that keys export has written')
}

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')

const bytesOf = (value: unknown): readonly Uint8Array[] | null =>
  Array.isArray(value) && value.every((each) => typeof each === 'string')
    ? value.map((each) => new Uint8Array(Buffer.from(each, 'base64')))
    : null

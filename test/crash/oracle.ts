/**
 * Looks at a data folder whose process was killed, from outside, and says what is wrong. It works
 * on a copy, so that the next process finds the folder as the kill has left it.
 */
import fs from 'node:fs'
import path from 'node:path'
import { toHex } from '../../protocol/bytes.ts'
import type { Cid } from '../../protocol/cid.ts'
import { publicKeyOf } from '../../protocol/crypto.ts'
import { expectOk } from '../../protocol/errors.ts'
import { headOf } from '../../protocol/head.ts'
import { readRecord } from '../../protocol/record.ts'
import { systemClock } from '../../registry/clock.ts'
import { type DataFolder, dataFolder } from '../../registry/data-folder.ts'
import { checkFolder } from '../../registry/fsck.ts'
import { fileLedger, readSeed } from '../../registry/key-files.ts'
import { findLeftovers } from '../../registry/leftovers.ts'
import { openRegistry } from '../../registry/open-registry.ts'
import type { Registry } from '../../registry/registry.ts'
import { toBase64 } from './command.ts'
import type { Journal } from './journal.ts'

/** The widest first. */
const RIGHTS = ['run', 'mirror', 'list'] as const

/** @param look a path for the copy, on the same file system */
export async function faultsOf(
  folder: DataFolder,
  look: string,
  journal: Journal,
): Promise<string[]> {
  linkFolder(folder, look)
  try {
    const copy = dataFolder(look)
    const { faults } = await checkFolder(copy, { deep: true, repair: false })
    const found = faults.map(({ code, field, message }) => `fsck: ${code} ${field} ${message}`)
    const { registry, close } = await openRegistry(copy, systemClock)
    try {
      found.push(
        ...recordFaults(registry, journal),
        ...logFaults(registry, copy, journal),
        ...fileFaults(registry, journal),
        ...keyFaults(registry, copy, journal),
        ...headFaults(registry, journal),
        ...leftoverFaults(copy),
      )
      const { stranger } = journal.world
      const right = RIGHTS.find((each) => registry.trust.may(stranger, each)) ?? null
      if (!journal.rights.has(right)) found.push(`the rule for a stranger is ${right}`)
    } finally {
      await close()
    }
    return found
  } finally {
    fs.rmSync(look, { recursive: true, force: true })
  }
}

/** Files of blobs never change in place, so that links do; all else is copied. */
function linkFolder(folder: DataFolder, target: string): void {
  fs.rmSync(target, { recursive: true, force: true })
  const copy = (from: string, to: string, isBlob: boolean): void => {
    fs.mkdirSync(to, { recursive: true })
    for (const entry of fs.readdirSync(from, { withFileTypes: true })) {
      const [source, place] = [path.join(from, entry.name), path.join(to, entry.name)]
      if (entry.isDirectory()) copy(source, place, isBlob || source === folder.blobs)
      else if (isBlob) fs.linkSync(source, place)
      else fs.copyFileSync(source, place)
    }
  }
  copy(folder.path, target, false)
}

function recordFaults(registry: Registry, { records }: Journal): string[] {
  return [...records]
    .filter((id) => registry.catalogue.record(id) === null)
    .map((id) => `acknowledged or sent, and lost: record ${id}`)
}

/** Each record of an own log follows the one before, and no position ever showed two of them. */
function logFaults(registry: Registry, folder: DataFolder, journal: Journal): string[] {
  const found: string[] = []
  const { catalogue, publisher } = registry
  const ledger = fileLedger(folder.lastSigned).read()
  for (const { key, proof } of catalogue.logs(publisher)) {
    if (proof !== null) found.push(`an own log has forked: ${key}`)
    let before: Cid | null = null
    for (const { envelope } of catalogue.recordsAfter(publisher, key, null, 100_000)) {
      const { id, record } = expectOk(readRecord(envelope))
      if (record.prev !== before) found.push(`a gap in ${key} at ${record.seq}`)
      journal.see(toBase64(envelope))
      before = id
    }
    const signed = ledger?.positions.get(key)?.id
    const isHere = registry.signer.keys().has(key)
    if (isHere && signed !== before) found.push(`the ledger names ${signed} and not ${before}`)
  }
  found.push(...journal.faults.splice(0))
  return found
}

function fileFaults(registry: Registry, journal: Journal): string[] {
  const found: string[] = []
  const { blobs, catalogue } = registry
  for (const [cid, why] of journal.files) {
    if (blobs.stat(cid) === null) found.push(`acknowledged and lost: file ${cid} (${why})`)
  }
  for (const [cid, why] of journal.gone) {
    if (blobs.stat(cid) !== null) found.push(`${why} and still here: file ${cid}`)
  }
  for (const { cid } of blobs.list()) {
    if (registry.isShared(cid, null) && registry.tree(cid) === null) {
      found.push(`given to peers without its tree: ${cid}`)
    }
  }
  for (const record of journal.erased) {
    const named = catalogue.model(record)?.files ?? []
    for (const { cid } of named) {
      const others = catalogue.recordsWithFile(cid).filter((each) => each !== record)
      const isShared = registry.isShared(cid, null) && others.length === 0
      if (isShared) found.push(`erased and given to peers: ${cid}`)
    }
    if (registry.resolve(record).ok) found.push(`erased and still found: ${record}`)
  }
  return found
}

/** Operations that were acknowledged, and the seeds of all keys that the identity lets sign here. */
function keyFaults(registry: Registry, folder: DataFolder, { operations }: Journal): string[] {
  const found: string[] = []
  const { length, devices } = registry.identity(registry.publisher) ?? { length: 0, devices: [] }
  if (length < operations)
    found.push(`${operations} operations of the identity, and ${length} here`)
  const live = devices
    .filter(({ revoked }) => revoked === null)
    .map(({ key, scope }) => ({ key, scope }))
  for (const { key, scope } of live) {
    const seed = readSeed(folder, scope, null)
    if (seed === null || toHex(publicKeyOf(seed)) !== key)
      found.push(`no seed of the key to ${scope}`)
  }
  return found
}

function headFaults(registry: Registry, { heads }: Journal): string[] {
  const found: string[] = []
  for (const [log, seq] of heads) {
    const [publisher = '', key = ''] = log.split(' ')
    const row = registry.catalogue.heads(publisher as Cid).find((each) => each.key === key)
    const here = row === undefined ? -1 : headOf(row.envelope).seq
    if (here < seq) found.push(`the head of ${log} fell from ${seq} to ${here}`)
  }
  return found
}

/** Nothing of a write that did not end outlives the next start. */
function leftoverFaults(folder: DataFolder): string[] {
  return findLeftovers(folder)
    .filter(({ kind }) => kind !== 'download')
    .map(({ path: at, kind }) => `left behind: ${kind} ${at}`)
}

/** A registry in a data folder: made by `init`, opened by the daemon, always under the lock. */

import fs from 'node:fs'
import type { Cid } from '../protocol/cid.ts'
import { ZoariumError } from '../protocol/errors.ts'
import type { ProfileBody } from '../protocol/record.ts'
import { slugOf } from '../protocol/reference.ts'
import { CardReader } from './card-reader.ts'
import type { Clock } from './clock.ts'
import {
  createFolders,
  type DataFolder,
  isInitialised,
  readPeerKey,
  readToken,
  requireInitialised,
} from './data-folder.ts'
import { diskOf } from './disk-space.ts'
import { readText, writeDurably } from './durable-file.ts'
import { FileBlobs } from './file-blobs.ts'
import { countSealed, fileLedger, readIdentityFile, readSeed, writeIdentity } from './key-files.ts'
import { EMPTY_LEDGER } from './ledger.ts'
import { fileJournal, MaxSeen } from './max-seen.ts'
import { createIdentity, type NewIdentity } from './new-identity.ts'
import { PURPOSES } from './purpose.ts'
import type { QuotaLimits } from './quotas.ts'
import { Registry } from './registry.ts'
import { fileReserve } from './reserve.ts'
import { Seal, type SealKind, type SealSecret } from './seal.ts'
import { Signer } from './signer.ts'
import { SqliteCatalogue } from './sqlite-catalogue.ts'
import { lockFolder } from './sqlite-lock.ts'
import { TrustBook, type TrustFile } from './trust-file.ts'

export interface OpenRegistry {
  readonly folder: DataFolder
  readonly registry: Registry
  /** Seed of the transport key, 32 bytes. */
  readonly peerKey: Uint8Array
  /** The token of the owner, 64 hex digits. */
  readonly token: string
  /** That of the private keys on disk; null where they are open. */
  readonly seal: Seal | null
  /** Closes everything and lets go of the folder. */
  close(): Promise<void>
}

/** What a new publisher says of itself. The label is the slug of the name, unless given. */
export type NewPublisher = Pick<ProfileBody, 'displayName'> &
  Partial<Omit<ProfileBody, 'displayName' | 'replaces'>>

/**
 * Makes a publisher, its keys and its data folder. An interrupted one is begun anew.
 * @throws ZoariumError USAGE where a node is here already, LOCKED, NAME, STORE, DISK_FULL
 */
export async function initialise(
  folder: DataFolder,
  profile: NewPublisher,
  clock: Clock,
): Promise<{ readonly publisher: Cid; readonly label: string }> {
  const lock = lockFolder(folder)
  try {
    if (isInitialised(folder)) {
      throw new ZoariumError('USAGE', `a node is in ${folder.path} already`, {
        got: readIdentityFile(folder).publisher,
        hint: 'set ZOARIUM_DIR to make another one in a folder of its own',
      })
    }
    createFolders(folder)
    for (const file of [folder.catalogue, `${folder.catalogue}-wal`]) {
      fs.rmSync(file, { force: true })
    }
    const made = createIdentity(clock.now())
    const label = await signProfile(folder, made, profile, clock)
    readPeerKey(folder)
    readToken(folder)
    // Last: from now on the folder counts as a node's.
    writeIdentity(folder, made)
    return { publisher: made.publisher, label }
  } finally {
    lock.release()
  }
}

/** The first record of the new publisher. @returns its label */
async function signProfile(
  folder: DataFolder,
  made: NewIdentity,
  profile: NewPublisher,
  clock: Clock,
): Promise<string> {
  const { publisher, operations, seeds } = made
  const { displayName, handle = null, url = null, ror = null } = profile
  // A name in letters that no label may hold still needs one.
  const label = profile.label ?? (slugOf(displayName) || `lab-${publisher.slice(-8)}`)
  const ledger = fileLedger(folder.lastSigned)
  ledger.prepare(EMPTY_LEDGER).commit()
  const signer = new Signer({ publisher, seeds, ledger })
  const registry = await openParts(folder, signer, operations, clock)
  try {
    registry.publishProfile({ label, displayName, handle, url, ror })
  } finally {
    await registry.close()
  }
  return label
}

/** Asks for what opens sealed keys. */
export type AskSecret = (by: SealKind) => Promise<SealSecret>

/**
 * Opens the registry of a data folder for this process alone.
 * @param ask called once where the private keys are sealed
 * @throws ZoariumError LOCKED, NOT_INITIALISED, NEWER_STORE, KEY_SEALED, POLICY, STORE, DISK_FULL
 */
export async function openRegistry(
  folder: DataFolder,
  clock: Clock,
  ask: AskSecret | null = null,
  quotas: Partial<QuotaLimits> = {},
): Promise<OpenRegistry> {
  requireInitialised(folder)
  // Also the lock takes some room.
  fileReserve(folder.reserve, diskOf(folder.path)).releaseIfNeeded()
  const lock = lockFolder(folder)
  try {
    createFolders(folder)
    const { publisher, operations } = readIdentityFile(folder)
    const { by } = countSealed(folder)
    const seal = by !== null && ask !== null ? new Seal(await ask(by)) : null
    const seeds = Object.fromEntries(PURPOSES.map((each) => [each, readSeed(folder, each, seal)]))
    const signer = new Signer({ publisher, seeds, ledger: fileLedger(folder.lastSigned) })
    const registry = await openParts(folder, signer, operations, clock, quotas)
    return {
      folder,
      registry,
      peerKey: readPeerKey(folder),
      token: readToken(folder),
      seal,
      async close() {
        await registry.close()
        lock.release()
      },
    }
  } catch (error) {
    lock.release()
    throw error
  }
}

async function openParts(
  folder: DataFolder,
  signer: Signer,
  operations: readonly Uint8Array[],
  clock: Clock,
  quotas: Partial<QuotaLimits> = {},
): Promise<Registry> {
  // All before the catalogue, which would have to be closed again.
  const trust = new TrustBook(fileTrust(folder.trust), signer.publisher)
  const blobs = new FileBlobs(folder)
  const maxSeen = new MaxSeen(fileJournal(folder.maxSeen))
  const catalogue = new SqliteCatalogue(folder.catalogue)
  try {
    const disk = diskOf(folder.path)
    const reserve = fileReserve(folder.reserve, disk)
    const cards = new CardReader()
    const parts = { catalogue, blobs, trust, signer, clock, maxSeen, disk, reserve, quotas, cards }
    const registry = await Registry.open(parts)
    // A catalogue that was lost begins anew with what the folder knows, and one that was left
    // behind by a kill while the keys changed catches up. The folder may also be behind, as of
    // operations that another machine signed; a fork is kept and shown like that of any publisher.
    registry.admitIdentity(signer.publisher, operations, 0)
    return registry
  } catch (error) {
    catalogue.close()
    throw error
  }
}

const fileTrust = (file: string): TrustFile => ({
  read: () => readText(file),
  write: (text) => writeDurably(file, text),
})

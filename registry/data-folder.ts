/**
 * The data folder: everything that a node keeps, under one path, for its owner's eyes only.
 *
 *     $ZOARIUM_DIR/            0700
 *     ├── config.yaml          settings of the operator
 *     ├── trust.yaml           which publisher may what here (trust.ts)
 *     ├── token                the token for publishing and administration, 0600
 *     ├── identity.json        publisher id and identity operations; written last by init
 *     ├── keys/                root.json publish.json serve.json (erase.json), 0600; see seal.ts
 *     ├── peer.key             seed of the transport key (PeerId), hex, 0600
 *     ├── last-signed.json     newest position signed in each own log (signer.ts)
 *     ├── max-seen             newest position that was stated of each log (max-seen.ts)
 *     ├── catalogue.sqlite     records, identities, cards, index (+ -wal, -shm)
 *     ├── hints.sqlite         what peers told of peers; may be deleted (sqlite-hints.ts)
 *     ├── blobs/xy/<cid>       files' bytes; xy: the cid's third and second last characters
 *     ├── partial/<cid>        downloads under way
 *     ├── quarantine/          blobs whose bytes changed on disk; for inspection
 *     ├── reserve              room for withdrawals on a full disk (reserve.ts)
 *     ├── spool/               uploads and models being run; emptied at start
 *     ├── lock                 held while a process uses the folder (sqlite-lock.ts)
 *     └── pid                  of that process; for messages only
 */
import { Buffer } from 'node:buffer'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { randomBytes } from '../protocol/crypto.ts'
import { ZoariumError } from '../protocol/errors.ts'
import { isUnfinished, readText, storeError, writeDurably } from './durable-file.ts'

/** Absolute paths inside a data folder. */
export interface DataFolder {
  readonly path: string
  readonly config: string
  readonly trust: string
  readonly token: string
  readonly identity: string
  readonly keys: string
  readonly peerKey: string
  readonly lastSigned: string
  readonly maxSeen: string
  readonly catalogue: string
  readonly hints: string
  readonly blobs: string
  readonly partial: string
  readonly quarantine: string
  readonly reserve: string
  readonly spool: string
  readonly lock: string
  readonly pid: string
}

/** Where the data folder is, unless told otherwise. */
export function defaultDataPath(env: NodeJS.ProcessEnv): string {
  return env.ZOARIUM_DIR || path.join(os.homedir(), '.local', 'share', 'zoarium')
}

/** The names; touches no disk. */
export function dataFolder(folder: string): DataFolder {
  const root = path.resolve(folder)
  const at = (name: string): string => path.join(root, name)
  return {
    path: root,
    config: at('config.yaml'),
    trust: at('trust.yaml'),
    token: at('token'),
    identity: at('identity.json'),
    keys: at('keys'),
    peerKey: at('peer.key'),
    lastSigned: at('last-signed.json'),
    maxSeen: at('max-seen'),
    catalogue: at('catalogue.sqlite'),
    hints: at('hints.sqlite'),
    blobs: at('blobs'),
    partial: at('partial'),
    quarantine: at('quarantine'),
    reserve: at('reserve'),
    spool: at('spool'),
    lock: at('lock'),
    pid: at('pid'),
  }
}

/**
 * Makes the folders that are missing, all 0700, empties the spool, and deletes what a crash left of
 * files that were being written: among them may be keys. Run under the lock.
 * @throws ZoariumError STORE, DISK_FULL
 */
export function createFolders(folder: DataFolder): void {
  try {
    fs.rmSync(folder.spool, { recursive: true, force: true })
    const { keys, blobs, partial, quarantine, spool } = folder
    for (const each of [folder.path, keys, blobs, partial, quarantine, spool]) {
      fs.mkdirSync(each, { recursive: true, mode: 0o700 })
    }
    fs.chmodSync(folder.path, 0o700)
    for (const each of [folder.path, keys]) {
      for (const name of fs.readdirSync(each).filter(isUnfinished)) fs.rmSync(path.join(each, name))
    }
  } catch (error) {
    throw storeError(`create the data folder ${folder.path}`, error)
  }
}

/** Whether `init` came to its end here. */
export const isInitialised = (folder: DataFolder): boolean => fs.existsSync(folder.identity)

/** @throws ZoariumError NOT_INITIALISED */
export function requireInitialised(folder: DataFolder): void {
  if (isInitialised(folder)) return
  throw new ZoariumError('NOT_INITIALISED', `no node in ${folder.path} yet`, {
    hint: 'run: zoarium init --name "YOUR INSTITUTE"',
  })
}

/** A 32-byte secret kept as hex in a file of its own; made on first use. */
function readOrCreateSecret(file: string): Uint8Array {
  const text = readText(file)?.trim()
  if (text === undefined) {
    const secret = randomBytes(32)
    writeDurably(file, `${Buffer.from(secret).toString('hex')}\n`)
    return new Uint8Array(secret)
  }
  if (!/^[0-9a-f]{64}$/.test(text)) {
    throw new ZoariumError('STORE', `${path.basename(file)} is damaged: 64 hex digits expected`, {
      hint: `restore it from a backup, or delete it to have a new one made`,
    })
  }
  return new Uint8Array(Buffer.from(text, 'hex'))
}

/** The seed of the transport key, 32 bytes; made on first use. @throws ZoariumError STORE */
export const readPeerKey = (folder: DataFolder): Uint8Array => readOrCreateSecret(folder.peerKey)

/** The token of the owner, 64 hex digits; made on first use. @throws ZoariumError STORE */
export const readToken = (folder: DataFolder): string =>
  Buffer.from(readOrCreateSecret(folder.token)).toString('hex')

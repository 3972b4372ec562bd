/**
 * Files that open sealed keys: a key file, or one with a passphrase. One that others can read is
 * refused, since who has a copy of the data folder may be among them.
 */
import fs from 'node:fs'
import path from 'node:path'
import process from 'node:process'
import { toHex } from '../protocol/bytes.ts'
import { randomBytes } from '../protocol/crypto.ts'
import { ZoariumError } from '../protocol/errors.ts'
import { writeDurably } from './durable-file.ts'
import type { SealSecret } from './seal.ts'

/** Shortest key file, in bytes: as much as nobody guesses. */
export const MIN_KEY_FILE_BYTES = 32
/** Longest file that is read, in bytes: one that was named by mistake is noticed. */
export const MAX_SECRET_FILE_BYTES = 4096

/** @throws ZoariumError KEY_SEALED where it is missing, open to others, too short or too long */
export function readKeyFile(file: string): SealSecret {
  const bytes = readPrivate(file, 'key file')
  if (bytes.length >= MIN_KEY_FILE_BYTES) return { by: 'key-file', bytes }
  throw new ZoariumError('KEY_SEALED', 'the key file is too short', {
    field: file,
    limit: MIN_KEY_FILE_BYTES,
    got: bytes.length,
  })
}

/** A passphrase without the line's end that editors add. @throws like {@link readKeyFile} */
export function readPassphraseFile(file: string): SealSecret {
  const text = new TextDecoder().decode(readPrivate(file, 'passphrase file'))
  return { by: 'passphrase', text: text.replace(/\r?\n$/, '') }
}

/**
 * A key file to seal keys with: the one that is there, or one of 32 random bytes that is made.
 * @param folder the data folder, where it must not lie
 * @throws ZoariumError USAGE, DISK_FULL, STORE, and like {@link readKeyFile}
 */
export function makeKeyFile(file: string, folder: string): SealSecret {
  const inside = path.relative(path.resolve(folder), path.resolve(file))
  if (!inside.startsWith('..') && !path.isAbsolute(inside)) {
    throw new ZoariumError('USAGE', 'a key file does not belong in the folder that it guards', {
      got: file,
      hint: 'whoever copied the folder would have both: put it on another disk',
    })
  }
  if (!fs.existsSync(file)) writeDurably(file, `${toHex(randomBytes(MIN_KEY_FILE_BYTES))}\n`)
  return readKeyFile(file)
}

function readPrivate(file: string, what: string): Uint8Array {
  const fail = (message: string, detail: object = {}, cause?: unknown): ZoariumError =>
    new ZoariumError('KEY_SEALED', message, { field: file, ...detail }, cause)
  let handle: number
  try {
    handle = fs.openSync(file, 'r')
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException
    throw fail(`couldn't read the ${what}: ${code}`, {}, error)
  }
  try {
    const stat = fs.fstatSync(handle)
    if (!stat.isFile()) throw fail(`the ${what} is not a file`)
    // Windows has no such bits.
    if (process.platform !== 'win32' && (stat.mode & 0o077) !== 0) {
      const got = `0${(stat.mode & 0o777).toString(8)}`
      throw fail(`others can read the ${what}`, { limit: '0600', got, hint: `chmod 600 ${file}` })
    }
    if (stat.size > MAX_SECRET_FILE_BYTES) {
      throw fail(`the ${what} is too long`, { limit: MAX_SECRET_FILE_BYTES, got: stat.size })
    }
    return new Uint8Array(fs.readFileSync(handle))
  } finally {
    fs.closeSync(handle)
  }
}

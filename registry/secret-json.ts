/**
 * Small JSON files that name their version: 1, or 2 where a seal is on them. Written durably, and
 * readable by their owner only.
 */
import path from 'node:path'
import { ZoariumError } from '../protocol/errors.ts'
import { readText, writeDurably } from './durable-file.ts'
import type { Seal } from './seal.ts'

export const VERSION = 1
export const SEALED_VERSION = 2

/** @param seal null: left open. @throws ZoariumError DISK_FULL, STORE */
export function writeSecret(file: string, value: object, seal: Seal | null): void {
  const sealed = seal && { version: SEALED_VERSION, ...seal.close(toJson(value)) }
  writeJson(file, sealed ?? value)
}

/** null where there is no file. @throws ZoariumError KEY_SEALED, NEWER_STORE, STORE */
export function readSecret(file: string, seal: Seal | null): Record<string, unknown> | null {
  const value = readJson(file, SEALED_VERSION)
  if (value === null || value.version === VERSION) return value
  if (seal === null) {
    throw new ZoariumError('KEY_SEALED', 'the private keys are sealed', { field: file })
  }
  const text = seal.open(value)
  if (text === null) throw damaged(file)
  return parseJson(file, text, VERSION)
}

/** With the version. */
export const toJson = (value: object): string =>
  `${JSON.stringify({ version: VERSION, ...value }, null, 2)}\n`

/** @throws ZoariumError DISK_FULL, STORE */
export const writeJson = (file: string, value: object): void => writeDurably(file, toJson(value))

/** null where there is no file. @throws ZoariumError NEWER_STORE, STORE */
export function readJson(file: string, newest = VERSION): Record<string, unknown> | null {
  const text = readText(file)
  return text === null ? null : parseJson(file, text, newest)
}

/** @throws ZoariumError NEWER_STORE, STORE */
export function parseJson(file: string, text: string, newest: number): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw damaged(file)
  }
  if (typeof value !== 'object' || value === null) throw damaged(file)
  // SAFE: a JSON object.
  const fields = value as Record<string, unknown>
  const { version } = fields
  if (version === VERSION || version === newest) return fields
  throw new ZoariumError('NEWER_STORE', `${path.basename(file)} is of a version not known here`, {
    got: String(version),
    limit: newest,
  })
}

/** What to throw where a file is not as this program writes it. */
export const damaged = (file: string): ZoariumError =>
  new ZoariumError('STORE', `${path.basename(file)} is damaged`, {
    field: file,
    hint: 'restore it from a backup',
  })

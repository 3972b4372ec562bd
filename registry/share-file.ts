/** Root keys on their way to another machine: a sealed file with the publisher's chain. */
import { ZoariumError } from '../protocol/errors.ts'
import {
  type IdentityFile,
  type RootSet,
  readIdentityFields,
  readRootSet,
  textOfIdentity,
  textOfSet,
} from './key-files.ts'
import { type Seal, type SealKind, sealKindOf } from './seal.ts'
import { damaged, parseJson, SEALED_VERSION, VERSION, writeSecret } from './secret-json.ts'

const PURPOSE = 'root-share'

export interface RootShare extends IdentityFile {
  readonly sets: readonly RootSet[]
}

/** Always sealed. @throws ZoariumError DISK_FULL, STORE */
export function writeShare(file: string, share: RootShare, seal: Seal): void {
  const sets = share.sets.map(textOfSet)
  writeSecret(file, { purpose: PURPOSE, ...textOfIdentity(share), sets }, seal)
}

/**
 * @param text of the file
 * @param open makes the seal of the kind that the file has
 * @throws ZoariumError RECORD_INVALID where it is no such file, KEY_SEALED, NEWER_STORE, and STORE
 * where it is damaged
 */
export async function readShare(
  file: string,
  text: string,
  open: (by: SealKind) => Promise<Seal>,
): Promise<{ readonly share: RootShare; readonly seal: Seal }> {
  const value = parseJson(file, text, SEALED_VERSION)
  const by = value.version === SEALED_VERSION ? sealKindOf(value) : null
  if (by === null) {
    throw new ZoariumError('RECORD_INVALID', 'not a file of sealed root keys', { field: file })
  }
  const seal = await open(by)
  const fields = parseJson(file, seal.open(value) ?? '', VERSION)
  const { purpose, sets } = fields
  if (purpose !== PURPOSE) {
    throw new ZoariumError('RECORD_INVALID', 'not a file of root keys', {
      field: 'purpose',
      limit: PURPOSE,
      got: String(purpose).slice(0, 40),
    })
  }
  if (!Array.isArray(sets)) throw damaged(file)
  const identity = readIdentityFields(file, fields)
  return { share: { ...identity, sets: sets.map((set) => readRootSet(file, set)) }, seal }
}

/**
 * Writes operations on the own identity, so that a folder that is killed at any moment has all keys
 * that its identity names:
 *
 *   1. new seeds are written beside those in force (keys/*.json)
 *   2. the operations that name them are written (identity.json); from now on they hold
 *   3. the catalogue takes them in; where that was missed, the next opening does it
 *   4. root keys that were rotated away are forgotten (keys/root.json)
 *
 * Killed before 2, a seed is here that no operation names: the next delegation takes it up, the
 * next rotation forgets it. Operations that are drafted for other machines to sign take 1 now, and
 * the rest when they come back (key-transfer.ts).
 */
import { expectOk, ZoariumError } from '../protocol/errors.ts'
import type { Identity, NewOperation } from '../protocol/identity.ts'
import { type Draft, draftOperation } from '../protocol/identity-draft.ts'
import { failpoint } from './failpoint.ts'
import { writeIdentityFile } from './key-files.ts'
import { requireAbsent, writeBundle } from './key-transfer.ts'
import type { OpenRegistry } from './open-registry.ts'

/**
 * Places operations one after the other, signed with those of the seeds that may.
 * @throws ZoariumError what others would refuse them for
 */
export function draftAll(
  identity: Identity,
  operations: readonly NewOperation[],
  seeds: readonly Uint8Array[],
): readonly Draft[] {
  let last = identity
  return operations.map((operation) => {
    const draft = draftOperation(last, operation, seeds)
    last = draft.after
    return draft
  })
}

/**
 * Steps 1 to 3.
 * @param drafts operations that follow those here
 * @param before makes new seeds durable
 * @throws ZoariumError THRESHOLD_NOT_MET where one needs further signatures, DISK_FULL, STORE
 */
export function writeOperations(
  { folder, registry }: OpenRegistry,
  drafts: readonly Draft[],
  before: () => void,
): void {
  const open = drafts.find(({ missing }) => missing > 0)
  if (open !== undefined) throw unsigned(open)
  const { publisher } = registry
  const signed = drafts.map(({ envelope }) => envelope)
  const present = registry.identityOps(publisher)
  before()
  failpoint('keys.before-identity')
  writeIdentityFile(folder, { publisher, operations: [...present, ...signed] })
  failpoint('keys.after-identity')
  expectOk(registry.admitIdentity(publisher, signed, present.length))
  failpoint('keys.after-catalogue')
}

/**
 * Lays operations by in a new file.
 * @throws ZoariumError USAGE where it is there, DISK_FULL, STORE
 */
export function writeDrafts(
  opened: OpenRegistry,
  drafts: readonly Draft[],
  before: () => void,
  file: string,
): void {
  requireAbsent(file)
  before()
  failpoint('keys.before-draft')
  writeBundle(opened, file, drafts)
}

function unsigned({ missing, signers, open }: Draft): ZoariumError {
  const needed = signers.length + missing
  const keys = open.map((key) => key.slice(0, 16)).join(', ')
  return new ZoariumError(
    'THRESHOLD_NOT_MET',
    'too few root keys are on this machine to sign that',
    {
      field: 'keys/root.json',
      limit: needed,
      got: signers.length,
      hint: `add --draft FILE to the command, and sign that file where these are: ${keys}`,
    },
  )
}

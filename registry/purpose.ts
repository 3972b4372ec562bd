/** What the device keys of one machine are for: one for each scope, and one for a private log. */
import type { RecordBody } from '../protocol/record.ts'
import { isForInstitution, needsErase, SCOPES } from '../protocol/scope.ts'

export const PURPOSES = [...SCOPES, 'private'] as const
export type Purpose = (typeof PURPOSES)[number]

/**
 * The purpose of the key that signs a record.
 * @param isPrivate whether it is for an audience alone
 */
export function purposeOf(statement: RecordBody, isPrivate = false): Purpose {
  if (statement.kind === 'attest' && !isForInstitution(statement.body.claim)) return 'serve'
  if (statement.kind === 'withdraw' && needsErase(statement.body.verb)) return 'erase'
  return isPrivate ? 'private' : 'publish'
}

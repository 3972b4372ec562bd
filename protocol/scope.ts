/** Scopes of device keys: what each may sign. docs/protocol.md, "Identities". */
import type { LogRecord, RecordKind } from './record.ts'
import type { WithdrawVerb } from './record-body.ts'

/**
 * `erase` withdraws, in every way, and does nothing else: no machine has such a key unless the root
 * gave it one.
 */
export const SCOPES = ['publish', 'serve', 'erase'] as const
export type Scope = (typeof SCOPES)[number]

const INSTITUTION_CLAIMS: ReadonlySet<unknown> = new Set(['reviewed', 'advisory'])

/** Whether a claim of an attest record speaks for the institution, not for one machine. */
export const isForInstitution = (claim: unknown): boolean => INSTITUTION_CLAIMS.has(claim)

/** What everybody may ask for has no place in a private log. */
const PUBLIC_KINDS: ReadonlySet<RecordKind> = new Set(['profile', 'roster'])

/** Whether a key of a scope may sign a record in its log. */
export function isInScope(scope: Scope, isPrivate: boolean, record: LogRecord): boolean {
  if (isPrivate && PUBLIC_KINDS.has(record.kind)) return false
  switch (scope) {
    case 'serve':
      return record.kind === 'attest' && !isForInstitution(record.body.claim)
    case 'erase':
      return record.kind === 'withdraw'
    case 'publish':
      return record.kind !== 'withdraw' || !needsErase(record.body.verb)
  }
}

/** Whether a withdrawal is more than a key to publish may sign: one may be stolen with its machine. */
export const needsErase = (verb: WithdrawVerb): boolean => verb === 'erase' || verb === 'restore'

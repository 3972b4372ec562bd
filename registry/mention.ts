/** Mentions: records of one publisher that name records of another. */
import type { Cid } from '../protocol/cid.ts'
import type { LogRecord, Position } from '../protocol/record.ts'

/** A record of a log that another publisher's record names. */
export interface MentionRow extends Position {
  /** Who names it. */
  readonly by: Cid
  /** The record that names it. */
  readonly record: Cid
}

/** The records that a record names as its own grounds: parents of a model, the target of an attestation. */
export function mentionsOf(record: LogRecord): readonly Cid[] {
  if (record.kind === 'model') return record.body.parents.map((parent) => parent.record)
  return record.kind === 'attest' ? [record.body.target] : []
}

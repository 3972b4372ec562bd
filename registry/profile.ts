/** A profile record as a row of the catalogue. */
import type { Cid } from '../protocol/cid.ts'
import type { ProfileBody } from '../protocol/record.ts'
import type { ProfileRow } from './catalogue.ts'

export const profileOf = (
  record: Cid,
  envelope: Uint8Array,
  publisher: Cid,
  body: ProfileBody,
): ProfileRow => ({ record, envelope, publisher, ...body })

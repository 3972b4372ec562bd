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

/** Whether two profiles say the same. */
export const isSameProfile = (a: Omit<ProfileBody, 'replaces'>, b: typeof a): boolean =>
  a.label === b.label &&
  a.displayName === b.displayName &&
  a.handle === b.handle &&
  a.url === b.url &&
  a.ror === b.ror

/**
 * Attestations: what a publisher states of a model's files, its own or another's. docs/protocol.md,
 * "Records". Three fields are common to all; the others depend on the claim, and a reader that does
 * not know a claim keeps and shows it, and does nothing because of it.
 */
import { type CborMap, type CborValue, encode, isMap } from './cbor.ts'
import type { Cid } from './cid.ts'
import { accept, refuse, type Verdict } from './errors.ts'
import { MAX_ATTEST_BYTES, MAX_ATTEST_FIELDS } from './limits.ts'
import { linkTo, map, type Shape, text } from './shape.ts'
import { statementLink } from './statement.ts'

interface CommonFields {
  /** The `model` record that was looked at. */
  readonly target: Cid
  /** Its `root`: records of equal root are one model, and are attested together. */
  readonly root: Cid
  /** `reproduced`, `measured`, `reviewed`, `scored`, `advisory`, `usage`, or one to come. */
  readonly claim: string
}

/** The common fields, and those of the claim as they were decoded. */
export type AttestBody = CommonFields & Readonly<Record<string, unknown>>

/** Claims that this program signs; others it keeps and shows. */
export const CLAIMS = ['reproduced', 'reviewed', 'advisory', 'usage'] as const
export type Claim = (typeof CLAIMS)[number]

/** Claims that say: this model does what it says. The others inform. */
const VOUCHING_CLAIMS: ReadonlySet<string> = new Set(['reproduced', 'reviewed'])

/** Whether a claim speaks for running the model. */
export const isVouching = (claim: string): boolean => VOUCHING_CLAIMS.has(claim)

const common: Shape<CommonFields> = map({
  target: statementLink,
  root: linkTo('dag-pb'),
  claim: text(40, /^[a-z][a-z0-9-]*$/),
})

const FIELD_NAME = /^[a-zA-Z][a-zA-Z0-9]{0,39}$/

export const attestation: Shape<AttestBody> = {
  read(value, field) {
    // SAFE: a shape reads what cbor.ts decoded.
    const body = value as CborValue
    if (!isMap(body)) return refuse('RECORD_INVALID', `${field} is not a map`, { field })
    const { target, root, claim, ...more } = body
    const read = common.read({ target, root, claim }, field)
    if (!read.ok) return read
    const free = checkFree(body, more, field)
    return free.ok ? accept({ ...more, ...read.value }) : free
  },
  write: ({ target, root, claim, ...more }) => ({
    // SAFE: further fields come from cbor.ts or are written for it.
    ...(more as CborMap),
    ...(common.write({ target, root, claim }) as CborMap),
  }),
}

function checkFree(body: CborMap, more: CborMap, field: string): Verdict<true> {
  const names = Object.keys(more)
  const strange = names.find((name) => !FIELD_NAME.test(name))
  if (strange !== undefined) {
    return refuse('RECORD_INVALID', `${field} has a field with a name that none may have`, {
      field: `${field}.${strange.slice(0, 64)}`,
      limit: FIELD_NAME.source,
    })
  }
  const count = Object.keys(body).length
  if (count > MAX_ATTEST_FIELDS) {
    return refuse('LIMIT', `${field} has too many fields`, {
      field,
      limit: MAX_ATTEST_FIELDS,
      got: count,
    })
  }
  const { length } = encode(body)
  if (length <= MAX_ATTEST_BYTES) return accept(true)
  return refuse('LIMIT', `${field} is too large`, { field, limit: MAX_ATTEST_BYTES, got: length })
}

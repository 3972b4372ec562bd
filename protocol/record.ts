/**
 * Records: one signed statement in a log. docs/protocol.md, "Records".
 *
 * A record is checked cheapest first: length, strict decoding, header, signature, body. Whether the
 * key may speak for the publisher is identity.ts's, where the record belongs is log.ts's.
 */
import { fromHex } from './bytes.ts'
import type { CborMap, CborValue } from './cbor.ts'
import { type Cid, cidOf } from './cid.ts'
import { seal, split } from './envelope.ts'
import { accept, expectOk, refuse, type Verdict } from './errors.ts'
import { MAX_IDENTITY_OPS, MAX_RECORD_BYTES, MAX_SEQ } from './limits.ts'
import { RECORD_KINDS, type RecordBody, readBody, writeBody } from './record-body.ts'
import { int, key, map, nullable, type ShapeOf, text } from './shape.ts'
import { verify } from './signature.ts'
import { assertSeed, decodePayload, encodePayload, statementLink, time } from './statement.ts'

export type { AttestBody } from './attestation.ts'
export type {
  ModelBody,
  ModelFile,
  Origin,
  Parent,
  ProfileBody,
  RecordBody,
  RecordKind,
  TagBody,
  WithdrawBody,
} from './record-body.ts'
export type { RosterBody } from './roster.ts'

/** A place in a log. Epochs are raised by the root only; seq counts from 0 in each. */
export interface Position {
  readonly epoch: number
  readonly seq: number
}

/** A place in a log, and the record that stands there. */
export interface LogPosition extends Position {
  readonly tip: Cid
}

/** Order of two positions in one log: negative, 0 or positive. */
export const comparePositions = (a: Position, b: Position): number =>
  a.epoch - b.epoch || a.seq - b.seq

/** A record's payload, decoded. */
export type LogRecord = Position & {
  readonly publisher: Cid
  /** Device key, 64 hex digits. */
  readonly key: string
  readonly prev: Cid | null
  /** Number of identity operations that the signer knew. */
  readonly idv: number
  /** Milliseconds since 1970 UTC; informs, never orders. */
  readonly ts: number
} & RecordBody

/** A record with its bytes. */
export interface SignedRecord {
  /** Content id of the payload. */
  readonly id: Cid
  /** Payload, then 64 bytes of signature. */
  readonly envelope: Uint8Array
  readonly record: LogRecord
}

/** Names of kinds to come are no longer than this. */
const MAX_KIND_CHARS = 40

const header = map({
  publisher: statementLink,
  key,
  epoch: int(0, MAX_IDENTITY_OPS),
  seq: time,
  prev: nullable(statementLink),
  idv: int(1, MAX_IDENTITY_OPS),
  ts: time,
  kind: text(MAX_KIND_CHARS),
})
type Header = ShapeOf<typeof header>

/** The place of a record, and its id. */
export interface RecordHeader extends Header {
  readonly id: Cid
}

/** A record of which the header was read, and nobody has checked the signature. */
export interface OpenRecord {
  readonly envelope: Uint8Array
  readonly payload: Uint8Array
  readonly signature: Uint8Array
  readonly header: RecordHeader
  readonly body: CborValue
}

/**
 * Signs a record. Throws a ZoariumError where the record breaks its own rules: what other nodes
 * would refuse is never signed.
 *
 * @param seed 32 bytes; that of `record.key`
 */
export function signRecord(record: LogRecord, seed: Uint8Array): SignedRecord {
  assertSeed(seed, record.key)
  const fields = header.write(record)
  const payload = encodePayload('record', {
    ...(fields as CborMap),
    body: writeBody(record),
  })
  return expectOk(readRecord(seal('record', payload, seed)))
}

/**
 * Reads a record and checks its signature by the key that it names.
 *
 * Fails with LIMIT, SIG_LENGTH, SEQ, RECORD_INVALID, UNKNOWN_FIELD, UNKNOWN_VERSION (also for
 * unknown kinds), PATH, NAME, NAME_CLASH, NFC, CONTENT_MISMATCH, and like cbor.ts and signature.ts.
 */
export function readRecord(envelope: Uint8Array): Verdict<SignedRecord> {
  const opened = openRecord(envelope)
  return opened.ok ? verifyRecord(opened.value) : opened
}

/** What {@link readRecord} does after the header. Fails likewise. */
export function verifyRecord(opened: OpenRecord): Verdict<SignedRecord> {
  const verified = verifyHeader(opened)
  if (!verified.ok) return verified
  const { envelope, body, header } = opened
  const { id, kind, ...place } = header
  const known = RECORD_KINDS.find((each) => each === kind)
  if (known === undefined) {
    return refuse('UNKNOWN_VERSION', 'a kind of record that this version does not know', {
      field: 'kind',
      got: kind,
      hint: 'a newer version of this program may read it',
    })
  }
  const read = readBody(known, body)
  if (!read.ok) return read
  return accept({ id, envelope, record: { ...place, ...read.value } })
}

/** The header of a record, its signature checked; the body may be anything. For proofs. */
export function readHeader(envelope: Uint8Array): Verdict<RecordHeader> {
  const opened = openRecord(envelope)
  return opened.ok ? verifyHeader(opened.value) : opened
}

function verifyHeader({ payload, signature, header }: OpenRecord): Verdict<RecordHeader> {
  const verified = verify('record', payload, signature, fromHex(header.key))
  return verified.ok ? accept(header) : verified
}

/**
 * The header of a record that nobody has checked: for looking up what is known, and for budgets.
 * Fails like {@link readRecord} up to the signature.
 */
export function peekRecord(envelope: Uint8Array): Verdict<RecordHeader> {
  const opened = openRecord(envelope)
  return opened.ok ? accept(opened.value.header) : opened
}

/** {@link peekRecord}, with what {@link verifyRecord} then needs, so that nothing is read twice. */
export function openRecord(envelope: Uint8Array): Verdict<OpenRecord> {
  const parts = split(envelope)
  if (!parts.ok) return parts
  const { payload, signature } = parts.value
  const fields = decodePayload('record', payload, MAX_RECORD_BYTES)
  if (!fields.ok) return fields
  const { body = null, ...rest } = fields.value
  const read = header.read(rest, '')
  if (!read.ok) return read
  const { seq } = read.value
  if (seq > MAX_SEQ) {
    return refuse('SEQ', 'no log is that long', { field: 'seq', limit: MAX_SEQ, got: seq })
  }
  const id = cidOf('dag-cbor', payload)
  return accept({ envelope, payload, signature, header: { ...read.value, id }, body })
}

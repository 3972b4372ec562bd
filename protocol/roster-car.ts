/**
 * A roster as a CAR file: all that is needed to verify it without a network. docs/protocol.md,
 * "Rosters". What one reader makes of it (whether it is stale, or contradicts what is known) is
 * decided on the floor above.
 */

import { type Car, readCar, writeCar } from './car.ts'
import { type CborMap, decode, encode } from './cbor.ts'
import { type Cid, cidOf, linkOf } from './cid.ts'
import { findDevice } from './delegation.ts'
import { checkPosition, deviceOf } from './device.ts'
import { accept, type Failure, refuse, type Verdict } from './errors.ts'
import { type Head, readHead } from './head.ts'
import { type Identity, readIdentity } from './identity.ts'
import { MAX_IDENTITY_OPS, MAX_ROSTER_CAR_BYTES } from './limits.ts'
import { comparePositions, readRecord, type SignedRecord } from './record.ts'
import type { RosterBody } from './roster.ts'
import { int, linkTo, list, map, word } from './shape.ts'

/** Media type of the files. */
export const CAR_TYPE = 'application/vnd.ipld.car'

/** The statements that a file carries, as their signers made them. */
export interface RosterParts {
  /** The issuer's identity operations, all of them. */
  readonly operations: readonly Uint8Array[]
  /** The newest head of the log in which the roster stands. */
  readonly head: Uint8Array
  /** The roster record. */
  readonly roster: Uint8Array
}

/** A roster whose signatures and chain hold. */
export interface VerifiedRoster extends RosterParts {
  readonly identity: Identity
  readonly signed: SignedRecord
  readonly body: RosterBody
  readonly newest: Head
}

const block = linkTo('raw')
const manifest = map({
  t: word('roster'),
  v: int(1, 1),
  identity: list(block, MAX_IDENTITY_OPS),
  head: block,
  roster: block,
})

/** @returns a file, or LIMIT where it would be larger than readers take */
export function writeRosterCar({ operations, head, roster }: RosterParts): Verdict<Uint8Array> {
  const entry = (bytes: Uint8Array) => [cidOf('raw', bytes), bytes] as const
  const chain = operations.map(entry)
  const [headEntry, rosterEntry] = [entry(head), entry(roster)]
  const root = encode({
    t: 'roster',
    v: 1,
    identity: chain.map(([cid]) => linkOf(cid)),
    head: linkOf(headEntry[0]),
    roster: linkOf(rosterEntry[0]),
  } satisfies CborMap)
  const rootId = cidOf('dag-cbor', root)
  const blocks = new Map<Cid, Uint8Array>([[rootId, root], ...chain, headEntry, rosterEntry])
  const bytes = writeCar({ root: rootId, blocks })
  if (bytes.length <= MAX_ROSTER_CAR_BYTES) return accept(bytes)
  return refuse('LIMIT', 'the roster and its identity chain are too large for one file', {
    limit: MAX_ROSTER_CAR_BYTES,
    got: bytes.length,
  })
}

/**
 * Reads a file and verifies every signature in it.
 *
 * Fails with CONTENT_MISMATCH, UNKNOWN_FIELD, RECORD_INVALID (another kind of file, blocks that are
 * missing or too many, a head of another log or before the roster), EQUIVOCATION (a head that names
 * another record at the roster's place), KEY_EXPIRED (a head from after the end of its key), and like `readCar`, `readIdentity`, `readRecord`,
 * `readHead` and `findDevice`.
 */
export function readRosterCar(bytes: Uint8Array): Verdict<VerifiedRoster> {
  const car = readCar(bytes, MAX_ROSTER_CAR_BYTES)
  if (!car.ok) return car
  const parts = readParts(car.value)
  if (!parts.ok) return parts
  const identity = readIdentity(parts.value.operations)
  if (!identity.ok) return identity
  const signed = readRecord(parts.value.roster)
  if (!signed.ok) return signed
  const { record } = signed.value
  if (record.kind !== 'roster') {
    return refuse('RECORD_INVALID', 'the record is no roster', { field: 'kind', got: record.kind })
  }
  if (record.publisher !== identity.value.publisher) {
    return refuse('IDENTITY_INVALID', 'the chain is not that of the issuer', {
      limit: record.publisher,
      got: identity.value.publisher,
    })
  }
  const delegated = findDevice(identity.value, record)
  if (!delegated.ok) return delegated
  const newest = readNewest(parts.value.head, identity.value, signed.value)
  if (!newest.ok) return newest
  return accept({
    ...parts.value,
    identity: identity.value,
    signed: signed.value,
    body: record.body,
    newest: newest.value,
  })
}

function readParts({ root, blocks }: Car): Verdict<RosterParts> {
  // SAFE: the reader saw to it that the root is there.
  const decoded = decode(blocks.get(root) as Uint8Array)
  if (!decoded.ok) return decoded
  const read = manifest.read(decoded.value, '')
  if (!read.ok) return read
  const { identity, head, roster } = read.value
  const named = [...identity, head, roster]
  const missing = named.find((cid) => !blocks.has(cid))
  if (missing !== undefined) return refuse('RECORD_INVALID', 'a block is missing', { got: missing })
  const wanted = new Set<Cid>([root, ...named])
  const surplus = [...blocks.keys()].find((cid) => !wanted.has(cid))
  if (surplus !== undefined) {
    return refuse('RECORD_INVALID', 'a block that nothing names', { got: surplus })
  }
  // SAFE: all of them were just found.
  const bytesOf = (cid: Cid) => blocks.get(cid) as Uint8Array
  return accept({
    operations: identity.map(bytesOf),
    head: bytesOf(head),
    roster: bytesOf(roster),
  })
}

/** The head must be one of the log in which the roster stands, at its place or after it. */
function readNewest(
  envelope: Uint8Array,
  identity: Identity,
  { id, record }: SignedRecord,
): Verdict<Head> {
  const read = readHead(envelope)
  if (!read.ok) return read
  const { head } = read.value
  if (head.publisher !== record.publisher || head.key !== record.key) {
    return misplaced('the head is of another log', head)
  }
  const device = deviceOf(identity, head.key)
  if (!device.ok) return device
  const placed = checkPosition(device.value, head)
  if (!placed.ok) return placed
  const { notBefore, notAfter } = device.value
  // The roster may be dated back; the head, which must be fresh, cannot.
  if (head.issued < notBefore || head.issued > notAfter) {
    return refuse('KEY_EXPIRED', 'the head was signed outside the time of its key', {
      field: 'head.issued',
      limit: `${notBefore} to ${notAfter}`,
      got: head.issued,
    })
  }
  const order = comparePositions(head, record)
  if (order < 0) return misplaced('the head is older than the roster', head)
  if (order > 0 || head.tip === id) return accept(head)
  return refuse('EQUIVOCATION', "the head names another record at the roster's place", {
    limit: id,
    got: head.tip,
  })
}

const misplaced = (message: string, { epoch, seq }: Head): Failure =>
  refuse('RECORD_INVALID', message, { field: 'head', got: `${epoch}.${seq}` })

/**
 * Logs: the order of one device key's records. docs/protocol.md, "Logs". Positions order records,
 * never clocks.
 */
import type { Cid } from './cid.ts'
import { accept, refuse, type Verdict } from './errors.ts'
import { type Position, readHeader, type SignedRecord } from './record.ts'

/** How far a log is known here. */
export interface LogPosition extends Position {
  /** Id of its newest record. */
  readonly tip: Cid
}

/**
 * Whether a record is the next one of its log (null: a log without records). The caller has looked
 * the id up: a record that is here already does not come this far.
 *
 * Fails with GAP (records before it are missing), PREV_UNKNOWN (it follows a record that is not
 * here at that position: ask for the sender's log), EQUIVOCATION (its position is taken by another
 * record; both envelopes are the proof, see {@link checkEquivocation}) or SEQ (an epoch that the
 * root has not raised, or the newest record once more).
 */
export function checkNext(log: LogPosition | null, { id, record }: SignedRecord): Verdict<true> {
  const { epoch, seq, prev } = record
  const currentEpoch = log?.epoch ?? 0
  if (epoch !== currentEpoch) {
    return refuse('SEQ', 'an epoch that the root has not raised', {
      field: 'epoch',
      limit: currentEpoch,
      got: epoch,
    })
  }
  const expected = log === null ? 0 : log.seq + 1
  const place = { field: 'seq', limit: expected, got: seq }
  if (seq > expected) return refuse('GAP', 'records before this one are missing', place)
  if (seq < expected) {
    return id === log?.tip
      ? refuse('SEQ', 'the newest record of the log once more', place)
      : refuse('EQUIVOCATION', 'another record stands at that position', place)
  }
  const tip = log?.tip ?? null
  return prev === tip
    ? accept(true)
    : refuse('PREV_UNKNOWN', 'the record follows another one', {
        field: 'prev',
        limit: tip ?? 'null',
        got: prev ?? 'null',
      })
}

/**
 * Whether two envelopes prove that a key signed two records at one position. The bodies may be
 * anything: to sign twice is the offence.
 *
 * @returns whose log forked, and where. Fails with EQUIVOCATION where they prove nothing, and like
 * `readHeader` of record.ts.
 */
export function checkEquivocation(
  first: Uint8Array,
  second: Uint8Array,
): Verdict<Position & { readonly publisher: Cid; readonly key: string }> {
  const a = readHeader(first)
  if (!a.ok) return a
  const b = readHeader(second)
  if (!b.ok) return b
  const { publisher, key, epoch, seq, id } = a.value
  const other = b.value
  const isFork =
    id !== other.id &&
    publisher === other.publisher &&
    key === other.key &&
    epoch === other.epoch &&
    seq === other.seq
  return isFork
    ? accept({ publisher, key, epoch, seq })
    : refuse('EQUIVOCATION', 'not two records at one position of one log')
}

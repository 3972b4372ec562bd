/**
 * Logs: the order of one device key's records. docs/protocol.md, "Logs". Positions order records,
 * never clocks.
 */
import type { Cid } from './cid.ts'
import type { Cut } from './device.ts'
import { accept, refuse, type Verdict } from './errors.ts'
import {
  comparePositions,
  type LogPosition,
  type Position,
  readHeader,
  type SignedRecord,
} from './record.ts'

/**
 * Where the next record of a log stands (null: a log without records), and what its `prev` is.
 * @param cuts what the root said of the log, see device.ts
 */
export function nextPlace(
  log: LogPosition | null,
  cuts: readonly Cut[],
): Position & { readonly prev: Cid | null } {
  const prev = log?.tip ?? null
  const raised = cuts.findLast((cut) => isStart(cut, log))
  if (raised?.epoch) return { epoch: raised.epoch, seq: 0, prev }
  return { epoch: log?.epoch ?? 0, seq: log === null ? 0 : log.seq + 1, prev }
}

/** Whether a log that is known up to a position goes on in a new epoch after a cut. */
function isStart({ last, epoch }: Cut, log: LogPosition | null): boolean {
  if (epoch === null || epoch === (log?.epoch ?? 0)) return false
  return last === null || log === null
    ? last === log
    : comparePositions(last, log) === 0 && last.tip === log.tip
}

/**
 * Whether a record is the next one of its log (null: a log without records). The caller has looked
 * the id up, and the place under the key's cuts (`checkPosition` of device.ts): a record that is
 * here already, or whose place is void, does not come this far.
 *
 * Fails with GAP (records before it are missing), PREV_UNKNOWN (it follows a record that is not
 * here at that position: ask for the sender's log), EQUIVOCATION (its position is taken by another
 * record; both envelopes are the proof, see {@link checkEquivocation}) or SEQ (an epoch that the
 * root has not raised, another record than the one that the root named, or the newest record once
 * more).
 */
export function checkNext(
  log: LogPosition | null,
  { id, record }: SignedRecord,
  cuts: readonly Cut[] = [],
): Verdict<true> {
  const { epoch, seq, prev } = record
  const named = cuts.find(({ last }) => last !== null && comparePositions(last, record) === 0)
  if (named?.last && named.last.tip !== id) {
    return refuse('SEQ', 'the root has named another record at that position', {
      field: 'seq',
      limit: named.last.tip,
      got: id,
    })
  }
  const next = nextPlace(log, cuts)
  const order = comparePositions(record, next)
  if (order < 0) {
    const place = { field: 'seq', limit: next.seq, got: seq }
    return id === log?.tip
      ? refuse('SEQ', 'the newest record of the log once more', place)
      : refuse('EQUIVOCATION', 'another record stands at that position', place)
  }
  if (order > 0) {
    const isRaised = epoch === next.epoch || cuts.some((cut) => cut.epoch === epoch)
    return isRaised
      ? refuse('GAP', 'records before this one are missing', {
          field: 'seq',
          limit: next.seq,
          got: seq,
        })
      : refuse('SEQ', 'an epoch that the root has not raised', {
          field: 'epoch',
          limit: next.epoch,
          got: epoch,
        })
  }
  return prev === next.prev
    ? accept(true)
    : refuse('PREV_UNKNOWN', 'the record follows another one', {
        field: 'prev',
        limit: next.prev ?? 'null',
        got: prev ?? 'null',
      })
}

/** Whose log forked, and where. */
export interface Fork extends Position {
  readonly publisher: Cid
  readonly key: string
}

/**
 * Whether two envelopes prove that a key signed two records at one position. The bodies may be
 * anything: to sign twice is the offence.
 *
 * @returns whose log forked, and where. Fails with EQUIVOCATION where they prove nothing, and like
 * `readHeader` of record.ts.
 */
export function checkEquivocation(first: Uint8Array, second: Uint8Array): Verdict<Fork> {
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

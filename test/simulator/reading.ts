/** Records as their bytes have them; equal bytes are read once, which all nodes share. */
import { expectOk, type Verdict } from '../../protocol/errors.ts'
import {
  peekRecord,
  type RecordHeader,
  readRecord,
  type SignedRecord,
} from '../../protocol/record.ts'
import { latin1 } from './crypto.ts'

/** Answers kept; beyond, all are forgotten. */
const MAX_ANSWERS = 10_000

const forgets: (() => void)[] = []

/** Begins a run: what was valid in the one before need not be so now. */
export function forgetReadings(): void {
  for (const forget of forgets) forget()
}

/** @throws ZoariumError where the bytes are no record */
export const headerOf = ofBytes((envelope): RecordHeader => expectOk(peekRecord(envelope)))

/** The whole record, its signature checked. */
export const recordOf = ofBytes((envelope): Verdict<SignedRecord> => readRecord(envelope))

function ofBytes<T>(read: (bytes: Uint8Array) => T): (bytes: Uint8Array) => T {
  const known = new Map<string, T>()
  forgets.push(() => known.clear())
  return (bytes) => {
    const name = latin1(bytes)
    let answer = known.get(name)
    if (answer === undefined) {
      answer = read(bytes)
      if (known.size >= MAX_ANSWERS) known.clear()
      known.set(name, answer)
    }
    return answer
  }
}

/** The order of a log: which record comes next, after which cuts. Small numbers, so that all cases come. */
import type { Cid } from '../../../protocol/cid.ts'
import type { Cut } from '../../../protocol/device.ts'
import type { Verdict } from '../../../protocol/errors.ts'
import { checkNext } from '../../../protocol/log.ts'
import type { LogPosition, SignedRecord } from '../../../protocol/record.ts'
import { settle, type Target } from '../fuzzer.ts'
import type { Fault } from '../rules/encoding.ts'
import { pool } from '../samples.ts'

const TIPS = pool.links.slice(0, 4).map((link) => link.toString() as Cid)

type Check = (log: LogPosition | null, record: SignedRecord, cuts: readonly Cut[]) => Verdict<true>

/**
 * Each byte of an input is one choice: the log, the record, then the cuts.
 * @param check the rule, or a weaker one that the fuzzer is to find out
 */
export const logTarget = (check: Check = checkNext): Target => ({
  name: 'log',
  share: 40,
  mutant: (random) => ({
    raw: Uint8Array.from({ length: 8 + 4 * random.below(3) }, () => random.below(8)),
    finish: (bytes) => bytes,
    isSigned: false,
  }),
  judge(input) {
    const at = (n: number): number => input[n] ?? 0
    const tip = (n: number): Cid => TIPS[at(n) % TIPS.length] as Cid
    const log = at(0) === 7 ? null : { epoch: at(0) % 3, seq: at(1) % 4, tip: tip(2) }
    const prev = at(3) === 7 ? null : tip(3)
    const record = { epoch: at(4) % 3, seq: at(5) % 4, prev }
    const cuts: Cut[] = []
    for (let n = 8; n + 3 < input.length; n += 4) {
      const last = at(n) === 7 ? null : { epoch: at(n) % 3, seq: at(n + 1) % 4, tip: tip(n + 2) }
      // A cut never names a record of an epoch to come.
      const epoch = Math.max(last?.epoch ?? 0, at(n + 3) % 3)
      cuts.push({ last, epoch: at(n + 3) === 7 ? null : epoch })
    }
    const id = tip(6)
    // SAFE: order looks at nothing else of a record.
    const signed = { id, record } as unknown as SignedRecord
    return settle(check(log, signed, cuts), () => nextFault(log, id, record, cuts))
  },
})

type Place = Pick<SignedRecord['record'], 'epoch' | 'seq' | 'prev'>

/** docs/protocol.md, "Logs". */
function nextFault(log: LogPosition | null, id: Cid, record: Place, cuts: readonly Cut[]): Fault {
  const isAt = (place: LogPosition | null, epoch: number, seq: number): boolean =>
    place !== null && place.epoch === epoch && place.seq === seq
  const named = cuts.find(({ last }) => isAt(last, record.epoch, record.seq))
  if (named !== undefined && named.last?.tip !== id) return 'another record than a cut names'
  // Where the log stands at the cut of a raised epoch, it goes on there.
  const raised = cuts.findLast(
    ({ last, epoch }) =>
      epoch !== null &&
      epoch !== (log?.epoch ?? 0) &&
      (last === null
        ? log === null
        : isAt(last, log?.epoch ?? -1, log?.seq ?? -1) && last.tip === log?.tip),
  )
  const epoch = raised?.epoch ?? log?.epoch ?? 0
  const seq = raised !== undefined || log === null ? 0 : log.seq + 1
  if (record.epoch !== epoch || record.seq !== seq) return 'not the next position'
  return record.prev === (log?.tip ?? null) ? null : 'another record before'
}

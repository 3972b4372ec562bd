/** What following a roster changes here, shown to the operator before it is done. */
import type { Cid } from '../protocol/cid.ts'
import { accept, refuse, type Verdict } from '../protocol/errors.ts'
import type { RosterRight } from '../protocol/roster.ts'
import type { VerifiedRoster } from '../protocol/roster-car.ts'
import type { RosterRule, TrustPolicy } from './trust.ts'

export interface JoinPlan {
  readonly roster: VerifiedRoster
  /** What its members are to get. */
  readonly right: RosterRight
  /** How it is followed now; null: not yet. */
  readonly before: RosterRule | null
  /** Members that were not accepted before. */
  readonly added: readonly Cid[]
  /** Those that were accepted and are no members any more. */
  readonly removed: readonly Cid[]
}

/**
 * The right is what the roster recommends, but `run` only where the operator says so; one that is
 * followed already keeps what it has.
 * Fails with PARAMETER where `run` is to be given and the roster does not recommend it.
 */
export function planJoin(
  policy: TrustPolicy,
  roster: VerifiedRoster,
  grantRun: boolean,
): Verdict<JoinPlan> {
  const { body, identity } = roster
  const before = policy.roster(identity.publisher, body.name)
  if (grantRun && body.right !== 'run') {
    return refuse('PARAMETER', 'the roster does not recommend to run what its members publish', {
      field: 'grantRun',
      got: body.right,
      hint: 'give single members the right: zoarium trust add PUBLISHER run',
    })
  }
  const cautious = body.right === 'list' ? 'list' : 'mirror'
  const accepted = new Set(before?.members)
  const members = new Set(body.members)
  return accept({
    roster,
    right: grantRun ? 'run' : (before?.right ?? cautious),
    before,
    added: body.members.filter((each) => !accepted.has(each)),
    removed: [...accepted].filter((each) => !members.has(each)),
  })
}

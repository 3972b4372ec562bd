/** Pulls identity chains, and the branches of those that have forked. docs/protocol.md, "Sync". */
import type { Cid } from './cid.ts'
import { operationId } from './identity-operation.ts'
import { MAX_IDENTITY_OPS } from './limits.ts'
import type { SyncItem } from './sync-message.ts'
import type { SyncSource } from './sync-source.ts'
import { admit, ask, mayAsk, type Step, type SyncOutcome } from './sync-step.ts'

/** @param own what is here of it */
export function* pullIdentity(
  outcome: SyncOutcome,
  source: SyncSource,
  theirs: SyncItem,
  own: SyncItem | undefined,
): Step<void> {
  const { publisher } = theirs
  if (theirs.forked) {
    if (!own?.forked) yield* pullBranches(outcome, source, publisher)
    // Where one branch has won here, they lack it.
    if (source.chain(publisher)?.isContested === false) outcome.behind = true
    return
  }
  if (own?.forked) {
    // They know of one branch only, or of the one that has won.
    outcome.behind = true
    yield* pullChain(outcome, source, publisher, 0)
    return
  }
  if (own !== undefined && theirs.seq < own.seq) outcome.behind = true
  const [ours] = source.identityOps(publisher, theirs.seq - 1, 1)
  if (ours !== undefined && operationId(ours) === theirs.tip) return
  // Where ours is another one, theirs is a second branch, which only the whole chain can show.
  const from = own === undefined || ours !== undefined ? 0 : own.seq
  yield* pullChain(outcome, source, publisher, from)
}

/** Both branches of a chain that has forked there. */
function* pullBranches(outcome: SyncOutcome, source: SyncSource, publisher: Cid): Step<void> {
  yield* pullChain(outcome, source, publisher, 0)
  if (source.chain(publisher)?.isContested !== false) return
  const { from, operations } = yield* ask(outcome, { t: 'get-rival', publisher }, 'rival')
  if (operations.length === 0) return
  yield* admit(outcome, publisher, { do: 'admit-identity', publisher, operations, from })
}

/** @param first number of the first operation to ask for */
export function* pullChain(
  outcome: SyncOutcome,
  source: SyncSource,
  publisher: Cid,
  first: number,
): Step<void> {
  for (let from = first; from <= MAX_IDENTITY_OPS && mayAsk(outcome); ) {
    const page = yield* ask(outcome, { t: 'get-identity', publisher, from }, 'identity')
    if (page.operations.length === 0) return
    const { operations } = page
    const ok = yield* admit(outcome, publisher, {
      do: 'admit-identity',
      publisher,
      operations,
      from,
    })
    const code = ok ? null : outcome.refused.at(-1)?.code
    if (code === 'PREV_UNKNOWN' && from === first && first > 0) {
      // They follow another branch: it parts from ours before the end of ours.
      outcome.refused.pop()
      from = 0
      continue
    }
    from += operations.length
    if (!page.more) return
    // The branch that is not followed here may win with its next page.
    if (code === 'CONTESTED') continue
    if (!ok || (source.chain(publisher)?.length ?? 0) < from) return
  }
}

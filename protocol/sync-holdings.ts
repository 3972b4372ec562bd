/** Pulls what nodes say they hold, the newest statement of each. docs/protocol.md, "Sync". */
import { compareText } from './bytes.ts'
import type { Cid } from './cid.ts'
import { MAX_CLOCK_AHEAD_MS, MAX_HOLDINGS_MS, MAX_SYNC_HOLDINGS } from './limits.ts'
import { idOfHoldings } from './sync-item.ts'
import type { HoldingsItem } from './sync-message.ts'
import type { SyncSource } from './sync-source.ts'
import { admit, ask, broken, mayAsk, type Step, type SyncOutcome } from './sync-step.ts'

interface NodeWant {
  readonly id: string
  readonly publisher: Cid
  /** The statement here that names all; null: none. */
  readonly base: Cid | null
}

/** @param theirs items that differ */
export function* pullHoldings(
  outcome: SyncOutcome,
  source: SyncSource,
  theirs: readonly HoldingsItem[],
): Step<void> {
  let queue = theirs.flatMap((item) => wantOf(outcome, source, item) ?? [])
  while (queue.length > 0 && mayAsk(outcome)) {
    const asked = queue.slice(0, MAX_SYNC_HOLDINGS)
    const nodes = asked.map(({ id, base }) => ({ id, base }))
    const reply = yield* ask(outcome, { t: 'get-holdings', nodes }, 'holdings')
    if (reply.nodes.length === 0 || reply.nodes.length > asked.length) {
      throw broken('holdings of other nodes')
    }
    for (const [n, { current, base }] of reply.nodes.entries()) {
      // SAFE: there are no more than were asked for.
      const { publisher } = asked[n] as NodeWant
      if (current !== null) {
        yield* admit(outcome, publisher, { do: 'admit-holdings', current, base })
      }
    }
    queue = queue.slice(reply.nodes.length)
  }
}

/** What is said later wins; of two that were issued at once the one of the greater id. */
function wantOf(outcome: SyncOutcome, source: SyncSource, theirs: HoldingsItem): NodeWant | null {
  const id = idOfHoldings(theirs)
  const own = source.holdings(theirs.publisher).find(({ key }) => key === theirs.key)
  if (own !== undefined && !isNewer(theirs, { issued: own.issued, tip: own.id })) {
    outcome.behind = true
    return null
  }
  const horizon = source.horizon()
  const { issued, expires } = theirs
  const isOver = expires < horizon - MAX_CLOCK_AHEAD_MS
  if (issued > horizon || isOver || expires - issued > MAX_HOLDINGS_MS) return null
  return { id, publisher: theirs.publisher, base: own?.full ?? null }
}

/** Whether a statement of a node takes the place of another one. */
export const isNewer = (
  a: Pick<HoldingsItem, 'issued' | 'tip'>,
  b: Pick<HoldingsItem, 'issued' | 'tip'>,
): boolean => a.issued > b.issued || (a.issued === b.issued && compareText(a.tip, b.tip) > 0)

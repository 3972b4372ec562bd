/** Whether honest nodes agree on all that their rules let them share. */
import type { Cid } from '../../protocol/cid.ts'
import { MAX_CLOCK_AHEAD_MS } from '../../protocol/limits.ts'
import { entriesOf, lineOf, placeOf } from '../../protocol/sync-item.ts'
import { isHoldings } from '../../protocol/sync-message.ts'
import type { SimulatedNode } from './node.ts'
import { headerOf } from './reading.ts'

const ALL = 1_000_000
const DAY_MS = 24 * 3600 * 1000

export interface Comparison {
  readonly nodes: readonly SimulatedNode[]
  /** Milliseconds. */
  readonly now: number
  /** Whether a node may know of the log of a key. */
  readonly mayKnow: (node: SimulatedNode, key: string) => boolean
}

/** What a node holds of a log, or of an identity chain, as text. */
interface Holding {
  readonly key: string | null
  readonly text: string
}
type State = ReadonlyMap<Cid, readonly Holding[]>

/** The first difference between two nodes, in words; null where there is none. */
export function difference({ nodes, now, mayKnow }: Comparison): string | null {
  const held = new Set(nodes.flatMap((node) => [...heldBy(node, now)]))
  const states = nodes.map((node) => [node, stateOf(node, held, now)] as const)
  for (const [index, [a, first]] of states.entries()) {
    for (const [b, second] of states.slice(index + 1)) {
      const isShared = (key: string): boolean => mayKnow(a, key) && mayKnow(b, key)
      const found = differ(first, second, isShared)
      if (found !== null) return `${a.name} and ${b.name} differ on ${found}`
    }
  }
  return null
}

function differ(first: State, second: State, isShared: (key: string) => boolean): string | null {
  for (const [publisher, archive] of first) {
    const others = second.get(publisher)
    if (others === undefined) continue
    const shared = [archive, others].map((each) =>
      each.filter(({ key }) => key === null || isShared(key)),
    )
    const [a = [], b = []] = shared.map((each) => each.map(({ text }) => text))
    const onlyOne = [a.filter((text) => !b.includes(text)), b.filter((text) => !a.includes(text))]
    if (onlyOne.flat().length > 0) return `${publisher}:\n${onlyOne.join('\n--\n')}`
  }
  return null
}

/**
 * Logs with a record that a node took in, or signed, while its clock was ahead: others hold it until
 * it is due, which may be in ten years.
 */
function* heldBy({ registry }: SimulatedNode, now: number): Iterable<string> {
  for (const { publisher, key } of registry.logs()) {
    const records = registry.catalogue.recordsAfter(publisher, key, null, ALL)
    if (records.some(({ envelope }) => isAhead(envelope, now))) yield `${publisher}/${key}`
  }
}

const isAhead = (envelope: Uint8Array, now: number): boolean =>
  headerOf(envelope).ts > now + MAX_CLOCK_AHEAD_MS

/** What a node holds of each publisher that it lists. */
function stateOf(node: SimulatedNode, held: ReadonlySet<string>, now: number): State {
  const { registry, archive } = node
  const states = new Map<Cid, readonly Holding[]>()
  for (const publisher of registry.trust.with('list')) {
    const isFrozen = registry.isFrozen(publisher)
    const lines = entriesOf(archive, publisher).flatMap(({ item }): readonly Holding[] => {
      if (isHoldings(item)) return []
      const { key } = item
      if (key === null) return [{ key, text: isFrozen ? `frozen ${publisher}` : lineOf(item) }]
      // Of a forked log nodes may hold different parts; it is enough that all know.
      if (item.forked) return [{ key, text: lineOf(item) }]
      if (isFrozen) return []
      const records = registry.catalogue.recordsAfter(publisher, key, null, ALL)
      const isHeld = held.has(placeOf(item))
      const end = isHeld ? records.findIndex(({ envelope }) => isAhead(envelope, now)) : -1
      const due = end < 0 ? records : records.slice(0, end)
      const ids = due.map(({ envelope }) => headerOf(envelope).id)
      // Dates of heads may differ until the next daily one: where the head of the newest record was
      // lost, and the clock of its signer was set back before it. None may be ahead.
      const isDated = item.day * DAY_MS > now + MAX_CLOCK_AHEAD_MS
      const line = lineOf({ ...item, day: isDated ? item.day : 0 })
      const text = isHeld ? ids : [line, ...ids]
      return text.length === 0 ? [] : [{ key, text: text.join('\n') }]
    })
    states.set(publisher, lines)
  }
  return states
}

/** Whether honest nodes agree on all that their rules let them share. */
import type { Cid } from '../../protocol/cid.ts'
import { expectOk } from '../../protocol/errors.ts'
import { MAX_CLOCK_AHEAD_MS } from '../../protocol/limits.ts'
import { peekRecord } from '../../protocol/record.ts'
import { itemsOf, lineOf, placeOf } from '../../protocol/sync-set.ts'
import type { SimulatedNode } from './node.ts'

const ALL = 1_000_000

/** The first difference between two nodes, in words; null where there is none. */
export function difference(nodes: readonly SimulatedNode[], now: number): string | null {
  const held = new Set(nodes.flatMap((node) => [...heldBy(node, now)]))
  const states = new Map(nodes.map((node) => [node, stateOf(node, held, now)]))
  for (const [index, a] of nodes.entries()) {
    for (const b of nodes.slice(index + 1)) {
      const found = differ(a, states.get(a) ?? new Map(), b, states.get(b) ?? new Map())
      if (found !== null) return found
    }
  }
  return null
}

function differ(
  a: SimulatedNode,
  first: ReadonlyMap<Cid, string>,
  b: SimulatedNode,
  second: ReadonlyMap<Cid, string>,
): string | null {
  for (const [publisher, state] of first) {
    const other = second.get(publisher)
    if (other === undefined || other === state) continue
    return `${a.name} and ${b.name} differ on ${publisher}:\n${state}\n--\n${other}`
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
    if (records.some((envelope) => isAhead(envelope, now))) yield `${publisher}/${key}`
  }
}

const isAhead = (envelope: Uint8Array, now: number): boolean =>
  expectOk(peekRecord(envelope)).ts > now + MAX_CLOCK_AHEAD_MS

/** What a node holds of each publisher that it lists, as text. */
function stateOf(
  node: SimulatedNode,
  held: ReadonlySet<string>,
  now: number,
): ReadonlyMap<Cid, string> {
  const { registry, holdings } = node
  const states = new Map<Cid, string>()
  for (const publisher of registry.trust.with('list')) {
    const isFrozen = registry.isFrozen(publisher)
    const lines = itemsOf(holdings, [publisher]).flatMap((item) => {
      if (item.key === null) return [isFrozen ? `frozen ${publisher}` : lineOf(item)]
      // Of a forked log nodes may hold different parts; it is enough that all know.
      if (item.forked || isFrozen) return item.forked ? [lineOf(item)] : []
      const records = registry.catalogue.recordsAfter(publisher, item.key, null, ALL)
      const isHeld = held.has(placeOf(item))
      const end = isHeld ? records.findIndex((envelope) => isAhead(envelope, now)) : -1
      const due = end < 0 ? records : records.slice(0, end)
      const ids = due.map((envelope) => expectOk(peekRecord(envelope)).id)
      return isHeld ? ids : [lineOf(item), ...ids]
    })
    states.set(publisher, lines.join('\n'))
  }
  return states
}

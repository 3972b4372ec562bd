/**
 * Placement: which nodes fill up the copies of a model that has fewer than its floor. Pure: every node
 * comes to the same order by itself, from what all nodes say, so that those who are asked first act and
 * the others wait whether they did. docs/operations.md, "Copies".
 *
 * Two nodes may see different nodes and copies for a while. What that costs is a copy more than
 * needed, or a turn of waiting; never a copy that goes: filling deletes nothing.
 */
import { compareBytes } from '../protocol/bytes.ts'
import type { Cid } from '../protocol/cid.ts'
import { sha256 } from '../protocol/crypto.ts'

/** A node that is heard of now. */
export interface PlacementNode {
  readonly publisher: Cid
  /** Its serve key, 64 hex digits. */
  readonly key: string
  /** Bytes of others' files that it would still take. */
  readonly room: number
}

/** A model with too few copies. */
export interface Shortage {
  readonly record: Cid
  /** Bytes of its files. */
  readonly size: number
  /** Publishers that hold it. */
  readonly holders: readonly Cid[]
  readonly floor: number
}

const utf8 = new TextEncoder()
const scoreOf = (record: Cid, { publisher, key }: Pick<PlacementNode, 'publisher' | 'key'>) =>
  sha256(utf8.encode(`${record} ${publisher} ${key}`))

/**
 * The order in which nodes fill a shortage: highest random weight, so that models spread evenly and a
 * node that comes or goes moves few of them. One node of each publisher comes first, since copies are
 * counted by publisher; nodes without room, and of publishers that hold it, are left out.
 */
export function orderOf(
  { record, size, holders }: Shortage,
  nodes: readonly PlacementNode[],
): readonly PlacementNode[] {
  const scored = nodes
    .filter(({ publisher, room }) => room >= size && !holders.includes(publisher))
    .map((node) => ({ node, score: scoreOf(record, node) }))
    .sort((a, b) => compareBytes(b.score, a.score))
    .map(({ node }) => node)
  const first = new Set<Cid>()
  const leaders = scored.filter(({ publisher }) => {
    const isFirst = !first.has(publisher)
    first.add(publisher)
    return isFirst
  })
  return [...leaders, ...scored.filter((node) => !leaders.includes(node))]
}

/**
 * How many turns this node waits before it fills a shortage: none where it is among the first who
 * suffice, and one more for each before it who may have a reason not to. Null: it is not for it.
 */
export function turnOf(
  shortage: Shortage,
  self: Pick<PlacementNode, 'publisher' | 'key'>,
  nodes: readonly PlacementNode[],
): number | null {
  const place = orderOf(shortage, nodes).findIndex(
    ({ publisher, key }) => publisher === self.publisher && key === self.key,
  )
  const wanted = shortage.floor - shortage.holders.length
  if (place < 0 || wanted <= 0) return null
  return Math.max(0, place - wanted + 1)
}

/**
 * Part of a turn by which this node is later than others with the same one, from 0 to below a half: it
 * does not fetch all that it is to fill at once, and who comes after it still sees what it did.
 */
export function delayOf(record: Cid, self: Pick<PlacementNode, 'publisher' | 'key'>): number {
  const [high = 0, low = 0] = scoreOf(record, self).subarray(30)
  return (high * 256 + low) / 65536 / 2
}

/** A shortage, and this node's turn. */
export interface Due extends Shortage {
  readonly turn: number
}

/**
 * Since when shortages have been seen, and which of them are this node's to fill now: a shortage has to
 * last for a turn before anybody acts, since most pass by themselves, as while a new model spreads.
 */
export class Shortages {
  readonly #turnMs: number
  readonly #self: Pick<PlacementNode, 'publisher' | 'key'>
  readonly #since = new Map<Cid, number>()
  /** When this node may fill again what it deleted to make room, milliseconds. */
  readonly #rests = new Map<Cid, number>()

  /** @param turnMs length of a turn, milliseconds */
  constructor(turnMs: number, self: Pick<PlacementNode, 'publisher' | 'key'>) {
    this.#turnMs = turnMs
    this.#self = self
  }

  /** This node gave a model up: it does not take it again for a while. */
  gaveUp(record: Cid, now: number): void {
    this.#rests.set(record, now + REST_TURNS * this.#turnMs)
  }

  /** Those to fill now, those that lack most first. Call it with all shortages there are. */
  due(
    shortages: readonly Shortage[],
    nodes: readonly PlacementNode[],
    now: number,
  ): readonly Due[] {
    const present = new Set(shortages.map(({ record }) => record))
    for (const record of this.#since.keys()) if (!present.has(record)) this.#since.delete(record)
    for (const [record, until] of this.#rests) if (until <= now) this.#rests.delete(record)
    return shortages
      .flatMap((shortage): readonly Due[] => {
        const { record } = shortage
        const since = Math.min(this.#since.get(record) ?? now, now)
        this.#since.set(record, since)
        const turn = turnOf(shortage, this.#self, nodes)
        if (turn === null || this.#rests.has(record)) return []
        const waitMs = (1 + turn + delayOf(record, this.#self)) * this.#turnMs
        return now - since >= waitMs ? [{ ...shortage, turn }] : []
      })
      .sort((a, b) => a.holders.length - b.holders.length)
  }
}

/** Turns for which a node leaves alone what it gave up: others come first, and room is short here. */
const REST_TURNS = 30

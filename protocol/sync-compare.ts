/**
 * Finds what differs between two sets, by ranges: those with few items here are compared item by item,
 * others are split. So its work is bounded by what is here, whatever the other side answers.
 */
import { compareText, concat, toHex } from './bytes.ts'
import { MAX_RANGE_MARKS, MAX_SYNC_RANGES } from './limits.ts'
import { idOfItem, type SetEntry } from './sync-item.ts'
import { type AnyItem, MARK_BYTES, type SyncReply } from './sync-message.ts'
import { marksOf, partsOf, type SyncSet } from './sync-set.ts'
import { ask, broken, mayAsk, type Step, type SyncOutcome } from './sync-step.ts'

/** Pages of items that one pull takes, 1,000 each; what is left over comes next time. */
export const MAX_ITEM_PAGES = 20

export interface Differences {
  /** What the other side holds and this one does not, or otherwise. */
  readonly theirs: readonly AnyItem[]
  /** What is here and the other side has nothing of. */
  readonly surplus: readonly SetEntry[]
}

/**
 * @param salt as it was sent
 * @param parts marks of the parts of the whole set
 */
export function* compare(
  outcome: SyncOutcome,
  set: SyncSet,
  salt: Uint8Array,
  parts: Uint8Array,
): Step<Differences> {
  const differing = (range: string, marks: Uint8Array): readonly string[] => {
    const mine = set.parts(range, salt)
    return partsOf(range).filter((_, n) => {
      const [from, to] = [n * MARK_BYTES, (n + 1) * MARK_BYTES]
      return toHex(mine.subarray(from, to)) !== toHex(marks.subarray(from, to))
    })
  }
  const isSmall = (range: string): boolean => set.within(range).length <= MAX_RANGE_MARKS
  const small: string[] = []
  for (let ranges = differing('', parts); ranges.length > 0; ) {
    small.push(...ranges.filter(isSmall))
    const large = ranges.filter((range) => !isSmall(range))
    ranges = []
    for (const some of chunks(large, MAX_SYNC_RANGES)) {
      if (!mayAsk(outcome)) break
      const reply = yield* ask(outcome, { t: 'split', salt, ranges: some }, 'parts')
      if (reply.parts.length !== some.length) throw broken('parts of other ranges')
      const split = some.flatMap((range, n) => differing(range, reply.parts[n] as Uint8Array))
      ranges = [...ranges, ...split]
    }
  }
  const found: Differences[] = []
  const budget = { pages: MAX_ITEM_PAGES }
  for (const some of chunks(small.sort(compareText), MAX_SYNC_RANGES)) {
    found.push(yield* compareItems(outcome, set, salt, some, budget))
  }
  return {
    theirs: found.flatMap(({ theirs }) => theirs),
    surplus: found.flatMap(({ surplus }) => surplus),
  }
}

/** @param names of ranges, in order */
function* compareItems(
  outcome: SyncOutcome,
  set: SyncSet,
  salt: Uint8Array,
  names: readonly string[],
  budget: { pages: number },
): Step<Differences> {
  const mine = names.flatMap((range) => set.within(range))
  const ranges = names.map((range) => ({
    range,
    marks: concat(marksOf(salt, set.within(range))),
  }))
  const theirs = new Map<string, AnyItem>()
  let after: string | null = null
  while (mayAsk(outcome)) {
    if (budget.pages-- <= 0) {
      outcome.more = true
      break
    }
    const page: ItemsReply = yield* ask(outcome, { t: 'compare', salt, ranges, after }, 'items')
    for (const item of page.items) {
      const id = idOfItem(item)
      if (after !== null && id <= after) throw broken('items that are not in order')
      if (!names.some((range) => id.startsWith(range))) throw broken('an item of another range')
      theirs.set(id, item)
      after = id
    }
    if (page.more && page.items.length > 0) continue
    const lacks = page.lacks.map((n) => mine[n] ?? absent())
    const surplus = lacks.filter(({ id }) => !theirs.has(id))
    return { theirs: [...theirs.values()], surplus }
  }
  return { theirs: [...theirs.values()], surplus: [] }
}

type ItemsReply = Extract<SyncReply, { readonly t: 'items' }>

function absent(): never {
  throw broken('a mark that was not named')
}

function* chunks<T>(list: readonly T[], size: number): Generator<readonly T[]> {
  for (let from = 0; from < list.length; from += size) yield list.slice(from, from + size)
}

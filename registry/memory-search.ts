/** How the catalogue in memory matches, ranks and orders models. */
import type { ModelQuery, ModelRow, ProfileRow } from './catalogue.ts'
import { inputFacets, modelText, queryAxes, TEXT_WEIGHTS, wordsOf } from './model-index.ts'

type Row = Omit<ModelRow, 'withdrawn'>

/** Whether a model meets all conditions of a query but its words. */
export function fitsFacets(row: Row, query: ModelQuery): boolean {
  const { publisher, hidden, license, tag, axes, channels, dtype } = query
  if (publisher !== undefined && row.publisher !== publisher) return false
  if (hidden?.includes(row.publisher)) return false
  const { description } = row
  if (license !== undefined && description.license?.toLowerCase() !== license.toLowerCase()) {
    return false
  }
  const tags = description.tags.map((each) => each.toLowerCase())
  if (tag !== undefined && !tags.includes(tag.toLowerCase())) return false
  if (axes === undefined && channels === undefined && dtype === undefined) return true
  return inputFacets(description).some((input) => {
    if (axes !== undefined && input.axes !== queryAxes(axes)) return false
    if (dtype !== undefined && input.dtype !== dtype) return false
    if (channels === undefined) return true
    if (input.channels === null) return false
    const more = channels - input.channels
    return more === 0 || (input.channelStep > 0 && more > 0 && more % input.channelStep === 0)
  })
}

/** Weight of the hits of a query's words, or null where one is missing. */
export function scoreOf(
  row: Row,
  profile: ProfileRow | null,
  words: readonly string[],
): number | null {
  if (words.length === 0) return null
  const text = modelText(row, profile)
  const fields = Object.entries(TEXT_WEIGHTS).map(([name, weight]) => ({
    // SAFE: the weights are named like the texts.
    words: wordsOf(text[name as keyof typeof text]),
    weight,
  }))
  let score = 0
  for (const [n, word] of words.entries()) {
    const isLast = n === words.length - 1
    const sum = fields.reduce((total, { words: there, weight }) => {
      const hits = there.filter((each) => (isLast ? each.startsWith(word) : each === word))
      return total + hits.length * weight
    }, 0)
    if (sum === 0) return null
    score += sum
  }
  return score
}

/** By value; texts by code unit, as SQLite compares the ASCII that they are. */
export function compare<T extends string | number>(a: T, b: T): number {
  if (a === b) return 0
  return a < b ? -1 : 1
}

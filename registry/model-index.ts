/**
 * What of a model can be searched for, taken from its description; the same for every catalogue.
 * Also the words of a query and the cursor of a page.
 */
import { Buffer } from 'node:buffer'
import { ZoariumError } from '../protocol/errors.ts'
import type { Axis, ModelDescription, TensorDescription } from '../protocol/model-description.ts'
import { DEFAULT_PAGE, MAX_PAGE, type ModelQuery, type ProfileRow } from './catalogue.ts'

/** Most words of a query; each costs one look-up. */
const MAX_WORDS = 16
const MAX_WORD_CHARS = 64

/** The tensor signature of one input, as queries name it. */
export interface InputFacets {
  /** Space and time axes, sorted letters, e.g. `xy`. */
  readonly axes: string
  /** Fewest channels, or null where they depend on something else. */
  readonly channels: number | null
  /** Step of the channels above the fewest; 0: fixed. */
  readonly channelStep: number
  readonly dtype: string
}

export const inputFacets = (description: ModelDescription): readonly InputFacets[] =>
  description.inputs.map((input) => ({
    axes: input.axes.map(axisLetter).sort().join(''),
    ...channelsOf(input),
    dtype: input.dtype,
  }))

const axisLetter = (axis: Axis): string => {
  if (axis.type === 'time') return 't'
  return axis.type === 'space' ? axis.id : ''
}

function channelsOf(input: TensorDescription): { channels: number | null; channelStep: number } {
  const size = input.axes.find((axis) => axis.type === 'channel')?.size
  if (size === undefined) return { channels: 1, channelStep: 0 }
  if (size.kind === 'fixed') return { channels: size.size, channelStep: 0 }
  if (size.kind === 'stepped') return { channels: size.min, channelStep: size.step }
  return { channels: null, channelStep: 0 }
}

/** The axes of a query in the form of {@link InputFacets}. */
export const queryAxes = (axes: string): string =>
  [...axes.toLowerCase().replace(/[bci]/g, '')].sort().join('')

/** Texts of a model by weight of a hit: name, tags, authors and publisher, description. */
export interface ModelText {
  readonly name: string
  readonly tags: string
  readonly people: string
  readonly description: string
}

export const TEXT_WEIGHTS = { name: 10, tags: 5, people: 3, description: 1 } as const

export function modelText(
  model: { name: string; aliases: readonly string[]; description: ModelDescription },
  profile: Pick<ProfileRow, 'label' | 'displayName'> | null,
): ModelText {
  const { description } = model
  const authors = description.authors.flatMap((author) => [author.name, author.affiliation ?? ''])
  return {
    name: [model.name, description.name, description.id ?? '', ...model.aliases].join(' '),
    tags: description.tags.join(' '),
    people: [profile?.label ?? '', profile?.displayName ?? '', ...authors].join(' '),
    description: description.description,
  }
}

/** Words of a text: letters and digits, folded to lower case without accents. */
export const wordsOf = (text: string): readonly string[] =>
  text
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .toLowerCase()
    .match(/[\p{L}\p{N}]+/gu) ?? []

/**
 * Words of a query, or null where it has no text.
 * @throws ZoariumError PARAMETER where there are too many, or one is too long
 */
export function queryWords(text: string | undefined): readonly string[] | null {
  if (text === undefined || text.trim() === '') return null
  const words = wordsOf(text)
  const longest = words.reduce((most, word) => Math.max(most, word.length), 0)
  if (words.length > MAX_WORDS || longest > MAX_WORD_CHARS) {
    throw new ZoariumError('PARAMETER', 'the search text is too long', {
      field: 'q',
      limit: `${MAX_WORDS} words of ${MAX_WORD_CHARS} characters`,
      got: words.length > MAX_WORDS ? `${words.length} words` : `a word of ${longest} characters`,
    })
  }
  return words
}

/** Where a page ended: the sort key and the row of its last item. */
export interface Cursor {
  readonly key: number | string
  readonly row: number
}

export const formatCursor = (sort: string, { key, row }: Cursor): string =>
  Buffer.from(JSON.stringify([sort, key, row])).toString('base64url')

/** @throws ZoariumError PARAMETER for anything but a cursor of a page in the same order */
export function parseCursor(text: string | undefined, sort: string): Cursor | null {
  if (text === undefined) return null
  let value: unknown
  try {
    value = JSON.parse(Buffer.from(text, 'base64url').toString())
  } catch {
    value = null
  }
  const [itsSort, key, row] = Array.isArray(value) ? value : []
  const isKey = typeof key === (sort === 'name' ? 'string' : 'number')
  if (itsSort === sort && isKey && Number.isSafeInteger(row)) return { key, row }
  throw new ZoariumError('PARAMETER', 'not a cursor of this search', {
    field: 'cursor',
    got: text.slice(0, 80),
    hint: 'pass "next" of the page before, with the same query',
  })
}

/** @throws ZoariumError PARAMETER outside 1 to {@link MAX_PAGE} */
export function pageSize(query: ModelQuery): number {
  const limit = query.limit ?? DEFAULT_PAGE
  if (Number.isInteger(limit) && limit >= 1 && limit <= MAX_PAGE) return limit
  throw new ZoariumError('PARAMETER', `limit must be 1 to ${MAX_PAGE}`, {
    field: 'limit',
    limit: MAX_PAGE,
    got: limit,
  })
}

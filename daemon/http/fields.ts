/**
 * Reads query parameters and JSON fields by a table of readers: unknown, repeated or wrong ones are
 * refused with PARAMETER and their name, so that a typo never passes for "no filter".
 */
import type { ParsedUrlQuery } from 'node:querystring'
import { ZoariumError } from '../../protocol/errors.ts'

/** Turns one value into `T` or throws PARAMETER. */
export type Reader<T> = (value: unknown, field: string) => T
type Readers = Readonly<Record<string, Reader<unknown>>>
/** Absent fields are null. */
export type Fields<R extends Readers> = { readonly [K in keyof R]: ReturnType<R[K]> | null }

/** Most items of a list that has no bound of its own: there are fewer scopes and weight formats. */
const MAX_LIST = 100
/** The longest value that an error repeats, in characters. */
const MAX_SHOWN = 80

export function wrong(field: string, message: string, got: unknown, limit?: string | number) {
  const shown = typeof got === 'string' ? got : (JSON.stringify(got) ?? 'nothing')
  return new ZoariumError('PARAMETER', `${field}: ${message}`, {
    field,
    got: shown.slice(0, MAX_SHOWN),
    ...(limit === undefined ? {} : { limit }),
  })
}

/** @param max longest text, in characters */
export const text =
  (max: number): Reader<string> =>
  (value, field) => {
    if (typeof value !== 'string' || value === '') throw wrong(field, 'a text is needed', value)
    if (value.length > max) throw wrong(field, 'the text is too long', value, max)
    return value
  }

export const pattern =
  (form: RegExp, meaning: string): Reader<string> =>
  (value, field) => {
    if (typeof value !== 'string' || !form.test(value)) throw wrong(field, meaning, value)
    return value
  }

export const oneOf =
  <const T extends string>(choices: readonly T[]): Reader<T> =>
  (value, field) => {
    const found = choices.find((choice) => choice === value)
    if (found === undefined) throw wrong(field, 'not one of the choices', value, choices.join(', '))
    return found
  }

/**
 * A list in JSON; in a query the items stand between commas.
 * @param max most items
 */
export const listOf =
  <T>(item: Reader<T>, max = MAX_LIST): Reader<readonly T[]> =>
  (value, field) => {
    const items = typeof value === 'string' ? value.split(',') : value
    if (!Array.isArray(items)) throw wrong(field, 'a list is needed', value)
    if (items.length > max) throw wrong(field, 'too many items', items.length, max)
    return items.map((each) => item(each, field))
  }

/** A whole number, as JSON or in digits; both bounds are allowed values. */
export const integer =
  (min: number, max: number): Reader<number> =>
  (value, field) => {
    const number =
      typeof value === 'string' && /^-?[0-9]{1,16}$/.test(value) ? Number(value) : value
    if (!Number.isSafeInteger(number)) throw wrong(field, 'a whole number is needed', value)
    // SAFE: a safe integer is a number.
    const integer = number as number
    if (integer < min || integer > max)
      throw wrong(field, 'out of range', value, `${min} to ${max}`)
    return integer
  }

export const flag: Reader<boolean> = (value, field) => {
  if (value === true || value === 'true' || value === '1') return true
  if (value === false || value === 'false' || value === '0') return false
  throw wrong(field, 'true or false is needed', value)
}

/** The query of a URL. @throws ZoariumError PARAMETER */
export function readQuery<R extends Readers>(query: ParsedUrlQuery, readers: R): Fields<R> {
  for (const [field, value] of Object.entries(query)) {
    if (Array.isArray(value)) throw wrong(field, 'given more than once', value.join(', '))
  }
  return readFields(query, readers, 'the address')
}

/** A JSON object. @throws ZoariumError PARAMETER */
export function readFields<R extends Readers>(
  given: unknown,
  readers: R,
  where = 'the body',
): Fields<R> {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw wrong('body', 'a JSON object is needed', given)
  }
  const values = new Map<string, unknown>(Object.entries(given))
  for (const field of values.keys()) {
    if (!Object.hasOwn(readers, field)) {
      throw new ZoariumError('PARAMETER', `${where} has a field that this route does not take`, {
        field: field.slice(0, MAX_SHOWN),
        limit: Object.keys(readers).join(', ') || 'none',
      })
    }
  }
  const read = Object.entries(readers).map(([field, reader]) => {
    const value = values.get(field)
    return [field, value === undefined || value === null ? null : reader(value, field)]
  })
  // SAFE: one entry for each reader, made by it.
  return Object.fromEntries(read) as Fields<R>
}

/** @throws ZoariumError PARAMETER where the field is absent */
export function required<T>(value: T | null, field: string): T {
  if (value === null) throw new ZoariumError('PARAMETER', `${field} is needed`, { field })
  return value
}

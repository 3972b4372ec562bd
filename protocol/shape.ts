/**
 * Shapes of decoded values: one description that both reads foreign values strictly and writes our
 * own. A shape refuses what it does not know: a missing, surplus or wrong field is a verdict that
 * names the field, never a throw.
 */
import { CID } from 'multiformats/cid'
import { fromHex, toHex } from './bytes.ts'
import type { CborValue } from './cbor.ts'
import {
  type Cid,
  type Codec,
  checkCid,
  cidFromDigest,
  codecOf,
  DIGEST_BYTES,
  digestOf,
  linkOf,
} from './cid.ts'
import { accept, refuse, type Verdict } from './errors.ts'

export interface Shape<T> {
  /** @param field path of the value, for the verdict */
  read(value: unknown, field: string): Verdict<T>
  write(value: T): CborValue
}

/** The type that a shape reads. */
export type ShapeOf<S> = S extends Shape<infer T> ? T : never

const wrong = (field: string, limit: string) =>
  refuse('RECORD_INVALID', `${field} is not ${limit}`, { field, limit })

/** An integer within bounds, both included. */
export const int = (min: number, max: number): Shape<number> => ({
  read: (value, field) =>
    typeof value === 'number' && Number.isSafeInteger(value) && value >= min && value <= max
      ? accept(value)
      : wrong(field, `an integer from ${min} to ${max}`),
  write: (value) => value,
})

export const bool: Shape<boolean> = {
  read: (value, field) =>
    typeof value === 'boolean' ? accept(value) : wrong(field, 'true or false'),
  write: (value) => value,
}

/** Text of at most `max` UTF-16 code units, matching `pattern` where one is given. */
export const text = (max: number, pattern?: RegExp): Shape<string> => ({
  read: (value, field) =>
    typeof value === 'string' && value.length <= max && (pattern?.test(value) ?? true)
      ? accept(value)
      : wrong(
          field,
          `text of at most ${max} characters${pattern ? ` like ${pattern.source}` : ''}`,
        ),
  write: (value) => value,
})

/** Text that passes a check of its own, whose failure is that of the field. */
export const checked = (check: (text: string) => Verdict<string>): Shape<string> => ({
  read(value, field) {
    if (typeof value !== 'string') return wrong(field, 'text')
    const verdict = check(value)
    return verdict.ok ? verdict : { ...verdict, field }
  },
  write: (value) => value,
})

/** One of some words. */
export const word = <const W extends string>(...words: readonly W[]): Shape<W> => ({
  read: (value, field) => {
    const found = words.find((each) => each === value)
    return found === undefined ? wrong(field, words.join(' or ')) : accept(found)
  },
  write: (value) => value,
})

export const bytes = (min: number, max: number): Shape<Uint8Array> => ({
  read: (value, field) =>
    value instanceof Uint8Array && value.length >= min && value.length <= max
      ? accept(value)
      : wrong(field, `${min} to ${max} bytes`),
  write: (value) => value,
})

/** Bytes on the wire, hex digits in the program. */
const hex = (length: number, what: string): Shape<string> => ({
  read: (value, field) =>
    value instanceof Uint8Array && value.length === length
      ? accept(toHex(value))
      : wrong(field, `${what} of ${length} bytes`),
  write: fromHex,
})

export const key = hex(32, 'a key')
/** The id of an item of a set: 32 hex digits in the program. */
export const itemId = hex(16, 'an id')

/** A link on the wire, its text in the program. */
export const link: Shape<Cid> = {
  read: (value, field) => {
    // `instanceof`, since CID.asCID() takes look-alike maps for links.
    return value instanceof CID ? checkCid(value) : wrong(field, 'a content id')
  },
  write: (value) => linkOf(value),
}

/** The id of an identity, operation or record, all of one codec: its digest on the wire. */
export const statementId: Shape<Cid> = {
  read: (value, field) =>
    value instanceof Uint8Array && value.length === DIGEST_BYTES
      ? accept(cidFromDigest('dag-cbor', value))
      : wrong(field, `a digest of ${DIGEST_BYTES} bytes`),
  write: digestOf,
}

/** A link whose codec is one of some. */
export const linkTo = (...codecs: readonly Codec[]): Shape<Cid> => ({
  read(value, field) {
    const read = link.read(value, field)
    if (!read.ok || codecs.includes(codecOf(read.value))) return read
    return refuse('CID_PROFILE', `${field} is a content id of another codec`, {
      field,
      limit: codecs.join(' or '),
      got: codecOf(read.value),
    })
  },
  write: link.write,
})

export const nullable = <T>(shape: Shape<T>): Shape<T | null> => ({
  read: (value, field) => (value === null ? accept(null) : shape.read(value, field)),
  write: (value) => (value === null ? null : shape.write(value)),
})

/** Either shape; `first` is tried first. `isFirst` tells which one writes a value. */
export const either = <A, B>(
  first: Shape<A>,
  second: Shape<B>,
  isFirst: (value: A | B) => value is A,
): Shape<A | B> => ({
  read: (value, field) => {
    const verdict = first.read(value, field)
    return verdict.ok ? verdict : second.read(value, field)
  },
  write: (value) => (isFirst(value) ? first.write(value) : second.write(value)),
})

/** A list of at most `max` values. */
export const list = <T>(item: Shape<T>, max: number): Shape<readonly T[]> => ({
  read: (value, field) => {
    if (!Array.isArray(value)) return wrong(field, 'a list')
    if (value.length > max) {
      return refuse('LIMIT', `${field} has too many items`, {
        field,
        limit: max,
        got: value.length,
      })
    }
    const items: T[] = []
    for (const [index, each] of value.entries()) {
      const verdict = item.read(each, `${field}[${index}]`)
      if (!verdict.ok) return verdict
      items.push(verdict.value)
    }
    return accept(items)
  },
  write: (value) => value.map((each) => item.write(each)),
})

const isMap = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' &&
  value !== null &&
  !Array.isArray(value) &&
  !(value instanceof Uint8Array) &&
  !(value instanceof CID)

type MapOf<F> = { readonly [K in keyof F]: ShapeOf<F[K]> }

/** A shape of whatever it reads; a shape is bound to its type on both sides. */
// biome-ignore lint/suspicious/noExplicitAny: nothing else stands for both sides at once
export type AnyShape = Shape<any>

/** A map of exactly these fields. */
export function map<const F extends Readonly<Record<string, AnyShape>>>(
  fields: F,
): Shape<MapOf<F>> {
  const shapes = Object.entries<Shape<unknown>>(fields)
  return {
    read(value, field) {
      if (!isMap(value)) return wrong(field, 'a map')
      const result: Record<string, unknown> = {}
      for (const [name, shape] of shapes) {
        const path = field === '' ? name : `${field}.${name}`
        if (!Object.hasOwn(value, name)) return wrong(path, 'there')
        const verdict = shape.read(value[name], path)
        if (!verdict.ok) return verdict
        result[name] = verdict.value
      }
      const given = Object.keys(value)
      if (given.length > shapes.length) {
        // SAFE: all that are known are there, so one of the others is not among them.
        const surplus = given.find((name) => !Object.hasOwn(fields, name)) as string
        return refuse('UNKNOWN_FIELD', 'a field that the schema does not know', {
          field: `${field === '' ? '' : `${field}.`}${surplus.slice(0, 64)}`,
        })
      }
      // SAFE: each field was read by its own shape.
      return accept(result as MapOf<F>)
    },
    write: (value) => {
      const result: Record<string, CborValue> = {}
      for (const [name, shape] of shapes) result[name] = shape.write(value[name])
      return result
    },
  }
}

/** A map of exactly these fields that travels as a list of their values: names would be half of it. */
export function row<const F extends Readonly<Record<string, AnyShape>>>(
  fields: F,
): Shape<MapOf<F>> {
  const names = Object.keys(fields)
  const named = map(fields)
  return {
    read: (value, field) =>
      Array.isArray(value) && value.length === names.length
        ? named.read(Object.fromEntries(names.map((name, n) => [name, value[n]])), field)
        : wrong(field, `a list of ${names.length} parts`),
    // SAFE: `names` are the keys of `fields`.
    write: (value) =>
      names.map((name) => (fields[name] as Shape<unknown>).write(value[name as keyof F])),
  }
}

/** A map of any names, at most `max` of them, with values of one shape. */
export const dictionary = <T>(
  item: Shape<T>,
  max: number,
  name: RegExp,
): Shape<Readonly<Record<string, T>>> => ({
  read: (value, field) => {
    if (!isMap(value)) return wrong(field, 'a map')
    const entries = Object.entries(value)
    if (entries.length > max) return wrong(field, `a map of at most ${max}`)
    const result: Record<string, T> = {}
    for (const [each, entry] of entries) {
      const path = `${field}.${each.slice(0, 64)}`
      if (!name.test(each)) return wrong(path, `a name like ${name.source}`)
      const verdict = item.read(entry, path)
      if (!verdict.ok) return verdict
      result[each] = verdict.value
    }
    return accept(result)
  },
  write: (value) =>
    Object.fromEntries(Object.entries(value).map(([each, entry]) => [each, item.write(entry)])),
})

/** A list with no two equal items. */
export const distinct = <T>(
  item: Shape<T>,
  max: number,
  keyOf: (item: T) => unknown = (each) => each,
): Shape<readonly T[]> => {
  const shape = list(item, max)
  return {
    read(value, field) {
      const read = shape.read(value, field)
      if (!read.ok || new Set(read.value.map(keyOf)).size === read.value.length) return read
      return refuse('RECORD_INVALID', `${field} names something twice`, { field })
    },
    write: shape.write,
  }
}

/** A list of texts, each greater than the one before. */
export const ascending = <T extends string>(item: Shape<T>, max: number): Shape<readonly T[]> => {
  const shape = list(item, max)
  return {
    read(value, field) {
      const read = shape.read(value, field)
      if (!read.ok) return read
      const { value: items } = read
      // SAFE: there is one before each but the first.
      const at = items.findIndex((each, n) => n > 0 && each <= (items[n - 1] as T))
      return at < 0 ? read : wrong(`${field}[${at}]`, 'after the one before')
    },
    write: shape.write,
  }
}

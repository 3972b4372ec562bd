/** The types of the tables in docs/protocol.md, as rules over what the general codec decoded. */
import { CID } from 'multiformats/cid'
import { type Fault, first } from './encoding.ts'

/** What is wrong with a value, or null. */
export type Rule = (value: unknown) => Fault

const DAG_CBOR = 0x71

export const int =
  (min: number, max: number): Rule =>
  (value) =>
    typeof value === 'number' && value >= min && value <= max ? null : `no int ${min}..${max}`

export const time: Rule = int(0, 2 ** 53 - 1)

export const bool: Rule = (value) => (typeof value === 'boolean' ? null : 'not true or false')

export const bytes =
  (min: number, max = min): Rule =>
  (value) =>
    value instanceof Uint8Array && value.length >= min && value.length <= max
      ? null
      : `not bytes(${min}..${max})`

export const link =
  (...codecs: readonly number[]): Rule =>
  (value) => {
    const cid = CID.asCID(value)
    return cid !== null && codecs.includes(cid.code) ? null : 'no link of that codec'
  }

/** A link to a payload. */
export const payload: Rule = link(DAG_CBOR)
export const anyLink: Rule = link(0x55, DAG_CBOR, 0x70)

export const text =
  (max: number, form = /^/): Rule =>
  (value) =>
    typeof value === 'string' && value.length <= max && form.test(value) ? null : `not text(${max})`

const HIDDEN = /[\p{Cc}\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]/u

export const shown =
  (max: number): Rule =>
  (value) => {
    if (typeof value !== 'string') return 'not text'
    if ([...value].length > max) return 'text is too long'
    if (HIDDEN.test(value) || !value.isWellFormed()) return 'text that shows as something else'
    return value.normalize('NFC') === value ? null : 'not in normal form C'
  }

export const word =
  (...words: readonly string[]): Rule =>
  (value) =>
    words.some((each) => each === value) ? null : `not one of ${words.join(' ')}`

export const nullable =
  (rule: Rule): Rule =>
  (value) =>
    value === null ? null : rule(value)

export const either =
  (...rules: readonly Rule[]): Rule =>
  (value) =>
    rules.some((rule) => rule(value) === null) ? null : 'none of the choices'

export const list =
  (rule: Rule, max: number): Rule =>
  (value) =>
    !Array.isArray(value)
      ? 'not a list'
      : value.length > max
        ? 'too many items'
        : first(value.map(rule))

/** A list with no two items that write the same. */
export const distinct = (rule: Rule, max: number, of: (item: unknown) => string = String): Rule =>
  also(list(rule, max), (value) => {
    const names = (value as unknown[]).map(of)
    return new Set(names).size === names.length ? null : 'something stands twice'
  })

/** A second rule that may rely on the first. */
export const also =
  (rule: Rule, more: Rule): Rule =>
  (value) =>
    rule(value) ?? more(value)

export const isMap = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' &&
  value !== null &&
  !Array.isArray(value) &&
  !(value instanceof Uint8Array) &&
  CID.asCID(value) === null

/** Exactly these fields. */
export const fields =
  (rules: Readonly<Record<string, Rule>>): Rule =>
  (value) => {
    if (!isMap(value)) return 'not a map'
    const names = Object.keys(rules)
    const surplus = Object.keys(value).find((name) => !names.includes(name))
    if (surplus !== undefined) return `unknown field ${surplus}`
    return first(
      Object.entries(rules).map(([name, rule]) => {
        const fault = Object.hasOwn(value, name) ? rule(value[name]) : 'is missing'
        return fault === null ? null : `${name}: ${fault}`
      }),
    )
  }

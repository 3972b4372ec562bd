/** Reads the part `mirror` of the policy file. */
import { type Cid, codecOf, parseCid } from '../protocol/cid.ts'
import { MAX_ROSTER_MEMBERS } from '../protocol/limits.ts'
import {
  DEFAULT_FLOOR,
  DEFAULT_MIRROR,
  FETCHES,
  type Fetch,
  MAX_FLOOR,
  type MirrorRule,
  type MirrorRules,
} from './mirror-rules.ts'
import type { Fields } from './policy-fields.ts'

/** Most pins: as many as a node says it holds. */
export const MAX_PINS = 10_000
/** Most tags, and most licences, of one rule: more are another rule. */
export const MAX_RULE_WORDS = 100
/** Longest tag or licence, in characters. */
const MAX_WORD_CHARS = 256

/** @param publisherOf an id, or the petname of a rule in this file */
export function readMirror(
  part: Fields | null,
  publisherOf: (value: unknown) => Cid | null,
): MirrorRules {
  if (part === null) return DEFAULT_MIRROR
  part.only('floor', 'otherwise', 'rules', 'pins')
  const floor = readFloor(part, DEFAULT_FLOOR)
  const otherwise = readFetch(part, 'otherwise', 'always')
  const rules = part.maps('rules').map((each) => readRule(each, publisherOf))
  const pins = part.list('pins', MAX_PINS, 'must be the id of a model record', recordOf, [])
  // What is wrong was noted as a fault, and nothing of the file counts then.
  return {
    floor: floor ?? DEFAULT_FLOOR,
    otherwise: otherwise ?? 'always',
    rules: rules.flatMap((each) => each ?? []),
    pins: pins ?? [],
  }
}

function readRule(fields: Fields, publisherOf: (value: unknown) => Cid | null): MirrorRule | null {
  fields.only('publishers', 'tags', 'licenses', 'largest', 'fetch', 'floor')
  const who = 'must be a publisher id, or the petname of a rule in this file'
  const publishers = fields.list('publishers', MAX_ROSTER_MEMBERS, who, publisherOf, ANY)
  const words = (name: string): readonly string[] | null =>
    fields.list(name, MAX_RULE_WORDS, 'must be a text of 1 to 256 characters', wordOf, ANY_WORD)
  const [tags, licenses] = [words('tags'), words('licenses')]
  const largest = fields.value<number>(
    'largest',
    'must be a number of bytes, 0 or more',
    (value) => Number.isSafeInteger(value) && (value as number) >= 0,
    ANY_SIZE,
  )
  const fetch = readFetch(fields, 'fetch')
  const floor = readFloor(fields, NO_FLOOR)
  if (
    publishers === null ||
    tags === null ||
    licenses === null ||
    largest === null ||
    fetch === null ||
    floor === null
  ) {
    return null
  }
  return {
    publishers: publishers === ANY ? null : publishers,
    tags: tags === ANY_WORD ? null : tags,
    licenses: licenses === ANY_WORD ? null : licenses,
    largest: largest === ANY_SIZE ? null : largest,
    fetch,
    floor: floor === NO_FLOOR ? null : floor,
    line: fields.line,
  }
}

/** What stands for a condition that is not there. */
const ANY: readonly Cid[] = []
const ANY_WORD: readonly string[] = []
const ANY_SIZE = -1
const NO_FLOOR = -1

const readFetch = (fields: Fields, name: string, absent?: Fetch): Fetch | null =>
  fields.value<Fetch>(
    name,
    `must be one of ${FETCHES.join(', ')}`,
    (value) => FETCHES.some((each) => each === value),
    absent,
  )

const readFloor = (fields: Fields, absent: number): number | null =>
  fields.value<number>(
    'floor',
    `must be a whole number from 0 to ${MAX_FLOOR}`,
    (value) =>
      Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= MAX_FLOOR,
    absent,
  )

const wordOf = (value: unknown): string | null =>
  typeof value === 'string' && value.length > 0 && value.length <= MAX_WORD_CHARS ? value : null

function recordOf(value: unknown): Cid | null {
  const cid = typeof value === 'string' ? parseCid(value) : null
  return cid?.ok && codecOf(cid.value) === 'dag-cbor' ? cid.value : null
}

/**
 * Mirror rules: which models' files this node fetches by itself, which only when they are used, and of
 * which how many copies it helps to keep. docs/policy.md has them for operators. Whether files may be
 * held at all is a right of their publisher (trust.ts).
 */
import type { Cid } from '../protocol/cid.ts'
import type { ModelDescription } from '../protocol/model-description.ts'

/**
 * - always: fetched, and kept whatever else needs the room
 * - demand: fetched when it is pulled, read or run, or to keep it from getting lost; what was used
 *   longest ago goes where room is needed
 * - never: not fetched
 */
export const FETCHES = ['always', 'demand', 'never'] as const
export type Fetch = (typeof FETCHES)[number]

/** Copies, at as many institutions, that are kept of a model: one more than its own publisher's. */
export const DEFAULT_FLOOR = 2
/** More copies are a choice of those who fetch, not a duty of all. */
export const MAX_FLOOR = 16

/** All conditions must hold; null: any. */
export interface MirrorRule {
  readonly publishers: readonly Cid[] | null
  /** One of them. */
  readonly tags: readonly string[] | null
  readonly licenses: readonly string[] | null
  /** Bytes of all files together, at most. */
  readonly largest: number | null
  readonly fetch: Fetch
  /** Null: that of the file. */
  readonly floor: number | null
  readonly line: number | null
}

export interface MirrorRules {
  /** The first that fits a model decides. */
  readonly rules: readonly MirrorRule[]
  /** Where none fits. */
  readonly otherwise: Fetch
  /** Copies that are kept of each model, at as many institutions; 0: none on purpose. */
  readonly floor: number
  /** Model records that are fetched and kept, whatever the rules say. */
  readonly pins: readonly Cid[]
}

export const DEFAULT_MIRROR: MirrorRules = {
  rules: [],
  otherwise: 'always',
  floor: DEFAULT_FLOOR,
  pins: [],
}

/** What is done with the files of one model. */
export interface MirrorDecision {
  readonly fetch: Fetch
  readonly floor: number
  /** What decides. */
  readonly because: 'own' | 'pin' | 'rule' | 'otherwise'
  readonly rule: MirrorRule | null
}

/** What rules look at. */
export interface MirroredModel {
  readonly record: Cid
  readonly publisher: Cid
  readonly description: Pick<ModelDescription, 'tags' | 'license'>
  readonly files: readonly { readonly cid: Cid; readonly size: number }[]
}

/** What the rules say of a model. @param own this node's publisher */
export function decideMirror(
  { rules, otherwise, floor, pins }: MirrorRules,
  own: Cid | null,
  model: MirroredModel,
): MirrorDecision {
  const rule = rules.find((each) => fits(each, model)) ?? null
  const common = { floor: rule?.floor ?? floor, rule }
  if (model.publisher === own) return { ...common, fetch: 'always', because: 'own' }
  if (pins.includes(model.record)) return { ...common, fetch: 'always', because: 'pin' }
  return rule === null
    ? { ...common, fetch: otherwise, because: 'otherwise' }
    : { ...common, fetch: rule.fetch, because: 'rule' }
}

function fits(
  { publishers, tags, licenses, largest }: MirrorRule,
  { publisher, description, files }: MirroredModel,
): boolean {
  const has = (some: readonly string[], text: string | null): boolean =>
    text !== null && some.some((each) => each.toLowerCase() === text.toLowerCase())
  return (
    (publishers === null || publishers.includes(publisher)) &&
    (tags === null || description.tags.some((tag) => has(tags, tag))) &&
    (licenses === null || has(licenses, description.license)) &&
    (largest === null || bytesOf(files) <= largest)
  )
}

/** Bytes of files on disk: those of equal bytes are one blob. */
export const bytesOf = (files: MirroredModel['files']): number =>
  [...new Map(files.map(({ cid, size }) => [cid, size])).values()].reduce((a, b) => a + b, 0)

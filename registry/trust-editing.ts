/** Changes of the policy file's text that keep what the operator wrote beside them. */
import {
  type Document,
  isMap,
  isScalar,
  isSeq,
  parseDocument,
  type YAMLMap,
  type YAMLSeq,
} from 'yaml'
import type { Cid } from '../protocol/cid.ts'
import type { Right, RosterRule } from './trust.ts'

/** A change of the rules: what is left out stays as it was. */
export interface TrustChange {
  readonly publisher: Cid
  readonly right: Right
  readonly petname?: string | null
  readonly send?: boolean
}

/** The text must have been read without a fault. */
export function withRule(text: string, change: TrustChange): string {
  const document = parseDocument(text)
  const { publisher, right, petname, send } = change
  const rule = entryOf(document, listOf(document, 'rules'), { publisher })
  rule.set('right', right)
  if (petname === null) rule.delete('petname')
  else if (petname !== undefined) rule.set('petname', petname)
  if (send === false) rule.delete('send')
  else if (send !== undefined) rule.set('send', send)
  return textOf(document)
}

/** The file without the rules for a publisher. */
export const withoutRule = (text: string, publisher: Cid): string =>
  without(text, 'rules', { publisher })

/** The file with a roster followed, or followed as it is now. */
export function withRoster(text: string, roster: Omit<RosterRule, 'line'>): string {
  const document = parseDocument(text)
  const { publisher, name, right, members, bootstrap } = roster
  const entry = entryOf(document, listOf(document, 'rosters'), { publisher, name })
  entry.set('right', right)
  entry.set('members', document.createNode(members))
  if (bootstrap.length > 0) entry.set('bootstrap', document.createNode(bootstrap))
  else entry.delete('bootstrap')
  return textOf(document)
}

export const withoutRoster = (text: string, publisher: Cid, name: string): string =>
  without(text, 'rosters', { publisher, name })

/** The file with a model record pinned. @param name what it is, for people */
export function withPin(text: string, record: Cid, name: string): string {
  const document = parseDocument(text)
  if (!document.has('mirror')) document.set('mirror', document.createNode({}))
  const mirror = document.get('mirror')
  if (!isMap(mirror)) throw new TypeError('the policy was not checked before the change')
  if (!mirror.has('pins')) mirror.set('pins', document.createNode([]))
  const pins = mirror.get('pins')
  if (!isSeq(pins)) throw new TypeError('the policy was not checked before the change')
  if (pins.items.some((item) => isScalar(item) && item.value === record)) return text
  mirror.flow = false
  pins.flow = false
  const pin = document.createNode(record)
  pin.comment = ` ${name}`
  pins.items.push(pin)
  return textOf(document)
}

/** The file without that pin. */
export function withoutPin(text: string, record: Cid): string {
  const document = parseDocument(text)
  const pins = document.getIn(['mirror', 'pins'])
  if (!isSeq(pins)) return text
  pins.items = pins.items.filter((item) => !(isScalar(item) && item.value === record))
  pins.flow = pins.items.length === 0
  return textOf(document)
}

type Named = Readonly<Record<string, string>>

function listOf(document: Document, name: string): YAMLSeq {
  if (!document.has(name)) document.set(name, document.createNode([]))
  const list = document.get(name)
  if (!isSeq(list)) throw new TypeError('the policy was not checked before the change')
  list.flow = false
  return list
}

const isNamed =
  (names: Named) =>
  (item: unknown): item is YAMLMap =>
    isMap(item) && Object.entries(names).every(([key, value]) => item.get(key) === value)

/** The entry of those names; made where there is none. */
function entryOf(document: Document, list: YAMLSeq, names: Named): YAMLMap {
  const found = list.items.find(isNamed(names))
  if (found !== undefined) return found
  const made = document.createNode(names)
  if (!isMap(made)) throw new TypeError('an entry is a map')
  list.items.push(made)
  return made
}

function without(text: string, name: string, names: Named): string {
  const document = parseDocument(text)
  const list = listOf(document, name)
  list.items = list.items.filter((item) => !isNamed(names)(item))
  list.flow = list.items.length === 0
  return textOf(document)
}

/** Lines stay as long as the operator wrote them. */
const textOf = (document: Document): string => document.toString({ lineWidth: 0 })

/**
 * The policy file `trust.yaml`: read whole and strictly, changed without losing what the operator
 * wrote beside the rules.
 *
 *     version: 1
 *     rules:
 *       - publisher: bafyrei...      # the publisher's id; names can be taken by anyone
 *         right: run                 # see < list < mirror < run
 *         petname: embl              # optional: what this node calls it
 *         send: true                 # optional: images may be sent to its nodes
 */
import { type Document, isMap, isSeq, parseDocument, type YAMLSeq } from 'yaml'
import { type Cid, parseCid } from '../protocol/cid.ts'
import {
  accept,
  expectOk,
  type Issue,
  refuse,
  type Verdict,
  ZoariumError,
} from '../protocol/errors.ts'
import { RIGHTS, type Right, TrustPolicy, type TrustRule } from './trust.ts'

const EMPTY_POLICY = `# Which publisher may what on this node. See: zoarium trust --help
version: 1
rules: []
`
const PETNAME = /^[a-z0-9-]{1,40}$/
/** Largest policy file: room for 10,000 rules. */
const MAX_POLICY_BYTES = 2 * 1024 * 1024

/**
 * Reads a policy file. All faults are listed as issues, each with its field and line.
 * @param own this node's publisher
 */
export function parseTrust(text: string, own: Cid | null): Verdict<TrustPolicy> {
  if (text.length > MAX_POLICY_BYTES) {
    return refuse('POLICY', 'the policy file is too long', { limit: MAX_POLICY_BYTES })
  }
  const document = readDocument(text)
  if (!document.ok) return document
  const { contents } = document.value
  const faults = new Faults(text)
  if (!isMap(contents)) {
    return refuse('POLICY', 'the policy file is not a map', {
      hint: 'it begins with: version: 1',
    })
  }
  faults.checkKeys('', contents, ['version', 'rules'])
  if (document.value.get('version') !== 1) {
    faults.add('version', contents.range, 'must be 1', document.value.get('version'))
  }
  const list = contents.get('rules')
  if (!isSeq(list)) {
    faults.add('rules', contents.range, 'must be a list', list)
    return faults.verdict()
  }
  const rules = list.items.flatMap((item, n) => readRule(`rules[${n}]`, item, faults) ?? [])
  checkUnique(rules, list, faults)
  return faults.isEmpty ? accept(new TrustPolicy(own, rules)) : faults.verdict()
}

function readDocument(text: string): Verdict<Document.Parsed> {
  const document = parseDocument(text)
  // Tags and directives that the library only warns of are not what was meant.
  const [error] = [...document.errors, ...document.warnings]
  if (error === undefined) return accept(document)
  return refuse('POLICY', `the policy file is not valid YAML: ${error.message.split('\n')[0]}`, {
    field: `line ${error.linePos?.[0].line ?? 1}`,
  })
}

function readRule(field: string, item: unknown, faults: Faults): TrustRule | null {
  if (!isMap(item)) {
    faults.add(field, null, 'must be a map with publisher and right', item)
    return null
  }
  faults.checkKeys(`${field}.`, item, ['publisher', 'right', 'petname', 'send'])
  const { range } = item
  const publisher = item.get('publisher')
  const right = item.get('right')
  const petname = item.get('petname') ?? null
  const send = item.get('send') ?? false
  const cid = typeof publisher === 'string' ? parseCid(publisher) : null
  if (!cid?.ok) faults.add(`${field}.publisher`, range, 'must be a publisher id', publisher)
  const isRight = RIGHTS.some((each) => each === right)
  if (!isRight) faults.add(`${field}.right`, range, `must be one of ${RIGHTS.join(', ')}`, right)
  const isPetname = petname === null || (typeof petname === 'string' && PETNAME.test(petname))
  if (!isPetname) {
    faults.add(`${field}.petname`, range, 'must be 1 to 40 of a-z, 0-9 and -', petname)
  }
  if (typeof send !== 'boolean') faults.add(`${field}.send`, range, 'must be true or false', send)
  if (!cid?.ok || !isRight || !isPetname || typeof send !== 'boolean') return null
  // SAFE: checked above.
  return { publisher: cid.value, right: right as Right, petname: petname as string | null, send }
}

function checkUnique(rules: readonly TrustRule[], list: YAMLSeq, faults: Faults): void {
  const seen = new Set<string>()
  for (const { publisher, petname } of rules) {
    for (const [name, value] of [
      ['publisher', publisher],
      ['petname', petname],
    ] as const) {
      if (value === null) continue
      const id = `${name} ${value}`
      if (seen.has(id)) faults.add(name, list.range, 'is named by two rules', value)
      seen.add(id)
    }
  }
}

/** Collects what is wrong with a policy file. */
class Faults {
  readonly #text: string
  readonly #issues: Issue[] = []

  constructor(text: string) {
    this.#text = text
  }

  get isEmpty(): boolean {
    return this.#issues.length === 0
  }

  add(
    field: string,
    range: readonly number[] | null | undefined,
    rule: string,
    got: unknown,
  ): void {
    const start = range?.[0]
    this.#issues.push({
      code: 'POLICY',
      message: `${field} ${rule}`,
      field,
      ...(start === undefined ? {} : { line: this.#text.slice(0, start).split('\n').length }),
      ...(got === undefined || got === null ? {} : { got: String(got).slice(0, 80) }),
    })
  }

  checkKeys(prefix: string, map: { items: readonly { key: unknown }[] }, known: string[]): void {
    for (const { key } of map.items) {
      const name = String(key)
      if (!known.includes(name)) this.add(prefix + name, null, 'is not a known field', null)
    }
  }

  verdict(): Verdict<never> {
    const [first, ...more] = this.#issues
    const rest = more.length === 0 ? '' : ` (and ${more.length} more)`
    return refuse('POLICY', `the policy file is not valid: ${first?.message}${rest}`, {
      ...(first?.field === undefined ? {} : { field: first.field }),
      ...(first?.got === undefined ? {} : { got: first.got }),
      issues: this.#issues,
    })
  }
}

/** A change of the rules: what is left out stays as it was. */
export interface TrustChange {
  readonly publisher: Cid
  readonly right: Right
  readonly petname?: string | null
  readonly send?: boolean
}

/** The policy file with a rule set; comments and other rules stay as the operator wrote them. */
export function withRule(text: string, change: TrustChange): string {
  const document = parseDocument(text)
  const rules = document.get('rules')
  if (!isSeq(rules)) throw new TypeError('the policy was not checked before the change')
  const { publisher, right, petname, send } = change
  rules.flow = false
  let rule = rules.items.find((item) => isMap(item) && item.get('publisher') === publisher)
  if (!isMap(rule)) {
    rule = document.createNode({ publisher })
    rules.items.push(rule)
  }
  // SAFE: found or made as a map above.
  const map = rule as ReturnType<typeof document.createNode> & Map<string, unknown>
  map.set('right', right)
  if (petname === null) map.delete('petname')
  else if (petname !== undefined) map.set('petname', petname)
  if (send === false) map.delete('send')
  else if (send !== undefined) map.set('send', send)
  return String(document)
}

/** The policy file without the rules for a publisher. */
export function withoutRule(text: string, publisher: Cid): string {
  const document = parseDocument(text)
  const rules = document.get('rules')
  if (!isSeq(rules)) throw new TypeError('the policy was not checked before the change')
  rules.items = rules.items.filter((item) => !(isMap(item) && item.get('publisher') === publisher))
  return String(document)
}

/** Where the policy file lies; a test keeps it in memory. */
export interface TrustFile {
  /** The text, or null where no rule was ever set. @throws ZoariumError STORE */
  read(): string | null
  /** Replaces it at once and durably. @throws ZoariumError STORE, DISK_FULL */
  write(text: string): void
}

/** The policy in force and its file. Changes keep what the operator wrote in the meantime. */
export class TrustBook {
  readonly #file: TrustFile
  readonly #own: Cid | null
  #policy: TrustPolicy

  /** @throws ZoariumError POLICY */
  constructor(file: TrustFile, own: Cid | null) {
    this.#file = file
    this.#own = own
    this.#policy = this.#read()
  }

  get policy(): TrustPolicy {
    return this.#policy
  }

  /**
   * Sets the rule for a publisher.
   * @throws ZoariumError USAGE for the own publisher, POLICY where the file or the rule is wrong
   */
  set(change: TrustChange): TrustRule {
    if (change.publisher === this.#own) {
      throw new ZoariumError('USAGE', 'your own publisher may everything here already')
    }
    const text = this.#checkedText()
    const policy = this.#replace(withRule(text, change))
    const rule = policy.rule(change.publisher)
    if (rule === null) throw new TypeError('the rule that was set is not there')
    return rule
  }

  /** Removes the rule for a publisher. @returns whether there was one */
  remove(publisher: Cid): boolean {
    const text = this.#checkedText()
    if (this.#read().rule(publisher) === null) return false
    this.#replace(withoutRule(text, publisher))
    return true
  }

  #replace(text: string): TrustPolicy {
    const policy = expectOk(parseTrust(text, this.#own))
    this.#file.write(text)
    this.#policy = policy
    return policy
  }

  /** The file as it is now, known to be valid. */
  #checkedText(): string {
    const text = this.#file.read() ?? EMPTY_POLICY
    expectOk(parseTrust(text, this.#own))
    return text
  }

  #read(): TrustPolicy {
    return expectOk(parseTrust(this.#file.read() ?? EMPTY_POLICY, this.#own))
  }
}

/** A policy file that is forgotten with the process. */
export function memoryTrust(text: string | null = null): TrustFile {
  let kept = text
  return {
    read: () => kept,
    write: (next) => {
      kept = next
    },
  }
}

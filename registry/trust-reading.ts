/**
 * Reads the policy file (trust-file.ts has its form): whole and strictly, every fault with its field
 * and line, so that a typo never passes for a rule that was not meant.
 */
import { isMap, isScalar, isSeq, LineCounter, type Node, parseDocument, type YAMLMap } from 'yaml'
import { type Cid, codecOf, parseCid } from '../protocol/cid.ts'
import { accept, type Issue, refuse, type Verdict } from '../protocol/errors.ts'
import {
  MAX_MULTIADDR_CHARS,
  MAX_ROSTER_BOOTSTRAP,
  MAX_ROSTER_MEMBERS,
} from '../protocol/limits.ts'
import { LABEL_PATTERN } from '../protocol/reference.ts'
import { BOOTSTRAP_PATTERN, ROSTER_RIGHTS, type RosterRight } from '../protocol/roster.ts'
import {
  RIGHTS,
  type Right,
  type RosterRule,
  type RunRule,
  TrustPolicy,
  type TrustRule,
} from './trust.ts'

const PETNAME = /^[a-z0-9-]{1,40}$/
/** Largest policy file: room for 10,000 rules. */
export const MAX_POLICY_BYTES = 2 * 1024 * 1024
/** Longest value that a fault repeats, in characters. */
const MAX_SHOWN = 80

/**
 * Reads a policy file. All faults are listed as issues, each with its field and line.
 * @param own this node's publisher
 */
export function parseTrust(text: string, own: Cid | null): Verdict<TrustPolicy> {
  if (text.length > MAX_POLICY_BYTES) {
    return refuse('POLICY', 'the policy file is too long', { limit: MAX_POLICY_BYTES })
  }
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines })
  // Tags and directives that the library only warns of are not what was meant.
  const [error] = [...document.errors, ...document.warnings]
  if (error !== undefined) {
    const line = error.linePos?.[0].line ?? 1
    // The library ends its first line with the place.
    const [what = ''] = error.message.split(/ at line \d|\n/)
    const message = `not valid YAML: ${what}`
    return refuse('POLICY', `the policy file is ${message}`, {
      field: `line ${line}`,
      issues: [{ code: 'POLICY', message, line }],
    })
  }
  const { contents } = document
  if (!isMap(contents)) {
    return refuse('POLICY', 'the policy file is not a map', {
      hint: 'it begins with: version: 1',
    })
  }
  const reader = new Reader(lines)
  const policy = reader.policy(new Fields(reader, '', contents), own)
  return policy ?? reader.refusal()
}

/** Collects what is wrong; a value that is wrong is read as null. */
class Reader {
  readonly #lines: LineCounter
  readonly #issues: Issue[] = []

  constructor(lines: LineCounter) {
    this.#lines = lines
  }

  lineOf(node: Node | null | undefined): number | null {
    const start = node?.range?.[0]
    return start === undefined ? null : this.#lines.linePos(start).line
  }

  fault(field: string, line: number | null, rule: string, got: unknown): null {
    this.#issues.push({
      code: 'POLICY',
      message: `${field} ${rule}`,
      field,
      ...(line === null ? {} : { line }),
      ...(got === undefined || got === null ? {} : { got: String(got).slice(0, MAX_SHOWN) }),
    })
    return null
  }

  refusal(): Verdict<never> {
    const [first, ...more] = this.#issues
    const rest = more.length === 0 ? '' : ` (and ${more.length} more)`
    const line = first?.line === undefined ? '' : `line ${first.line}: `
    return refuse('POLICY', `the policy file is not valid: ${line}${first?.message}${rest}`, {
      ...(first?.field === undefined ? {} : { field: first.field }),
      ...(first?.got === undefined ? {} : { got: first.got }),
      issues: this.#issues,
    })
  }

  policy(file: Fields, own: Cid | null): Verdict<TrustPolicy> | null {
    file.only('version', 'rules', 'rosters', 'run')
    file.value('version', 'must be 1', (value) => value === 1)
    const rules = file.maps('rules', true).flatMap((each) => readRule(each) ?? [])
    const rosters = file.maps('rosters').flatMap((each) => readRoster(each) ?? [])
    const named = new Map(rules.map(({ petname, publisher }) => [petname, publisher]))
    const run = file.maps('run').flatMap((each) => readRunRule(each, named) ?? [])
    this.#unique('rules', rules, ({ publisher }) => publisher, 'publisher')
    this.#unique('rules', rules, ({ petname }) => petname, 'petname')
    this.#unique('rosters', rosters, ({ publisher, name }) => `${publisher}/${name}`, 'name')
    return this.#issues.length > 0 ? null : accept(new TrustPolicy(own, { rules, rosters, run }))
  }

  #unique<T extends { readonly line: number | null }>(
    list: string,
    items: readonly T[],
    keyOf: (item: T) => string | null,
    field: string,
  ): void {
    const seen = new Set<string>()
    for (const [n, item] of items.entries()) {
      const key = keyOf(item)
      if (key === null) continue
      if (seen.has(key)) {
        this.fault(`${list}[${n}].${field}`, item.line, 'stands in an earlier entry too', key)
      }
      seen.add(key)
    }
  }
}

/** A map of the file. */
class Fields {
  readonly #reader: Reader
  readonly #path: string
  readonly #map: YAMLMap

  constructor(reader: Reader, path: string, map: YAMLMap) {
    this.#reader = reader
    this.#path = path
    this.#map = map
  }

  get line(): number | null {
    return this.#reader.lineOf(this.#map)
  }

  #node(name: string): Node | null {
    const pair = this.#map.items.find(({ key }) => (isScalar(key) ? key.value : key) === name)
    // SAFE: a parsed document holds nodes.
    return (pair?.value as Node | null | undefined) ?? null
  }

  fault(name: string, rule: string, got: unknown): null {
    const line = this.#reader.lineOf(this.#node(name)) ?? this.line
    return this.#reader.fault(`${this.#path}${name}`, line, rule, got)
  }

  only(...known: readonly string[]): void {
    for (const { key } of this.#map.items) {
      const name = String(isScalar(key) ? key.value : key)
      if (known.includes(name)) continue
      // SAFE: as above.
      const line = this.#reader.lineOf(key as Node)
      this.#reader.fault(`${this.#path}${name}`, line, 'is not a known field', null)
    }
  }

  /** A plain value that passes, or null. `absent` stands for one that is not there. */
  value<T>(name: string, rule: string, passes: (value: unknown) => boolean, absent?: T): T | null {
    const node = this.#node(name)
    const value = isScalar(node) ? node.value : node
    if ((value === null || value === undefined) && absent !== undefined) return absent
    // SAFE: `passes` tells whether it is.
    return passes(value) ? (value as T) : this.fault(name, rule, shown(value))
  }

  /** A list of plain values as they pass, each once, or null. */
  list<T>(
    name: string,
    max: number,
    rule: string,
    read: (value: unknown) => T | null,
    absent?: readonly T[],
  ): readonly T[] | null {
    const node = this.#node(name)
    if (node === null && absent !== undefined) return absent
    if (!isSeq(node)) return this.fault(name, 'must be a list', shown(node))
    if (node.items.length > max) {
      return this.fault(name, `has more than ${max} entries`, node.items.length)
    }
    const values = node.items.map((item, n) => {
      const value = isScalar(item) ? item.value : item
      const path = `${this.#path}${name}[${n}]`
      // SAFE: as above.
      const line = this.#reader.lineOf(item as Node)
      return read(value) ?? this.#reader.fault(path, line, rule, shown(value))
    })
    if (new Set(values.filter((each) => each !== null)).size < values.length) {
      const isWrong = values.includes(null)
      return isWrong ? null : this.fault(name, 'names something twice', null)
    }
    // SAFE: none is null.
    return values as readonly T[]
  }

  /** The maps of a list. */
  maps(name: string, isNeeded = false): readonly Fields[] {
    const node = this.#node(name)
    if (node === null && !isNeeded) return []
    if (!isSeq(node)) {
      this.fault(name, 'must be a list', shown(node))
      return []
    }
    return node.items.flatMap((item, n) => {
      const path = `${this.#path}${name}[${n}]`
      if (isMap(item)) return new Fields(this.#reader, `${path}.`, item)
      // SAFE: as above.
      this.#reader.fault(path, this.#reader.lineOf(item as Node), 'must be a map', shown(item))
      return []
    })
  }
}

const shown = (value: unknown): unknown => (isScalar(value) ? value.value : value)

function publisherOf(value: unknown): Cid | null {
  const cid = typeof value === 'string' ? parseCid(value) : null
  return cid?.ok && codecOf(cid.value) === 'dag-cbor' ? cid.value : null
}

const matches =
  (pattern: RegExp) =>
  (value: unknown): boolean =>
    typeof value === 'string' && pattern.test(value)

const PUBLISHER = 'must be a publisher id'
const isPublisher = (value: unknown): boolean => publisherOf(value) !== null

function readRule(fields: Fields): TrustRule | null {
  fields.only('publisher', 'right', 'petname', 'send')
  const publisher = fields.value<Cid>('publisher', PUBLISHER, isPublisher)
  const right = fields.value<Right>('right', `must be one of ${RIGHTS.join(', ')}`, (value) =>
    RIGHTS.some((each) => each === value),
  )
  const isPetname = matches(PETNAME)
  const petname = fields.value<string>(
    'petname',
    'must be 1 to 40 of a-z, 0-9 and -',
    isPetname,
    '',
  )
  const send = fields.value<boolean>(
    'send',
    'must be true or false',
    (value) => typeof value === 'boolean',
    false,
  )
  if (publisher === null || right === null || petname === null || send === null) return null
  return { publisher, right, petname: petname === '' ? null : petname, send, line: fields.line }
}

function readRoster(fields: Fields): RosterRule | null {
  fields.only('publisher', 'name', 'right', 'members', 'bootstrap')
  const publisher = fields.value<Cid>('publisher', PUBLISHER, isPublisher)
  const name = fields.value<string>(
    'name',
    'must be 1 to 40 of a-z, 0-9 and -',
    matches(LABEL_PATTERN),
  )
  const rights = `must be one of ${ROSTER_RIGHTS.join(', ')}`
  const right = fields.value<RosterRight>('right', rights, (value) =>
    ROSTER_RIGHTS.some((each) => each === value),
  )
  const members = fields.list('members', MAX_ROSTER_MEMBERS, PUBLISHER, publisherOf)
  const bootstrap = fields.list(
    'bootstrap',
    MAX_ROSTER_BOOTSTRAP,
    'must be a libp2p address that ends in /p2p/ and a PeerId',
    addressOf,
    [],
  )
  if (
    publisher === null ||
    name === null ||
    right === null ||
    members === null ||
    bootstrap === null
  ) {
    return null
  }
  return { publisher, name, right, members, bootstrap, line: fields.line }
}

const addressOf = (value: unknown): string | null =>
  typeof value === 'string' && value.length <= MAX_MULTIADDR_CHARS && BOOTSTRAP_PATTERN.test(value)
    ? value
    : null

/** @param named publishers by the petnames of this file */
function readRunRule(fields: Fields, named: ReadonlyMap<string | null, Cid>): RunRule | null {
  fields.only('attested', 'of', 'publishers')
  const read = (value: unknown): Cid | null =>
    publisherOf(value) ?? (typeof value === 'string' ? (named.get(value) ?? null) : null)
  const rule = 'must be a publisher id, or the petname of a rule in this file'
  const of = fields.list('of', MAX_ROSTER_MEMBERS, rule, read)
  const most = of?.length ?? MAX_ROSTER_MEMBERS
  const attested = fields.value<number>(
    'attested',
    `must be a whole number from 1 to ${most}, the number of publishers in "of"`,
    (value) => Number.isSafeInteger(value) && (value as number) >= 1 && (value as number) <= most,
  )
  const publishers = fields.list<Cid>('publishers', MAX_ROSTER_MEMBERS, rule, read, EVERYBODY)
  if (of === null || attested === null || publishers === null) return null
  const isOpen = publishers === EVERYBODY
  return { attested, of, publishers: isOpen ? null : publishers, line: fields.line }
}

const EVERYBODY: readonly Cid[] = []

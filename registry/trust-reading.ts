/**
 * Reads the policy file (trust-file.ts has its form): whole and strictly, every fault with its field
 * and line, so that a typo never passes for a rule that was not meant.
 */
import { isMap, LineCounter, parseDocument } from 'yaml'
import { type Cid, codecOf, parseCid } from '../protocol/cid.ts'
import { accept, refuse, type Verdict } from '../protocol/errors.ts'
import {
  MAX_MULTIADDR_CHARS,
  MAX_ROSTER_BOOTSTRAP,
  MAX_ROSTER_MEMBERS,
} from '../protocol/limits.ts'
import { LABEL_PATTERN } from '../protocol/reference.ts'
import { BOOTSTRAP_PATTERN, ROSTER_RIGHTS, type RosterRight } from '../protocol/roster.ts'
import { readMirror } from './mirror-reading.ts'
import { FaultReader, Fields } from './policy-fields.ts'
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
  const reader = new FaultReader(lines)
  return readPolicy(reader, new Fields(reader, '', contents), own)
}

function readPolicy(reader: FaultReader, file: Fields, own: Cid | null): Verdict<TrustPolicy> {
  file.only('version', 'rules', 'rosters', 'run', 'mirror')
  file.value('version', 'must be 1', (value) => value === 1)
  const rules = file.maps('rules', true).flatMap((each) => readRule(each) ?? [])
  const rosters = file.maps('rosters').flatMap((each) => readRoster(each) ?? [])
  const named = new Map(rules.map(({ petname, publisher }) => [petname, publisher]))
  const run = file.maps('run').flatMap((each) => readRunRule(each, named) ?? [])
  const mirror = readMirror(file.map('mirror'), namedBy(named))
  reader.unique('rules', rules, ({ publisher }) => publisher, 'publisher')
  reader.unique('rules', rules, ({ petname }) => petname, 'petname')
  reader.unique('rosters', rosters, ({ publisher, name }) => `${publisher}/${name}`, 'name')
  if (reader.isFaulty) return reader.refusal()
  return accept(new TrustPolicy(own, { rules, rosters, run, mirror }))
}

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

/** Publishers by their ids, and by the petnames of this file. */
const namedBy =
  (named: ReadonlyMap<string | null, Cid>) =>
  (value: unknown): Cid | null =>
    publisherOf(value) ?? (typeof value === 'string' ? (named.get(value) ?? null) : null)

/** @param named publishers by the petnames of this file */
function readRunRule(fields: Fields, named: ReadonlyMap<string | null, Cid>): RunRule | null {
  fields.only('attested', 'of', 'publishers')
  const read = namedBy(named)
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

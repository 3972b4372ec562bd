/**
 * Signed statements as the tables of docs/protocol.md have them: records of each kind, heads,
 * bindings, heartbeats, holdings.
 */
import { createHash } from 'node:crypto'
import { CID } from 'multiformats/cid'
import type { SignedType } from '../../../protocol/signature.ts'
import { encodeValue, type Value } from '../loose-cbor.ts'
import { isSignedBy } from '../signers.ts'
import { folderOf } from './content.ts'
import { type Fault, readEncoded } from './encoding.ts'
import * as is from './grammar.ts'
import { pathsFault } from './path.ts'

const DAY = 24 * 3600 * 1000
const NAME = /^[a-z0-9][a-z0-9._-]{0,63}$/
const VERSION = /^[0-9][0-9A-Za-z.+_-]{0,63}$/
const TAG = /^(?!latest$)[a-z][a-z0-9._-]{0,39}$/
const HANDLE =
  /^(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?$/
const MEDIA = /^[a-z0-9][a-z0-9!#$&^_.+-]*\/[a-z0-9][a-z0-9!#$&^_.+-]*$/

const BOOTSTRAP = /^(\/[\x21-\x2e\x30-\x7e]+)+\/p2p\/[1-9A-HJ-NP-Za-km-z]{46,64}$/

const key = is.bytes(32)
const place = { publisher: is.payload, key, epoch: is.int(0, 1024) }
const replaces = is.distinct(is.payload, 16)

const alias: is.Rule = is.also(is.shown(256), (value) =>
  value !== '' && (value as string).trim() === value ? null : 'empty or blanks around it',
)

const file = is.also(
  is.fields({
    path: is.text(255),
    size: is.int(0, 20 * 2 ** 30),
    cid: is.link(0x55, 0x70),
    sha256: is.bytes(32),
    role: is.word(
      ...['card', 'weights', 'external-data', 'architecture', 'environment', 'test-input'],
      ...['test-output', 'sample-input', 'sample-output', 'cover', 'documentation'],
      ...['attachment', 'other'],
    ),
    mediaType: is.text(127, MEDIA),
  }),
  (value) => {
    const { size, cid, sha256 } = value as { size: number; cid: CID; sha256: Uint8Array }
    const isRaw = cid.code === 0x55
    if (isRaw !== size <= 2 ** 20) return 'codec and size do not fit'
    return isRaw && Buffer.compare(cid.multihash.digest, sha256) !== 0 ? 'two hashes' : null
  },
)

interface File {
  readonly path: string
  readonly size: number
  readonly cid: CID
  readonly role: string
}

/** @param body whose fields are each in order */
function modelFault(body: unknown): Fault {
  const { files, card, root } = body as { files: File[]; card: CID; root: CID }
  const paths = files.map(({ path }) => path)
  const fault = pathsFault(paths)
  if (fault !== null) return fault
  const sorted = paths.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
  if (paths.some((path, n) => path !== sorted[n])) return 'files are not in order'
  const cards = files.filter(({ role }) => role === 'card')
  if (cards.length !== 1 || !cards[0]?.cid.equals(card)) return 'not exactly one card'
  if (cards[0].size > 2 ** 20) return 'the card is too large'
  return folderOf(files)?.equals(root) ? null : 'root is another folder'
}

const attest: is.Rule = (value) => {
  if (!is.isMap(value)) return 'not a map'
  const { target = null, root = null, claim = null, ...more } = value
  const common = is.fields({
    target: is.payload,
    root: is.link(0x70),
    claim: is.text(40, /^[a-z][a-z0-9-]*$/),
  })
  const fault = common({ target, root, claim })
  if (fault !== null) return fault
  const strange = Object.keys(more).find((name) => !/^[a-zA-Z][a-zA-Z0-9]{0,39}$/.test(name))
  if (strange !== undefined) return `a field ${strange}`
  if (Object.keys(value).length > 32) return 'too many fields'
  return encodeValue(value as Value).length > 16 * 1024 ? 'too large' : null
}

const roster = is.also(
  is.fields({
    name: is.text(40, /^[a-z0-9-]+$/),
    members: is.list(is.payload, 1000),
    right: is.word('list', 'mirror', 'run'),
    bootstrap: is.distinct(is.text(256, BOOTSTRAP), 32),
    replaces,
  }),
  (value) => {
    const members = (value as { members: unknown[] }).members.map(String)
    const isSorted = members.every((each, n) => n === 0 || each > (members[n - 1] ?? ''))
    return isSorted ? null : 'members are not ascending'
  },
)

const bodies: Readonly<Record<string, is.Rule>> = {
  model: is.also(
    is.fields({
      name: is.text(64, NAME),
      version: is.text(64, VERSION),
      card: is.link(0x55),
      files: is.list(file, 1000),
      root: is.link(0x70),
      parents: is.distinct(
        is.fields({
          record: is.payload,
          relation: is.word('converted', 'finetuned', 'repaired', 'revised'),
        }),
        16,
        (parent) => String((parent as { record: CID }).record),
      ),
      origin: is.nullable(
        is.fields({
          scheme: is.text(32, /^[a-z][a-z0-9+.-]*$/),
          id: is.shown(100),
          version: is.shown(64),
          url: is.shown(2048),
          sha256: is.bytes(32),
        }),
      ),
      aliases: is.distinct(alias, 32),
      tested: is.word('reproduced', 'untested'),
    }),
    modelFault,
  ),
  withdraw: is.fields({
    target: is.payload,
    verb: is.word('yank', 'recall', 'erase', 'restore'),
    reason: is.text(40, /^[a-z][a-z0-9-]*$/),
    note: is.shown(200),
  }),
  tag: is.fields({
    name: is.text(64, NAME),
    tag: is.text(40, TAG),
    target: is.payload,
    replaces,
  }),
  profile: is.fields({
    label: is.text(40, /^[a-z0-9-]+$/),
    displayName: is.shown(100),
    handle: is.nullable(is.text(253, HANDLE)),
    url: is.nullable(is.text(2048, /^https:\/\/[\x21-\x7e]+$/)),
    ror: is.nullable(is.text(9, /^0[0-9a-hjkmnp-tv-z]{6}[0-9]{2}$/)),
    replaces,
  }),
  attest,
  roster,
}

const header = {
  ...place,
  seq: is.int(0, 2 ** 32 - 1),
  prev: is.nullable(is.payload),
  idv: is.int(1, 1024),
  ts: is.time,
  kind: is.text(40),
}

function recordFault(value: unknown): Fault {
  const { body, ...rest } = value as Record<string, unknown>
  const fault = is.fields(header)(rest)
  if (fault !== null) return fault
  const rule = Object.entries(bodies).find(([kind]) => kind === rest.kind)?.[1]
  return rule === undefined ? 'an unknown kind' : rule(body)
}

/** @param maxMs longest life */
const living = (rules: Readonly<Record<string, is.Rule>>, maxMs: number): is.Rule =>
  is.also(is.fields({ ...rules, issued: is.time, expires: is.time }), (value) => {
    const { issued, expires } = value as { issued: number; expires: number }
    return expires > issued && expires - issued <= maxMs ? null : 'a life too short or too long'
  })

const label = is.text(64, /^[\x20-\x7e]+$/)
const peer = is.text(64, /^[1-9A-HJ-NP-Za-km-z]{46,64}$/)

const head = living({ ...place, seq: is.int(0, 2 ** 32 - 1), tip: is.payload }, 7 * DAY)
const binding = living(
  { publisher: is.payload, key, peer, roles: is.list(is.word('sync', 'serve'), 2) },
  7 * DAY,
)
const heartbeat = living(
  {
    publisher: is.payload,
    key,
    peer,
    engines: is.list(is.fields({ name: label, provider: label, device: label }), 16),
    queue: is.int(0, 1e6),
    warm: is.list(is.payload, 64),
    serves: is.list(is.payload, 1000),
    speed: is.list(is.fields({ model: is.payload, usPerMegapixel: is.int(1, 1e12) }), 64),
    freeMemory: is.time,
    residency: is.list(label, 8),
    acceptsInput: is.bool,
  },
  5 * 60_000,
)

/** Digests of 32 bytes, one after the other and ascending. */
const digests = (max: number): is.Rule =>
  is.also(is.bytes(0, 32 * max), (value) => {
    const hex = Buffer.from(value as Uint8Array).toString('hex')
    if (hex.length % 64 !== 0) return 'not whole digests'
    const each = hex.match(/.{64}/g) ?? []
    return each.every((one, n) => n === 0 || (each[n - 1] ?? '') < one) ? null : 'not ascending'
  })

const holdings = is.also(
  living(
    {
      publisher: is.payload,
      key,
      peer,
      base: is.nullable(is.payload),
      models: digests(10_000),
      gone: digests(256),
      room: is.int(0, 20 * 2 ** 40),
    },
    7 * DAY,
  ),
  (value) => {
    const { base, models, gone } = value as { base: unknown; models: Uint8Array; gone: Uint8Array }
    if (base === null) return gone.length === 0 ? null : 'something gone of all'
    return models.length <= 256 * 32 ? null : 'too many changes'
  },
)

const TYPES = {
  record: { rule: recordFault, maxBytes: 256 * 1024 },
  head: { rule: head, maxBytes: 16 * 1024 },
  binding: { rule: binding, maxBytes: 16 * 1024 },
  heartbeat: { rule: heartbeat, maxBytes: 60 * 1024 },
  holdings: { rule: holdings, maxBytes: 320 * 1024 },
} as const
export type StatementType = keyof typeof TYPES

/** What is wrong with an envelope by the rules of its type, its signature included. */
export function statementFault(type: StatementType, envelope: Uint8Array): Fault {
  if (envelope.length < 65) return 'too short'
  const payload = envelope.subarray(0, -64)
  if (payload.length > TYPES[type].maxBytes) return 'too long'
  const fields = payloadFields(type, payload)
  if (typeof fields === 'string') return fields
  const fault = TYPES[type].rule(fields)
  if (fault !== null) return fault
  const signer = fields.key as Uint8Array
  return isSignedBy(signer, type, payload, envelope.subarray(-64)) ? null : 'not signed by its key'
}

/** The fields of a payload without `t` and `v`, or what is wrong. */
export function payloadFields(
  type: SignedType,
  payload: Uint8Array,
): Readonly<Record<string, unknown>> | string {
  const read = readEncoded(payload)
  if ('fault' in read) return read.fault
  if (!is.isMap(read.value)) return 'not a map'
  const { t, v, ...fields } = read.value
  return t === type && v === 1 ? fields : 'another type or version'
}

/** Text of the content id of a payload. */
export const idOf = (payload: Uint8Array): string => {
  const digest = createHash('sha256').update(payload).digest()
  return CID.createV1(0x71, {
    code: 0x12,
    size: 32,
    digest,
    bytes: Buffer.concat([Buffer.of(0x12, 32), digest]),
  }).toString()
}

/** Messages between nodes, as the tables of docs/protocol.md have them. */
import { type Fault, readEncoded } from './encoding.ts'
import * as is from './grammar.ts'

const FRAME = 2 * 2 ** 20
const SIGNATURE = 64
const statement = is.bytes(SIGNATURE, 16 * 1024 + SIGNATURE)
const record = is.bytes(SIGNATURE, 256 * 1024 + SIGNATURE)
const heartbeat = is.bytes(SIGNATURE, 60 * 1024 + SIGNATURE)
const digest = is.bytes(32)
const key = is.bytes(32)
const link = is.anyLink

/** A list of exactly as many values, each by its rule. */
const row =
  (...rules: readonly is.Rule[]): is.Rule =>
  (value) => {
    if (!Array.isArray(value) || value.length !== rules.length) return 'not a list of its parts'
    for (const [n, rule] of rules.entries()) {
      const fault = rule(value[n])
      if (fault !== null) return fault
    }
    return null
  }

const id = is.bytes(16)
const item = row(
  digest,
  is.nullable(key),
  is.time,
  is.time,
  is.nullable(digest),
  is.int(0, 1e8),
  is.bool,
)
const node = row(digest, key, is.time, is.time, digest)
const stated = is.nullable(is.bytes(SIGNATURE, 320 * 1024 + SIGNATURE))
const after = row(is.time, is.time, digest)
const name = is.text(32, /^[0-9a-f]*$/)
const parts = is.bytes(96)
const card = is.bytes(0, 2 ** 20)
const page = row(
  is.list((value) => (Array.isArray(value) ? row(record, card) : record)(value), 1000),
  is.nullable(statement),
  is.bool,
)

/** Ranges in order, each after all of the one before. */
const apart =
  (rule: is.Rule, nameOf: (value: unknown) => unknown): is.Rule =>
  (value) => {
    const fault = is.list(rule, 256)(value)
    if (fault !== null || !Array.isArray(value)) return fault
    const names = value.map((each) => `${nameOf(each)}`)
    const isApart = names.every((each, n) => {
      const before = names[n - 1]
      return before === undefined || (before < each && each.slice(0, before.length) !== before)
    })
    return isApart ? null : 'ranges that overlap'
  }
const ranges = apart(name, (value) => value)
const held = apart(row(name, is.bytes(0, 96)), (value) => (value as unknown[])[0])
const publishers = is.nullable(is.list(link, 10_000))
const t: is.Rule = () => null
const part = is.nullable(is.either(is.time, is.text(1000)))
const error = is.fields({
  t,
  code: is.text(40, /^[A-Z][A-Z0-9_]*$/),
  message: is.text(1000),
  hint: is.nullable(is.text(1000)),
  field: is.nullable(is.text(1000)),
  limit: part,
  got: part,
  retryAfter: is.nullable(is.time),
})

const address = is.text(256, /^(?:\/[!-.0-~]+)+$/)
const FAMILIES = {
  hello: {
    hello: is.fields({
      t,
      versions: is.list(is.int(1, 1000), 8),
      agent: is.text(64),
      identityLength: is.int(0, 1024),
      binding: is.nullable(statement),
      heartbeat: is.nullable(heartbeat),
      limits: is.fields({ streams: is.int(0, 1024), bytesPerSecond: is.time, inferBytes: is.time }),
    }),
  },
  'sync-request': {
    open: is.fields({
      t,
      mine: digest,
      yours: is.nullable(digest),
      publishers,
      fingerprint: digest,
    }),
    split: is.fields({ t, salt: id, ranges }),
    compare: is.fields({ t, salt: id, ranges: held, after: is.nullable(id) }),
    'get-identity': is.fields({ t, publisher: link, from: is.int(0, 1024) }),
    'get-rival': is.fields({ t, publisher: link }),
    'get-profile': is.fields({ t, publisher: link }),
    'get-proof': is.fields({ t, publisher: link, key }),
    'get-records': is.fields({
      t,
      logs: is.list(row(id, is.nullable(after)), 256),
      limit: is.int(1, 1000),
    }),
    'get-holdings': is.fields({ t, nodes: is.list(row(id, is.nullable(digest)), 256) }),
    'get-roster': is.fields({ t, of: link }),
    done: is.fields({ t, behind: is.bool }),
  },
  'sync-reply': {
    state: is.fields({ t, publishers, parts: is.nullable(parts) }),
    parts: is.fields({ t, parts: is.list(parts, 256) }),
    items: is.fields({
      t,
      items: is.list(
        (value) => (Array.isArray(value) && value.length === 5 ? node : item)(value),
        1000,
      ),
      lacks: is.list(is.int(0, 4095), 4096),
      more: is.bool,
    }),
    identity: is.fields({ t, operations: is.list(is.bytes(1, 8192), 128), more: is.bool }),
    rival: is.fields({
      t,
      from: is.int(0, 1024),
      operations: is.list(is.bytes(1, 8192), 128),
    }),
    profile: is.fields({ t, envelope: is.nullable(record) }),
    proof: is.fields({ t, first: is.nullable(record), second: is.nullable(record) }),
    records: is.fields({ t, logs: is.list(page, 256) }),
    holdings: is.fields({ t, nodes: is.list(row(stated, stated), 256) }),
    roster: is.fields({
      t,
      records: is.list(link, 32),
      car: is.nullable(is.bytes(1, 2 ** 20)),
    }),
    error,
  },
  'blob-request': {
    'get-tree': is.fields({ t, cid: link }),
    'get-have': is.fields({ t, cid: link, known: is.time }),
    'get-leaf': is.fields({ t, cid: link, index: is.time, insist: is.bool }),
    'get-ticket': is.fields({ t }),
  },
  'blob-reply': {
    tree: is.fields({
      t,
      size: is.int(0, 20 * 2 ** 30),
      nodes: is.list(is.bytes(0, 128 * 1024), 32),
      have: is.nullable(is.bytes(0, 2560)),
    }),
    have: is.fields({ t, have: is.nullable(is.bytes(0, 2560)) }),
    leaf: is.fields({ t, index: is.time }),
    given: is.fields({ t, index: is.time, given: is.bytes(0, 2560) }),
    ticket: is.fields({ t, ticket: is.bytes(32, 32) }),
    error,
  },
  'peers-request': {
    'get-peers': is.fields({ t, limit: is.int(1, 32) }),
    'dial-back': is.fields({ t, addresses: is.list(address, 4) }),
  },
  'peers-reply': {
    peers: is.fields({
      t,
      peers: is.list(
        is.fields({
          peer: is.text(64, /^[1-9A-HJ-NP-Za-km-z]{46,}$/),
          addresses: is.list(address, 8),
        }),
        32,
      ),
    }),
    dialled: is.fields({
      t,
      now: is.time,
      observed: is.nullable(is.text(64)),
      results: is.list(
        is.fields({
          address,
          code: is.nullable(is.text(40, /^[A-Z][A-Z0-9_]*$/)),
          message: is.nullable(is.text(200)),
          ms: is.time,
        }),
        4,
      ),
    }),
    error,
  },
  'infer-request': {
    infer: is.fields({
      t,
      record: link,
      output: is.nullable(is.text(16)),
      accept: is.nullable(is.text(256)),
      deadline: is.int(1, 86_400_000),
      inputs: is.list(
        is.fields({
          name: is.nullable(is.text(256)),
          size: is.int(0, 256 * 2 ** 20),
          mediaType: is.nullable(is.text(256)),
        }),
        32,
      ),
      salt: is.nullable(is.bytes(32)),
    }),
  },
  'infer-reply': {
    result: is.fields({
      t,
      mediaType: is.text(256),
      outputs: is.list(
        is.fields({
          id: is.text(256),
          axes: is.list(is.text(64), 16),
          shape: is.list(is.time, 16),
          dtype: is.text(16),
        }),
        32,
      ),
      timings: (value) => {
        if (!is.isMap(value)) return 'not a map'
        const entries = Object.entries(value)
        const isBad = entries.some(
          ([name, each]) => !/^[a-zA-Z]{1,32}$/.test(name) || is.time(each) !== null,
        )
        return isBad || entries.length > 32 ? 'not timings' : null
      },
      notes: is.list(is.text(1000), 100),
      receipt: is.nullable(statement),
    }),
    error,
  },
} as const satisfies Record<string, Record<string, is.Rule>>
export type Family = keyof typeof FAMILIES

/** What is wrong with a frame by the rules of its protocol and direction. */
export function messageFault(family: Family, frame: Uint8Array): Fault {
  if (frame.length > FRAME) return 'too long'
  const read = readEncoded(frame)
  if ('fault' in read) return read.fault
  const { value } = read
  if (!is.isMap(value)) return 'not a map'
  const rule = Object.entries(FAMILIES[family]).find(([type]) => type === value.t)?.[1]
  return rule === undefined ? 'an unknown type' : rule(value)
}

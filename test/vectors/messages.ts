/** Vectors of messages between nodes: `{family, frame}`, and the message with its bytes in hex. */
import { blobReplies, blobRequests, helloMessages, inferReplies, inferRequests, type Messages } from '../../protocol/message.ts'
import { peersReplies, peersRequests } from '../../protocol/peers-message.ts'
import { syncReplies, syncRequests } from '../../protocol/sync-message.ts'
import * as dagCbor from '@ipld/dag-cbor'
import { toHex } from '../../protocol/bytes.ts'
import { cidFromDigest, linkOf } from '../../protocol/cid.ts'
import { expectOk, refuse, type Verdict } from '../../protocol/errors.ts'
import type { Vector } from './generate.ts'

// SAFE: all are read in the same way.
const FAMILIES = {
  hello: helloMessages,
  'sync-request': syncRequests,
  'sync-reply': syncReplies,
  'blob-request': blobRequests,
  'blob-reply': blobReplies,
  'peers-request': peersRequests,
  'peers-reply': peersReplies,
  'infer-request': inferRequests,
  'infer-reply': inferReplies,
} as unknown as Readonly<Record<string, Messages<unknown>>>

/** A message as JSON. */
export function readFrame(family: string, frame: Uint8Array): Verdict<unknown> {
  const verdict = FAMILIES[family]?.decode(frame) ?? refuse('PEER', 'no such family')
  return verdict.ok ? { ok: true, value: plain(verdict.value) } : verdict
}

function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return toHex(value)
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, plain(each)]))
}

type Fields = Readonly<Record<string, unknown>>

const of = (length: number, byte = 1): Uint8Array => new Uint8Array(length).fill(byte)
const publisher = linkOf(cidFromDigest('dag-cbor', of(32)))
const file = linkOf(cidFromDigest('raw', of(32, 2)))
const key = of(32, 3)

const EXAMPLES: readonly [family: string, fields: Fields][] = [
  [
    'hello',
    {
      t: 'hello',
      versions: [1],
      agent: 'zoarium/0.1',
      identityLength: 3,
      binding: of(64),
      heartbeat: null,
      limits: { streams: 1, bytesPerSecond: 1048576, inferBytes: 268435456 },
    },
  ],
  [
    'sync-request',
    { t: 'open', mine: of(32), yours: null, publishers: [publisher], fingerprint: of(32, 4) },
  ],
  ['sync-request', { t: 'split', salt: of(16, 4), ranges: ['0', '1a'] }],
  [
    'sync-request',
    { t: 'compare', salt: of(16, 4), ranges: [['0', of(12, 5)], ['1a', of(0)]], after: of(16, 6) },
  ],
  ['sync-request', { t: 'get-identity', publisher, from: 3 }],
  ['sync-request', { t: 'get-rival', publisher }],
  ['sync-request', { t: 'get-profile', publisher }],
  ['sync-request', { t: 'get-proof', publisher, key }],
  ['sync-request', { t: 'get-records', logs: [[of(16, 6), [0, 1, of(32)]], [of(16, 7), null]], limit: 1000 }],
  ['sync-request', { t: 'get-roster', of: publisher }],
  ['sync-request', { t: 'done', behind: true }],
  [
    'sync-reply',
    {
      t: 'items',
      items: [[of(32), null, 0, 3, of(32), 0, false], [of(32), key, 0, 4, of(32), 20000, false]],
      lacks: [1],
      more: false,
    },
  ],
  ['sync-reply', { t: 'state', publishers: null, parts: of(96, 8) }],
  ['sync-reply', { t: 'parts', parts: [of(96, 8), of(96, 9)] }],
  ['sync-reply', { t: 'identity', operations: [of(10)], more: false }],
  ['sync-reply', { t: 'rival', from: 2, operations: [of(10)] }],
  ['sync-reply', { t: 'profile', envelope: null }],
  ['sync-reply', { t: 'proof', first: of(64), second: of(65) }],
  ['sync-reply', { t: 'records', logs: [[[of(64), [of(65), of(1)]], of(64), false], [[], null, true]] }],
  ['sync-reply', { t: 'roster', records: [publisher], car: of(8) }],
  [
    'sync-reply',
    { t: 'error', code: 'BUSY', message: 'later', field: null, limit: 3, got: 'four', hint: null, retryAfter: 1000 },
  ],
  ['blob-request', { t: 'get-tree', cid: file }],
  ['blob-request', { t: 'get-have', cid: file, known: 3 }],
  ['blob-request', { t: 'get-leaf', cid: file, index: 7, insist: false }],
  ['blob-request', { t: 'get-ticket' }],
  ['blob-reply', { t: 'tree', size: 5000000, nodes: [of(9)], have: null }],
  ['blob-reply', { t: 'have', have: of(1) }],
  ['blob-reply', { t: 'leaf', index: 7 }],
  ['blob-reply', { t: 'given', index: 7, given: of(2) }],
  ['blob-reply', { t: 'ticket', ticket: of(32) }],
  [
    'infer-request',
    {
      t: 'infer',
      record: publisher,
      output: 'png',
      accept: null,
      deadline: 1000,
      inputs: [{ name: null, size: 3, mediaType: 'image/png' }],
      salt: null,
    },
  ],
  [
    'infer-reply',
    {
      t: 'result',
      mediaType: 'image/png',
      outputs: [{ id: 'mask', axes: ['y', 'x'], shape: [2, 3], dtype: 'uint8' }],
      timings: { compute: 1500 },
      notes: ['padded'],
      receipt: null,
    },
  ],
  ['peers-request', { t: 'get-peers', limit: 32 }],
  ['peers-request', { t: 'dial-back', addresses: ['/dns/zoo.example/tcp/443/tls/ws'] }],
  [
    'peers-reply',
    {
      t: 'peers',
      peers: [
        {
          peer: '12D3KooWGGFPz2Mo3x4Kb5cYfAaGkRs8qMJoNcyAWEdkwZrBqdk3',
          addresses: ['/ip4/192.0.2.1/tcp/7071'],
        },
      ],
    },
  ],
  [
    'peers-reply',
    {
      t: 'dialled',
      now: 1790000000000,
      observed: '192.0.2.1',
      results: [{ address: '/ip4/192.0.2.1/tcp/1', code: 'UNREACHABLE', message: null, ms: 12 }],
    },
  ],
  ['sync-request', { t: 'get-holdings', nodes: [[of(16, 6), of(32)], [of(16, 7), null]] }],
  ['sync-reply', { t: 'holdings', nodes: [[of(64), of(65)], [of(64), null], [null, null]] }],
]

const example = (type: string): { family: string; fields: Fields } => {
  const found = EXAMPLES.find(([, fields]) => fields.t === type)
  if (found === undefined) throw new TypeError(`no example of ${type}`)
  return { family: found[0], fields: found[1] }
}

/** The holdings of a node among other items. */
function valuedItems(): Vector {
  const { family, fields } = example('items')
  const frame = dagCbor.encode({ ...fields, items: [[of(32), null, 0, 3, of(32), 0, false], [of(32), key, 1e12, 2e12, of(32, 9)]] })
  return {
    description: `${family}: items, with the holdings of a node`,
    input: { family, frame: toHex(frame) },
    expected: expectOk(readFrame(family, frame)),
  }
}

export function messageVectors(): Vector[] {
  const valid = EXAMPLES.map(([family, fields]): Vector => {
    const frame = dagCbor.encode(fields)
    return {
      description: `${family}: ${fields.t}`,
      input: { family, frame: toHex(frame) },
      expected: expectOk(readFrame(family, frame)),
    }
  })
  const refused = (code: string, description: string, type: string, change: Fields, without: readonly string[] = []): Vector => {
    const { family, fields } = example(type)
    const entries = Object.entries({ ...fields, ...change }).filter(([name]) => !without.includes(name))
    return { description, input: { family, frame: toHex(dagCbor.encode(Object.fromEntries(entries))) }, code }
  }
  const of33 = Array.from({ length: 33 }, () => ({ name: null, size: 0, mediaType: null }))
  return [
    ...valid,
    valuedItems(),
    refused('RECORD_INVALID', 'holdings of a node without a key', 'items', { items: [[of(32), null, 1, 2, of(32)]] }),
    refused('PEER', 'a type that there is not', 'done', { t: 'gone' }),
    refused('PEER', 'a reply as a request', 'done', { t: 'state' }),
    refused('PEER', 'no type', 'done', {}, ['t']),
    refused('UNKNOWN_FIELD', 'a field of a later version', 'done', { more: 1 }),
    refused('RECORD_INVALID', 'a field that is missing', 'get-proof', {}, ['key']),
    refused('RECORD_INVALID', 'a field that is missing, though it could be null', 'profile', {}, ['envelope']),
    refused('RECORD_INVALID', 'text for a flag', 'done', { behind: 'yes' }),
    refused('RECORD_INVALID', 'a key of 31 bytes', 'get-proof', { key: of(31) }),
    refused('RECORD_INVALID', 'text for a link', 'get-profile', { publisher: 'bafy' }),
    refused('RECORD_INVALID', 'a number below its bound', 'get-records', { limit: 0 }),
    refused('RECORD_INVALID', 'more records asked for than a page has', 'get-records', { limit: 1001 }),
    refused('RECORD_INVALID', 'operations from behind the longest chain', 'get-identity', { from: 1025 }),
    refused('RECORD_INVALID', 'a longer name of a program', 'hello', { agent: 'x'.repeat(65) }),
    refused('LIMIT', 'more versions than there may be', 'hello', { versions: [1, 2, 3, 4, 5, 6, 7, 8, 9] }),
    refused('RECORD_INVALID', 'a binding without room for its signature', 'hello', { binding: of(63) }),
    refused('RECORD_INVALID', 'a binding over its limit', 'hello', { binding: of(16 * 1024 + 65) }),
    refused('RECORD_INVALID', 'a range with capitals', 'split', { ranges: ['A'] }),
    refused('LIMIT', '257 ranges', 'split', { ranges: Array.from({ length: 257 }, (_, n) => n.toString(16).padStart(3, '0')) }),
    refused('RECORD_INVALID', 'ranges out of order', 'split', { ranges: ['1', '0'] }),
    refused('RECORD_INVALID', 'a range within another', 'split', { ranges: ['1', '1a'] }),
    refused('RECORD_INVALID', 'a range twice', 'compare', { ranges: [['1', of(0)], ['1', of(0)]] }),
    refused('RECORD_INVALID', 'marks of 17 items', 'compare', { ranges: [['', of(102)]] }),
    refused('RECORD_INVALID', 'a salt of 15 bytes', 'compare', { salt: of(15) }),
    refused('RECORD_INVALID', 'marks of 15 parts', 'state', { parts: of(90) }),
    refused('RECORD_INVALID', 'an item of six parts', 'items', { items: [[of(32), null, 0, 3, of(32), 0]] }),
    refused('LIMIT', '257 logs', 'get-records', { logs: Array.from({ length: 257 }, () => [of(16), null]) }),
    refused('LIMIT', '129 operations', 'identity', { operations: Array.from({ length: 129 }, () => of(1)) }),
    refused('RECORD_INVALID', 'an operation over its limit', 'identity', { operations: [of(8193)] }),
    refused('LIMIT', '33 rosters', 'roster', { records: Array.from({ length: 33 }, () => publisher) }),
    refused('RECORD_INVALID', 'a file of a roster without a byte', 'roster', { car: of(0) }),
    refused('RECORD_INVALID', 'the name of a roster for its id', 'get-roster', { of: 'imaging' }),
    refused('RECORD_INVALID', 'a code in lower case', 'error', { code: 'busy' }),
    refused('RECORD_INVALID', 'a message of 1,001 characters', 'error', { message: 'x'.repeat(1001) }),
    refused('RECORD_INVALID', 'a file over the largest', 'tree', { size: 20 * 2 ** 30 + 1 }),
    refused('LIMIT', '33 nodes', 'tree', { nodes: Array.from({ length: 33 }, () => of(0)) }),
    refused('RECORD_INVALID', 'a deadline of nothing', 'infer', { deadline: 0 }),
    refused('LIMIT', '33 inputs', 'infer', { inputs: of33 }),
    refused('RECORD_INVALID', 'a salt of 31 bytes', 'infer', { salt: of(31) }),
    refused('RECORD_INVALID', 'the name of a step with a digit', 'result', { timings: { step1: 1 } }),
    refused('CBOR_FLOAT', 'a time with a point', 'result', { timings: { compute: 1.5 } }),
    refused('RECORD_INVALID', '33 peers asked for', 'get-peers', { limit: 33 }),
    refused('RECORD_INVALID', 'an address with a space', 'dial-back', { addresses: ['/dns/a b/tcp/1'] }),
    refused('LIMIT', 'five addresses to dial', 'dial-back', { addresses: ['/a', '/a', '/a', '/a', '/a'] }),
    { description: 'a list, not a map', input: { family: 'sync-request', frame: '80' }, code: 'PEER' },
    { description: 'nothing', input: { family: 'sync-request', frame: '' }, code: 'TRUNCATED' },
    { description: 'bytes behind the message', input: { family: 'sync-request', frame: `${toHex(dagCbor.encode(example('done').fields))}00` }, code: 'TRAILING' },
  ]
}

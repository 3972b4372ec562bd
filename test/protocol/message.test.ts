import assert from 'node:assert/strict'
import * as fc from 'fast-check'
import { type CborMap, type CborValue, decode, encode } from '../../protocol/cbor.ts'
import { cidOf, linkOf } from '../../protocol/cid.ts'
import { CODES, expectOk } from '../../protocol/errors.ts'
import {
  MAX_AGENT_CHARS,
  MAX_CARD_BYTES,
  MAX_DIALLED_BACK,
  MAX_EXCHANGED_PEERS,
  MAX_FRAME_BYTES,
  MAX_IDENTITY_OP_BYTES,
  MAX_IDENTITY_PAGE,
  MAX_INFER_TENSORS,
  MAX_MULTIADDR_CHARS,
  MAX_PEER_ADDRESSES,
  MAX_RANGE_MARKS,
  MAX_RECORD_BYTES,
  MAX_ROSTER_CAR_BYTES,
  MAX_STATEMENT_BYTES,
  MAX_SYNC_ITEMS,
  MAX_SYNC_LOGS,
  MAX_SYNC_PUBLISHERS,
  MAX_SYNC_RANGES,
  MAX_SYNC_RECORDS,
  MAX_SYNC_ROSTERS,
  MAX_TREE_NODES,
} from '../../protocol/limits.ts'
import {
  type BlobReply,
  blobReplies,
  blobRequests,
  expectReply,
  failureMessage,
  type Hello,
  helloMessages,
  inferReplies,
  inferRequests,
  type Messages,
  readFailure,
} from '../../protocol/message.ts'
import { peersReplies, peersRequests } from '../../protocol/peers-message.ts'
import {
  type SyncItem,
  type SyncReply,
  type SyncRequest,
  syncReplies,
  syncRequests,
} from '../../protocol/sync-message.ts'

const cid = cidOf('dag-cbor', new Uint8Array(1))
const file = cidOf('raw', new Uint8Array(1))
const key = 'ab'.repeat(32)
const digest = new Uint8Array(32).fill(3)
const of = (length: number) => new Uint8Array(length)
/** Names of ranges, in order. */
const names = (count: number) =>
  Array.from({ length: count }, (_, n) => n.toString(16).padStart(3, '0'))
const times = <T>(length: number, value: T): T[] => Array.from({ length }, () => value)

const exchanged = {
  t: 'peers',
  peers: [
    {
      peer: '12D3KooWGGFPz2Mo3x4Kb5cYfAaGkRs8qMJoNcyAWEdkwZrBqdk3',
      addresses: ['/ip4/192.0.2.1/tcp/7071'],
    },
  ],
}
const dialled = {
  t: 'dialled',
  now: 1_790_000_000_000,
  observed: '192.0.2.1',
  results: [
    { address: '/ip4/192.0.2.1/tcp/1', code: null, message: null, ms: 12 },
    { address: '/ip4/192.0.2.1/tcp/2', code: 'UNREACHABLE', message: 'no', ms: 0 },
  ],
}

const item: SyncItem = {
  publisher: cid,
  key,
  epoch: 0,
  seq: 4,
  tip: cid,
  day: 20000,
  forked: false,
}
const salt = of(16)
const compare = {
  t: 'compare',
  salt,
  ranges: [
    { range: '0', marks: of(6) },
    { range: '1a', marks: of(0) },
  ],
  after: 'ab'.repeat(16),
} as const
const log = { id: 'ab'.repeat(16), after: { epoch: 0, seq: 1, tip: cid } }
const page = { records: [{ envelope: of(64), card: of(0) }], head: null, more: false }
const open: Extract<SyncRequest, { t: 'open' }> = {
  t: 'open',
  mine: digest,
  yours: null,
  publishers: [cid],
  fingerprint: digest,
}
const records: Extract<SyncReply, { t: 'records' }> = {
  t: 'records',
  logs: [page],
}
const hello: Hello = {
  t: 'hello',
  versions: [1],
  agent: 'zoarium/0.1',
  identityLength: 3,
  binding: of(100),
  heartbeat: null,
  limits: { streams: 1, bytesPerSecond: 0, inferBytes: 0 },
}
const tree: Extract<BlobReply, { t: 'tree' }> = { t: 'tree', size: 1, nodes: [], have: null }
const infer = {
  t: 'infer',
  record: cid,
  output: 'png',
  accept: null,
  deadline: 1000,
  inputs: [{ name: null, size: 3, mediaType: 'image/png' }],
  salt: null,
} as const
const result = {
  t: 'result',
  mediaType: 'image/png',
  outputs: [{ id: 'mask', axes: ['y', 'x'], shape: [2, 3], dtype: 'uint8' }],
  timings: { computeMs: 1500 },
  notes: [],
  receipt: null,
} as const

/** Every message once, by the direction in which it goes. */
const EXAMPLES: readonly [string, Messages<never>, readonly unknown[]][] = [
  ['hello', helloMessages as Messages<never>, [hello]],
  [
    'sync requests',
    syncRequests as Messages<never>,
    [
      open,
      { t: 'get-identity', publisher: cid, from: 3 },
      { t: 'get-profile', publisher: cid },
      { t: 'get-rival', publisher: cid },
      { t: 'get-proof', publisher: cid, key },
      { t: 'split', salt, ranges: [''] },
      { t: 'split', salt, ranges: ['0', '1a', '1b'] },
      compare,
      { ...compare, after: null },
      { t: 'get-records', logs: [log], limit: 1000 },
      { t: 'get-records', logs: [{ ...log, after: null }, log], limit: 1 },
      { t: 'get-roster', of: cid },
      { t: 'done', behind: true },
    ],
  ],
  [
    'sync replies',
    syncReplies as Messages<never>,
    [
      { t: 'state', publishers: null, parts: null },
      { t: 'state', publishers: [cid], parts: of(96) },
      { t: 'parts', parts: [of(96), of(96)] },
      { t: 'items', items: [item, { ...item, key: null }], lacks: [0, 4095], more: false },
      { t: 'identity', operations: [of(10)], more: false },
      { t: 'profile', envelope: null },
      { t: 'rival', from: 3, operations: [of(80)] },
      { t: 'proof', first: of(64), second: of(64) },
      records,
      { t: 'roster', records: [cid], car: of(100) },
      failureMessage({ code: 'BUSY', message: 'later', limit: 3, got: 'four' }, 1000),
    ],
  ],
  [
    'blob requests',
    blobRequests as Messages<never>,
    [
      { t: 'get-tree', cid: file },
      { t: 'get-leaf', cid: cidOf('dag-pb', of(2)), index: 7, insist: true },
      { t: 'get-have', cid: file, known: 3 },
    ],
  ],
  [
    'blob replies',
    blobReplies as Messages<never>,
    [
      tree,
      { t: 'tree', size: 5e9, nodes: [of(9)], have: of(3) },
      { t: 'have', have: null },
      { t: 'leaf', index: 7 },
      { t: 'given', index: 7, given: of(1) },
    ],
  ],
  [
    'peers requests',
    peersRequests as Messages<never>,
    [
      { t: 'get-peers', limit: 32 },
      { t: 'dial-back', addresses: ['/ip4/192.0.2.1/tcp/7071', '/dns/a.example/tcp/443/tls/ws'] },
    ],
  ],
  ['peers replies', peersReplies as Messages<never>, [exchanged, dialled]],
  ['infer requests', inferRequests as Messages<never>, [infer]],
  ['infer replies', inferReplies as Messages<never>, [result]],
]

describe('protocol/message', () => {
  for (const [name, messages, examples] of EXAMPLES) {
    it(`reads back what it writes: ${name}`, () => {
      for (const example of examples) {
        assert.deepEqual(expectOk(messages.decode(messages.encode(example as never))), example)
      }
    })

    it(`never throws on foreign bytes: ${name}`, () => {
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
          assert.equal(messages.decode(bytes).ok, false)
        }),
        { numRuns: 300 },
      )
    })

    it(`never throws on bent messages, and reads no other form: ${name}`, () => {
      const bent = fc.record({
        example: fc.constantFrom(...examples),
        at: fc.nat(),
        value: fc.integer({ min: 0, max: 255 }),
      })
      fc.assert(
        fc.property(bent, ({ example, at, value }) => {
          const bytes = messages.encode(example as never).slice()
          bytes[at % bytes.length] = value
          const verdict = messages.decode(bytes)
          if (verdict.ok) assert.deepEqual(messages.encode(verdict.value), bytes)
          else assert.ok(Object.hasOwn(CODES, verdict.code))
        }),
        { numRuns: 500 },
      )
    })

    it(`refuses every field that is missing, surplus or of another type: ${name}`, () => {
      for (const example of examples) {
        const value = expectOk(decode(messages.encode(example as never))) as CborMap
        for (const field of Object.keys(value)) {
          const { [field]: _, ...rest } = value
          assert.equal(messages.decode(encode(rest)).ok, false, `without ${field}`)
          for (const other of [-1, 'x'.repeat(5000), [[]], { 'no field': -1 }] as CborValue[]) {
            assert.equal(messages.decode(encode({ ...value, [field]: other })).ok, false, field)
          }
        }
        const verdict = messages.decode(encode({ ...value, surplus: 1 }))
        assert.equal(verdict.ok ? null : verdict.code, 'UNKNOWN_FIELD')
      }
    })
  }

  it('names the types that it knows when it meets another', () => {
    const verdict = blobRequests.decode(encode({ t: 'get-everything' }))
    assert.equal(verdict.ok ? null : verdict.code, 'PEER')
    assert.equal(verdict.ok ? null : verdict.got, 'get-everything')
    for (const value of [null, 1, [], 'hello', of(3), linkOf(cid), {}, { t: 1 }]) {
      assert.equal(blobRequests.decode(encode(value as CborValue)).ok, false)
    }
  })

  /** Each bound: the message at the limit is read, the one past it refused. */
  const bounds: readonly [string, Messages<never>, (n: number) => unknown, number][] = [
    [
      'agent',
      helloMessages as Messages<never>,
      (n) => ({ ...hello, agent: 'x'.repeat(n) }),
      MAX_AGENT_CHARS,
    ],
    [
      'rosters',
      syncReplies as Messages<never>,
      (n) => ({ t: 'roster', records: Array.from({ length: n }, () => cid), car: null }),
      MAX_SYNC_ROSTERS,
    ],
    [
      'file of a roster',
      syncReplies as Messages<never>,
      (n) => ({ t: 'roster', records: [], car: of(n) }),
      MAX_ROSTER_CAR_BYTES,
    ],
    [
      'binding',
      helloMessages as Messages<never>,
      (n) => ({ ...hello, binding: of(n) }),
      MAX_STATEMENT_BYTES + 64,
    ],
    [
      'publishers',
      syncRequests as Messages<never>,
      (n) => ({ ...open, publishers: times(n, cid) }),
      MAX_SYNC_PUBLISHERS,
    ],
    [
      'items',
      syncReplies as Messages<never>,
      (n) => ({ t: 'items', items: times(n, item), lacks: [], more: false }),
      MAX_SYNC_ITEMS,
    ],
    [
      'records asked for',
      syncRequests as Messages<never>,
      (n) => ({ t: 'get-records', logs: [log], limit: n }),
      MAX_SYNC_RECORDS,
    ],
    [
      'logs asked for',
      syncRequests as Messages<never>,
      (n) => ({ t: 'get-records', logs: times(n, log), limit: 1 }),
      MAX_SYNC_LOGS,
    ],
    [
      'ranges',
      syncRequests as Messages<never>,
      (n) => ({ t: 'split', salt, ranges: names(n) }),
      MAX_SYNC_RANGES,
    ],
    [
      'digits of a range',
      syncRequests as Messages<never>,
      (n) => ({ t: 'split', salt, ranges: ['a'.repeat(n)] }),
      32,
    ],
    [
      'marks of a range',
      syncRequests as Messages<never>,
      (n) => ({ ...compare, ranges: [{ range: '', marks: of(n) }] }),
      MAX_RANGE_MARKS * 6,
    ],
    [
      'parts',
      syncReplies as Messages<never>,
      (n) => ({ t: 'parts', parts: times(n, of(96)) }),
      MAX_SYNC_RANGES,
    ],
    [
      'records',
      syncReplies as Messages<never>,
      (n) => ({
        ...records,
        logs: [{ ...page, records: times(n, { envelope: of(64), card: null }) }],
      }),
      MAX_SYNC_RECORDS,
    ],
    [
      'pages',
      syncReplies as Messages<never>,
      (n) => ({ ...records, logs: times(n, page) }),
      MAX_SYNC_LOGS,
    ],
    [
      'record',
      syncReplies as Messages<never>,
      (n) => ({ ...records, logs: [{ ...page, records: [{ envelope: of(n), card: null }] }] }),
      MAX_RECORD_BYTES + 64,
    ],
    [
      'card',
      syncReplies as Messages<never>,
      (n) => ({ ...records, logs: [{ ...page, records: [{ envelope: of(64), card: of(n) }] }] }),
      MAX_CARD_BYTES,
    ],
    [
      'identity operations',
      syncReplies as Messages<never>,
      (n) => ({ t: 'identity', operations: times(n, of(10)), more: false }),
      MAX_IDENTITY_PAGE,
    ],
    [
      'identity operation',
      syncReplies as Messages<never>,
      (n) => ({ t: 'identity', operations: [of(n)], more: false }),
      MAX_IDENTITY_OP_BYTES,
    ],
    [
      'tree',
      blobReplies as Messages<never>,
      (n) => ({ ...tree, nodes: times(n, of(10)) }),
      MAX_TREE_NODES,
    ],
    [
      'peers',
      peersReplies as Messages<never>,
      (n) => ({ ...exchanged, peers: times(n, exchanged.peers[0]) }),
      MAX_EXCHANGED_PEERS,
    ],
    [
      'addresses of a peer',
      peersReplies as Messages<never>,
      (n) => {
        const [peer] = exchanged.peers
        return { ...exchanged, peers: [{ ...peer, addresses: times(n, '/ip4/192.0.2.1') }] }
      },
      MAX_PEER_ADDRESSES,
    ],
    [
      'addresses to dial',
      peersRequests as Messages<never>,
      (n) => ({ t: 'dial-back', addresses: times(n, '/ip4/192.0.2.1/tcp/1') }),
      MAX_DIALLED_BACK,
    ],
    [
      'characters of an address',
      peersRequests as Messages<never>,
      (n) => ({ t: 'dial-back', addresses: [`/dns/${'a'.repeat(n - 5)}`] }),
      MAX_MULTIADDR_CHARS,
    ],
    [
      'inputs',
      inferRequests as Messages<never>,
      (n) => ({ ...infer, inputs: times(n, infer.inputs[0]) }),
      MAX_INFER_TENSORS,
    ],
    [
      'outputs',
      inferReplies as Messages<never>,
      (n) => ({ ...result, outputs: times(n, result.outputs[0]) }),
      MAX_INFER_TENSORS,
    ],
  ]
  for (const [name, messages, make, limit] of bounds) {
    it(`bounds: ${name}`, () => {
      assert.equal(messages.decode(messages.encode(make(limit) as never)).ok, true, 'at the limit')
      assert.equal(messages.decode(messages.encode(make(limit + 1) as never)).ok, false, 'past it')
    })
  }

  it('fits the largest messages into a frame', () => {
    const items = times(MAX_SYNC_ITEMS, { ...item, epoch: 1e3, seq: 1e9 })
    const lacks = times(MAX_SYNC_RANGES * MAX_RANGE_MARKS, 4095)
    const largest: SyncReply[] = [
      { t: 'state', publishers: times(MAX_SYNC_PUBLISHERS, cid), parts: of(96) },
      { t: 'items', items, lacks, more: true },
    ]
    for (const each of largest) assert.ok(syncReplies.encode(each).length <= MAX_FRAME_BYTES)
    const operations = times(MAX_IDENTITY_PAGE, of(MAX_IDENTITY_OP_BYTES))
    const chain = syncReplies.encode({ t: 'identity', operations, more: true })
    assert.ok(chain.length <= MAX_FRAME_BYTES, `${chain.length}`)
    const model = { envelope: of(MAX_RECORD_BYTES + 64), card: of(MAX_CARD_BYTES) }
    const record = syncReplies.encode({ ...records, logs: [{ ...page, records: [model] }] })
    assert.ok(record.length <= MAX_FRAME_BYTES)
  })

  it('refuses ranges that overlap or are not in order', () => {
    const codeOf = (ranges: readonly string[]): string => {
      const split = syncRequests.decode(encode({ t: 'split', salt, ranges: [...ranges] }))
      const held = ranges.map((range) => [range, of(0)])
      const same = syncRequests.decode(encode({ t: 'compare', salt, ranges: held, after: null }))
      assert.equal(split.ok, same.ok)
      return split.ok ? 'ok' : split.code
    }
    for (const ranges of [
      ['1', '0'],
      ['0', '0'],
      ['', '0'],
      ['a', 'ab'],
      ['a', 'b', 'bc'],
    ]) {
      assert.equal(codeOf(ranges), 'RECORD_INVALID', ranges.join())
    }
    for (const ranges of [[], [''], ['0', '1'], ['0f', '1', '2a']]) {
      assert.equal(codeOf(ranges), 'ok', ranges.join())
    }
    for (const range of ['g', 'A', '-']) assert.equal(codeOf([range]), 'RECORD_INVALID')
  })

  it('takes timings by name, and nothing else', () => {
    const codeOf = (timings: unknown): string => {
      const frame = encode({ ...result, timings } as unknown as CborMap)
      const verdict = inferReplies.decode(frame)
      return verdict.ok ? 'ok' : `${verdict.code} ${verdict.field}`
    }
    const letter = (i: number): string => String.fromCharCode(97 + (i % 26))
    const many = (n: number) =>
      Object.fromEntries(times(n, 0).map((_, i) => [`${letter(i / 26)}${letter(i)}`, i]))
    assert.equal(codeOf({}), 'ok')
    assert.equal(codeOf(many(32)), 'ok')
    assert.equal(codeOf(many(33)), 'RECORD_INVALID timings')
    assert.equal(codeOf([]), 'RECORD_INVALID timings')
    assert.equal(codeOf({ compute: -1 }), 'RECORD_INVALID timings.compute')
    assert.equal(codeOf({ 'a b': 1 }), 'RECORD_INVALID timings.a b')
  })

  it('refuses more bytes than a frame may have, unread', () => {
    const verdict = syncReplies.decode(of(MAX_FRAME_BYTES + 1))
    assert.equal(verdict.ok ? null : verdict.code, 'LIMIT')
  })

  it('carries failures, and takes codes that it does not know for PEER', () => {
    const message = failureMessage({
      code: 'INPUT',
      message: 'x'.repeat(2000),
      field: 'raw',
      limit: -1,
      got: 2.5,
      hint: 'crop',
    })
    const read = expectOk(syncReplies.decode(syncReplies.encode(message)))
    assert.equal(read.t, 'error')
    const failure = read.t === 'error' ? readFailure(read) : assert.fail()
    assert.equal(failure.code, 'INPUT')
    assert.equal(failure.message.length, 1000)
    assert.deepEqual(
      [failure.field, failure.limit, failure.got, failure.hint],
      ['raw', '-1', '2.5', 'crop'],
    )
    assert.equal(readFailure({ ...message, code: 'LATER_CODE' }).code, 'PEER')
    assert.equal(readFailure({ ...message, code: 'toString' }).code, 'PEER')
  })

  it('tells the reply that was asked for from another', () => {
    assert.equal(expectReply<SyncReply, 'records'>(records, 'records').ok, true)
    const other = expectReply<SyncReply, 'state'>(records, 'state')
    assert.equal(other.ok ? null : other.code, 'PEER')
  })
})

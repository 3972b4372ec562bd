/** Valid signed things of one publisher, from which mutants are made. */
import * as dagCbor from '@ipld/dag-cbor'
import { CID } from 'multiformats/cid'
import { signBinding } from '../../protocol/binding.ts'
import { toHex } from '../../protocol/bytes.ts'
import { type Cid, cidOf } from '../../protocol/cid.ts'
import { type ContentTree, createTreeHasher } from '../../protocol/content-tree.ts'
import { signHeartbeat } from '../../protocol/heartbeat.ts'
import { holdingsId, inOrder, signHoldings } from '../../protocol/holdings.ts'
import { commitmentOf, keySetOf } from '../../protocol/identity.ts'
import { LEAF_BYTES } from '../../protocol/limits.ts'
import type { RecordBody } from '../../protocol/record.ts'
import { lastOf, START, TestPublisher, utf8 } from '../helpers/publisher.ts'
import type { Value } from './loose-cbor.ts'
import { keys, signers } from './signers.ts'
import type { Pool } from './value-mutants.ts'

const DAY_MS = 24 * 3600 * 1000
const peer = '12D3KooWGtfzvP3Aw6yQwdd1YDnKM7qFEwrvvNnFzU8HzShUn4TD'

/** Its keys are those of signers.ts. */
export const publisher = new TestPublisher('fuzz')
const seed = (name: string): Uint8Array => signers.get(name)?.seed ?? new Uint8Array(32)

const model = publisher.model({
  name: 'nuclei',
  aliases: ['10.5281/zenodo.5764892', 'affable-shark'],
})
const bodies: readonly RecordBody[] = [
  {
    kind: 'withdraw',
    body: { target: model.signed.id, verb: 'recall', reason: 'wrong-output', note: 'Übel' },
  },
  { kind: 'tag', body: { name: 'nuclei', tag: 'stable', target: model.signed.id, replaces: [] } },
  {
    kind: 'profile',
    body: {
      label: 'fuzz',
      displayName: 'Institut für Mutanten',
      handle: 'fuzz.example.org',
      url: 'https://example.org/',
      ror: '03yrm5c26',
      replaces: [model.signed.id],
    },
  },
  {
    kind: 'attest',
    body: {
      target: model.signed.id,
      root: cidOf('dag-pb', utf8('files')),
      claim: 'measured',
      list: [1, null, { deep: true }],
    },
  },
  {
    kind: 'roster',
    body: {
      name: 'colony',
      members: [model.signed.id, cidOf('dag-cbor', utf8('another'))].sort(),
      right: 'mirror',
      bootstrap: [`/dns4/zoo.example.org/tcp/7071/p2p/${peer}`],
      replaces: [model.signed.id],
    },
  },
]
const signed = [model.signed, ...bodies.map((body) => publisher.record(body))]
/** Envelopes of a record of each kind. */
export const records: readonly Uint8Array[] = signed.map(({ envelope }) => envelope)

const serving = { publisher: publisher.publisher, key: publisher.key('serve'), peer }
const issued = START + 1000
export const heads: readonly Uint8Array[] = [publisher.head(model.signed)]
export const bindings: readonly Uint8Array[] = [
  signBinding(
    { ...serving, roles: ['sync', 'serve'], issued, expires: issued + DAY_MS },
    seed('serve'),
  ),
]
export const heartbeats: readonly Uint8Array[] = [
  signHeartbeat(
    {
      ...serving,
      issued,
      expires: issued + 60_000,
      engines: [{ name: 'onnx', provider: 'CPUExecutionProvider', device: 'a processor' }],
      queue: 3,
      warm: [model.signed.id],
      serves: [model.signed.id, cidOf('dag-cbor', utf8('another'))],
      speed: [{ model: model.signed.id, usPerMegapixel: 90_000 }],
      freeMemory: 2 ** 33,
      residency: ['country:DE'],
      acceptsInput: true,
    },
    seed('serve'),
  ),
]

const some = ['a', 'b', 'c'].map((name) => cidOf('dag-cbor', utf8(name)))
export const HOLDINGS_ISSUED = issued + 100
const stated = { ...serving, issued: HOLDINGS_ISSUED, expires: HOLDINGS_ISSUED + DAY_MS }
const full = signHoldings(
  {
    ...stated,
    base: null,
    models: inOrder([model.signed.id, ...some]),
    gone: [],
    room: 2 ** 36,
  },
  seed('serve'),
)
/** One that names all, and one that changes it. */
export const holdings: readonly Uint8Array[] = [
  full,
  signHoldings(
    {
      ...stated,
      issued: HOLDINGS_ISSUED + 1,
      base: holdingsId(full),
      models: [cidOf('dag-cbor', utf8('d'))],
      gone: inOrder(some.slice(1)),
      room: 0,
    },
    seed('serve'),
  ),
]

const linksOf = (bytes: Uint8Array): CID[] => {
  const found: CID[] = []
  const visit = (value: unknown): void => {
    const link = CID.asCID(value)
    if (link !== null) found.push(link)
    else if (Array.isArray(value)) value.forEach(visit)
    else if (typeof value === 'object' && value !== null && !(value instanceof Uint8Array)) {
      Object.values(value).forEach(visit)
    }
  }
  visit(dagCbor.decode(bytes))
  return found
}

/** What mutants take from each other. */
export const pool: Pool = {
  keys,
  links: records.flatMap((each) => linksOf(each.subarray(0, -64))),
  words: [
    ...['record', 'head', 'identity', 'binding', 'heartbeat', 'holdings', 'receipt'],
    ...['model', 'withdraw', 'tag', 'attest', 'profile', 'roster', 'succeed'],
    ...[
      'genesis',
      'delegate',
      'renew',
      'revoke',
      'epoch',
      'heal',
      'rotate',
      'confide',
      'publish',
      'serve',
    ],
    ...['yank', 'recall', 'erase', 'restore', 'superseded', 'lost', 'stolen', 'staff-left', 'sync'],
    ...[
      'card',
      'weights',
      'other',
      'raw',
      'converted',
      'revised',
      'reproduced',
      'untested',
      'latest',
    ],
    ...[
      'publisher',
      'key',
      'seq',
      'prev',
      'idv',
      'ts',
      'kind',
      'body',
      'name',
      'version',
      't',
      'v',
    ],
    ...[
      'rdf.yaml',
      'weights.onnx',
      'a/b.bin',
      'RDF.yaml',
      'image/png',
      peer,
      toHex(keys[0] as Uint8Array),
    ],
    ...['a.b', 'example.org', 'https://example.org/x', '03yrm5c26', '1.0.0', 'affable-shark'],
  ],
}

/** A chain with every operation; from 1 of 1 by way of a rotation to 2 of 3. */
export const chain: readonly Uint8Array[] = makeChain()

function makeChain(): Uint8Array[] {
  const made = new TestPublisher('fuzz')
  const one = made.model({ name: 'one' }).signed
  const two = made.model({ name: 'two' }).signed
  const key = made.key()
  const ts = START
  made.sign({ op: 'renew', key, last: lastOf(one), notAfter: START + 500 * DAY_MS, ts })
  made.sign({ op: 'epoch', key, last: lastOf(two), ts })
  const three = keySetOf([seed('root 2'), seed('root 3'), seed('third')], 2)
  const publishers = ['one', 'two'].map((each) => cidOf('dag-cbor', utf8(each))).sort()
  const audience = { publishers, rosters: [{ publisher: made.publisher, name: 'colony' }] }
  const times = { notBefore: START, notAfter: START + 90 * DAY_MS, ts }
  const confided = toHex(signers.get('stranger')?.key ?? new Uint8Array(32))
  made.sign({ op: 'confide', key: confided, ...times, audience })
  made.sign({ op: 'succeed', steward: publishers[0] ?? null, ts })
  made.rotate(three)
  const next = [seed('next')]
  const reveal = [...next, seed('root 2'), seed('root 3'), seed('third')]
  made.sign(
    { op: 'rotate', ts, ...three, next: commitmentOf(keySetOf([seed('next 2')], 1)) },
    reveal,
  )
  const k = [seed('root 2'), seed('third')]
  const raised = made.model({ name: 'three' }).signed
  made.sign({ op: 'heal', key, last: lastOf(raised), ts }, k)
  made.sign({ op: 'revoke', key, last: lastOf(raised), reason: 'superseded', ts }, k)
  return made.operations
}

/** The payload of an envelope as the general codec reads it. */
export const parsed = (payload: Uint8Array): Value => dagCbor.decode(payload)

export const linkOfText = (cid: Cid): CID => CID.parse(cid)

/** The tree of a file of zeros. */
export function treeOf(size: number): ContentTree {
  const hasher = createTreeHasher()
  const leaf = new Uint8Array(LEAF_BYTES)
  for (let at = 0; at < size; at += LEAF_BYTES)
    hasher.leaf(leaf.subarray(0, Math.min(LEAF_BYTES, size - at)))
  return hasher.finish()
}

/**
 * Makes the test vectors of the protocol: `node test/vectors/generate.ts` writes them anew. All
 * seeds are fixed, so the same code makes the same bytes; test/protocol/vectors.test.ts compares and
 * replays them. Vectors never change within a version of the protocol.
 */
import fs from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import * as dagCbor from '@ipld/dag-cbor'
import { signBinding } from '../../protocol/binding.ts'
import { compareBytes, concat, fromHex, toHex } from '../../protocol/bytes.ts'
import { readCar, writeCar } from '../../protocol/car.ts'
import { type CborMap, type CborValue, decode } from '../../protocol/cbor.ts'
import { type Cid, cidOf, digestOf, linkOf } from '../../protocol/cid.ts'
import { createTreeHasher } from '../../protocol/content-tree.ts'
import { publicKeyOf, sha256 } from '../../protocol/crypto.ts'
import type { Scope } from '../../protocol/scope.ts'
import { seal } from '../../protocol/envelope.ts'
import { expectOk } from '../../protocol/errors.ts'
import { folderCid } from '../../protocol/folder.ts'
import { type Head, signHead } from '../../protocol/head.ts'
import { type Heartbeat, signHeartbeat } from '../../protocol/heartbeat.ts'
import { type Holdings, holdingsId, inOrder, readHoldings, signHoldings, type StatedHoldings } from '../../protocol/holdings.ts'
import { type Draft, draftOperation } from '../../protocol/identity-draft.ts'
import { encodeBundle } from '../../protocol/key-bundle.ts'
import {
  commitmentOf,
  createGenesis,
  extendIdentity,
  type Identity,
  keySetOf,
  type NewOperation,
  readIdentity,
  signOperation,
} from '../../protocol/identity.ts'
import { LEAF_BYTES, MAX_DELEGATION_MS } from '../../protocol/limits.ts'
import type { LogPosition, LogRecord, ModelFile, RecordBody, SignedRecord } from '../../protocol/record.ts'
import { readRecord, signRecord } from '../../protocol/record.ts'
import { type RosterParts, writeRosterCar } from '../../protocol/roster-car.ts'
import { sign } from '../../protocol/signature.ts'
import { messageVectors } from './messages.ts'
import { cidVectors, handleVectors, nameVectors, pathVectors, signatureVectors } from './names.ts'

/** One case: what goes in, and either what comes out or the code of the refusal. */
export interface Vector {
  readonly description: string
  readonly input: unknown
  readonly expected?: unknown
  readonly code?: string
}

const DAY_MS = 24 * 3600 * 1000
const NOW = Date.UTC(2026, 0, 1)
const ORDER = 2n ** 252n + 27742317777372353535851937790883648493n

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)
/** Every seed is the SHA-256 of a sentence. */
const seedOf = (name: string): Uint8Array => sha256(utf8(`zoarium test vector seed: ${name}`))
const keyOf = (seed: Uint8Array): string => toHex(publicKeyOf(seed))

const roots = ['root 1', 'root 2', 'root 3'].map(seedOf)
const [root1, root2] = roots as [Uint8Array, Uint8Array, Uint8Array]
const seeds = { publish: seedOf('publish'), serve: seedOf('serve') }
const next = keySetOf(['next 1', 'next 2'].map(seedOf), 2)

const genesis = createGenesis({ roots, threshold: 2, next, ts: NOW })
const delegate = (scope: keyof typeof seeds, n: typeof genesis.identity, signers: readonly Uint8Array[]) =>
  signOperation(
    n,
    { op: 'delegate', key: keyOf(seeds[scope]), scope, notBefore: NOW, notAfter: NOW + MAX_DELEGATION_MS, ts: NOW },
    signers,
  )
const delegatePublish = delegate('publish', genesis.identity, [root1, root2])
const withPublish = expectOk(extendIdentity(genesis.identity, delegatePublish))
const delegateServe = delegate('serve', withPublish, roots)
const operations = [genesis.envelope, delegatePublish, delegateServe]
const identity = expectOk(readIdentity(operations))

/** A copy with one bit flipped, counted from the end where negative. */
function flipped(bytes: Uint8Array, at: number): Uint8Array {
  const copy = Uint8Array.from(bytes)
  const index = at < 0 ? copy.length + at : at
  copy[index] = (copy[index] ?? 0) ^ 1
  return copy
}

/** Bytes of a file that everybody can make: the n-th byte is n mod 251. */
export function contentOf(size: number): Uint8Array {
  const bytes = new Uint8Array(size)
  for (let n = 0; n < size; n++) bytes[n] = n % 251
  return bytes
}

function treeOf(bytes: Uint8Array) {
  const hasher = createTreeHasher()
  for (let at = 0; at < bytes.length; at += LEAF_BYTES) {
    hasher.leaf(bytes.subarray(at, at + LEAF_BYTES))
  }
  return hasher.finish()
}

function fileOf(path: string, bytes: Uint8Array, role: ModelFile['role'], mediaType: string): ModelFile {
  const { cid, size, sha256 } = treeOf(bytes)
  return { path, size, cid, sha256, role, mediaType }
}

const files: readonly ModelFile[] = [
  fileOf('docs/README.md', utf8('# Nuclei\n'), 'documentation', 'text/markdown'),
  fileOf('rdf.yaml', utf8('format_version: 0.5.4\ntype: model\n'), 'card', 'application/yaml'),
  fileOf('weights.onnx', contentOf(LEAF_BYTES + 1), 'weights', 'application/octet-stream'),
]
const cardFile = files[1] as ModelFile

const modelBody = {
  kind: 'model',
  body: {
    name: 'nuclei',
    version: '1.0.0',
    card: cardFile.cid,
    files,
    root: expectOk(folderCid(files)),
    parents: [],
    origin: null,
    aliases: ['10.5281/zenodo.5764892', 'affable-shark'],
    tested: 'reproduced',
  },
} as const satisfies RecordBody

function record(statement: RecordBody, header: Partial<LogRecord> = {}): SignedRecord {
  const fields = {
    publisher: identity.publisher,
    key: keyOf(seeds.publish),
    epoch: 0,
    seq: 0,
    prev: null,
    idv: identity.length,
    ts: NOW + 1000,
    ...statement,
    ...header,
    // SAFE: a header never changes the kind here.
  } as LogRecord
  return signRecord(fields, seeds.publish)
}

const model = record(modelBody)
const profile = record(
  {
    kind: 'profile',
    body: {
      label: 'institute',
      displayName: 'Institut für Zellbiologie',
      handle: 'zoo.example.org',
      url: 'https://zoo.example.org/',
      ror: '03mstc592',
      replaces: [],
    },
  },
  { seq: 1, prev: model.id },
)
const tag = record(
  { kind: 'tag', body: { name: 'nuclei', tag: 'stable', target: model.id, replaces: [] } },
  { seq: 2, prev: profile.id },
)
const withdraw = record(
  {
    kind: 'withdraw',
    body: { target: model.id, verb: 'yank', reason: 'superseded', note: 'Use 1.1.0.' },
  },
  { seq: 3, prev: tag.id },
)
/** Another record at the position of the tag. */
const fork = record(
  { kind: 'tag', body: { name: 'nuclei', tag: 'stable', target: profile.id, replaces: [] } },
  { seq: 2, prev: profile.id },
)

const peer = '12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN'
const attest = record(
  {
    kind: 'attest',
    body: { target: model.id, root: modelBody.body.root, claim: 'reviewed', note: 'Sound.' },
  },
  { seq: 4, prev: withdraw.id },
)
const roster = record(
  {
    kind: 'roster',
    body: {
      name: 'imaging',
      members: [model.id, profile.id, tag.id].sort(),
      right: 'mirror',
      bootstrap: [`/dns4/zoo.example.org/tcp/7071/p2p/${peer}`],
      replaces: [],
    },
  },
  { seq: 5, prev: attest.id },
)

/** A payload with other fields, sealed by a seed without any check. */
function forged(
  envelope: Uint8Array,
  changes: Record<string, CborValue>,
  type: Parameters<typeof seal>[0] = 'record',
  seed = seeds.publish,
): Uint8Array {
  const payload = expectOk(decode(envelope.subarray(0, -64))) as CborMap
  return seal(type, dagCbor.encode({ ...payload, ...changes }), seed)
}
const bodyOf = (signed: SignedRecord): CborMap =>
  (expectOk(decode(signed.envelope.subarray(0, -64))) as { body: CborMap }).body
const forgedBody = (signed: SignedRecord, changes: Record<string, CborValue>): Uint8Array =>
  forged(signed.envelope, { body: { ...bodyOf(signed), ...changes } })
/** The model with another second file. */
function forgedFile(changes: Record<string, CborValue>): Uint8Array {
  const list = bodyOf(model)['files'] as readonly CborMap[]
  return forgedBody(model, { files: list.map((file, n) => (n === 1 ? { ...file, ...changes } : file)) })
}

/** The same signature with S + L: another byte string that lax rules accept. */
function malleated(envelope: Uint8Array): Uint8Array {
  const scalar = BigInt(`0x${toHex(envelope.subarray(-32).toReversed())}`) + ORDER
  const bytes = fromHex(scalar.toString(16).padStart(64, '0')).toReversed()
  return concat([envelope.subarray(0, -32), bytes])
}

/** An operation with other fields, signed by these roots without any check. */
function forgedOperation(
  operation: Uint8Array,
  changes: Record<string, CborValue>,
  signers: readonly Uint8Array[] = roots,
  order: (a: readonly Uint8Array[], b: readonly Uint8Array[]) => number = ([a], [b]) =>
    compareBytes(a as Uint8Array, b as Uint8Array),
): Uint8Array {
  const { p } = expectOk(decode(operation)) as { p: Uint8Array }
  const payload = dagCbor.encode({ ...(expectOk(decode(p)) as CborMap), ...changes })
  const signatures = signers.map((seed) => [publicKeyOf(seed), sign('identity', payload, seed)])
  return dagCbor.encode({ p: payload, s: signatures.sort(order) })
}

const lastOf = ({ id, record: { epoch, seq } }: SignedRecord): LogPosition => ({ epoch, seq, tip: id })
const publishKey = keyOf(seeds.publish)
const nextRoots = ['next 1', 'next 2'].map(seedOf)
const third = keySetOf([seedOf('third')], 1)
const after = (chain: Identity, operation: NewOperation, signers: readonly Uint8Array[] = roots) =>
  signOperation(chain, operation, signers)
const renewal = {
  op: 'renew',
  ts: NOW,
  key: publishKey,
  notAfter: NOW + 2 * MAX_DELEGATION_MS,
  last: lastOf(profile),
} as const satisfies NewOperation
const revocation = { op: 'revoke', ts: NOW, key: publishKey, last: lastOf(profile), reason: 'stolen' } as const satisfies NewOperation
const raise = { op: 'epoch', ts: NOW, key: publishKey, last: lastOf(profile) } as const satisfies NewOperation
const healing = { op: 'heal', ts: NOW, key: publishKey, last: lastOf(tag) } as const satisfies NewOperation
const rotation = { op: 'rotate', ts: NOW, ...next, next: commitmentOf(third) } as const satisfies NewOperation
const renew = after(identity, renewal)
const revoke = after(identity, revocation)
const raised = after(identity, raise)
const heal = after(identity, healing)
const rotate = after(identity, rotation, [...roots, ...nextRoots])
const identityOf = (...more: Uint8Array[]): Identity => expectOk(readIdentity([...operations, ...more]))
/** The first record after the epoch was raised. */
const restarted = record(
  { kind: 'tag', body: { name: 'nuclei', tag: 'stable', target: model.id, replaces: [] } },
  { epoch: 1, seq: 0, prev: profile.id, idv: 4 },
)

const head: Head = {
  publisher: identity.publisher,
  key: keyOf(seeds.publish),
  epoch: 0,
  seq: 3,
  tip: withdraw.id,
  issued: NOW + 2000,
  expires: NOW + 2000 + 7 * DAY_MS,
}
const serveStatement = {
  publisher: identity.publisher,
  key: keyOf(seeds.serve),
  peer: '12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN',
  issued: NOW + 2000,
}
const binding = { ...serveStatement, roles: ['serve', 'sync'], expires: NOW + 2000 + 7 * DAY_MS } as const
const heartbeat: Heartbeat = {
  ...serveStatement,
  expires: NOW + 2000 + 60_000,
  engines: [{ name: 'onnx', provider: 'CPUExecutionProvider', device: 'x86_64, 16 cores' }],
  queue: 1,
  warm: [model.id],
  serves: [model.id],
  speed: [{ model: model.id, usPerMegapixel: 250_000 }],
  freeMemory: 2 ** 33,
  residency: ['DE', 'institute'],
  acceptsInput: true,
}
const headEnvelope = signHead(head, seeds.publish)
const bindingEnvelope = signBinding(binding, seeds.serve)
const heartbeatEnvelope = signHeartbeat(heartbeat, seeds.serve)

const valid = (description: string, input: unknown, expected: unknown): Vector => ({
  description,
  input,
  expected,
})
const invalid = (code: string, description: string, input: unknown): Vector => ({
  description,
  input,
  code,
})
const hexed = (code: string, description: string, bytes: Uint8Array) =>
  invalid(code, description, toHex(bytes))

function encodingVectors(): Vector[] {
  const digest = '00'.repeat(32)
  const nested = (depth: number): string => `${'81'.repeat(depth)}00`
  const accepted: [string, string][] = [
    ['zero', '00'],
    ['the greatest integer, 2^53-1', '1b001fffffffffffff'],
    ['the least integer, -(2^53-1)', '3b001ffffffffffffe'],
    ['null, true, false', '83f6f5f4'],
    ['keys by length, then by bytes', 'a3616101616202626161f6'],
    ['text that begins with a byte order mark', '66efbbbf616263'],
    ['text that is not in normal form C', '6365cc81'],
    ['a link to raw bytes', `d82a58250001551220${digest}`],
    ['a link to an encoded value', `d82a58250001711220${digest}`],
    ['a link to a folder under the key root', `a164726f6f74d82a58250001701220${digest}`],
    ['16 nested lists', nested(16)],
  ]
  const refused: [string, string, string][] = [
    ['CBOR_NONCANONICAL', 'keys out of order', 'a2616201616101'],
    ['CBOR_NONCANONICAL', 'keys ordered by bytes, not by length', 'a262616101616202'],
    ['CBOR_NONCANONICAL', 'a key twice', 'a2616101616102'],
    ['CBOR_NONCANONICAL', 'a key that is no text', 'a10102'],
    ['CBOR_NONCANONICAL', 'a number longer than it need be', '1817'],
    ['CBOR_NONCANONICAL', 'a length longer than it need be', '590000'],
    ['CBOR_NONCANONICAL', 'a list of indefinite length', '9fff'],
    ['CBOR_NONCANONICAL', 'a tag other than 42', 'c06130'],
    ['CBOR_FLOAT', 'a float of a whole number', 'fb3ff0000000000000'],
    ['CBOR_FLOAT', 'half precision', 'f93c00'],
    ['CBOR_FLOAT', 'negative zero', 'fb8000000000000000'],
    ['CBOR_FLOAT', 'not a number', 'f97e00'],
    ['CBOR_SIMPLE', 'undefined', 'f7'],
    ['CBOR_SIMPLE', 'an unassigned simple value', 'e0'],
    ['INT_RANGE', '2^53', '1b0020000000000000'],
    ['INT_RANGE', '-(2^53)', '3b001fffffffffffff'],
    ['INT_RANGE', '2^64-1', '1bffffffffffffffff'],
    ['UTF8', 'a byte sequence that is none', '62c328'],
    ['UTF8', 'half of a surrogate pair', '63eda080'],
    ['DEPTH', '17 nested lists', nested(17)],
    ['TRUNCATED', 'nothing', ''],
    ['TRUNCATED', 'a list of 2^31-1 items in 9 bytes', '9a7fffffff00000000'],
    ['TRUNCATED', 'text that ends early', '6261'],
    ['TRAILING', 'two values', '0000'],
    ['KEY_RESERVED', 'a key __proto__', 'a1695f5f70726f746f5f5f01'],
    ['KEY_RESERVED', 'a key with a NUL', 'a1610001'],
    ['CID_PROFILE', 'a content id of version 0', `d82a5823001220${digest}`],
    ['CID_PROFILE', 'another hash function', `d82a58250001551e20${digest}`],
    ['CID_PROFILE', 'an identity hash', 'd82a450001550000'],
    ['CID_PROFILE', 'a folder where none may stand', `d82a58250001701220${digest}`],
    ['CID_PROFILE', 'a link without the zero before it', `d82a582401551220${digest}`],
  ]
  return [
    ...accepted.map(([description, hex]) => valid(description, hex, hex)),
    ...refused.map(([code, description, hex]) => invalid(code, description, hex)),
  ]
}

function recordVectors(): Vector[] {
  const shown = ({ id, record }: SignedRecord) => ({ id, record })
  const weak = forged(model.envelope, { key: new Uint8Array(32) })
  return [
    valid('a model', toHex(model.envelope), shown(model)),
    valid('a profile', toHex(profile.envelope), shown(profile)),
    valid('a tag', toHex(tag.envelope), shown(tag)),
    valid('a withdrawal', toHex(withdraw.envelope), shown(withdraw)),
    ...['erase', 'restore'].map((verb) => {
      const envelope = forgedBody(withdraw, { verb })
      return valid(`a withdrawal: ${verb}`, toHex(envelope), shown(expectOk(readRecord(envelope))))
    }),
    hexed('RECORD_INVALID', 'a verb that nobody knows', forgedBody(withdraw, { verb: 'burn' })),
    hexed('SIG_INVALID', 'a flipped bit in the payload', forged(tag.envelope, {}).with(40, 0)),
    hexed('SIG_INVALID', 'a flipped bit in R of the signature', flipped(tag.envelope, -64)),
    hexed('SIG_INVALID', 'signed by another key', forged(tag.envelope, {}, 'record', seeds.serve)),
    hexed('SIG_INVALID', 'signed as another type', forged(tag.envelope, {}, 'head')),
    hexed('SIG_NONCANONICAL', 'S + L in the signature', malleated(tag.envelope)),
    hexed('SIG_LENGTH', 'shorter than a signature', tag.envelope.subarray(-64)),
    hexed('KEY_WEAK', 'a key of low order', weak),
    hexed('TRAILING', 'a byte between payload and signature', seal('record', concat([tag.envelope.subarray(0, -64), Uint8Array.of(0)]), seeds.publish)),
    hexed('RECORD_INVALID', 'another type', forged(tag.envelope, { t: 'head' })),
    hexed('UNKNOWN_VERSION', 'version 2', forged(tag.envelope, { v: 2 })),
    hexed('UNKNOWN_VERSION', 'a kind that nobody knows', forged(tag.envelope, { kind: 'poll' })),
    hexed('UNKNOWN_FIELD', 'a surplus field', forged(tag.envelope, { comment: 'hello' })),
    hexed('SEQ', 'a number beyond any log', forged(tag.envelope, { seq: Number.MAX_SAFE_INTEGER })),
    hexed('RECORD_INVALID', 'a negative number', forged(tag.envelope, { seq: -1 })),
    hexed('NAME', 'a name in capitals', forgedBody(tag, { name: 'Nuclei' })),
    hexed('NAME', 'a tag that is always found, never set', forgedBody(tag, { tag: 'latest' })),
    hexed('NAME', 'an alias that turns the direction of text', forgedBody(model, { aliases: ['a\u202eb'] })),
    hexed('NFC', 'an alias in another normal form', forgedBody(model, { aliases: ['e\u0301'] })),
    hexed('LIMIT', 'a note of 201 characters', forgedBody(withdraw, { note: 'x'.repeat(201) })),
    hexed('PATH', 'a path out of the folder', forgedFile({ path: 'docs/../../rdf.yaml' })),
    hexed('NAME_CLASH', 'two paths that some systems take for one', forgedFile({ path: 'DOCS/readme.md' })),
    hexed('RECORD_INVALID', 'files out of order', forgedFile({ path: 'a.yaml' })),
    hexed('RECORD_INVALID', 'a hash that is not that of the leaf', forgedFile({ sha256: new Uint8Array(32) })),
    hexed('CID_PROFILE', 'a file that is an encoded value', forgedFile({ cid: linkOf(model.id) })),
    hexed('CONTENT_MISMATCH', 'a root that is another folder', forgedBody(model, { root: linkOf(expectOk(folderCid([cardFile]))) })),
    ...statementVectors(shown),
  ]
}

/** Records of the kinds that name others: attestations and rosters. */
function statementVectors(shown: (signed: SignedRecord) => unknown): Vector[] {
  const members = (bodyOf(roster)['members'] as readonly CborValue[]).toReversed()
  const claim = forgedBody(attest, { claim: 'to-come' })
  const unknown = expectOk(readRecord(claim))
  return [
    valid('an attestation', toHex(attest.envelope), shown(attest)),
    valid('an attestation whose claim nobody knows', toHex(claim), shown(unknown)),
    valid('a roster', toHex(roster.envelope), shown(roster)),
    hexed('RECORD_INVALID', 'an attestation without a root', forgedBody(attest, { root: null })),
    hexed('CID_PROFILE', 'an attestation of a file', forgedBody(attest, { target: linkOf(cardFile.cid) })),
    hexed('RECORD_INVALID', 'an attestation with a claim in capitals', forgedBody(attest, { claim: 'Reviewed' })),
    hexed('LIMIT', 'an attestation of more than 16 KiB', forgedBody(attest, { note: 'x'.repeat(16 * 1024) })),
    hexed('RECORD_INVALID', 'a roster with members out of order', forgedBody(roster, { members })),
    hexed('RECORD_INVALID', 'a roster with a member twice', forgedBody(roster, { members: [members[0] as CborValue, members[0] as CborValue] })),
    hexed('RECORD_INVALID', 'a roster that recommends a right of nobody', forgedBody(roster, { right: 'see' })),
    hexed('RECORD_INVALID', 'a roster with an address that names no peer', forgedBody(roster, { bootstrap: ['/dns4/zoo.example.org/tcp/7071'] })),
    hexed('NAME', 'a roster with a name in capitals', forgedBody(roster, { name: 'Imaging' })),
    hexed('UNKNOWN_FIELD', 'a roster with a surplus field', forgedBody(roster, { comment: 'hello' })),
  ]
}

function rosterCarVectors(): Vector[] {
  const newest = (signed: SignedRecord): Head => ({ ...head, ...lastOf(signed) })
  const envelope = signHead(newest(roster), seeds.publish)
  const parts = { operations, head: envelope, roster: roster.envelope }
  const file = expectOk(writeRosterCar(parts))
  const { root, blocks } = expectOk(readCar(file, file.length))
  const bad = (code: string, description: string, changes: Partial<RosterParts>) =>
    hexed(code, description, expectOk(writeRosterCar({ ...parts, ...changes })))
  const carOf = (entries: readonly (readonly [Cid, Uint8Array])[]) =>
    writeCar({ root, blocks: new Map(entries) })
  const entries = [...blocks]
  const stray = utf8('stray')
  const first = entries[0] as readonly [Cid, Uint8Array]
  const withHeader = (header: CborValue) => {
    const bytes = dagCbor.encode(header)
    return concat([Uint8Array.of(bytes.length), bytes, file.subarray(1 + (file[0] ?? 0))])
  }
  const others = createGenesis({ roots: [seedOf('other')], threshold: 1, next, ts: NOW })
  return [
    valid('a roster', toHex(file), { publisher: identity.publisher, record: roster.id, name: 'imaging', expires: head.expires }),
    hexed('TRUNCATED', 'nothing', new Uint8Array()),
    hexed('TRUNCATED', 'the last byte is missing', file.subarray(0, -1)),
    hexed('TRUNCATED', 'a length and no more', Uint8Array.of(0x80)),
    hexed('CBOR_NONCANONICAL', 'a length that is longer than it need be', concat([Uint8Array.of((file[0] ?? 0) | 0x80, 0), file.subarray(1)])),
    hexed('RECORD_INVALID', 'an empty section', concat([file, Uint8Array.of(0)])),
    hexed('UNKNOWN_VERSION', 'a CAR file of version 2', withHeader({ version: 2 })),
    hexed('RECORD_INVALID', 'no root', withHeader({ version: 1, roots: [] })),
    hexed('LIMIT', 'two roots', withHeader({ version: 1, roots: [linkOf(root), linkOf(root)] })),
    hexed('RECORD_INVALID', 'a root that is not there', carOf(entries.slice(1))),
    hexed('CONTENT_MISMATCH', 'a flipped bit', flipped(file, -1)),
    hexed('CONTENT_MISMATCH', 'a block under the id of another', carOf([first, ...entries.slice(1).map(([cid], n) => [cid, (entries[n] as typeof first)[1]] as const)])),
    hexed('CID_PROFILE', 'a content id of version 0', concat([file, Uint8Array.of(36), utf8('x'.repeat(36))])),
    hexed('RECORD_INVALID', 'a block twice', concat([file, file.subarray(1 + (file[0] ?? 0))])),
    hexed('RECORD_INVALID', 'a block that nothing names', carOf([...entries, [cidOf('raw', stray), stray]])),
    hexed('RECORD_INVALID', 'a block is missing', carOf(entries.slice(0, -1))),
    bad('RECORD_INVALID', 'a tag for a roster', { roster: tag.envelope }),
    bad('IDENTITY_INVALID', 'no chain', { operations: [] }),
    bad('GAP', 'the end of the chain is missing', { operations: operations.slice(0, 2) }),
    bad('IDENTITY_INVALID', 'the chain of another publisher', { operations: [others.envelope] }),
    bad('SIG_INVALID', 'a roster signed by another key', { roster: forged(roster.envelope, {}, 'record', seeds.serve) }),
    bad('KEY_REVOKED', 'a roster by a key that was revoked before', { operations: [...operations, revoke] }),
    bad('RECORD_INVALID', 'a head from before the roster', { head: headEnvelope }),
    bad('RECORD_INVALID', 'a head of another log', { head: signHead({ ...newest(roster), key: keyOf(seeds.serve) }, seeds.serve) }),
    bad('KEY_EXPIRED', 'a head of after the delegation of its key', { head: signHead({ ...newest(roster), issued: NOW + MAX_DELEGATION_MS + 1, expires: NOW + MAX_DELEGATION_MS + DAY_MS }, seeds.publish) }),
    bad('EQUIVOCATION', "a head with another record at the roster's place", { head: signHead({ ...newest(roster), tip: tag.id }, seeds.publish) }),
  ]
}

function identityVectors(): Vector[] {
  const chain = (...envelopes: Uint8Array[]) => envelopes.map(toHex)
  const bad = (code: string, description: string, ...envelopes: Uint8Array[]) =>
    invalid(code, description, chain(...envelopes))
  const first = (changes: Record<string, CborValue>) => forgedOperation(genesis.envelope, changes)
  const second = (changes: Record<string, CborValue>) => forgedOperation(delegatePublish, changes)
  const keys = genesis.identity.roots.map(fromHex) as [Uint8Array, Uint8Array, Uint8Array]
  return [
    valid('a genesis of 2 of 3 keys', chain(genesis.envelope), genesis.identity),
    valid('with two delegations', chain(...operations), identity),
    bad('IDENTITY_INVALID', 'no operation'),
    bad('GAP', 'no genesis', delegatePublish),
    bad('GAP', 'an operation is missing', genesis.envelope, delegateServe),
    bad('SEQ', 'an operation twice', genesis.envelope, delegatePublish, delegatePublish),
    bad('PREV_UNKNOWN', 'another one before it', genesis.envelope, second({ prev: linkOf(model.id) })),
    bad('IDENTITY_INVALID', 'a second genesis', genesis.envelope, first({ n: 1, prev: linkOf(genesis.identity.tip) })),
    bad('THRESHOLD', 'a threshold of 0', first({ threshold: 0 })),
    bad('THRESHOLD', 'a threshold of -1', first({ threshold: -1 })),
    bad('THRESHOLD', 'a threshold above the number of keys', first({ threshold: 4 })),
    bad('THRESHOLD', 'a key twice', first({ keys: [keys[0], keys[0], keys[1]] })),
    bad('IDENTITY_INVALID', 'keys out of order', first({ keys: keys.toReversed() })),
    bad('KEY_WEAK', 'a root key of low order', first({ keys: [new Uint8Array(32), ...keys] })),
    bad('THRESHOLD_NOT_MET', 'one signature of two', forgedOperation(genesis.envelope, {}, [root1])),
    bad('THRESHOLD_NOT_MET', 'one key signs twice', forgedOperation(genesis.envelope, {}, [root1, root1])),
    bad('IDENTITY_INVALID', 'a signer that is no root', forgedOperation(genesis.envelope, {}, [...roots, seeds.serve])),
    bad('IDENTITY_INVALID', 'signatures out of order', forgedOperation(genesis.envelope, {}, roots, ([a], [b]) => compareBytes(b as Uint8Array, a as Uint8Array))),
    bad('SIG_INVALID', 'a flipped bit in a signature', flipped(genesis.envelope, -64)),
    bad('KEY_WEAK', 'a device key of low order', genesis.envelope, second({ key: new Uint8Array(32) })),
    bad('IDENTITY_INVALID', 'a root as a device key', genesis.envelope, second({ key: keys[0] })),
    bad('IDENTITY_INVALID', 'a delegation of 400 days and 1 ms', genesis.envelope, second({ notAfter: NOW + MAX_DELEGATION_MS + 1 })),
    bad('RECORD_INVALID', 'a scope that nobody knows', genesis.envelope, second({ scope: 'admin' })),
    bad('UNKNOWN_FIELD', 'a surplus field', genesis.envelope, second({ comment: 'hello' })),
    bad('UNKNOWN_VERSION', 'version 2', first({ v: 2 })),
    bad('UNKNOWN_VERSION', 'an operation that nobody knows', genesis.envelope, second({ op: 'anoint' })),
    ...deviceOperationVectors(),
    ...rotationVectors(),
    ...confidingVectors(),
    ...successionVectors(),
  ]
}

const chained = (...more: Uint8Array[]) => [...operations, ...more].map(toHex)

function deviceOperationVectors(): Vector[] {
  const good = (description: string, ...more: Uint8Array[]) =>
    valid(description, chained(...more), identityOf(...more))
  const bad = (code: string, description: string, ...more: Uint8Array[]) =>
    invalid(code, description, chained(...more))
  const wire = ({ epoch, seq, tip }: LogPosition) => ({ epoch, seq, tip: linkOf(tip) })
  /** Another operation after one: its number and the one before are right. */
  const then = (first: Uint8Array, second: Uint8Array, changes: Record<string, CborValue> = {}) => {
    const { length, tip } = identityOf(first)
    return forgedOperation(second, { n: length, prev: linkOf(tip), ...changes })
  }
  const oneAfter = (operation: Uint8Array, changes: Record<string, CborValue>) =>
    forgedOperation(operation, changes)
  const stranger = publicKeyOf(seedOf('stranger'))
  return [
    good('a renewal with a cut', renew),
    good('a renewal of a key that has signed nothing', after(identity, { ...renewal, last: null })),
    good('a revocation with a cut', revoke),
    good('a revocation of all that the key signed', after(identity, { ...revocation, last: null })),
    good('a raised epoch', raised),
    good('an epoch raised twice at one record', raised, then(raised, raised)),
    good('a healed fork', heal),
    good('a renewal, then a revocation at the same record', renew, then(renew, revoke)),
    good('a raised epoch, then a renewal at a record of the new one', raised, then(raised, renew, { last: wire(lastOf(restarted)) })),
    bad('IDENTITY_INVALID', 'a renewal that adds nothing', oneAfter(renew, { notAfter: NOW + MAX_DELEGATION_MS })),
    bad('IDENTITY_INVALID', 'a renewal by 400 days and 1 ms', oneAfter(renew, { notAfter: NOW + 2 * MAX_DELEGATION_MS + 1 })),
    bad('KEY_NOT_DELEGATED', 'a renewal of a key of nobody', oneAfter(renew, { key: stranger })),
    bad('KEY_NOT_DELEGATED', 'a revocation of a key of nobody', oneAfter(revoke, { key: stranger })),
    bad('KEY_REVOKED', 'a renewal of a revoked key', revoke, then(revoke, renew)),
    bad('KEY_REVOKED', 'a second revocation', revoke, then(revoke, revoke)),
    bad('KEY_REVOKED', 'an epoch raised for a revoked key', revoke, then(revoke, raised)),
    bad('IDENTITY_INVALID', 'a revoked key is delegated again', revoke, then(revoke, delegatePublish)),
    bad('RECORD_INVALID', 'a reason that nobody knows', oneAfter(revoke, { reason: 'whim' })),
    bad('IDENTITY_INVALID', 'a cut before the cut of a renewal', renew, then(renew, revoke, { last: wire(lastOf(model)) })),
    bad('IDENTITY_INVALID', 'no cut after the cut of a renewal', renew, then(renew, revoke, { last: null })),
    bad('IDENTITY_INVALID', 'a cut at another record of the position', heal, then(heal, revoke, { last: wire(lastOf(fork)) })),
    bad('IDENTITY_INVALID', 'a cut at a record that an earlier one made void', raised, then(raised, heal)),
    bad('IDENTITY_INVALID', 'a cut in an epoch that was not raised', oneAfter(revoke, { last: wire(lastOf(restarted)) })),
    bad('RECORD_INVALID', 'a healed fork without the record that stands', oneAfter(heal, { last: null })),
    bad('RECORD_INVALID', 'a cut without its record', oneAfter(revoke, { last: { epoch: 0, seq: 1 } })),
    bad('CID_PROFILE', 'a cut at a file', oneAfter(revoke, { last: { epoch: 0, seq: 1, tip: linkOf(cardFile.cid) } })),
    bad('UNKNOWN_FIELD', 'a renewal with a surplus field', oneAfter(renew, { scope: 'publish' })),
    bad('UNKNOWN_FIELD', 'a raised epoch that names its number', oneAfter(raised, { epoch: 2 })),
    bad('THRESHOLD_NOT_MET', 'a revocation by one root of two', forgedOperation(revoke, {}, [root1])),
    bad('IDENTITY_INVALID', 'a revocation signed by the device itself', forgedOperation(revoke, {}, [...roots, seeds.publish])),
    bad('SIG_INVALID', 'a revocation with a flipped bit in a signature', flipped(revoke, -64)),
  ]
}

function confidingVectors(): Vector[] {
  const good = (description: string, envelope: Uint8Array) =>
    valid(description, chained(envelope), identityOf(envelope))
  const bad = (code: string, description: string, ...more: Uint8Array[]) =>
    invalid(code, description, chained(...more))
  const [one, two] = [model.id, profile.id].toSorted() as [Cid, Cid]
  const audience = { publishers: [one, two], rosters: [{ publisher: one, name: 'alpha' }] }
  const key = keyOf(seedOf('private'))
  const confiding = { op: 'confide', key, notBefore: NOW, notAfter: NOW + MAX_DELEGATION_MS, audience, ts: NOW } as const
  const confide = after(identity, confiding)
  const wire = { publishers: [linkOf(one), linkOf(two)], rosters: [{ publisher: linkOf(one), name: 'alpha' }] }
  const wrong = (changes: Record<string, CborValue>) =>
    forgedOperation(confide, { audience: { ...wire, ...changes } })
  return [
    good('a key for a private log', confide),
    good('a private log for the own nodes alone', after(identity, { ...confiding, audience: { publishers: [], rosters: [] } })),
    bad('IDENTITY_INVALID', 'an audience out of order', wrong({ publishers: wire.publishers.toReversed() })),
    bad('IDENTITY_INVALID', 'an audience with a publisher twice', wrong({ publishers: [linkOf(one), linkOf(one)] })),
    bad('IDENTITY_INVALID', 'an audience with a roster twice', wrong({ rosters: [...wire.rosters, ...wire.rosters] })),
    bad('CID_PROFILE', 'an audience with a file', wrong({ publishers: [linkOf(cardFile.cid)] })),
    bad('NAME', 'a roster in capitals', wrong({ rosters: [{ publisher: linkOf(one), name: 'Alpha' }] })),
    bad('LIMIT', 'an audience of 33 publishers', wrong({ publishers: Array.from({ length: 33 }, () => linkOf(one)) })),
    bad('UNKNOWN_FIELD', 'a private log with a scope', forgedOperation(confide, { scope: 'publish' })),
    bad('IDENTITY_INVALID', 'a private log of a key that has a public one', forgedOperation(confide, { key: fromHex(publishKey) })),
    bad('IDENTITY_INVALID', 'a private log for 400 days and 1 ms', forgedOperation(confide, { notAfter: NOW + MAX_DELEGATION_MS + 1 })),
    bad('KEY_WEAK', 'a private log of a key of low order', forgedOperation(confide, { key: new Uint8Array(32) })),
  ]
}

function successionVectors(): Vector[] {
  const succeed = after(identity, { op: 'succeed', steward: model.id, ts: NOW })
  const then = (steward: CborValue) => {
    const { length, tip } = identityOf(succeed)
    return forgedOperation(succeed, { n: length, prev: linkOf(tip), steward })
  }
  const good = (description: string, ...more: Uint8Array[]) =>
    valid(description, chained(...more), identityOf(...more))
  const bad = (code: string, description: string, ...more: Uint8Array[]) =>
    invalid(code, description, chained(...more))
  return [
    good('a steward is named', succeed),
    good('another steward is named', succeed, then(linkOf(profile.id))),
    good('no steward any more', succeed, then(null)),
    bad('IDENTITY_INVALID', 'a publisher as its own steward', forgedOperation(succeed, { steward: linkOf(identity.publisher) })),
    bad('CID_PROFILE', 'a file as a steward', forgedOperation(succeed, { steward: linkOf(cardFile.cid) })),
    bad('UNKNOWN_FIELD', 'a steward with a key', forgedOperation(succeed, { key: fromHex(publishKey) })),
    bad('THRESHOLD_NOT_MET', 'a steward named by one root of two', forgedOperation(succeed, {}, [root1])),
  ]
}

function rotationVectors(): Vector[] {
  const bad = (code: string, description: string, ...more: Uint8Array[]) =>
    invalid(code, description, chained(...more))
  const forgedRotation = (changes: Record<string, CborValue>, signers = [...roots, ...nextRoots]) =>
    forgedOperation(rotate, changes, signers)
  const rotated = identityOf(rotate)
  const again = signOperation(
    rotated,
    { op: 'rotate', ts: NOW, ...third, next: commitmentOf(keySetOf(roots, 3)) },
    [...nextRoots, seedOf('third')],
  )
  const thief = seedOf('thief')
  const stolen = signOperation(rotated, { ...revocation, ts: NOW }, nextRoots)
  return [
    valid('a rotation', chained(rotate), rotated),
    valid('two rotations', chained(rotate, again), identityOf(rotate, again)),
    valid('a revocation by the rotated roots', chained(rotate, stolen), identityOf(rotate, stolen)),
    bad('PREROTATION', 'a rotation to keys that were not committed to', forgedRotation({ keys: [publicKeyOf(thief)], threshold: 1 }, [...roots, thief])),
    bad('PREROTATION', 'a rotation to another threshold', forgedRotation({ threshold: 1 })),
    bad('PREROTATION', 'a rotation to the keys in force', forgedRotation({ keys: identity.roots.map(fromHex) }, roots)),
    bad('PREROTATION', 'the first rotation once more', rotate, forgedRotation({ n: 4, prev: linkOf(rotated.tip) }, nextRoots)),
    bad('THRESHOLD_NOT_MET', 'a rotation that the old roots did not sign', forgedRotation({}, nextRoots)),
    bad('THRESHOLD_NOT_MET', 'a rotation that too few of the old roots signed', forgedRotation({}, [root1, ...nextRoots])),
    bad('THRESHOLD_NOT_MET', 'a rotation that the new roots did not sign', forgedRotation({}, roots)),
    bad('THRESHOLD_NOT_MET', 'a rotation that too few of the new roots signed', forgedRotation({}, [...roots, nextRoots[0] as Uint8Array])),
    bad('IDENTITY_INVALID', 'a rotation signed by a stranger too', forgedRotation({}, [...roots, ...nextRoots, thief])),
    bad('THRESHOLD', 'a rotation to a threshold above the number of keys', forgedRotation({ threshold: 3 })),
    bad('THRESHOLD', 'a rotation to no keys', forgedRotation({ keys: [], threshold: 0 })),
    bad('IDENTITY_INVALID', 'the roots of before the rotation', rotate, forgedOperation(revoke, { n: 4, prev: linkOf(rotated.tip) })),
    bad('UNKNOWN_FIELD', 'a rotation with a surplus field', forgedRotation({ comment: 'hello' })),
    bad('SIG_INVALID', 'a rotation with a flipped bit in a signature', flipped(rotate, -64)),
  ]
}

function delegationVectors(): Vector[] {
  const chain = operations.map(toHex)
  const by = (code: string, description: string, envelope: Uint8Array) =>
    invalid(code, description, { operations: chain, record: toHex(envelope) })
  const served = { key: fromHex(keyOf(seeds.serve)) }
  const stranger = seedOf('stranger')
  return [
    valid('a model by a publish key', { operations: chain, record: toHex(model.envelope) }, identity.devices[0]),
    by('KEY_NOT_DELEGATED', 'a key of nobody', forged(tag.envelope, { key: publicKeyOf(stranger) }, 'record', stranger)),
    by('KEY_NOT_DELEGATED', 'signed before the delegation', forged(tag.envelope, { idv: 1 })),
    by('GAP', 'the signer knew more operations', forged(tag.envelope, { idv: 4 })),
    by('KEY_EXPIRED', 'dated before the delegation', forged(tag.envelope, { ts: NOW - 1 })),
    by('KEY_EXPIRED', 'dated after the delegation', forged(tag.envelope, { ts: NOW + MAX_DELEGATION_MS + 1 })),
    by('SCOPE', 'a tag by a serve key', forged(tag.envelope, served, 'record', seeds.serve)),
    by('SCOPE', 'an erasure by a publish key', forgedBody(withdraw, { verb: 'erase' })),
    ...cutVectors(),
    ...eraseVectors(),
  ]
}

function cutVectors(): Vector[] {
  const good = (description: string, operation: Uint8Array, envelope: Uint8Array) =>
    valid(description, { operations: chained(operation), record: toHex(envelope) }, identityOf(operation).devices[0])
  const by = (code: string, description: string, operation: Uint8Array, envelope: Uint8Array) =>
    invalid(code, description, { operations: chained(operation), record: toHex(envelope) })
  const late = NOW + MAX_DELEGATION_MS + 1
  return [
    good('the last record before a revocation', revoke, profile.envelope),
    good('a record of the time that a renewal added', renew, forged(tag.envelope, { ts: late })),
    good('a record up to a cut, whatever its date', revoke, forged(profile.envelope, { ts: late })),
    good('the last record before a raised epoch', raised, profile.envelope),
    good('the first record of a raised epoch', raised, restarted.envelope),
    good('the record that a healed log goes on from', heal, tag.envelope),
    by('KEY_REVOKED', 'a record after the cut of a revocation', revoke, tag.envelope),
    by('KEY_REVOKED', 'the first record of a key of which none is good', after(identity, { ...revocation, last: null }), model.envelope),
    by('SEQ', 'a record of the epoch before, after the cut', raised, tag.envelope),
    by('SEQ', 'a record of the branch that a healed log left', heal, withdraw.envelope),
    by('SEQ', 'an epoch that the root has not raised', raised, forged(restarted.envelope, { epoch: 2 })),
    by('KEY_EXPIRED', 'a record after a cut, of after the delegation', raised, forged(restarted.envelope, { ts: late })),
  ]
}

function eraseVectors(): Vector[] {
  const seed = seedOf('erase')
  const key = keyOf(seed)
  const times = { notBefore: NOW, notAfter: NOW + MAX_DELEGATION_MS, ts: NOW }
  const delegated = signOperation(identity, { op: 'delegate', key, scope: 'erase', ...times }, roots)
  const chain = [...operations, delegated]
  const device = expectOk(readIdentity(chain)).devices[2]
  const input = (envelope: Uint8Array) => ({ operations: chain.map(toHex), record: toHex(envelope) })
  const header = { key, idv: 4, epoch: 0, seq: 0, prev: null, ts: NOW, publisher: identity.publisher }
  const body = { target: model.id, reason: 'licence', note: '' }
  const erase = signRecord({ ...header, kind: 'withdraw', body: { ...body, verb: 'erase' } }, seed)
  const back = { ...body, target: erase.id, verb: 'restore' } as const
  const after = { ...header, seq: 1, prev: erase.id }
  const restore = signRecord({ ...after, kind: 'withdraw', body: back }, seed)
  const recall = { ...body, verb: 'recall' } as const
  return [
    valid('an erasure by an erase key', input(erase.envelope), device),
    valid('a restore of it', input(restore.envelope), device),
    valid('a recall by an erase key', input(signRecord({ ...header, kind: 'withdraw', body: recall }, seed).envelope), device),
    invalid('SCOPE', 'a restore by a publish key', input(forgedBody(withdraw, { verb: 'restore' }))),
    invalid('SCOPE', 'a tag by an erase key', input(forged(tag.envelope, { key: fromHex(key), idv: 4 }, 'record', seed))),
  ]
}

function logVectors(): Vector[] {
  const position = (signed: SignedRecord | null) =>
    signed === null ? null : lastOf(signed)
  const at = (log: SignedRecord | null, envelope: Uint8Array) => ({
    log: position(log),
    record: toHex(envelope),
  })
  return [
    valid('the first record of a log', at(null, model.envelope), true),
    valid('the next record of a log', at(model, profile.envelope), true),
    invalid('GAP', 'a log without its first record', at(null, profile.envelope)),
    invalid('GAP', 'a record is missing', at(model, tag.envelope)),
    invalid('SEQ', 'the newest record once more', at(tag, tag.envelope)),
    invalid('SEQ', 'an epoch that nobody raised', at(null, forged(model.envelope, { epoch: 1 }))),
    invalid('PREV_UNKNOWN', 'another record before it', at(fork, withdraw.envelope)),
    invalid('EQUIVOCATION', 'another record at the position', at(tag, fork.envelope)),
    ...epochVectors(),
  ]
}

function epochVectors(): Vector[] {
  const at = (operation: Uint8Array, log: SignedRecord | null, envelope: Uint8Array) => ({
    log: log === null ? null : lastOf(log),
    record: toHex(envelope),
    cuts: identityOf(operation).devices[0]?.cuts,
  })
  const empty = after(identity, { ...raise, last: null })
  const first = forged(restarted.envelope, { prev: null })
  return [
    valid('the first record of a raised epoch', at(raised, profile, restarted.envelope), true),
    valid('the second record of a raised epoch', at(raised, restarted, forged(tag.envelope, { epoch: 1, seq: 1, prev: linkOf(restarted.id) })), true),
    valid('the first record of an epoch after which nothing was good', at(empty, null, first), true),
    valid('the next record after a renewal', at(renew, profile, tag.envelope), true),
    invalid('GAP', 'a raised epoch where records before its cut are missing', at(raised, model, restarted.envelope)),
    invalid('GAP', 'the first record of a raised epoch is missing', at(raised, profile, forged(restarted.envelope, { seq: 1 }))),
    invalid('PREV_UNKNOWN', 'a raised epoch that begins after another record', at(raised, profile, forged(restarted.envelope, { prev: linkOf(model.id) }))),
    invalid('PREV_UNKNOWN', 'a raised epoch that begins after nothing', at(raised, profile, first)),
    invalid('SEQ', 'another record than the one that the root named', at(heal, profile, fork.envelope)),
    invalid('SEQ', 'an epoch beyond the raised one', at(raised, profile, forged(restarted.envelope, { epoch: 2 }))),
    invalid('EQUIVOCATION', 'another first record of a raised epoch', at(raised, restarted, forged(restarted.envelope, { ts: NOW + 1 }))),
  ]
}

function equivocationVectors(): Vector[] {
  const pair = (first: Uint8Array, second: Uint8Array) => [toHex(first), toHex(second)]
  const { publisher, key } = tag.record
  return [
    valid('two records at one position', pair(tag.envelope, fork.envelope), { publisher, key, epoch: 0, seq: 2 }),
    invalid('EQUIVOCATION', 'one record twice', pair(tag.envelope, tag.envelope)),
    invalid('EQUIVOCATION', 'two positions', pair(profile.envelope, tag.envelope)),
    invalid('SIG_INVALID', 'one signature is forged', pair(tag.envelope, flipped(fork.envelope, -64))),
  ]
}

function headVectors(): Vector[] {
  return [
    valid('a head', toHex(headEnvelope), head),
    hexed('SIG_INVALID', 'a flipped bit', flipped(headEnvelope, -64)),
    hexed('SIG_INVALID', 'signed as a record', forged(headEnvelope, {})),
    hexed('RECORD_INVALID', 'a life of 7 days and 1 ms', forged(headEnvelope, { expires: head.expires + 1 }, 'head')),
    hexed('RECORD_INVALID', 'no life', forged(headEnvelope, { expires: head.issued }, 'head')),
    hexed('UNKNOWN_FIELD', 'a surplus field', forged(headEnvelope, { root: null }, 'head')),
    hexed('UNKNOWN_VERSION', 'version 2', forged(headEnvelope, { v: 2 }, 'head')),
  ]
}

function bundleVectors(): Vector[] {
  const chain = operations
  const drafted = (operation: NewOperation, signers: readonly Uint8Array[], before = identity) =>
    draftOperation(before, operation, signers)
  const none = drafted(revocation, [])
  const one = drafted(revocation, [root1])
  const whole = drafted(revocation, roots)
  const second = drafted({ op: 'rotate', ts: NOW, ...next, next: commitmentOf(third) }, [root2], one.after)
  const bundle = (drafts: readonly Uint8Array[] = [], operations: readonly Uint8Array[] = chain, heads = [headEnvelope]) =>
    encodeBundle({ publisher: identity.publisher, operations, drafts, heads })
  const forgedBundle = (changes: Record<string, CborValue>, of = bundle([one.envelope])) =>
    dagCbor.encode({ ...(expectOk(decode(of)) as CborMap), ...changes })
  const good = (description: string, encoded: Uint8Array, ...open: Draft[]): Vector =>
    valid(description, toHex(encoded), {
      publisher: identity.publisher,
      length: chain.length,
      open: open.map(({ operation, signers, missing }) => ({ operation, signers, missing })),
    })
  const other = createGenesis({ roots: [seedOf('other')], threshold: 1, next, ts: NOW })
  const { t: _, ...untyped } = expectOk(decode(bundle())) as CborMap
  return [
    good('a chain and a head', bundle()),
    good('an operation that nobody has signed', bundle([none.envelope]), none),
    good('an operation that one of two has signed', bundle([one.envelope]), one),
    good('two operations, the other one a rotation', bundle([one.envelope, second.envelope]), one, second),
    good('an operation that is whole among the drafts', bundle([whole.envelope]), whole),
    good('no head', bundle([], chain, [])),
    hexed('THRESHOLD_NOT_MET', 'a draft in the chain', bundle([], [...chain, one.envelope])),
    hexed('GAP', 'a draft whose one before is missing', bundle([second.envelope])),
    hexed('SEQ', 'a draft twice', bundle([one.envelope, one.envelope])),
    hexed('IDENTITY_INVALID', 'a draft signed by a stranger', bundle([forgedOperation(one.envelope, {}, [root1, seedOf('stranger')])])),
    hexed('THRESHOLD_NOT_MET', 'a draft that one key signed twice', bundle([forgedOperation(one.envelope, {}, [root1, root1])])),
    hexed('SIG_INVALID', 'a draft with a flipped bit in its signature', bundle([flipped(one.envelope, -64)])),
    hexed('IDENTITY_INVALID', 'no chain', bundle([], [])),
    hexed('GAP', 'a chain without its genesis', bundle([], chain.slice(1))),
    hexed('IDENTITY_INVALID', 'the chain of another publisher', bundle([], [other.envelope])),
    hexed('SIG_INVALID', 'a head with a flipped bit', bundle([], chain, [flipped(headEnvelope, -64)])),
    hexed('IDENTITY_INVALID', 'a head of another publisher', bundle([], chain, [forged(headEnvelope, { publisher: linkOf(other.identity.publisher) }, 'head')])),
    hexed('LIMIT', '17 drafts', bundle(Array.from({ length: 17 }, () => one.envelope))),
    hexed('UNKNOWN_VERSION', 'version 2', forgedBundle({ v: 2 })),
    hexed('RECORD_INVALID', 'another type', forgedBundle({ t: 'record' })),
    hexed('RECORD_INVALID', 'no type', dagCbor.encode(untyped)),
    hexed('UNKNOWN_FIELD', 'a surplus field', forgedBundle({ comment: 'hello' })),
    hexed('TRAILING', 'a byte too many', Uint8Array.of(...bundle(), 0)),
    hexed('TRUNCATED', 'a byte too few', bundle().subarray(0, -1)),
  ]
}

/** What a node says it holds, as JSON. */
export const statedJson = ({ holdings, id, models }: StatedHoldings): unknown => ({ id, holdings, models: inOrder(models) })

function holdingsVectors(): Vector[] {
  const chain = operations.map(toHex)
  const { publisher, key, peer } = binding
  const records = ['a', 'b', 'c', 'd'].map((name) => cidOf('dag-cbor', utf8(name)))
  const stated = { publisher, key, peer, issued: NOW + DAY_MS, expires: NOW + 3 * DAY_MS, room: 2 ** 36 }
  const all: Holdings = { ...stated, base: null, models: inOrder(records.slice(0, 3)), gone: [] }
  const full = signHoldings(all, seeds.serve)
  const changes: Holdings = {
    ...stated,
    issued: NOW + 2 * DAY_MS,
    base: holdingsId(full),
    models: records.slice(3),
    gone: records.slice(0, 1),
    room: 0,
  }
  const changed = signHoldings(changes, seeds.serve)
  const of = (current: Uint8Array, base: Uint8Array | null = null, now = NOW + 2 * DAY_MS) => ({
    operations: chain,
    current: toHex(current),
    base: base === null ? null : toHex(base),
    now,
  })
  const ok = (description: string, current: Uint8Array, base: Uint8Array | null = null): Vector =>
    valid(description, of(current, base), statedJson(expectOk(readHoldings(current, base, identity, NOW + 2 * DAY_MS))))
  const bent = (change: Record<string, CborValue>, bytes = full) => forged(bytes, change, 'holdings', seeds.serve)
  const digests = (some: readonly Cid[]) => concat(some.map(digestOf))
  return [
    ok('all that is held', full),
    ok('what has changed since', changed, full),
    ok('nothing is held', signHoldings({ ...all, models: [] }, seeds.serve)),
    invalid('RECORD_INVALID', 'a change without what it changes', of(changed)),
    invalid('RECORD_INVALID', 'a change of another statement', of(changed, signHoldings({ ...all, models: [] }, seeds.serve))),
    invalid('RECORD_INVALID', 'a change of a change', of(bent({ base: linkOf(holdingsId(changed)) }, changed), changed)),
    invalid('RECORD_INVALID', 'models in another order', of(bent({ models: digests([...all.models].reverse()) }))),
    invalid('RECORD_INVALID', 'a model twice', of(bent({ models: digests([...all.models.slice(0, 1), ...all.models.slice(0, 1)]) }))),
    invalid('RECORD_INVALID', 'half a digest', of(bent({ models: digests(all.models).subarray(16) }))),
    invalid('RECORD_INVALID', 'something gone of all', of(bent({ gone: digests(records.slice(0, 1)) }))),
    invalid('RECORD_INVALID', 'a life of more than 7 days', of(bent({ expires: NOW + 8 * DAY_MS + 1 }))),
    invalid('BINDING_INVALID', 'run out', of(full, null, NOW + 3 * DAY_MS + 1)),
    invalid('SIG_INVALID', 'a flipped bit', of(flipped(full, -64))),
    invalid('UNKNOWN_FIELD', 'a surplus field', of(bent({ comment: 'hello' }))),
  ]
}

function speakerVectors(type: 'binding' | 'heartbeat', envelope: Uint8Array, statement: { issued: number; expires: number }): Vector[] {
  const chain = operations.map(toHex)
  const at = (now: number, bytes = envelope) => ({ operations: chain, envelope: toHex(bytes), now })
  const changed = (changes: Record<string, CborValue>, seed = seeds.serve) =>
    at(statement.issued, forged(envelope, changes, type, seed))
  const other = createGenesis({ roots: [seedOf('other')], threshold: 1, next, ts: NOW }).identity.publisher
  return [
    valid(`a ${type}`, at(statement.issued), statement),
    valid('by a clock that is 10 minutes slow', at(statement.issued - 600_000 + 1), statement),
    invalid('BINDING_INVALID', 'by a clock that is slower', at(statement.issued - 600_001)),
    invalid('BINDING_INVALID', 'run out', at(statement.expires + 1)),
    invalid('BINDING_INVALID', 'of another publisher', changed({ publisher: linkOf(other) })),
    invalid('SCOPE', 'by a publish key', changed({ key: fromHex(keyOf(seeds.publish)) }, seeds.publish)),
    invalid('KEY_NOT_DELEGATED', 'by a key of nobody', changed({ key: publicKeyOf(seedOf('stranger')) }, seedOf('stranger'))),
    invalid('SIG_INVALID', 'a flipped bit', at(statement.issued, flipped(envelope, -64))),
    invalid('RECORD_INVALID', 'a peer that is none', changed({ peer: 'somebody' })),
    invalid('UNKNOWN_FIELD', 'a surplus field', changed({ comment: 'hello' })),
  ]
}

function contentVectors(): Vector[] {
  return [0, 1, LEAF_BYTES - 1, LEAF_BYTES, LEAF_BYTES + 1, 3 * LEAF_BYTES].map((size) => {
    const { nodes, ...tree } = treeOf(contentOf(size))
    return valid(`${size} bytes, the n-th being n mod 251`, { size }, { ...tree, nodes: nodes.map(toHex) })
  })
}

function treeVectors(): Vector[] {
  const { cid, size, nodes } = treeOf(contentOf(3 * LEAF_BYTES))
  const [node] = nodes as [Uint8Array]
  const leaves = [0, 1, 2].map((n) => toHex(sha256(contentOf(3 * LEAF_BYTES).subarray(n * LEAF_BYTES, (n + 1) * LEAF_BYTES))))
  const tree = (cid: Cid, size: number, ...nodes: Uint8Array[]) => ({ cid, size, nodes: nodes.map(toHex) })
  const folder = Uint8Array.of(0x0a, 2, 0x08, 1)
  return [
    valid('the digests of three leaves', tree(cid, size, node), leaves),
    invalid('CONTENT_MISMATCH', 'a flipped bit', tree(cid, size, flipped(node, 10))),
    invalid('CONTENT_MISMATCH', 'another size', tree(cid, size - 1, node)),
    invalid('CONTENT_MISMATCH', 'no node', tree(cid, size)),
    invalid('CONTENT_MISMATCH', 'a node too many', tree(cid, size, node, node)),
    invalid('CONTENT_MISMATCH', 'a folder', tree(cidOf('dag-pb', folder), size, folder)),
    invalid('LIMIT', 'a file of 20 GiB and 1 byte', tree(cid, 20 * 2 ** 30 + 1, node)),
  ]
}

function folderVectors(): Vector[] {
  const entry = ({ path, cid, size }: ModelFile) => ({ path, cid, size })
  const named = (path: string) => ({ ...entry(cardFile), path })
  const folder = (description: string, entries: readonly ReturnType<typeof entry>[]) =>
    valid(description, entries, expectOk(folderCid(entries)))
  return [
    folder('the files of the model', files.map(entry)),
    folder('nested folders, in no order', ['b', 'a/c', 'a/b/d', 'a.b', 'ä', '\uffee', '😀'].map(named)),
    folder('nothing', []),
    invalid('NAME_CLASH', 'a file that is a folder too', [named('a'), named('a/b')]),
  ]
}

function referenceVectors(): Vector[] {
  const named = { kind: 'model', publisher: 'embl', name: 'nuclei' }
  return [
    valid('a model', 'embl/nuclei', { ...named, version: null, tag: null }),
    valid('a version', 'embl/nuclei@1.2.0', { ...named, version: '1.2.0', tag: null }),
    valid('a tag', 'embl/nuclei@stable', { ...named, version: null, tag: 'stable' }),
    valid('the newest version', 'embl/nuclei@latest', { ...named, version: null, tag: null }),
    valid('a publisher by its handle', 'zoo.embl.de/nuclei', { ...named, publisher: 'zoo.embl.de', version: null, tag: null }),
    valid('a publisher by its id', `${identity.publisher}/nuclei`, { ...named, publisher: identity.publisher, version: null, tag: null }),
    valid('a record', model.id, { kind: 'record', cid: model.id }),
    valid('a DOI', '10.5281/zenodo.5764892', { kind: 'alias', text: '10.5281/zenodo.5764892' }),
    valid('an old nickname', 'affable-shark', { kind: 'alias', text: 'affable-shark' }),
    invalid('REF', 'the id of a file', cardFile.cid),
    invalid('CID_TEXT', 'an id whose last bits are set', `${model.id.slice(0, -1)}${model.id.endsWith('b') ? 'c' : 'b'}`),
    invalid('REF', 'nothing', ''),
    invalid('REF', 'capitals', 'embl/Nuclei'),
    invalid('REF', 'a path', '../../etc/passwd'),
    invalid('REF', 'two suffixes', 'embl/nuclei@1@2'),
    invalid('REF', 'a line break', 'embl/nuclei\n'),
  ]
}

/** All vectors, by their file below this folder. */
export const makeVectors = (): Readonly<Record<string, readonly Vector[]>> => ({
  'encoding.json': encodingVectors(),
  'record.json': recordVectors(),
  'identity.json': identityVectors(),
  'delegation.json': delegationVectors(),
  'log.json': logVectors(),
  'equivocation.json': equivocationVectors(),
  'head.json': headVectors(),
  'bundle.json': bundleVectors(),
  'binding.json': speakerVectors('binding', bindingEnvelope, binding),
  'heartbeat.json': speakerVectors('heartbeat', heartbeatEnvelope, heartbeat),
  'holdings.json': holdingsVectors(),
  'content.json': contentVectors(),
  'tree.json': treeVectors(),
  'folder.json': folderVectors(),
  'reference.json': referenceVectors(),
  'roster-car.json': rosterCarVectors(),
  'signature.json': signatureVectors(),
  'cid.json': cidVectors(),
  'path.json': pathVectors(),
  'name.json': nameVectors(),
  'handle.json': handleVectors(),
  'message.json': messageVectors(),
})

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const [name, vectors] of Object.entries(makeVectors())) {
    fs.writeFileSync(path.join(import.meta.dirname, name), `${JSON.stringify(vectors, null, 2)}\n`)
  }
}

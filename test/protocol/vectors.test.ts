/** Replays the vectors in test/vectors, one function for each file. */
import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { readBinding } from '../../protocol/binding.ts'
import { fromHex, toHex } from '../../protocol/bytes.ts'
import { decode, encode } from '../../protocol/cbor.ts'
import { type Cid, codecOf, parseCid } from '../../protocol/cid.ts'
import { createTreeHasher, readTree } from '../../protocol/content-tree.ts'
import { findDevice } from '../../protocol/delegation.ts'
import type { Cut } from '../../protocol/device.ts'
import { accept, expectOk, type Verdict } from '../../protocol/errors.ts'
import { checkPaths } from '../../protocol/file-path.ts'
import { type FolderFile, folderCid } from '../../protocol/folder.ts'
import { readHandleDocument } from '../../protocol/handle.ts'
import { readHead } from '../../protocol/head.ts'
import { readHeartbeat } from '../../protocol/heartbeat.ts'
import { readHoldings } from '../../protocol/holdings.ts'
import { readIdentity } from '../../protocol/identity.ts'
import { readBundle } from '../../protocol/key-bundle.ts'
import { LEAF_BYTES } from '../../protocol/limits.ts'
import { checkEquivocation, checkNext } from '../../protocol/log.ts'
import { type LogPosition, readRecord } from '../../protocol/record.ts'
import {
  checkAlias,
  parseHandle,
  parseLabel,
  parseName,
  parseReference,
  parseTag,
  parseVersion,
} from '../../protocol/reference.ts'
import { readRosterCar } from '../../protocol/roster-car.ts'
import { verifyStrict } from '../../protocol/signature.ts'
import { contentOf, makeVectors, statedJson, type Vector } from '../vectors/generate.ts'
import { readFrame } from '../vectors/messages.ts'

interface Speaker {
  readonly operations: readonly string[]
  readonly envelope: string
  readonly now: number
}
interface Stated {
  readonly operations: readonly string[]
  readonly current: string
  readonly base: string | null
  readonly now: number
}
interface Place {
  readonly log: LogPosition | null
  readonly record: string
  readonly cuts?: readonly Cut[]
}
interface Tree {
  readonly cid: string
  readonly size: number
  readonly nodes: readonly string[]
}

const map = <A, B>(verdict: Verdict<A>, change: (value: A) => B): Verdict<B> =>
  verdict.ok ? accept(change(verdict.value)) : verdict
const identityOf = (operations: readonly string[]) =>
  expectOk(readIdentity(operations.map(fromHex)))
// SAFE, each: the generator writes the inputs of a file in this form.
const replays: Readonly<Record<string, (input: never) => Verdict<unknown>>> = {
  'encoding.json': (hex: string) => map(decode(fromHex(hex)), (value) => toHex(encode(value))),
  'record.json': (hex: string) =>
    map(readRecord(fromHex(hex)), ({ id, record }) => ({ id, record })),
  'identity.json': (operations: string[]) => readIdentity(operations.map(fromHex)),
  'delegation.json': ({ operations, record }: { operations: string[]; record: string }) =>
    findDevice(identityOf(operations), expectOk(readRecord(fromHex(record))).record),
  'log.json': ({ log, record, cuts = [] }: Place) =>
    checkNext(log, expectOk(readRecord(fromHex(record))), cuts),
  'equivocation.json': ([first, second]: [string, string]) =>
    checkEquivocation(fromHex(first), fromHex(second)),
  'head.json': (hex: string) => map(readHead(fromHex(hex)), ({ head }) => head),
  'bundle.json': (hex: string) =>
    map(readBundle(fromHex(hex)), ({ publisher, identity, open }) => ({
      publisher,
      length: identity.length,
      open: open.map(({ operation, signers, missing }) => ({ operation, signers, missing })),
    })),
  'binding.json': ({ operations, envelope, now }: Speaker) =>
    readBinding(fromHex(envelope), identityOf(operations), now),
  'heartbeat.json': ({ operations, envelope, now }: Speaker) =>
    readHeartbeat(fromHex(envelope), identityOf(operations), now),
  'holdings.json': ({ operations, current, base, now }: Stated) => {
    const known = base === null ? null : fromHex(base)
    return map(readHoldings(fromHex(current), known, identityOf(operations), now), statedJson)
  },
  'content.json': ({ size }: { size: number }) => {
    const bytes = contentOf(size)
    const hasher = createTreeHasher()
    for (let at = 0; at < size; at += LEAF_BYTES) hasher.leaf(bytes.subarray(at, at + LEAF_BYTES))
    const { nodes, ...tree } = hasher.finish()
    return accept({ ...tree, nodes: nodes.map(toHex) })
  },
  'tree.json': ({ cid, size, nodes }: Tree) =>
    map(readTree(expectOk(parseCid(cid)), size, nodes.map(fromHex)), (digests) =>
      digests.map(toHex),
    ),
  'folder.json': (files: FolderFile[]): Verdict<Cid> => folderCid(files),
  'reference.json': (text: string) => parseReference(text),
  'roster-car.json': (hex: string) =>
    map(readRosterCar(fromHex(hex)), ({ identity, signed, body, newest }) => ({
      publisher: identity.publisher,
      record: signed.id,
      name: body.name,
      expires: newest.expires,
    })),
  'signature.json': ({
    key,
    message,
    signature,
  }: Record<'key' | 'message' | 'signature', string>) =>
    verifyStrict(fromHex(message), fromHex(signature), fromHex(key)),
  'cid.json': (text: string) => map(parseCid(text), codecOf),
  'path.json': (paths: string[]) => checkPaths(paths),
  'name.json': ({ kind, text }: { kind: keyof typeof names; text: string }) => names[kind](text),
  'handle.json': (hex: string) => readHandleDocument(fromHex(hex)),
  'message.json': ({ family, frame }: { family: string; frame: string }) =>
    readFrame(family, fromHex(frame)),
}

const names = {
  name: parseName,
  version: parseVersion,
  tag: parseTag,
  label: parseLabel,
  // A handle stands in profiles only, where its form is part of the schema.
  handle: (text: string): Verdict<string> => {
    const verdict = parseHandle(text)
    return verdict.ok ? verdict : { ...verdict, code: 'RECORD_INVALID' }
  },
  alias: checkAlias,
}

const folder = path.join(import.meta.dirname, '..', 'vectors')

describe('protocol/vectors', () => {
  for (const [name, replay] of Object.entries(replays)) {
    it(`replays ${name}`, () => {
      const vectors: Vector[] = JSON.parse(fs.readFileSync(path.join(folder, name), 'utf8'))
      assert(vectors.length > 0)
      for (const { description, input, expected, code } of vectors) {
        const verdict = replay(input as never)
        if (code === undefined)
          assert.deepEqual(verdict, { ok: true, value: expected }, description)
        else assert.equal(verdict.ok ? 'ok' : verdict.code, code, description)
      }
    })
  }

  it('has committed what the generator makes', () => {
    for (const [name, vectors] of Object.entries(makeVectors())) {
      const committed = JSON.parse(fs.readFileSync(path.join(folder, name), 'utf8'))
      assert.deepEqual(committed, JSON.parse(JSON.stringify(vectors)), name)
    }
    assert.deepEqual(Object.keys(makeVectors()), Object.keys(replays))
  })
})

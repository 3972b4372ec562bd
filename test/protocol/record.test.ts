import assert from 'node:assert/strict'
import * as dagCbor from '@ipld/dag-cbor'
import fc from 'fast-check'
import { fromHex } from '../../protocol/bytes.ts'
import type { CborValue } from '../../protocol/cbor.ts'
import { cidOf, linkOf } from '../../protocol/cid.ts'
import { publicKeyOf } from '../../protocol/crypto.ts'
import { seal } from '../../protocol/envelope.ts'
import type { Verdict } from '../../protocol/errors.ts'
import { MAX_RECORD_BYTES, MAX_SEQ } from '../../protocol/limits.ts'
import {
  type LogRecord,
  peekRecord,
  readHeader,
  readRecord,
  signRecord,
} from '../../protocol/record.ts'
import { START, seedOf, TestPublisher } from '../helpers/publisher.ts'

const publisher = new TestPublisher('institute')
const { signed } = publisher.model({ name: 'nuclei' })
const seed = publisher.seeds.publish
const codeOf = (verdict: Verdict<unknown>): string => (verdict.ok ? 'ok' : verdict.code)
const fieldOf = (verdict: Verdict<unknown>) => (verdict.ok ? undefined : verdict.field)

const tagBody = (target = signed.id): CborValue => ({
  name: 'nuclei',
  tag: 'stable',
  target: linkOf(target),
  replaces: [],
})
/** A record that signRecord would not sign, if need be. */
const forged = (changes: Record<string, unknown> = {}, by = seed): Uint8Array => {
  const fields = {
    t: 'record',
    v: 1,
    publisher: linkOf(publisher.publisher),
    key: publicKeyOf(seed),
    epoch: 0,
    seq: 0,
    prev: null,
    idv: 2,
    ts: START,
    kind: 'tag',
    body: tagBody(),
    ...changes,
  }
  return seal('record', dagCbor.encode(fields), by)
}

describe('protocol/record', () => {
  it('reads what it signs', () => {
    const read = readRecord(signed.envelope)
    assert.deepEqual(read, { ok: true, value: signed })
    assert.equal(signed.id, cidOf('dag-cbor', signed.envelope.subarray(0, -64)))
  })

  it('signs the same bytes each time', () => {
    assert.deepEqual(signRecord(signed.record, seed), signed)
  })

  it('refuses a record with any bit flipped', () => {
    fc.assert(
      fc.property(fc.nat(8 * signed.envelope.length - 1), (bit) => {
        const copy = Uint8Array.from(signed.envelope)
        copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit & 7))
        assert.notEqual(codeOf(readRecord(copy)), 'ok')
      }),
      { numRuns: 300 },
    )
  })

  it('refuses a cut or a longer envelope', () => {
    for (const end of [0, 1, 64, 65, signed.envelope.length - 1]) {
      assert.notEqual(codeOf(readRecord(signed.envelope.subarray(0, end))), 'ok', `${end}`)
    }
    assert.notEqual(codeOf(readRecord(Uint8Array.of(...signed.envelope, 0))), 'ok')
  })

  it('refuses a signature by another key, and of another type', () => {
    assert.equal(codeOf(readRecord(forged())), 'ok')
    assert.equal(codeOf(readRecord(forged({}, seedOf('stranger')))), 'SIG_INVALID')
    const payload = forged().subarray(0, -64)
    assert.equal(codeOf(readRecord(seal('head', payload, seed))), 'SIG_INVALID')
    assert.equal(codeOf(readRecord(forged({ key: new Uint8Array(32) }))), 'KEY_WEAK')
  })

  it('refuses what its version does not know', () => {
    for (const [changes, code, field] of [
      [{ v: 2 }, 'UNKNOWN_VERSION', 'v'],
      [{ v: '1' }, 'UNKNOWN_VERSION', 'v'],
      [{ t: 'head' }, 'RECORD_INVALID', 't'],
      [{ kind: 'poll' }, 'UNKNOWN_VERSION', 'kind'],
      [{ extra: 1 }, 'UNKNOWN_FIELD', 'extra'],
      [{ body: { ...(tagBody() as object), extra: 1 } }, 'UNKNOWN_FIELD', 'body.extra'],
    ] as const) {
      const verdict = readRecord(forged(changes))
      assert.deepEqual([codeOf(verdict), fieldOf(verdict)], [code, field])
    }
  })

  it('wants each field of the header, of its type', () => {
    for (const [changes, code, field] of [
      [{ publisher: 'me' }, 'RECORD_INVALID', 'publisher'],
      [{ key: new Uint8Array(31) }, 'RECORD_INVALID', 'key'],
      [{ epoch: -1 }, 'RECORD_INVALID', 'epoch'],
      [{ seq: -1 }, 'RECORD_INVALID', 'seq'],
      [{ seq: Number.MAX_SAFE_INTEGER }, 'SEQ', 'seq'],
      [{ seq: MAX_SEQ + 1 }, 'SEQ', 'seq'],
      [{ seq: MAX_SEQ }, 'ok', undefined],
      [{ prev: 'none' }, 'RECORD_INVALID', 'prev'],
      [{ idv: 0 }, 'RECORD_INVALID', 'idv'],
      [{ ts: '2026' }, 'RECORD_INVALID', 'ts'],
      [{ kind: 7 }, 'RECORD_INVALID', 'kind'],
      [{ body: null }, 'RECORD_INVALID', 'body'],
    ] as const) {
      const verdict = readRecord(forged(changes))
      assert.deepEqual([codeOf(verdict), fieldOf(verdict)], [code, field])
    }
  })

  it('refuses payloads that are not canonical, before looking at the signature', () => {
    const payload = (hex: string) => codeOf(readRecord(seal('record', fromHex(hex), seed)))
    assert.equal(payload('a1617a01'), 'RECORD_INVALID')
    assert.equal(payload('a2616201616101'), 'CBOR_NONCANONICAL')
    assert.equal(payload('fb3ff0000000000000'), 'CBOR_FLOAT')
    assert.equal(payload('62c328'), 'UTF8')
  })

  it('bounds the payload at the limit and one past it', () => {
    // No kind of this version is that large and no larger; the length is checked before the kind.
    const sized = (length: number) => forged({ kind: 'poll', body: { note: 'x'.repeat(length) } })
    const overhead = sized(100_000).length - 64 - 100_000
    assert.equal(codeOf(readRecord(sized(MAX_RECORD_BYTES - overhead))), 'UNKNOWN_VERSION')
    const over = readRecord(sized(MAX_RECORD_BYTES - overhead + 1))
    assert.deepEqual(over.ok || [over.code, over.limit], ['LIMIT', MAX_RECORD_BYTES])
  })

  it('keeps what it does not know of an attestation as it is', () => {
    assert(signed.record.kind === 'model')
    const { root } = signed.record.body
    const more = { figures: [1, { of: signed.id }], device: null }
    const links = { target: linkOf(signed.id), root: linkOf(root) }
    const read = readRecord(forged({ kind: 'attest', body: { ...links, claim: 'poll', ...more } }))
    const expected = { target: signed.id, root, claim: 'poll', ...more }
    assert.deepEqual(read.ok && read.value.record.body, expected)
  })

  it('peeks at a header without checking signature or body', () => {
    const envelope = forged({ body: null })
    envelope[envelope.length - 1] = (envelope.at(-1) ?? 0) ^ 1
    const peeked = peekRecord(envelope)
    assert(peeked.ok)
    const { id, key, epoch, seq } = peeked.value
    assert.deepEqual([id, epoch, seq], [cidOf('dag-cbor', envelope.subarray(0, -64)), 0, 0])
    assert.deepEqual(fromHex(key), publicKeyOf(seed))
    assert.equal(peeked.value.publisher, publisher.publisher)
    assert.equal(codeOf(readHeader(envelope)), 'SIG_INVALID')
    assert.equal(codeOf(peekRecord(new Uint8Array(10))), 'SIG_LENGTH')
    assert.equal(codeOf(readHeader(new Uint8Array(10))), 'SIG_LENGTH')
  })

  it('never throws on foreign bytes', () => {
    const value = fc.constantFrom<CborValue>(
      null,
      0,
      -1,
      '',
      'model',
      [],
      {},
      new Uint8Array(32),
      tagBody(),
    )
    const keys = fc.constantFrom('t', 'v', 'kind', 'body', 'key', 'seq', 'prev', 'publisher', 'x')
    fc.assert(
      fc.property(fc.dictionary(keys, value, { noNullPrototype: true }), (changes) => {
        assert.equal(typeof readRecord(forged(changes)).ok, 'boolean')
      }),
    )
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        assert.equal(readRecord(bytes).ok, false)
        assert.equal(peekRecord(bytes).ok, false)
      }),
    )
  })

  it('throws when it is to sign what others refuse', () => {
    const record = (body: object): LogRecord =>
      ({ ...signed.record, kind: 'profile', body }) as LogRecord
    const profile = {
      label: 'institute',
      displayName: 'I',
      handle: null,
      url: null,
      ror: null,
      replaces: [],
    }
    assert.doesNotThrow(() => signRecord(record(profile), seed))
    assert.throws(() => signRecord(record({ ...profile, label: 'No Label' }), seed), {
      code: 'NAME',
    })
    assert.throws(() => signRecord(signed.record, seedOf('another')), TypeError)
  })
})

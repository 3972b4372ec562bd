import assert from 'node:assert/strict'
import * as dagCbor from '@ipld/dag-cbor'
import { fromHex } from '../../protocol/bytes.ts'
import { linkOf } from '../../protocol/cid.ts'
import { seal } from '../../protocol/envelope.ts'
import type { Verdict } from '../../protocol/errors.ts'
import { checkEquivocation, checkNext } from '../../protocol/log.ts'
import type { LogPosition, SignedRecord } from '../../protocol/record.ts'
import { TestPublisher } from '../helpers/publisher.ts'

const codeOf = (verdict: Verdict<unknown>): string => (verdict.ok ? 'ok' : verdict.code)
const position = ({ id, record }: SignedRecord): LogPosition => ({
  epoch: record.epoch,
  seq: record.seq,
  tip: id,
})

const publisher = new TestPublisher('institute')
const records = ['one', 'two', 'three', 'four'].map((name) => publisher.model({ name }).signed)
const [first, second, third, fourth] = records as [
  SignedRecord,
  SignedRecord,
  SignedRecord,
  SignedRecord,
]

describe('protocol/log', () => {
  it('takes records in their order, from the first', () => {
    assert.equal(codeOf(checkNext(null, first)), 'ok')
    assert.equal(codeOf(checkNext(position(first), second)), 'ok')
    assert.equal(codeOf(checkNext(position(second), third)), 'ok')
  })

  it('says which record it misses', () => {
    const verdict = checkNext(position(first), fourth)
    assert(!verdict.ok)
    assert.deepEqual(
      [verdict.code, verdict.field, verdict.limit, verdict.got],
      ['GAP', 'seq', 1, 3],
    )
    assert.equal(codeOf(checkNext(null, second)), 'GAP')
  })

  it('refuses the newest record once more', () => {
    assert.equal(codeOf(checkNext(position(second), second)), 'SEQ')
  })

  it('refuses an epoch that the root has not raised', () => {
    const raised = publisher.record(first.record, { epoch: 1, seq: 0, prev: null })
    assert.equal(codeOf(checkNext(position(second), raised)), 'SEQ')
    assert.equal(codeOf(checkNext(null, raised)), 'SEQ')
  })

  it('refuses a record that follows another one', () => {
    const other = publisher.record(third.record, { seq: 2, prev: first.id })
    assert.equal(codeOf(checkNext(position(second), other)), 'PREV_UNKNOWN')
    const none = publisher.record(third.record, { seq: 2, prev: null })
    assert.equal(codeOf(checkNext(position(second), none)), 'PREV_UNKNOWN')
    const start = publisher.record(third.record, { seq: 0, prev: first.id })
    assert.equal(codeOf(checkNext(null, start)), 'PREV_UNKNOWN')
  })

  it('sees that a position is taken', () => {
    const twin = publisher.record(second.record, {
      seq: 1,
      prev: first.id,
      ts: second.record.ts + 1,
    })
    assert.equal(codeOf(checkNext(position(second), twin)), 'EQUIVOCATION')
    assert.equal(codeOf(checkNext(position(fourth), twin)), 'EQUIVOCATION')
  })

  describe('a proof of equivocation', () => {
    const twin = publisher.record(second.record, {
      seq: 1,
      prev: first.id,
      ts: second.record.ts + 1,
    })

    it('is two records at one position', () => {
      const { publisher: id, key } = second.record
      const where = { ok: true, value: { publisher: id, key, epoch: 0, seq: 1 } }
      assert.deepEqual(checkEquivocation(second.envelope, twin.envelope), where)
      assert.deepEqual(checkEquivocation(twin.envelope, second.envelope), where)
    })

    it('holds whatever the bodies are', () => {
      const { record } = second
      const fields = {
        t: 'record',
        v: 1,
        publisher: linkOf(record.publisher),
        key: fromHex(record.key),
        epoch: 0,
        seq: 1,
        prev: linkOf(first.id),
        idv: record.idv,
        ts: record.ts,
        kind: 'unheard-of',
        body: 'anything',
      }
      const odd = seal('record', dagCbor.encode(fields), publisher.seeds.publish)
      assert.equal(codeOf(checkEquivocation(second.envelope, odd)), 'ok')
    })

    it('is nothing less', () => {
      const stranger = new TestPublisher('stranger').model({ name: 'two' }).signed
      for (const [a, b] of [
        [second, second],
        [first, second],
        [first, stranger],
      ] as const) {
        assert.equal(codeOf(checkEquivocation(a.envelope, b.envelope)), 'EQUIVOCATION')
      }
    })

    it('does not stand on a forged signature', () => {
      const forged = Uint8Array.from(twin.envelope)
      forged[forged.length - 40] = (forged.at(-40) ?? 0) ^ 1
      assert.equal(codeOf(checkEquivocation(second.envelope, forged)), 'SIG_INVALID')
      assert.equal(codeOf(checkEquivocation(forged, second.envelope)), 'SIG_INVALID')
    })
  })
})

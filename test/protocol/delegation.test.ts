import assert from 'node:assert/strict'
import { toHex } from '../../protocol/bytes.ts'
import { publicKeyOf } from '../../protocol/crypto.ts'
import { findDevice, servingDevice } from '../../protocol/delegation.ts'
import { expectOk, type Verdict } from '../../protocol/errors.ts'
import type { NewOperation } from '../../protocol/identity.ts'
import type { Scope } from '../../protocol/scope.ts'
import { lastOf, START, seedOf, TestPublisher } from '../helpers/publisher.ts'

const DAY_MS = 24 * 3600 * 1000
const codeOf = (verdict: Verdict<unknown>): string => (verdict.ok ? 'ok' : verdict.code)

describe('protocol/delegation', () => {
  const publisher = new TestPublisher('institute')
  const profile = publisher.profile('institute')
  const { identity } = publisher
  const find = (changes: Partial<typeof profile.record>) =>
    codeOf(findDevice(identity, { ...profile.record, ...changes } as typeof profile.record))

  it('finds the delegation of a record', () => {
    const found = expectOk(findDevice(identity, profile.record))
    assert.deepEqual([found.key, found.scope], [profile.record.key, 'publish'])
  })

  it('refuses a key that was never delegated', () => {
    assert.equal(find({ key: toHex(publicKeyOf(seedOf('stranger'))) }), 'KEY_NOT_DELEGATED')
  })

  it('refuses records of before the delegation, and asks for operations that are missing', () => {
    assert.equal(find({ idv: 2 }), 'ok')
    assert.equal(find({ idv: 1 }), 'KEY_NOT_DELEGATED')
    assert.equal(find({ idv: 4 }), 'GAP')
  })

  it('holds a record to the time of its delegation by its own date', () => {
    const { notBefore, notAfter } = expectOk(findDevice(identity, profile.record))
    assert.equal(find({ ts: notBefore }), 'ok')
    assert.equal(find({ ts: notAfter }), 'ok')
    assert.equal(find({ ts: notBefore - 1 }), 'KEY_EXPIRED')
    assert.equal(find({ ts: notAfter + 1 }), 'KEY_EXPIRED')
  })

  it('keeps keys to their scope', () => {
    const publisher = new TestPublisher('embl')
    publisher.letErase()
    const { record } = publisher.profile('embl')
    const { identity } = publisher
    const signed = (scope: Scope, kind: string, body: object) => {
      const changed = { ...record, key: publisher.key(scope), kind, body } as typeof record
      return codeOf(findDevice(identity, changed))
    }
    for (const kind of ['model', 'tag', 'profile', 'roster', 'attest']) {
      assert.equal(signed('publish', kind, {}), 'ok', kind)
    }
    assert.equal(signed('publish', 'withdraw', { verb: 'recall' }), 'ok')
    for (const verb of ['erase', 'restore']) {
      assert.equal(signed('publish', 'withdraw', { verb }), 'SCOPE', verb)
    }
    assert.equal(signed('serve', 'attest', { claim: 'reproduced' }), 'ok')
    assert.equal(signed('serve', 'attest', { claim: 'reviewed' }), 'SCOPE')
    assert.equal(signed('serve', 'attest', { claim: 'advisory' }), 'SCOPE')
    for (const kind of ['model', 'tag', 'profile', 'roster', 'withdraw']) {
      assert.equal(signed('serve', kind, {}), 'SCOPE', kind)
    }
    for (const verb of ['yank', 'recall', 'erase', 'restore']) {
      assert.equal(signed('erase', 'withdraw', { verb }), 'ok', verb)
    }
    for (const kind of ['model', 'tag', 'profile', 'roster', 'attest']) {
      assert.equal(signed('erase', kind, {}), 'SCOPE', kind)
    }
  })

  it('keeps what everybody may ask for out of private logs', () => {
    const embl = new TestPublisher('embl')
    const key = toHex(publicKeyOf(seedOf('embl private')))
    const times = { notBefore: START, notAfter: START + DAY_MS, ts: START }
    embl.sign({ op: 'confide', key, ...times, audience: { publishers: [], rosters: [] } })
    const signed = (kind: string, body: object = {}) => {
      const record = { ...embl.profile('embl').record, key, idv: 4, seq: 0, kind, body }
      return codeOf(findDevice(embl.identity, record as typeof profile.record))
    }
    for (const kind of ['model', 'tag', 'attest']) assert.equal(signed(kind), 'ok', kind)
    for (const kind of ['profile', 'roster']) assert.equal(signed(kind), 'SCOPE', kind)
    assert.equal(signed('withdraw', { verb: 'erase' }), 'SCOPE')
  })

  it('lets only serve keys speak for nodes, while they last', () => {
    const { notAfter } = expectOk(findDevice(identity, profile.record))
    const serving = (scope: 'publish' | 'serve', issued: number, now: number) =>
      codeOf(servingDevice(identity, { key: publisher.key(scope), issued }, now))
    assert.equal(serving('serve', START, START), 'ok')
    assert.equal(serving('serve', START, START - 1000), 'ok')
    assert.equal(serving('serve', START - 1, START), 'KEY_EXPIRED')
    assert.equal(serving('serve', START, notAfter + 1), 'KEY_EXPIRED')
    assert.equal(serving('publish', START, START), 'SCOPE')
  })

  describe('after cuts', () => {
    /** A publisher with a log of four records. */
    const withLog = () => {
      const embl = new TestPublisher('embl')
      const records = ['a', 'b', 'c', 'd'].map((name) => embl.model({ name }).signed)
      return { embl, records }
    }
    const codes = (embl: TestPublisher, records: readonly { record: typeof profile.record }[]) =>
      records.map(({ record }) => codeOf(findDevice(embl.identity, record)))

    it('lets what came before a revocation stand for ever, and shows the cut of what did not', () => {
      const { embl, records } = withLog()
      const last = lastOf(records[1] ?? assert.fail())
      embl.sign({ op: 'revoke', key: embl.key(), last, reason: 'stolen', ts: START })
      assert.deepEqual(codes(embl, records), ['ok', 'ok', 'KEY_REVOKED', 'KEY_REVOKED'])
      const verdict = findDevice(embl.identity, records[2]?.record ?? assert.fail())
      assert(!verdict.ok)
      assert.deepEqual([verdict.limit, verdict.got], [`0.1 ${last.tip}`, '0.2'])
    })

    it('lets nothing stand where the root says so', () => {
      const { embl, records } = withLog()
      embl.sign({ op: 'revoke', key: embl.key(), last: null, reason: 'lost', ts: START })
      assert.deepEqual(new Set(codes(embl, records)), new Set(['KEY_REVOKED']))
    })

    it('ends an epoch, and begins the next', () => {
      const { embl, records } = withLog()
      const last = lastOf(records[1] ?? assert.fail())
      embl.sign({ op: 'epoch', key: embl.key(), last, ts: START })
      embl.rewind(records[1] ?? assert.fail())
      assert.deepEqual(codes(embl, records), ['ok', 'ok', 'SEQ', 'SEQ'])
      const next = embl.profile('next')
      assert.deepEqual([next.record.epoch, next.record.seq, next.record.prev], [1, 0, last.tip])
      assert.deepEqual(codes(embl, [next]), ['ok'])
    })

    it('lets a key sign on after its renewal', () => {
      const { embl, records } = withLog()
      const last = lastOf(records[3] ?? assert.fail())
      const ts = START + 500 * DAY_MS
      const renewed = embl.profile('later')
      const later = { record: { ...renewed.record, ts } }
      assert.deepEqual(codes(embl, [later]), ['KEY_EXPIRED'])
      const notAfter = START + 700 * DAY_MS
      embl.sign({ op: 'renew', key: embl.key(), notAfter, last, ts: START })
      assert.deepEqual(codes(embl, [...records, later]), ['ok', 'ok', 'ok', 'ok', 'ok'])
    })

    it('does not let a revoked key speak for a node', () => {
      const embl = new TestPublisher('embl')
      const key = embl.key('serve')
      const serving = () =>
        codeOf(servingDevice(embl.identity, { key, issued: START }, START + 1000))
      assert.equal(serving(), 'ok')
      const revocation: NewOperation = { op: 'revoke', key, last: null, reason: 'lost', ts: START }
      embl.sign(revocation)
      assert.equal(serving(), 'KEY_REVOKED')
    })
  })
})

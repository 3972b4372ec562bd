/** Holdings: what a node says, whole or as a change, adds up to what it holds. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { decode, encode } from '../../protocol/cbor.ts'
import { type Cid, cidOf } from '../../protocol/cid.ts'
import { seal } from '../../protocol/envelope.ts'
import { expectOk, type Verdict } from '../../protocol/errors.ts'
import {
  type Holdings,
  holdingsId,
  inOrder,
  nextHoldings,
  peekHoldings,
  readHoldings,
  type StatedHoldings,
  signHoldings,
} from '../../protocol/holdings.ts'
import {
  MAX_BLOB_BYTES,
  MAX_CLOCK_AHEAD_MS,
  MAX_FRAME_BYTES,
  MAX_HOLDINGS_BYTES,
  MAX_HOLDINGS_CHANGES,
  MAX_HOLDINGS_MODELS,
  MAX_HOLDINGS_MS,
} from '../../protocol/limits.ts'
import { START, TestPublisher, utf8 } from '../helpers/publisher.ts'

const own = new TestPublisher('holder')
const other = new TestPublisher('other holder')
const peer = '12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN'
const speaker = { publisher: own.publisher, key: own.key('serve'), peer }
const models = Array.from({ length: MAX_HOLDINGS_MODELS + 1 }, (_, n) =>
  cidOf('dag-cbor', utf8(`model ${n}`)),
)
const some = (from: number, to: number): readonly Cid[] => inOrder(models.slice(from, to))
const all: Holdings = {
  ...speaker,
  issued: START,
  expires: START + MAX_HOLDINGS_MS,
  base: null,
  models: some(0, 3),
  gone: [],
  room: 1e9,
}
const sign = (holdings: Holdings): Uint8Array => signHoldings(holdings, own.seeds.serve)
const read = (
  current: Uint8Array,
  base: Uint8Array | null = null,
  now = START,
): Verdict<StatedHoldings> => readHoldings(current, base, own.identity, now)
const codeOf = (verdict: Verdict<unknown>): string => (verdict.ok ? 'ok' : verdict.code)
const forged = (envelope: Uint8Array, changes: object): Uint8Array => {
  const value = expectOk(decode(envelope.subarray(0, -64), MAX_HOLDINGS_BYTES)) as object
  return seal('holdings', encode({ ...value, ...changes }), own.seeds.serve)
}
const digestsOf = (ids: readonly Cid[]): Uint8Array => {
  const payload = sign({ ...all, models: ids }).subarray(0, -64)
  const { models: digests } = expectOk(decode(payload, MAX_HOLDINGS_BYTES)) as {
    readonly models: Uint8Array
  }
  return digests
}

describe('protocol/holdings', () => {
  it('says all that is held, and what has changed since', () => {
    const full = sign(all)
    const first = expectOk(read(full))
    assert.deepEqual(first.holdings, all)
    assert.equal(first.id, holdingsId(full))
    assert.deepEqual(inOrder(first.models), all.models)
    const change = sign({
      ...all,
      issued: START + 1,
      base: first.id,
      models: some(3, 5),
      gone: some(0, 1),
    })
    assert.deepEqual(inOrder(expectOk(read(change, full)).models), some(1, 5))
  })

  it('is refused without the statement that it changes, and with another one', () => {
    const full = sign(all)
    const change = { ...all, base: holdingsId(full), models: [] }
    const current = sign(change)
    assert.equal(codeOf(read(current, full)), 'ok')
    assert.equal(codeOf(read(current)), 'RECORD_INVALID')
    assert.equal(codeOf(read(current, sign({ ...all, room: 1 }))), 'RECORD_INVALID')
    assert.equal(
      codeOf(read(sign({ ...change, base: holdingsId(current) }), current)),
      'RECORD_INVALID',
    )
    const stranger = signHoldings(
      { ...all, publisher: other.publisher, key: other.key('serve') },
      other.seeds.serve,
    )
    assert.equal(
      codeOf(read(sign({ ...change, base: holdingsId(stranger) }), stranger)),
      'RECORD_INVALID',
    )
    const forgedBase = Uint8Array.from(full)
    forgedBase[forgedBase.length - 1] = (forgedBase.at(-1) ?? 0) ^ 1
    assert.equal(codeOf(read(current, forgedBase)), 'SIG_INVALID')
  })

  it('is counted while it lives, and its base for ever', () => {
    const full = sign({ ...all, expires: START + 1 })
    const base = holdingsId(full)
    const current = sign({ ...all, issued: START + 10, base, models: [] })
    const { expires } = all
    assert.equal(codeOf(read(current, full, expires)), 'ok')
    assert.equal(codeOf(read(current, full, expires + 1)), 'BINDING_INVALID')
    assert.equal(codeOf(read(full, null, START + 2)), 'BINDING_INVALID')
    assert.equal(codeOf(read(current, full, START + 10 - MAX_CLOCK_AHEAD_MS)), 'ok')
    assert.equal(codeOf(read(current, full, START + 9 - MAX_CLOCK_AHEAD_MS)), 'BINDING_INVALID')
    const lasting = (ms: number): string => codeOf(read(forged(full, { expires: START + ms })))
    assert.deepEqual([1, MAX_HOLDINGS_MS, MAX_HOLDINGS_MS + 1, 0].map(lasting), [
      'ok',
      'ok',
      'RECORD_INVALID',
      'RECORD_INVALID',
    ])
  })

  it('is signed by a serve key of its publisher', () => {
    const published = signHoldings({ ...all, key: own.key() }, own.seeds.publish)
    assert.equal(codeOf(read(published)), 'SCOPE')
    const stranger = signHoldings({ ...all, key: other.key('serve') }, other.seeds.serve)
    assert.equal(codeOf(read(stranger)), 'KEY_NOT_DELEGATED')
    assert.equal(codeOf(readHoldings(sign(all), null, other.identity, START)), 'BINDING_INVALID')
  })

  it('names models in order, each once, in whole digests', () => {
    const envelope = sign(all)
    const digests = digestsOf(all.models)
    const half = Uint8Array.from([...digests.subarray(32), ...digests.subarray(0, 32)])
    const twice = Uint8Array.from([...digests.subarray(0, 32), ...digests.subarray(0, 32)])
    for (const bad of [half, twice, digests.subarray(1)]) {
      assert.equal(codeOf(peekHoldings(forged(envelope, { models: bad }))), 'RECORD_INVALID')
    }
    assert.equal(
      codeOf(peekHoldings(forged(envelope, { gone: digests.subarray(0, 32) }))),
      'RECORD_INVALID',
    )
  })

  it('bounds what it names, at the limit and one past it', () => {
    const most = sign({ ...all, models: some(0, MAX_HOLDINGS_MODELS), room: 1024 * MAX_BLOB_BYTES })
    assert.ok(most.length - 64 <= MAX_HOLDINGS_BYTES && most.length < MAX_FRAME_BYTES)
    const full = expectOk(read(most))
    assert.equal(full.models.size, MAX_HOLDINGS_MODELS)
    const over = { ...all, models: some(0, MAX_HOLDINGS_MODELS + 1) }
    assert.throws(() => sign(over), { code: 'RECORD_INVALID' })
    assert.throws(() => sign({ ...all, room: 1024 * MAX_BLOB_BYTES + 1 }), {
      code: 'RECORD_INVALID',
    })

    const changes = { ...all, base: full.id }
    assert.equal(
      codeOf(read(sign({ ...changes, models: [], gone: some(0, MAX_HOLDINGS_CHANGES) }), most)),
      'ok',
    )
    assert.equal(codeOf(read(sign({ ...changes, models: some(0, 1) }), most)), 'ok')
    assert.equal(codeOf(read(sign({ ...changes, models: some(10_000, 10_001) }), most)), 'LIMIT')
    assert.doesNotThrow(() => sign({ ...changes, models: some(0, MAX_HOLDINGS_CHANGES) }))
    assert.throws(() => sign({ ...changes, models: some(0, MAX_HOLDINGS_CHANGES + 1) }), {
      code: 'LIMIT',
    })
    assert.throws(() => sign({ ...changes, models: [], gone: some(0, MAX_HOLDINGS_CHANGES + 1) }), {
      code: 'RECORD_INVALID',
    })
  })

  it('adds up to what is held, whatever comes and goes', () => {
    const step = fc.tuple(fc.nat(700), fc.nat(700))
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 8 }), (steps) => {
        let before: StatedHoldings | null = null
        for (const [n, [from, length]] of steps.entries()) {
          const held = new Set(models.slice(from, from + length))
          const issued = START + n
          const next = { speaker, issued, expires: issued + 1000, models: held, room: n }
          const holdings: Holdings = nextHoldings(next, before)
          const current = sign(holdings)
          const base: Uint8Array | null =
            holdings.base === null ? null : (before?.base ?? before?.current ?? null)
          const stated: StatedHoldings = expectOk(read(current, base, issued))
          assert.deepEqual(inOrder(stated.models), inOrder(held))
          before = stated
        }
      }),
      { numRuns: 30 },
    )
  })

  it('says little where little has changed, and all anew to another machine', () => {
    const before = expectOk(read(sign({ ...all, models: some(0, 1000) })))
    const next = {
      speaker,
      issued: START + 1,
      expires: START + 2,
      models: new Set(some(1, 1001)),
      room: 0,
    }
    const change = sign(nextHoldings(next, before))
    assert.ok(change.length < 500, `${change.length} bytes`)
    const elsewhere = { ...speaker, peer: peer.replace('12D3KooWD', '12D3KooWE') }
    assert.equal(nextHoldings({ ...next, speaker: elsewhere }, before).base, null)
    const many = { ...next, models: new Set(some(0, 1000 + MAX_HOLDINGS_CHANGES)) }
    assert.notEqual(nextHoldings(many, before).base, null)
    const more = { ...next, models: new Set(some(0, 1001 + MAX_HOLDINGS_CHANGES)) }
    assert.equal(nextHoldings(more, before).base, null)
  })
})

import assert from 'node:assert/strict'
import fc from 'fast-check'
import { publicKeyOf } from '../../protocol/crypto.ts'
import { open, seal, split } from '../../protocol/envelope.ts'
import { seedOf, utf8 } from '../helpers/publisher.ts'

const seed = seedOf('envelope')
const key = publicKeyOf(seed)
const payload = utf8('a payload')
const codeOf = (verdict: { ok: boolean; code?: string }) => (verdict.ok ? 'ok' : verdict.code)

describe('protocol/envelope', () => {
  it('opens to the payload that was sealed', () => {
    const envelope = seal('record', payload, seed)
    assert.equal(envelope.length, payload.length + 64)
    assert.deepEqual(open('record', envelope, key, 100), { ok: true, value: payload })
  })

  it('refuses an envelope with any bit flipped', () => {
    const envelope = seal('head', payload, seed)
    fc.assert(
      fc.property(fc.nat(8 * envelope.length - 1), (bit) => {
        const copy = Uint8Array.from(envelope)
        copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit & 7))
        assert.notEqual(codeOf(open('head', copy, key, 100)), 'ok')
      }),
    )
  })

  it('refuses another type, another key and a cut end', () => {
    const envelope = seal('record', payload, seed)
    assert.equal(codeOf(open('head', envelope, key, 100)), 'SIG_INVALID')
    assert.equal(codeOf(open('record', envelope, publicKeyOf(seedOf('other')), 100)), 'SIG_INVALID')
    assert.notEqual(codeOf(open('record', envelope.subarray(0, -1), key, 100)), 'ok')
  })

  it('bounds the payload at the limit and one past it', () => {
    const envelope = seal('record', payload, seed)
    assert.equal(codeOf(open('record', envelope, key, payload.length)), 'ok')
    assert.equal(codeOf(open('record', envelope, key, payload.length - 1)), 'LIMIT')
  })

  it('refuses what is too short for a payload and a signature', () => {
    for (const length of [0, 1, 63, 64]) {
      assert.equal(codeOf(split(new Uint8Array(length))), 'SIG_LENGTH')
      assert.equal(codeOf(open('record', new Uint8Array(length), key, 100)), 'SIG_LENGTH')
    }
  })
})

import assert from 'node:assert/strict'
import fc from 'fast-check'
import nacl from 'tweetnacl'
import { concat, fromHex, toHex } from '../../protocol/bytes.ts'
import { publicKeyOf } from '../../protocol/crypto.ts'
import { checkKey, type SignedType, sign, verify, verifyStrict } from '../../protocol/signature.ts'
import { needsFixtures, readFixture } from '../helpers/fixtures.ts'
import { seedOf, utf8 } from '../helpers/publisher.ts'

const TYPES: readonly SignedType[] = [
  'record',
  'head',
  'identity',
  'binding',
  'heartbeat',
  'receipt',
]
const ORDER = 2n ** 252n + 27742317777372353535851937790883648493n
const PRIME = 2n ** 255n - 19n

const seed = seedOf('signature')
const key = publicKeyOf(seed)
const message = utf8('a message')
const signature = nacl.sign.detached(message, nacl.sign.keyPair.fromSeed(seed).secretKey)

const codeOf = (verdict: { ok: boolean; code?: string }): string =>
  verdict.ok ? 'ok' : (verdict.code ?? '')
const littleEndian = (n: bigint): Uint8Array =>
  fromHex(n.toString(16).padStart(64, '0')).toReversed()
const numberOf = (bytes: Uint8Array): bigint => BigInt(`0x${toHex(bytes.toReversed())}`)
const withFlippedBit = (bytes: Uint8Array, bit: number): Uint8Array => {
  const copy = Uint8Array.from(bytes)
  copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit & 7))
  return copy
}

/** The points of order 1 to 8 by their encodings below 2^255; either sign makes 14. */
const lowOrder = [
  0n,
  1n,
  PRIME - 1n,
  PRIME,
  PRIME + 1n,
  numberOf(fromHex('26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05')),
  numberOf(fromHex('c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a')),
].flatMap((y) => [littleEndian(y), littleEndian(y + 2n ** 255n)])

describe('protocol/signature', () => {
  it('signs as the second implementation does', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 32, maxLength: 32 }),
        fc.uint8Array(),
        (seed, payload) => {
          const pair = nacl.sign.keyPair.fromSeed(seed)
          assert.deepEqual(publicKeyOf(seed), pair.publicKey)
          const tagged = concat([utf8('zoarium/v1/record\0'), payload])
          const signed = sign('record', payload, seed)
          assert.deepEqual(new Uint8Array(signed), nacl.sign.detached(tagged, pair.secretKey))
          assert.equal(codeOf(verify('record', payload, signed, pair.publicKey)), 'ok')
        },
      ),
      { numRuns: 20 },
    )
  })

  it('refuses each flipped bit of message, signature and key, as the second implementation does', () => {
    const bits = fc.nat(8 * (message.length + 64 + 32) - 1)
    fc.assert(
      fc.property(bits, (bit) => {
        const all = withFlippedBit(concat([message, signature, key]), bit)
        const parts = [
          all.subarray(0, message.length),
          all.subarray(message.length, message.length + 64),
          all.subarray(message.length + 64),
        ] as const
        assert.notEqual(codeOf(verifyStrict(...parts)), 'ok')
        assert.equal(nacl.sign.detached.verify(...parts), false)
      }),
      { numRuns: 60 },
    )
  })

  it('keeps statements of one type from passing as another', () => {
    for (const type of TYPES) {
      const signed = sign(type, message, seed)
      for (const other of TYPES) {
        const expected = other === type ? 'ok' : 'SIG_INVALID'
        assert.equal(codeOf(verify(other, message, signed, key)), expected, `${type} as ${other}`)
      }
    }
  })

  it('refuses S + L, which lax rules accept', () => {
    const s = littleEndian(numberOf(signature.subarray(32)) + ORDER)
    const malleable = concat([signature.subarray(0, 32), s])
    assert.equal(nacl.sign.detached.verify(message, malleable, key), true)
    assert.equal(codeOf(verifyStrict(message, malleable, key)), 'SIG_NONCANONICAL')
    const order = concat([signature.subarray(0, 32), littleEndian(ORDER)])
    assert.equal(codeOf(verifyStrict(message, order, key)), 'SIG_NONCANONICAL')
    const below = concat([signature.subarray(0, 32), littleEndian(ORDER - 1n)])
    assert.equal(codeOf(verifyStrict(message, below, key)), 'SIG_INVALID')
  })

  it('refuses the 14 encodings of points of low order, as key and as R', () => {
    assert.equal(new Set(lowOrder.map(toHex)).size, 14)
    for (const point of lowOrder) {
      assert.equal(codeOf(checkKey(point)), 'KEY_WEAK', toHex(point))
      const weak = concat([point, signature.subarray(32)])
      assert.equal(codeOf(verifyStrict(message, weak, key)), 'SIG_WEAK', toHex(point))
    }
  })

  it('refuses points whose y is not below p', () => {
    for (let y = PRIME + 2n; y < 2n ** 255n; y++) {
      for (const point of [littleEndian(y), littleEndian(y + 2n ** 255n)]) {
        assert.equal(codeOf(checkKey(point)), 'KEY_NONCANONICAL', toHex(point))
        const noncanonical = concat([point, signature.subarray(32)])
        assert.equal(codeOf(verifyStrict(message, noncanonical, key)), 'SIG_WEAK', toHex(point))
      }
    }
    assert.equal(codeOf(checkKey(littleEndian(PRIME - 2n))), 'ok')
  })

  it('refuses other lengths without a throw', () => {
    for (const length of [0, 1, 32, 63, 65, 128]) {
      assert.equal(codeOf(verifyStrict(message, new Uint8Array(length), key)), 'SIG_LENGTH')
    }
    for (const length of [0, 31, 33]) {
      assert.equal(
        codeOf(verifyStrict(message, signature, new Uint8Array(length))),
        'KEY_NONCANONICAL',
      )
    }
  })

  describe('vectors', () => {
    needsFixtures()

    it('gives the expected verdict on all 1,077', () => {
      const { vectors } = readFixture('vectors', 'ed25519-strict-expected.json') as {
        vectors: { pk: string; msg: string; sig: string; expect: boolean; source: string }[]
      }
      for (const { pk, msg, sig, expect, source } of vectors) {
        const verdict = verifyStrict(fromHex(msg), fromHex(sig), fromHex(pk))
        assert.equal(verdict.ok, expect, `${source} ${pk} ${msg} ${sig}`)
      }
      assert.equal(vectors.length, 1077)
    })
  })
})

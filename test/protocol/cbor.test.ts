import assert from 'node:assert/strict'
import * as dagCbor from '@ipld/dag-cbor'
import fc from 'fast-check'
import { CID } from 'multiformats/cid'
import { fromHex, toHex } from '../../protocol/bytes.ts'
import { type CborValue, decode, encode } from '../../protocol/cbor.ts'
import { cidFromDigest, linkOf } from '../../protocol/cid.ts'
import { MAX_CBOR_DEPTH } from '../../protocol/limits.ts'

const codeOf = (bytes: Uint8Array): string => {
  const verdict = decode(bytes)
  return verdict.ok ? 'ok' : verdict.code
}
const refuses = (code: string, ...hex: string[]): void => {
  for (const each of hex) assert.equal(codeOf(fromHex(each)), code, each)
}

const link = fc
  .tuple(fc.constantFrom('raw', 'dag-cbor'), fc.uint8Array({ minLength: 32, maxLength: 32 }))
  .map(([codec, digest]) => linkOf(cidFromDigest(codec, digest)))
const key = fc
  .string({ unit: 'grapheme', maxLength: 12 })
  .filter(
    (text) => !/[\p{Cc}]/u.test(text) && !['__proto__', 'constructor', 'prototype'].includes(text),
  )
const { value: anyValue } = fc.letrec<{ value: CborValue }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.constantFrom(null, true, false),
    fc.maxSafeInteger().map((n) => n + 0),
    fc.string({ unit: 'grapheme' }),
    fc.uint8Array(),
    link,
    fc.array(tie('value'), { maxLength: 5 }),
    fc.dictionary(key, tie('value'), { maxKeys: 5, noNullPrototype: true }),
  ),
}))

/** Bytes near valid ones: most of them break a rule, some still keep all. */
const nearlyValid = fc
  .tuple(anyValue, fc.nat(), fc.integer({ min: 0, max: 255 }), fc.constantFrom('set', 'cut', 'put'))
  .map(([value, at, byte, change]) => {
    const bytes = [...encode(value)]
    const index = at % bytes.length
    if (change === 'set') bytes[index] = byte
    else if (change === 'cut') bytes.splice(index, 1)
    else bytes.splice(index, 0, byte)
    return Uint8Array.from(bytes)
  })

describe('protocol/cbor', () => {
  it('reads back what it writes, as the general codec does', () => {
    fc.assert(
      fc.property(anyValue, (value) => {
        const bytes = encode(value)
        const verdict = decode(bytes)
        assert(verdict.ok)
        assert.deepEqual(verdict.value, dagCbor.decode(bytes))
        assert.deepEqual(encode(verdict.value), bytes)
      }),
      { numRuns: 500 },
    )
  })

  it('accepts no bytes but the one encoding of their value', () => {
    let accepted = 0
    fc.assert(
      fc.property(fc.oneof(nearlyValid, fc.uint8Array({ maxLength: 24 })), (bytes) => {
        const verdict = decode(bytes)
        if (!verdict.ok) return
        accepted++
        assert.equal(toHex(dagCbor.encode(verdict.value)), toHex(bytes))
        assert.deepEqual(verdict.value, dagCbor.decode(bytes))
      }),
      { numRuns: 3000 },
    )
    assert(accepted > 100, `the property had too few cases: ${accepted}`)
  })

  it('refuses spellings that are not canonical', () => {
    refuses('CBOR_NONCANONICAL', 'a2616201616101', 'a262616101616201', 'a2616101616101')
    refuses('CBOR_NONCANONICAL', '1817', '190001', '1a0000ffff', '1b00000000ffffffff', '3800')
    refuses('CBOR_NONCANONICAL', '5800', '7800', '9800', 'b800', 'd9002a4100')
    refuses('CBOR_NONCANONICAL', '9fff', 'bfff', '5fff', '7fff', 'ff', '1c', '1d')
    refuses('CBOR_NONCANONICAL', 'c06130', 'd9d9f700', 'a10102', 'a1416101')
  })

  it('names the byte at which a spelling goes wrong', () => {
    const verdict = decode(fromHex('a2616201616101'))
    assert(!verdict.ok)
    assert.match(verdict.message, /at byte 4$/)
  })

  it('refuses floats, undefined and other simple values', () => {
    refuses('CBOR_FLOAT', 'f93c00', 'fa3f800000', 'fb3ff0000000000000', 'fb8000000000000000')
    refuses('CBOR_FLOAT', 'f97e00', 'fb7ff0000000000000')
    refuses('CBOR_SIMPLE', 'f7', 'e0', 'f3', 'f820', 'f814')
  })

  it('takes integers up to 2^53-1 of either sign and no further', () => {
    for (const n of [Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER, 0, -1, 23, 24, 2 ** 32]) {
      assert.deepEqual(decode(encode(n)), { ok: true, value: n })
    }
    refuses('INT_RANGE', '1b0020000000000000', '1bffffffffffffffff')
    refuses('INT_RANGE', '3b001fffffffffffff', '3b0020000000000000', '3bffffffffffffffff')
  })

  it('refuses text that is not UTF-8, and keeps a byte order mark', () => {
    refuses('UTF8', '62c328', '63eda080', '62c0af', '61ff', 'a162c32801')
    assert.deepEqual(decode(fromHex('63efbbbf')), { ok: true, value: '\ufeff' })
  })

  it('nests 16 deep and no deeper, without a stack overflow', () => {
    const nested = (depth: number) => new Uint8Array(depth + 1).fill(0x81, 0, depth)
    assert.equal(codeOf(nested(MAX_CBOR_DEPTH)), 'ok')
    assert.equal(codeOf(nested(MAX_CBOR_DEPTH + 1)), 'DEPTH')
    assert.equal(codeOf(nested(100_000)), 'DEPTH')
    assert.equal(codeOf(new Uint8Array(100_000).fill(0xa1)), 'CBOR_NONCANONICAL')
  })

  it('refuses announced items that are not there, without room for them', () => {
    refuses(
      'TRUNCATED',
      '',
      '9a7fffffff00000000',
      'ba7fffffff00',
      '5affffffff',
      '7bffffffffffffffff',
    )
    refuses(
      'TRUNCATED',
      '9bffffffffffffffff',
      '19',
      '1b00',
      'a1',
      'a161',
      'a16161',
      'd82a',
      'd82a58',
    )
  })

  it('refuses bytes after the value', () => refuses('TRAILING', '0000', 'a000', 'f600'))

  it('refuses keys that mean something to JavaScript, and control characters in keys', () => {
    const keyed = (name: string) => dagCbor.encode(Object.fromEntries([[name, 1]]))
    for (const name of ['__proto__', 'constructor', 'prototype', 'a\0', '\n', '\x7f', '\x85']) {
      assert.equal(codeOf(keyed(name)), 'KEY_RESERVED', JSON.stringify(name))
    }
    assert.equal(
      codeOf(dagCbor.encode(JSON.parse('{"__proto__": {"polluted": 1}}'))),
      'KEY_RESERVED',
    )
    assert.equal(({} as Record<string, unknown>).polluted, undefined)
    assert.equal(codeOf(keyed('toString')), 'ok')
  })

  it('refuses links outside the profile', () => {
    const digest = '00'.repeat(32)
    refuses('CID_PROFILE', `d82a5823001220${digest}`) // version 0
    refuses('CID_PROFILE', `d82a58250002551220${digest}`) // version 2
    refuses('CID_PROFILE', `d82a58250001701220${digest}`) // dag-pb
    refuses('CID_PROFILE', `d82a58250001551e20${digest}`) // BLAKE3
    refuses('CID_PROFILE', `d82a58250101551220${digest}`) // another prefix
    refuses('CID_PROFILE', `d82a581900015511147${'0'.repeat(39)}`) // SHA-1
    refuses('CID_PROFILE', 'd82a450001550000') // identity
    refuses('CID_PROFILE', 'd82a49000155120400000000') // four bytes of hash
    refuses('CID_PROFILE', 'd82a6161', 'd82a01', 'd82a4100')
  })

  it('lets dag-pb stand only under the keys cid and root', () => {
    const folder = linkOf(cidFromDigest('dag-pb', new Uint8Array(32)))
    assert.equal(codeOf(dagCbor.encode({ cid: folder, root: folder })), 'ok')
    for (const value of [folder, [folder], { card: folder }, { cid: [folder] }]) {
      assert.equal(codeOf(dagCbor.encode(value)), 'CID_PROFILE')
    }
  })

  it('takes as many bytes as it may and no more', () => {
    assert.equal(decode(fromHex('820102'), 3).ok, true)
    const verdict = decode(fromHex('820102'), 2)
    assert(!verdict.ok)
    assert.deepEqual([verdict.code, verdict.limit, verdict.got], ['LIMIT', 2, 3])
  })

  it('gives plain byte arrays, whoever read the bytes', () => {
    const verdict = decode(Buffer.from('4101', 'hex'))
    assert.deepEqual(verdict, { ok: true, value: Uint8Array.of(1) })
  })

  it('throws when it is to write what it would not read', () => {
    const bad: unknown[] = [
      1.5,
      Number.NaN,
      2 ** 53,
      -0.5,
      undefined,
      { a: undefined },
      { '\0': 1 },
    ]
    const nested = Array.from({ length: MAX_CBOR_DEPTH }).reduce((inner) => [inner], [])
    const v0 = CID.parse('QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1n')
    for (const value of [...bad, nested, v0, 2n ** 60n]) {
      assert.throws(() => encode(value as CborValue), String(value))
    }
  })
})

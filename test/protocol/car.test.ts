import assert from 'node:assert/strict'
import * as dagCbor from '@ipld/dag-cbor'
import fc from 'fast-check'
import { concat } from '../../protocol/bytes.ts'
import { type Car, readCar, writeCar } from '../../protocol/car.ts'
import { type Cid, cidOf, linkOf } from '../../protocol/cid.ts'
import { expectOk } from '../../protocol/errors.ts'
import { utf8 } from '../helpers/publisher.ts'

const carOf = (...contents: readonly Uint8Array[]): Car => {
  const blocks = new Map<Cid, Uint8Array>(contents.map((each) => [cidOf('raw', each), each]))
  const [root = cidOf('raw', new Uint8Array())] = blocks.keys()
  return { root, blocks }
}
const codeOf = (bytes: Uint8Array, maxBytes = bytes.length): string => {
  const verdict = readCar(bytes, maxBytes)
  return verdict.ok ? 'ok' : verdict.code
}

describe('protocol/car', () => {
  it('reads what it writes', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 300 }), { minLength: 1 }), (contents) => {
        const car = carOf(...contents)
        const bytes = writeCar(car)
        const read = expectOk(readCar(bytes, bytes.length))
        assert.equal(read.root, car.root)
        assert.deepEqual(
          [...read.blocks].map(([cid, block]) => [cid, [...block]]),
          [...car.blocks].map(([cid, block]) => [cid, [...block]]),
        )
        assert.deepEqual(writeCar(read), bytes)
      }),
    )
  })

  it('writes lengths as other tools read them', () => {
    const small = writeCar(carOf(utf8('hello')))
    const header = dagCbor.encode({ roots: [linkOf(cidOf('raw', utf8('hello')))], version: 1 })
    const block = concat([linkOf(cidOf('raw', utf8('hello'))).bytes, utf8('hello')])
    const parts = [Uint8Array.of(header.length), header, Uint8Array.of(block.length), block]
    assert.deepEqual(small, concat(parts))
    const large = writeCar(carOf(new Uint8Array(300 - 36)))
    const at = 1 + header.length
    assert.deepEqual([...large.subarray(at, at + 2)], [0xac, 0x02])
  })

  it('is bounded, at the limit and one past it', () => {
    const bytes = writeCar(carOf(utf8('hello')))
    assert.equal(codeOf(bytes), 'ok')
    assert.equal(codeOf(bytes, bytes.length - 1), 'LIMIT')
  })

  it('refuses lengths that nobody needs', () => {
    const bytes = writeCar(carOf(utf8('hello')))
    assert.equal(
      codeOf(concat([bytes, Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0x01)])),
      'CBOR_NONCANONICAL',
    )
    assert.equal(codeOf(concat([bytes, Uint8Array.of(0x80, 0x00)])), 'CBOR_NONCANONICAL')
    assert.equal(codeOf(concat([bytes, Uint8Array.of(0xff, 0xff, 0xff, 0x7f)])), 'TRUNCATED')
    assert.equal(codeOf(concat([bytes, Uint8Array.of(5, 1, 2, 3, 4, 5)])), 'TRUNCATED')
  })

  it('says what is no CAR file', () => {
    for (const bytes of [utf8('format_version: 0.5.4\n'.repeat(9)), Uint8Array.of(1, 0xf6)]) {
      const verdict = readCar(bytes, 1000)
      assert(!verdict.ok)
    }
    const verdict = readCar(utf8('format_version: 0.5.4\n'.repeat(9)), 1000)
    assert.match(verdict.ok ? '' : verdict.message, /not a CAR file/)
  })

  it('never throws', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => void readCar(bytes, 1000)))
  })
})

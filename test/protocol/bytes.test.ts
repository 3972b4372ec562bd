import assert from 'node:assert/strict'
import fc from 'fast-check'
import { compareBytes, compareText, fromHex, toHex } from '../../protocol/bytes.ts'

describe('protocol/bytes', () => {
  it('writes and reads hex', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        assert.equal(toHex(bytes), Buffer.from(bytes).toString('hex'))
        assert.deepEqual(fromHex(toHex(bytes)), bytes)
      }),
    )
    for (const text of ['0', 'AA', 'zz', 'aa ']) assert.throws(() => fromHex(text), text)
  })

  it('orders text as its UTF-8 bytes', () => {
    const text = fc.string({
      unit: fc.constantFrom('a', 'b', 'é', '\ud7ff', '\ue000', '\uffff', '😀', '𝒳'),
    })
    fc.assert(
      fc.property(text, text, (a, b) => {
        assert.equal(Math.sign(compareText(a, b)), Buffer.compare(Buffer.from(a), Buffer.from(b)))
      }),
    )
  })

  it('orders bytes, a prefix first', () => {
    fc.assert(
      fc.property(fc.uint8Array(), fc.uint8Array(), (a, b) => {
        assert.equal(Math.sign(compareBytes(a, b)), Buffer.compare(a, b))
      }),
    )
  })
})

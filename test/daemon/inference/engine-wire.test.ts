import assert from 'node:assert/strict'
import {
  type Answer,
  AnswerReader,
  encodeHeader,
  LENGTH_BYTES,
  MAX_HEADER_BYTES,
} from '../../../daemon/inference/engine-wire.ts'

const ran = (tensors: (Answer & { type: 'ran' })['tensors']): Answer => ({
  type: 'ran',
  computeMs: 1,
  memoryBytes: 1,
  tensors,
})

/** A frame of any JSON. */
const frameOf = (value: unknown): Uint8Array => encodeHeader(value as Answer)

describe('daemon/inference/engine-wire', () => {
  const elements = Float32Array.of(1, 2, 3)
  const flags = Uint8Array.of(1, 0)
  const bytes = Buffer.concat([
    encodeHeader(
      ran([
        { dtype: 'float32', shape: [3] },
        { dtype: 'bool', shape: [1, 2] },
        { dtype: 'float32', shape: [0] },
      ]),
    ),
    new Uint8Array(elements.buffer),
    flags,
  ])

  for (const size of [1, 3, 7, bytes.length]) {
    it(`puts an answer together from chunks of ${size}`, () => {
      const reader = new AnswerReader(100)
      for (let turn = 0; turn < 2; turn++) {
        let frame = null
        for (let at = 0; at < bytes.length; at += size) {
          assert.equal(frame, null)
          frame = reader.push(bytes.subarray(at, at + size))
        }
        assert.ok(frame)
        assert.deepEqual(
          frame.tensors.map(({ data }) => data),
          [elements, flags, new Float32Array(0)],
        )
      }
    })
  }

  it('bounds the header before it is collected', () => {
    const length = new Uint8Array(LENGTH_BYTES)
    new DataView(length.buffer).setUint32(0, MAX_HEADER_BYTES + 1, true)
    assert.throws(() => new AnswerReader(100).push(length), RangeError)
  })

  it('bounds payloads before memory is taken for them', () => {
    const at = (count: number) => frameOf(ran([{ dtype: 'uint8', shape: [count] }]))
    assert.equal(new AnswerReader(100).push(at(100)), null)
    assert.throws(() => new AnswerReader(100).push(at(101)), RangeError)
  })

  const wrong: Record<string, unknown> = {
    'no object': 7,
    'an unknown type': { type: 'hello' },
    'a shape that is negative': ran([{ dtype: 'uint8', shape: [-1] }]),
    'a shape that overflows': ran([{ dtype: 'uint8', shape: [2 ** 40, 2 ** 40] }]),
    'an unknown element type': ran([{ dtype: 'text' as 'uint8', shape: [1] }]),
    'infos that are none': { type: 'opened', inputs: [{}], outputs: [], memoryBytes: 1 },
  }
  for (const [what, value] of Object.entries(wrong)) {
    it(`refuses ${what}`, () => {
      assert.throws(() => new AnswerReader(2 ** 50).push(frameOf(value)), TypeError)
    })
  }

  it('refuses bytes after an answer', () => {
    const frame = Buffer.concat([frameOf({ type: 'failed', message: 'x' }), Buffer.from('y')])
    assert.throws(() => new AnswerReader(1).push(frame), TypeError)
  })
})

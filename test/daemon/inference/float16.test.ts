import assert from 'node:assert/strict'
import { fromFloat16, toFloat16 } from '../../../daemon/inference/float16.ts'

describe('daemon/inference/float16', () => {
  it('gives every half back', () => {
    const halves = Uint16Array.from({ length: 65536 }, (_, i) => i)
    const back = toFloat16(fromFloat16(halves))
    const isNaN16 = (half: number): boolean => (half & 0x7fff) > 0x7c00
    assert.ok(
      halves.every((half, i) => back[i] === half || (isNaN16(half) && isNaN16(back[i] ?? 0))),
    )
  })

  // IEEE 754-2019, table of binary16 examples.
  it('rounds to nearest, ties to even', () => {
    const cases: [number, number][] = [
      [1, 0x3c00],
      [-2, 0xc000],
      [65504, 0x7bff],
      [65519.99, 0x7bff],
      [65520, 0x7c00],
      [1 + 2 ** -11, 0x3c00],
      [1 + 3 * 2 ** -11, 0x3c02],
      [2 ** -24, 0x0001],
      [2 ** -25, 0x0000],
      [1.5 * 2 ** -25, 0x0001],
      [1 / 3, 0x3555],
      [-0, 0x8000],
      [Infinity, 0x7c00],
    ]
    const halves = toFloat16(Float32Array.from(cases, ([value]) => value))
    assert.deepEqual(
      [...halves],
      cases.map(([, half]) => half),
    )
  })
})

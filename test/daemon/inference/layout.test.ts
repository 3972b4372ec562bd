import assert from 'node:assert/strict'
import { crop, padByReflection, reflect, transpose } from '../../../daemon/inference/layout.ts'
import type { Tensor } from '../../../daemon/inference/tensor.ts'

const counted = (axes: readonly string[], shape: readonly number[]): Tensor => ({
  dtype: 'int16',
  axes,
  shape,
  data: Int16Array.from({ length: shape.reduce((n, d) => n * d, 1) }, (_, i) => i),
})

describe('daemon/inference/layout', () => {
  it('transposes', () => {
    const tensor = transpose(counted(['y', 'x', 'channel'], [2, 3, 2]), ['channel', 'y', 'x'])
    assert.deepEqual(tensor.shape, [2, 2, 3])
    assert.deepEqual([...tensor.data], [0, 2, 4, 6, 8, 10, 1, 3, 5, 7, 9, 11])
  })

  it('copies nothing where only axes of size 1 move', () => {
    const tensor = counted(['y', 'x', 'channel'], [2, 3, 1])
    const moved = transpose(tensor, ['channel', 'y', 'x'])
    assert.deepEqual(moved.shape, [1, 2, 3])
    assert.equal(moved.data, tensor.data)
  })

  it('reverses itself', () => {
    const tensor = counted(['t', 'z', 'y', 'x'], [2, 3, 4, 5])
    const there = transpose(tensor, ['x', 'z', 't', 'y'])
    assert.deepEqual(transpose(there, tensor.axes).data, tensor.data)
  })

  // numpy.pad([0, 1, 2], (0, 6), 'reflect') is [0, 1, 2, 1, 0, 1, 2, 1, 0].
  it("pads as numpy's reflect does", () => {
    const padded = padByReflection(counted(['x'], [3]), [9])
    assert.deepEqual([...padded.data], [0, 1, 2, 1, 0, 1, 2, 1, 0])
    assert.equal(reflect(5, 1), 0)
  })

  it('pads several axes at their far ends and crops them back', () => {
    const tensor = counted(['channel', 'y', 'x'], [2, 2, 3])
    const padded = padByReflection(tensor, [2, 4, 4])
    assert.deepEqual(
      [...padded.data.slice(0, 16)],
      [0, 1, 2, 1, 3, 4, 5, 4, 0, 1, 2, 1, 3, 4, 5, 4],
    )
    assert.deepEqual(crop(padded, tensor.shape).data, tensor.data)
  })

  it('copies nothing where the size stays', () => {
    const tensor = counted(['y', 'x'], [2, 3])
    assert.equal(padByReflection(tensor, [2, 3]), tensor)
    assert.equal(crop(tensor, [2, 3]), tensor)
  })
})

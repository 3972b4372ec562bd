import assert from 'node:assert/strict'
import { compareTensors, toleranceFor } from '../../../daemon/inference/compare.ts'
import type { Tensor } from '../../../daemon/inference/tensor.ts'
import type { Tolerance } from '../../../protocol/model-description.ts'
import { imageModel } from '../../helpers/model-description.ts'

const row = (...values: number[]): Tensor => ({
  dtype: 'float32',
  axes: ['y', 'x'],
  shape: [2, values.length / 2],
  data: Float32Array.from(values),
})
const tolerance: Tolerance = {
  relative: 0.1,
  absolute: 1,
  mismatchedPerMillion: 0,
  weightFormats: [],
  outputIds: [],
}

describe('daemon/inference/compare', () => {
  it('allows absolute plus relative, and not more', () => {
    const expected = row(0, 0, 0, 10)
    assert.equal(compareTensors(row(0, 0, 0, 12), expected, tolerance).ok, true)
    const over = compareTensors(row(0, 0, 0, 12.001), expected, tolerance)
    assert.equal(over.ok, false)
    assert.equal(over.mismatchedPerMillion, 250_000)
    assert.deepEqual(over.at, [1, 1])
    assert.equal(over.worstAbsolute, Math.fround(12.001) - 10)
    const some = { ...tolerance, mismatchedPerMillion: 250_000 }
    assert.equal(compareTensors(row(0, 0, 0, 12.001), expected, some).ok, true)
  })

  it('never counts NaN, as the reference implementation', () => {
    const result = compareTensors(row(NaN, 1), row(1, NaN), tolerance)
    assert.deepEqual([result.ok, result.worstAbsolute, result.at], [true, 0, null])
  })

  it('takes the first tolerance that is for the output and for ONNX', () => {
    const model = imageModel()
    assert.deepEqual(toleranceFor(model, 'result').mismatchedPerMillion, 100)
    assert.equal(
      toleranceFor({ ...model, formatVersion: '0.4.9' }, 'result').mismatchedPerMillion,
      0,
    )
    const tolerances: Tolerance[] = [
      { ...tolerance, absolute: 1, outputIds: ['other'] },
      { ...tolerance, absolute: 2, weightFormats: ['torchscript'] },
      { ...tolerance, absolute: 3, weightFormats: ['onnx'], outputIds: ['result'] },
    ]
    assert.equal(toleranceFor({ ...model, tolerances }, 'result').absolute, 3)
  })
})

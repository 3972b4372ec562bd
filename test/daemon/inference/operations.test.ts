import assert from 'node:assert/strict'
import { applyOperations } from '../../../daemon/inference/operations.ts'
import type { Tensor, TypedArray } from '../../../daemon/inference/tensor.ts'
import type { Dtype, Operation } from '../../../protocol/model-description.ts'

const AXES = ['batch', 'channel', 'y', 'x']
const tensor = (
  shape: readonly number[],
  data: TypedArray,
  dtype: Dtype = 'float32',
  axes: readonly string[] = AXES,
): Tensor => ({ dtype, axes, shape, data })
const row = (...values: number[]): Tensor =>
  tensor([1, 1, 1, values.length], Float32Array.from(values))

const apply = (given: Tensor, ...operations: Operation[]): Tensor =>
  applyOperations(given, operations, () => given)

function near(actual: TypedArray, expected: readonly number[], within = 1e-6): void {
  assert.equal(actual.length, expected.length)
  expected.forEach((value, i) => {
    assert.ok(Math.abs(Number(actual[i]) - value) <= within, `${i}: ${actual[i]}, not ${value}`)
  })
}

const F32: Operation = { op: 'ensure_dtype', dtype: 'float32' }
const zmuv = (axes: readonly string[] | null, eps = 1e-6): Operation => ({
  op: 'zero_mean_unit_variance',
  axes,
  eps,
})

describe('daemon/inference/operations', () => {
  describe('ensure_dtype', () => {
    it('truncates and wraps as astype does', () => {
      const cast = apply(row(1.9, -1.9, 257, 255), { op: 'ensure_dtype', dtype: 'uint8' })
      assert.equal(cast.dtype, 'uint8')
      assert.deepEqual([...cast.data], [1, 255, 1, 255])
    })

    it('makes int64 of floats and bool of anything', () => {
      assert.deepEqual(
        [...apply(row(1.9, NaN), { op: 'ensure_dtype', dtype: 'int64' }).data],
        [1n, 0n],
      )
      assert.deepEqual([...apply(row(0, 0.1), { op: 'ensure_dtype', dtype: 'bool' }).data], [0, 1])
    })
  })

  describe('zero_mean_unit_variance', () => {
    // numpy: (x - x.mean()) / (x.std() + 1e-6)
    it('divides by the population deviation and 1e-6', () => {
      near(apply(row(1, 2, 3, 4), zmuv(null)).data, [-1.3416396, -0.4472132, 0.4472132, 1.3416396])
      near(apply(row(5, 5), zmuv(null)).data, [0, 0])
    })

    it("ignores the card's eps, as the reference implementation does", () => {
      assert.deepEqual(apply(row(1, 3), zmuv(null, 0.1)).data, apply(row(1, 3), zmuv(null)).data)
    })

    it('takes statistics per index of the axes that are not reduced', () => {
      const given = tensor([1, 2, 1, 2], Float32Array.of(0, 2, 100, 300))
      near(apply(given, zmuv(['y', 'x'])).data, [-1, 1, -1, 1], 1e-5)
      // Over all: mean 100.5, deviation 122.0686
      near(apply(given, zmuv(null)).data, [-0.823307, -0.806923, -0.004096, 1.634327], 1e-5)
    })

    it('takes statistics of channels that come last', () => {
      const given = tensor([1, 2, 2], Float32Array.of(0, 100, 2, 300), 'float32', [
        'y',
        'x',
        'channel',
      ])
      near(apply(given, zmuv(['y', 'x'])).data, [-1, -1, 1, 1], 1e-5)
    })

    it('keeps the samples of a batch apart unless the batch is reduced', () => {
      const given = tensor([2, 1, 1, 2], Float32Array.of(0, 2, 10, 30))
      near(apply(given, zmuv(['channel', 'y', 'x'])).data, [-1, 1, -1, 1], 1e-5)
      const over = apply(given, zmuv(['batch', 'channel', 'y', 'x'])).data
      assert.deepEqual(over, apply(given, zmuv(null)).data)
    })

    it('takes statistics of the raw tensor, whatever comes before', () => {
      const clip: Operation = {
        op: 'clip',
        min: 0,
        max: 1,
        minPercentile: null,
        maxPercentile: null,
        axes: null,
      }
      const raw = row(1, 2, 3, 4)
      // mean 2.5, deviation 1.118; every element is clipped to 1 first
      near(apply(raw, clip, zmuv(null)).data, [-1.3416396, -1.3416396, -1.3416396, -1.3416396])
    })

    it('gives the same for integers and for their floats', () => {
      const integers = tensor([1, 1, 1, 4], Uint16Array.of(1000, 20_000, 65_535, 7), 'uint16')
      const floats = tensor([1, 1, 1, 4], Float32Array.from([1000, 20_000, 65_535, 7]))
      const result = apply(integers, F32, zmuv(null), F32)
      assert.equal(result.dtype, 'float32')
      assert.deepEqual(result.data, apply(floats, F32, zmuv(null), F32).data)
    })
  })

  it('fixed_zero_mean_unit_variance divides by std + 1e-6, along its axis', () => {
    const given = tensor([1, 2, 1, 1], Float32Array.of(5, 5))
    const fixed: Operation = {
      op: 'fixed_zero_mean_unit_variance',
      mean: [1, 3],
      std: [1e-6, 2],
      axis: 'channel',
    }
    near(apply(given, fixed).data, [2e6, 1], 1e-4)
  })

  describe('scale_range', () => {
    const range = (low: number, high: number): Operation => ({
      op: 'scale_range',
      axes: null,
      minPercentile: low,
      maxPercentile: high,
      eps: 0.1,
      referenceTensor: null,
    })

    it('spreads percentiles over 0 to 1 and clips nothing', () => {
      near(apply(row(0, 5, 10), range(0, 100)).data, [0, 0.5, 1])
      // Percentiles 10 and 90 of 0..10 are 1 and 9.
      const values = Array.from({ length: 11 }, (_, i) => i)
      near(
        apply(row(...values), range(10, 90)).data,
        values.map((v) => (v - 1) / (8 + 1e-6)),
      )
    })

    it('takes the statistics of another tensor', () => {
      const other = row(0, 100)
      const operation: Operation = {
        ...(range(0, 100) as object),
        referenceTensor: 'other',
      } as Operation
      const own = row(50, 200)
      const result = applyOperations(own, [operation], (id) => (id === 'other' ? other : own))
      near(result.data, [0.5, 2])
    })
  })

  it('scale_mean_variance gives the statistics of another tensor, and honours eps', () => {
    const own = row(-1, 1)
    const other = row(10, 30)
    const operation: Operation = {
      op: 'scale_mean_variance',
      referenceTensor: 'other',
      axes: null,
      eps: 0.1,
    }
    const result = applyOperations(own, [operation], (id) => (id === 'other' ? other : own))
    near(result.data, [20 - 10.1 / 1.1, 20 + 10.1 / 1.1], 1e-5)
  })

  it('clip keeps to bounds and to inverted_cdf percentiles', () => {
    const clip = {
      op: 'clip',
      min: null,
      max: null,
      minPercentile: null,
      maxPercentile: null,
      axes: null,
    } as const
    assert.deepEqual(
      [...apply(row(-2, 0, NaN, 2), { ...clip, min: -1, max: 1 }).data],
      [-1, 0, NaN, 1],
    )
    const values = [15, 20, 35, 40, 50]
    const result = apply(row(...values), { ...clip, minPercentile: 30, maxPercentile: 50 })
    assert.deepEqual([...result.data], [20, 20, 35, 35, 35])
  })

  it('scale_linear multiplies and adds, along its axis', () => {
    const given = tensor([1, 2, 1, 2], Float32Array.of(1, 2, 3, 4))
    const linear: Operation = { op: 'scale_linear', gain: [2, 10], offset: [1, 0], axis: 'channel' }
    assert.deepEqual([...apply(given, linear).data], [3, 5, 30, 40])
    const three: Operation = {
      op: 'scale_linear',
      gain: [1, 2, 3],
      offset: [0, 0, 0],
      axis: 'channel',
    }
    assert.throws(() => apply(given, three), { code: 'MODEL_UNSUPPORTED' })
  })

  it('sigmoid is that of Math.exp to float32', () => {
    const values = Float32Array.from({ length: 4001 }, (_, i) => (i - 2000) / 20)
    const { data } = apply(row(...values), { op: 'sigmoid' })
    values.forEach((x, i) => {
      const due = Math.fround(1 / (1 + Math.exp(-x)))
      assert.ok(Math.abs(Number(data[i]) - due) <= 6e-8 * Math.max(due, 1e-30), `${x}: ${data[i]}`)
    })
    const ends = apply(row(-1e9, 1e9, -Infinity, Infinity, NaN), { op: 'sigmoid' })
    assert.deepEqual([...ends.data], [0, 1, 0, 1, NaN])
  })

  it('softmax sums to 1 along its axis', () => {
    const given = tensor([1, 2, 1, 2], Float32Array.of(0, 1000, 0, 1000 + Math.log(3)))
    near(apply(given, { op: 'softmax', axis: 'channel' }).data, [0.5, 0.25, 0.5, 0.75], 1e-4)
  })

  it('binarize is true above the threshold, along its axis', () => {
    const given = tensor([1, 2, 1, 2], Float32Array.of(0.5, 0.6, 0.5, 0.6))
    const one = apply(given, { op: 'binarize', thresholds: [0.5], axis: null })
    assert.equal(one.dtype, 'bool')
    assert.deepEqual([...one.data], [0, 1, 0, 1])
    const two = apply(given, { op: 'binarize', thresholds: [0.4, 0.7], axis: 'channel' })
    assert.deepEqual([...two.data], [1, 1, 0, 0])
  })

  it('leaves its input as it is', () => {
    const given = row(1, 2, 3)
    apply(given, { op: 'sigmoid' }, zmuv(null))
    assert.deepEqual([...given.data], [1, 2, 3])
  })

  it('keeps large integers exact until they are cast', () => {
    const given = tensor([1, 1, 1, 2], Int32Array.of(2 ** 30, 2 ** 30 + 2), 'int32')
    near(apply(given, zmuv(null)).data, [-1, 1], 1e-5)
  })
})

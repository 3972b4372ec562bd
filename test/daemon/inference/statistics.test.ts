import assert from 'node:assert/strict'
import fc from 'fast-check'
import { accumulate, momentsOf, percentiles } from '../../../daemon/inference/statistics.ts'

const momentsOfAll = (values: Float32Array | Float64Array) =>
  momentsOf(accumulate(undefined, values, 0, values.length))

describe('daemon/inference/statistics', () => {
  it('takes mean and population standard deviation', () => {
    const { mean, std } = momentsOfAll(Float32Array.of(2, 4, 4, 4, 5, 5, 7, 9))
    assert.equal(mean, 5)
    assert.equal(std, 2)
  })

  it('is exact for a constant, however large', () => {
    assert.deepEqual(momentsOfAll(new Float64Array(1001).fill(1e9 + 0.1)), {
      mean: 1e9 + 0.1,
      std: 0,
    })
  })

  it('adds up parts of a group', () => {
    const values = Float64Array.from({ length: 1003 }, (_, i) => Math.sin(i) * 100 + 1e6)
    const first = accumulate(undefined, values, 0, 401)
    const parts = momentsOf(accumulate(first, values, 401, 1003))
    const whole = momentsOfAll(values)
    assert.ok(Math.abs(parts.mean - whole.mean) < 1e-9)
    assert.ok(Math.abs(parts.std - whole.std) < 1e-9)
  })

  it('keeps NaN', () => {
    assert.ok(Number.isNaN(momentsOfAll(Float32Array.of(1, NaN)).std))
    assert.deepEqual(percentiles(Float32Array.of(1, NaN, 3), [0, 50], 'linear'), [NaN, NaN])
    // The NaN that x86 makes of 0/0 has its sign set.
    const negative = new Float32Array(Uint32Array.of(0xffc00000, 0x3f800000).buffer)
    assert.deepEqual(percentiles(negative, [50], 'linear'), [NaN])
  })

  // numpy.percentile([15, 20, 35, 40, 50], [0, 5, 30, 40, 50, 100])
  it("interpolates as numpy's default does", () => {
    const values = Float32Array.of(35, 20, 15, 50, 40)
    assert.deepEqual(
      percentiles(values, [0, 5, 30, 40, 50, 100], 'linear'),
      [15, 16, 23, 29, 35, 50],
    )
  })

  // The same with method='inverted_cdf'.
  it("steps as numpy's inverted_cdf does", () => {
    const values = Float32Array.of(35, 20, 15, 50, 40)
    const found = percentiles(values, [0, 5, 30, 40, 50, 100], 'inverted_cdf')
    assert.deepEqual(found, [15, 15, 20, 20, 35, 50])
  })

  it('keeps infinities apart from NaN', () => {
    const values = Float32Array.of(-Infinity, 1, Infinity)
    assert.deepEqual(percentiles(values, [0, 50, 100], 'linear'), [-Infinity, 1, Infinity])
  })

  for (const array of [Float32Array, Float64Array]) {
    it(`finds what sorting finds in a ${array.name}`, () => {
      const numbers = fc.array(fc.double({ noNaN: true, noDefaultInfinity: true }), {
        minLength: 1,
      })
      fc.assert(
        fc.property(numbers, fc.integer({ min: 0, max: 100 }), (given, percent) => {
          const values = array.from(given)
          const sorted = values.slice().sort()
          const rank = Math.max(0, Math.ceil((percent / 100) * sorted.length) - 1)
          const [found] = percentiles(values, [percent], 'inverted_cdf')
          assert.equal(Object.is(found, -0) ? 0 : found, (sorted[rank] ?? 0) + 0)
        }),
        { seed: 7 },
      )
    })
  }
})

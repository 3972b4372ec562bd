import assert from 'node:assert/strict'
import fc from 'fast-check'
import { fits, nextSize, outputSize } from '../../protocol/axis-size.ts'
import type { AxisSize } from '../../protocol/model-description.ts'

const stepped = (min: number, step: number): AxisSize => ({ kind: 'stepped', min, step })

describe('protocol/axis-size', () => {
  it('finds the next size that is allowed', () => {
    assert.equal(nextSize({ kind: 'fixed', size: 512 }, 500), 512)
    assert.equal(nextSize({ kind: 'fixed', size: 512 }, 513), null)
    assert.equal(nextSize(stepped(64, 16), 1), 64)
    assert.equal(nextSize(stepped(64, 16), 64), 64)
    assert.equal(nextSize(stepped(64, 16), 65), 80)
    assert.equal(nextSize(stepped(64, 16), 80), 80)
    assert.equal(nextSize({ kind: 'dependent', min: 2, max: null }, 1), 2)
    assert.equal(nextSize({ kind: 'dependent', min: 1, max: 5 }, 6), null)
  })

  it('gives the smallest one', () => {
    const natural = fc.integer({ min: 1, max: 5000 })
    fc.assert(
      fc.property(natural, natural, natural, (min, step, n) => {
        const size = stepped(min, step)
        const next = nextSize(size, n)
        assert.ok(next !== null && next >= n && fits(size, next) && (next - min) % step === 0)
        assert.ok(next - step < n || next === min)
      }),
    )
  })

  it('computes sizes that refer to another axis', () => {
    const axis = (scale: number, offset: number) =>
      ({ size: { kind: 'reference', tensor: 'raw', axis: 'y', offset }, scale }) as const
    const raw =
      (size: number, scale = 1) =>
      (tensor: string, id: string) =>
        tensor === 'raw' && id === 'y' ? { size, scale } : null
    assert.equal(outputSize(axis(1, 0), raw(512)), 512)
    assert.equal(outputSize(axis(2, 0), raw(513)), 256)
    assert.equal(outputSize(axis(0.5, -8), raw(100)), 192)
    assert.equal(outputSize(axis(1, 0), raw(100, 0.5)), 50)
    assert.equal(
      outputSize(axis(1, 0), () => null),
      null,
    )
    assert.equal(outputSize({ size: stepped(1, 1), scale: 1 }, raw(1)), null)
    assert.equal(outputSize({ size: { kind: 'fixed', size: 3 }, scale: 1 }, raw(1)), 3)
  })
})

import assert from 'node:assert/strict'
import { Random } from './random.ts'

describe('simulator/random', () => {
  it('gives the same for the same seed, and something else for another', () => {
    const draw = (seed: string): number[] => {
      const random = new Random(seed)
      return Array.from({ length: 20 }, () => random.bits())
    }
    assert.deepEqual(draw('a'), draw('a'))
    assert.notDeepEqual(draw('a'), draw('b'))
  })

  it('lets a fork go its own way', () => {
    const first = new Random('a')
    const before = first.fork('x').bits()
    first.bits()
    assert.equal(first.fork('x').bits(), before)
    assert.notEqual(first.fork('y').bits(), before)
  })

  it('reaches both ends of a range, and keeps all of what it shuffles', () => {
    const random = new Random('ends')
    const drawn = new Set(Array.from({ length: 200 }, () => random.int(3, 5)))
    assert.deepEqual([...drawn].sort(), [3, 4, 5])
    assert.deepEqual(random.shuffle([1, 2, 3, 4]).sort(), [1, 2, 3, 4])
  })

  it('draws by weight', () => {
    const random = new Random('weights')
    const drawn = Array.from({ length: 1000 }, () =>
      random.weighted({ often: 9, never: 0, rare: 1 }),
    )
    assert.equal(drawn.includes('never'), false)
    assert.ok(drawn.filter((each) => each === 'rare').length < 200)
  })
})

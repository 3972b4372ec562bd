import assert from 'node:assert/strict'
import { Budget } from '../../../daemon/net/rate.ts'

describe('daemon/net/rate', () => {
  it('gives what is there and refills with time, up to its capacity', () => {
    let now = 0
    const budget = new Budget({ now: () => now }, 3, 2)
    assert.deepEqual(
      [1, 2, 3, 4].map(() => budget.take()),
      [true, true, true, false],
    )
    now += 500
    assert.deepEqual([budget.take(), budget.take()], [true, false])
    now += 1e6
    assert.equal(budget.take(3), true)
    assert.equal(budget.take(), false)
  })

  it('gives credit and says how long until it is paid', () => {
    let now = 0
    const budget = new Budget({ now: () => now }, 100, 50)
    assert.equal(budget.owe(100), 0)
    assert.equal(budget.owe(25), 500)
    now += 500
    assert.equal(budget.owe(0), 0)
  })

  it('is not fooled by a clock that is set back', () => {
    let now = 1000
    const budget = new Budget({ now: () => now }, 1, 1)
    budget.take()
    now = 0
    assert.equal(budget.take(), false)
    now = 1000
    assert.equal(budget.take(), true)
  })
})

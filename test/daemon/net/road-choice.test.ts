import assert from 'node:assert/strict'
import { RoadChoice } from '../../../daemon/net/road-choice.ts'

describe('daemon/net/road-choice', () => {
  const both = () => new RoadChoice(['stream', 'web'], null, 0)
  const used = (choice: RoadChoice) =>
    (['stream', 'web'] as const).filter((road) => choice.uses(road))

  /** Leaves of both roads, each at its own pace, until a time. */
  function run(choice: RoadChoice, every: { stream: number; web: number }, end: number): void {
    for (let now = 1; now <= end; now++) {
      for (const road of ['stream', 'web'] as const) {
        if (choice.uses(road) && now % every[road] === 0) choice.took(road, now)
      }
    }
  }

  it('tries both side by side, and keeps to the quicker one', () => {
    for (const [every, quicker] of [
      [{ stream: 30, web: 10 }, 'web'],
      [{ stream: 10, web: 30 }, 'stream'],
    ] as const) {
      const choice = both()
      run(choice, every, 900)
      assert.deepEqual(used(choice), ['stream', 'web'], 'it has not shown yet')
      run(choice, every, 2000)
      assert.deepEqual(used(choice), [quicker])
      assert.equal(choice.found?.road, quicker)
    }
  })

  it('does not count what stands before the first leaf of a road', () => {
    const choice = both()
    // A second for the hands to be shaken, twice the speed from then on.
    for (let now = 20; now <= 1000; now += 20) choice.took('stream', now)
    for (let now = 1000; now <= 2100; now += 10) {
      if (now % 20 === 0 && choice.uses('stream')) choice.took('stream', now)
      choice.took('web', now)
    }
    assert.deepEqual(used(choice), ['web'])
  })

  it('waits for a road that gives nothing yet', () => {
    const choice = both()
    run(choice, { stream: 10, web: 1e9 }, 20_000)
    assert.deepEqual(used(choice), ['stream', 'web'])
  })

  it('leaves a road that fails, also one that it knew to be the quicker', () => {
    for (const choice of [both(), new RoadChoice(['stream', 'web'], { road: 'web', at: 0 }, 1)]) {
      choice.fail('web', 5)
      assert.deepEqual([used(choice), choice.found], [['stream'], { road: 'stream', at: 5 }])
    }
  })

  it('takes what was found before for ten minutes, and compares anew then', () => {
    const known = { road: 'web', at: 0 } as const
    const roads = ['stream', 'web'] as const
    assert.deepEqual(used(new RoadChoice(roads, known, 599_999)), ['web'])
    assert.deepEqual(used(new RoadChoice(roads, known, 600_000)), ['stream', 'web'])
    // There is no such road any more.
    assert.deepEqual(used(new RoadChoice(['stream'], known, 1)), ['stream'])
  })
})

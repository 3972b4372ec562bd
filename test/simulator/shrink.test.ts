import assert from 'node:assert/strict'
import { createPlan, type Plan } from './plan.ts'
import { shrink } from './shrink.ts'

describe('simulator/shrink', () => {
  const whole = createPlan('shrink', { nodes: 5, records: 60 })

  it('leaves what it takes to fail', async () => {
    const guilty = whole.events.filter(({ do: what }) => what === 'say').slice(2, 4)
    const fails = async ({ events }: Plan): Promise<boolean> =>
      guilty.every(({ salt }) => events.some((event) => event.salt === salt))
    const { plan } = await shrink(whole, fails)
    assert.deepEqual(
      plan.events.map(({ salt }) => salt),
      guilty.map(({ salt }) => salt),
    )
    for (const event of plan.events) assert.equal(event.do === 'say' && event.what.length, 1)
    assert.deepEqual(plan.wires, [])
    assert.equal(plan.rounds, 1)
  })

  it('gives the plan back where everything in it is needed', async () => {
    const { plan } = await shrink(whole, async (tried) => tried === whole)
    assert.equal(plan, whole)
  })

  it('stops after so many tries', async () => {
    const { tries } = await shrink(whole, async () => false, 7)
    assert.equal(tries, 7)
  })
})

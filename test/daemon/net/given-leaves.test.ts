import assert from 'node:assert/strict'
import { GivenLeaves } from '../../../daemon/net/given-leaves.ts'
import { cidOf } from '../../../protocol/cid.ts'

const cid = (n: number) => cidOf('raw', new Uint8Array([n >> 8, n & 255]))

describe('daemon/net/given-leaves', () => {
  let now = 0
  let given: GivenLeaves
  beforeEach(() => {
    now = 0
    given = new GivenLeaves(() => now)
  })

  it('tells a peer what others were given, for a while', () => {
    given.give(cid(1), 3, 'a')
    assert.equal(given.isElsewhere(cid(1), 3, 'a'), false)
    assert.equal(given.isElsewhere(cid(1), 3, 'b'), true)
    assert.equal(given.isElsewhere(cid(1), 4, 'b'), false)
    assert.equal(given.isElsewhere(cid(2), 3, 'b'), false)
    now = 29_999
    assert.deepEqual([...given.elsewhere(cid(1), 9, 'b').toBytes()], [8, 0])
    assert.equal(given.elsewhere(cid(1), 9, 'a').size, 0)
    now = 30_000
    assert.equal(given.isElsewhere(cid(1), 3, 'b'), false)
    assert.equal(given.elsewhere(cid(1), 9, 'b').size, 0)
  })

  it('remembers the files that were asked for last', () => {
    for (let n = 0; n < 65; n++) given.give(cid(n), 0, 'a')
    assert.equal(given.isElsewhere(cid(0), 0, 'b'), false)
    assert.equal(given.isElsewhere(cid(1), 0, 'b'), true)
  })
})

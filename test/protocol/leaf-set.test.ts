import assert from 'node:assert/strict'
import fc from 'fast-check'
import { expectOk } from '../../protocol/errors.ts'
import { LeafSet } from '../../protocol/leaf-set.ts'

describe('protocol/leaf-set', () => {
  it('reads back what it writes', () => {
    const members = fc.integer({ min: 0, max: 100 }).chain((count) =>
      fc.record({
        count: fc.constant(count),
        members: count === 0 ? fc.constant([]) : fc.uniqueArray(fc.nat(count - 1)),
      }),
    )
    fc.assert(
      fc.property(members, ({ count, members }) => {
        const set = new LeafSet(count)
        for (const each of members) set.add(each)
        const read = expectOk(LeafSet.read(set.toBytes(), count))
        assert.deepEqual([read.size, read.count], [members.length, count])
        for (const each of members) {
          assert.ok(read.has(each))
          read.delete(each)
          assert.ok(!read.has(each))
        }
        assert.equal(read.size, 0)
      }),
    )
  })

  it('has its first leaf in the lowest bit of the first byte', () => {
    const set = new LeafSet(10)
    set.add(0)
    set.add(9)
    assert.deepEqual([...set.toBytes()], [1, 2])
  })

  it('is refused at another length, and with bits beyond the last leaf', () => {
    for (const bits of [[], [0], [0, 0, 0], [0, 4]]) {
      const read = LeafSet.read(new Uint8Array(bits), 10)
      assert.equal(read.ok ? null : read.code, 'PEER')
    }
    assert.ok(LeafSet.read(new Uint8Array([255, 3]), 10).ok)
  })
})

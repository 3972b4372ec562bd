import assert from 'node:assert/strict'
import type { Catalogue } from '../../registry/catalogue.ts'
import { Disk } from './disk.ts'
import { SimulatedCrash } from './failpoint.ts'
import { Random } from './random.ts'

for (const kind of ['memory', 'sqlite'] as const) {
  describe(`simulator/disk over ${kind}`, () => {
    let disk: Disk
    let catalogue: Catalogue

    beforeEach(() => {
      disk = new Disk(new Random('disk'), kind)
      catalogue = disk.open()
    })

    const settings = (...keys: readonly string[]) => keys.map((key) => catalogue.setting(key))
    const reopen = (): void => {
      disk.close()
      catalogue = disk.open()
    }

    it('keeps what was committed', () => {
      catalogue.putSetting('a', '1')
      reopen()
      assert.deepEqual(settings('a'), ['1'])
    })

    it('undoes a transaction in which the process dies, and all that it did before', () => {
      catalogue.putSetting('a', '1')
      disk.failWrite('crash', 2)
      const work = (): void => {
        for (const key of ['a', 'b', 'c', 'd']) catalogue.putSetting(key, '2')
      }
      assert.throws(() => catalogue.transaction(work), SimulatedCrash)
      assert.equal(disk.isDead, true)
      reopen()
      assert.deepEqual(settings('a', 'b', 'c', 'd'), ['1', null, null, null])
    })

    it('takes nothing from a dead process', () => {
      disk.failWrite('crash', 0)
      assert.throws(() => catalogue.putSetting('a', '1'), SimulatedCrash)
      assert.throws(() => catalogue.putSetting('b', '1'))
      const before = catalogue
      reopen()
      assert.throws(() => before.putSetting('c', '1'), TypeError)
      assert.throws(() => before.setting('a'), TypeError)
      assert.deepEqual(settings('a', 'b', 'c'), [null, null, null])
    })

    it('fails a write once, and goes on', () => {
      disk.failWrite('error', 1)
      catalogue.putSetting('a', '1')
      const failed = { code: 'STORE' }
      assert.throws(() => catalogue.putSetting('b', '1'), failed)
      catalogue.putSetting('c', '1')
      assert.deepEqual(settings('a', 'b', 'c'), ['1', null, '1'])
    })

    it('is full some time, and loses nothing of what it has', () => {
      catalogue.putSetting('a', '1')
      disk.isFull = true
      const big = 'x'.repeat(100_000)
      const work = (): void => {
        for (let n = 0; n < 40; n++) catalogue.putSetting(`big ${n}`, big)
      }
      assert.throws(() => catalogue.transaction(work), { code: 'DISK_FULL' })
      reopen()
      assert.deepEqual(settings('a', 'big 0'), ['1', null])
      assert.throws(() => catalogue.transaction(work), { code: 'DISK_FULL' })
      disk.isFull = false
      work()
      assert.deepEqual(settings('big 39'), [big])
    })

    it('puts a copy back that what came after did not change', () => {
      catalogue.putSetting('a', '1')
      const copy = disk.snapshot()
      catalogue.putSetting('a', '2')
      for (let n = 0; n < 2; n++) {
        disk.close()
        disk.restore(copy, false)
        catalogue = disk.open()
        assert.deepEqual(settings('a'), ['1'])
        catalogue.putSetting('a', '3')
      }
    })
  })
}

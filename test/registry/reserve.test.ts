import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { fileReserve, RESERVE_BYTES, type Reserve } from '../../registry/reserve.ts'
import { temporaryFolder } from '../helpers/folder.ts'

describe('registry/reserve', () => {
  let file: string
  let free: number
  let reserve: Reserve
  beforeEach(() => {
    file = path.join(temporaryFolder(), 'reserve')
    free = 4 * RESERVE_BYTES
    reserve = fileReserve(file, { read: () => ({ free, total: 1e12 }) })
  })

  it('is taken where there is plenty, once', () => {
    free -= 1
    reserve.fill()
    assert.equal(reserve.bytes, 0)
    free += 1
    reserve.fill()
    assert.equal(reserve.bytes, RESERVE_BYTES)
    const { mode, mtimeMs, blocks } = fs.statSync(file)
    assert.equal(mode & 0o777, 0o600)
    assert.ok(blocks * 512 >= RESERVE_BYTES)
    reserve.fill()
    assert.equal(fs.statSync(file).mtimeMs, mtimeMs)
  })

  it('is given up once, and only where it is needed', () => {
    reserve.fill()
    free = RESERVE_BYTES
    reserve.releaseIfNeeded()
    assert.equal(reserve.bytes, RESERVE_BYTES)
    free -= 1
    reserve.releaseIfNeeded()
    assert.equal(reserve.bytes, 0)
    assert.equal(reserve.release(), false)
    free = 4 * RESERVE_BYTES
    reserve.fill()
    assert.deepEqual([reserve.release(), reserve.bytes], [true, 0])
  })
})

import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { SqliteHints } from '../../registry/sqlite-hints.ts'
import { temporaryFolder } from '../helpers/folder.ts'

const value = new Uint8Array([1, 2, 3])
const kept = { kind: 'kept', peer: '' }
const of = (peer: string) => ({ kind: 'provider', peer })

/** Hints with a clock that the test moves. */
function open(file = ':memory:') {
  const state = { now: 1000 }
  return { hints: new SqliteHints(file, { now: () => state.now }), state }
}

describe('registry/sqlite-hints', () => {
  it('gives back what was put last, until it is deleted', () => {
    const { hints } = open()
    assert.equal(hints.get('/a'), null)
    hints.put('/a', new Uint8Array(), kept)
    hints.put('/a', value, of('p'))
    assert.deepEqual(hints.get('/a'), value)
    assert.deepEqual(hints.delete('/a'), of('p'))
    assert.equal(hints.delete('/a'), null)
  })

  it('lists by prefix, page by page, and counts by kind and peer', () => {
    const { hints } = open()
    for (const key of ['/a/1', '/a/2', '/a/3']) hints.put(key, value, of('p'))
    hints.put('/b', value, kept)
    const keys = (...where: Parameters<SqliteHints['list']>) =>
      hints.list(...where).map(({ key }) => key)
    assert.deepEqual(keys('/a', '', 2), ['/a/1', '/a/2'])
    assert.deepEqual(keys('/a', '/a/2', 2), ['/a/3'])
    assert.deepEqual(hints.counts(), [
      { ...kept, count: 1 },
      { ...of('p'), count: 3 },
    ])
  })

  it('drops the oldest of a kind, and those of before a time or of the future', () => {
    const { hints, state } = open()
    for (const key of ['/1', '/2', '/3']) {
      state.now++
      hints.put(key, value, kept)
    }
    hints.put('/other', value, of('p'))
    assert.equal(hints.dropOldest('kept', 1), 1)
    assert.deepEqual([hints.get('/1'), hints.get('/other')], [null, value])
    hints.dropBefore('kept', 1003)
    assert.equal(hints.get('/2'), null)
    // The clock was set back by a millisecond.
    state.now--
    hints.dropBefore('kept', 0)
    assert.deepEqual([hints.get('/3'), hints.get('/other')], [null, value])
  })

  it('begins anew where the file is broken or of another version, else goes on', () => {
    const file = join(temporaryFolder(), 'hints.sqlite')
    const put = () => {
      const { hints } = open(file)
      hints.put('/a', value, kept)
      hints.close()
    }
    const holds = (): boolean => {
      const { hints } = open(file)
      const found = hints.get('/a')
      hints.close()
      return found !== null
    }
    put()
    assert.equal(holds(), true)
    const later = new Database(file)
    later.pragma('user_version = 99')
    later.close()
    assert.equal(holds(), false)
    put()
    writeFileSync(file, 'no database')
    assert.equal(holds(), false)
    put()
    assert.equal(holds(), true)
  })

  it('does nothing once it is closed', () => {
    const { hints } = open()
    hints.close()
    hints.put('/a', value, kept)
    assert.deepEqual([hints.get('/a'), hints.delete('/a'), hints.counts()], [null, null, []])
  })
})

import assert from 'node:assert/strict'
import Database from 'better-sqlite3'
import { ReadCache } from './read-cache.ts'

describe('simulator/read-cache', () => {
  function database() {
    const handle = new Database(':memory:')
    handle.exec('CREATE TABLE a (x); CREATE TABLE b (x)')
    const cache = new ReadCache(handle)
    const count = cache.watch(handle.prepare('SELECT count(*) AS n FROM a WHERE x >= ?'))
    const read = (): number => (count.get(0) as { n: number }).n
    const insert = (): void => {
      cache.written(['a'])
      handle.exec('INSERT INTO a VALUES (1)')
    }
    return { handle, cache, read, insert }
  }

  it('answers anew after a write to the table, and only then', () => {
    const { handle, cache, read, insert } = database()
    assert.equal(read(), 0)
    insert()
    assert.equal(read(), 1)
    handle.exec('INSERT INTO a VALUES (2)')
    cache.written(['b'])
    assert.equal(read(), 1, 'from memory: nobody said that it was written to')
  })

  it('keeps nothing of a transaction that may yet be undone', () => {
    const { handle, read, insert } = database()
    handle.exec('BEGIN')
    insert()
    assert.equal(read(), 1)
    handle.exec('ROLLBACK')
    assert.equal(read(), 0)
  })
})

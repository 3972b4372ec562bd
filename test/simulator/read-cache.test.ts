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
      cache.written(['a'], 1)
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
    cache.written(['b'], 1)
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

  it('keeps what is of other publishers', () => {
    const handle = new Database(':memory:')
    handle.exec('CREATE TABLE heads (publisher, key)')
    const cache = new ReadCache(handle)
    const keys = cache.watch(handle.prepare('SELECT key FROM heads WHERE publisher = ?'))
    const all = cache.watch(handle.prepare('SELECT key FROM heads'))
    const insert = (publisher: string): void => {
      cache.written(['heads'], publisher)
      handle.prepare('INSERT INTO heads VALUES (?, 1)').run(publisher)
    }
    const before = keys.all('a')
    insert('b')
    assert.equal(keys.all('a'), before, 'the same answer')
    assert.equal(all.all().length, 1)
    insert('a')
    assert.equal(keys.all('a').length, 1)
    assert.equal(all.all().length, 2)
    handle.exec('DELETE FROM heads')
    cache.written(['heads'], 7)
    assert.equal(keys.all('a').length, 0)
  })
})

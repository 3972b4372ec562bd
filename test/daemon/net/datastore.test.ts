import assert from 'node:assert/strict'
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Key } from 'interface-datastore'
import {
  HintDatastore,
  MAX_KEPT,
  MAX_PROVIDED,
  MAX_PROVIDED_BY_PEER,
  MAX_VALUE_BYTES,
  PROVIDER_LIFE_MS,
} from '../../../daemon/net/datastore.ts'
import { SqliteHints } from '../../../registry/sqlite-hints.ts'
import { temporaryFolder } from '../../helpers/folder.ts'

const provided = (n: number, peer: string) => new Key(`/dht/provider/cid${n}/${peer}`)
const value = new Uint8Array([1, 2, 3])
const START = 1e12

/** A store; `refused` peers are no members. */
function open(file = ':memory:', now = START, refused: readonly string[] = []) {
  const clock = { now: () => now }
  const hints = new SqliteHints(file, clock)
  const accepts = (peer: string) => !refused.includes(peer)
  return { store: new HintDatastore({ hints, clock, self: 'self', accepts }), hints }
}

const keysOf = async (store: HintDatastore, prefix: string): Promise<string[]> => {
  const keys: string[] = []
  for await (const key of store.queryKeys({ prefix })) keys.push(key.toString())
  return keys
}

describe('daemon/net/datastore', () => {
  it('gives back what was put, by key and by prefix', async () => {
    const { store } = open()
    store.put(new Key('/peers/a'), value)
    store.put(provided(1, 'a'), value)
    store.put(provided(1, 'b'), value)
    store.put(provided(12, 'b'), value)
    assert.deepEqual(store.get(new Key('/peers/a')), value)
    assert.throws(() => store.get(new Key('/peers/b')), { name: 'NotFoundError' })
    assert.deepEqual(
      [store.has(new Key('/peers/a')), store.has(new Key('/peers/b'))],
      [true, false],
    )
    const found: string[] = []
    for await (const pair of store.query({ prefix: '/dht/provider/cid1/' })) {
      assert.deepEqual(pair.value, value)
      found.push(pair.key.toString())
    }
    assert.deepEqual(found, [provided(1, 'a').toString(), provided(1, 'b').toString()])
    store.delete(new Key('/peers/a'))
    store.delete(new Key('/peers/a'))
    assert.equal(store.has(new Key('/peers/a')), false)
  })

  it('reads more rows than one page has', async () => {
    const { store } = open()
    for (let n = 0; n < 600; n++) store.put(provided(n, 'a'), value)
    assert.equal(new Set(await keysOf(store, '/dht/provider/')).size, 600)
  })

  it('takes so many provider records of one peer, and no more', () => {
    const { store } = open()
    for (let n = 0; n <= MAX_PROVIDED_BY_PEER; n++) store.put(provided(n, 'a'), value)
    assert.equal(store.has(provided(MAX_PROVIDED_BY_PEER - 1, 'a')), true)
    assert.equal(store.has(provided(MAX_PROVIDED_BY_PEER, 'a')), false)
    store.put(provided(0, 'b'), value)
    assert.equal(store.has(provided(0, 'b')), true)
    // Renewing takes no more room; what is deleted makes some.
    store.put(provided(0, 'a'), value)
    store.delete(provided(0, 'a'))
    store.put(provided(MAX_PROVIDED_BY_PEER, 'a'), value)
    assert.equal(store.has(provided(MAX_PROVIDED_BY_PEER, 'a')), true)
  })

  it('takes so many provider records in all, and its own besides', () => {
    const { store, hints } = open()
    const peers = MAX_PROVIDED / MAX_PROVIDED_BY_PEER
    for (let peer = 0; peer < peers; peer++) {
      for (let n = 0; n < MAX_PROVIDED_BY_PEER; n++) store.put(provided(n, `p${peer}`), value)
    }
    store.put(provided(0, 'late'), value)
    assert.equal(store.has(provided(0, 'late')), false)
    store.put(provided(0, 'self'), value)
    assert.equal(store.has(provided(0, 'self')), true)
    store.delete(provided(0, 'p0'))
    store.put(provided(0, 'late'), value)
    assert.equal(store.has(provided(0, 'late')), true)
    hints.close()
  })

  it('takes provider records of members alone', () => {
    const { store } = open(':memory:', START, ['stranger'])
    store.put(provided(0, 'stranger'), value)
    assert.equal(store.has(provided(0, 'stranger')), false)
  })

  it('keeps so many addresses of peers, the newest, and no value over its limit', async () => {
    let now = START
    const clock = { now: () => now++ }
    const hints = new SqliteHints(':memory:', clock)
    const store = new HintDatastore({ hints, clock, self: 'self', accepts: () => true })
    for (let n = 0; n <= MAX_KEPT; n++) store.put(new Key(`/peers/${n}`), value)
    assert.equal(store.has(new Key('/peers/0')), false)
    assert.equal((await keysOf(store, '/peers/')).length, MAX_KEPT)
    store.put(new Key('/peers/big'), new Uint8Array(MAX_VALUE_BYTES + 1))
    assert.equal(store.has(new Key('/peers/big')), false)
    store.put(new Key('/peers/big'), new Uint8Array(MAX_VALUE_BYTES))
    assert.equal(store.has(new Key('/peers/big')), true)
  })

  it('survives a restart with its counts, without what ran out meanwhile', () => {
    const file = join(temporaryFolder(), 'hints.sqlite')
    const before = open(file)
    for (let n = 0; n < MAX_PROVIDED_BY_PEER; n++) before.store.put(provided(n, 'a'), value)
    before.store.put(new Key('/peers/a'), value)
    before.hints.close()

    const soon = open(file, START + PROVIDER_LIFE_MS)
    assert.equal(soon.store.has(provided(0, 'a')), true)
    soon.store.put(provided(MAX_PROVIDED_BY_PEER, 'a'), value)
    assert.equal(soon.store.has(provided(MAX_PROVIDED_BY_PEER, 'a')), false)
    soon.hints.close()

    const late = open(file, START + PROVIDER_LIFE_MS + 1)
    assert.equal(late.store.has(provided(0, 'a')), false)
    assert.equal(late.store.has(new Key('/peers/a')), true)
    late.store.put(provided(MAX_PROVIDED_BY_PEER, 'a'), value)
    assert.equal(late.store.has(provided(MAX_PROVIDED_BY_PEER, 'a')), true)
    late.hints.close()
  })

  it('begins a damaged file anew', () => {
    const file = join(temporaryFolder(), 'hints.sqlite')
    writeFileSync(file, 'no database at all, but long enough to be taken for one'.repeat(100))
    const { store, hints } = open(file)
    store.put(new Key('/peers/a'), value)
    assert.equal(store.has(new Key('/peers/a')), true)
    hints.close()
    assert.ok(existsSync(file))
    const again = open(file)
    assert.equal(again.store.has(new Key('/peers/a')), true)
    again.hints.close()
  })

  it('keeps nothing, and breaks nothing, once it is closed', () => {
    const { store, hints } = open()
    hints.close()
    store.put(new Key('/peers/a'), value)
    store.delete(new Key('/peers/a'))
    assert.equal(store.has(new Key('/peers/a')), false)
  })
})

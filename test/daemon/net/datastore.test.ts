import assert from 'node:assert/strict'
import { Key } from 'interface-datastore'
import {
  MAX_PROVIDED,
  MAX_PROVIDED_BY_PEER,
  QuotaDatastore,
} from '../../../daemon/net/datastore.ts'

const record = (n: number, peer: string) => new Key(`/dht/provider/cid${n}/${peer}`)
const value = new Uint8Array(1)

describe('daemon/net/datastore', () => {
  it('takes so many provider records of one peer, and no more', () => {
    const store = new QuotaDatastore()
    for (let n = 0; n <= MAX_PROVIDED_BY_PEER; n++) store.put(record(n, 'a'), value)
    assert.equal(store.has(record(MAX_PROVIDED_BY_PEER - 1, 'a')), true)
    assert.equal(store.has(record(MAX_PROVIDED_BY_PEER, 'a')), false)
    store.put(record(0, 'b'), value)
    assert.equal(store.has(record(0, 'b')), true)
    // Renewing takes no more room; what is deleted makes some.
    store.put(record(0, 'a'), value)
    store.delete(record(0, 'a'))
    store.put(record(MAX_PROVIDED_BY_PEER, 'a'), value)
    assert.equal(store.has(record(MAX_PROVIDED_BY_PEER, 'a')), true)
  })

  it('takes so many provider records in all', () => {
    const store = new QuotaDatastore()
    const peers = MAX_PROVIDED / MAX_PROVIDED_BY_PEER
    for (let peer = 0; peer < peers; peer++) {
      for (let n = 0; n < MAX_PROVIDED_BY_PEER; n++) store.put(record(n, `p${peer}`), value)
    }
    store.put(record(0, 'late'), value)
    assert.equal(store.has(record(0, 'late')), false)
    store.delete(record(0, 'p0'))
    store.put(record(0, 'late'), value)
    assert.equal(store.has(record(0, 'late')), true)
  })

  it('leaves other records alone', () => {
    const store = new QuotaDatastore()
    const key = new Key('/peers/a')
    store.put(key, value)
    assert.equal(store.has(key), true)
    store.delete(key)
    assert.equal(store.has(key), false)
  })
})

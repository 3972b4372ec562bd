import assert from 'node:assert/strict'
import type { NetNode } from '../../../daemon/net/node.ts'
import {
  PROVIDE_AGAIN_MS,
  PROVIDED_PER_ROUND,
  Providers,
  type ProvidersOptions,
} from '../../../daemon/net/providers.ts'
import { type Cid, cidFromDigest } from '../../../protocol/cid.ts'

const record = (n: number): Cid => cidFromDigest('dag-cbor', new Uint8Array(32).fill(n))
const file = {
  cid: cidFromDigest('raw', new Uint8Array(32)),
  size: 1,
  sha256: '00'.repeat(32),
}

/** What a node that holds `held` tells the DHT, with a clock that the test moves. */
function start(held: Cid[], table: number | null = 3) {
  const told: string[] = []
  const taken: string[] = []
  const state = { now: 1e12, table }
  const node = {
    services: table === null ? {} : { dht: {} },
    contentRouting: {
      provide: async (cid: unknown) => void told.push(String(cid)),
      cancelReprovide: async (cid: unknown) => void taken.push(String(cid)),
      findProviders: () => assert.fail('nobody is there to be asked'),
    },
  }
  const options = {
    archive: {
      provided: (limit: number) => held.slice(0, limit),
      blobs: { stat: () => null },
      mayReadRecord: () => true,
    },
    book: { connected: () => [] },
    partials: { remove() {}, get: () => null, add() {} },
    clock: { now: () => state.now },
    dhtPeers: () => state.table,
    log: { debug() {}, info() {} },
    random: () => 0.5,
    signal: new AbortController().signal,
    // SAFE: only what `provide` and an empty `fetch` use.
    node: () => node as unknown as NetNode,
  } as unknown as ProvidersOptions
  const providers = new Providers(options)
  const round = async (): Promise<string[]> => {
    told.length = 0
    await providers.provide()
    return [...told]
  }
  return { providers, round, state, taken }
}

describe('daemon/net/providers', () => {
  it('tells the DHT of some models a round, and again hours later', async () => {
    const held = Array.from({ length: PROVIDED_PER_ROUND + 2 }, (_, n) => record(n))
    const { round, state } = start(held)
    assert.deepEqual(await round(), held.slice(0, PROVIDED_PER_ROUND))
    assert.deepEqual(await round(), held.slice(PROVIDED_PER_ROUND))
    state.now += PROVIDE_AGAIN_MS - 1
    assert.deepEqual(await round(), [])
    state.now += 1
    assert.deepEqual(await round(), held.slice(0, PROVIDED_PER_ROUND))
  })

  it('takes back what is not held any more', async () => {
    const held = [record(1), record(2)]
    const { round, taken } = start(held)
    await round()
    held.shift()
    assert.deepEqual([await round(), taken], [[], [record(1)]])
    held.unshift(record(1))
    assert.deepEqual(await round(), [record(1)])
  })

  it('neither tells nor asks while nobody else is in the DHT, and says so', async () => {
    const cases: [number | null, RegExp][] = [
      [0, /nobody else that it knows takes part in the DHT/],
      [null, /takes no part in the DHT/],
    ]
    for (const [table, hint] of cases) {
      const { providers, round } = start([record(1)], table)
      assert.deepEqual(await round(), [])
      const signal = new AbortController().signal
      await assert.rejects(
        providers.fetch(file, { record: record(1), signal }),
        (error: Error & { code?: string; data?: { hint?: string } }) => {
          assert.equal(error.code, 'NO_PROVIDER')
          assert.match(error.data?.hint ?? '', hint)
          return true
        },
      )
    }
  })
})

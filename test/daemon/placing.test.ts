/** Copies of models: what is scarce, what this node fills, and which copies may go. */
import assert from 'node:assert/strict'
import type { NetworkPeer } from '../../daemon/net/network.ts'
import type { Probed } from '../../daemon/net/probe.ts'
import {
  FILL_SHARE,
  KICK_MS,
  MAX_NAMED,
  Placing,
  type PlacingOptions,
} from '../../daemon/placing.ts'
import type { Cid } from '../../protocol/cid.ts'
import { expectOk, ZoariumError } from '../../protocol/errors.ts'
import type { ModelRow } from '../../registry/catalogue.ts'
import type { Registry } from '../../registry/registry.ts'
import { DOUBT_MS } from '../../registry/replicas.ts'
import { memoryTrust, TrustBook } from '../../registry/trust-file.ts'
import { Holder } from '../helpers/holdings.ts'
import { TestPublisher, utf8 } from '../helpers/publisher.ts'
import { keepFiles } from '../helpers/registry.ts'
import { admit, introduce, type TestClock, testRegistry } from '../helpers/test-registry.ts'

const TURN_MS = 60_000
const PEERS = ['D', 'E', 'F'].map(
  (each) => `12D3KooW${each}pJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN`,
)

describe('daemon/placing', () => {
  let registry: Registry
  let clock: TestClock
  let placing: Placing
  let peers: NetworkPeer[]
  let holders: readonly Holder[]
  let filled: string[]
  let asked: string[]
  let looks: number
  let made: Map<Cid, ReturnType<TestPublisher['model']>>
  let warnings: number
  /** What a peer answers when it is asked for a part of a file. */
  let answers: Map<string, Probed>
  let fill: (model: ModelRow) => Promise<void>

  const peerOf = (holder: Holder): NetworkPeer => ({
    peer: holder.peer,
    addresses: [],
    connected: true,
    publisher: holder.own.publisher,
    roles: ['sync'],
    agent: 'test',
    rttMs: 1,
    fileRate: null,
    lastSync: null,
    shutOut: null,
    heartbeat: null,
  })
  const create = (changes: Partial<PlacingOptions> = {}): void => {
    placing = new Placing({
      registry,
      network: {
        peers: () => peers,
        gives: async (peer) => {
          asked.push(peer)
          return answers.get(peer) ?? 'unknown'
        },
      },
      mirror: { fill: (model) => fill(model), coming: 0 },
      fills: true,
      maxBytes: 1e6,
      turnMs: TURN_MS,
      clock,
      log: { info: () => {}, warn: () => void warnings++ },
      onLook: () => void looks++,
      random: () => 0,
      ...changes,
    })
  }
  beforeEach(async () => {
    const trust = new TrustBook(
      memoryTrust('version: 1\nrules: []\nmirror: { otherwise: demand, floor: 2 }\n'),
      new TestPublisher('here').publisher,
    )
    ;({ registry, clock } = await testRegistry('here', { trust }))
    holders = ['embl', 'crick', 'riken'].map(
      (name, n) => new Holder(new TestPublisher(name), PEERS[n]),
    )
    for (const { own } of holders) introduce(registry, own, 'mirror')
    peers = holders.map(peerOf)
    filled = []
    asked = []
    looks = 0
    made = new Map()
    warnings = 0
    answers = new Map()
    fill = async (model) => {
      filled.push(model.name)
      await keepFiles(registry, made.get(model.record) ?? assert.fail())
    }
    create()
  })
  const publish = (name: string, own = holders[0]?.own ?? assert.fail()): ModelRow => {
    const model = own.model({ name, weights: utf8(name.repeat(1000)) })
    const record = admit(registry, model)
    made.set(record, model)
    return registry.catalogue.model(record) ?? assert.fail()
  }
  /** The n-th node says that it holds these. */
  const says = (n: number, models: readonly ModelRow[], room = 0): void => {
    const holder = holders[n] ?? assert.fail()
    const { current, base } = holder.says(
      models.map(({ record }) => record),
      clock.time++,
      { room },
    )
    expectOk(registry.admitHoldings(current, base))
  }
  const look = async (turns: number): Promise<readonly string[]> => {
    clock.time += turns * TURN_MS
    await placing.look()
    return filled.splice(0)
  }

  it('fills a model that has too few copies, after a turn, and no sooner', async () => {
    const row = publish('nuclei')
    says(0, [row])
    assert.deepEqual(await look(0), [])
    assert.deepEqual(placing.atRisk.total, 1)
    assert.deepEqual(
      placing.atRisk.models.map(({ model, replicas, floor }) => [model.name, replicas, floor]),
      [['nuclei', 1, 2]],
    )
    assert.deepEqual(await look(0.9), [])
    assert.deepEqual(await look(0.6), ['nuclei'])
    assert.deepEqual(await look(2), [])
    assert.deepEqual([placing.atRisk.total, looks], [0, 4])
  })

  it('leaves it to others who come first, and steps in where they do not', async () => {
    const rows = Array.from({ length: 30 }, (_, n) => publish(`model-${n}`))
    says(0, rows)
    for (const n of [1, 2]) says(n, [], 2 ** 30)
    await look(0)
    const first = (await look(1.5)).length
    const second = (await look(1)).length
    const third = (await look(1)).length
    for (const count of [first, second, third]) assert.ok(count > 2, `${[first, second, third]}`)
    assert.equal(first + second + third, 30)
  })

  it('fills nothing where there is no room, or the rules say never', async () => {
    const row = publish('nuclei')
    says(0, [row])
    const size = row.files.reduce((sum, each) => sum + each.size, 0)
    create({ maxBytes: Math.floor(size / FILL_SHARE) - 1 })
    await look(0)
    assert.deepEqual(await look(9), [])
    create({ maxBytes: Math.ceil(size / FILL_SHARE) + 1 })
    await look(0)
    registry.setTrust({ publisher: row.publisher, right: 'list' })
    assert.deepEqual(await look(9), [])
    registry.setTrust({ publisher: row.publisher, right: 'mirror' })
    await look(0)
    assert.deepEqual(await look(9), ['nuclei'])
    create({ fills: false })
    assert.equal(placing.room(), 0)
  })

  it('gives up for a while what it cannot get', async () => {
    const row = publish('nuclei')
    says(0, [row])
    let tries = 0
    fill = async () => {
      tries++
      throw new ZoariumError('NO_PROVIDER', 'nobody gives it')
    }
    await look(0)
    await look(2)
    await look(2)
    assert.deepEqual([tries, warnings], [1, 1])
    await look(30)
    assert.equal(tries, 2)
  })

  it('does not fill what was filled by others while it was busy', async () => {
    const [one, two] = [publish('one'), publish('two')]
    says(0, [one, two])
    fill = async ({ name }) => {
      filled.push(name)
      says(1, [one, two])
    }
    await look(0)
    assert.equal((await look(2)).length, 1)
  })

  it('names some models at risk, and counts them all', async () => {
    const rows = Array.from({ length: MAX_NAMED + 1 }, (_, n) => publish(`model-${n}`))
    await look(0)
    assert.deepEqual([placing.atRisk.total, placing.atRisk.models.length], [rows.length, MAX_NAMED])
  })

  describe('a copy here', () => {
    let row: ModelRow
    beforeEach(async () => {
      row = publish('nuclei')
      await keepFiles(registry, made.get(row.record) ?? assert.fail())
    })

    it('stays where nobody else says they have it', async () => {
      answers.set(PEERS[0] ?? '', 'gives')
      assert.equal(await placing.mayGo(row, false), false)
      assert.deepEqual(asked, [])
    })

    it('goes where another node gives a part of it, and the floor is kept', async () => {
      says(0, [row])
      answers.set(PEERS[0] ?? '', 'gives')
      assert.equal(await placing.mayGo(row, true), false)
      assert.equal(await placing.mayGo(row, false), true)
      says(1, [row])
      assert.equal(await placing.mayGo(row, true), true)
    })

    it('stays where those who say so do not give it, and their word counts no more', async () => {
      for (const n of [0, 1]) says(n, [row])
      assert.equal(registry.holders(row.record).length, 3)
      for (const peer of PEERS) answers.set(peer, 'lacks')
      assert.equal(await placing.mayGo(row, false), false)
      assert.equal(warnings, 2)
      assert.deepEqual(registry.holders(row.record), [registry.publisher])
      clock.time += DOUBT_MS
      assert.equal(registry.holders(row.record).length, 3)
    })

    it('stays where they are out of reach, which is held against nobody', async () => {
      says(0, [row])
      assert.equal(await placing.mayGo(row, false), false)
      assert.equal(registry.holders(row.record).length, 2)
      peers = peers.map((each) => ({ ...each, connected: false }))
      asked = []
      assert.equal(await placing.mayGo(row, false), false)
      assert.deepEqual(asked, [])
    })
  })

  it('asks others for parts of what they say they hold', async () => {
    const row = publish('nuclei')
    says(0, [row])
    answers.set(PEERS[0] ?? '', 'lacks')
    await look(0)
    assert.deepEqual(asked, [PEERS[0]])
    assert.deepEqual(registry.holders(row.record), [])
    await look(0)
    assert.equal(placing.atRisk.models[0]?.replicas, 0)
  })

  it('looks again and again until it is stopped', async () => {
    const pauses: number[] = []
    let wake = (): void => {}
    const slept = Promise.withResolvers<void>()
    create({
      sleep: (ms, signal) =>
        new Promise((resolve, reject) => {
          pauses.push(ms)
          wake = resolve
          signal.addEventListener('abort', () => reject(signal.reason))
          if (pauses.length === 2) slept.resolve()
          else setImmediate(() => wake())
        }),
    })
    placing.start()
    await slept.promise
    await placing.stop()
    assert.equal(looks, 2)
    assert.ok(pauses.every((ms) => ms > 0 && ms <= TURN_MS / 2))
    placing.kick()
    assert.equal(pauses.length, 2)
  })

  it('looks soon after a change, once for several', async () => {
    const woken: (() => void)[] = []
    const kicked = Promise.withResolvers<void>()
    create({
      sleep: (ms, signal) =>
        new Promise((resolve, reject) => {
          if (signal.aborted) return reject(signal.reason)
          if (ms === KICK_MS) woken.push(resolve)
          signal.addEventListener('abort', () => reject(signal.reason))
        }),
      onLook: () => {
        if (++looks === 2) kicked.resolve()
        else setImmediate(() => woken[0]?.())
      },
    })
    placing.kick()
    placing.kick()
    assert.equal(woken.length, 1)
    placing.start()
    await kicked.promise
    assert.equal(looks, 2)
    await placing.stop()
  })
})

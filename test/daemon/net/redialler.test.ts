import assert from 'node:assert/strict'
import { multiaddr } from '@multiformats/multiaddr'
import { AddressPolicy } from '../../../daemon/net/address.ts'
import {
  FIRST_WAIT_MS,
  FORGET_MS,
  LAST_WAIT_MS,
  MAX_HINT_TRIES,
  MAX_HINTS,
  MAX_KNOWN,
  Redialler,
} from '../../../daemon/net/redialler.ts'
import type { Cid } from '../../../protocol/cid.ts'
import type { PeerRow } from '../../../registry/catalogue.ts'

const MEMBER = 'member' as Cid
const START = 1e12
const LETTERS = 'ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz'
const peerId = (n: number) =>
  `12D3KooWGGFPz2Mo3x4Kb5cYfAaGkRs8qMJoNcyAWEdkwZrBq${LETTERS[Math.floor(n / 49) % 49]}${LETTERS[n % 49]}3`
const row = (n: number, changes: Partial<PeerRow> = {}): PeerRow => ({
  peer: peerId(n),
  addresses: [`/ip4/8.8.8.${n % 250}/tcp/7071/p2p/${peerId(n)}`],
  publisher: MEMBER,
  binding: null,
  seen: START - n,
  ...changes,
})
const told = (n: number) => ({ peer: peerId(n), addresses: [`/ip4/8.8.4.${n % 250}/tcp/7071`] })

/** A redialler with a clock that the test moves, whose dials fail unless they are let through. */
function start(known: PeerRow[], { ports = [] as number[] } = {}) {
  const dialled: string[] = []
  const connected = new Set<string>()
  const state = { now: START, answers: false, denies: false, room: true }
  const redialler = new Redialler({
    archive: {
      knownPeers: () => known,
      forgetPeer: (peer) =>
        known.splice(
          known.findIndex((each) => each.peer === peer),
          1,
        ),
      may: (publisher) => publisher === MEMBER,
    },
    addresses: new AddressPolicy({ listen: [multiaddr('/ip4/0.0.0.0/tcp/1')], ports }),
    self: peerId(500),
    isConnected: (peer) => connected.has(peer),
    hasRoom: () => state.room,
    dial: async (targets) => {
      dialled.push(...targets.map((each) => each.toString()))
      if (state.denies) throw Object.assign(new Error('not now'), { name: 'DialDeniedError' })
      if (!state.answers) throw new Error('nobody')
    },
    clock: { now: () => state.now },
    sleep: async () => {},
    random: () => 0.5,
    signal: new AbortController().signal,
  })
  const round = async (after = 0): Promise<readonly string[]> => {
    state.now += after
    dialled.length = 0
    await redialler.round()
    return [...dialled]
  }
  return { redialler, round, state, connected }
}

describe('daemon/net/redialler', () => {
  it('dials members that it knew, each ever more slowly, up to an hour', async () => {
    const { round, state } = start([row(1)])
    assert.deepEqual(await round(), row(1).addresses)
    for (let wait = FIRST_WAIT_MS; wait < LAST_WAIT_MS; wait *= 2) {
      assert.deepEqual(await round(wait - 1), [], `${wait}`)
      assert.equal((await round(1)).length, 1, `${wait}`)
    }
    assert.deepEqual(await round(LAST_WAIT_MS - 1), [])
    state.answers = true
    assert.equal((await round(1)).length, 1)
    // It answered: from the beginning.
    state.answers = false
    assert.equal((await round()).length, 1)
    assert.equal((await round(FIRST_WAIT_MS)).length, 1)
    // A clock that is set back by a day keeps nobody waiting for a day.
    assert.equal((await round(-24 * 3600_000)).length, 1)
  })

  it('leaves out those who are here, who are no members, and addresses that it may not dial', async () => {
    const { round, connected } = start([
      row(1),
      row(2, { publisher: 'stranger' as Cid }),
      row(3, { publisher: null }),
      row(4, { addresses: [`/ip4/10.255.254.1/tcp/1/p2p/${peerId(4)}`, 'rubbish'] }),
      row(5),
    ])
    connected.add(peerId(1))
    assert.deepEqual(await round(), row(5).addresses)
    const { round: campus } = start([row(1)], { ports: [443] })
    assert.deepEqual(await campus(), [])
  })

  it('counts no dial as failed that the bound of dials held back', async () => {
    const { round, state } = start([row(1)])
    state.denies = true
    for (let n = 0; n < 3; n++) assert.equal((await round()).length, 1)
  })

  it('dials nobody while there are enough connections', async () => {
    const { round, state } = start([row(1)])
    state.room = false
    assert.deepEqual(await round(), [])
    state.room = true
    assert.equal((await round()).length, 1)
  })

  it('tries what others told a few times, and forgets it', async () => {
    const { redialler, round } = start([])
    redialler.hint([told(1), told(500)])
    for (let n = 0; n < MAX_HINT_TRIES; n++) {
      const [at, ...more] = await round(LAST_WAIT_MS)
      assert.deepEqual([at, more], [`/ip4/8.8.4.1/tcp/7071/p2p/${peerId(1)}`, []])
    }
    assert.deepEqual(await round(LAST_WAIT_MS), [])
  })

  it('remembers so many hints, the newest, and dials so many at once', async () => {
    const { redialler, round, state } = start([])
    redialler.hint(Array.from({ length: MAX_HINTS + 1 }, (_, n) => told(n)))
    state.answers = true
    const all: string[] = []
    for (let n = 0; n < 40; n++) {
      const some = await round()
      assert.ok(some.length <= 8)
      all.push(...some)
    }
    assert.equal(all.length, MAX_HINTS)
    assert.equal(
      all.some((each) => each.endsWith(peerId(0))),
      false,
    )
  })

  it('prefers what it knows to what it is told', async () => {
    const { redialler, round } = start([row(1)])
    redialler.hint([{ peer: peerId(1), addresses: ['/ip4/1.1.1.1/tcp/1'] }])
    assert.deepEqual(await round(), row(1).addresses)
  })

  it('forgets whom it has not met for a month, and the oldest of too many', async () => {
    const old = [row(1, { seen: START - FORGET_MS }), row(2, { seen: START - FORGET_MS - 1 })]
    const { round } = start(old)
    await round()
    assert.deepEqual(
      old.map(({ peer }) => peer),
      [peerId(1)],
    )
    const many = Array.from({ length: MAX_KNOWN + 2 }, (_, n) => row(n))
    await start(many).round()
    assert.equal(many.length, MAX_KNOWN)
    assert.equal(many.at(-1)?.peer, peerId(MAX_KNOWN - 1))
  })
})

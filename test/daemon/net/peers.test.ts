import assert from 'node:assert/strict'
import { archiveOf } from '../../../daemon/net/archive.ts'
import { FAULTS_PER_MINUTE, isFault, MAX_PEERS, PeerBook } from '../../../daemon/net/peers.ts'
import { expectOk } from '../../../protocol/errors.ts'
import { readHeartbeat } from '../../../protocol/heartbeat.ts'
import { LEAF_BYTES } from '../../../protocol/limits.ts'
import { bindingOf, heartbeatOf } from '../../helpers/network.ts'
import { START, TestPublisher } from '../../helpers/publisher.ts'
import { openTestRegistry, trust } from '../../helpers/registry.ts'

const DAY_MS = 24 * 3600 * 1000
const PEER = '12D3KooWGGFPz2Mo3x4Kb5cYfAaGkRs8qMJoNcyAWEdkwZrBqdk3'

describe('daemon/net/peers', () => {
  const a = new TestPublisher('a')
  const b = new TestPublisher('b')
  let now = START + DAY_MS
  const clock = { now: () => now }

  async function book() {
    now = START + DAY_MS
    const registry = await openTestRegistry(a, clock)
    expectOk(registry.admitIdentity(b.publisher, b.operations, 0))
    return { registry, book: new PeerBook(clock, archiveOf(registry)) }
  }

  it('takes a binding while it holds, and members while they are listed', async () => {
    const { registry, book: peers } = await book()
    const peer = peers.get(PEER)
    expectOk(peers.show(peer, b.publisher, bindingOf(b, PEER, ['serve'], now)))
    assert.equal(peers.publisherOf(peer), b.publisher)
    assert.equal(peers.isMember(peer), false)
    trust(registry, b.publisher, 'list')
    assert.equal(peers.isMember(peer), true)
    now += DAY_MS
    assert.equal(peers.publisherOf(peer), b.publisher)
    now += 1
    assert.equal(peers.publisherOf(peer), null)
    assert.equal(peers.isMember(peer), false)
  })

  it('refuses bindings of others', async () => {
    const { book: peers } = await book()
    const peer = peers.get(PEER)
    const other = PEER.replace(/.$/, '4')
    const codes = [
      peers.show(peer, b.publisher, bindingOf(b, other, ['serve'], now)),
      peers.show(peer, a.publisher, bindingOf(b, PEER, ['serve'], now)),
      peers.show(peer, new TestPublisher('nobody').publisher, bindingOf(b, PEER, ['serve'], now)),
    ].map((verdict) => (verdict.ok ? null : verdict.code))
    assert.deepEqual(codes, ['BINDING_INVALID', 'BINDING_INVALID', 'BINDING_INVALID'])
    assert.equal(peers.bindingOf(peer), null)
  })

  it('expects of a peer what it gave, and less after each failure', async () => {
    const { book: peers } = await book()
    const [known, quick, failing] = [PEER, `${PEER}1`, `${PEER}2`].map((id) => peers.get(id))
    assert.ok(known && quick && failing)
    quick.gave(100 * LEAF_BYTES, 1000)
    assert.equal(quick.fileRate, 100 * LEAF_BYTES)
    quick.gave(50 * LEAF_BYTES, 1000)
    assert.equal(quick.fileRate, 85 * LEAF_BYTES)
    failing.failed()
    assert.ok(quick.leafMs < known.leafMs && known.leafMs < failing.leafMs)
    quick.measured(10_000)
    assert.ok(quick.leafMs > 10_000)
  })

  it('forgets a heartbeat that has run out', async () => {
    const { registry, book: peers } = await book()
    const peer = peers.get(PEER)
    const life = { issued: now, expires: now + 1000 }
    const identity = registry.identity(b.publisher)
    assert.ok(identity)
    peer.heartbeat = expectOk(readHeartbeat(heartbeatOf(b, PEER, life), identity, now))
    assert.ok(peers.heartbeatOf(peer))
    now += 1000
    assert.equal(peers.heartbeatOf(peer), null)
  })

  it('does not shut out until a clock that was set back has caught up', async () => {
    const { book: peers } = await book()
    const peer = peers.get(PEER)
    now += 300 * DAY_MS
    peers.ban(peer)
    assert.equal(peers.isBanned(PEER), true)
    now -= 300 * DAY_MS
    assert.equal(peers.isBanned(PEER), false)
  })

  it('shuts out for longer each time, and not for ever', async () => {
    const { book: peers } = await book()
    const peer = peers.get(PEER)
    const first = peers.ban(peer)
    assert.equal(peers.isBanned(PEER), true)
    now += first
    assert.equal(peers.isBanned(PEER), false)
    assert.equal(peers.ban(peer), 2 * first)
    for (let n = 0; n < 20; n++) peers.ban(peer)
    assert.equal(peers.ban(peer), 3600_000)
    assert.equal(peers.isBanned('nobody'), false)
  })

  it('bears so many faults a minute', async () => {
    const { book: peers } = await book()
    const peer = peers.get(PEER)
    for (let n = 0; n < FAULTS_PER_MINUTE; n++) assert.equal(peer.fault(), true)
    assert.equal(peer.fault(), false)
    now += 60_000
    assert.equal(peer.fault(), true)
    assert.equal(isFault('SIG_INVALID'), true)
    assert.equal(isFault('GAP'), false)
  })

  it('remembers so many peers, and those that are connected before others', async () => {
    const { book: peers } = await book()
    const first = peers.get('first')
    first.isConnected = true
    for (let n = 1; n <= MAX_PEERS; n++) peers.get(`peer ${n}`).seen = n
    assert.equal(peers.all().length, MAX_PEERS)
    assert.equal(peers.find('first'), first)
    assert.equal(peers.find('peer 1'), null)
    assert.ok(peers.find(`peer ${MAX_PEERS}`))
  })

  it('smooths round trips', async () => {
    const { book: peers } = await book()
    const peer = peers.get(PEER)
    peer.measured(10)
    assert.equal(peer.rttMs, 10)
    peer.measured(20)
    assert.ok(Math.abs((peer.rttMs ?? 0) - 13) < 1e-9)
  })
})

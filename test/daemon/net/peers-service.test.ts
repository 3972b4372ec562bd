import assert from 'node:assert/strict'
import net, { type AddressInfo } from 'node:net'
import { multiaddr } from '@multiformats/multiaddr'
import { AddressPolicy } from '../../../daemon/net/address.ts'
import { DIAL_BACKS_BURST, DialBack, type DialBackOptions } from '../../../daemon/net/dial-back.ts'
import { ASKS_BURST, Peer } from '../../../daemon/net/peers.ts'
import { expectOk } from '../../../protocol/errors.ts'
import { type ExchangedPeer, peersReplies } from '../../../protocol/peers-message.ts'
import { manualSleep, startNode, stopNodes, testClock } from '../../helpers/network.ts'
import { TestPublisher } from '../../helpers/publisher.ts'
import { startRawPeer, stopRawPeers } from '../../helpers/raw-peer.ts'

const [a, b, c] = ['institute-a', 'institute-b', 'institute-c'].map(
  (name) => new TestPublisher(name),
) as [TestPublisher, TestPublisher, TestPublisher]
const bare = (address: string) => address.replace(/\/p2p\/[^/]+$/, '')
const PEER = '12D3KooWGGFPz2Mo3x4Kb5cYfAaGkRs8qMJoNcyAWEdkwZrBqdk3'

/** A node that dials back, with a frozen clock, and where it dialled. */
function dialler(changes: Partial<DialBackOptions> = {}) {
  const probed: string[] = []
  const clock = { now: () => 1000 }
  const addresses = new AddressPolicy({ listen: [multiaddr('/ip4/0.0.0.0/tcp/1')] })
  const back = new DialBack({
    addresses,
    clock,
    profileUrl: () => 'https://zoo.institute-a.example',
    probe: async (address) => void probed.push(address.toString()),
    ...changes,
  })
  const dial = (texts: readonly string[], observed: string | null, peer = new Peer(PEER, clock)) =>
    back.dial(peer, a.publisher, observed, texts)
  return { probed, dial, clock }
}

describe('daemon/net/dial-back', () => {
  it('dials where the peer comes from, and at the HTTPS address of its profile', async () => {
    const { probed, dial } = dialler()
    const here = ['/ip4/8.8.8.8/tcp/7071', '/ip4/8.8.8.8/tcp/443/tls/ws', '/ip4/8.8.8.8/tcp/80/ws']
    const profile = '/dns4/zoo.institute-a.example/tcp/443/tls/ws'
    const results = await dial([...here, profile], '8.8.8.8')
    assert.deepEqual(
      results.map(({ code }) => code),
      [null, null, null, null],
    )
    assert.deepEqual(
      probed,
      [...here, profile].map((each) => `${each}/p2p/${PEER}`),
    )
  })

  it('knocks at no third party’s door', async () => {
    const { probed, dial } = dialler()
    const refused = [
      '/ip4/8.8.4.4/tcp/7071',
      '/ip4/127.0.0.1/tcp/7071',
      '/ip6/::ffff:8.8.4.4/tcp/7071',
      // Of its own address, no port of another service.
      '/ip4/8.8.8.8/tcp/25',
      '/ip4/8.8.8.8/tcp/1023',
      '/ip4/8.8.8.8/udp/53',
      `/ip4/8.8.8.8/tcp/7071/p2p/${PEER}`,
      '/dns4/zoo.institute-b.example/tcp/443/tls/ws',
      '/dns4/zoo.institute-a.example/tcp/8443/tls/ws',
      '/dns4/zoo.institute-a.example/tcp/443/ws',
      '/dns4/zoo.institute-a.example/tcp/443',
      '/dnsaddr/zoo.institute-a.example',
      'zoo.institute-a.example',
    ]
    for (const address of refused) {
      const [result] = await dialler().dial([address], '8.8.8.8')
      assert.equal(result?.code, 'PARAMETER', address)
    }
    // Even the own address, where it is of a network that this machine is not on.
    const [inside] = await dial(['/ip4/10.255.254.253/tcp/7071'], '10.255.254.253')
    assert.equal(inside?.code, 'PARAMETER')
    assert.deepEqual(await dial([], null), [])
    assert.deepEqual(probed, [])
    const plain = dialler({ profileUrl: () => 'http://zoo.institute-a.example:443' })
    const [http] = await plain.dial(['/dns4/zoo.institute-a.example/tcp/443/tls/ws'], '8.8.8.8')
    assert.equal(http?.code, 'PARAMETER')
  })

  it('says why it reached nobody, in one line', async () => {
    const probe = async () => {
      throw new AggregateError([new Error(`refused\n${'x'.repeat(300)}`)])
    }
    const [result] = await dialler({ probe }).dial(['/ip4/8.8.8.8/tcp/7071'], '8.8.8.8')
    assert.deepEqual([result?.code, result?.message], ['UNREACHABLE', 'refused'])
  })

  it('is not asked too often, by one or by all', async () => {
    const { dial, clock } = dialler()
    const one = new Peer(PEER, clock)
    for (let n = 0; n < ASKS_BURST; n++) await dial([], null, one)
    await assert.rejects(dial([], null, one), { code: 'BUSY' })
    for (let n = ASKS_BURST; n < DIAL_BACKS_BURST; n++) await dial([], null)
    await assert.rejects(dial([], null), { code: 'BUSY' })
  })
})

describe('daemon/net/peers-service', () => {
  stopNodes()
  stopRawPeers()

  it('tells a member whether it is reached, and what the clock says', async () => {
    const one = await startNode(a, { trusts: [b] })
    const two = await startNode(b, { trusts: [a] })
    await two.network.connect(one.address)
    const closed = net.createServer()
    await new Promise<void>((resolve) => closed.listen(0, '127.0.0.1', resolve))
    const { port } = closed.address() as AddressInfo
    await new Promise((resolve) => closed.close(resolve))
    const own = bare(two.address)
    const nobody = `/ip4/127.0.0.1/tcp/${port}`
    // The address is another's: the PeerId does not fit.
    const other = bare(one.address)
    const answer = await two.network.dialBack(one.network.peerId, [own, nobody, other])
    assert.deepEqual(
      answer.results.map(({ address, code }) => [address, code]),
      [
        [own, null],
        [nobody, 'UNREACHABLE'],
        [other, 'UNREACHABLE'],
      ],
    )
    assert.equal(answer.observed, '127.0.0.1')
    assert.ok(Math.abs(answer.now - testClock.now()) < 60_000)
    assert.equal(two.network.peers()[0]?.connected, true)
  })

  it('answers members alone', async () => {
    const one = await startNode(a)
    const two = await startNode(b, { trusts: [a] })
    await two.network.connect(one.address)
    const ask = two.network.dialBack(one.network.peerId, [bare(two.address)])
    await assert.rejects(ask, { code: 'TRUST' })
  })

  it('meets the members that another member knows', async () => {
    const hub = await startNode(a, { trusts: [b, c] })
    const { sleep, wake } = manualSleep()
    const two = await startNode(b, { trusts: [a, c] })
    await two.network.connect(hub.address)
    const three = await startNode(c, { trusts: [a, b], sleep })
    const met = three.next(
      'peer',
      ({ peer, connected }) => connected && peer === two.network.peerId,
    )
    await three.network.connect(hub.address)
    const ticks = setInterval(wake, 1)
    await met
    clearInterval(ticks)
  })

  it('bears a peer that tells too much, and dials none of what it may not', async () => {
    const peers: ExchangedPeer[] = Array.from({ length: 32 }, (_, n) => ({
      peer: PEER.slice(0, -1) + 'ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijk'[n],
      addresses: [`/ip4/10.255.254.${n}/tcp/22`, '/ip4/169.254.169.254/tcp/80', '/x'],
    }))
    let tell = () => {}
    const asked = new Promise<void>((resolve) => {
      tell = resolve
    })
    const raw = await startRawPeer(b, {
      peers: async (frames) => {
        await frames.expect(4096, 1000)
        await frames.write(peersReplies.encode({ t: 'peers', peers }), 1000)
        await frames.close(1000)
        tell()
      },
    })
    const { sleep, wake } = manualSleep()
    const node = await startNode(a, { trusts: [b], sleep, listen: ['/ip4/0.0.0.0/tcp/0'] })
    expectOk(node.registry.admitIdentity(b.publisher, b.operations, 0))
    await node.network.connect(raw.address)
    await asked
    for (let n = 0; n < 20; n++) {
      wake()
      await new Promise(setImmediate)
    }
    assert.deepEqual(
      node.network.peers().map(({ peer }) => peer),
      [raw.peerId],
    )
  })
})

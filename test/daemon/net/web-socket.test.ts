import assert from 'node:assert/strict'
import net from 'node:net'
import { TopicValidatorResult } from '@libp2p/gossipsub'
import { multiaddr } from '@multiformats/multiaddr'
import { WebSocket } from 'ws'
import { AddressPolicy } from '../../../daemon/net/address.ts'
import { HintDatastore } from '../../../daemon/net/datastore.ts'
import type { Network } from '../../../daemon/net/network.ts'
import { createNode } from '../../../daemon/net/node.ts'
import { publicAddress, webSocketTarget } from '../../../daemon/net/web-socket-address.ts'
import { MAX_WEB_SOCKET_MESSAGE_BYTES } from '../../../daemon/net/web-socket-connection.ts'
import { SqliteHints } from '../../../registry/sqlite-hints.ts'
import { createFakeNode } from '../../helpers/fake-node.ts'
import { serve } from '../../helpers/http.ts'
import { startNode, stopNodes, testClock } from '../../helpers/network.ts'
import { seedOf, TestPublisher } from '../../helpers/publisher.ts'

const [a, b] = [new TestPublisher('institute-a'), new TestPublisher('institute-b')]

/** The address of a network behind an HTTP server of its own. */
async function door(network: Network) {
  const { port } = await serve(createFakeNode('/nowhere'), { network })
  return { port, address: `/ip4/127.0.0.1/tcp/${port}/ws/p2p/${network.peerId}` }
}

describe('daemon/net/web-socket', () => {
  stopNodes()

  it('carries everything through an HTTP server, for a node that listens nowhere', async () => {
    const one = await startNode(a, { listen: [], trusts: [b] })
    const two = await startNode(b, { listen: [], trusts: [a] })
    const { address } = await door(one.network)
    assert.equal(await two.network.connect(address), one.network.peerId)
    const [seen] = two.network.peers()
    assert.deepEqual(
      [seen?.publisher, seen?.addresses],
      [a.publisher, [address.replace(/\/p2p.*/, '')]],
    )
    const [report] = await two.network.syncNow(one.network.peerId)
    assert.equal(report?.peer, one.network.peerId)
    assert.deepEqual(two.network.addresses(), [])
  })

  it('tells others the address that its operator announces', async () => {
    const announce = ['/dns/zoo.institute-a.example/tcp/443/tls/ws']
    const { network } = await startNode(a, { listen: [], announce })
    assert.deepEqual(network.addresses(), [`${announce[0]}/p2p/${network.peerId}`])
    await assert.rejects(startNode(b, { announce: ['zoo'] }), { code: 'PARAMETER' })
  })

  it('leaves sockets that stay silent, say too much, or speak in text', async () => {
    const { network } = await startNode(a, { listen: [] })
    const { port } = await door(network)
    const ended = (act: (socket: WebSocket) => void) =>
      new Promise((resolve) => {
        const socket = new WebSocket(`ws://127.0.0.1:${port}/`)
        socket.on('open', () => act(socket))
        socket.on('close', resolve)
        socket.on('error', () => {})
      })
    await Promise.all([
      ended(() => {}),
      ended((socket) => socket.send('hello')),
      ended((socket) => socket.send(new Uint8Array(MAX_WEB_SOCKET_MESSAGE_BYTES + 1))),
      // One byte less is taken, and then is no greeting of libp2p.
      ended((socket) => socket.send(new Uint8Array(MAX_WEB_SOCKET_MESSAGE_BYTES))),
    ])
    assert.deepEqual(network.peers(), [])
  })

  it('lets go of what comes once it has stopped', async () => {
    const { network } = await startNode(a, { listen: [] })
    const { port, address } = await door(network)
    const two = await startNode(b)
    await two.network.connect(address)
    await network.stop()
    const closed = new Promise((resolve) => {
      const socket = net.connect(port, '127.0.0.1')
      socket.write(
        `GET / HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`,
      )
      socket.on('close', resolve).on('error', () => {})
      socket.resume()
    })
    await closed
  })

  it('connects to a name only where that leads to an address that may be dialled', async () => {
    const one = await startNode(a, { listen: ['/ip4/127.0.0.1/tcp/0', '/ip4/127.0.0.1/tcp/0/ws'] })
    const named = one.network
      .addresses()
      .map((text) => multiaddr(text.replace('ip4/127.0.0.1', 'dns4/localhost')))
    assert.equal(named.length, 2)
    // Loopback is no network of a node that listens for others.
    const listen = ['/ip4/0.0.0.0/tcp/0']
    const addresses = new AddressPolicy({ listen: listen.map((each) => multiaddr(each)) })
    const { node } = await createNode({
      seed: seedOf('names'),
      listen,
      announce: [],
      addresses,
      clock: testClock,
      agent: 'test',
      mdns: false,
      dht: false,
      datastore: new HintDatastore({
        hints: new SqliteHints(':memory:', testClock),
        clock: testClock,
        self: '',
        accepts: () => false,
      }),
      isBanned: () => false,
      hears: () => false,
      validate: () => TopicValidatorResult.Ignore,
    })
    await node.start()
    try {
      for (const address of named) {
        await assert.rejects(node.dial(address), /no address that may be dialled/)
      }
      for (const address of named) {
        addresses.list(address)
        assert.equal((await node.dial(address)).remotePeer.toString(), one.network.peerId)
        await node.hangUp((await node.dial(address)).remotePeer)
      }
    } finally {
      await node.stop()
    }
  })
})

describe('daemon/net/web-socket-address', () => {
  const target = (text: string) => webSocketTarget(multiaddr(text))

  it('reads the forms of an address', () => {
    const PEER = '12D3KooWGGFPz2Mo3x4Kb5cYfAaGkRs8qMJoNcyAWEdkwZrBqdk3'
    assert.deepEqual(target(`/dns4/zoo.example/tcp/443/tls/ws/p2p/${PEER}`), {
      url: 'wss://zoo.example:443/',
      isTls: true,
      serverName: null,
    })
    assert.equal(target('/ip4/192.0.2.1/tcp/80/ws')?.url, 'ws://192.0.2.1:80/')
    assert.equal(target('/ip6/2001:db8::1/tcp/443/wss')?.url, 'wss://[2001:db8::1]:443/')
    const sni = target('/ip4/192.0.2.1/tcp/443/tls/sni/zoo.example/ws')
    assert.deepEqual([sni?.isTls, sni?.serverName], [true, 'zoo.example'])
    for (const other of ['/ip4/192.0.2.1/tcp/1', '/ip4/192.0.2.1/udp/1/ws', '/dns/a/tcp/1/tls']) {
      assert.equal(target(other), null, other)
    }
    assert.equal(target('/dnsaddr/zoo.example'), null)
  })

  it('makes an address of a public URL, also below a path', () => {
    assert.equal(publicAddress('https://zoo.example'), '/dns/zoo.example/tcp/443/tls/ws')
    assert.equal(publicAddress('https://192.0.2.1:8443/'), '/ip4/192.0.2.1/tcp/8443/tls/ws')
    assert.equal(publicAddress('https://[2001:db8::1]'), '/ip6/2001:db8::1/tcp/443/tls/ws')
    const below = publicAddress('https://www.example/zoo/')
    assert.equal(target(below)?.url, 'wss://www.example:443/zoo/')
  })

  it('refuses what is no https URL', () => {
    const wrong = ['zoo.example', 'http://zoo.example', 'https://', 'https://a@b.example']
    for (const text of [...wrong, 'https://zoo.example/?a=1', 'https://zoo.example/#a']) {
      assert.throws(() => publicAddress(text), { code: 'CONFIG' }, text)
    }
  })
})

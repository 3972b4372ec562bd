import assert from 'node:assert/strict'
import { BlockList } from 'node:net'
import { multiaddr } from '@multiformats/multiaddr'
import { AddressPolicy, bareAddress, hostOf } from '../../../daemon/net/address.ts'

const own = new BlockList()
own.addSubnet('10.1.2.0', 24)
own.addSubnet('fd00:1::', 32, 'ipv6')
const policy = (...listen: readonly string[]) =>
  new AddressPolicy({ listen: listen.map((each) => multiaddr(each)), own })
const at = (host: string) =>
  multiaddr(host.includes(':') ? `/ip6/${host}/tcp/1` : `/ip4/${host}/tcp/1`)

describe('daemon/net/address', () => {
  it('dials public addresses, names, and its own networks', () => {
    const node = policy('/ip4/0.0.0.0/tcp/7071')
    for (const host of [
      '8.8.8.8',
      '2606:4700::1111',
      '64:ff9b::808:808',
      '10.1.2.77',
      'fd00:1::5',
      '100.63.0.1',
      '172.32.0.1',
    ]) {
      assert.equal(node.mayDial(at(host)), true, host)
    }
    assert.equal(node.mayDial(multiaddr('/dns4/zoo.example.org/tcp/443/wss')), true)
  })

  it('dials no foreign private, loopback, link-local, carrier or senseless address', () => {
    const node = policy('/ip4/0.0.0.0/tcp/7071')
    const hosts = ['10.1.3.1', '172.16.0.1', '192.168.1.1', '169.254.169.254', '100.64.0.1']
    const others = ['127.0.0.1', '::1', 'fe80::1', 'fd00:2::1', '0.0.0.0', '::', '224.0.0.251']
    const mapped = ['::ffff:192.168.1.1', '::ffff:7f00:1', 'ff02::1', '255.255.255.255']
    for (const host of [...hosts, ...others, ...mapped]) {
      assert.equal(node.mayDial(at(host)), false, host)
    }
  })

  it('sees through addresses that stand for IPv4 ones', () => {
    const node = policy('/ip4/0.0.0.0/tcp/7071')
    // Mapped, and by the NAT64 of the network; the local one of RFC 8215 and 6to4 lead inside.
    const refused = ['64:ff9b::a00:1', '64:ff9b::7f00:1', '64:ff9b::1', '64:ff9b:1::808:808']
    const more = ['0:0:0:0:0:ffff:a9fe:a9fe', '2002:a00:1::1', '::a00:1', 'fec0::1', '2001:db8::1']
    for (const host of [...refused, ...more]) assert.equal(node.mayReach(host), false, host)
    for (const host of ['64:ff9b::808:808', '::ffff:8.8.8.8', '::ffff:10.1.2.3']) {
      assert.equal(node.mayReach(host), true, host)
    }
  })

  it('dials the ports alone that it is told, but what the operator names', () => {
    const node = new AddressPolicy({ listen: [], ports: [443], own })
    const may = (text: string) => node.mayDial(multiaddr(text))
    assert.equal(may('/dns/zoo.example/tcp/443/tls/ws'), true)
    assert.equal(may('/ip4/8.8.8.8/tcp/443'), true)
    assert.equal(may('/ip4/8.8.8.8/tcp/7071'), false)
    assert.equal(may('/ip4/8.8.8.8/udp/443/quic-v1'), false)
    node.list(multiaddr('/ip4/8.8.8.8/tcp/7071'))
    assert.equal(may('/ip4/8.8.8.8/tcp/7071'), true)
  })

  it('resolves no name to what it may not dial, but names of the operator', async () => {
    const node = policy('/ip4/0.0.0.0/tcp/7071')
    const lookup = (options: { all?: boolean }) =>
      new Promise((resolve, reject) =>
        node.lookup('localhost', options, (error, found) =>
          error === null ? resolve(found) : reject(error),
        ),
      )
    for (const all of [true, false]) await assert.rejects(lookup({ all }), /may be dialled/)
    assert.equal(node.mayDial(multiaddr('/dnsaddr/localhost/tcp/1')), false)
    node.list(multiaddr('/dns4/LocalHost/tcp/1'))
    assert.match(String(await lookup({})), /^(127\.0\.0\.1|::1)$/)
    assert.ok(Array.isArray(await lookup({ all: true })))
  })

  it('dials what the operator names', () => {
    const node = policy('/ip4/0.0.0.0/tcp/7071')
    const named = multiaddr('/ip4/192.168.9.9/tcp/7071')
    assert.equal(node.mayDial(named), false)
    node.list(named)
    assert.equal(node.mayDial(named), true)
    const peer = '12D3KooWGGFPz2Mo3x4Kb5cYfAaGkRs8qMJoNcyAWEdkwZrBqdk3'
    assert.equal(node.mayDial(multiaddr(`${named}/p2p/${peer}`)), true)
    assert.equal(bareAddress(multiaddr(`${named}/p2p/${peer}`)), named.toString())
    assert.equal(node.mayDial(multiaddr('/ip4/192.168.9.9/tcp/7072')), false)
  })

  it('treats loopback as its network only where it listens nowhere else', () => {
    const local = policy('/ip4/127.0.0.1/tcp/0', '/ip4/127.0.0.1/tcp/0/ws')
    assert.equal(local.mayDial(at('127.0.0.1')), true)
    assert.equal(local.mayTell(at('127.0.0.1')), true)
    const mixed = policy('/ip4/127.0.0.1/tcp/0', '/ip4/0.0.0.0/tcp/0')
    assert.equal(mixed.mayDial(at('127.0.0.1')), false)
    assert.equal(mixed.mayTell(at('127.0.0.1')), false)
    assert.equal(mixed.mayTell(at('10.1.2.3')), true)
    assert.equal(policy().mayDial(at('127.0.0.1')), false)
  })

  it('forgets the oldest of very many names', () => {
    const node = policy('/ip4/0.0.0.0/tcp/7071')
    for (let port = 1; port <= 1001; port++) node.list(multiaddr(`/ip4/192.168.9.9/tcp/${port}`))
    assert.equal(node.isListed(multiaddr('/ip4/192.168.9.9/tcp/1')), false)
    assert.equal(node.isListed(multiaddr('/ip4/192.168.9.9/tcp/1001')), true)
  })

  it('reads IPv4 addresses that are written as IPv6', () => {
    assert.equal(hostOf(at('::ffff:192.168.1.1')), '192.168.1.1')
    assert.equal(hostOf(at('::ffff:7f00:1')), '127.0.0.1')
    assert.equal(hostOf(multiaddr('/dns4/example.org/tcp/1')), null)
  })
})

import assert from 'node:assert/strict'
import type { IncomingMessage } from 'node:http'
import net from 'node:net'
import type { Duplex } from 'node:stream'
import { clientAddress, proxyList } from '../../../daemon/http/client-address.ts'
import { MAX_PEER_SOCKETS } from '../../../daemon/http/peer-door.ts'
import { createFakeNode } from '../../helpers/fake-node.ts'
import { type ServeOptions, serve } from '../../helpers/http.ts'

const UPGRADE = {
  Connection: 'Upgrade',
  Upgrade: 'websocket',
  'Sec-WebSocket-Version': '13',
  'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
}

interface Let {
  readonly from: string
  readonly socket: Duplex
}

/** A server, and what its door let in. */
async function serveDoor(config: ServeOptions['config'] = {}) {
  const entered: Let[] = []
  const network = {
    accept: ({ from, socket }: Let) => {
      entered.push({ from, socket })
      socket.on('end', () => socket.end()).resume()
      socket.write('HTTP/1.1 101 Switching Protocols\r\n\r\n')
    },
  }
  const { port } = await serve(createFakeNode('/nowhere'), { network, config })
  return { port, entered }
}

/** Asks for an upgrade; resolves with the first bytes of the answer and the open socket. */
function ask(port: number, headers: Record<string, string>, path = '/', method = 'GET') {
  const socket = net.connect(port, '127.0.0.1')
  const all = { Host: `127.0.0.1:${port}`, ...UPGRADE, ...headers }
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.write(`${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n`)
  return new Promise<{ text: string; socket: net.Socket; ended: Promise<void> }>(
    (resolve, reject) => {
      const ended = new Promise<void>((end) => socket.once('close', () => end()))
      socket.once('data', (data) => resolve({ text: data.toString(), socket, ended }))
      socket.once('error', reject)
    },
  )
}

describe('daemon/http/peer-door', () => {
  it('lets a WebSocket at / through to the network', async () => {
    const { port, entered } = await serveDoor()
    const { text, socket } = await ask(port, {})
    assert.match(text, /^HTTP\/1.1 101 /)
    assert.equal(entered[0]?.from, '127.0.0.1')
    socket.destroy()
  })

  it('refuses pages of browsers, rebound names, and what is not its business', async () => {
    const { port, entered } = await serveDoor()
    const own = `http://127.0.0.1:${port}`
    const refused: [Record<string, string>, RegExp, string?, string?][] = [
      [{ Origin: 'https://evil.example' }, /403 .*"ORIGIN"/s],
      // Not even the page of this node.
      [{ Origin: own }, /403 .*"ORIGIN"/s],
      [{ Origin: 'null' }, /403 .*"ORIGIN"/s],
      [{ 'Sec-Fetch-Site': 'same-origin' }, /403 .*"ORIGIN"/s],
      [{ Host: `evil.example:${port}` }, /421 .*"HOST"/s],
      [{ Host: '' }, /(400|421) /],
      [{}, /404 .*"NOT_FOUND"/s, '/v1/node'],
      [{}, /404 .*"NOT_FOUND"/s, '//'],
      [{}, /400 .*"PARAMETER"/s, '/', 'POST'],
    ]
    for (const [headers, answer, path, method] of refused) {
      const { text, ended } = await ask(port, headers, path, method)
      assert.match(text, answer, JSON.stringify(headers))
      await ended
    }
    assert.deepEqual(entered, [])
  })

  it('answers requests that offer another protocol as if they did not', async () => {
    const { port } = await serveDoor()
    const { text, socket } = await ask(port, { Upgrade: 'h2c' }, '/healthz')
    assert.match(text, /^HTTP\/1.1 200 /)
    socket.destroy()
  })

  it('keeps room for other requests', async () => {
    const { port, entered } = await serveDoor()
    const open: net.Socket[] = []
    for (let n = 0; n < MAX_PEER_SOCKETS; n++) open.push((await ask(port, {})).socket)
    assert.equal(entered.length, MAX_PEER_SOCKETS)
    const { text } = await ask(port, {})
    assert.match(text, /429 .*"BUSY"/s)
    const [first] = entered
    assert.ok(first)
    const closed = new Promise((resolve) => first.socket.once('close', resolve))
    open.shift()?.destroy()
    await closed
    const { text: again, socket } = await ask(port, {})
    assert.match(again, / 101 /)
    for (const each of [...open, socket]) each.destroy()
  })

  it('believes X-Forwarded-For of proxies that the operator trusts alone', async () => {
    const header = { 'X-Forwarded-For': '10.9.9.9, 203.0.113.7' }
    const froms: string[] = []
    for (const proxies of [[], ['10.0.0.0/8'], ['127.0.0.1']]) {
      const { port, entered } = await serveDoor({ proxies })
      const { socket } = await ask(port, header)
      froms.push(entered[0]?.from ?? '')
      socket.destroy()
    }
    assert.deepEqual(froms, ['127.0.0.1', '127.0.0.1', '203.0.113.7'])
  })
})

describe('daemon/http/client-address', () => {
  const request = (remoteAddress: string | undefined, forwarded?: string) =>
    ({
      socket: { remoteAddress },
      headers: forwarded === undefined ? {} : { 'x-forwarded-for': forwarded },
    }) as unknown as IncomingMessage
  const from = (remote: string | undefined, forwarded?: string) =>
    clientAddress(request(remote, forwarded), proxyList(['10.0.0.0/8', '::1']))

  it('goes back from proxy to proxy, to the first that is none', () => {
    assert.equal(from('10.1.1.1', '198.51.100.1, 203.0.113.7, 10.2.2.2'), '203.0.113.7')
    assert.equal(from('::1', '2001:db8::5'), '2001:db8::5')
    assert.equal(from('::ffff:10.1.1.1', '203.0.113.7:4711'), '203.0.113.7')
    assert.equal(from('10.1.1.1', '[2001:db8::5]:4711'), '2001:db8::5')
    assert.equal(from('203.0.113.9', '198.51.100.1'), '203.0.113.9')
    // No multiaddr holds the interface of a link-local address.
    assert.equal(from('fe80::1%eth0'), 'fe80::1')
    assert.equal(from('10.1.1.1', 'fe80::1%eth0'), 'fe80::1')
  })

  it('keeps to the last address that it can tell', () => {
    assert.equal(from('10.1.1.1'), '10.1.1.1')
    assert.equal(from('10.1.1.1', 'unknown'), '10.1.1.1')
    assert.equal(from('10.1.1.1', '203.0.113.7, _hidden'), '10.1.1.1')
    assert.equal(from(undefined), null)
    // No proxy chain is longer than eight.
    assert.equal(from('10.1.1.1', `203.0.113.7${', 10.2.2.2'.repeat(7)}`), '203.0.113.7')
    assert.equal(from('10.1.1.1', `203.0.113.7${', 10.2.2.2'.repeat(8)}`), '10.2.2.2')
  })

  it('takes addresses and networks for proxies', () => {
    for (const text of ['proxy.example', '10.0.0.0/33', '::/129', '10.0.0.0/', '10.0.0.0/x', '']) {
      assert.throws(() => proxyList([text]), { code: 'CONFIG' }, text)
    }
    assert.equal(proxyList(['10.0.0.0/0']).check('1.2.3.4', 'ipv4'), true)
  })
})

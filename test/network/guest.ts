/**
 * A process in a network namespace that is no daemon: `node guest.ts WORK ARGUMENTS...`. It prints
 * one line of JSON for each thing that happens, and ends with its stdin.
 *
 *     relay SOCKET PORT         leads a Unix socket to a loopback port, so that the test gets in
 *     delay MULTIADDR RTT       a longer line to a node; prints its address
 *     trickle MULTIADDR BYTES   a line to a node that gives so many bytes, and then one a second
 *     silent HOST PORT COUNT    keeps so many connections open that say nothing
 *     drip HOST PORT COUNT      so many that say a byte a second; prints when all were ended
 *     dial COUNT MULTIADDR      so many honest peers, one after the other; prints how many got in
 *     tempt MULTIADDR ADDR...   a peer that says to have such addresses, and goes
 *     knock HOST                a packet to an address
 */
import dgram from 'node:dgram'
import { once } from 'node:events'
import net from 'node:net'
import process from 'node:process'
import { setTimeout } from 'node:timers/promises'

const [, , work = '', ...args] = process.argv
const say = (what: object): void => void process.stdout.write(`${JSON.stringify(what)}\n`)

/** More often an honest host is not let in, either: the bound is five a second. */
const DIAL_PAUSE_MS = 300
const DRIP_MS = 1000
/** The first words of a libp2p connection. */
const FIRST_WORDS = '\x13/multistream/1.0.0\n'

process.stdin.on('end', () => process.exit()).resume()

async function relay(socket: string, port: string): Promise<void> {
  const server = net.createServer((inside) => {
    const outside = net.connect(Number(port), '127.0.0.1')
    for (const [from, to] of [
      [inside, outside],
      [outside, inside],
    ] as const) {
      from.pipe(to)
      from.on('error', () => to.destroy())
    }
  })
  server.listen(socket)
  await once(server, 'listening')
  say({ ready: true })
}

async function delay(address: string, rtt: string): Promise<void> {
  const { startDelayProxy } = await import('../helpers/delay-proxy.ts')
  const proxy = await startDelayProxy(address, Number(rtt))
  say({ address: proxy.address })
}

async function trickle(address: string, free: string): Promise<void> {
  const tcp = /^\/ip4\/([\d.]+)\/tcp\/(\d+)/
  const [, host = '', port = ''] = tcp.exec(address) ?? []
  const server = net.createServer((client) => {
    const upstream = net.connect(Number(port), host)
    client.pipe(upstream)
    client.on('error', () => upstream.destroy())
    upstream.on('error', () => client.destroy())
    upstream.on('close', () => client.destroy())
    let left = Number(free)
    upstream.on('data', async (bytes) => {
      client.write(bytes.subarray(0, left))
      const rest = bytes.subarray(left)
      left = Math.max(0, left - bytes.length)
      if (rest.length === 0) return
      upstream.pause()
      for (const byte of rest) {
        await setTimeout(DRIP_MS)
        client.write(Uint8Array.of(byte))
      }
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const own = (server.address() as net.AddressInfo).port
  say({ address: address.replace(tcp, `/ip4/127.0.0.1/tcp/${own}`) })
}

async function silent(host: string, port: string, count: string): Promise<void> {
  const open = (): void => {
    const socket = net.connect(Number(port), host)
    socket.on('error', () => {})
    // Never fewer of them, however often they are ended.
    socket.on('close', () => void setTimeout(100).then(open))
    socket.resume()
  }
  for (let n = 0; n < Number(count); n += 1) open()
  say({ ready: true })
}

async function drip(host: string, port: string, count: string): Promise<void> {
  const started = performance.now()
  const drips = Array.from({ length: Number(count) }, async () => {
    const socket = net.connect(Number(port), host)
    socket.on('error', () => {})
    socket.resume()
    let isOver = false
    // Not `once`, which takes a reset for a failure.
    const over = new Promise<void>((done) => {
      socket.on('close', () => {
        isOver = true
        done()
      })
    })
    for (let n = 0; !isOver; n += 1) {
      socket.write(FIRST_WORDS.charAt(n % FIRST_WORDS.length))
      await Promise.race([over, setTimeout(DRIP_MS)])
    }
  })
  say({ ready: true })
  await Promise.all(drips)
  say({ endedAfterMs: performance.now() - started })
}

async function peerOf(announce: readonly string[] = []) {
  const { identify } = await import('@libp2p/identify')
  const { noise } = await import('@libp2p/noise')
  const { ping } = await import('@libp2p/ping')
  const { tcp } = await import('@libp2p/tcp')
  const { yamux } = await import('@libp2p/yamux')
  const { createLibp2p } = await import('libp2p')
  return createLibp2p({
    addresses: { listen: ['/ip4/0.0.0.0/tcp/0'], announce: [...announce] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    services: { identify: identify(), ping: ping() },
  })
}

async function dial(count: string, address: string): Promise<void> {
  const { multiaddr } = await import('@multiformats/multiaddr')
  let succeeded = 0
  for (let n = 0; n < Number(count); n += 1) {
    const node = await peerOf()
    await node.services.ping
      .ping(multiaddr(address))
      .then(() => (succeeded += 1))
      .catch((error) => say({ failed: String(error) }))
    await node.stop()
    await setTimeout(DIAL_PAUSE_MS)
  }
  say({ succeeded })
}

async function tempt(address: string, announced: readonly string[]): Promise<void> {
  const { multiaddr } = await import('@multiformats/multiaddr')
  const node = await peerOf(announced)
  const connection = await node.dial(multiaddr(address))
  await node.services.ping.ping(multiaddr(address))
  say({ told: node.getMultiaddrs().length })
  // Whoever dials again what it lost would do it now.
  await connection.close()
  await node.stop()
  say({ gone: true })
}

async function knock(host: string): Promise<void> {
  const socket = dgram.createSocket('udp4')
  await new Promise((done) => socket.send('x', 9, host, done))
  socket.close()
  say({ knocked: true })
}

const [first = '', second = '', third = ''] = args
if (work === 'relay') await relay(first, second)
else if (work === 'delay') await delay(first, second)
else if (work === 'trickle') await trickle(first, second)
else if (work === 'silent') await silent(first, second, third)
else if (work === 'drip') await drip(first, second, third)
else if (work === 'dial') await dial(first, second)
else if (work === 'tempt') await tempt(first, args.slice(1))
else if (work === 'knock') await knock(first)

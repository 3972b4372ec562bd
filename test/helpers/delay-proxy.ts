/** A TCP proxy that holds back every byte for half a round trip, in each direction. */
import { once } from 'node:events'
import net from 'node:net'

export interface DelayProxy {
  /** The multiaddr of the proxy, to be dialled in place of the other one. */
  readonly address: string
  close(): void
}

/** Bytes that a line of that length may hold; beyond, the sender waits as for a full window. */
const MAX_ON_LINE_BYTES = 64 * 1024 * 1024

/**
 * @param target multiaddr of a node on an IPv4 address; the proxy itself is on loopback
 * @param rttMs round trip that the proxy adds
 */
export async function startDelayProxy(target: string, rttMs: number): Promise<DelayProxy> {
  const tcp = /^\/ip4\/([\d.]+)\/tcp\/(\d+)/
  const [, targetHost = '', targetPort = ''] = tcp.exec(target) ?? []
  const sockets = new Set<net.Socket>()
  const server = net.createServer({ noDelay: true }, (client) => {
    const upstream = net.connect({ port: Number(targetPort), host: targetHost, noDelay: true })
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(from)
      delay(from, to, rttMs / 2)
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as net.AddressInfo
  return {
    address: target.replace(tcp, `/ip4/127.0.0.1/tcp/${port}`),
    close: () => {
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}

function delay(from: net.Socket, to: net.Socket, ms: number): void {
  let held = 0
  from.on('data', (chunk) => {
    held += chunk.length
    if (held > MAX_ON_LINE_BYTES) from.pause()
    setTimeout(() => {
      held -= chunk.length
      if (held <= MAX_ON_LINE_BYTES) from.resume()
      if (!to.destroyed) to.write(chunk)
    }, ms)
  })
  from.on('end', () => setTimeout(() => to.end(), ms))
  from.on('error', () => to.destroy())
  from.on('close', () => to.destroy())
}

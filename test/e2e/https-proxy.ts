/** A small reverse proxy that speaks TLS, as nginx or Caddy would in front of a daemon. */
import http, { type IncomingMessage } from 'node:http'
import https from 'node:https'
import net, { type AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import type { TestCertificate } from '../helpers/certificate.ts'

export class HttpsProxy {
  readonly #server: https.Server
  readonly #sockets = new Set<Duplex>()
  /** Port of the daemon behind it; 0: there is none, and it answers 502. */
  upstream = 0
  /** Requests that came, but WebSockets. */
  requests = 0
  /** WebSockets that went through. */
  upgrades = 0

  constructor({ key, cert }: TestCertificate) {
    this.#server = https.createServer({ key, cert }, (request, answer) => {
      this.requests++
      const { method, url, headers } = request
      const options = { port: this.upstream, host: '127.0.0.1', method, path: url, headers }
      const outgoing = http.request(options, (incoming) => {
        answer.writeHead(incoming.statusCode ?? 502, incoming.headers)
        incoming.pipe(answer)
      })
      outgoing.on('error', () => answer.writeHead(502).end())
      request.pipe(outgoing)
    })
    this.#server.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head))
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    this.upgrades++
    const upstream = net.connect(this.upstream, '127.0.0.1')
    for (const each of [socket, upstream]) {
      this.#sockets.add(each)
      each.on('error', () => {})
      each.on('close', () => {
        this.#sockets.delete(each)
        for (const other of [socket, upstream]) other.destroy()
      })
    }
    const lines = Object.entries({
      ...request.headers,
      'x-forwarded-for': request.socket.remoteAddress,
    }).map(([name, value]) => `${name}: ${value}\r\n`)
    upstream.write(`GET ${request.url} HTTP/1.1\r\n${lines.join('')}\r\n`)
    upstream.write(head)
    socket.pipe(upstream).pipe(socket)
  }

  /** @returns its port on loopback */
  async listen(): Promise<number> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
    return (this.#server.address() as AddressInfo).port
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve())
      this.#server.closeAllConnections()
    })
  }
}

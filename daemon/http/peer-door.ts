/**
 * Where other nodes come in through the HTTP port: a WebSocket at `/`, which libp2p then takes for
 * a connection like any other. So a node needs one HTTPS port, behind a reverse proxy say, and its
 * peers need nothing but outbound HTTPS.
 *
 * No page in a browser gets through: browsers send an Origin with every WebSocket, and nothing that
 * sends one is let in, whatever it says. A name that was rebound to this machine is refused by its
 * Host, as everywhere.
 */
import http, { type IncomingMessage } from 'node:http'
import type { BlockList } from 'node:net'
import type { Duplex } from 'node:stream'
import { CODES, ZoariumError } from '../../protocol/errors.ts'
import { errorBody } from './answer.ts'
import { clientAddress } from './client-address.ts'
import { checkHost, type GuardOptions } from './guard.ts'
import type { HttpLog } from './log.ts'

/**
 * Sockets of peers on all listeners, those included that have not said who they are: the network
 * keeps 80 connections, and at least as many sockets of a listener stay for other requests.
 */
export const MAX_PEER_SOCKETS = 128

/** What takes the sockets in. */
export interface PeerNetwork {
  accept(upgrade: {
    readonly request: IncomingMessage
    readonly socket: Duplex
    readonly head: Buffer
    /** IP address and port of the peer. */
    readonly from: string
    readonly port: number
  }): void
}

export interface PeerDoorOptions {
  readonly network: PeerNetwork
  readonly proxies: BlockList
  readonly log: HttpLog
}

/** Whether a request asks for a WebSocket; one for another protocol is answered as plain HTTP. */
export const wantsWebSocket = ({ headers }: IncomingMessage): boolean =>
  headers.upgrade?.toLowerCase() === 'websocket'

export class PeerDoor {
  readonly #options: PeerDoorOptions
  readonly #sockets = new Set<Duplex>()

  constructor(options: PeerDoorOptions) {
    this.#options = options
  }

  /** Takes in a request that asks for an upgrade, or answers why not. */
  open(request: IncomingMessage, socket: Duplex, head: Buffer, guard: GuardOptions): void {
    const { network, proxies, log } = this.#options
    // The server let go of the socket, and of its errors.
    socket.on('error', () => {})
    const from = clientAddress(request, proxies)
    try {
      this.#check(request, guard)
      if (from === null) throw new ZoariumError('UNREACHABLE', 'the client is gone')
    } catch (error) {
      if (!(error instanceof ZoariumError)) throw error
      log.info({ path: request.url?.slice(0, 80), code: error.code, from }, 'no way in')
      refuse(socket, error)
      return
    }
    this.#sockets.add(socket)
    socket.once('close', () => this.#sockets.delete(socket))
    network.accept({ request, socket, head, from, port: request.socket.remotePort ?? 0 })
  }

  /** @throws ZoariumError */
  #check(request: IncomingMessage, guard: GuardOptions): void {
    const { headers, url = '/', method } = request
    const path = url.replace(/\?.*$/s, '')
    const isTls = 'encrypted' in request.socket
    checkHost({ host: headers.host ?? '', path, isTls }, guard)
    if (headers.origin !== undefined || headers['sec-fetch-site'] !== undefined) {
      throw new ZoariumError('ORIGIN', 'web pages do not speak to other nodes', {
        field: headers.origin === undefined ? 'Sec-Fetch-Site' : 'Origin',
        got: (headers.origin ?? String(headers['sec-fetch-site'])).slice(0, 80),
      })
    }
    if (!wantsWebSocket(request) || method !== 'GET') {
      throw new ZoariumError('PARAMETER', 'the request asks for another protocol', {
        field: 'Upgrade',
        limit: 'websocket',
        got: (headers.upgrade ?? 'none').slice(0, 80),
      })
    }
    if (path !== '/') {
      throw new ZoariumError('NOT_FOUND', 'other nodes come in at /', { got: path.slice(0, 80) })
    }
    if (this.#sockets.size >= MAX_PEER_SOCKETS) {
      throw new ZoariumError('BUSY', 'too many nodes are connected', { limit: MAX_PEER_SOCKETS })
    }
  }

  /** Cuts all connections. */
  close(): void {
    for (const socket of this.#sockets) socket.destroy()
  }
}

/** Answers on a bare socket, and closes it. */
export function refuse(socket: Duplex, error: ZoariumError, status = CODES[error.code].status) {
  const body = JSON.stringify(errorBody(error))
  socket.end(
    `HTTP/1.1 ${status} ${http.STATUS_CODES[status]}\r\nConnection: close\r\n` +
      `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    // Half of it would stay open for as long as the client likes.
    () => socket.destroy(),
  )
}

/**
 * The transport over WebSocket: dials others, and takes in connections that come through HTTP
 * servers, above all the daemon's own, so that one HTTPS port is enough for a node.
 *
 * What a page in a browser could do with it, the HTTP side refuses (http/upgrade.ts).
 */
import http, { type IncomingMessage } from 'node:http'
import type { AddressInfo, LookupFunction } from 'node:net'
import type { Duplex } from 'node:stream'
import {
  type ComponentLogger,
  type Connection,
  type CreateListenerOptions,
  type DialTransportOptions,
  type Listener,
  type ListenerEvents,
  serviceCapabilities,
  type Transport,
  TypedEventEmitter,
  transportSymbol,
  type Upgrader,
} from '@libp2p/interface'
import { getThinWaistAddresses, ipPortToMultiaddr } from '@libp2p/utils'
import type { Multiaddr } from '@multiformats/multiaddr'
import { WebSocket, WebSocketServer } from 'ws'
import { webSocketTarget } from './web-socket-address.ts'
import { MAX_WEB_SOCKET_MESSAGE_BYTES, webSocketConnection } from './web-socket-connection.ts'

/** Time for TCP, TLS and the HTTP request of a dial. */
const HANDSHAKE_MS = 10_000
/** A listener of its own serves nothing but upgrades, and waits so long for one. */
const HEADERS_TIMEOUT_MS = 5_000
/** Connections of a listener of its own. */
const MAX_SOCKETS = 256

const BOUNDS = { maxPayload: MAX_WEB_SOCKET_MESSAGE_BYTES, perMessageDeflate: false } as const

/** A request that may become a connection. */
export interface UpgradeRequest {
  readonly request: IncomingMessage
  readonly socket: Duplex
  /** First bytes after the headers. */
  readonly head: Buffer
  /** IP address of the peer. */
  readonly from: string
  readonly port: number
}

export interface WebSocketOptions {
  /** Resolves names, and keeps addresses back that must not be dialled. */
  readonly lookup: LookupFunction
  /** PEM of the only authority to trust; default those of Node. */
  readonly ca?: string
}

interface Components {
  readonly logger: ComponentLogger
  readonly upgrader: Upgrader
}

export class WebSockets implements Transport {
  readonly [transportSymbol] = true
  readonly [Symbol.toStringTag] = 'zoarium-web-socket'
  readonly [serviceCapabilities] = ['@libp2p/transport']
  readonly #options: WebSocketOptions
  readonly #components: Components
  readonly #server = new WebSocketServer({ noServer: true, ...BOUNDS })
  readonly #stop = new AbortController()

  constructor(options: WebSocketOptions, components: Components) {
    this.#options = options
    this.#components = components
  }

  dialFilter(addresses: Multiaddr[]): Multiaddr[] {
    return addresses.filter((address) => webSocketTarget(address) !== null)
  }

  listenFilter(addresses: Multiaddr[]): Multiaddr[] {
    return addresses.filter((address) => webSocketTarget(address)?.isTls === false)
  }

  async dial(address: Multiaddr, options: DialTransportOptions): Promise<Connection> {
    const socket = await this.#open(address, options.signal)
    const connection = this.#connection(socket, address, 'outbound')
    try {
      return await options.upgrader.upgradeOutbound(connection, options)
    } catch (error) {
      connection.abort(error as Error)
      throw error
    }
  }

  #open(address: Multiaddr, signal: AbortSignal): Promise<WebSocket> {
    signal.throwIfAborted()
    const target = webSocketTarget(address)
    if (target === null) throw new Error('not an address of a WebSocket')
    const { lookup, ca } = this.#options
    const socket = new WebSocket(target.url, {
      ...BOUNDS,
      handshakeTimeout: HANDSHAKE_MS,
      lookup,
      ...(target.serverName === null ? {} : { servername: target.serverName }),
      ...(ca === undefined ? {} : { ca }),
    })
    // Nothing that comes before somebody listens may be lost.
    socket.pause()
    return new Promise((resolve, reject) => {
      const abort = () => socket.terminate()
      signal.addEventListener('abort', abort)
      socket.once('open', () => {
        signal.removeEventListener('abort', abort)
        socket.off('error', reject)
        resolve(socket)
      })
      // Also after `terminate`, which is an error of a socket that is not open.
      socket.once('error', reject)
    })
  }

  #connection(socket: WebSocket, remoteAddr: Multiaddr, direction: 'inbound' | 'outbound') {
    const log = this.#components.logger.forComponent('zoarium:web-socket')
    const connection = webSocketConnection({ socket, remoteAddr, direction, log })
    socket.resume()
    return connection
  }

  /** Makes a connection of an HTTP request, within the bounds of every inbound connection. */
  accept({ request, socket, head, from, port }: UpgradeRequest): void {
    if (this.#stop.signal.aborted) {
      socket.destroy()
      return
    }
    this.#server.handleUpgrade(request, socket, head, (opened) => {
      const remote = ipPortToMultiaddr(from.replace(/%.*$/, ''), port).encapsulate('/ws')
      const connection = this.#connection(opened, remote, 'inbound')
      this.#components.upgrader
        .upgradeInbound(connection, { signal: this.#stop.signal })
        .catch((error: Error) => connection.abort(error))
    })
  }

  createListener(_options: CreateListenerOptions): Listener {
    return new WebSocketListener((upgrade) => this.accept(upgrade))
  }

  /** Takes in no more. */
  stop(): void {
    this.#stop.abort()
  }
}

/** A port that serves nothing but WebSockets. */
class WebSocketListener extends TypedEventEmitter<ListenerEvents> implements Listener {
  readonly #server: http.Server
  /** An HTTP server forgets sockets that it gave away. */
  readonly #sockets = new Set<Duplex>()
  #address: Multiaddr | null = null

  constructor(accept: (upgrade: UpgradeRequest) => void) {
    super()
    this.#server = http.createServer({ headersTimeout: HEADERS_TIMEOUT_MS }, (_request, answer) => {
      answer.writeHead(426, { Connection: 'close', Upgrade: 'websocket' }).end()
    })
    this.#server.maxConnections = MAX_SOCKETS
    this.#server.on('upgrade', (request, socket, head) => {
      const { remoteAddress: from, remotePort: port } = request.socket
      // A page in a browser always says where it is from.
      if (request.headers.origin !== undefined || from === undefined || port === undefined) {
        socket.destroy()
        return
      }
      this.#sockets.add(socket)
      socket.once('close', () => this.#sockets.delete(socket))
      accept({ request, socket, head, from, port })
    })
  }

  async listen(address: Multiaddr): Promise<void> {
    const [host, port] = address.getComponents()
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject)
      const where = { host: host?.value, port: Number(port?.value), ipv6Only: host?.name === 'ip6' }
      this.#server.listen(where, resolve)
    })
    this.#address = address
    this.safeDispatchEvent('listening')
  }

  getAddrs(): Multiaddr[] {
    const bound = this.#server.address() as AddressInfo | null
    if (bound === null || this.#address === null) return []
    return getThinWaistAddresses(this.#address, bound.port).map((each) => each.encapsulate('/ws'))
  }

  updateAnnounceAddrs(): void {}

  async close(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve())
      this.#server.closeAllConnections()
      for (const socket of this.#sockets) socket.destroy()
    })
    this.safeDispatchEvent('close')
  }
}

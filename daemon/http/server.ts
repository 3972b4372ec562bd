/**
 * The HTTP server: one listener for each address, with the same routes. A listener on loopback is
 * open for reading and inference; any other needs tokens, and TLS or a reverse proxy that speaks it.
 * Behind a proxy no listener is open, because every request comes from this machine then.
 */
import { readFileSync } from 'node:fs'
import http from 'node:http'
import https from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { ZoariumError } from '../../protocol/errors.ts'
import { MAX_BLOB_BYTES, MAX_INFER_BYTES } from '../../protocol/limits.ts'
import { createApp } from './app.ts'
import { ByteBudget } from './byte-budget.ts'
import { proxyList } from './client-address.ts'
import { formatHost, isLoopback, type ListenAddress, parseListenAddress } from './listen-address.ts'
import type { HttpLog } from './log.ts'
import type { NodeApi } from './node-api.ts'
import { PeerDoor, type PeerNetwork, refuse, wantsWebSocket } from './peer-door.ts'
import { EventStreams } from './routes/event-routes.ts'

/** A client has so long to send its headers; Node's default of 60 s invites slow ones. */
const HEADERS_TIMEOUT_MS = 10_000
/** How often Node looks for connections that are over it. */
const CHECK_INTERVAL_MS = 2_000
/** An idle connection is kept for the next request so long. */
const KEEP_ALIVE_MS = 5_000
/** Connections of one listener; a browser opens six. */
const MAX_CONNECTIONS = 256
/** Then the client connects anew, so that no connection lives for ever. */
const MAX_REQUESTS_PER_SOCKET = 1_000
/** All headers of a request together. */
const MAX_HEADER_BYTES = 16 * 1024
/** A stopping server waits so long for answers under way. */
const STOP_GRACE_MS = 5_000
/** Request bodies of inferences in memory, all together: four of the largest. */
const MAX_INFER_BYTES_IN_FLIGHT = 4 * MAX_INFER_BYTES

export interface HttpConfig {
  /** `HOST:PORT`; port 0 for any. */
  readonly listen: readonly string[]
  /** Paths of PEM files. */
  readonly tls: { readonly cert: string; readonly key: string } | null
  readonly behindProxy: boolean
  /** Host names besides the listen addresses that requests may name. */
  readonly hosts: readonly string[]
  /** Reverse proxies whose `X-Forwarded-For` is believed, IP addresses or networks. */
  readonly proxies?: readonly string[]
}

export interface HttpServerOptions {
  readonly node: NodeApi
  readonly config: HttpConfig
  readonly log: HttpLog
  /** Where other nodes come in by WebSocket; absent: nowhere. */
  readonly network?: PeerNetwork
  readonly limits?: {
    readonly maxPublishBytes?: number
    readonly maxInferBytes?: number
    readonly maxInferBytesInFlight?: number
  }
}

export class HttpServer {
  readonly #options: HttpServerOptions
  readonly #addresses: readonly ListenAddress[]
  readonly #streams = new EventStreams()
  readonly #door: PeerDoor | null
  readonly #servers: http.Server[] = []
  readonly #urls: string[] = []

  /** @throws ZoariumError CONFIG for an address that would be open to others */
  constructor(options: HttpServerOptions) {
    this.#options = options
    this.#addresses = options.config.listen.map(parseListenAddress)
    checkExposure(options.config, this.#addresses)
    const { network, log } = options
    const proxies = proxyList(options.config.proxies ?? [])
    this.#door = network === undefined ? null : new PeerDoor({ network, proxies, log })
  }

  /** Base URLs, in the order of the addresses; known after {@link start}. */
  get urls(): readonly string[] {
    return this.#urls
  }

  /** @throws ZoariumError CONFIG where the certificate or an address cannot be used */
  async start(): Promise<void> {
    const { node, config, log, limits = {} } = this.#options
    const tls = config.tls === null ? null : readTls(config.tls)
    const shared = {
      streams: this.#streams,
      maxPublishBytes: limits.maxPublishBytes ?? MAX_BLOB_BYTES,
      infer: {
        maxBytes: limits.maxInferBytes ?? MAX_INFER_BYTES,
        budget: new ByteBudget(limits.maxInferBytesInFlight ?? MAX_INFER_BYTES_IN_FLIGHT),
      },
    }
    try {
      for (const wanted of this.#addresses) {
        const isOpen = isLoopback(wanted.host) && !config.behindProxy
        let address = wanted
        const guard = () => ({
          address,
          hosts: config.hosts,
          isOpen,
          handle: () => node.ownHandle(),
        })
        const app = createApp({ node, log, shared, isOpen, guard })
        const server = createServer(app.callback(), tls)
        const door = this.#door
        if (door !== null) {
          server.on('upgrade', (request, socket, head) => {
            door.open(request, socket, head, guard())
          })
        }
        this.#servers.push(server)
        address = await listen(server, wanted)
        server.on('error', (error) => log.error({ error: error.message }, 'listener failed'))
        this.#urls.push(`${tls === null ? 'http' : 'https'}://${formatHost(address)}`)
      }
    } catch (error) {
      await this.stop()
      throw error
    }
  }

  /** Takes no more requests, lets those under way end for a while, then cuts the rest. */
  async stop(): Promise<void> {
    this.#streams.close()
    const servers = this.#servers.splice(0)
    const closed = servers.map(
      (server) => new Promise<void>((resolve) => server.close(() => resolve())),
    )
    for (const server of servers) server.closeIdleConnections()
    this.#door?.close()
    const cut = setTimeout(() => {
      for (const server of servers) server.closeAllConnections()
    }, STOP_GRACE_MS)
    await Promise.all(closed)
    clearTimeout(cut)
  }
}

/** @throws ZoariumError CONFIG for an address that would be open to others */
export const createHttpServer = (options: HttpServerOptions): HttpServer => new HttpServer(options)

/** @throws ZoariumError CONFIG */
function checkExposure(config: HttpConfig, addresses: readonly ListenAddress[]): void {
  if (config.tls !== null || config.behindProxy) return
  const exposed = addresses.find(({ host }) => !isLoopback(host))
  if (exposed === undefined) return
  throw new ZoariumError('CONFIG', 'other machines would reach this daemon without TLS', {
    field: 'http',
    got: formatHost(exposed),
    hint: 'give --tls-cert and --tls-key, or --behind-proxy where a reverse proxy speaks TLS, or listen on 127.0.0.1',
  })
}

interface Tls {
  readonly cert: Buffer
  readonly key: Buffer
}

function readTls(paths: { readonly cert: string; readonly key: string }): Tls {
  const read = (field: 'cert' | 'key'): Buffer => {
    try {
      return readFileSync(paths[field])
    } catch (error) {
      throw new ZoariumError('CONFIG', `couldn't read the TLS ${field}`, { field }, error)
    }
  }
  return { cert: read('cert'), key: read('key') }
}

function createServer(handler: http.RequestListener, tls: Tls | null): http.Server {
  const options = {
    headersTimeout: HEADERS_TIMEOUT_MS,
    // Bodies have their own bounds (body.ts): one time for all would cut large uploads.
    requestTimeout: 0,
    keepAliveTimeout: KEEP_ALIVE_MS,
    connectionsCheckingInterval: CHECK_INTERVAL_MS,
    maxHeaderSize: MAX_HEADER_BYTES,
    // Some HTTP clients offer h2c with every request (Node 22.21, 24.9).
    shouldUpgradeCallback: wantsWebSocket,
  }
  const server = tls === null ? http.createServer(options) : createTlsServer(options, tls)
  server.maxConnections = MAX_CONNECTIONS
  server.maxRequestsPerSocket = MAX_REQUESTS_PER_SOCKET
  server.on('request', handler)
  // Without this Node invites the body before anyone looked at the token (body.ts invites it).
  server.on('checkContinue', handler)
  server.on('clientError', answerClientError)
  return server
}

function createTlsServer(options: http.ServerOptions, tls: Tls): https.Server {
  try {
    return https.createServer({ ...options, ...tls, minVersion: 'TLSv1.2' })
  } catch (error) {
    throw new ZoariumError('CONFIG', 'the TLS certificate and key cannot be used', {
      field: 'tls',
      got: (error as Error).message.slice(0, 80),
    })
  }
}

/** Requests that never reached a route: bytes that are no HTTP, headers too long or too slow. */
function answerClientError(error: NodeJS.ErrnoException, socket: Socket): void {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy()
    return
  }
  const [status, fault] =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? ([
          431,
          new ZoariumError('LIMIT', 'the headers are too long', { limit: MAX_HEADER_BYTES }),
        ] as const)
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? ([408, new ZoariumError('TIMEOUT', 'the request arrives too slowly')] as const)
        : ([400, new ZoariumError('PARAMETER', 'the request is not valid HTTP')] as const)
  refuse(socket, fault, status)
}

function listen(server: http.Server, { host, port }: ListenAddress): Promise<ListenAddress> {
  const at = formatHost({ host, port })
  return new Promise((resolve, reject) => {
    const refuse = (error: NodeJS.ErrnoException): void => {
      const detail = {
        field: 'http',
        got: error.code ?? error.message,
        hint: 'another program may use the port; choose one with --http HOST:PORT',
      }
      reject(new ZoariumError('CONFIG', `couldn't listen at ${at}`, detail, error))
    }
    server.once('error', refuse)
    server.listen({ host, port }, () => {
      server.off('error', refuse)
      // SAFE: a server that listens on TCP has an address.
      resolve({ host, port: (server.address() as AddressInfo).port })
    })
  })
}

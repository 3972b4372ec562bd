/** The web over node:https. */
import { lookup } from 'node:dns/promises'
import type { IncomingMessage } from 'node:http'
import https from 'node:https'
import { VERSION } from '../protocol/version.ts'
import type { Web, WebAnswer, WebRequest } from './web.ts'

/** All headers of an answer together. */
const MAX_HEADER_BYTES = 16 * 1024
/** Connections to one address that are kept for what is asked next, and how long. */
const MAX_IDLE_CONNECTIONS = 8
const IDLE_MS = 4_000

export class HttpsWeb implements Web {
  readonly #ca: string | undefined
  readonly #port: number
  /** Keeps connections by address, port and name; takes no proxy from the environment. */
  readonly #agent = new https.Agent({
    keepAlive: true,
    maxFreeSockets: MAX_IDLE_CONNECTIONS,
    timeout: IDLE_MS,
  })

  /** @param options `ca`: PEM of the only authority to trust, default those of Node; `port`: where a request names none, 443 */
  constructor({ ca, port = 443 }: { readonly ca?: string; readonly port?: number } = {}) {
    this.#ca = ca
    this.#port = port
  }

  async addresses(host: string): Promise<readonly string[]> {
    const found = await lookup(host, { all: true, order: 'ipv4first' })
    return found.map(({ address }) => address)
  }

  get(request: WebRequest): Promise<WebAnswer> {
    const { host, address, port = this.#port, path, maxBytes, signal } = request
    const { headers, accepts = [200] } = request
    return new Promise((resolve, reject) => {
      const asked = https.get({
        // The address and not the name: nothing is looked up between the check and the connection.
        host: address,
        port,
        servername: host,
        path,
        headers: {
          Host: request.port === undefined ? host : `${host}:${port}`,
          Accept: 'application/json',
          'User-Agent': `zoarium/${VERSION}`,
          ...headers,
        },
        agent: this.#agent,
        rejectUnauthorized: true,
        maxHeaderSize: MAX_HEADER_BYTES,
        signal,
        ...(this.#ca === undefined ? {} : { ca: this.#ca }),
      })
      asked.on('error', reject)
      asked.on('response', (response) => {
        read(response, accepts, maxBytes)
          .then(resolve, reject)
          // A connection that was not read to the end is of no more use.
          .finally(() => {
            if (!response.complete) asked.destroy()
          })
      })
    })
  }
}

async function read(
  response: IncomingMessage,
  accepts: readonly number[],
  maxBytes: number,
): Promise<WebAnswer> {
  const { statusCode: status = 0 } = response
  if (!accepts.includes(status)) {
    response.destroy()
    return { status, body: new Uint8Array(0) }
  }
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of response) {
    size += chunk.length
    if (size > maxBytes) return { status, body: null }
    chunks.push(chunk)
  }
  return { status, body: Buffer.concat(chunks) }
}

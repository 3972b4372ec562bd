/** The web over node:https. */
import { lookup } from 'node:dns/promises'
import type { IncomingMessage } from 'node:http'
import https from 'node:https'
import { VERSION } from '../protocol/version.ts'
import type { Web, WebAnswer, WebRequest } from './web.ts'

/** All headers of an answer together. */
const MAX_HEADER_BYTES = 16 * 1024

export class HttpsWeb implements Web {
  readonly #ca: string | undefined
  readonly #port: number

  /** @param options `ca`: PEM of the only authority to trust, default those of Node; `port`: 443 */
  constructor({ ca, port = 443 }: { readonly ca?: string; readonly port?: number } = {}) {
    this.#ca = ca
    this.#port = port
  }

  async addresses(host: string): Promise<readonly string[]> {
    const found = await lookup(host, { all: true, order: 'ipv4first' })
    return found.map(({ address }) => address)
  }

  get({ host, address, path, maxBytes, signal }: WebRequest): Promise<WebAnswer> {
    return new Promise((resolve, reject) => {
      const request = https.get({
        // The address and not the name: nothing is looked up between the check and the connection.
        host: address,
        port: this.#port,
        servername: host,
        path,
        headers: { Host: host, Accept: 'application/json', 'User-Agent': `zoarium/${VERSION}` },
        // A connection of its own, and no proxy from the environment.
        agent: false,
        rejectUnauthorized: true,
        maxHeaderSize: MAX_HEADER_BYTES,
        signal,
        ...(this.#ca === undefined ? {} : { ca: this.#ca }),
      })
      request.on('error', reject)
      request.on('response', (response) => {
        read(response, maxBytes)
          .then(resolve, reject)
          .finally(() => request.destroy())
      })
    })
  }
}

async function read(response: IncomingMessage, maxBytes: number): Promise<WebAnswer> {
  const { statusCode: status = 0 } = response
  if (status !== 200) return { status, body: new Uint8Array(0) }
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of response) {
    size += chunk.length
    if (size > maxBytes) return { status, body: null }
    chunks.push(chunk)
  }
  return { status, body: Buffer.concat(chunks) }
}

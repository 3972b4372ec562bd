/** A web in memory: names, addresses and answers in the hands of the test. */
import type { Web, WebAnswer, WebRequest } from '../../daemon/web.ts'

export interface MemorySite {
  /** Default: one public address. */
  readonly addresses?: readonly string[]
  /** Default 200. */
  readonly status?: number
  readonly body?: string
  /** Never answers. */
  readonly hangs?: boolean
}

export const PUBLIC_ADDRESS = '93.184.216.34'

export class MemoryWeb implements Web {
  /** By host name; others have no address. */
  readonly sites = new Map<string, MemorySite>()
  /** What was asked, oldest first: `lookup HOST`, `get HOST ADDRESS PATH`. */
  readonly asked: string[] = []

  async addresses(host: string): Promise<readonly string[]> {
    this.asked.push(`lookup ${host}`)
    const site = this.sites.get(host)
    if (site === undefined) throw new Error(`getaddrinfo ENOTFOUND ${host}`)
    return site.addresses ?? [PUBLIC_ADDRESS]
  }

  async get(request: WebRequest): Promise<WebAnswer> {
    const { host, address, path, accepts = [200], maxBytes, signal } = request
    this.asked.push(`get ${host} ${address} ${path}`)
    signal.throwIfAborted()
    const { status = 200, body = '', hangs = false } = this.sites.get(host) ?? { hangs: true }
    if (hangs) {
      return new Promise((_, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason), { once: true })
      })
    }
    if (!accepts.includes(status)) return { status, body: new Uint8Array(0) }
    const bytes = new TextEncoder().encode(body)
    return { status, body: bytes.length > maxBytes ? null : bytes }
  }
}

/**
 * The web seam: the two things that asking a foreign host needs. The rules (which host, which
 * address, which answer) stand with the caller, who sees each address before anything connects.
 *
 * Contract of every implementation (test/suites/web.ts runs on all of them):
 * - `get` connects to the given address and no other, and asks no name service.
 * - It speaks HTTPS and verifies the certificate against the host name.
 * - It follows no redirect, and reads at most `maxBytes` of a body, that of an accepted status only.
 * - Whatever keeps an answer from coming is a rejection.
 */
export interface Web {
  /** IPv4 and IPv6 addresses of a host name, as text. */
  addresses(host: string): Promise<readonly string[]>
  get(request: WebRequest): Promise<WebAnswer>
}

export interface WebRequest {
  readonly host: string
  /** The IP address to connect to. */
  readonly address: string
  /** Default 443. */
  readonly port?: number
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  /** Statuses whose body is read; default 200. */
  readonly accepts?: readonly number[]
  readonly maxBytes: number
  readonly signal: AbortSignal
}

export interface WebAnswer {
  readonly status: number
  /** Empty unless the status is accepted; null: longer than was allowed. */
  readonly body: Uint8Array | null
}

/**
 * Keeps web pages of other origins away from a daemon that trusts its own machine: a fixed list of
 * Hosts (DNS rebinding), no foreign Origin, no cross-site request, and no CORS header ever.
 */
import { isIP } from 'node:net'
import { ZoariumError } from '../../protocol/errors.ts'
import { HANDLE_PATH } from '../../protocol/handle.ts'
import type { Context, Middleware } from './context.ts'
import { isLoopback, type ListenAddress } from './listen-address.ts'

export interface GuardOptions {
  /** As bound: the port is the real one. */
  readonly address: ListenAddress
  /** Further names of this node, without port. */
  readonly hosts: readonly string[]
  /** Whether some scopes need no token here. */
  readonly isOpen: boolean
  /** The domain name that this node's document confirms; served under it is that alone. */
  readonly handle: () => string | null
}

const HEADERS = {
  'X-Content-Type-Options': 'nosniff',
  'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'; sandbox",
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Referrer-Policy': 'no-referrer',
  'Cache-Control': 'no-store',
} as const

/** @param options read at each request: a port of 0 is known only after listening */
export function guard(options: () => GuardOptions): Middleware {
  return async (ctx, next) => {
    ctx.set(HEADERS)
    checkHost({ host: ctx.get('Host'), path: ctx.path, isTls: ctx.secure }, options())
    checkOrigin(ctx)
    await next()
  }
}

/** @throws ZoariumError HOST */
export function checkHost(
  request: { readonly host: string; readonly path: string; readonly isTls: boolean },
  options: GuardOptions,
): void {
  const host = request.host.toLowerCase()
  if (host !== '' && isServed(host, request.isTls, options)) return
  const isHandle = host.replace(/:[0-9]{1,5}$/, '') === options.handle()
  if (request.path === HANDLE_PATH && isHandle) return
  throw new ZoariumError('HOST', 'this daemon does not serve that host name', {
    field: 'Host',
    got: host.slice(0, 80),
    hint: 'use the address that the daemon printed at start, or add the name to http.hosts in config.yaml',
  })
}

function isServed(host: string, isTls: boolean, options: GuardOptions): boolean {
  const { address, hosts, isOpen } = options
  const match = /^(\[[0-9a-f:.]+\]|[^:[\]]+)(?::([0-9]{1,5}))?$/.exec(host)
  const name = match?.[1]
  if (name === undefined) return false
  // A reverse proxy or a port mapping may serve a configured name at any port.
  if (hosts.some((known) => known.toLowerCase() === name)) return true
  const bare = name.replace(/^\[|\]$/g, '')
  // Where every request carries a token, an address cannot be rebound to and is safe.
  if (!isOpen && isIP(bare) !== 0) return true
  const isOwn = bare === address.host.toLowerCase() || isLoopback(bare)
  return isOwn && Number(match?.[2] ?? (isTls ? 443 : 80)) === address.port
}

function checkOrigin(ctx: Context): void {
  const origin = ctx.get('Origin')
  if (origin !== '' && hostOf(origin) !== ctx.get('Host').toLowerCase()) {
    throw new ZoariumError('ORIGIN', 'requests of other web pages are refused', {
      field: 'Origin',
      got: origin.slice(0, 80),
    })
  }
  if (ctx.get('Sec-Fetch-Site') === 'cross-site') {
    throw new ZoariumError('ORIGIN', 'requests of other web pages are refused', {
      field: 'Sec-Fetch-Site',
      got: 'cross-site',
    })
  }
}

const hostOf = (origin: string): string | null => URL.parse(origin)?.host ?? null

/**
 * Addresses of nodes that speak libp2p over WebSocket: `/dns/HOST/tcp/443/tls/ws` is
 * `wss://HOST/`, and `/http-path/NAME` at its end a path other than `/`.
 */
import { isIPv6 } from 'node:net'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { ZoariumError } from '../../protocol/errors.ts'

export interface WebSocketTarget {
  readonly url: string
  readonly isTls: boolean
  /** The name in the certificate, where the address gives one apart. */
  readonly serverName: string | null
}

const HOSTS: ReadonlySet<string> = new Set(['ip4', 'ip6', 'dns', 'dns4', 'dns6'])

/** Null where the address is of another kind. */
export function webSocketTarget(address: Multiaddr): WebSocketTarget | null {
  const parts = address.getComponents().filter(({ name }) => name !== 'p2p')
  const [host, port, ...rest] = parts
  if (host?.value === undefined || !HOSTS.has(host.name)) return null
  if (port?.value === undefined || port.name !== 'tcp') return null
  const last = rest.at(-1)
  const path = last?.name === 'http-path' ? (last.value ?? '/') : '/'
  const kind = rest.slice(0, last?.name === 'http-path' ? -1 : undefined)
  const names = kind.map(({ name }) => name).join('/')
  const isTls = names === 'wss' || names === 'tls/ws' || names === 'tls/sni/ws'
  if (!isTls && names !== 'ws') return null
  const serverName = kind.find(({ name }) => name === 'sni')?.value ?? null
  const name = isIPv6(host.value) ? `[${host.value}]` : host.value
  return { url: `${isTls ? 'wss' : 'ws'}://${name}:${port.value}${path}`, isTls, serverName }
}

/**
 * The address at which other nodes reach this one, by the URL of its HTTP port.
 * @throws ZoariumError CONFIG where it is no https URL of a host
 */
export function publicAddress(text: string): string {
  const url = URL.parse(text)
  const isPlain = url !== null && url.username === '' && url.search === '' && url.hash === ''
  if (!isPlain || url.protocol !== 'https:') {
    throw new ZoariumError('CONFIG', 'http.publicUrl must be an https URL', {
      field: 'http.publicUrl',
      got: text.slice(0, 80),
      hint: 'for example https://zoo.institute-a.example',
    })
  }
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const kind = isIPv6(host) ? 'ip6' : /^[0-9.]+$/.test(host) ? 'ip4' : 'dns'
  const path = url.pathname === '/' ? '' : `/http-path/${encodeURIComponent(url.pathname.slice(1))}`
  return multiaddr(`/${kind}/${host}/tcp/${url.port || 443}/tls/ws${path}`).toString()
}

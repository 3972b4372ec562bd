/**
 * Who sent a request: the other end of its socket, or, where that is a reverse proxy that the
 * operator trusts, whom the proxy names in `X-Forwarded-For`. Anybody may send that header.
 */
import type { IncomingMessage } from 'node:http'
import { BlockList, isIP } from 'node:net'
import { ZoariumError } from '../../protocol/errors.ts'

/** Longest chain of proxies that is followed. */
const MAX_HOPS = 8

/** @param proxies IP addresses and networks in CIDR form. @throws ZoariumError CONFIG */
export function proxyList(proxies: readonly string[]): BlockList {
  const list = new BlockList()
  for (const text of proxies) {
    const [host = '', prefix] = text.split('/')
    const kind = isIP(host)
    const bits = prefix === undefined ? (kind === 6 ? 128 : 32) : Number(prefix)
    const isWrong = kind === 0 || prefix === '' || !(bits >= 0 && bits <= (kind === 6 ? 128 : 32))
    if (isWrong || !Number.isInteger(bits)) {
      throw new ZoariumError('CONFIG', 'http.proxies must be IP addresses or networks', {
        field: 'http.proxies',
        got: text.slice(0, 80),
        hint: 'for example 127.0.0.1 or 10.0.0.0/24',
      })
    }
    list.addSubnet(host, bits, kind === 6 ? 'ipv6' : 'ipv4')
  }
  return list
}

/** The IP address of the client, or null where its socket is gone. */
export function clientAddress(request: IncomingMessage, proxies: BlockList): string | null {
  const { remoteAddress } = request.socket
  if (remoteAddress === undefined) return null
  // A repeated header is one list: each proxy adds who came to it at the end.
  const named = [request.headers['x-forwarded-for'] ?? []].flat().join(',').split(',')
  let client = plain(remoteAddress)
  for (let hops = 0; hops < MAX_HOPS && isProxy(client, proxies); hops++) {
    const next = plain(named.pop()?.trim() ?? '')
    if (isIP(next) === 0) break
    client = next
  }
  return client
}

const isProxy = (address: string, proxies: BlockList): boolean =>
  proxies.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4')

/**
 * A socket for both families writes IPv4 as IPv6, a link-local address with its interface, which no
 * multiaddr has; a proxy may add the port.
 */
function plain(text: string): string {
  const host = /^\[(.+)\](?::\d+)?$/.exec(text)?.[1] ?? /^(\d+(?:\.\d+){3}):\d+$/.exec(text)?.[1]
  return (host ?? text).replace(/^::ffff:(?=\d+\.)/i, '').replace(/%.*$/s, '')
}

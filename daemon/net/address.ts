/**
 * Which addresses a node dials and tells: public ones, those on a network that this machine is on,
 * and those that the operator named. Others that peers tell (private, loopback, link-local, carrier
 * NAT) would make this node knock at doors of its own institute.
 */
import { BlockList, isIPv4 } from 'node:net'
import { networkInterfaces } from 'node:os'
import type { Multiaddr } from '@multiformats/multiaddr'

/** Addresses that are remembered as named by the operator, and as reached. */
const MAX_REMEMBERED = 1000

const loopback = new BlockList()
loopback.addSubnet('127.0.0.0', 8)
loopback.addAddress('::1', 'ipv6')

/** Not reachable over the internet, loopback apart. */
const internal = new BlockList()
for (const [net, prefix] of [
  ['10.0.0.0', 8],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
  ['169.254.0.0', 16],
  ['100.64.0.0', 10],
] as const) {
  internal.addSubnet(net, prefix)
}
internal.addSubnet('fc00::', 7, 'ipv6')
internal.addSubnet('fe80::', 10, 'ipv6')

/** Nobody's address. */
const senseless = new BlockList()
senseless.addSubnet('0.0.0.0', 8)
senseless.addSubnet('224.0.0.0', 3)
senseless.addAddress('::', 'ipv6')
senseless.addSubnet('ff00::', 8, 'ipv6')

const includes = (list: BlockList, host: string): boolean =>
  list.check(host, isIPv4(host) ? 'ipv4' : 'ipv6')

/** The IP address in a multiaddr, or null where it holds a name. */
export function hostOf(address: Multiaddr): string | null {
  const part = address.getComponents().find(({ name }) => name === 'ip4' || name === 'ip6')
  const host = part?.value
  if (host === undefined) return null
  return unmapped(host)
}

/** An IPv4 address written as IPv6 is the same machine. */
function unmapped(host: string): string {
  const text = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(host)?.[1]
  if (text !== undefined) return text
  const words = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/i.exec(host)
  if (words === null) return host
  const [high = 0, low = 0] = words.slice(1).map((word) => Number.parseInt(word, 16))
  return [high >> 8, high & 255, low >> 8, low & 255].join('.')
}

export const isLoopback = (address: Multiaddr): boolean => {
  const host = hostOf(address)
  return host !== null && includes(loopback, host)
}

/** The address without the PeerId at its end, as text. */
export const bareAddress = (address: Multiaddr): string =>
  address.toString().replace(/\/p2p\/[^/]+$/, '')

/** Networks that this machine is on, loopback apart. */
function ownNetworks(): BlockList {
  const networks = new BlockList()
  for (const entries of Object.values(networkInterfaces())) {
    for (const { internal: isLoop, cidr, family } of entries ?? []) {
      if (isLoop || cidr === null) continue
      const [net, prefix] = cidr.split('/')
      if (net === undefined || prefix === undefined) continue
      networks.addSubnet(net, Number(prefix), family === 'IPv4' ? 'ipv4' : 'ipv6')
    }
  }
  return networks
}

export class AddressPolicy {
  readonly #own: BlockList
  readonly #listed = new Set<string>()
  readonly #reached = new Set<string>()
  /** Loopback is a network like others only to a node that listens nowhere else. */
  readonly #isLoopbackNode: boolean

  constructor(listen: readonly Multiaddr[], own: BlockList = ownNetworks()) {
    this.#own = own
    this.#isLoopbackNode = listen.length > 0 && listen.every(isLoopback)
  }

  /** Takes in an address that the operator named. */
  list(address: Multiaddr): void {
    remember(this.#listed, address)
  }

  /** Takes in an address to which a connection stood. */
  reached(address: Multiaddr): void {
    remember(this.#reached, address)
  }

  wasReached(address: Multiaddr): boolean {
    return this.#reached.has(bareAddress(address))
  }

  isListed(address: Multiaddr): boolean {
    return this.#listed.has(bareAddress(address))
  }

  /** Whether an address that a peer told may be kept, dialled and passed on. */
  mayDial(address: Multiaddr): boolean {
    if (this.isListed(address)) return true
    const host = hostOf(address)
    if (host === null) return true
    if (includes(senseless, host)) return false
    if (includes(loopback, host)) return this.#isLoopbackNode
    return !includes(internal, host) || includes(this.#own, host)
  }

  /** Whether one of this node's own addresses is told to peers. */
  mayTell(address: Multiaddr): boolean {
    const host = hostOf(address)
    if (host === null) return true
    return includes(loopback, host) ? this.#isLoopbackNode : !includes(senseless, host)
  }
}

/** Puts an address last; the one that was put in first goes when there are too many. */
function remember(addresses: Set<string>, address: Multiaddr): void {
  const bare = bareAddress(address)
  addresses.delete(bare)
  addresses.add(bare)
  for (const oldest of addresses) {
    if (addresses.size <= MAX_REMEMBERED) return
    addresses.delete(oldest)
  }
}

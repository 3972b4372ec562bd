/**
 * Which addresses a node dials and tells: public ones, those on a network that this machine is on,
 * and those that the operator named. Others that peers tell (private, loopback, link-local, carrier
 * NAT) would make this node knock at doors of its own institute. A name is judged by what it
 * resolves to, at the moment of the dial.
 */
import dns from 'node:dns'
import { BlockList, isIPv4, type LookupFunction } from 'node:net'
import { networkInterfaces } from 'node:os'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { isPublicAddress } from '../public-address.ts'

/** Addresses that are remembered as named by the operator, and as reached. */
const MAX_REMEMBERED = 1000

const loopback = new BlockList()
loopback.addSubnet('127.0.0.0', 8)
loopback.addAddress('::1', 'ipv6')

/** Nobody's address. */
const senseless = new BlockList()
senseless.addSubnet('0.0.0.0', 8)
senseless.addSubnet('224.0.0.0', 3)
senseless.addAddress('::', 'ipv6')
senseless.addSubnet('ff00::', 8, 'ipv6')

const includes = (list: BlockList, host: string): boolean =>
  list.check(host, isIPv4(host) ? 'ipv4' : 'ipv6')

/** The value of the first part of one of these kinds. */
function partOf(address: Multiaddr, ...kinds: readonly string[]): string | null {
  return address.getComponents().find(({ name }) => kinds.includes(name))?.value ?? null
}

/** The IP address in a multiaddr, or null where it holds a name. */
export function hostOf(address: Multiaddr): string | null {
  const host = partOf(address, 'ip4', 'ip6')
  return host === null ? null : plainHost(host)
}

/** The name in a multiaddr, or null where it holds an IP address. */
export const nameOf = (address: Multiaddr): string | null =>
  partOf(address, 'dns', 'dns4', 'dns6')?.toLowerCase() ?? null

/**
 * The IPv4 address that an IPv6 address stands for, mapped (`::ffff:0:0/96`) or by way of a NAT64
 * (`64:ff9b::/96`), else the address: both lead to the same machine.
 */
export function plainHost(host: string): string {
  const canonical = URL.parse(`http://[${host}]`)?.hostname.slice(1, -1)
  const words = /^(?:::ffff:|64:ff9b::)(?:([0-9a-f]{1,4}):)?([0-9a-f]{1,4})$/.exec(canonical ?? '')
  if (words === null) return host
  const [high, low] = words.slice(1).map((word) => Number.parseInt(word ?? '0', 16))
  const [a = 0, b = 0] = [high, low]
  return [a >> 8, a & 255, b >> 8, b & 255].join('.')
}

export const isLoopback = (address: Multiaddr): boolean => {
  const host = hostOf(address)
  return host !== null && includes(loopback, host)
}

/** An address that somebody told; null: it is none. */
export function parseTold(text: string): Multiaddr | null {
  try {
    return multiaddr(text)
  } catch {
    return null
  }
}

/** Names that mean something else on every network. */
const LOCAL_NAME = /(^|\.)(localhost|local|internal|lan|home\.arpa)\.?$/

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

export interface AddressRules {
  /** Where this node listens. */
  readonly listen: readonly Multiaddr[]
  /** TCP ports that may be dialled where the operator named no address; none: all. */
  readonly ports?: readonly number[]
  /** Networks of this machine; default: as the system says. */
  readonly own?: BlockList
}

export class AddressPolicy {
  readonly #own: () => BlockList
  readonly #ports: readonly number[]
  readonly #listed = new Set<string>()
  readonly #listedNames = new Set<string>()
  readonly #reached = new Set<string>()
  /** Loopback is a network like others only to a node that listens nowhere else. */
  readonly #isLoopbackNode: boolean

  constructor({ listen, ports = [], own }: AddressRules) {
    // Read when it is needed: a machine joins and leaves networks.
    this.#own = own === undefined ? ownNetworks : () => own
    this.#ports = ports
    this.#isLoopbackNode = listen.length > 0 && listen.every(isLoopback)
  }

  /** Takes in an address that the operator named. */
  list(address: Multiaddr): void {
    remember(this.#listed, bareAddress(address))
    const name = nameOf(address)
    if (name !== null) remember(this.#listedNames, name)
  }

  /** Takes in an address to which a connection stood. */
  reached(address: Multiaddr): void {
    remember(this.#reached, bareAddress(address))
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
    const port = Number(partOf(address, 'tcp'))
    if (this.#ports.length > 0 && !this.#ports.includes(port)) return false
    const host = hostOf(address)
    // A `dnsaddr` would be looked up before anybody is asked, and lead anywhere.
    return host === null ? nameOf(address) !== null : this.mayReach(host)
  }

  /** Whether an IP address that a peer told, or to which a name leads, may be connected to. */
  mayReach(address: string): boolean {
    const host = plainHost(address)
    if (includes(senseless, host)) return false
    if (includes(loopback, host)) return this.#isLoopbackNode
    return isPublicAddress(host) || includes(this.#own(), host)
  }

  /** Resolves names for dials: addresses that may not be reached are left out. */
  readonly lookup: LookupFunction = (name, options, callback) => {
    dns.lookup(name, { ...options, all: true }, (error, found) => {
      const isListed = this.#listedNames.has(name.toLowerCase())
      const kept =
        error === null ? found.filter(({ address }) => isListed || this.mayReach(address)) : []
      const [first] = kept
      if (first === undefined) {
        callback(error ?? new Error('the name leads to no address that may be dialled'), '', 0)
      } else if (options.all === true) callback(null, kept)
      else callback(null, first.address, first.family)
    })
  }

  /**
   * Whether another node's address is told to a peer that comes from the IP address `from`: one of
   * a private network only to those who are on a network of this machine, too.
   */
  mayPassOn(address: Multiaddr | null, from: string | null): boolean {
    if (address === null) return false
    const host = hostOf(address)
    if (host === null) {
      const name = nameOf(address)
      return name?.includes('.') === true && !LOCAL_NAME.test(name)
    }
    if (isPublicAddress(host)) return true
    return this.mayReach(host) && from !== null && !isPublicAddress(from) && this.mayReach(from)
  }

  /** Whether one of this node's own addresses is told to peers. */
  mayTell(address: Multiaddr): boolean {
    if (this.isListed(address)) return true
    const host = hostOf(address)
    if (host === null) return true
    return includes(loopback, host) ? this.#isLoopbackNode : !includes(senseless, host)
  }
}

/** Puts a text last; the one that was put in first goes when there are too many. */
function remember(texts: Set<string>, text: string): void {
  texts.delete(text)
  texts.add(text)
  for (const oldest of texts) {
    if (texts.size <= MAX_REMEMBERED) return
    texts.delete(oldest)
  }
}

/**
 * Dials: addresses that the operator names, for ever and ever more slowly; peers that turn up on
 * the local network or in the DHT. Members that were met before are redialler.ts's.
 */
import type { Connection, PeerId } from '@libp2p/interface'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { ZoariumError } from '../../protocol/errors.ts'
import type { Log } from '../log.ts'
import { type AddressPolicy, bareAddress } from './address.ts'
import { MAX_CONNECTIONS, type NetNode } from './node.ts'
import { jitter, type Sleep } from './sleep.ts'

const DIAL_MS = 10_000
/** Wait before a kept peer is dialled again; doubles up to the last. */
const FIRST_WAIT_MS = 1_000
const LAST_WAIT_MS = 5 * 60_000
/** Time for a dial that only shows whether somebody is there. */
const PROBE_MS = 4_000

export interface DiallerOptions {
  /** The running node. @throws ZoariumError UNREACHABLE */
  readonly node: () => NetNode
  readonly addresses: AddressPolicy
  readonly sleep: Sleep
  readonly random: () => number
  readonly log: Log
  readonly signal: AbortSignal
}

export class Dialler {
  readonly #options: DiallerOptions

  constructor(options: DiallerOptions) {
    this.#options = options
  }

  /** @throws ZoariumError PARAMETER, UNREACHABLE */
  async connect(address: string): Promise<Connection> {
    const target = parseAddress(address)
    this.#options.addresses.list(target)
    try {
      return await this.dial(target)
    } catch (error) {
      const message = "couldn't connect to the address"
      throw new ZoariumError('UNREACHABLE', message, { field: address }, error)
    }
  }

  /** @param target with its PeerId where it was told by others */
  dial(target: Multiaddr | readonly Multiaddr[] | PeerId): Promise<Connection> {
    const { node, signal } = this.#options
    const within = AbortSignal.any([AbortSignal.timeout(DIAL_MS), signal])
    // SAFE: the list is not changed; libp2p only does not say so.
    return node().dial(target as Multiaddr, { signal: within })
  }

  /** Keeps a connection to an address until the network stops. */
  async keep(address: Multiaddr): Promise<void> {
    const { sleep, random, log, signal } = this.#options
    let failures = 0
    while (!signal.aborted) {
      try {
        const connection = await this.dial(address)
        failures = 0
        await closed(connection, signal)
      } catch (error) {
        failures++
        log.debug({ address: address.toString(), failures, err: error }, "couldn't dial a peer")
      }
      const wait = Math.min(FIRST_WAIT_MS * 2 ** Math.max(0, failures - 1), LAST_WAIT_MS)
      await sleep(jitter(wait, random), signal).catch(() => {})
    }
  }

  /** Makes one more connection to an address that ends in a PeerId, and closes it again. */
  async probe(address: Multiaddr): Promise<void> {
    const { node, signal } = this.#options
    const within = AbortSignal.any([AbortSignal.timeout(PROBE_MS), signal])
    const connection = await node().dial(address, { signal: within, force: true })
    // A dial to the same peer that was under way took this one with it.
    if (bareAddress(connection.remoteAddr) !== bareAddress(address)) {
      throw new ZoariumError('UNREACHABLE', 'the peer was reached at another address')
    }
    await connection.close({ signal: within })
  }

  /** Dials a peer that turned up, while there is room. */
  async found(id: PeerId): Promise<void> {
    const node = this.#options.node()
    if (node.getConnections(id).length > 0) return
    if (node.getConnections().length < MAX_CONNECTIONS / 2) await this.dial(id)
  }
}

/** @throws ZoariumError PARAMETER */
export function parseAddress(address: string): Multiaddr {
  try {
    return multiaddr(address)
  } catch (error) {
    const detail = { field: address, hint: 'for example /ip4/192.0.2.1/tcp/7071' }
    throw new ZoariumError('PARAMETER', 'not a multiaddr', detail, error)
  }
}

const closed = (connection: Connection, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (connection.status !== 'open' || signal.aborted) return resolve()
    const done = () => {
      signal.removeEventListener('abort', done)
      resolve()
    }
    connection.addEventListener('close', done)
    signal.addEventListener('abort', done)
  })

/**
 * Dials a peer back where it asks for it, so that it learns whether others reach it. Nobody can
 * make this node knock at a third party's door: only the address from which the peer comes is
 * dialled, or the one of its publisher's profile, and few times.
 */
import type { Multiaddr } from '@multiformats/multiaddr'
import type { Cid } from '../../protocol/cid.ts'
import { ZoariumError } from '../../protocol/errors.ts'
import type { Dialled } from '../../protocol/peers-message.ts'
import type { Clock } from '../../registry/clock.ts'
import { type AddressPolicy, hostOf, nameOf, parseTold } from './address.ts'
import type { Peer } from './peers.ts'
import { Budget } from './rate.ts'
import { webSocketTarget } from './web-socket-address.ts'

/** Requests of all peers together: at once, and per minute. */
export const DIAL_BACKS_BURST = 10
export const DIAL_BACKS_PER_MINUTE = 10
/** Below, only the ports of HTTP: a node behind the same NAT may share its address with others. */
const FIRST_FREE_PORT = 1024
const WEB_PORTS: readonly number[] = [80, 443]

type Result = Dialled['results'][number]

export interface DialBackOptions {
  readonly addresses: AddressPolicy
  readonly clock: Clock
  /** HTTPS URL in a publisher's profile. */
  readonly profileUrl: (publisher: Cid) => string | null
  /** Makes a connection of its own to an address that ends in a PeerId, and closes it. */
  readonly probe: (address: Multiaddr) => Promise<void>
}

export class DialBack {
  readonly #options: DialBackOptions
  readonly #budget: Budget

  constructor(options: DialBackOptions) {
    this.#options = options
    this.#budget = new Budget(options.clock, DIAL_BACKS_BURST, DIAL_BACKS_PER_MINUTE / 60)
  }

  /**
   * @param observed IP address from which the peer comes
   * @throws ZoariumError BUSY
   */
  async dial(
    peer: Peer,
    publisher: Cid,
    observed: string | null,
    addresses: readonly string[],
  ): Promise<readonly Result[]> {
    if (!peer.dialBacks.take() || !this.#budget.take()) {
      throw new ZoariumError('BUSY', 'dialled back often enough; try again in a minute')
    }
    const url = this.#options.profileUrl(publisher)
    const results: Result[] = []
    // One after the other: libp2p makes one of two dials to a peer.
    for (const each of addresses) results.push(await this.#dialOne(peer, each, observed, url))
    return results
  }

  async #dialOne(
    peer: Peer,
    text: string,
    observed: string | null,
    url: string | null,
  ): Promise<Result> {
    const { addresses, clock, probe } = this.#options
    const started = clock.now()
    const result = (code: string | null, message: string | null): Result => {
      const ms = Math.max(0, Math.round(clock.now() - started))
      return { address: text, code, message, ms }
    }
    const address = parseTold(text)
    if (address === null || !isOwn(address, observed, url)) {
      const hint = 'the host is neither the one that you come from nor that of your profile'
      return result('PARAMETER', hint)
    }
    if (!addresses.mayDial(address)) return result('PARAMETER', 'no address that may be dialled')
    try {
      await probe(address.encapsulate(`/p2p/${peer.id}`))
      return result(null, null)
    } catch (error) {
      return result('UNREACHABLE', reasonOf(error))
    }
  }
}

/** Whether nobody but the asker can be meant. */
function isOwn(address: Multiaddr, observed: string | null, url: string | null): boolean {
  const parts = address.getComponents()
  const port = Number(parts.find(({ name }) => name === 'tcp')?.value)
  const host = hostOf(address)
  if (host !== null) {
    const isFree = port >= FIRST_FREE_PORT || WEB_PORTS.includes(port)
    return host === observed && isFree && parts.every(({ name }) => name !== 'p2p')
  }
  const profile = url === null ? null : URL.parse(url)
  return (
    profile?.protocol === 'https:' &&
    webSocketTarget(address)?.isTls === true &&
    nameOf(address) === profile.hostname &&
    port === Number(profile.port || 443)
  )
}

/** What went wrong, without more of the error than one line. */
function reasonOf(error: unknown): string {
  const errors = error instanceof AggregateError ? error.errors : [error]
  const [first] = errors
  const text = first instanceof Error ? first.message || first.name : 'no connection'
  return text.split('\n')[0]?.slice(0, 200) ?? ''
}

/**
 * Under a ticket a peer asks over HTTPS for what it may have over its connection. A ticket is worth
 * as much as that connection, and ends with it.
 */
import { randomBytes } from '../../protocol/crypto.ts'
import { TICKET_BYTES } from '../../protocol/limits.ts'
import type { Peer } from './peers.ts'

export class Tickets {
  readonly #tickets = new Map<Peer, Uint8Array>()
  readonly #peers = new Map<string, Peer>()

  /** The ticket of a connected peer. */
  issue(peer: Peer): Uint8Array {
    const known = this.#tickets.get(peer)
    if (known !== undefined) return known
    const ticket = randomBytes(TICKET_BYTES)
    this.#tickets.set(peer, ticket)
    this.#peers.set(ticketText(ticket), peer)
    return ticket
  }

  /** @param text as it stands in a request */
  peerOf(text: string): Peer | null {
    return this.#peers.get(text) ?? null
  }

  /** A connection has ended. */
  end(peer: Peer): void {
    const ticket = this.#tickets.get(peer)
    if (ticket === undefined) return
    this.#tickets.delete(peer)
    this.#peers.delete(ticketText(ticket))
  }
}

/** A ticket in the header of a request. */
export const ticketText = (ticket: Uint8Array): string => Buffer.from(ticket).toString('base64url')

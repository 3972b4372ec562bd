/** What happens in a registry, for those who must act on it: synchronisation, gossip, the page. */
import type { Cid } from '../protocol/cid.ts'
import type { SignedRecord } from '../protocol/record.ts'
import type { KeyId } from './catalogue.ts'

export interface RegistryEvents {
  /** Chain, logs or heads of a publisher may be others than before; comes ahead of what says why. */
  readonly changed: { readonly publisher: Cid }
  /** A record was admitted or signed. */
  readonly record: SignedRecord
  /** A blob's bytes are here and verified. */
  readonly blob: { readonly cid: Cid; readonly size: number }
  /** Two records stand at one position of a log, and the proof is kept. */
  readonly fork: { readonly publisher: Cid; readonly key: KeyId }
  /** An identity chain is new or has grown. */
  readonly identity: { readonly publisher: Cid }
  /** A newer head is known. */
  readonly head: { readonly publisher: Cid; readonly key: KeyId; readonly envelope: Uint8Array }
  /** A trust rule was set or removed; null: others may do something else now, too. */
  readonly trust: { readonly publisher: Cid | null }
  /** Nodes of a publisher hold other models than before, as they say. */
  readonly holdings: { readonly publisher: Cid }
  /** Files of these models are about to be deleted: they are held no more. */
  readonly leaving: { readonly records: readonly Cid[] }
  /** Models of a publisher may stand otherwise than before: withdrawn, erased, taken back by a cut. */
  readonly standing: { readonly publisher: Cid }
}

type EventName = keyof RegistryEvents
type Listener<N extends EventName> = (event: RegistryEvents[N]) => void

/** Calls listeners in the order of their coming, synchronously. */
export class Events {
  readonly #listeners = new Map<EventName, Set<Listener<never>>>()

  /** @returns a function that ends the listening */
  on<N extends EventName>(name: N, listener: Listener<N>): () => void {
    const listeners = this.#listeners.get(name) ?? new Set()
    this.#listeners.set(name, listeners)
    listeners.add(listener)
    return () => void listeners.delete(listener)
  }

  emit<N extends EventName>(name: N, event: RegistryEvents[N]): void {
    // SAFE: `on` files each listener under the name that types it.
    for (const listener of this.#listeners.get(name) ?? []) (listener as Listener<N>)(event)
  }
}

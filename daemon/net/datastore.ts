/**
 * What libp2p keeps for a node: its peer book and the provider records of the DHT, in memory.
 * Anyone may put provider records here, so they are counted: so many from one peer, so many in all.
 */

import type { AbortOptions } from '@libp2p/interface'
import { MemoryDatastore } from 'datastore-core'
import type { Key } from 'interface-datastore'

/** Provider records of one peer: twice what a node provides. */
export const MAX_PROVIDED_BY_PEER = 1000
/** Provider records in all; a query walks them, 2 ms at this number. */
export const MAX_PROVIDED = 20_000
const PROVIDER_KEY = /\/provider\/[^/]+\/([^/]+)$/

export class QuotaDatastore extends MemoryDatastore {
  readonly #byPeer = new Map<string, Set<string>>()
  #providers = 0

  override put(key: Key, value: Uint8Array, options?: AbortOptions): Key | Promise<Key> {
    const peer = PROVIDER_KEY.exec(key.toString())?.[1]
    if (peer === undefined) return super.put(key, value, options)
    const keys = this.#byPeer.get(peer) ?? new Set()
    if (!keys.has(key.toString())) {
      // A record too many is dropped without a word: providing is best effort.
      if (keys.size >= MAX_PROVIDED_BY_PEER || this.#providers >= MAX_PROVIDED) return key
      keys.add(key.toString())
      this.#byPeer.set(peer, keys)
      this.#providers++
    }
    return super.put(key, value, options)
  }

  override delete(key: Key, options?: AbortOptions): void {
    const peer = PROVIDER_KEY.exec(key.toString())?.[1]
    if (peer !== undefined) {
      const keys = this.#byPeer.get(peer)
      if (keys?.delete(key.toString())) this.#providers--
      if (keys?.size === 0) this.#byPeer.delete(peer)
    }
    super.delete(key, options)
  }
}

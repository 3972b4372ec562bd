/**
 * What libp2p keeps for a node: its book of addresses and the provider records of the DHT. Anyone
 * may send both, so they are counted: so many from one peer, so many in all.
 */
import { type AbortOptions, NotFoundError } from '@libp2p/interface'
import { BaseDatastore } from 'datastore-core'
import { Key, type KeyQuery, type Pair, type Query } from 'interface-datastore'
import type { Clock } from '../../registry/clock.ts'
import type { SqliteHints } from '../../registry/sqlite-hints.ts'

/** Provider records of one peer: twice what a node provides. */
export const MAX_PROVIDED_BY_PEER = 1000
/** Provider records in all, besides this node's own. */
export const MAX_PROVIDED = 20_000
/** Peers whose addresses are kept, and other things; the oldest go first. */
export const MAX_KEPT = 2_000
/** Largest value: an entry of the book holds what one `identify` says, 8 KiB. */
export const MAX_VALUE_BYTES = 64 * 1024
/** A provider record holds for so long; libp2p removes those that ran out while it runs. */
export const PROVIDER_LIFE_MS = 48 * 3600_000
const PROVIDER_KEY = /\/provider\/[^/]+\/([^/]+)$/
/** Rows that are read at once. */
const PAGE = 256

export interface HintDatastoreOptions {
  readonly hints: SqliteHints
  readonly clock: Clock
  /** This node's own PeerId: its provider records are neither counted nor refused. */
  readonly self: string
  /** Whether provider records of a peer are taken in. */
  readonly accepts: (peer: string) => boolean
}

export class HintDatastore extends BaseDatastore {
  readonly #hints: SqliteHints
  readonly #self: string
  readonly #accepts: (peer: string) => boolean
  readonly #byPeer = new Map<string, number>()
  #providers = 0
  #kept = 0

  constructor({ hints, clock, self, accepts }: HintDatastoreOptions) {
    super()
    this.#hints = hints
    this.#self = self
    this.#accepts = accepts
    hints.dropBefore('provider', clock.now() - PROVIDER_LIFE_MS)
    for (const { kind, peer, count } of hints.counts()) this.#count(kind, peer, count)
  }

  #count(kind: string, peer: string, change: number): void {
    if (kind !== 'provider') {
      this.#kept += change
      return
    }
    if (peer === this.#self) return
    this.#providers += change
    const left = (this.#byPeer.get(peer) ?? 0) + change
    if (left === 0) this.#byPeer.delete(peer)
    else this.#byPeer.set(peer, left)
  }

  override put(key: Key, value: Uint8Array, _options?: AbortOptions): Key {
    const name = key.toString()
    const peer = PROVIDER_KEY.exec(name)?.[1]
    const kind = peer === undefined ? 'kept' : 'provider'
    // What is too much is dropped without a word: all of it is best effort.
    if (value.length > MAX_VALUE_BYTES) return key
    const isNew = this.#hints.get(name) === null
    if (peer !== undefined && !this.#mayProvide(peer, isNew)) return key
    if (peer === undefined && isNew && this.#kept >= MAX_KEPT) {
      this.#kept -= this.#hints.dropOldest('kept', this.#kept - MAX_KEPT + 1)
    }
    this.#hints.put(name, value, { kind, peer: peer ?? '' })
    if (isNew) this.#count(kind, peer ?? '', 1)
    return key
  }

  #mayProvide(peer: string, isNew: boolean): boolean {
    if (peer === this.#self) return true
    if (!this.#accepts(peer)) return false
    const count = this.#byPeer.get(peer) ?? 0
    return !isNew || (count < MAX_PROVIDED_BY_PEER && this.#providers < MAX_PROVIDED)
  }

  override get(key: Key): Uint8Array {
    const value = this.#hints.get(key.toString())
    if (value === null) throw new NotFoundError('no value under that key')
    return value
  }

  override has(key: Key): boolean {
    return this.#hints.get(key.toString()) !== null
  }

  override delete(key: Key): void {
    const owner = this.#hints.delete(key.toString())
    if (owner !== null) this.#count(owner.kind, owner.peer, -1)
  }

  override *_all({ prefix = '/' }: Pick<Query, 'prefix'>): Generator<Pair> {
    let after = ''
    while (true) {
      const rows = this.#hints.list(prefix, after, PAGE)
      for (const { key, value } of rows) yield { key: new Key(key, false), value }
      const last = rows.at(-1)
      if (last === undefined || rows.length < PAGE) return
      after = last.key
    }
  }

  override *_allKeys(query: KeyQuery): Generator<Key> {
    for (const { key } of this._all(query)) yield key
  }
}

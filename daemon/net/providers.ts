/**
 * Who holds a file: connected peers first, then those that the DHT names for a model. And the other
 * way round: tells the DHT of models that are whole here.
 */
import { type Cid, linkOf } from '../../protocol/cid.ts'
import { ZoariumError } from '../../protocol/errors.ts'
import type { Clock } from '../../registry/clock.ts'
import type { Log } from '../log.ts'
import type { PublicWeb } from '../public-web.ts'
import type { Archive } from './archive.ts'
import type { TransferLimits, WantedBlob } from './leaf-lane.ts'
import type { Links } from './links.ts'
import type { NetNode } from './node.ts'
import type { PartialBlobs } from './partial-blobs.ts'
import type { Peer, PeerBook } from './peers.ts'
import { Transfer } from './transfer.ts'

/** Answers of the DHT are hints; nothing waits longer for them. */
const DHT_MS = 8_000
/** Models that a node provides in the DHT, and how many of them in one round: each takes 0.25 s. */
export const MAX_PROVIDED = 500
export const PROVIDED_PER_ROUND = 10
/** Told again after this: nodes that came since, or did not list this publisher then, hear of it. */
export const PROVIDE_AGAIN_MS = 6 * 3600_000

export interface FetchOptions {
  /** A model record that names the blob: where the DHT is asked for it. */
  readonly record?: Cid
  readonly signal: AbortSignal
  /** Bytes that are here so far. */
  readonly onProgress?: (done: number) => void
  /** PeerIds to ask; default all connected ones, then the DHT. */
  readonly peers?: readonly string[]
}

export interface ProvidersOptions {
  readonly archive: Archive
  readonly links: Links
  readonly book: PeerBook
  readonly partials: PartialBlobs
  readonly web: PublicWeb | null
  readonly random: () => number
  readonly limits: TransferLimits
  readonly clock: Clock
  /** Peers in the table of the DHT; null: this node takes no part in it. */
  readonly dhtPeers: () => number | null
  readonly log: Log
  readonly signal: AbortSignal
  /** The running node. @throws ZoariumError UNREACHABLE */
  readonly node: () => NetNode
}

export class Providers {
  readonly #options: ProvidersOptions
  readonly #fetching = new Set<Promise<void>>()
  /** What the DHT was told of, and when. */
  readonly #provided = new Map<Cid, number>()

  constructor(options: ProvidersOptions) {
    this.#options = options
  }

  /** Like `Network.fetchBlob`. */
  fetch(blob: WantedBlob, options: FetchOptions): Promise<void> {
    const fetching = this.#fetch(blob, options).finally(() => this.#fetching.delete(fetching))
    this.#fetching.add(fetching)
    return fetching
  }

  /** Resolves when nothing is fetched any more. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#fetching)
  }

  async #fetch(blob: WantedBlob, options: FetchOptions): Promise<void> {
    const { archive, links, partials, web, random, limits, log, signal } = this.#options
    if (archive.blobs.stat(blob.cid) !== null) return
    const { record, peers, onProgress = () => {} } = options
    const any = AbortSignal.any([options.signal, signal])
    const transfer = new Transfer(blob, {
      archive,
      links,
      partials,
      web,
      random,
      limits,
      signal: any,
      onProgress,
      onDetour: (peer, error) =>
        log.info({ peer: peer.id, err: error }, 'no files over HTTPS, streams are used'),
    })
    try {
      const first = this.#candidates(record, peers)
      await transfer.from(first)
      const isPublic = record !== undefined && archive.mayReadRecord(record, null)
      if (!transfer.isComplete && isPublic && peers === undefined) {
        const found = await this.#find(record)
        await transfer.from(found.filter((peer) => !first.includes(peer)))
      }
      if (!transfer.isComplete) {
        throw new ZoariumError('NO_PROVIDER', 'no reachable node gave the file', {
          field: blob.cid,
          issues: transfer.issues,
          hint: this.#asked(first.length, isPublic && peers === undefined),
        })
      }
      await transfer.finish()
    } catch (error) {
      await transfer.close()
      throw error
    }
  }

  /** Who was asked for a file that nobody gave. */
  #asked(count: number, isSought: boolean): string {
    const connected = `connected nodes asked: ${count}`
    if (!isSought) return connected
    const table = this.#options.dhtPeers()
    if (table === null) return `${connected}; this node takes no part in the DHT`
    if (table === 0) return `${connected}; nobody else that it knows takes part in the DHT`
    return `${connected}; the DHT (${table} nodes) named no other that answers`
  }

  /** Connected peers that may have and know of a blob: members first, the quickest first. */
  #candidates(record: Cid | undefined, named: readonly string[] | undefined): readonly Peer[] {
    const { book, archive } = this.#options
    const mayAsk = (peer: Peer): boolean =>
      (named === undefined || named.includes(peer.id)) &&
      (record === undefined || archive.mayReadRecord(record, book.publisherOf(peer)))
    const peers = book.connected().filter(mayAsk)
    const rank = (peer: Peer): number => (book.isMember(peer) ? 0 : 1e9) + peer.leafMs
    return [...peers].sort((a, b) => rank(a) - rank(b))
  }

  /** Peers that the DHT names as providers of a record's files, connected now. */
  async #find(record: Cid): Promise<readonly Peer[]> {
    const node = this.#options.node()
    // An empty table cannot answer, and would be waited for.
    if (!this.#options.dhtPeers()) return []
    const found: Peer[] = []
    const signal = this.#within()
    try {
      for await (const { id } of node.contentRouting.findProviders(linkOf(record), { signal })) {
        if (id.equals(node.peerId)) continue
        const peer = await this.#dial(node, id, signal)
        if (peer !== null) found.push(peer)
      }
    } catch (error) {
      this.#options.log.debug({ record, err: error }, 'the DHT gave no more providers')
    }
    return found
  }

  /** Providers that vanished stay listed for days: one that does not answer is passed over. */
  async #dial(node: NetNode, id: NetNode['peerId'], signal: AbortSignal): Promise<Peer | null> {
    try {
      await node.dial(id, { signal })
      return this.#options.book.get(id.toString())
    } catch {
      return null
    }
  }

  /** Tells the DHT of some models that it was not told of lately, and no more of those that went. */
  async provide(): Promise<void> {
    const { archive, clock, dhtPeers } = this.#options
    const node = this.#options.node()
    if (node.services.dht === undefined || dhtPeers() === 0) return
    const provided = archive.provided(MAX_PROVIDED)
    const now = clock.now()
    const isDue = (record: Cid): boolean => {
      const at = this.#provided.get(record)
      return at === undefined || Math.abs(now - at) >= PROVIDE_AGAIN_MS
    }
    for (const record of provided.filter(isDue).slice(0, PROVIDED_PER_ROUND)) {
      await node.contentRouting.provide(linkOf(record), { signal: this.#within() })
      this.#provided.set(record, now)
    }
    const kept = new Set(provided)
    for (const record of this.#provided.keys()) {
      if (kept.has(record)) continue
      await node.contentRouting.cancelReprovide(linkOf(record), { signal: this.#within() })
      this.#provided.delete(record)
    }
  }

  #within(): AbortSignal {
    return AbortSignal.any([AbortSignal.timeout(DHT_MS), this.#options.signal])
  }
}

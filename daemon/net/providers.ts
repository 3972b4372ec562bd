/**
 * Who holds a file: connected peers first, then those that the DHT names for a model. And the other
 * way round: tells the DHT of models that are whole here.
 */
import { type Cid, linkOf } from '../../protocol/cid.ts'
import { ZoariumError } from '../../protocol/errors.ts'
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
/** Models that a node provides in the DHT, and how many of them in one round. */
const MAX_PROVIDED = 500
const PROVIDED_PER_ROUND = 10

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
  readonly log: Log
  readonly signal: AbortSignal
  /** The running node. @throws ZoariumError UNREACHABLE */
  readonly node: () => NetNode
}

export class Providers {
  readonly #options: ProvidersOptions
  readonly #fetching = new Set<Promise<void>>()
  readonly #provided = new Set<Cid>()

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
        })
      }
      await transfer.finish()
    } catch (error) {
      await transfer.close()
      throw error
    }
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
    if (node.services.dht === undefined) return []
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

  /** Tells the DHT of some models that it was not told of yet. */
  async provide(): Promise<void> {
    const { archive, book } = this.#options
    const node = this.#options.node()
    if (node.services.dht === undefined || book.connected().length === 0) return
    const records = archive
      .provided(MAX_PROVIDED)
      .filter((record) => !this.#provided.has(record))
      .slice(0, PROVIDED_PER_ROUND)
    for (const record of records) {
      await node.contentRouting.provide(linkOf(record), { signal: this.#within() })
      this.#provided.add(record)
    }
  }

  #within(): AbortSignal {
    return AbortSignal.any([AbortSignal.timeout(DHT_MS), this.#options.signal])
  }
}

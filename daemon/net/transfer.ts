/**
 * Fetches one blob from several sources at once: nodes that have all of it, and nodes that are
 * fetching it too. The tree comes first and is verified; then worker streams of every source take
 * leaves, by the order of leaf-plan.ts. Each leaf is verified before it is kept, and passed on from
 * then on. A source that sends wrong bytes or falls below the least rate is left, and what it was
 * asked for is asked of others.
 */
import { leafCount, readTree } from '../../protocol/content-tree.ts'
import { type Code, expectOk, type Issue, refuse, ZoariumError } from '../../protocol/errors.ts'
import { LeafSet } from '../../protocol/leaf-set.ts'
import { LEAF_BYTES } from '../../protocol/limits.ts'
import { PROTOCOLS } from '../../protocol/message.ts'
import type { Download } from '../../registry/blob-store.ts'
import type { PublicWeb } from '../public-web.ts'
import type { Archive } from './archive.ts'
import {
  type LeafLane,
  PROVIDER_CODES,
  StreamLane,
  type TransferLimits,
  type WantedBlob,
} from './leaf-lane.ts'
import { LeafPlan, type LeafSource } from './leaf-plan.ts'
import type { Links } from './links.ts'
import { PartialBlob, type PartialBlobs } from './partial-blobs.ts'
import type { Peer } from './peers.ts'
import { type Road, RoadChoice } from './road-choice.ts'
import { ticketText } from './tickets.ts'
import type { WebDoor } from './web-door.ts'
import { WebLane } from './web-lane.ts'

/** Worker streams to a node that has all: enough to fill a path of 50 ms, few enough for one core. */
export const STREAMS_PER_PROVIDER = 4
/** The same over HTTPS; each asks over two connections at a time. */
const LANES_PER_ADDRESS = 4
/** A file of fewer leaves is there before a second road could show what it is worth. */
const WEB_LEAVES = 8
/** Worker streams to a node that is fetching too: there are many of them, with less to give. */
const STREAMS_PER_FETCHER = 1
/** Leaves asked for at a time on one stream, so that the source never waits for the next. */
const ASKED_PER_STREAM = 2
/** Sources used at once. */
export const MAX_PROVIDERS = 16
/** Worker streams in all; with what is asked for on each this bounds memory at 64 MiB. */
const MAX_STREAMS = 32
/** A peer that has nothing of it may be fetching it soon: it is asked again, less and less often. */
const FIRST_AGAIN_MS = 250
const LAST_AGAIN_MS = 4_000
/** Time-bound decisions of the plan are looked at so often. */
const POLL_MS = 500
/** What a node has that is fetching too is asked for so often at most. */
const FOLLOW_MS = 250
/** A stream with nothing to ask says so often that it is still there; sources close idle ones. */
const KEEP_MS = 20_000
/** Without any new leaf for so long, nodes that are fetching too are given up. */
const STUCK_MS = 30_000

export interface TransferOptions {
  readonly archive: Archive
  readonly links: Links
  readonly partials: PartialBlobs
  /** The web, where leaves may be asked for there. */
  readonly web: PublicWeb | null
  readonly random: () => number
  readonly limits: TransferLimits
  readonly signal: AbortSignal
  /** Bytes that are here so far, of the blob's size. */
  readonly onProgress: (done: number) => void
  /** A road to a source has failed, and another is taken. */
  readonly onDetour: (peer: Peer, error: ZoariumError) => void
}

/** The tree of this blob was served; the provider is of use. */
interface Begun {
  readonly download: Download
  readonly partial: PartialBlob
  readonly plan: LeafPlan
}

interface Source extends LeafSource {
  readonly peer: Peer
  readonly roads: RoadChoice
  /** Worker lanes to it, by road. */
  readonly lanes: Record<Road, number>
}

interface Candidate {
  readonly peer: Peer
  /** When it is asked, of `performance.now()`. */
  readonly at: number
  /** How long it is given until it is asked once more; null: it was not asked yet. */
  readonly againMs: number | null
}

export class Transfer {
  readonly #blob: WantedBlob
  readonly #options: TransferOptions
  readonly #lanes = new Set<LeafLane>()
  /** Those on which a source owes an answer. */
  readonly #owing = new Set<LeafLane>()
  readonly #waiting = new Set<() => void>()
  #begun: Promise<Begun> | null = null
  /** Null before the tree is known. */
  #plan: LeafPlan | null = null
  #streams = 0
  /** Peers that are being asked or used. */
  #busy = 0
  /** Peers that are not used yet and were not given up. */
  readonly #expected = new Set<Peer>()
  #failure: ZoariumError | null = null
  /** Why each source was of no use. */
  readonly issues: Issue[] = []

  constructor(blob: WantedBlob, options: TransferOptions) {
    this.#blob = blob
    this.#options = options
  }

  get isComplete(): boolean {
    return this.#plan?.left === 0
  }

  /**
   * Fetches what these peers have of it.
   * @throws ZoariumError CANCELLED, DISK_FULL, STORE; not for what peers did
   */
  async from(peers: readonly Peer[]): Promise<void> {
    const { signal } = this.#options
    const cancel = () =>
      this.#fail(new ZoariumError('CANCELLED', 'the transfer was cancelled', {}, signal.reason))
    if (signal.aborted) cancel()
    signal.addEventListener('abort', cancel)
    try {
      for (const peer of peers) this.#expected.add(peer)
      const candidates: Candidate[] = peers.map((peer) => ({ peer, at: 0, againMs: null }))
      await Promise.all(Array.from({ length: MAX_PROVIDERS }, () => this.#use(candidates)))
    } finally {
      signal.removeEventListener('abort', cancel)
    }
    if (this.#failure !== null) throw this.#failure
  }

  #isUsed(peer: Peer): void {
    this.#expected.delete(peer)
    if (this.#plan !== null) this.#plan.expected = this.#expected.size
  }

  /** Uses one candidate after the other. Those that have nothing yet come again, while others give. */
  async #use(candidates: Candidate[]): Promise<void> {
    for (let next = candidates.shift(); next !== undefined; next = candidates.shift()) {
      const { peer, at, againMs } = next
      const isAgain = againMs !== null
      // While nobody gives anything, nobody gets to have it.
      await this.#until(at, () => this.#busy === 0)
      if (this.#isOver() || (isAgain && this.#busy === 0)) return
      this.#busy++
      const code = await this.#provide(peer, isAgain)
      this.#busy--
      if (code !== 'BLOB_MISSING') this.#isUsed(peer)
      else {
        const ms = againMs ?? FIRST_AGAIN_MS
        const later = { at: performance.now() + ms, againMs: Math.min(2 * ms, LAST_AGAIN_MS) }
        candidates.push({ peer, ...later })
      }
      this.#wake()
    }
  }

  /** Makes the blob visible. @throws ZoariumError CONTENT_MISMATCH, DISK_FULL, STORE */
  async finish(): Promise<void> {
    const { archive } = this.#options
    const begun = await this.#begun
    if (begun === null) throw new TypeError('nothing was begun')
    const { cid, size, sha256 } = this.#blob
    // Before the bytes are visible, so that they can be served from then on.
    archive.keepTree(cid, begun.partial.nodes)
    await begun.download.finish(sha256)
    this.#options.partials.delete(cid)
    archive.blobKept(cid, size)
  }

  /** Keeps what came for a later try. */
  async close(): Promise<void> {
    const begun = await this.#begun?.catch(() => null)
    if (!begun) return
    this.#options.partials.delete(this.#blob.cid)
    await begun.download.close()
  }

  #isOver(): boolean {
    return this.isComplete || this.#failure !== null
  }

  #fail(error: ZoariumError): void {
    this.#failure ??= error
    for (const lane of this.#lanes) lane.abort(error)
    this.#wake()
  }

  /** Ends the waiting for sources that are no longer needed: some never answer. */
  #endIfComplete(): void {
    if (!this.isComplete) return
    for (const lane of this.#owing) lane.abort(isHere())
    this.#wake()
  }

  #wake(): void {
    for (const wake of this.#waiting) wake()
    this.#waiting.clear()
  }

  #note(peer: Peer, code: Code, message: string): void {
    this.issues.push({ code, message, field: peer.id })
  }

  /**
   * Uses one source until nothing is left or it fails; never throws for what it did.
   * @returns why it was of no use; null: it was, or is not needed any more
   */
  async #provide(peer: Peer, isAgain: boolean): Promise<Code | null> {
    try {
      await this.#withStream(peer, async (first) => {
        const { begun, source } = await this.#askTree(peer, first)
        begun.plan.add(source)
        this.#isUsed(peer)
        this.#wake()
        try {
          await this.#drain(first, begun, source)
        } finally {
          begun.plan.remove(source)
          this.#wake()
        }
      })
    } catch (error) {
      if (!(error instanceof ZoariumError)) throw error
      const { code, message } = error
      if (LOCAL_FAILURES.has(code)) this.#fail(error)
      if (this.#isOver()) return null
      if (!isAgain) this.#note(peer, code, message)
      if (!PROVIDER_CODES.has(code)) peer.failed()
      this.#options.links.blame(peer, code)
      return code
    }
    return null
  }

  /** Takes from a source over all its lanes. @throws ZoariumError what ended its use */
  async #drain(first: StreamLane, begun: Begun, source: Source): Promise<void> {
    const { peer, roads } = source
    const stop = new AbortController()
    const isWhole = source.have === null
    const wanted = isWhole ? STREAMS_PER_PROVIDER : STREAMS_PER_FETCHER
    const extra = this.#room(wanted - 1, 1)
    const works = [
      this.#work(first, 'stream', begun, source, stop.signal),
      ...Array.from({ length: extra }, () =>
        this.#withStream(peer, (lane) => this.#work(lane, 'stream', begun, source, stop.signal)),
      ),
    ]
    source.lanes.stream = works.length
    this.#streams += works.length
    const all = works.map((each) =>
      each.finally(() => {
        this.#streams--
        source.lanes.stream--
        // Whoever follows what is there has nothing to do any more.
        if (source.lanes.stream === 0) stop.abort()
      }),
    )
    if (!isWhole) {
      all.push(this.#withStream(peer, (lane) => this.#follow(lane, source, stop.signal)))
    }
    if (roads.uses('web')) all.push(this.#overWeb(begun, source, stop.signal))
    const results = await Promise.allSettled(
      all.map((each) =>
        each.catch((error: unknown) => {
          // One stream refused is the source's limit; wrong bytes end its use altogether.
          if (codeOf(error) !== 'BUSY') stop.abort(error)
          throw error
        }),
      ),
    )
    peer.road = roads.found ?? peer.road
    const errors = results.flatMap((each) => (each.status === 'rejected' ? [each.reason] : []))
    const error = errors.find((each) => !ENDS.has(codeOf(each))) ?? errors[0]
    if (error !== undefined && !this.#isOver()) throw error
  }

  /** How many of some more lanes there may be, with `others` already decided on. */
  #room(wanted: number, others: number): number {
    return Math.max(0, Math.min(wanted, MAX_STREAMS - this.#streams - others))
  }

  /**
   * Takes from a source over HTTPS, until that fails. Nobody has signed for what comes, so that
   * wrong bytes speak against this road alone.
   * @throws ZoariumError DISK_FULL, STORE
   */
  async #overWeb(begun: Begun, source: Source, stop: AbortSignal): Promise<void> {
    const lanes = this.#room(LANES_PER_ADDRESS, 0)
    this.#streams += lanes
    source.lanes.web = lanes
    try {
      if (lanes === 0)
        throw new ZoariumError('BUSY', 'no room for more lanes', { limit: MAX_STREAMS })
      const door = await this.#door(source.peer)
      const open = Array.from(
        { length: lanes },
        () => new WebLane(door, this.#blob, this.#options.limits),
      )
      for (const lane of open) this.#lanes.add(lane)
      try {
        await Promise.all(open.map((lane) => this.#work(lane, 'web', begun, source, stop)))
      } finally {
        for (const lane of open) {
          this.#lanes.delete(lane)
          this.#owing.delete(lane)
          lane.abort(isHere())
        }
      }
    } catch (error) {
      if (!(error instanceof ZoariumError) || LOCAL_FAILURES.has(error.code)) throw error
      if (this.#isOver() || stop.aborted) return
      source.peer.door = null
      source.roads.fail('web', performance.now())
      this.#options.onDetour(source.peer, error)
      this.#wake()
    } finally {
      this.#streams -= lanes
      source.lanes.web = 0
    }
  }

  /** Where a source gives leaves over HTTPS. @throws ZoariumError what is in the way */
  async #door(peer: Peer): Promise<WebDoor> {
    if (peer.door !== null) return peer.door
    const { archive, links, web } = this.#options
    const publisher = links.publisherOf(peer)
    const address = publisher && archive.webAddress(publisher)
    const url = address && URL.parse(address)
    if (!url || web === null) throw new ZoariumError('NOT_FOUND', 'the profile has no address')
    let ticket: Uint8Array | null = null
    await this.#withStream(peer, async (lane) => {
      ticket = await lane.ticket()
    })
    if (ticket === null) throw isHere()
    const [first] = expectOk(await web.addresses(url.hostname))
    peer.door = { web, url, address: first, ticket: ticketText(ticket) }
    return peer.door
  }

  async #withStream(peer: Peer, use: (lane: StreamLane) => Promise<void>): Promise<void> {
    if (this.#isOver()) return
    const { links, limits } = this.#options
    const lane = new StreamLane(await links.open(peer, PROTOCOLS.blob), this.#blob, limits)
    this.#lanes.add(lane)
    try {
      await use(lane)
      await lane.close()
    } catch (error) {
      if (error instanceof ZoariumError) lane.abort(error)
      throw error
    } finally {
      this.#lanes.delete(lane)
      this.#owing.delete(lane)
    }
  }

  /** An answer that is not waited for once the file is here. */
  async #owed<T>(lane: LeafLane, answer: () => Promise<T>): Promise<T> {
    this.#owing.add(lane)
    const value = await answer()
    this.#owing.delete(lane)
    return value
  }

  async #askTree(peer: Peer, lane: StreamLane): Promise<{ begun: Begun; source: Source }> {
    const { cid, size } = this.#blob
    if (this.#isOver()) throw isHere()
    const tree = await this.#owed(lane, () => lane.tree())
    if (tree.size !== size) {
      throw ZoariumError.of(
        refuse('CONTENT_MISMATCH', 'the file has another size', { limit: size, got: tree.size }),
      )
    }
    const leaves = expectOk(readTree(cid, tree.size, tree.nodes))
    const have = lane.leaves(tree.have)
    this.#begun ??= this.#begin(tree.nodes, leaves)
    const now = performance.now()
    const roads = new RoadChoice(this.#roadsTo(peer, have), peer.road, now)
    return { begun: await this.#begun, source: { peer, have, roads, lanes: { stream: 0, web: 0 } } }
  }

  #roadsTo(peer: Peer, have: LeafSet | null): readonly Road[] {
    const { web, archive, links } = this.#options
    const publisher = links.publisherOf(peer)
    const isOnWeb =
      web !== null &&
      have === null &&
      leafCount(this.#blob.size) >= WEB_LEAVES &&
      publisher !== null &&
      archive.webAddress(publisher) !== null
    return isOnWeb ? ['stream', 'web'] : ['stream']
  }

  async #begin(nodes: readonly Uint8Array[], leaves: readonly Uint8Array[]): Promise<Begun> {
    const { cid, size } = this.#blob
    const { archive, partials, random } = this.#options
    const download = await archive.blobs.download(cid, size, leaves)
    const partial = new PartialBlob(download, nodes)
    partials.add(cid, partial)
    const missing = new LeafSet(leaves.length)
    for (const index of download.missing()) missing.add(index)
    this.#plan = new LeafPlan(missing, random, performance.now())
    this.#plan.expected = this.#expected.size
    this.#progress()
    this.#endIfComplete()
    return { download, partial, plan: this.#plan }
  }

  #progress(): void {
    const { size } = this.#blob
    this.#options.onProgress(Math.max(0, size - (this.#plan?.left ?? 0) * LEAF_BYTES))
  }

  /** Takes leaves over one lane until none is left. */
  async #work(
    lane: LeafLane,
    road: Road,
    begun: Begun,
    source: Source,
    stop: AbortSignal,
  ): Promise<void> {
    const { plan } = begun
    const { roads } = source
    const asked: number[] = []
    /** Since when this lane has had nothing to do, or has done what is under way. */
    let since = performance.now()
    let quietSince = since
    const cut = () => lane.abort(new ZoariumError('PEER', 'the source is left'))
    stop.addEventListener('abort', cut)
    try {
      while (!this.#isOver() && !stop.aborted) {
        while (asked.length < ASKED_PER_STREAM && roads.uses(road)) {
          const now = performance.now()
          const choice = plan.next(source, now)
          if (choice === null) break
          if (asked.length === 0) since = now
          plan.asked(source, choice.index, now)
          asked.push(choice.index)
          this.#owing.add(lane)
          await lane.ask(choice)
        }
        const index = asked[0]
        if (index !== undefined) {
          const bytes = await this.#take(lane, begun, index)
          asked.shift()
          plan.answered(source, index)
          quietSince = performance.now()
          if (bytes > 0) {
            roads.took(road, quietSince)
            source.peer.gave(bytes * lanesOf(source), quietSince - since)
          }
          since = quietSince
          continue
        }
        this.#owing.delete(lane)
        const now = performance.now()
        if (source.have !== null && plan.idleFor(now) > STUCK_MS) {
          throw new ZoariumError('TIMEOUT', 'nobody has the rest of the file')
        }
        if (now - quietSince > KEEP_MS) {
          quietSince = now
          await this.#owed(lane, () => lane.keep())
        }
        await this.#changed(POLL_MS, stop)
      }
    } finally {
      stop.removeEventListener('abort', cut)
      // What was asked for and did not come is for others.
      for (const index of asked) plan.answered(source, index)
      if (asked.length > 0) this.#wake()
    }
  }

  /** @returns bytes that came */
  async #take(lane: LeafLane, { plan, download, partial }: Begun, index: number): Promise<number> {
    const answer = await lane.answer()
    if ('given' in answer) {
      plan.given(answer.given)
      return 0
    }
    const { bytes } = answer
    // Another source was quicker.
    if (!plan.needs(index)) return bytes.length
    if (!(await download.write(index, bytes))) {
      throw new ZoariumError('CONTENT_MISMATCH', 'the peer sent wrong bytes', { got: index })
    }
    if (!plan.needs(index)) return bytes.length
    plan.took(index, performance.now())
    partial.kept(index)
    this.#progress()
    this.#endIfComplete()
    return bytes.length
  }

  /** Keeps up with what a node has that is fetching too. */
  async #follow(lane: StreamLane, source: Source, stop: AbortSignal): Promise<void> {
    const cut = () => lane.abort(isHere())
    stop.addEventListener('abort', cut)
    try {
      while (source.have !== null && !this.#isOver() && !stop.aborted) {
        const { size } = source.have
        source.have = await this.#owed(lane, () => lane.have(size))
        this.#wake()
        await this.#until(performance.now() + FOLLOW_MS, () => stop.aborted, stop)
      }
    } finally {
      stop.removeEventListener('abort', cut)
    }
  }

  /** Resolves at a time, or when the transfer or what it is for is over. */
  async #until(at: number, isOver: () => boolean, stop?: AbortSignal): Promise<void> {
    while (!this.#isOver() && !isOver()) {
      const left = at - performance.now()
      if (left <= 0) return
      await this.#changed(left, stop)
    }
  }

  /** Resolves when there may be something to do that there was not, at the latest after a time. */
  #changed(withinMs: number, stop?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        clearTimeout(timer)
        this.#waiting.delete(wake)
        stop?.removeEventListener('abort', wake)
        resolve()
      }
      const timer = setTimeout(wake, withinMs)
      stop?.addEventListener('abort', wake)
      this.#waiting.add(wake)
    })
  }
}

/** Lanes that are in use. */
const lanesOf = ({ roads, lanes }: Source): number =>
  (roads.uses('stream') ? lanes.stream : 0) + (roads.uses('web') ? lanes.web : 0)

const isHere = (): ZoariumError => new ZoariumError('CANCELLED', 'the file is here already')

/** Failures of this node: another provider would not help. */
const LOCAL_FAILURES: ReadonlySet<Code> = new Set(['DISK_FULL', 'STORE'])

/** Codes of streams that end for the end of others. */
const ENDS: ReadonlySet<Code | null> = new Set(['BUSY', 'CANCELLED'])

const codeOf = (error: unknown): Code | null => (error instanceof ZoariumError ? error.code : null)

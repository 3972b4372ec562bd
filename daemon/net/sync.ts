/**
 * Sync over streams: drives the exchange of protocol/sync.ts. One request, one answer, all on one
 * stream; the answering side is bounded by time and, towards strangers, by bytes; the asking side by
 * time, bytes and faults. An exchange that meets a bound ends; the next one goes on from there.
 */
import { setImmediate } from 'node:timers/promises'
import type { SyncView } from '../../protocol/api.ts'
import type { Cid } from '../../protocol/cid.ts'
import { refuse, type Verdict, ZoariumError } from '../../protocol/errors.ts'
import { MAX_FRAME_BYTES } from '../../protocol/limits.ts'
import { expectReply, failureMessage, PROTOCOLS } from '../../protocol/message.ts'
import { introduce, pull } from '../../protocol/sync.ts'
import { answer } from '../../protocol/sync-answer.ts'
import { type SyncReply, syncReplies, syncRequests } from '../../protocol/sync-message.ts'
import type { SyncMemory } from '../../protocol/sync-publishers.ts'
import type { PlainRecord, SyncSource } from '../../protocol/sync-source.ts'
import type {
  SyncEffect,
  SyncInput,
  SyncOutcome,
  SyncPull,
  SyncRefusal,
} from '../../protocol/sync-step.ts'
import { type Archive, readableBy } from './archive.ts'
import type { Links } from './links.ts'
import type { Peer } from './peers.ts'
import type { FrameStream } from './stream.ts'

/** How long one side waits for the other's next message. */
const REPLY_MS = 15_000
/** Longest exchange; a stranger's is paced and may need all of it. */
const EXCHANGE_MS = 10 * 60_000
/** Bytes of one exchange; a million usual records are 3 GB, so many exchanges. */
const EXCHANGE_BYTES = 512 * 1024 * 1024
/** Requests answered on one stream. */
const MAX_REQUESTS = 20_000
/** Refusals that a report names. */
const MAX_REFUSED = 20

/** What came of one exchange. */
/** Records, and cards among them, that are admitted in one go: some tens of milliseconds. */
const BATCH_RECORDS = 250
const BATCH_CARDS = 32

export interface SyncReport extends SyncView {
  /** The other side lacks something. */
  readonly behind: boolean
  /** A bound was met; there is more. */
  readonly more: boolean
  /** Own keys of whose logs all that the peer has is here now; it follows them and may read them. */
  readonly confirms: readonly string[]
  /** What was offered and not taken in, the first ones. */
  readonly refused: readonly SyncRefusal[]
}

/** What a peer hands out for the id of a roster record or issuer. */
export interface FoundRoster {
  /** Rosters that fit. */
  readonly records: readonly Cid[]
  /** The file of the only one. */
  readonly car: Uint8Array | null
}

/**
 * Own keys of whose logs a peer can have no more than is here, after an exchange with it.
 * @param reader the publisher that the peer is bound to; null: none
 */
export function confirmedBy(
  { publisher, keys, mayRead }: Pick<Archive, 'publisher' | 'keys' | 'mayRead'>,
  reader: Cid | null,
  { theirs }: SyncMemory,
  { failure, more, refused }: SyncOutcome,
): readonly string[] {
  const isWhole = failure === null && !more && refused.every((each) => each.publisher !== publisher)
  if (!isWhole || !theirs?.includes(publisher)) return []
  return [...keys].filter((key) => mayRead(publisher, key, reader))
}

export class SyncService {
  readonly #archive: Archive
  readonly #links: Links
  readonly #running = new Map<string, Promise<SyncReport>>()

  constructor(archive: Archive, links: Links) {
    this.#archive = archive
    this.#links = links
  }

  /** Pulls what a peer has and this node lacks; a pull under way is joined. Never throws. */
  sync(peer: Peer): Promise<SyncReport> {
    let running = this.#running.get(peer.id)
    if (running === undefined) {
      running = this.#exchange(peer, pull(this.#readable(peer), peer.memory)).finally(() =>
        this.#running.delete(peer.id),
      )
      this.#running.set(peer.id, running)
    }
    return running
  }

  /** Resolves when no pull from the peer is under way. */
  async idle(peer: Peer): Promise<void> {
    await this.#running.get(peer.id)
  }

  /** Asks a peer for the identity chain and profile of a publisher. Never throws. */
  introduce(peer: Peer, publisher: Cid): Promise<SyncReport> {
    return this.#exchange(peer, introduce(this.#readable(peer), publisher))
  }

  #readable(peer: Peer): SyncSource {
    return readableBy(this.#archive, this.#links.publisherOf(peer))
  }

  /**
   * Asks a peer for the file of a roster; nothing of the answer is verified.
   * @throws ZoariumError UNREACHABLE, TIMEOUT, PEER, and what the peer answers
   */
  async findRoster(peer: Peer, of: Cid): Promise<FoundRoster> {
    const frames = await this.#links.open(peer, PROTOCOLS.sync)
    try {
      await frames.write(syncRequests.encode({ t: 'get-roster', of }), REPLY_MS)
      const reply = syncReplies.decode(await frames.expect(MAX_FRAME_BYTES, REPLY_MS))
      const answer = reply.ok ? expectReply<SyncReply, 'roster'>(reply.value, 'roster') : reply
      if (!answer.ok) throw ZoariumError.of(answer)
      await frames.write(syncRequests.encode({ t: 'done', behind: false }), REPLY_MS)
      await frames.close(REPLY_MS)
      return answer.value
    } catch (error) {
      if (!(error instanceof ZoariumError)) throw error
      frames.abort(error)
      this.#links.blame(peer, error.code)
      throw error
    }
  }

  async #exchange(peer: Peer, steps: SyncPull): Promise<SyncReport> {
    const started = performance.now()
    let frames: FrameStream | null = null
    let records = 0
    let roundTrips = 0
    let outcome: SyncOutcome | null = null
    let error: string | null = null
    let more = false
    try {
      frames = await this.#links.open(peer, PROTOCOLS.sync)
      let input: SyncInput
      while (true) {
        const step = steps.next(input)
        if (step.done) {
          outcome = step.value
          break
        }
        input = await this.#perform(peer, frames, step.value)
        if (step.value.do === 'ask' || step.value.do === 'send') roundTrips++
        if (Array.isArray(input)) records += input.filter(({ ok }) => ok).length
        if (performance.now() - started > EXCHANGE_MS || frames.received > EXCHANGE_BYTES) {
          more = true
          break
        }
      }
      await frames.close(REPLY_MS)
    } catch (caught) {
      // A bug of ours must not pass as the peer's fault.
      if (!(caught instanceof ZoariumError)) throw caught
      error = `${caught.code}: ${caught.message}`
      frames?.abort(caught)
      this.#links.blame(peer, caught.code)
    }
    const failure = outcome?.failure ?? null
    if (failure !== null) {
      error = `${failure.code}: ${failure.message}`
      this.#links.blame(peer, failure.code)
    }
    return {
      peer: peer.id,
      ok: error === null,
      error,
      records,
      bytes: (frames?.received ?? 0) + (frames?.sent ?? 0),
      roundTrips,
      ms: performance.now() - started,
      behind: outcome?.behind ?? false,
      more: more || (outcome?.more ?? false),
      confirms: more || outcome === null ? [] : this.#confirmedBy(peer, outcome),
      refused: outcome?.refused.slice(0, MAX_REFUSED) ?? [],
    }
  }

  #confirmedBy(peer: Peer, outcome: SyncOutcome): readonly string[] {
    return confirmedBy(this.#archive, this.#links.publisherOf(peer), peer.memory, outcome)
  }

  async #perform(peer: Peer, frames: FrameStream, effect: SyncEffect): Promise<SyncInput> {
    const archive = this.#archive
    switch (effect.do) {
      case 'ask':
        await frames.write(syncRequests.encode(effect.request), REPLY_MS)
        return this.#receive(frames)
      case 'send':
      case 'tell':
        await frames.write(syncRequests.encode(effect.request), REPLY_MS)
        return undefined
      case 'receive':
        return this.#receive(frames)
      case 'admit-identity':
        return this.#judged(
          peer,
          archive.admitIdentity(effect.publisher, effect.operations, effect.from),
        )
      case 'admit-records':
        return this.#admitRecords(peer, effect.records)
      case 'admit-head':
        return this.#judged(peer, archive.admitHead(effect.envelope))
      case 'admit-proof':
        return this.#judged(peer, archive.admitProof(effect.first, effect.second))
      case 'admit-profile':
        return this.#judged(peer, archive.admitProfile(effect.envelope))
      case 'admit-holdings':
        return this.#judged(peer, archive.admitHoldings(effect.current, effect.base))
    }
  }

  async #receive(frames: FrameStream): Promise<SyncReply> {
    const reply = syncReplies.decode(await frames.expect(MAX_FRAME_BYTES, REPLY_MS))
    if (!reply.ok) throw ZoariumError.of(reply)
    return reply.value
  }

  /**
   * Between two batches the event loop is free; while one is admitted, the cards of the next are read.
   * Of strangers they are read after the signatures: anybody may make work out of bytes otherwise.
   */
  async #admitRecords(
    peer: Peer,
    records: readonly PlainRecord[],
  ): Promise<readonly Verdict<unknown>[]> {
    const archive = this.#archive
    const publisher = this.#links.publisherOf(peer)
    const isMember = publisher !== null && archive.may(publisher, 'list')
    const batches = batchesOf(records).map((batch) => ({
      batch,
      ahead: isMember ? archive.readAhead(batch.flatMap(({ card }) => card ?? [])) : null,
    }))
    const verdicts: Verdict<unknown>[] = []
    for (const { batch, ahead } of batches) {
      await Promise.all([ahead, setImmediate()])
      for (const verdict of archive.admitRecords(batch)) verdicts.push(this.#judged(peer, verdict))
    }
    return verdicts
  }

  #judged(peer: Peer, verdict: Verdict<unknown>): Verdict<unknown> {
    if (!verdict.ok && !this.#links.blame(peer, verdict.code)) {
      throw ZoariumError.of(refuse('PEER', 'the peer sent too much that is not valid'))
    }
    return verdict
  }

  /** Answers a peer until it is done. */
  async serve(peer: Peer, frames: FrameStream): Promise<void> {
    const started = performance.now()
    for (let requests = 0; requests < MAX_REQUESTS; requests++) {
      if (performance.now() - started > EXCHANGE_MS) break
      const frame = await frames.read(MAX_FRAME_BYTES, REPLY_MS)
      if (frame === null) break
      const request = syncRequests.decode(frame)
      if (!request.ok) {
        this.#links.blame(peer, request.code)
        await frames.write(syncReplies.encode(failureMessage(request)), REPLY_MS)
        break
      }
      const reply = answer(this.#readable(peer), peer.memory, request.value)
      if (reply === null) {
        if (request.value.t === 'done' && request.value.behind) this.#links.behind(peer)
        break
      }
      const bytes = syncReplies.encode(reply)
      await this.#links.pace(peer, bytes.length)
      await frames.write(bytes, REPLY_MS)
    }
    await frames.close(REPLY_MS)
  }
}

/** In order, each of so many records and cards at most. */
function batchesOf(records: readonly PlainRecord[]): readonly (readonly PlainRecord[])[] {
  const batches: PlainRecord[][] = []
  let cards = 0
  for (const record of records) {
    const last = batches.at(-1)
    if (last === undefined || last.length >= BATCH_RECORDS || cards >= BATCH_CARDS) {
      batches.push([record])
      cards = 0
    } else last.push(record)
    if (record.card !== null) cards++
  }
  return batches
}

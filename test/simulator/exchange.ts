/**
 * Sync between two simulated nodes: the driver of daemon/net/sync.ts over virtual time. What it
 * drives is the program's own: the pull, the answers, the messages, the registry's verdicts.
 */
import type { Archive } from '../../daemon/net/archive.ts'
import type { Peer } from '../../daemon/net/peers.ts'
import type { Code, Verdict } from '../../protocol/errors.ts'
import { refuse, ZoariumError } from '../../protocol/errors.ts'
import { failureMessage } from '../../protocol/message.ts'
import { answer } from '../../protocol/sync-answer.ts'
import {
  type SyncReply,
  type SyncRequest,
  syncReplies,
  syncRequests,
} from '../../protocol/sync-message.ts'
import type { PlainRecord, SyncSource } from '../../protocol/sync-source.ts'
import type { SyncEffect, SyncInput, SyncOutcome, SyncPull } from '../../protocol/sync-step.ts'
import type { Agenda } from './agenda.ts'
import type { SimulatedStream } from './stream.ts'
import type { Tally } from './tally.ts'

/** As in daemon/net/sync.ts. */
export const REPLY_MS = 15_000
const EXCHANGE_MS = 10 * 60_000
/** Time that a batch takes, during which other things happen. */
const BATCH_MS = 20

/** What an exchange needs of its node. */
export interface ExchangeHost {
  readonly tally: Tally
  readonly agenda: Agenda
  readonly archive: Archive
  /** Runs a step of the node, unless it died in the meantime. */
  enter(work: () => void): void
  /** The same after a while, in this life of the node only. */
  later(ms: number, work: () => void): void
  /** Counts a fault of a peer. @returns false where it is shut out now */
  blame(peer: Peer, code: Code): boolean
  /** A peer holds something that is not here. */
  behind(peer: Peer, because: 'head' | 'word'): void
  /** What a peer may read. */
  readable(peer: Peer): SyncSource
  /** Milliseconds to wait before a peer gets so many bytes. */
  pace(peer: Peer, bytes: number): number
  /** What goes out for a request: the reply's bytes, or nothing at all. */
  voice(peer: Peer, request: SyncRequest, reply: SyncReply): Uint8Array | null
}

export interface PullReport {
  readonly isOk: boolean
  readonly error: string | null
  readonly outcome: SyncOutcome | null
  readonly isEqual: boolean
  readonly more: boolean
}

/** The asking side of one exchange. */
export class Pull {
  readonly #host: ExchangeHost
  readonly #peer: Peer
  readonly #stream: SimulatedStream
  readonly #steps: SyncPull
  readonly #onEnd: (report: PullReport) => void
  readonly #deadline: number
  /** Answers that nobody has waited for yet. */
  readonly #replies: SyncReply[] = []
  #asked = 0
  #isWaiting = false
  #isOver = false

  constructor(options: {
    readonly host: ExchangeHost
    readonly peer: Peer
    readonly stream: SimulatedStream
    readonly steps: SyncPull
    readonly onEnd: (report: PullReport) => void
  }) {
    this.#host = options.host
    this.#peer = options.peer
    this.#stream = options.stream
    this.#steps = options.steps
    this.#onEnd = options.onEnd
    this.#deadline = options.host.agenda.now + EXCHANGE_MS
    this.#stream.onFrame = (frame) => this.#host.enter(() => this.#receive(frame))
    this.#stream.onEnd = () => this.#host.enter(() => this.#fail('PEER', 'the stream ended'))
  }

  begin(): void {
    this.#advance(undefined)
  }

  #receive(frame: Uint8Array): void {
    if (this.#isOver) return
    const reply = syncReplies.decode(frame)
    if (!reply.ok) this.#fail(reply.code, reply.message)
    else if (this.#isWaiting) this.#resume(reply.value)
    else this.#replies.push(reply.value)
  }

  #advance(first: SyncInput): void {
    if (this.#isOver) return
    try {
      for (let input = first; ; ) {
        const step = this.#steps.next(input)
        if (step.done) {
          this.#finish(step.value)
          return
        }
        if (this.#host.agenda.now > this.#deadline) {
          this.#end({ isOk: true, error: null, outcome: null, isEqual: false, more: true })
          return
        }
        const effect = step.value
        if (effect.do === 'ask') this.#send(effect.request)
        if (effect.do === 'ask' || effect.do === 'receive') {
          input = this.#replies.shift()
          if (input !== undefined) continue
          this.#wait()
          return
        }
        input = this.#perform(effect)
        if (effect.do === 'admit-records') {
          this.#pause(input)
          return
        }
      }
    } catch (error) {
      // A crash or a defect is the node's.
      if (!(error instanceof ZoariumError)) throw error
      this.#fail(error.code, error.message)
    }
  }

  #send(request: SyncRequest): void {
    this.#host.tally.add(`asked ${request.t}`)
    this.#stream.send(syncRequests.encode(request))
  }

  #wait(): void {
    const asked = ++this.#asked
    this.#isWaiting = true
    this.#host.later(REPLY_MS, () => {
      if (this.#isWaiting && this.#asked === asked) this.#fail('TIMEOUT', 'no reply')
    })
  }

  #resume(reply: SyncReply): void {
    this.#isWaiting = false
    this.#advance(reply)
  }

  /** After a batch other things happen, a crash among them. */
  #pause(input: SyncInput): void {
    this.#host.later(BATCH_MS, () => this.#advance(input))
  }

  #perform(effect: Exclude<SyncEffect, { readonly do: 'ask' | 'receive' }>): SyncInput {
    const { archive } = this.#host
    switch (effect.do) {
      case 'send':
        this.#send(effect.request)
        return undefined
      case 'tell':
        this.#stream.send(syncRequests.encode(effect.request))
        return undefined
      case 'admit-identity':
        return this.#judged(archive.admitIdentity(effect.publisher, effect.operations, effect.from))
      case 'admit-records':
        return this.#admit(effect.records)
      case 'admit-head':
        return this.#judged(archive.admitHead(effect.envelope))
      case 'admit-proof':
        return this.#judged(archive.admitProof(effect.first, effect.second))
      case 'admit-profile':
        return this.#judged(archive.admitProfile(effect.envelope))
      case 'admit-holdings':
        return this.#judged(archive.admitHoldings(effect.current, effect.base))
    }
  }

  #admit(records: readonly PlainRecord[]): readonly Verdict<unknown>[] {
    const verdicts = this.#host.archive.admitRecords(records)
    for (const verdict of verdicts) this.#judged(verdict)
    return verdicts
  }

  #judged(verdict: Verdict<unknown>): Verdict<unknown> {
    if (!verdict.ok && !this.#host.blame(this.#peer, verdict.code)) {
      throw ZoariumError.of(refuse('PEER', 'the peer sent too much that is not valid'))
    }
    return verdict
  }

  #finish(outcome: SyncOutcome): void {
    this.#stream.close()
    const { failure, equal, more } = outcome
    if (failure !== null) this.#host.blame(this.#peer, failure.code)
    const error = failure === null ? null : `${failure.code}: ${failure.message}`
    this.#end({ isOk: failure === null, error, outcome, isEqual: equal, more })
  }

  #fail(code: Code, message: string): void {
    if (this.#isOver) return
    this.#stream.abort()
    this.#host.blame(this.#peer, code)
    const error = `${code}: ${message}`
    this.#end({ isOk: false, error, outcome: null, isEqual: false, more: false })
  }

  #end(report: PullReport): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#onEnd(report)
  }
}

/** The answering side: answers a peer until it is done. */
export function serveSync(host: ExchangeHost, peer: Peer, stream: SimulatedStream): void {
  const end = host.agenda.now + EXCHANGE_MS
  let turn = 0
  const wait = (): void => {
    const mine = ++turn
    host.later(REPLY_MS, () => {
      if (turn === mine) stream.abort()
    })
  }
  const fail = (code: Code): void => {
    stream.abort()
    host.blame(peer, code)
  }
  const say = (bytes: Uint8Array): void => {
    const ms = host.pace(peer, bytes.length)
    if (ms === 0) stream.send(bytes)
    else host.later(ms, () => stream.send(bytes))
  }
  stream.onFrame = (frame) =>
    host.enter(() => {
      turn++
      if (host.agenda.now > end) {
        stream.close()
        return
      }
      const request = syncRequests.decode(frame)
      if (!request.ok) {
        host.blame(peer, request.code)
        stream.send(syncReplies.encode(failureMessage(request)))
        stream.close()
        return
      }
      try {
        const reply = answer(host.readable(peer), peer.memory, request.value)
        if (reply === null) {
          if (request.value.t === 'done' && request.value.behind) host.behind(peer, 'word')
          stream.close()
          return
        }
        const bytes = host.voice(peer, request.value, reply)
        if (bytes !== null) say(bytes)
        wait()
      } catch (error) {
        if (!(error instanceof ZoariumError)) throw error
        fail(error.code)
      }
    })
  stream.onEnd = () => {
    turn++
    stream.close()
  }
  wait()
}

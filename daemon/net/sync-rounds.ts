/**
 * When this node compares itself with its peers: now, soon, and again and again. A hint that was
 * lost costs no more than the time to the next round.
 */
import type { Clock } from '../../registry/clock.ts'
import type { Peer, PeerBook } from './peers.ts'
import { jitter, type Sleep } from './sleep.ts'
import type { SyncReport, SyncService } from './sync.ts'

/** Time between two rounds in which all connected peers are compared with. */
export const SYNC_INTERVAL_MS = 30_000
/** Waits for records whose head came before them; the rounds above bring what takes longer. */
const AGAIN_MS = [250, 1000, 4000]
/** Exchanges at a time in one round. */
const SYNCS_AT_ONCE = 4

export interface SyncRoundsOptions {
  readonly sync: SyncService
  readonly book: PeerBook
  readonly clock: Clock
  readonly sleep: Sleep
  readonly random: () => number
  readonly signal: AbortSignal
  readonly onReport: (report: SyncReport) => void
  /** What else a round does with a peer, before the sync. */
  readonly visit: (peer: Peer) => Promise<void>
  /** What a round does at its end. */
  readonly finish: () => Promise<void>
}

export class SyncRounds {
  readonly #options: SyncRoundsOptions
  /** Peers whose next sync waits for the one under way. */
  readonly #due = new Map<string, Promise<void>>()

  constructor(options: SyncRoundsOptions) {
    this.#options = options
  }

  async now(peer: Peer): Promise<SyncReport> {
    const { sync, clock, onReport } = this.#options
    const report = await sync.sync(peer)
    if (report.ok) peer.lastSync = clock.now()
    onReport(report)
    if (report.more) this.soon(peer)
    return report
  }

  /** An exchange that begins from now on: the one under way may have missed what is new. */
  async fresh(peer: Peer): Promise<SyncReport> {
    await this.#options.sync.idle(peer)
    return this.now(peer)
  }

  /** Like {@link fresh}, in the background. */
  soon(peer: Peer): void {
    void this.#next(peer)
  }

  /**
   * Compares soon, and a few times more where that did not bring what the peer has spoken of: news
   * run ahead of the records, which the peer may be fetching itself.
   */
  async until(peer: Peer, isHere: () => boolean): Promise<void> {
    const { sleep, random, signal } = this.#options
    await this.#next(peer)
    for (const ms of AGAIN_MS) {
      if (isHere() || !peer.isConnected || signal.aborted) return
      await sleep(jitter(ms, random), signal)
      if (!isHere()) await this.#next(peer)
    }
  }

  /** The next exchange with a peer, which several may wait for. */
  #next(peer: Peer): Promise<void> {
    const { sync, signal } = this.#options
    const due = this.#due.get(peer.id)
    if (due !== undefined) return due
    const next = async (): Promise<void> => {
      await sync.idle(peer)
      this.#due.delete(peer.id)
      if (peer.isConnected && !signal.aborted) await this.now(peer)
    }
    if (signal.aborted) return Promise.resolve()
    const coming = next()
    this.#due.set(peer.id, coming)
    return coming
  }

  /** Anti-entropy, until the network stops. */
  async repeat(): Promise<void> {
    const { book, sleep, random, signal, visit, finish } = this.#options
    while (!signal.aborted) {
      await sleep(jitter(SYNC_INTERVAL_MS, random), signal).catch(() => {})
      const peers = [...book.connected()]
      const work = async (): Promise<void> => {
        for (let peer = peers.shift(); peer !== undefined; peer = peers.shift()) {
          if (signal.aborted) return
          await visit(peer).catch(() => {})
          await this.now(peer)
        }
      }
      await Promise.all(Array.from({ length: SYNCS_AT_ONCE }, work))
      if (!signal.aborted) await finish().catch(() => {})
    }
  }
}

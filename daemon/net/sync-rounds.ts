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
  readonly #due = new Set<string>()

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
    const { sync, signal } = this.#options
    if (this.#due.has(peer.id) || signal.aborted) return
    this.#due.add(peer.id)
    const next = async (): Promise<void> => {
      await sync.idle(peer)
      this.#due.delete(peer.id)
      if (peer.isConnected && !signal.aborted) await this.now(peer)
    }
    void next()
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

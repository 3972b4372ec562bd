/**
 * Asks peers whether they hold records of this node that it does not know of, before it signs
 * again after a kill or a restore: registry/signer.ts says why. A first or lone node waits for
 * nobody.
 */
import { ZoariumError } from '../protocol/errors.ts'
import type { Registry } from '../registry/registry.ts'
import type { Log } from './log.ts'
import type { Network } from './net/network.ts'
import { type Sleep, systemSleep } from './net/sleep.ts'

/**
 * How long peers are waited for. The first that answers may know less than another: where it answers
 * later, it is waited for others as long again.
 */
export const ASK_MS = 10_000

export interface SelfCheckOptions {
  readonly registry: Pick<Registry, 'signer' | 'catalogue' | 'heads'>
  readonly network: Pick<Network, 'on'>
  readonly log: Log
  /** The operator says that nobody holds more of the own logs than this node. */
  readonly isAlone: boolean
  readonly sleep?: Sleep
}

export class SelfCheck {
  readonly #options: SelfCheckOptions
  readonly #stop = new AbortController()
  #waiting: Promise<void> | null = null
  #unlisten = (): void => {}
  /** Keys whose logs peers have compared since the last time that this was told. */
  readonly #confirmed = new Set<string>()

  constructor(options: SelfCheckOptions) {
    this.#options = options
  }

  /** Whether peers are being waited for. */
  get isAsking(): boolean {
    return this.#waiting !== null
  }

  /** Begins to listen to peers, where there is a doubt. Before the network starts. */
  start(): void {
    const { registry, network, log, isAlone } = this.#options
    if (isAlone) registry.signer.insist(registry.catalogue)
    if (!registry.signer.isInDoubt) return
    log.info('not stopped in order: asking peers for what this node has signed')
    this.#unlisten = network.on('sync', ({ confirms }) => {
      const news = confirms.filter((key) => registry.signer.doubts(key))
      for (const key of news) this.#confirmed.add(key)
      if (news.length > 0) this.#waiting ??= this.#wait()
    })
    this.#waiting = this.#wait()
  }

  async stop(): Promise<void> {
    this.#unlisten()
    this.#stop.abort()
    await this.#waiting
  }

  /** Resolves when it has been seen whether this node may sign; the signing itself says the result. */
  async settled(): Promise<void> {
    await this.#waiting
  }

  async #wait(): Promise<void> {
    const { sleep = systemSleep, log } = this.#options
    const { signal } = this.#stop
    await sleep(ASK_MS, signal).catch(() => {})
    this.#waiting = null
    if (signal.aborted) return
    this.#settle()
    if (this.#options.registry.signer.isInDoubt) {
      log.warn(
        { code: 'SELF_UNSURE' },
        'no peer has answered yet that follows all logs of this node',
      )
    }
  }

  #settle(): void {
    const { registry, log } = this.#options
    const { signer } = registry
    if (this.#confirmed.size === 0) return
    signer.confirm(this.#confirmed)
    this.#confirmed.clear()
    try {
      registry.heads()
    } catch (error) {
      // With a disk that fails now: a timer of the daemon renews them, too.
      if (!(error instanceof ZoariumError)) throw error
      log.warn({ err: error }, "couldn't renew the own heads")
    }
    if (signer.isInDoubt) return
    this.#unlisten()
    log.info('peers have confirmed what this node has signed')
  }
}

/**
 * Work that several callers want at the same time and that is done once: it is given up only when
 * none of them waits for it any more.
 */
import { ZoariumError } from '../protocol/errors.ts'

interface Running {
  readonly done: Promise<void>
  readonly giveUp: AbortController
  waiting: number
}

export class SharedWork<K> {
  readonly #running = new Map<K, Running>()

  /**
   * Joins the work of a key, or starts it.
   * @param signal ends this caller's waiting, with its reason, and no other's
   * @param work its own signal is aborted when nobody waits any more
   */
  async join(key: K, signal: AbortSignal, work: (signal: AbortSignal) => Promise<void>) {
    // What was given up is still putting its things away.
    while (this.#running.get(key)?.giveUp.signal.aborted) {
      await this.#running.get(key)?.done.catch(() => {})
    }
    signal.throwIfAborted()
    const running = this.#running.get(key) ?? this.#start(key, work)
    running.waiting++
    try {
      await unlessAborted(running.done, signal)
    } finally {
      running.waiting--
      if (running.waiting === 0) {
        running.giveUp.abort(new ZoariumError('CANCELLED', 'nobody waits for it any more'))
      }
    }
  }

  /** Resolves when nothing is done any more. */
  async settled(): Promise<void> {
    await Promise.allSettled([...this.#running.values()].map(({ done }) => done))
  }

  #start(key: K, work: (signal: AbortSignal) => Promise<void>): Running {
    const giveUp = new AbortController()
    const done = work(giveUp.signal).finally(() => this.#running.delete(key))
    const running = { done, giveUp, waiting: 0 }
    this.#running.set(key, running)
    return running
  }
}

/** Like `work`, but rejects with the signal's reason as soon as it is aborted. */
function unlessAborted(work: Promise<void>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const leave = (): void => reject(signal.reason)
    if (signal.aborted) leave()
    signal.addEventListener('abort', leave)
    const stay = (): void => signal.removeEventListener('abort', leave)
    work.then(resolve, reject).finally(stay)
  })
}

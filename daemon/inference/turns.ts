/** A bounded queue before a few places; first come, first served. */
import { ZoariumError } from '../../protocol/errors.ts'
import type { RunLimits } from './engine.ts'

export class Turns {
  readonly #places: number
  readonly #maxWaiting: number
  #taken = 0
  readonly #waiting: (() => void)[] = []

  constructor(places: number, maxWaiting: number) {
    this.#places = places
    this.#maxWaiting = maxWaiting
  }

  get taken(): number {
    return this.#taken
  }

  get waiting(): number {
    return this.#waiting.length
  }

  get isFull(): boolean {
    return this.#taken >= this.#places && this.#waiting.length >= this.#maxWaiting
  }

  /**
   * Waits for a place; each must be given back. @throws ZoariumError BUSY, TIMEOUT, CANCELLED
   */
  async take({ deadlineMs, signal }: RunLimits): Promise<void> {
    if (signal?.aborted) throw cancelled()
    if (this.#taken < this.#places) {
      this.#taken++
      return
    }
    if (this.isFull) {
      throw new ZoariumError('BUSY', 'too many requests wait already', {
        limit: this.#maxWaiting,
        got: this.#waiting.length,
        hint: 'try again in a few seconds',
      })
    }
    await new Promise<void>((resolve, reject) => {
      const settle = (finish: () => void): void => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', onAbort)
        finish()
      }
      const start = (): void => settle(resolve)
      const leave = (error: ZoariumError): void => {
        this.#waiting.splice(this.#waiting.indexOf(start), 1)
        settle(() => reject(error))
      }
      const onAbort = (): void => leave(cancelled())
      const timer = setTimeout(() => {
        leave(new ZoariumError('TIMEOUT', 'still waiting at the deadline', { limit: deadlineMs }))
      }, deadlineMs)
      signal?.addEventListener('abort', onAbort, { once: true })
      this.#waiting.push(start)
    })
  }

  /** Gives a place back; the next in the queue has it at once. */
  give(): void {
    const next = this.#waiting.shift()
    if (next === undefined) this.#taken--
    else next()
  }
}

export const cancelled = (): ZoariumError => new ZoariumError('CANCELLED', 'the run was cancelled')

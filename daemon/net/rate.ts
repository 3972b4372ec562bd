/** A budget that refills with time: bytes, dials, faults. */
import type { Clock } from '../../registry/clock.ts'

export class Budget {
  readonly #clock: Clock
  readonly #perSecond: number
  readonly #capacity: number
  #left: number
  #at: number

  /**
   * @param capacity what may be spent at once
   * @param perSecond how fast it refills
   */
  constructor(clock: Clock, capacity: number, perSecond: number) {
    this.#clock = clock
    this.#capacity = capacity
    this.#perSecond = perSecond
    this.#left = capacity
    this.#at = clock.now()
  }

  #refill(): void {
    const now = this.#clock.now()
    // A clock that was set back refills nothing.
    const seconds = Math.max(0, now - this.#at) / 1000
    this.#left = Math.min(this.#capacity, this.#left + seconds * this.#perSecond)
    this.#at = now
  }

  /** Spends `amount` if it is there. */
  take(amount = 1): boolean {
    this.#refill()
    if (this.#left < amount) return false
    this.#left -= amount
    return true
  }

  /**
   * Spends `amount`, on credit where it is not there.
   * @returns milliseconds until the debt is paid
   */
  owe(amount: number): number {
    this.#refill()
    this.#left -= amount
    return this.#left >= 0 ? 0 : (-this.#left / this.#perSecond) * 1000
  }
}

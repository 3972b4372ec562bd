/** Bounds the memory that all request bodies together may take. */
import { ZoariumError } from '../../protocol/errors.ts'

export class ByteBudget {
  readonly #max: number
  #used = 0

  constructor(max: number) {
    this.#max = max
  }

  get used(): number {
    return this.#used
  }

  /** A share that grows as bytes arrive and is given back as a whole. */
  share(): BudgetShare {
    let taken = 0
    return {
      /** @throws ZoariumError BUSY */
      take: (bytes) => {
        if (this.#used + bytes > this.#max) {
          throw new ZoariumError('BUSY', 'too many requests are being received', {
            limit: this.#max,
            hint: 'try again in a moment',
          })
        }
        this.#used += bytes
        taken += bytes
      },
      release: () => {
        this.#used -= taken
        taken = 0
      },
    }
  }
}

export interface BudgetShare {
  take(bytes: number): void
  release(): void
}

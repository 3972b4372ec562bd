/** Virtual time: what is to happen, in order of time and then of coming. */

export type Work = () => void | Promise<void>

interface Entry {
  readonly time: number
  readonly order: number
  readonly work: Work
}

export class Agenda {
  /** Milliseconds since 1970 UTC, the same for all; nodes see it through clocks of their own. */
  now: number
  #heap: Entry[] = []
  #count = 0

  constructor(start: number) {
    this.now = start
  }

  /** Things done or yet to do. */
  get count(): number {
    return this.#count
  }

  /** Does something after so many milliseconds. */
  after(ms: number, work: Work): void {
    this.#push({ time: this.now + Math.max(0, Math.round(ms)), order: this.#count++, work })
  }

  /** Takes the next thing and moves time on to it; null where none is due by then. */
  next(until: number): Work | null {
    const first = this.#heap[0]
    if (first === undefined || first.time > until) {
      this.now = Math.max(this.now, until)
      return null
    }
    this.#pop()
    this.now = first.time
    return first.work
  }

  #push(entry: Entry): void {
    const heap = this.#heap
    let at = heap.push(entry) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      // SAFE: both lie in the heap.
      if (!isBefore(entry, heap[parent] as Entry)) break
      heap[at] = heap[parent] as Entry
      at = parent
    }
    heap[at] = entry
  }

  #pop(): void {
    const heap = this.#heap
    const last = heap.pop()
    if (last === undefined || heap.length === 0) return
    let at = 0
    while (true) {
      let child = 2 * at + 1
      if (child >= heap.length) break
      // SAFE: both lie in the heap.
      if (child + 1 < heap.length && isBefore(heap[child + 1] as Entry, heap[child] as Entry)) {
        child++
      }
      if (!isBefore(heap[child] as Entry, last)) break
      heap[at] = heap[child] as Entry
      at = child
    }
    heap[at] = last
  }
}

const isBefore = (a: Entry, b: Entry): boolean =>
  a.time < b.time || (a.time === b.time && a.order < b.order)

/**
 * Reads cards. A card takes a millisecond or two of YAML, so those that come by the hundred are read
 * ahead of their admission, on threads beside the event loop; what was not read ahead is read when
 * it is asked for, with the same result.
 */
import { availableParallelism } from 'node:os'
import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import { readCard } from '../protocol/card.ts'
import type { Code } from '../protocol/errors.ts'
import type { ModelDescription } from '../protocol/model-description.ts'

/** What a card says, or why it cannot be read. */
export type CardReading =
  | { readonly description: ModelDescription }
  | { readonly code: Code; readonly message: string }

/** One core is left to the event loop; more threads than this are never waited for. */
const MAX_THREADS = 4
/** Cards handed to a thread at a time: some milliseconds of work, so that none waits for another. */
const CHUNK = 16
/** Fewer cards than this are read sooner than a thread is asked. */
const MIN_AHEAD = 4
/** A thread with nothing to do is ended after this; it costs some tens of MB. */
const IDLE_MS = 30_000
/** Memory of a thread: a card is 1 MiB at most, and has no aliases that could blow it up. */
const THREAD_MIB = 256

const SCRIPT = new URL(`./card-thread${extname(import.meta.filename)}`, import.meta.url)

/** Reads one card, at once. */
export function readOne(card: Uint8Array): CardReading {
  const read = readCard(card)
  return read.ok
    ? { description: read.value.description }
    : { code: read.code, message: read.message }
}

interface Chunk {
  readonly cards: readonly Uint8Array[]
  readonly done: () => void
}

export class CardReader {
  readonly #maxThreads: number
  readonly #ahead = new WeakMap<Uint8Array, CardReading>()
  readonly #waiting: Chunk[] = []
  readonly #threads = new Map<Worker, Chunk | null>()
  #idle: NodeJS.Timeout | null = null

  /** @param threads 0: cards are never read ahead; default by the number of cores */
  constructor(threads = Math.min(MAX_THREADS, Math.max(1, availableParallelism() - 1))) {
    this.#maxThreads = threads
  }

  /** Threads that are there now. */
  get threads(): number {
    return this.#threads.size
  }

  /** What a card says. */
  read(card: Uint8Array): CardReading {
    return this.#ahead.get(card) ?? readOne(card)
  }

  /** Resolves when the cards were read; they are found by their arrays, which must not change. */
  async readAhead(cards: readonly Uint8Array[]): Promise<void> {
    if (cards.length < MIN_AHEAD || this.#maxThreads === 0) return
    const chunks = Array.from({ length: Math.ceil(cards.length / CHUNK) }, (_, n) =>
      cards.slice(n * CHUNK, (n + 1) * CHUNK),
    )
    await Promise.all(
      chunks.map(
        (chunk) =>
          new Promise<void>((done) => {
            this.#waiting.push({ cards: chunk, done })
            this.#assign()
          }),
      ),
    )
  }

  /** Ends the threads; what they were reading is read when it is asked for. */
  async close(): Promise<void> {
    if (this.#idle !== null) clearTimeout(this.#idle)
    for (const { done } of this.#waiting.splice(0)) done()
    await Promise.all([...this.#threads.keys()].map((thread) => thread.terminate()))
  }

  #assign(): void {
    if (this.#idle !== null) clearTimeout(this.#idle)
    for (const [thread, chunk] of this.#threads) if (chunk === null) this.#give(thread)
    while (this.#waiting.length > 0 && this.#threads.size < this.#maxThreads)
      this.#give(this.#start())
    const isIdle = [...this.#threads.values()].every((chunk) => chunk === null)
    if (isIdle) this.#idle = setTimeout(() => void this.close(), IDLE_MS).unref()
  }

  #give(thread: Worker): void {
    const chunk = this.#waiting.shift()
    if (chunk === undefined) return
    this.#threads.set(thread, chunk)
    thread.postMessage(chunk.cards)
  }

  #start(): Worker {
    const thread = new Worker(SCRIPT, { resourceLimits: { maxOldGenerationSizeMb: THREAD_MIB } })
    // A process that has nothing else to do ends.
    thread.unref()
    this.#threads.set(thread, null)
    thread.on('message', (readings: readonly CardReading[]) => {
      const chunk = this.#threads.get(thread)
      for (const [n, card] of (chunk?.cards ?? []).entries()) {
        const reading = readings[n]
        if (reading !== undefined) this.#ahead.set(card, reading)
      }
      this.#threads.set(thread, null)
      chunk?.done()
      this.#assign()
    })
    // Out of memory, say: its cards are read when they are asked for.
    thread.on('error', () => {})
    thread.on('exit', () => {
      const chunk = this.#threads.get(thread)
      this.#threads.delete(thread)
      chunk?.done()
      this.#assign()
    })
    return thread
  }
}

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
/** Cards handed to a thread at a time: some milliseconds of work, so that all threads have some. */
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
  /** What each thread was given and has not read yet, in order. */
  readonly #threads = new Map<Worker, Chunk[]>()
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
    // All at once, so that no thread waits for an event loop that is busy with admission.
    await Promise.all(
      chunks.map((chunk) => new Promise<void>((done) => this.#give({ cards: chunk, done }))),
    )
  }

  /** Ends the threads; what they were reading is read when it is asked for. */
  async close(): Promise<void> {
    if (this.#idle !== null) clearTimeout(this.#idle)
    await Promise.all([...this.#threads.keys()].map((thread) => thread.terminate()))
  }

  /** Gives cards to the thread with the least to do. */
  #give(chunk: Chunk): void {
    if (this.#idle !== null) clearTimeout(this.#idle)
    const [least = null] = [...this.#threads].sort(([, a], [, b]) => a.length - b.length)
    const isNew = least === null || (least[1].length > 0 && this.#threads.size < this.#maxThreads)
    const [thread, chunks] = isNew ? this.#start() : least
    chunks.push(chunk)
    thread.postMessage(chunk.cards)
  }

  #start(): readonly [Worker, Chunk[]] {
    const thread = new Worker(SCRIPT, { resourceLimits: { maxOldGenerationSizeMb: THREAD_MIB } })
    // A process that has nothing else to do ends.
    thread.unref()
    const chunks: Chunk[] = []
    this.#threads.set(thread, chunks)
    thread.on('message', (readings: readonly CardReading[]) => {
      const chunk = chunks.shift()
      for (const [n, card] of (chunk?.cards ?? []).entries()) {
        const reading = readings[n]
        if (reading !== undefined) this.#ahead.set(card, reading)
      }
      chunk?.done()
      this.#rest()
    })
    // Out of memory, say: its cards are read when they are asked for.
    thread.on('error', () => {})
    thread.on('exit', () => {
      this.#threads.delete(thread)
      for (const { done } of chunks) done()
    })
    return [thread, chunks]
  }

  /** Ends threads that have had nothing to do for a while. */
  #rest(): void {
    if ([...this.#threads.values()].some((chunks) => chunks.length > 0)) return
    this.#idle = setTimeout(() => void this.close(), IDLE_MS).unref()
  }
}

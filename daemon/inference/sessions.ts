/**
 * Open sessions: one per model, one run at a time each, the least recently used closed when memory
 * or places run short, and models that crash or hang set aside for a while.
 */
import { ZoariumError } from '../../protocol/errors.ts'
import type { Clock } from '../../registry/clock.ts'
import type { Engine, EngineModel, EngineSession, RunLimits } from './engine.ts'
import { Turns } from './turns.ts'

export interface SessionLimits {
  /** Sessions open at once. */
  readonly maxSessions: number
  /** Resident bytes of all sessions together, as measured; over it idle ones are closed. */
  readonly maxMemoryBytes: number
  /** Requests that wait for one model. */
  readonly maxWaiting: number
  /** So many crashes or timeouts... */
  readonly maxFailures: number
  /** ...within so many milliseconds set a model aside... */
  readonly failureWindowMs: number
  /** ...for so long. */
  readonly quarantineMs: number
  /**
   * A timeout counts only if the model had at least so many milliseconds: a client that asks for
   * the impossible must not set a model aside for everyone.
   */
  readonly minTimeoutMs: number
}

/** What one use of a session took, in milliseconds. */
export interface Waits {
  readonly queueMs: number
  /** 0 where the session was open. */
  readonly openMs: number
}

interface Slot {
  readonly model: EngineModel
  readonly turns: Turns
  session: EngineSession | null
  /** Order of use; larger is later. */
  used: number
  /** Times of crashes and timeouts. */
  failures: number[]
  quarantinedUntil: number
  /** The model may not run any more. */
  isOver: boolean
}

export class Sessions {
  readonly #engine: Engine
  readonly #clock: Clock
  readonly #limits: SessionLimits
  readonly #slots = new Map<string, Slot>()
  #uses = 0
  #isClosed = false

  constructor(engine: Engine, clock: Clock, limits: SessionLimits) {
    this.#engine = engine
    this.#clock = clock
    this.#limits = limits
  }

  /** Refuses early what would be refused after the work of decoding. @throws as {@link use} */
  check(model: EngineModel): void {
    const slot = this.#slots.get(model.id)
    if (slot === undefined) return
    this.#checkQuarantine(slot)
    if (slot.turns.isFull) {
      throw new ZoariumError('BUSY', 'too many requests for this model wait already', {
        limit: this.#limits.maxWaiting,
        got: slot.turns.waiting,
        hint: 'try again in a few seconds',
      })
    }
  }

  /**
   * Waits for the model's turn, opens it where needed, and hands its session to `task` with what is
   * left of the time.
   * @throws ZoariumError BUSY, MODEL_QUARANTINED, TIMEOUT, CANCELLED, what the engine throws
   */
  async use<T>(
    model: EngineModel,
    limits: RunLimits,
    task: (session: EngineSession, limits: RunLimits, waits: Waits) => Promise<T>,
  ): Promise<T> {
    const slot = this.#slot(model)
    this.#checkQuarantine(slot)
    const start = performance.now()
    const left = (): RunLimits => ({
      deadlineMs: Math.max(1, limits.deadlineMs - (performance.now() - start)),
      signal: limits.signal,
    })
    await slot.turns.take(limits)
    const began = performance.now()
    try {
      // Those before it may have crashed.
      this.#checkQuarantine(slot)
      if (this.#isClosed) throw new ZoariumError('CANCELLED', 'the node is stopping')
      const queueMs = began - start
      let openMs = 0
      if (slot.session?.isOpen !== true) {
        slot.session = null
        await this.#makeRoom(slot)
        slot.session = await this.#engine.open(model, left())
        openMs = slot.session.openMs
      }
      if (slot.isOver) {
        await this.#shut(slot)
        throw new ZoariumError('CANCELLED', 'the model may not run any more')
      }
      slot.used = ++this.#uses
      return await task(slot.session, left(), { queueMs, openMs })
    } catch (error) {
      this.#count(slot, error, performance.now() - began)
      throw error
    } finally {
      if (slot.session?.isOpen === false) slot.session = null
      slot.turns.give()
      this.#forget(slot)
      await this.#trim()
    }
  }

  /** Ends at once the sessions of models that may not run any more, and what they are running. */
  async retain(mayRun: (id: string) => boolean): Promise<void> {
    const over = this.#all().filter(({ model }) => !mayRun(model.id))
    for (const slot of over) {
      slot.isOver = true
      this.#slots.delete(slot.model.id)
    }
    await Promise.all(over.map((slot) => this.#shut(slot)))
  }

  get queued(): number {
    return this.#all().reduce((sum, { turns }) => sum + turns.waiting, 0)
  }

  get running(): number {
    return this.#all().reduce((sum, { turns }) => sum + turns.taken, 0)
  }

  /** Ids of models whose sessions are open, the most recently used first. */
  get open(): readonly string[] {
    return this.#all()
      .filter(({ session }) => session !== null)
      .sort((a, b) => b.used - a.used)
      .map(({ model }) => model.id)
  }

  async close(): Promise<void> {
    this.#isClosed = true
    await this.#engine.close()
  }

  #all(): Slot[] {
    return [...this.#slots.values()]
  }

  #slot(model: EngineModel): Slot {
    const known = this.#slots.get(model.id)
    if (known !== undefined) return known
    const slot: Slot = {
      model,
      turns: new Turns(1, this.#limits.maxWaiting),
      session: null,
      used: 0,
      failures: [],
      quarantinedUntil: 0,
      isOver: false,
    }
    this.#slots.set(model.id, slot)
    return slot
  }

  #checkQuarantine(slot: Slot): void {
    if (this.#clock.now() >= slot.quarantinedUntil) return
    throw new ZoariumError(
      'MODEL_QUARANTINED',
      'the model crashed or hung too often and is set aside',
      {
        limit: this.#limits.maxFailures,
        hint: `it is tried again after ${new Date(slot.quarantinedUntil).toISOString()}`,
      },
    )
  }

  #count(slot: Slot, error: unknown, elapsedMs: number): void {
    const code = error instanceof ZoariumError ? error.code : null
    const counts =
      code === 'MODEL_CRASH' || (code === 'TIMEOUT' && elapsedMs >= this.#limits.minTimeoutMs)
    if (!counts) return
    const now = this.#clock.now()
    const since = now - this.#limits.failureWindowMs
    slot.failures = [...slot.failures.filter((at) => at > since), now]
    if (slot.failures.length < this.#limits.maxFailures) return
    slot.failures = []
    slot.quarantinedUntil = now + this.#limits.quarantineMs
  }

  /** Drops what is known of a model that is neither open, nor waited for, nor failing. */
  #forget(slot: Slot): void {
    const isIdle = slot.turns.taken === 0 && slot.session === null && slot.failures.length === 0
    const isKnown = this.#slots.get(slot.model.id) === slot
    if (isIdle && isKnown && this.#clock.now() >= slot.quarantinedUntil) {
      this.#slots.delete(slot.model.id)
    }
  }

  /** A place for one more session. @throws ZoariumError BUSY where every other is running */
  async #makeRoom(slot: Slot): Promise<void> {
    const others = this.#all().filter(
      (other) => other !== slot && (other.session !== null || other.turns.taken > 0),
    )
    if (others.length < this.#limits.maxSessions) return
    const oldest = this.#oldestIdle()
    if (oldest === null) {
      throw new ZoariumError('BUSY', 'as many models run as this node runs at once', {
        limit: this.#limits.maxSessions,
        hint: 'try again in a few seconds',
      })
    }
    await this.#shut(oldest)
  }

  /** Closes idle sessions until the rest fit into memory. */
  async #trim(): Promise<void> {
    for (;;) {
      const bytes = this.#all().reduce((sum, { session }) => sum + (session?.memoryBytes ?? 0), 0)
      const oldest = this.#oldestIdle()
      if (bytes <= this.#limits.maxMemoryBytes || oldest === null) return
      await this.#shut(oldest)
    }
  }

  #oldestIdle(): Slot | null {
    const idle = this.#all().filter(({ session, turns }) => session !== null && turns.taken === 0)
    return idle.reduce<Slot | null>((a, b) => (a !== null && a.used < b.used ? a : b), null)
  }

  async #shut(slot: Slot): Promise<void> {
    const { session } = slot
    slot.session = null
    await session?.close()
    this.#forget(slot)
  }
}

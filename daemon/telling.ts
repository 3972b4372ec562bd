/**
 * Tells others which models this node holds in full: a signed statement, made anew when that has
 * changed and before the last one runs out. docs/protocol.md, "Holdings".
 */
import type { Cid } from '../protocol/cid.ts'
import { expectOk, ZoariumError } from '../protocol/errors.ts'
import { MAX_HOLDINGS_MODELS } from '../protocol/limits.ts'
import type { Clock } from '../registry/clock.ts'
import type { Registry } from '../registry/registry.ts'
import type { Log } from './log.ts'
import { type Sleep, systemSleep } from './net/sleep.ts'
import type { Presence } from './presence.ts'

/** Changes within so long are told together: a model that is fetched rarely comes alone. */
export const TELL_DELAY_MS = 2_000
/** Statements that a life has: so often may one be lost, or a node be down, before it is not counted. */
const PER_LIFE = 3

export interface TellingOptions {
  /** Whether anything is told at all. */
  readonly isOn: boolean
  readonly registry: Registry
  readonly presence: Pick<Presence, 'holdings'>
  /** Bytes that the node would take to keep models from getting lost. */
  readonly room: () => number
  /** How long a statement holds, milliseconds. */
  readonly lifeMs: number
  readonly clock: Clock
  readonly log: Pick<Log, 'warn'>
  /** A new statement is here. */
  readonly onTold: (key: string) => void
  readonly sleep?: Sleep
}

export class Telling {
  readonly #options: TellingOptions
  readonly #stop = new AbortController()
  #isDue = false

  constructor(options: TellingOptions) {
    this.#options = options
  }

  /** Something may have changed: tells soon. Cheap to repeat. */
  kick(): void {
    if (!this.#options.isOn || this.#isDue || this.#stop.signal.aborted) return
    this.#isDue = true
    const { sleep = systemSleep } = this.#options
    sleep(TELL_DELAY_MS, this.#stop.signal).then(
      () => {
        this.#isDue = false
        this.tell()
      },
      () => {},
    )
  }

  /** Tells now, where there is something to tell. What cannot be written is told another time. */
  tell(): void {
    if (!this.#options.isOn) return
    try {
      this.#tell()
    } catch (error) {
      if (!(error instanceof ZoariumError)) throw error
      this.#options.log.warn({ err: error }, "couldn't tell what this node holds")
    }
  }

  stop(): void {
    this.#stop.abort()
  }

  #tell(): void {
    const { registry, presence, lifeMs, clock, onTold } = this.#options
    const models = new Set(registry.heldForAll().slice(0, MAX_HOLDINGS_MODELS))
    const room = roundRoom(this.#options.room())
    const stated = presence.holdings({ models, room, lifeMs }, (before) => {
      const age = clock.now() - before.holdings.issued
      const isOld = age < 0 || age >= lifeMs / PER_LIFE
      return isOld || before.holdings.room !== room || !isSame(before.models, models)
    })
    if (stated === null) return
    expectOk(registry.admitHoldings(stated.current, stated.base))
    onTold(stated.key)
  }
}

const isSame = (a: ReadonlySet<Cid>, b: ReadonlySet<Cid>): boolean =>
  a.size === b.size && [...a].every((each) => b.has(each))

/** To a power of two: what goes in and out by the minute is no news. */
const roundRoom = (bytes: number): number =>
  bytes < 1 ? 0 : 2 ** Math.floor(Math.log2(Math.min(bytes, MAX_ROOM)))

/** What a statement can say: 16 TiB, as a power of two. */
const MAX_ROOM = 2 ** 44

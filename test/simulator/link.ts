/**
 * One direction between two nodes, and what the weather does there. A stream is reliable and in
 * order where it works at all, as Noise makes it; what breaks it ends it. In foul weather frames are
 * also bent, doubled and swapped, as if nothing lay below.
 */
import type { Agenda } from './agenda.ts'
import type { Random } from './random.ts'
import type { SimulatedStream } from './stream.ts'
import type { Tally } from './tally.ts'

/** Chances for each frame, from 0 to 1, and milliseconds that it takes. */
export interface Weather {
  readonly delay: readonly [min: number, max: number]
  readonly loss: number
  readonly corruption: number
  readonly duplication: number
  readonly reordering: number
}

export const FAIR: Weather = {
  delay: [5, 60],
  loss: 0,
  corruption: 0,
  duplication: 0,
  reordering: 0,
}

export class Link {
  weather: Weather = FAIR
  /** Nothing passes. */
  isCut = false
  readonly #agenda: Agenda
  readonly #random: Random
  readonly #tally: Tally
  /** What waits while the link is clogged. */
  #held: (() => void)[] | null = null

  constructor(agenda: Agenda, random: Random, tally: Tally) {
    this.#agenda = agenda
    this.#random = random
    this.#tally = tally
  }

  get isClogged(): boolean {
    return this.#held !== null
  }

  clog(): void {
    this.#held ??= []
  }

  unclog(): void {
    const held = this.#held ?? []
    this.#held = null
    for (const deliver of held) this.#agenda.after(0, deliver)
  }

  carryFrame(frame: Uint8Array, stream: SimulatedStream): void {
    if (this.#isLost('frame')) {
      // Whether anybody notices before a deadline does.
      if (!this.isCut && this.#random.chance(0.5)) this.#later(() => stream.break())
      return
    }
    if (this.#happens(this.weather.corruption, 'frame corrupted')) {
      this.#corrupt(frame, stream)
      return
    }
    const isLate = this.#happens(this.weather.reordering, 'frame reordered')
    const arrive = (): void => stream.deliver(frame)
    if (isLate) this.#later(arrive, 3)
    else this.#inOrder(stream, arrive)
    if (this.#happens(this.weather.duplication, 'frame duplicated')) this.#later(arrive, 2)
  }

  carryEnd(stream: SimulatedStream, isClean: boolean): void {
    if (this.#isLost('end')) return
    if (isClean) this.#inOrder(stream, () => stream.deliverEnd(true))
    else this.#later(() => stream.deliverEnd(false))
  }

  /** A message on its own, such as gossip: it may be lost, doubled, bent and overtaken. */
  carryMessage(message: Uint8Array, deliver: (message: Uint8Array) => void): void {
    if (this.#isLost('message')) return
    const isBent = this.#happens(this.weather.corruption, 'message corrupted')
    const arrived = isBent ? bend(message, this.#random) : message
    this.#later(() => deliver(arrived), 2)
    if (this.#happens(this.weather.duplication, 'message duplicated')) {
      this.#later(() => deliver(arrived), 3)
    }
  }

  /** Noise notices and ends the stream; or, in worse hands, the frame arrives bent or cut short. */
  #corrupt(frame: Uint8Array, stream: SimulatedStream): void {
    const kind = this.#random.weighted({ noticed: 2, bent: 1, truncated: 1 })
    if (kind === 'noticed') {
      this.#later(() => stream.break())
      return
    }
    const isCutShort = kind === 'truncated'
    const arrived = isCutShort
      ? frame.slice(0, this.#random.int(0, frame.length - 1))
      : bend(frame, this.#random)
    this.#inOrder(stream, () => {
      stream.deliver(arrived)
      if (isCutShort) stream.break()
    })
  }

  #isLost(what: string): boolean {
    if (this.isCut) {
      this.#tally.add('lost to a partition')
      return true
    }
    return this.#happens(this.weather.loss, `${what} lost`)
  }

  #happens(chance: number, name: string): boolean {
    if (chance === 0 || !this.#random.chance(chance)) return false
    this.#tally.add(name)
    return true
  }

  #delay(): number {
    const [min, max] = this.weather.delay
    return this.#random.int(min, max)
  }

  #inOrder(stream: SimulatedStream, deliver: () => void): void {
    const { now } = this.#agenda
    const arrival = stream.arrival(now + this.#delay())
    this.#agenda.after(arrival - now, () => this.#arrive(deliver))
  }

  /** @param times as long as usual, so that others overtake it */
  #later(deliver: () => void, times = 1): void {
    this.#agenda.after(this.#delay() * times, () => this.#arrive(deliver))
  }

  #arrive(deliver: () => void): void {
    if (this.#held === null) deliver()
    else this.#held.push(deliver)
  }
}

/** One to three bytes changed. */
function bend(bytes: Uint8Array, random: Random): Uint8Array {
  const bent = bytes.slice()
  if (bent.length === 0) return bent
  for (let n = random.int(1, 3); n > 0; n--) {
    const at = random.int(0, bent.length - 1)
    // SAFE: `at` lies in the bytes.
    bent[at] = (bent[at] as number) ^ (1 << random.int(0, 7))
  }
  return bent
}

/** One side of a simulated stream: frames arrive whole and in order, until it ends. */

/** The way from one side to the other: link.ts. */
interface Way {
  carryFrame(frame: Uint8Array, stream: SimulatedStream): void
  carryEnd(stream: SimulatedStream, isClean: boolean): void
}

export class SimulatedStream {
  /** Called with each frame. */
  onFrame: (frame: Uint8Array) => void = () => {}
  /** Called once. `isClean`: the other side closed it after all that it sent. */
  onEnd: (isClean: boolean) => void = () => {}
  received = 0
  sent = 0
  #other: SimulatedStream | null = null
  #isOver = false
  #lastArrival = 0
  readonly #link: Way

  /** @param link the way to the other side */
  constructor(link: Way) {
    this.#link = link
  }

  static pair(there: Way, back: Way): readonly [SimulatedStream, SimulatedStream] {
    const [first, second] = [new SimulatedStream(there), new SimulatedStream(back)]
    first.#other = second
    second.#other = first
    return [first, second]
  }

  get isOver(): boolean {
    return this.#isOver
  }

  send(frame: Uint8Array): void {
    if (this.#isOver) return
    this.sent += frame.length
    this.#link.carryFrame(frame, this)
  }

  /** No more frames from this side. */
  close(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#link.carryEnd(this, true)
  }

  /** Ends both sides; what is under way is lost. */
  abort(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#link.carryEnd(this, false)
  }

  /** Nobody is here any more, and nobody tells the other side. */
  vanish(): void {
    this.#isOver = true
  }

  // For the link

  /** When something sent now arrives, after all that was sent before. */
  arrival(earliest: number): number {
    this.#lastArrival = Math.max(this.#lastArrival, earliest)
    return this.#lastArrival
  }

  deliver(frame: Uint8Array): void {
    const other = this.#other
    if (other === null || other.#isOver) return
    other.received += frame.length
    other.onFrame(frame)
  }

  deliverEnd(isClean: boolean): void {
    const other = this.#other
    if (other === null || other.#isOver) return
    other.#isOver = true
    other.onEnd(isClean)
  }

  /** The connection broke under both sides. */
  break(): void {
    for (const side of [this, this.#other]) {
      if (side === null || side.#isOver) continue
      side.#isOver = true
      side.onEnd(false)
    }
  }
}

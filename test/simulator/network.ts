/** The simulated network: who is connected with whom, over links that fail. */
import type { Agenda } from './agenda.ts'
import { FAIR, Link, type Weather } from './link.ts'
import type { Random } from './random.ts'
import { SimulatedStream } from './stream.ts'
import type { Tally } from './tally.ts'

export type Protocol = 'hello' | 'sync'

/** What the network needs of a node. */
export interface Host {
  readonly id: string
  readonly isUp: boolean
  /** Whether it lets a peer connect. */
  admits(peer: string): boolean
  connected(peer: string, isDialler: boolean): void
  disconnected(peer: string): void
  accept(peer: string, protocol: Protocol, stream: SimulatedStream): void
  /** A gossip message has come. */
  hear(peer: string, message: Uint8Array): void
}

/** A connection on which nothing passes is given up after this. */
const KEEPALIVE_MS = 30_000
/** Time to the first new attempt to connect; doubles up to the patience of the nodes. */
const REDIAL_MS = 20_000

/** Two nodes that may connect; the first dials. */
class Wire {
  readonly ends: readonly [Host, Host]
  readonly links: readonly [Link, Link]
  readonly streams = new Set<SimulatedStream>()
  isUp = false
  attempt = 0

  constructor(ends: readonly [Host, Host], links: readonly [Link, Link]) {
    this.ends = ends
    this.links = links
  }

  get isCut(): boolean {
    return this.links.some((link) => link.isCut)
  }
}

export class Network {
  readonly #agenda: Agenda
  readonly #random: Random
  readonly #tally: Tally
  readonly #patience: number
  readonly #hosts = new Map<string, Host>()
  readonly #wires = new Map<string, Wire>()

  /** @param patience longest time between two attempts to connect, milliseconds */
  constructor(agenda: Agenda, random: Random, tally: Tally, patience: number) {
    this.#agenda = agenda
    this.#random = random
    this.#tally = tally
    this.#patience = patience
  }

  join(host: Host): void {
    this.#hosts.set(host.id, host)
  }

  /** Lets two nodes connect from now on. */
  wire(a: Host, b: Host): void {
    const name = nameOf(a.id, b.id)
    if (this.#wires.has(name)) return
    const link = (from: Host, to: Host): Link =>
      new Link(this.#agenda, this.#random.fork(`${from.id}>${to.id}`), this.#tally)
    this.#wires.set(name, new Wire([a, b], [link(a, b), link(b, a)]))
    this.#dial(name, 0)
  }

  /** The way from one node to another, where they are wired. */
  link(from: string, to: string): Link | null {
    const wire = this.#wires.get(nameOf(from, to))
    if (wire === undefined) return null
    return wire.ends[0].id === from ? wire.links[0] : wire.links[1]
  }

  /** All links, each with its ends. */
  links(): readonly { readonly from: string; readonly to: string; readonly link: Link }[] {
    return [...this.#wires.values()].flatMap(({ ends: [a, b], links: [there, back] }) => [
      { from: a.id, to: b.id, link: there },
      { from: b.id, to: a.id, link: back },
    ])
  }

  setWeather(weather: Weather): void {
    for (const { link } of this.links()) link.weather = weather
  }

  /** Stops what goes from one node to another. */
  cut(from: string, to: string): void {
    const link = this.link(from, to)
    if (link === null || link.isCut) return
    link.isCut = true
    this.#agenda.after(KEEPALIVE_MS, () => {
      if (link.isCut) this.disconnect(from, to)
    })
  }

  mend(from: string, to: string): void {
    const link = this.link(from, to)
    if (link !== null) link.isCut = false
  }

  /** No fault is left, and all may connect. */
  heal(): void {
    for (const { link } of this.links()) {
      link.isCut = false
      link.weather = FAIR
      link.unclog()
    }
    for (const name of this.#wires.keys()) this.#dial(name, 0)
  }

  isConnected(a: string, b: string): boolean {
    return this.#wires.get(nameOf(a, b))?.isUp ?? false
  }

  /** Opens a stream; null where the two are not connected. */
  open(from: string, to: string, protocol: Protocol): SimulatedStream | null {
    const wire = this.#wires.get(nameOf(from, to))
    const there = this.link(from, to)
    const back = this.link(to, from)
    if (!wire?.isUp || there === null || back === null) return null
    const [mine, theirs] = SimulatedStream.pair(there, back)
    for (const stream of wire.streams) if (stream.isOver) wire.streams.delete(stream)
    wire.streams.add(mine).add(theirs)
    const host = this.#hosts.get(to)
    if (host?.isUp) host.accept(from, protocol, theirs)
    return mine
  }

  gossip(from: string, to: string, message: Uint8Array): void {
    const link = this.link(from, to)
    if (link === null || !this.isConnected(from, to)) return
    link.carryMessage(message, (arrived) => {
      const host = this.#hosts.get(to)
      if (host?.isUp && this.isConnected(from, to)) host.hear(from, arrived)
    })
  }

  /** Ends the connection of two nodes; they dial again. */
  disconnect(a: string, b: string): void {
    const name = nameOf(a, b)
    const wire = this.#wires.get(name)
    if (!wire?.isUp) return
    wire.isUp = false
    for (const stream of wire.streams) stream.break()
    wire.streams.clear()
    for (const [index, host] of wire.ends.entries()) {
      const other = wire.ends[1 - index]
      if (host.isUp && other !== undefined) host.disconnected(other.id)
    }
    this.#dial(name, REDIAL_MS)
  }

  /** A node is gone; its streams end, as far as anybody learns of it. */
  gone(id: string): void {
    for (const {
      ends: [a, b],
      streams,
    } of [...this.#wires.values()]) {
      if (a.id !== id && b.id !== id) continue
      for (const stream of streams) stream.break()
      this.disconnect(a.id, b.id)
    }
  }

  #dial(name: string, after: number): void {
    const wire = this.#wires.get(name)
    if (wire === undefined || wire.isUp) return
    // An earlier attempt stands in for a later one.
    const attempt = ++wire.attempt
    this.#agenda.after(after + this.#random.int(0, 1000), () => {
      if (wire.isUp || wire.attempt !== attempt) return
      const [a, b] = wire.ends
      const canConnect = a.isUp && b.isUp && !wire.isCut && a.admits(b.id) && b.admits(a.id)
      if (!canConnect) {
        this.#dial(name, Math.max(REDIAL_MS, Math.min(after * 2, this.#patience)))
        return
      }
      wire.isUp = true
      a.connected(b.id, true)
      b.connected(a.id, false)
    })
  }
}

const nameOf = (a: string, b: string): string => (a < b ? `${a} ${b}` : `${b} ${a}`)

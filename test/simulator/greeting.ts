/** Hello between two simulated nodes: the driver of daemon/net/hello.ts over virtual time. */
import type { Peer, PeerBook } from '../../daemon/net/peers.ts'
import { peekBinding } from '../../protocol/binding.ts'
import type { Cid } from '../../protocol/cid.ts'
import type { Code } from '../../protocol/errors.ts'
import { helloMessages } from '../../protocol/message.ts'
import type { ExchangeHost } from './exchange.ts'
import type { SimulatedStream } from './stream.ts'

/** As in daemon/net/hello.ts. */
const HELLO_MS = 5_000
const MAX_HELLO_BYTES = 80 * 1024
const VERSIONS = [1]
const UNKNOWN_HERE: ReadonlySet<Code> = new Set(['KEY_NOT_DELEGATED', 'KEY_EXPIRED'])

export interface GreetingOptions {
  readonly host: ExchangeHost
  readonly peer: Peer
  readonly stream: SimulatedStream
  readonly book: PeerBook
  readonly binding: () => Uint8Array | null
  /** Asks the peer for the chain and profile of a publisher. */
  readonly introduce: (publisher: Cid, then: () => void) => void
  /** Both have said who they are. */
  readonly met: () => void
}

export class Greeting {
  readonly #options: GreetingOptions
  #isOver = false

  constructor(options: GreetingOptions) {
    this.#options = options
    const { stream, host } = options
    stream.onFrame = (frame) => host.enter(() => this.#receive(frame))
    stream.onEnd = () => {
      this.#isOver = true
    }
  }

  begin(): void {
    const { host, stream, binding } = this.#options
    const { archive } = host
    stream.send(
      helloMessages.encode({
        t: 'hello',
        versions: VERSIONS,
        agent: 'simulated',
        identityLength: archive.chain(archive.publisher)?.length ?? 0,
        binding: binding(),
        heartbeat: null,
        limits: { streams: 1, bytesPerSecond: 0, inferBytes: 0 },
      }),
    )
    host.later(HELLO_MS, () => {
      if (!this.#isOver) stream.abort()
      this.#isOver = true
    })
  }

  #receive(frame: Uint8Array): void {
    if (this.#isOver) return
    this.#isOver = true
    const { host, peer, stream } = this.#options
    stream.close()
    const hello = helloMessages.decode(frame, MAX_HELLO_BYTES)
    if (!hello.ok) {
      host.blame(peer, hello.code)
      return
    }
    if (!hello.value.versions.some((version) => VERSIONS.includes(version))) return
    this.#meet(hello.value.binding, hello.value.identityLength)
  }

  #meet(envelope: Uint8Array | null, length: number): void {
    const { host, peer, book, introduce, met } = this.#options
    if (envelope === null) {
      peer.shown = null
      met()
      return
    }
    const claim = peekBinding(envelope)
    if (!claim.ok) {
      host.blame(peer, claim.code)
      met()
      return
    }
    const { publisher } = claim.value
    const known = host.archive.chain(publisher)?.length ?? 0
    const verdict = known === 0 ? null : book.show(peer, publisher, envelope)
    const isOld =
      verdict === null || (!verdict.ok && UNKNOWN_HERE.has(verdict.code)) || length > known
    const show = (): void => {
      if (isOld && !book.show(peer, publisher, envelope).ok) peer.shown = null
      met()
    }
    if (isOld || host.archive.profile(publisher) === null) introduce(publisher, show)
    else {
      if (verdict?.ok === false) peer.shown = null
      met()
    }
  }
}

/**
 * `/zoarium/hello/1`: who is there. On every connection the side that dialled opens it, and both
 * say at once what they speak and show the binding of their PeerId to a publisher. A binding counts
 * only after it verified against the publisher's identity chain, which is asked for where it is
 * unknown or too short to know the key.
 */
import { peekBinding } from '../../protocol/binding.ts'
import { type Code, ZoariumError } from '../../protocol/errors.ts'
import { readHeartbeat } from '../../protocol/heartbeat.ts'
import { MAX_INFER_BYTES } from '../../protocol/limits.ts'
import { type Hello, helloMessages, PROTOCOLS } from '../../protocol/message.ts'
import type { Clock } from '../../registry/clock.ts'
import type { Log } from '../log.ts'
import type { Archive } from './archive.ts'
import type { Links } from './links.ts'
import { type Peer, type PeerBook, STRANGER_BYTES_PER_SECOND, STRANGER_STREAMS } from './peers.ts'
import type { FrameStream } from './stream.ts'
import type { SyncService } from './sync.ts'

/** Time for the other side's hello. */
const HELLO_MS = 5_000
/** A binding of 16 KiB, a heartbeat of 60 KiB, and a little. */
const MAX_HELLO_BYTES = 80 * 1024
/** Versions of the message family that this program speaks. */
const VERSIONS = [1]
/** A longer chain at the other side may hold the delegation that is missing here. */
const UNKNOWN_HERE: ReadonlySet<Code> = new Set(['KEY_NOT_DELEGATED', 'KEY_EXPIRED'])

export interface GreeterOptions {
  readonly archive: Archive
  readonly links: Links
  readonly book: PeerBook
  readonly sync: SyncService
  readonly clock: Clock
  readonly log: Log
  readonly agent: string
  readonly binding: () => Uint8Array | null
  readonly heartbeat: () => Uint8Array | null
}

export class Greeter {
  readonly #options: GreeterOptions
  readonly #running = new Map<string, Promise<void>>()

  constructor(options: GreeterOptions) {
    this.#options = options
  }

  /** Says hello to a connected peer. @throws ZoariumError TIMEOUT, PEER, UNREACHABLE */
  greet(peer: Peer): Promise<void> {
    let running = this.#running.get(peer.id)
    if (running === undefined) {
      running = this.#greet(peer).finally(() => this.#running.delete(peer.id))
      this.#running.set(peer.id, running)
    }
    return running
  }

  async #greet(peer: Peer): Promise<void> {
    await this.serve(peer, await this.#options.links.open(peer, PROTOCOLS.hello))
  }

  /** Both sides do the same. */
  async serve(peer: Peer, frames: FrameStream): Promise<void> {
    await frames.write(helloMessages.encode(this.#own()), HELLO_MS)
    const frame = await frames.expect(MAX_HELLO_BYTES, HELLO_MS)
    await frames.close(HELLO_MS)
    const hello = helloMessages.decode(frame, MAX_HELLO_BYTES)
    if (!hello.ok) {
      this.#options.links.blame(peer, hello.code)
      throw ZoariumError.of(hello)
    }
    if (!hello.value.versions.some((version) => VERSIONS.includes(version))) {
      throw new ZoariumError('UNKNOWN_VERSION', 'the peer speaks no version that this node does')
    }
    await this.#meet(peer, hello.value)
  }

  #own(): Hello {
    const { archive, agent, binding, heartbeat } = this.#options
    return {
      t: 'hello',
      versions: VERSIONS,
      agent,
      identityLength: archive.chain(archive.publisher)?.length ?? 0,
      binding: binding(),
      heartbeat: heartbeat(),
      limits: {
        streams: STRANGER_STREAMS,
        bytesPerSecond: STRANGER_BYTES_PER_SECOND,
        inferBytes: MAX_INFER_BYTES,
      },
    }
  }

  async #meet(peer: Peer, hello: Hello): Promise<void> {
    const { archive, links, book, sync, clock, log } = this.#options
    peer.agent = hello.agent
    if (hello.binding === null) {
      peer.shown = null
      return
    }
    // The signature first: no chain is asked for on the word of anyone else.
    const claim = peekBinding(hello.binding)
    if (!claim.ok) {
      links.blame(peer, claim.code)
      return
    }
    const { publisher } = claim.value
    const known = archive.chain(publisher)?.length ?? 0
    let verdict = known === 0 ? null : book.show(peer, publisher, hello.binding)
    const isOld =
      verdict === null ||
      (!verdict.ok && UNKNOWN_HERE.has(verdict.code)) ||
      hello.identityLength > known
    if (isOld || archive.profile(publisher) === null) await sync.introduce(peer, publisher)
    if (isOld) verdict = book.show(peer, publisher, hello.binding)
    if (verdict === null || !verdict.ok) {
      peer.shown = null
      log.info({ peer: peer.id, publisher, verdict }, 'a peer showed a binding that does not hold')
      return
    }
    const identity = archive.identity(publisher)
    if (hello.heartbeat !== null && identity !== null) {
      const heartbeat = readHeartbeat(hello.heartbeat, identity, clock.now())
      if (heartbeat.ok && heartbeat.value.peer === peer.id) peer.heartbeat = heartbeat.value
    }
  }
}

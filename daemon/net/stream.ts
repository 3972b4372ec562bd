/**
 * Frames over a libp2p stream: four bytes of length (big-endian), then that many bytes.
 * docs/protocol.md, "Frames".
 *
 * Streams of libp2p 3 have traps, and this file is where they are dealt with:
 * - A stream that was reset before somebody listened looks like a clean end. Its status is checked
 *   on entry, so make a {@link FrameStream} at once, with no `await` after the stream was opened.
 * - Iterating a stream buffers without limit; here the stream is paused beyond a mark.
 * - `onDrain()` waits only once in a stream's life; here each wait listens to the event itself.
 * - `pause()` inside the event that `resume()` fires is undone; it is put off to a microtask.
 * A peer that sends nothing, or takes nothing, is left at a deadline; nothing here waits for ever.
 */
import type { Stream, StreamCloseEvent, StreamMessageEvent } from '@libp2p/interface'
import { ZoariumError } from '../../protocol/errors.ts'
import { MAX_BODY_FRAME_BYTES } from '../../protocol/limits.ts'

/** Unread bytes at which the peer is asked to wait: one window of a new yamux stream. */
const HIGH_WATER_BYTES = 256 * 1024
const LENGTH_BYTES = 4
/** Bytes that one send hands to the stream, so that a slow reader holds up little memory. */
const SEND_BYTES = 256 * 1024

interface Waiter {
  /** Bytes that must be there. */
  readonly need: number
  readonly done: () => void
}

export class FrameStream {
  readonly #stream: Stream
  readonly #chunks: Uint8Array[] = []
  #queued = 0
  #ended = false
  #isDeaf = false
  #error: Error | null = null
  #waiter: Waiter | null = null
  #length: number | null = null
  readonly #closing = new AbortController()
  /** Bytes received so far. */
  received = 0
  /** Bytes sent so far. */
  sent = 0

  /** Aborted once the stream is closed on both sides, reset or lost. */
  readonly closed: AbortSignal = this.#closing.signal

  /** Call without any `await` between the opening of the stream and this. */
  constructor(stream: Stream) {
    this.#stream = stream
    if (stream.status === 'aborted' || stream.status === 'reset') {
      this.#error = failed(`the stream was already ${stream.status}`)
      this.#closing.abort(this.#error)
    }
    stream.addEventListener('message', this.#onMessage)
    stream.addEventListener('end', this.#onEnd)
    stream.addEventListener('close', this.#onClose)
    if (stream.readableEnded) this.#ended = true
    if (stream.readStatus === 'paused') stream.resume()
  }

  readonly #onMessage = (event: StreamMessageEvent): void => {
    const { data } = event
    this.received += data.byteLength
    if (this.#isDeaf) return
    this.#queued += data.byteLength
    if (data instanceof Uint8Array) this.#chunks.push(data)
    else for (const chunk of data) this.#chunks.push(chunk)
    if (this.#isFull()) {
      queueMicrotask(() => {
        if (this.#isFull() && this.#stream.readStatus === 'readable') this.#stream.pause()
      })
    }
    this.#wake()
  }

  readonly #onEnd = (): void => {
    this.#ended = true
    this.#wake()
  }

  readonly #onClose = (event: StreamCloseEvent): void => {
    this.#ended = true
    if (event.error !== undefined) this.#error ??= failed('the peer reset the stream', event.error)
    this.#closing.abort(this.#error ?? failed('the stream is closed'))
    this.#wake()
  }

  #isFull(): boolean {
    return this.#queued >= Math.max(HIGH_WATER_BYTES, this.#waiter?.need ?? 0)
  }

  #wake(): void {
    const waiter = this.#waiter
    if (waiter === null) return
    if (this.#error === null && !this.#ended && this.#queued < waiter.need) return
    this.#waiter = null
    waiter.done()
  }

  /** Waits until `need` bytes are queued or the stream has ended. */
  async #wait(need: number, withinMs: number): Promise<void> {
    if (this.#queued >= need || this.#ended || this.#error !== null) return
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => {
        this.abort(new ZoariumError('TIMEOUT', `the peer sent nothing for ${withinMs} ms`))
      }, withinMs)
      this.#waiter = {
        need,
        done: () => {
          clearTimeout(timer)
          resolve()
        },
      }
      if (this.#stream.readStatus === 'paused') this.#stream.resume()
    })
  }

  #take(length: number): Uint8Array {
    this.#queued -= length
    const first = this.#chunks[0]
    if (first !== undefined && first.length === length) {
      this.#chunks.shift()
      return first
    }
    if (first !== undefined && first.length > length) {
      this.#chunks[0] = first.subarray(length)
      return first.subarray(0, length)
    }
    // Every byte is set below; a leaf need not be filled with zeros first.
    const bytes = new Uint8Array(Buffer.allocUnsafeSlow(length).buffer)
    let offset = 0
    let used = 0
    while (offset < length) {
      // SAFE: the caller saw to it that `length` bytes are queued.
      const chunk = this.#chunks[used] as Uint8Array
      const part = chunk.subarray(0, length - offset)
      bytes.set(part, offset)
      offset += part.length
      if (part.length < chunk.length) this.#chunks[used] = chunk.subarray(part.length)
      else used++
    }
    this.#chunks.splice(0, used)
    return bytes
  }

  /**
   * Reads the next frame. What came before a reset is still handed out.
   * @param maxBytes a longer frame is refused before any of it is kept
   * @param withinMs deadline of the whole frame
   * @returns null where the peer ended the stream between two frames
   * @throws ZoariumError TIMEOUT, LIMIT, PEER (ended inside a frame, reset)
   */
  async read(maxBytes: number, withinMs: number): Promise<Uint8Array | null> {
    if (this.#length === null) {
      await this.#wait(LENGTH_BYTES, withinMs)
      if (this.#queued < LENGTH_BYTES) {
        if (this.#error !== null) throw this.#error
        if (this.#queued === 0) return null
        throw this.#broken()
      }
      const head = this.#take(LENGTH_BYTES)
      this.#length = new DataView(head.buffer, head.byteOffset, LENGTH_BYTES).getUint32(0)
    }
    const length = this.#length
    if (length > maxBytes) {
      const error = new ZoariumError('LIMIT', 'the peer sent a frame over the limit', {
        limit: maxBytes,
        got: length,
      })
      this.abort(error)
      throw error
    }
    await this.#wait(length, withinMs)
    if (this.#queued < length) throw this.#error ?? this.#broken()
    this.#length = null
    return this.#take(length)
  }

  /** As {@link read}, where the peer owes a frame. @throws ZoariumError also PEER at the end */
  async expect(maxBytes: number, withinMs: number): Promise<Uint8Array> {
    const frame = await this.read(maxBytes, withinMs)
    if (frame === null) throw failed('the peer ended the stream without an answer')
    return frame
  }

  #broken(): ZoariumError {
    const error = failed('the peer ended the stream inside a frame')
    this.abort(error)
    return error
  }

  /**
   * Sends one frame, and waits while the peer is slow.
   * @param withinMs deadline of each wait
   * @throws ZoariumError TIMEOUT, PEER
   */
  async write(bytes: Uint8Array, withinMs: number): Promise<void> {
    const head = new Uint8Array(LENGTH_BYTES)
    new DataView(head.buffer).setUint32(0, bytes.length)
    await this.#send(head, withinMs)
    for (let offset = 0; offset < bytes.length; offset += SEND_BYTES) {
      await this.#send(bytes.subarray(offset, offset + SEND_BYTES), withinMs)
    }
  }

  /**
   * Sends one frame of known length from parts, without gathering them.
   * @throws ZoariumError as {@link write}; INTERNAL where the parts are not `length` bytes
   */
  async writeParts(
    length: number,
    parts: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    withinMs: number,
  ): Promise<void> {
    const head = new Uint8Array(LENGTH_BYTES)
    new DataView(head.buffer).setUint32(0, length)
    await this.#send(head, withinMs)
    let left = length
    for await (const part of parts) {
      left -= part.length
      if (left < 0) break
      for (let offset = 0; offset < part.length; offset += SEND_BYTES) {
        await this.#send(part.subarray(offset, offset + SEND_BYTES), withinMs)
      }
    }
    if (left !== 0) throw new ZoariumError('INTERNAL', 'parts of a frame do not have its length')
  }

  async #send(bytes: Uint8Array, withinMs: number): Promise<void> {
    if (this.#error !== null) throw this.#error
    this.sent += bytes.length
    let isTaken: boolean
    try {
      isTaken = this.#stream.send(bytes)
    } catch (error) {
      this.#error ??= failed('the stream is closed', error)
      throw this.#error
    }
    if (!isTaken) await this.#drained(withinMs)
  }

  async #drained(withinMs: number): Promise<void> {
    const stream = this.#stream
    await new Promise<void>((resolve, reject) => {
      const settle = (act: () => void) => {
        clearTimeout(timer)
        stream.removeEventListener('drain', onDrain)
        stream.removeEventListener('close', onClose)
        act()
      }
      const onDrain = () => settle(resolve)
      const onClose = (event: StreamCloseEvent) =>
        settle(() => reject(this.#error ?? failed('the peer closed the stream', event.error)))
      const timer = setTimeout(() => {
        this.abort(new ZoariumError('TIMEOUT', `the peer took nothing for ${withinMs} ms`))
      }, withinMs)
      stream.addEventListener('drain', onDrain)
      stream.addEventListener('close', onClose)
    })
  }

  /** Sends a body of any length: frames of at most 1 MiB, then an empty one. */
  async writeBody(body: Uint8Array | AsyncIterable<Uint8Array>, withinMs: number): Promise<void> {
    const parts = body instanceof Uint8Array ? [body] : body
    for await (const part of parts) {
      for (let offset = 0; offset < part.length; offset += MAX_BODY_FRAME_BYTES) {
        await this.write(part.subarray(offset, offset + MAX_BODY_FRAME_BYTES), withinMs)
      }
    }
    await this.write(new Uint8Array(0), withinMs)
  }

  /**
   * Reads a body to its empty frame.
   * @param maxBytes of the whole body
   * @param withinMs deadline of each frame
   * @throws ZoariumError LIMIT, PEER, TIMEOUT
   */
  async *readBody(maxBytes: number, withinMs: number): AsyncGenerator<Uint8Array> {
    let left = maxBytes
    while (true) {
      const frame = await this.expect(MAX_BODY_FRAME_BYTES, withinMs)
      if (frame.length === 0) return
      left -= frame.length
      if (left < 0) {
        const error = new ZoariumError('LIMIT', 'the body is over the limit', { limit: maxBytes })
        this.abort(error)
        throw error
      }
      yield frame
    }
  }

  /** Drops what the peer still sends, until it ends the stream or the time is over; then resets. */
  async discard(withinMs: number): Promise<void> {
    this.#isDeaf = true
    this.#drop()
    const stream = this.#stream
    if (stream.readStatus === 'paused') stream.resume()
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => this.abort(failed('no more is read')), withinMs)
      const end = () => {
        clearTimeout(timer)
        resolve()
      }
      if (this.closed.aborted || this.#ended) end()
      stream.addEventListener('end', end)
      this.closed.addEventListener('abort', end)
    })
  }

  #drop(): void {
    this.#chunks.length = 0
    this.#queued = 0
  }

  /** Ends our part once everything is sent; the peer may still send. */
  async close(withinMs: number): Promise<void> {
    try {
      await this.#stream.close({ signal: AbortSignal.timeout(withinMs) })
    } catch {
      this.abort(failed('the peer did not take the end of the stream'))
    }
  }

  /** Resets the stream; a read or write under way throws `error`. */
  abort(error: Error): void {
    this.#error ??= error
    this.#stream.abort(error)
    this.#drop()
    this.#wake()
  }
}

/** Libp2p rejects with errors and with events; neither goes further than here. */
function failed(message: string, cause?: unknown): ZoariumError {
  if (cause instanceof ZoariumError) return cause
  return new ZoariumError('PEER', message, {}, cause)
}

/**
 * `/zoarium/infer/1`: an image goes to a named node and its result comes back. The image leaves only
 * for a peer whose binding names the role `serve`, has not run out, and is of a publisher to whom
 * this node may send; all of that is checked before the first byte. A reset of the stream cancels.
 */
import { concat } from '../../protocol/bytes.ts'
import type { Cid } from '../../protocol/cid.ts'
import { accept, type Failure, refuse, type Verdict, ZoariumError } from '../../protocol/errors.ts'
import { MAX_FRAME_BYTES, MAX_INFER_BYTES, MAX_INFER_RESULT_BYTES } from '../../protocol/limits.ts'
import {
  failureMessage,
  type InferReply,
  type InferRequest,
  type InferResult,
  inferReplies,
  inferRequests,
  PROTOCOLS,
  readFailure,
} from '../../protocol/message.ts'
import type { Archive } from './archive.ts'
import type { Links } from './links.ts'
import type { Peer, PeerBook } from './peers.ts'
import type { FrameStream } from './stream.ts'

/** Time for each step that needs no computing. */
const STEP_MS = 15_000
/** What the asker waits beyond its own deadline, for the way there and back. */
const GRACE_MS = 5_000
const MAX_HEADER_BYTES = 64 * 1024
/** Bodies of all requests that are here at once. */
export const MAX_INFER_MEMORY_BYTES = 1024 * 1024 * 1024
/** What a client is told to wait when that is full. */
const RETRY_AFTER_MS = 2_000

export interface RemoteInput {
  /** Tensor id of the card; null: the only or next one. */
  readonly name: string | null
  readonly mediaType: string | null
  readonly bytes: Uint8Array
}

/** A request to another node. */
export interface RemoteRequest {
  readonly record: Cid
  readonly output: string | null
  readonly accept: string | null
  /** Milliseconds. */
  readonly deadlineMs: number
  readonly inputs: readonly RemoteInput[]
  /** 32 bytes for the receipt. */
  readonly salt?: Uint8Array | null
}

/** A request of another node. */
export interface PeerRequest extends RemoteRequest {
  readonly peer: string
  /** The publisher to which the peer is bound; has the right `list` here. */
  readonly publisher: Cid
  readonly salt: Uint8Array | null
  /** Aborted when the peer goes away, resets the stream or its deadline is over. */
  readonly signal: AbortSignal
}

export interface RemoteResult {
  readonly body: Uint8Array | AsyncIterable<Uint8Array>
  readonly mediaType: string
  readonly outputs: InferResult['outputs']
  /** Milliseconds by step. */
  readonly timings: Readonly<Record<string, number>>
  readonly notes: readonly string[]
  readonly receipt?: Uint8Array | null
}

/** The result as the asker gets it. */
export interface RemoteAnswer extends RemoteResult {
  readonly body: Uint8Array
  readonly receipt: Uint8Array | null
  /** Milliseconds that the body took to leave. */
  readonly uploadMs: number
}

/** Runs requests of other nodes. @throws ZoariumError; its code crosses the wire */
export type RemoteInferHandler = (request: PeerRequest) => Promise<RemoteResult>

export interface InferServiceOptions {
  readonly archive: Archive
  readonly links: Links
  readonly book: PeerBook
  readonly handler: RemoteInferHandler | null
  /** Asks a peer to show its binding again. */
  readonly greet: (peer: Peer) => Promise<void>
}

export class InferService {
  readonly #options: InferServiceOptions
  #held = 0

  constructor(options: InferServiceOptions) {
    this.#options = options
  }

  /**
   * Runs a request at a peer.
   * @throws ZoariumError UNREACHABLE, BINDING_INVALID, TRUST, LIMIT, CANCELLED, TIMEOUT, PEER and
   *   whatever the peer answers
   */
  async ask(peer: Peer, request: RemoteRequest, signal: AbortSignal): Promise<RemoteAnswer> {
    const size = sizeOf(request.inputs.map(({ bytes }) => bytes.length))
    if (!size.ok) throw ZoariumError.of(size)
    await this.#assertMaySend(peer)
    const frames = await this.#options.links.open(peer, PROTOCOLS.infer)
    const cancel = () =>
      frames.abort(new ZoariumError('CANCELLED', 'the request was cancelled', {}, signal.reason))
    if (signal.aborted) cancel()
    signal.addEventListener('abort', cancel)
    try {
      return await this.#exchange(frames, request)
    } catch (error) {
      if (error instanceof ZoariumError) frames.abort(error)
      throw error
    } finally {
      signal.removeEventListener('abort', cancel)
    }
  }

  async #assertMaySend(peer: Peer): Promise<void> {
    const { book, archive, greet } = this.#options
    const serves = () => book.bindingOf(peer)?.roles.includes('serve') ?? false
    if (!serves()) await greet(peer)
    const binding = book.bindingOf(peer)
    if (binding === null || !binding.roles.includes('serve')) {
      throw new ZoariumError('BINDING_INVALID', 'the peer has no binding to serve', {
        field: peer.id,
        hint: 'nothing was sent',
      })
    }
    if (!archive.maySend(binding.publisher)) {
      throw new ZoariumError('TRUST', 'no rule lets images go to that publisher', {
        field: binding.publisher,
        hint: `zoarium trust add ${binding.publisher} list --send`,
      })
    }
  }

  async #exchange(frames: FrameStream, request: RemoteRequest): Promise<RemoteAnswer> {
    const { record, output, accept, deadlineMs, inputs, salt } = request
    const header: InferRequest = {
      t: 'infer',
      record,
      output,
      accept,
      deadline: deadlineMs,
      inputs: inputs.map(({ name, bytes, mediaType }) => ({ name, size: bytes.length, mediaType })),
      salt: salt ?? null,
    }
    const started = performance.now()
    let uploadMs = 0
    const upload = (async () => {
      await frames.write(inferRequests.encode(header), STEP_MS)
      await frames.writeBody(each(inputs), STEP_MS)
      uploadMs = performance.now() - started
    })()
    // A refusal may come before everything is sent; the answer tells, not the failed upload.
    upload.catch(() => {})
    const waitMs = deadlineMs + GRACE_MS
    const reply = inferReplies.decode(await frames.expect(MAX_FRAME_BYTES, waitMs))
    if (!reply.ok) throw ZoariumError.of(reply)
    if (reply.value.t === 'error') throw ZoariumError.of(readFailure(reply.value))
    const parts: Uint8Array[] = []
    for await (const part of frames.readBody(MAX_INFER_RESULT_BYTES, STEP_MS)) parts.push(part)
    await upload
    await frames.close(STEP_MS)
    const { mediaType, outputs, timings, notes, receipt } = reply.value
    return {
      body: gather(parts),
      mediaType,
      outputs,
      timings: Object.fromEntries(Object.entries(timings).map(([step, us]) => [step, us / 1000])),
      notes,
      receipt,
      uploadMs,
    }
  }

  /** Answers one request of a peer. */
  async serve(peer: Peer, frames: FrameStream): Promise<void> {
    const verdict = await this.#read(peer, frames)
    if (!verdict.ok) return this.#refuse(frames, verdict)
    const { header, publisher } = verdict.value
    const size = header.inputs.reduce((sum, input) => sum + input.size, 0)
    if (this.#held + size > MAX_INFER_MEMORY_BYTES) {
      const message = 'too many images of others are here already'
      return this.#refuse(frames, refuse('BUSY', message), RETRY_AFTER_MS)
    }
    this.#held += size
    try {
      const inputs = await readInputs(frames, header)
      if (inputs.ok) await this.#run(peer, publisher, frames, header, inputs.value)
      else await this.#refuse(frames, inputs)
    } finally {
      this.#held -= size
    }
  }

  async #read(
    peer: Peer,
    frames: FrameStream,
  ): Promise<Verdict<{ header: InferRequest; publisher: Cid }>> {
    const { book, archive, handler } = this.#options
    const frame = await frames.expect(MAX_HEADER_BYTES, STEP_MS)
    const publisher = book.publisherOf(peer)
    if (publisher === null || !archive.may(publisher, 'list')) {
      return refuse('TRUST', 'no rule here lists the publisher of this peer', {
        field: publisher ?? peer.id,
      })
    }
    const header = inferRequests.decode(frame)
    if (!header.ok) {
      this.#options.links.blame(peer, header.code)
      return header
    }
    if (handler === null) return refuse('NOT_RUNNABLE', 'this node runs nothing for others')
    if (!archive.mayReadRecord(header.value.record, publisher)) {
      return refuse('NOT_FOUND', 'no model record of that id is here', { got: header.value.record })
    }
    const size = sizeOf(header.value.inputs.map((input) => input.size))
    return size.ok ? accept({ header: header.value, publisher }) : size
  }

  async #run(
    peer: Peer,
    publisher: Cid,
    frames: FrameStream,
    header: InferRequest,
    inputs: readonly RemoteInput[],
  ): Promise<void> {
    const { handler } = this.#options
    const { record, output, accept, deadline: deadlineMs, salt } = header
    const signal = AbortSignal.any([frames.closed, AbortSignal.timeout(deadlineMs)])
    const request = { record, output, accept, deadlineMs, salt, inputs, publisher, signal }
    let result: RemoteResult
    try {
      // SAFE: `#read` refused where there is none.
      result = await (handler as RemoteInferHandler)({ ...request, peer: peer.id })
    } catch (error) {
      if (!(error instanceof ZoariumError)) throw error
      return this.#refuse(frames, refuse(error.code, error.message, error.data))
    }
    const { mediaType, outputs, timings, notes, receipt } = result
    const reply: InferReply = {
      t: 'result',
      mediaType,
      outputs,
      timings: Object.fromEntries(
        Object.entries(timings).map(([step, ms]) => [step, Math.max(0, Math.round(ms * 1000))]),
      ),
      notes: notes.map((note) => note.slice(0, 1000)).slice(0, 100),
      receipt: receipt ?? null,
    }
    await frames.write(inferReplies.encode(reply), STEP_MS)
    await frames.writeBody(result.body, STEP_MS)
    await frames.close(STEP_MS)
  }

  async #refuse(frames: FrameStream, failure: Failure, retryAfter: number | null = null) {
    await frames.write(inferReplies.encode(failureMessage(failure, retryAfter)), STEP_MS)
    await frames.close(STEP_MS)
    // The rest of the body is of no use; the reset stops the asker, who has the answer.
    await frames.discard(STEP_MS)
  }
}

function sizeOf(sizes: readonly number[]): Verdict<number> {
  const size = sizes.reduce((sum, each) => sum + each, 0)
  return size <= MAX_INFER_BYTES
    ? accept(size)
    : refuse('LIMIT', 'the input is too large to send', { limit: MAX_INFER_BYTES, got: size })
}

async function* each(inputs: readonly RemoteInput[]): AsyncGenerator<Uint8Array> {
  for (const { bytes } of inputs) yield bytes
}

/** Cuts the body into the inputs that the header names. Fails with INPUT_LENGTH. */
async function readInputs(
  frames: FrameStream,
  header: InferRequest,
): Promise<Verdict<readonly RemoteInput[]>> {
  const size = header.inputs.reduce((sum, input) => sum + input.size, 0)
  const parts: Uint8Array[] = []
  for await (const part of frames.readBody(size, STEP_MS)) parts.push(part)
  const body = gather(parts)
  if (body.length !== size) {
    return refuse('INPUT_LENGTH', 'the body is shorter than its header says', {
      limit: size,
      got: body.length,
    })
  }
  let offset = 0
  return accept(
    header.inputs.map(({ name, mediaType, size: length }) => {
      const bytes = body.subarray(offset, offset + length)
      offset += length
      return { name, mediaType, bytes }
    }),
  )
}

/** Large bodies of one part are not copied. */
const gather = (parts: readonly Uint8Array[]): Uint8Array =>
  parts.length === 1 ? (parts[0] as Uint8Array) : concat(parts)

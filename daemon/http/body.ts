/**
 * Request bodies, bounded while they arrive: in bytes, in silence and in slowness. The parser of
 * Node bounds the headers only, and its one timeout for whole requests would fit neither a line of
 * JSON nor an upload of 20 GiB.
 */
import type { IncomingMessage } from 'node:http'
import { ZoariumError } from '../../protocol/errors.ts'
import type { Context } from './context.ts'
import { parseJson } from './json.ts'

const KIB = 1024
const MIB = 1024 * KIB

/** Largest JSON body. */
const MAX_JSON_BYTES = MIB
/** A body that stays silent for so long is given up. */
const BODY_IDLE_MS = 30_000
/** After this time a body must have come at {@link MIN_BYTES_PER_SECOND} on average. */
const SLOW_START_MS = 30_000
/** Slower than any line that could finish an image; faster than one byte now and then. */
const MIN_BYTES_PER_SECOND = 1 * KIB
/** After an early answer the rest of the body is read for so long, so that the answer arrives. */
const LINGER_MS = 2_000

export interface BodyLimits {
  readonly maxBytes: number
  /** Names the body in the error. */
  readonly what: string
}

/**
 * The body in chunks.
 * @throws ZoariumError LIMIT, MEDIA_TYPE (a coded body), TIMEOUT, CANCELLED
 */
export async function* receive(ctx: Context, limits: BodyLimits): AsyncGenerator<Uint8Array> {
  const { req } = ctx
  const coding = ctx.get('Content-Encoding')
  if (coding !== '' && coding !== 'identity') {
    throw new ZoariumError('MEDIA_TYPE', 'compressed bodies are not taken', {
      field: 'Content-Encoding',
      got: coding.slice(0, 80),
    })
  }
  const declared = ctx.request.length
  if (declared !== undefined && declared > limits.maxBytes) throw tooLong(limits, declared)
  // The client waits for this word (RFC 9110, 10.1.1); by now scope and size are known to be right.
  if (ctx.get('Expect').toLowerCase() === '100-continue') ctx.res.writeContinue()

  const started = performance.now()
  let received = 0
  req.socket.setTimeout(BODY_IDLE_MS)
  try {
    for await (const chunk of chunksOf(req)) {
      received += chunk.length
      if (received > limits.maxBytes) throw tooLong(limits, received)
      const elapsed = performance.now() - started
      if (elapsed > SLOW_START_MS && received < (elapsed / 1000) * MIN_BYTES_PER_SECOND) {
        throw new ZoariumError('TIMEOUT', 'the body arrives too slowly', {
          limit: `${MIN_BYTES_PER_SECOND} bytes a second`,
        })
      }
      yield chunk
    }
  } finally {
    req.socket.setTimeout(0)
  }
  if (!req.complete) throw gone()
}

/** Unlike plain iteration this leaves the socket open, so that an error can still be answered. */
async function* chunksOf(req: IncomingMessage): AsyncGenerator<Uint8Array> {
  try {
    yield* req.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>
  } catch (error) {
    throw (error as NodeJS.ErrnoException).code === 'ECONNRESET' ? gone() : error
  }
}

const gone = (): ZoariumError => new ZoariumError('CANCELLED', 'the client went away')

const tooLong = ({ maxBytes, what }: BodyLimits, got: number): ZoariumError =>
  new ZoariumError('LIMIT', `${what} is too large`, { field: 'body', limit: maxBytes, got })

/** The body in memory; `reserve` is told of each chunk before it is kept. */
export async function readBytes(
  body: AsyncIterable<Uint8Array>,
  reserve: (bytes: number) => void,
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  for await (const chunk of body) {
    reserve(chunk.length)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

/** @throws ZoariumError MEDIA_TYPE, LIMIT, and like {@link parseJson} */
export async function readJson(ctx: Context): Promise<unknown> {
  requireType(ctx, ['application/json'])
  const limits = { maxBytes: MAX_JSON_BYTES, what: 'the JSON' }
  const bytes = await readBytes(receive(ctx, limits), () => {})
  if (bytes.length === 0) return {}
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw new ZoariumError('PARAMETER', 'the body is not JSON', { field: 'body' })
  }
  return parseJson(text)
}

/**
 * The media type of the body, lower case, without parameters.
 * @param types exact types, or `image/*`
 * @throws ZoariumError MEDIA_TYPE; plain forms of web pages end here
 */
export function requireType(ctx: Context, types: readonly string[]): string {
  const [given = ''] = ctx.get('Content-Type').split(';', 1)
  const type = given.trim().toLowerCase()
  const fits = types.some((each) =>
    each.endsWith('/*') ? type.startsWith(each.slice(0, -1)) : type === each,
  )
  if (fits) return type
  throw new ZoariumError('MEDIA_TYPE', 'the route does not take that media type', {
    field: 'Content-Type',
    got: type.slice(0, 80) || 'none',
    limit: types.join(', '),
  })
}

/**
 * Lets an answer to an unfinished request arrive: the rest of the body is dropped for a while, then
 * the connection. Closing at once would reset it, and the client might never see the answer.
 */
export function lingerOnEarlyAnswer(ctx: Context): void {
  const { req, res } = ctx
  res.once('finish', () => {
    if (req.complete) return
    req.resume()
    setTimeout(() => {
      if (!req.complete) req.socket.destroy()
    }, LINGER_MS).unref()
  })
}

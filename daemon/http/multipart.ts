/** Several inputs in one body: `multipart/form-data`, one file part for each tensor id. RFC 7578. */
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import busboy from 'busboy'
import { ZoariumError } from '../../protocol/errors.ts'
import type { Context } from './context.ts'
import type { InferInput } from './node-api.ts'

/** Most inputs of one request; published models have three at most. */
const MAX_PARTS = 16
/** Longest tensor id, in bytes; format 0.5 allows 16. */
const MAX_NAME_BYTES = 64

/**
 * @param reserve told of each chunk before it is kept
 * @throws ZoariumError INPUT for a malformed body, or what `body` or `reserve` throw
 */
export async function readMultipart(
  ctx: Context,
  body: AsyncIterable<Uint8Array>,
  reserve: (bytes: number) => void,
): Promise<readonly InferInput[]> {
  const inputs: Promise<InferInput>[] = []
  let fault: ZoariumError | null = null
  const parser = createParser(ctx)
  parser.on('file', (name, stream, { mimeType }) => {
    const input = collect(name, mimeType, stream, reserve)
    // The pipeline reports the failure; an unread promise must not end the process.
    input.catch((error) => parser.destroy(error))
    inputs.push(input)
  })
  const refuse = (message: string, field: string, limit?: number) => {
    fault ??= new ZoariumError('INPUT', message, {
      field: field.slice(0, MAX_NAME_BYTES),
      ...(limit === undefined ? {} : { limit }),
    })
  }
  parser.on('field', (name) => refuse('a part is no file: give it a file name', name))
  parser.on('filesLimit', () => refuse('too many parts', 'body', MAX_PARTS))
  parser.on('partsLimit', () => refuse('too many parts', 'body', MAX_PARTS))
  try {
    await pipeline(Readable.from(upToEnd(body, ctx.headers['content-type'] ?? '')), parser)
  } catch (error) {
    throw error instanceof ZoariumError ? error : malformed(error)
  }
  if (fault !== null) throw fault
  const read = await Promise.all(inputs)
  const twice = read.find((input, i) => read.findIndex((other) => other.name === input.name) !== i)
  if (twice !== undefined) {
    throw new ZoariumError('INPUT', 'two parts have the same name', { field: twice.name ?? 'body' })
  }
  return read
}

function createParser(ctx: Context): busboy.Busboy {
  try {
    return busboy({
      headers: ctx.headers,
      limits: { files: MAX_PARTS, parts: MAX_PARTS, fieldSize: 1024, headerPairs: 16 },
    })
  } catch (error) {
    throw malformed(error)
  }
}

/**
 * The body up to its closing delimiter; what follows says nothing (RFC 2046, 5.1.1) and is dropped.
 * The parser reads on there, and waits for ever for the end of a part that begins behind the end.
 */
async function* upToEnd(
  body: AsyncIterable<Uint8Array>,
  contentType: string,
): AsyncGenerator<Uint8Array> {
  const [, quoted, plain] = /;\s*boundary=(?:"([^"]*)"|([^;\s]*))/i.exec(contentType) ?? []
  const end = Buffer.from(`\r\n--${quoted ?? plain ?? ''}--`)
  let isOver = false
  // Text before the first delimiter needs no line end in front.
  let tail = Buffer.from('\r\n')
  for await (const chunk of body) {
    if (isOver) continue
    const bytes = Buffer.concat([tail, chunk])
    const at = bytes.indexOf(end)
    isOver = at >= 0
    yield isOver ? chunk.subarray(0, at + end.length - tail.length) : chunk
    tail = bytes.subarray(-(end.length - 1))
  }
}

const malformed = (cause: unknown): ZoariumError =>
  new ZoariumError('INPUT', 'the multipart body is malformed', { field: 'body' }, cause)

async function collect(
  name: string,
  mimeType: string,
  stream: Readable,
  reserve: (bytes: number) => void,
): Promise<InferInput> {
  const chunks: Uint8Array[] = []
  for await (const chunk of stream as AsyncIterable<Uint8Array>) {
    reserve(chunk.length)
    chunks.push(chunk)
  }
  return {
    name: name === '' ? null : name,
    mediaType: mimeType === 'application/octet-stream' ? null : mimeType,
    bytes: Buffer.concat(chunks),
  }
}

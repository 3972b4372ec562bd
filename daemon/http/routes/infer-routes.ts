/** Inference and the route decision behind it. */
import type { Router } from '@koa/router'
import { parseCid } from '../../../protocol/cid.ts'
import { expectOk, ZoariumError } from '../../../protocol/errors.ts'
import { needs } from '../auth.ts'
import { readBytes, receive, requireType } from '../body.ts'
import type { ByteBudget } from '../byte-budget.ts'
import type { Context, Middleware, RequestState } from '../context.ts'
import { whileConnected } from '../disconnect.ts'
import { integer, oneOf, pattern, readQuery, required, text } from '../fields.ts'
import { readMultipart } from '../multipart.ts'
import { type InferAnswer, type InferInput, MAX_DEADLINE_MS, type NodeApi } from '../node-api.ts'
import { MAX_REF_CHARS } from './model-routes.ts'

const INPUT_TYPES = [
  'image/*',
  'application/octet-stream',
  'application/x-npy',
  'multipart/form-data',
]
/** What a result may be; the answer of another node is not believed more. */
const RESULT_TYPES: ReadonlySet<string> = new Set([
  'image/png',
  'image/tiff',
  'application/x-npy',
  'application/zip',
])
/** Largest input that a route is asked for: 1 TiB, more than any image. */
const MAX_ROUTE_BYTES = 2 ** 40
/** A header that a client's parser still takes beside the others (Node: 16 KiB in all). */
const MAX_HEADER_CHARS = 4096

export interface InferLimits {
  /** Largest body of one request. */
  readonly maxBytes: number
  /** Bounds the bodies of all requests that are under way. */
  readonly budget: ByteBudget
}

export function addInferRoutes(
  router: Router<RequestState>,
  node: NodeApi,
  limits: InferLimits,
): void {
  const infer =
    (refOf: (ctx: Context) => string): Middleware =>
    async (ctx) => {
      const share = limits.budget.share()
      ctx.res.once('close', share.release)
      await answerInference(ctx, node, refOf(ctx), {
        maxBytes: limits.maxBytes,
        reserve: share.take,
      })
    }
  router.post(
    '/v1/models/:publisher/:name/infer',
    needs('infer'),
    infer((ctx) => `${ctx.params.publisher}/${ctx.params.name}`),
  )
  router.post(
    '/v1/records/:cid/infer',
    needs('infer'),
    infer((ctx) => expectOk(parseCid(ctx.params.cid ?? ''))),
  )

  router.get('/v1/route', needs('read'), async (ctx) => {
    const query = readQuery(ctx.query, {
      model: text(MAX_REF_CHARS),
      bytes: integer(0, MAX_ROUTE_BYTES),
    })
    ctx.body = { items: await node.route(required(query.model, 'model'), query.bytes ?? 0) }
  })
}

interface Reception {
  readonly maxBytes: number
  reserve(bytes: number): void
}

async function answerInference(
  ctx: Context,
  node: NodeApi,
  ref: string,
  reception: Reception,
): Promise<void> {
  const options = readQuery(ctx.query, {
    on: pattern(/^[A-Za-z0-9._-]{1,100}$/, 'local, nearest or one node is needed'),
    output: oneOf(['png', 'tiff', 'npy', 'zip']),
    deadlineMs: integer(1, MAX_DEADLINE_MS),
  })
  // Before the body: an unknown model costs no upload, and a new version does not come between.
  const record = node.resolve(ref)
  const signal = whileConnected(ctx)
  const inputs = await readInputs(ctx, reception)
  const answer = await node.infer(
    record,
    inputs,
    {
      on: options.on ?? 'local',
      output: options.output,
      accept: ctx.get('Accept') || null,
      deadlineMs: options.deadlineMs,
    },
    signal,
  )
  ctx.set(headersOf(answer))
  ctx.body = Buffer.from(answer.body.buffer, answer.body.byteOffset, answer.body.byteLength)
  ctx.type = RESULT_TYPES.has(answer.mediaType) ? answer.mediaType : 'application/octet-stream'
}

/** @throws ZoariumError MEDIA_TYPE, LIMIT, BUSY, INPUT, INPUT_EMPTY */
async function readInputs(
  ctx: Context,
  { maxBytes, reserve }: Reception,
): Promise<readonly InferInput[]> {
  const type = requireType(ctx, INPUT_TYPES)
  const body = receive(ctx, { maxBytes, what: 'the input' })
  if (type === 'multipart/form-data') {
    const inputs = await readMultipart(ctx, body, reserve)
    const empty = inputs.find((input) => input.bytes.length === 0)
    if (inputs.length === 0 || empty !== undefined) throw noInput(empty?.name ?? 'body')
    return inputs
  }
  const bytes = await readBytes(body, reserve)
  if (bytes.length === 0) throw noInput('body')
  return [{ name: null, mediaType: type === 'application/octet-stream' ? null : type, bytes }]
}

const noInput = (field: string): ZoariumError =>
  new ZoariumError('INPUT_EMPTY', 'the input has no bytes', {
    field,
    hint: 'send the image or the npy file as the body of the request',
  })

function headersOf(answer: InferAnswer): Record<string, string> {
  const timings = Object.entries(answer.timings)
    .filter(([name, ms]) => /^[A-Za-z]{1,32}$/.test(name) && Number.isFinite(ms))
    .map(([name, ms]) => `${name.replace(/Ms$/, '')};dur=${ms.toFixed(2)}`)
    .join(', ')
  return {
    'Server-Timing': timings,
    'Zoarium-Node': answer.node,
    'Zoarium-Tried': answer.tried.join(', '),
    'Zoarium-Outputs': headerJson(answer.outputs),
    'Zoarium-Notes': headerJson(answer.notes),
  }
}

/** JSON in ASCII, as header fields want it; `[]` where it would be too long to send. */
function headerJson(value: readonly unknown[]): string {
  const json = JSON.stringify(value).replace(
    /[\u007f-\uffff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
  return json.length <= MAX_HEADER_CHARS ? json : '[]'
}

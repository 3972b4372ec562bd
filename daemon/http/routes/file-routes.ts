/** Files of a model, whole or in ranges. Content ids make them cacheable for ever. */
import { Readable } from 'node:stream'
import type { Router } from '@koa/router'
import { type Cid, parseCid } from '../../../protocol/cid.ts'
import { expectOk, ZoariumError } from '../../../protocol/errors.ts'
import { LEAF_BYTES, MAX_BLOB_BYTES } from '../../../protocol/limits.ts'
import { needs, requireScope } from '../auth.ts'
import { parseByteRange } from '../byte-range.ts'
import type { Context, RequestState } from '../context.ts'
import { whileConnected } from '../disconnect.ts'
import { flag, readQuery } from '../fields.ts'
import type { FileAnswer, NodeApi } from '../node-api.ts'

/** A download that does not move for so long is ended. */
const SEND_IDLE_MS = 60_000
/** A record never changes: a year, which is what caches take as for ever. RFC 9111, RFC 8246. */
const IMMUTABLE = 'private, max-age=31536000, immutable'
/** A name may come to stand for something else; the content id as ETag makes asking cheap. */
const REVALIDATE = 'private, no-cache'
/** Types that cannot run anything; all others are sent as bytes. */
const INERT_TYPES: ReadonlySet<string> = new Set([
  'image/png',
  'image/jpeg',
  'image/gif',
  'image/webp',
  'image/tiff',
])

export function addFileRoutes(router: Router<RequestState>, node: NodeApi): void {
  router.get('/v1/models/:publisher/:name/files/*path', needs('read'), async (ctx) => {
    const ref = `${ctx.params.publisher}/${ctx.params.name}`
    const file = await node.file(ref, ctx.params.path ?? '', whileConnected(ctx))
    await sendFile(ctx, file, REVALIDATE)
  })

  router.get('/v1/records/:cid/files/*path', needs('read'), async (ctx) => {
    const cid = expectOk(parseCid(ctx.params.cid ?? ''))
    const file = await node.file(cid, ctx.params.path ?? '', whileConnected(ctx))
    await sendFile(ctx, file, IMMUTABLE)
  })

  router.get('/v1/blobs/:cid', async (ctx) => {
    const { ticket } = ctx.state
    if (ticket === null) requireScope(ctx, 'read')
    const cid = expectOk(parseCid(ctx.params.cid ?? ''))
    if (ticket !== null) return sendLeaf(ctx, node, cid, ticket)
    await sendFile(ctx, node.blob(cid), IMMUTABLE)
  })
}

/** Another node asks for one leaf, as it does over a stream. */
async function sendLeaf(ctx: Context, node: NodeApi, cid: Cid, ticket: string): Promise<void> {
  const { insist } = readQuery(ctx.query, { insist: flag })
  const range = parseByteRange(ctx.get('Range'), MAX_BLOB_BYTES)
  const index = (range?.start ?? 0.5) / LEAF_BYTES
  if (range === null || !Number.isInteger(index)) throw notALeaf(ctx)
  const { size, reply, sent } = await node.leaf(ticket, { cid, index, insist: insist ?? true })
  ctx.res.once('close', sent)
  if ('given' in reply) {
    throw new ZoariumError('GIVEN', 'the leaf was given to others', {
      field: 'Range',
      got: Buffer.from(reply.given).toString('base64url'),
    })
  }
  if (range.end - range.start !== reply.length) throw notALeaf(ctx)
  ctx.status = 206
  ctx.set('Content-Range', `bytes ${range.start}-${range.end - 1}/${size}`)
  ctx.type = 'application/octet-stream'
  ctx.req.socket.setTimeout(SEND_IDLE_MS)
  ctx.body = Readable.from(reply.parts, { objectMode: false })
  ctx.length = reply.length
}

const notALeaf = (ctx: Context): ZoariumError =>
  new ZoariumError('RANGE', 'with a ticket one leaf is asked for at a time', {
    field: 'Range',
    limit: LEAF_BYTES,
    got: ctx.get('Range').slice(0, 80),
  })

async function sendFile(ctx: Context, file: FileAnswer, caching: string): Promise<void> {
  const etag = `"${file.cid}"`
  ctx.status = 200
  ctx.set('ETag', etag)
  ctx.set('Cache-Control', caching)
  ctx.set('Accept-Ranges', 'bytes')
  ctx.attachment((ctx.params.path ?? '').split('/').at(-1))
  ctx.type = INERT_TYPES.has(file.mediaType) ? file.mediaType : 'application/octet-stream'
  if (ctx.fresh) {
    ctx.status = 304
    return
  }
  const range = rangeOf(ctx, file, etag) ?? { start: 0, end: file.size }
  if (ctx.method !== 'HEAD') {
    ctx.req.socket.setTimeout(SEND_IDLE_MS)
    ctx.body = Readable.from(await file.open(range), { objectMode: false })
  }
  ctx.length = range.end - range.start
}

function rangeOf(ctx: Context, file: FileAnswer, etag: string) {
  const condition = ctx.get('If-Range')
  if (condition !== '' && condition !== etag) return null
  try {
    const range = parseByteRange(ctx.get('Range'), file.size)
    if (range === null) return null
    ctx.status = 206
    ctx.set('Content-Range', `bytes ${range.start}-${range.end - 1}/${file.size}`)
    return range
  } catch (error) {
    ctx.set('Content-Range', `bytes */${file.size}`)
    throw error
  }
}

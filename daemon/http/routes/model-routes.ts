/** Models, records, identities: what this node lists. */
import type { Router } from '@koa/router'
import type { ModelView, RecordView, ResolveView } from '../../../protocol/api.ts'
import { type Cid, parseCid } from '../../../protocol/cid.ts'
import { expectOk, ZoariumError } from '../../../protocol/errors.ts'
import { DTYPES } from '../../../protocol/model-description.ts'
import { readRecord } from '../../../protocol/record.ts'
import { MAX_PAGE, type ModelQuery } from '../../../registry/catalogue.ts'
import { needs } from '../auth.ts'
import { readJson } from '../body.ts'
import type { RequestState } from '../context.ts'
import { whileConnected } from '../disconnect.ts'
import { integer, oneOf, pattern, readFields, readQuery, required, text } from '../fields.ts'
import type { NodeApi } from '../node-api.ts'

/** Longest text of a search, in characters. */
const MAX_QUERY_CHARS = 500
/** Longest filter value: tag, licence, publisher, in characters. */
const MAX_FILTER_CHARS = 253
/** Longest reference: a handle, a name and a version, or an alias. */
export const MAX_REF_CHARS = 500
const MAX_CHANNELS = 1_000_000
const ENVELOPE_TYPE = 'application/vnd.zoarium.record'

const SEARCH_FIELDS = {
  q: text(MAX_QUERY_CHARS),
  axes: pattern(/^(?!.*(.).*\1)[xyz]{1,3}$/, 'spatial axes are x, y and z, each once'),
  channels: integer(1, MAX_CHANNELS),
  dtype: oneOf(DTYPES),
  tag: text(MAX_FILTER_CHARS),
  license: text(MAX_FILTER_CHARS),
  publisher: text(MAX_FILTER_CHARS),
  sort: oneOf(['relevance', 'newest', 'name']),
  limit: integer(1, MAX_PAGE),
  cursor: text(MAX_QUERY_CHARS),
}

export function addModelRoutes(router: Router<RequestState>, node: NodeApi): void {
  router.get('/v1/models', needs('read'), (ctx) => {
    const { q, publisher, ...filters } = readQuery(ctx.query, SEARCH_FIELDS)
    ctx.body = node.search({
      ...withoutNulls({ text: q, ...filters }),
      ...(publisher === null ? {} : { publisher: publisherId(node, publisher) }),
    })
  })

  router.get('/v1/models/:publisher/:name', needs('read'), (ctx) => {
    readQuery(ctx.query, {})
    ctx.body = node.model(`${ctx.params.publisher}/${ctx.params.name}`)
  })

  router.get('/v1/resolve', needs('read'), (ctx) => {
    const query = readQuery(ctx.query, { ref: text(MAX_REF_CHARS) })
    const model = node.model(required(query.ref, 'ref'))
    const { ref, record, root, name, version } = model
    ctx.body = {
      ref,
      record,
      root,
      publisher: model.publisher.id,
      name,
      version,
    } satisfies ResolveView
  })

  router.get('/v1/records/:cid', needs('read'), (ctx) => {
    const { format } = readQuery(ctx.query, { format: oneOf(['json', 'envelope']) })
    const cid = expectOk(parseCid(ctx.params.cid ?? ''))
    const envelope = node.envelope(cid)
    ctx.vary('Accept')
    const wanted =
      format ?? (ctx.accepts('json', ENVELOPE_TYPE) === ENVELOPE_TYPE ? 'envelope' : 'json')
    if (wanted === 'envelope') {
      ctx.body = Buffer.from(envelope)
      ctx.type = ENVELOPE_TYPE
      return
    }
    const record = viewOf(cid, envelope)
    ctx.body = (record.kind === 'model' ? modelOf(node, cid) : null) ?? record
  })

  router.get('/v1/identities/:publisher', needs('read'), (ctx) => {
    ctx.body = node.identity(ctx.params.publisher ?? '')
  })

  router.post('/v1/pull', needs('admin'), async (ctx) => {
    const { ref } = readFields(await readJson(ctx), { ref: text(MAX_REF_CHARS) })
    ctx.body = await node.pull(required(ref, 'ref'), whileConnected(ctx))
  })
}

/** A model with its card, or null where that was erased: the record stays. */
function modelOf(node: NodeApi, cid: Cid): ({ kind: 'model' } & ModelView) | null {
  try {
    return { kind: 'model', ...node.model(cid) }
  } catch (error) {
    if (error instanceof ZoariumError && error.code === 'ERASED') return null
    throw error
  }
}

function publisherId(node: NodeApi, publisher: string): Cid {
  const cid = parseCid(publisher)
  return cid.ok ? cid.value : node.identity(publisher).publisher
}

function viewOf(cid: Cid, envelope: Uint8Array): RecordView {
  const { record } = expectOk(readRecord(envelope))
  const { kind, publisher, key, epoch, seq, prev, ts, body } = record
  return {
    kind,
    record: cid,
    publisher,
    key,
    position: { epoch, seq },
    prev,
    published: new Date(ts).toISOString(),
    // SAFE: each kind's body is a plain object of JSON values; content ids are texts.
    body: body as unknown as Readonly<Record<string, unknown>>,
  }
}

/** Absent conditions are absent properties of a {@link ModelQuery}. */
const withoutNulls = (fields: Readonly<Record<string, unknown>>): ModelQuery =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null))

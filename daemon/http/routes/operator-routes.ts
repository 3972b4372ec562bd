/** What the operator decides: trust rules, pins and tokens. */
import type { Router } from '@koa/router'
import type { Right, Scope } from '../../../protocol/api.ts'
import { ZoariumError } from '../../../protocol/errors.ts'
import { needs } from '../auth.ts'
import { readJson } from '../body.ts'
import type { RequestState } from '../context.ts'
import { flag, integer, listOf, oneOf, readFields, readQuery, required, text } from '../fields.ts'
import type { NodeApi } from '../node-api.ts'
import { MAX_REF_CHARS } from './model-routes.ts'

const RIGHTS: readonly Right[] = ['see', 'list', 'mirror', 'run']
const SCOPES: readonly Scope[] = ['read', 'infer', 'publish', 'admin']
/** Longest name of a publisher: a handle is a domain name. */
const MAX_PUBLISHER_CHARS = 253
/** Longest label or petname, in characters. */
const MAX_LABEL_CHARS = 80
/** Longest life of a token: ten years. */
const MAX_TOKEN_MS = 10 * 366 * 24 * 3600 * 1000

export function addOperatorRoutes(router: Router<RequestState>, node: NodeApi): void {
  router.get('/v1/trust', needs('read'), (ctx) => {
    ctx.body = node.trust()
  })

  router.get('/v1/trust/explain', needs('read'), (ctx) => {
    const query = readQuery(ctx.query, { ref: text(MAX_REF_CHARS) })
    ctx.body = node.explainTrust(required(query.ref, 'ref'))
  })

  router.post('/v1/trust', needs('admin'), async (ctx) => {
    const rule = readFields(await readJson(ctx), {
      publisher: text(MAX_PUBLISHER_CHARS),
      right: oneOf(RIGHTS),
      petname: text(MAX_LABEL_CHARS),
      send: flag,
    })
    const publisher = required(rule.publisher, 'publisher')
    ctx.body = node.addTrust(publisher, required(rule.right, 'right'), {
      petname: rule.petname,
      send: rule.send,
    })
  })

  router.delete('/v1/trust/:publisher', needs('admin'), (ctx) => {
    ctx.body = node.removeTrust(ctx.params.publisher ?? '')
  })

  router.get('/v1/pins', needs('read'), (ctx) => {
    ctx.body = { items: node.pins() }
  })

  router.post('/v1/pins', needs('admin'), async (ctx) => {
    const pin = readFields(await readJson(ctx), { ref: text(MAX_REF_CHARS) })
    ctx.body = { items: node.pin(required(pin.ref, 'ref')) }
  })

  router.delete('/v1/pins/:ref', needs('admin'), (ctx) => {
    ctx.body = { items: node.unpin(ctx.params.ref ?? '') }
  })

  router.get('/v1/tokens', needs('admin'), (ctx) => {
    ctx.body = { items: node.tokens() }
  })

  router.post('/v1/tokens', needs('admin'), async (ctx) => {
    const token = readFields(await readJson(ctx), {
      label: text(MAX_LABEL_CHARS),
      scopes: listOf(oneOf(SCOPES)),
      expiresMs: integer(1, MAX_TOKEN_MS),
    })
    const scopes = required(token.scopes, 'scopes')
    ctx.status = 201
    ctx.body = node.addToken(token.label ?? '', scopes, token.expiresMs)
  })

  router.delete('/v1/tokens/:id', needs('admin'), (ctx) => {
    const id = ctx.params.id ?? ''
    if (!node.revokeToken(id)) {
      throw new ZoariumError('NOT_FOUND', 'no token has that id', { got: id.slice(0, 80) })
    }
    ctx.status = 204
  })
}

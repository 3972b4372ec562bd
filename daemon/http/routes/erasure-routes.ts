/** Bytes that go from this node: models that are erased, and files that no model names. */
import type { Router } from '@koa/router'
import { needs } from '../auth.ts'
import { readJson } from '../body.ts'
import type { RequestState } from '../context.ts'
import { flag, readFields, readQuery, required, text } from '../fields.ts'
import type { NodeApi } from '../node-api.ts'
import { MAX_REF_CHARS } from './model-routes.ts'

export function addErasureRoutes(router: Router<RequestState>, node: NodeApi): void {
  router.get('/v1/erasures', needs('read'), (ctx) => {
    readQuery(ctx.query, {})
    ctx.body = { items: node.erasures() }
  })

  router.post('/v1/erasures', needs('admin'), async (ctx) => {
    const { ref } = readFields(await readJson(ctx), { ref: text(MAX_REF_CHARS) })
    ctx.body = await node.eraseHere(required(ref, 'ref'))
  })

  router.delete('/v1/erasures/:ref', needs('admin'), (ctx) => {
    ctx.body = { items: node.restoreHere(ctx.params.ref ?? '') }
  })

  router.post('/v1/gc', needs('admin'), async (ctx) => {
    const { now } = readFields(await readJson(ctx), { now: flag })
    ctx.body = await node.collectGarbage(now ?? false)
  })
}

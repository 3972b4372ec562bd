/** The node itself: health, status, peers, metrics. */
import type { Router } from '@koa/router'
import { HANDLE_PATH } from '../../../protocol/handle.ts'
import { needs } from '../auth.ts'
import { readJson } from '../body.ts'
import type { RequestState } from '../context.ts'
import { readFields, required, text } from '../fields.ts'
import type { NodeApi } from '../node-api.ts'

/** Longest libp2p multiaddr or PeerId that is read, in characters. */
const MAX_ADDRESS_CHARS = 500

export function addNodeRoutes(router: Router<RequestState>, node: NodeApi): void {
  router.get('/healthz', (ctx) => {
    ctx.body = { ok: true }
  })

  // Without a token: other nodes read it to verify the handle.
  router.get(HANDLE_PATH, (ctx) => {
    ctx.body = node.handleDocument()
  })

  router.get('/readyz', needs('read'), (ctx) => {
    const reasons = node.notReady()
    ctx.status = reasons.length === 0 ? 200 : 503
    ctx.body = { ready: reasons.length === 0, reasons }
  })

  router.get('/metrics', needs('read'), async (ctx) => {
    ctx.body = await node.metrics()
    ctx.type = 'text/plain; version=0.0.4; charset=utf-8'
  })

  router.get('/v1/node', needs('read'), (ctx) => {
    ctx.body = node.node()
  })

  router.get('/v1/keys', needs('admin'), (ctx) => {
    ctx.body = node.keys()
  })

  router.get('/v1/peers', needs('read'), (ctx) => {
    ctx.body = { items: node.peers() }
  })

  router.post('/v1/peers', needs('admin'), async (ctx) => {
    const body = readFields(await readJson(ctx), { address: text(MAX_ADDRESS_CHARS) })
    ctx.body = await node.connect(required(body.address, 'address'))
  })

  router.post('/v1/doctor', needs('admin'), async (ctx) => {
    readFields(await readJson(ctx), {})
    ctx.body = await node.doctor()
  })

  router.post('/v1/sync', needs('admin'), async (ctx) => {
    const { peer } = readFields(await readJson(ctx), { peer: text(MAX_ADDRESS_CHARS) })
    ctx.body = { items: await node.sync(peer) }
  })
}

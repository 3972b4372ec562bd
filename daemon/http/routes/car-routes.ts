/** Models that travel as files: out of this node, and into it. */
import { Readable } from 'node:stream'
import type { Router } from '@koa/router'
import { MAX_MODELS_CAR_BYTES, MAX_MODELS_CAR_MODELS } from '../../../protocol/limits.ts'
import { CAR_TYPE } from '../../../protocol/roster-car.ts'
import { needs } from '../auth.ts'
import { receive, requireType } from '../body.ts'
import type { RequestState } from '../context.ts'
import { listOf, readQuery, required, text } from '../fields.ts'
import type { NodeApi } from '../node-api.ts'
import { MAX_REF_CHARS } from './model-routes.ts'

/** A download that does not move for so long is ended. */
const SEND_IDLE_MS = 60_000

export function addCarRoutes(router: Router<RequestState>, node: NodeApi): void {
  router.get('/v1/export', needs('read'), (ctx) => {
    const { ref } = readQuery(ctx.query, {
      ref: listOf(text(MAX_REF_CHARS), MAX_MODELS_CAR_MODELS),
    })
    const file = node.exportModels(required(ref, 'ref'))
    ctx.req.socket.setTimeout(SEND_IDLE_MS)
    ctx.body = Readable.from(file, { objectMode: false })
    ctx.type = CAR_TYPE
    ctx.attachment('models.car')
  })

  router.post('/v1/import', needs('admin'), async (ctx) => {
    requireType(ctx, [CAR_TYPE])
    const limits = { maxBytes: MAX_MODELS_CAR_BYTES, what: 'the CAR file' }
    ctx.body = await node.importModels(receive(ctx, limits))
  })
}

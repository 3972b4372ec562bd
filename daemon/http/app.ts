/**
 * The koa application of one listener. Order: request id and errors, guard, token, routes; what no
 * route takes is 404 or 405 in the same form as every other error.
 */
import { randomUUID } from 'node:crypto'
import { Router } from '@koa/router'
import Koa from 'koa'
import { ZoariumError } from '../../protocol/errors.ts'
import { answerError } from './answer.ts'
import { authenticate, needs } from './auth.ts'
import { lingerOnEarlyAnswer } from './body.ts'
import type { Middleware, RequestState } from './context.ts'
import { type GuardOptions, guard } from './guard.ts'
import type { HttpLog } from './log.ts'
import type { NodeApi } from './node-api.ts'
import { openApi } from './openapi.ts'
import { addCarRoutes } from './routes/car-routes.ts'
import { addErasureRoutes } from './routes/erasure-routes.ts'
import { addEventRoutes, type EventStreams } from './routes/event-routes.ts'
import { addFileRoutes } from './routes/file-routes.ts'
import { addInferRoutes, type InferLimits } from './routes/infer-routes.ts'
import { addModelRoutes } from './routes/model-routes.ts'
import { addNodeRoutes } from './routes/node-routes.ts'
import { addOperatorRoutes } from './routes/operator-routes.ts'
import { addPublishRoutes } from './routes/publish-routes.ts'
import { addRosterRoutes } from './routes/roster-routes.ts'

export interface AppOptions {
  readonly node: NodeApi
  readonly log: HttpLog
  /** Shared by all listeners of a daemon. */
  readonly shared: {
    readonly streams: EventStreams
    readonly infer: InferLimits
    /** Largest zip to publish. */
    readonly maxPublishBytes: number
  }
  readonly isOpen: boolean
  readonly guard: () => GuardOptions
}

export function createApp(options: AppOptions): Koa<RequestState> {
  const { node, log } = options
  const app = new Koa<RequestState>()
  // Failures after the headers went out; most are clients that left.
  app.on('error', (error: Error) => log.debug({ error: error.message }, 'response broken off'))
  const router = createRouter(node, options.shared)
  app.use(answering(log))
  app.use(guard(options.guard))
  app.use(authenticate(node, options.isOpen))
  app.use(router.routes())
  app.use(refuseRest(router))
  return app
}

export function createRouter(node: NodeApi, shared: AppOptions['shared']): Router<RequestState> {
  const router = new Router<RequestState>()
  addNodeRoutes(router, node)
  addEventRoutes(router, node, shared.streams)
  addModelRoutes(router, node)
  addFileRoutes(router, node)
  addPublishRoutes(router, node, shared.maxPublishBytes)
  addErasureRoutes(router, node)
  addCarRoutes(router, node)
  addInferRoutes(router, node, shared.infer)
  addOperatorRoutes(router, node)
  addRosterRoutes(router, node)
  router.get('/v1/openapi.json', needs('read'), (ctx) => {
    ctx.body = openApi
  })
  return router
}

function answering(log: HttpLog): Middleware {
  return async (ctx, next) => {
    const started = performance.now()
    ctx.state.id = randomUUID()
    lingerOnEarlyAnswer(ctx)
    try {
      await next()
    } catch (error) {
      answerError(ctx, error, log)
    }
    const { method, path, status } = ctx
    const ms = Math.round(performance.now() - started)
    log.info({ id: ctx.state.id, method, path, status, ms }, 'request')
  }
}

function refuseRest(router: Router<RequestState>): Middleware {
  return (ctx) => {
    const methods = router.match(ctx.path, ctx.method).path.flatMap((layer) => layer.methods)
    if (methods.length === 0) {
      throw new ZoariumError('NOT_FOUND', 'no such path', {
        got: ctx.path.slice(0, 80),
        hint: 'GET /v1/openapi.json lists all paths',
      })
    }
    const allowed = [...new Set(methods)].join(', ')
    ctx.set('Allow', allowed)
    throw new ZoariumError('METHOD', 'the path does not take that method', {
      got: ctx.method,
      limit: allowed,
    })
  }
}

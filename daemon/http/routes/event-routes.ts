/** Events as they happen. Server-sent events: HTML standard, section 9.2. */
import type { ServerResponse } from 'node:http'
import type { Router } from '@koa/router'
import { ZoariumError } from '../../../protocol/errors.ts'
import { needs } from '../auth.ts'
import type { RequestState } from '../context.ts'
import type { NodeApi } from '../node-api.ts'

/** Most listeners of one daemon. */
export const MAX_LISTENERS = 64
/** A comment line so often keeps proxies from closing a silent stream. */
const HEARTBEAT_MS = 15_000
/** A listener that leaves so many bytes unread is dropped; it may come back and ask for the rest. */
const MAX_UNREAD_BYTES = 256 * 1024
/** How soon a listener that lost the connection should come back. */
const RETRY_MS = 3_000

/** The open streams, so that a stopping server can end them. */
export class EventStreams {
  readonly #open = new Set<ServerResponse>()

  /** @throws ZoariumError BUSY */
  add(response: ServerResponse): void {
    if (this.#open.size >= MAX_LISTENERS) {
      throw new ZoariumError('BUSY', 'too many listeners', { limit: MAX_LISTENERS })
    }
    this.#open.add(response)
    response.once('close', () => this.#open.delete(response))
  }

  close(): void {
    for (const response of this.#open) response.end()
  }
}

export function addEventRoutes(
  router: Router<RequestState>,
  node: NodeApi,
  streams: EventStreams,
): void {
  router.get('/v1/events', needs('read'), (ctx) => {
    const { res } = ctx
    if (ctx.method === 'HEAD') {
      ctx.status = 200
      ctx.type = 'text/event-stream'
      return
    }
    streams.add(res)
    const send = (text: string): void => {
      if (res.writableLength > MAX_UNREAD_BYTES) res.destroy()
      else res.write(text)
    }
    // The stream outlives this function: koa must not end the response.
    ctx.respond = false
    res.writeHead(200, { 'Content-Type': 'text/event-stream; charset=utf-8' })
    send(`retry: ${RETRY_MS}\n\n`)
    const unsubscribe = node.subscribe((event) =>
      send(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`),
    )
    const heartbeat = setInterval(() => send(': still here\n\n'), HEARTBEAT_MS)
    res.once('close', () => {
      clearInterval(heartbeat)
      unsubscribe()
    })
  })
}

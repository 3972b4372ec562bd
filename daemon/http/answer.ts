/** Errors as answers: one form for all, the status from the one table, nothing of the inside. */
import { STATUS_CODES } from 'node:http'
import type { ErrorBody } from '../../protocol/api.ts'
import { CODES, type Code, ZoariumError } from '../../protocol/errors.ts'
import type { Context } from './context.ts'
import type { HttpLog } from './log.ts'

/** When a busy node may be asked again, seconds: about one inference. */
const RETRY_AFTER_S = 2
const RETRY_CODES: ReadonlySet<Code> = new Set(['BUSY', 'MODEL_QUARANTINED'])

/** Answers with `error` in place of whatever was being prepared. */
export function answerError(ctx: Context, error: unknown, log: HttpLog): void {
  const known = error instanceof ZoariumError ? error : fromKoa(error)
  const { id } = ctx.state
  if (known === null || known.code === 'INTERNAL') {
    const { message, stack } = error instanceof Error ? error : new Error(String(error))
    log.error({ id, method: ctx.method, path: ctx.path, error: message, stack }, 'defect')
  }
  const shown =
    known === null || known.code === 'INTERNAL'
      ? new ZoariumError('INTERNAL', 'a defect in this program', {
          hint: `the daemon's log has the details under request ${id}`,
        })
      : known
  if (ctx.headerSent) {
    // Too late for a status: cut the connection, so that nobody takes a part for the whole.
    ctx.res.destroy()
    return
  }
  ctx.status = CODES[shown.code].status
  ctx.set('Cache-Control', 'no-store')
  ctx.remove('Content-Disposition')
  ctx.remove('ETag')
  if (shown.code === 'TOKEN') ctx.set('WWW-Authenticate', 'Bearer')
  if (RETRY_CODES.has(shown.code)) ctx.set('Retry-After', String(RETRY_AFTER_S))
  ctx.body = errorBody(shown)
}

export const errorBody = ({ code, message, data }: ZoariumError): ErrorBody => ({
  error: { code, message, ...data },
})

/** Errors that koa and its helpers raise for malformed requests. */
function fromKoa(error: unknown): ZoariumError | null {
  const { status, expose } = (error ?? {}) as { status?: unknown; expose?: unknown }
  if (expose !== true || typeof status !== 'number' || status >= 500) return null
  return new ZoariumError('PARAMETER', STATUS_CODES[status] ?? 'the request is malformed')
}

/** What the middlewares leave for the routes. */
import type { RouterContext, RouterMiddleware } from '@koa/router'
import type { Scope } from '../../protocol/api.ts'

export interface RequestState {
  /** Names the request in the log and in the answer to a defect. */
  id: string
  /** What the caller may do: open scopes of the listener and those of the token. */
  scopes: ReadonlySet<Scope>
  hasToken: boolean
  /** By which another node asks for leaves of files; null: none. */
  ticket: string | null
}

export type Context = RouterContext<RequestState>
export type Middleware = RouterMiddleware<RequestState>

/**
 * Who may do what. A listener on loopback is open for `read` and `infer`; everything else, and
 * everything on other listeners, takes a bearer token with the scope. Tokens come in the
 * `Authorization` header only: addresses end up in logs and histories.
 */
import type { Scope } from '../../protocol/api.ts'
import { ZoariumError } from '../../protocol/errors.ts'
import type { Context, Middleware } from './context.ts'
import type { NodeApi } from './node-api.ts'

const OPEN_SCOPES: readonly Scope[] = ['read', 'infer']
/** `Bearer`, one space, the token of at most 256 characters. RFC 6750, section 2.1. */
const BEARER = /^bearer ([A-Za-z0-9._~+/=-]{1,256})$/i

/** Notes the caller's scopes, or the ticket of another node. A token that is wrong is refused even where none is needed. */
export function authenticate(node: NodeApi, isOpen: boolean): Middleware {
  return async (ctx, next) => {
    const given = ctx.get('Authorization')
    const token = BEARER.exec(given)?.[1]
    const isTicket = token !== undefined && node.isTicket(token)
    ctx.state.ticket = isTicket ? token : null
    ctx.state.hasToken = given !== ''
    const granted = given === '' || isTicket ? [] : scopesOf(node, token)
    ctx.state.scopes = new Set([...(isOpen ? OPEN_SCOPES : []), ...granted])
    await next()
  }
}

function scopesOf(node: NodeApi, token: string | undefined): readonly Scope[] {
  const scopes = token === undefined ? null : node.scopesOf(token)
  if (scopes === null) {
    throw new ZoariumError('TOKEN', 'the token is not valid here', {
      hint: 'send "Authorization: Bearer TOKEN" with a token of this node that has not expired',
    })
  }
  return scopes
}

/** Lets callers with `scope` pass. */
export const needs =
  (scope: Scope): Middleware =>
  async (ctx, next) => {
    requireScope(ctx, scope)
    await next()
  }

export function requireScope(ctx: Context, scope: Scope): void {
  const { scopes, hasToken } = ctx.state
  if (scopes.has(scope)) return
  if (hasToken) {
    throw new ZoariumError('TOKEN_SCOPE', `the token lacks the scope ${scope}`, {
      field: 'scope',
      limit: scope,
      got: [...scopes].join(', '),
    })
  }
  throw new ZoariumError('TOKEN', `a token with the scope ${scope} is needed`, {
    limit: scope,
    hint: 'send "Authorization: Bearer TOKEN"; the operator\'s own is in the file "token" of the data folder, others come from `zoarium tokens add`',
  })
}

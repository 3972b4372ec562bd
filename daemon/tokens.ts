/**
 * Bearer tokens of the HTTP routes. Only their SHA-256 is kept; the one in the data folder's
 * `token` file has every scope and belongs to the operator of this machine.
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import type { NewTokenView, Scope, TokenView } from '../protocol/api.ts'
import { ZoariumError } from '../protocol/errors.ts'
import type { Catalogue, TokenRow } from '../registry/catalogue.ts'
import type { Clock } from '../registry/clock.ts'

export const SCOPES: readonly Scope[] = ['read', 'infer', 'publish', 'admin']
/** Most tokens of one node that have not run out; each is compared with every request's. */
export const MAX_TOKENS = 1000
/** Longest label of a token, in characters. */
export const MAX_TOKEN_LABEL = 80
const TOKEN_BYTES = 32

export const newToken = (): string => `zo_${randomBytes(TOKEN_BYTES).toString('base64url')}`

const hashOf = (token: string): Buffer => createHash('sha256').update(token).digest()

export class Tokens {
  readonly #catalogue: Catalogue
  readonly #clock: Clock
  readonly #operator: Buffer

  /** @param operatorToken content of the data folder's `token` file */
  constructor(catalogue: Catalogue, clock: Clock, operatorToken: string) {
    this.#catalogue = catalogue
    this.#clock = clock
    this.#operator = hashOf(operatorToken.trim())
  }

  list(): readonly TokenView[] {
    return this.#catalogue.tokens().map(viewOf)
  }

  /**
   * Makes a token, and forgets those that have run out.
   * @param expiresMs its life from now on; null: until it is revoked
   * @throws ZoariumError PARAMETER for an unknown scope or a long label, LIMIT
   */
  add(label: string, scopes: readonly Scope[], expiresMs: number | null): NewTokenView {
    const unknown = scopes.find((scope) => !SCOPES.includes(scope))
    if (unknown !== undefined || scopes.length === 0) {
      throw new ZoariumError('PARAMETER', 'a token has one or more scopes', {
        field: 'scopes',
        got: unknown ?? 'none',
        limit: SCOPES.join(', '),
      })
    }
    if (label.length > MAX_TOKEN_LABEL) {
      throw new ZoariumError('PARAMETER', 'the label is too long', {
        field: 'label',
        limit: MAX_TOKEN_LABEL,
        got: label.length,
      })
    }
    for (const row of this.#catalogue.tokens()) {
      if (!this.#isValid(row)) this.#catalogue.removeToken(row.id)
    }
    if (this.#catalogue.tokens().length >= MAX_TOKENS) {
      throw new ZoariumError('LIMIT', 'too many tokens', {
        limit: MAX_TOKENS,
        hint: 'revoke one that nobody uses: zoarium tokens list',
      })
    }
    const token = newToken()
    const row: TokenRow = {
      id: randomBytes(6).toString('hex'),
      label,
      hash: hashOf(token).toString('hex'),
      scopes: [...new Set(scopes)],
      created: this.#clock.now(),
      expires: expiresMs === null ? null : this.#clock.now() + expiresMs,
    }
    this.#catalogue.putToken(row)
    return { ...viewOf(row), token }
  }

  #isValid({ expires }: TokenRow): boolean {
    return expires === null || expires > this.#clock.now()
  }

  /** @returns whether there was one */
  revoke(id: string): boolean {
    return this.#catalogue.removeToken(id)
  }

  /** Scopes of a presented token, or null. Compares with every token, whichever fits. */
  scopesOf(token: string): readonly Scope[] | null {
    const hash = hashOf(token)
    let scopes: readonly Scope[] | null = timingSafeEqual(hash, this.#operator) ? SCOPES : null
    for (const row of this.#catalogue.tokens()) {
      const isSame = timingSafeEqual(hash, Buffer.from(row.hash, 'hex'))
      if (isSame && this.#isValid(row)) scopes = row.scopes as readonly Scope[]
    }
    return scopes
  }
}

const viewOf = (row: TokenRow): TokenView => ({
  id: row.id,
  label: row.label,
  scopes: row.scopes as readonly Scope[],
  created: new Date(row.created).toISOString(),
  expires: row.expires === null ? null : new Date(row.expires).toISOString(),
})

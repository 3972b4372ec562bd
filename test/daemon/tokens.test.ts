import assert from 'node:assert/strict'
import { MAX_TOKEN_LABEL, MAX_TOKENS, newToken, SCOPES, Tokens } from '../../daemon/tokens.ts'
import type { Scope } from '../../protocol/api.ts'
import { MemoryCatalogue } from '../../registry/memory-catalogue.ts'
import { TestClock } from '../helpers/test-registry.ts'

describe('daemon/tokens', () => {
  const operator = newToken()
  let clock: TestClock
  let catalogue: MemoryCatalogue
  let tokens: Tokens
  beforeEach(() => {
    clock = new TestClock()
    catalogue = new MemoryCatalogue()
    tokens = new Tokens(catalogue, clock, `${operator}\n`)
  })

  it('knows the scopes of a token, and no other text', () => {
    const { token } = tokens.add('viewer', ['read', 'infer'], null)
    assert.match(token, /^zo_[\w-]{43}$/)
    assert.deepEqual(tokens.scopesOf(token), ['read', 'infer'])
    const others = ['', 'zo_', token.slice(0, -1), `${token}x`, token.toLowerCase(), newToken()]
    for (const other of others) assert.equal(tokens.scopesOf(other), null)
  })

  it('gives the operator of the machine every scope', () => {
    assert.deepEqual(tokens.scopesOf(operator), SCOPES)
    assert.deepEqual(tokens.list(), [])
  })

  it('keeps the hash only, and shows the token once', () => {
    const { token, ...shown } = tokens.add('viewer', ['read'], null)
    assert.ok(!JSON.stringify(catalogue.tokens()).includes(token.slice(3)))
    assert.deepEqual(tokens.list(), [shown])
    assert.deepEqual(shown, {
      id: shown.id,
      label: 'viewer',
      scopes: ['read'],
      created: new Date(clock.time).toISOString(),
      expires: null,
    })
    assert.equal(tokens.scopesOf(catalogue.tokens()[0]?.hash ?? ''), null)
  })

  it('outlives a restart', () => {
    const { token } = tokens.add('viewer', ['read'], null)
    assert.deepEqual(new Tokens(catalogue, clock, operator).scopesOf(token), ['read'])
  })

  it('runs out by the clock, and is forgotten when the next one is made', () => {
    const { token, id, expires } = tokens.add('guest', ['read'], 1000)
    assert.equal(expires, new Date(clock.time + 1000).toISOString())
    clock.time += 999
    assert.deepEqual(tokens.scopesOf(token), ['read'])
    clock.time += 1
    assert.equal(tokens.scopesOf(token), null)
    assert.deepEqual(
      tokens.list().map((each) => each.id),
      [id],
    )
    const next = tokens.add('next', ['read'], null)
    assert.deepEqual(
      tokens.list().map((each) => each.id),
      [next.id],
    )
  })

  it('revokes one at once, and says whether there was one', () => {
    const first = tokens.add('same', ['read'], null)
    const second = tokens.add('same', ['read'], null)
    assert.equal(tokens.revoke(first.id), true)
    assert.equal(tokens.revoke(first.id), false)
    assert.equal(tokens.scopesOf(first.token), null)
    assert.deepEqual(tokens.scopesOf(second.token), ['read'])
  })

  it('makes tokens and ids that differ, and counts a scope once', () => {
    const made = Array.from({ length: 20 }, () => tokens.add('', ['read', 'read', 'infer'], null))
    assert.equal(new Set(made.flatMap(({ id, token }) => [id, token])).size, 40)
    assert.deepEqual(made[0]?.scopes, ['read', 'infer'])
  })

  it('refuses no scope, unknown scopes and a label beyond its bound', () => {
    const add = (scopes: readonly string[], label = '') =>
      tokens.add(label, scopes as readonly Scope[], null)
    assert.throws(() => add([]), {
      code: 'PARAMETER',
      data: { field: 'scopes', got: 'none', limit: SCOPES.join(', ') },
    })
    assert.throws(() => add(['read', 'root']), {
      code: 'PARAMETER',
      data: { field: 'scopes', got: 'root', limit: SCOPES.join(', ') },
    })
    add(['read'], 'x'.repeat(MAX_TOKEN_LABEL))
    assert.throws(() => add(['read'], 'x'.repeat(MAX_TOKEN_LABEL + 1)), {
      code: 'PARAMETER',
      data: { field: 'label', limit: MAX_TOKEN_LABEL, got: MAX_TOKEN_LABEL + 1 },
    })
    assert.equal(tokens.list().length, 1)
  })

  it('holds so many and no more; one that has run out leaves its place', () => {
    for (let i = 0; i < MAX_TOKENS; i++) {
      const expires = i === 0 ? clock.time + 1000 : null
      catalogue.putToken({
        id: String(i),
        label: '',
        hash: '00'.repeat(32),
        scopes: ['read'],
        created: clock.time,
        expires,
      })
    }
    assert.throws(() => tokens.add('', ['read'], null), { code: 'LIMIT' })
    clock.time += 1000
    tokens.add('', ['read'], null)
    assert.equal(tokens.list().length, MAX_TOKENS)
    assert.throws(() => tokens.add('', ['read'], null), { code: 'LIMIT' })
  })
})

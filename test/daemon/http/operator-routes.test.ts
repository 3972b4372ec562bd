import assert from 'node:assert/strict'
import { createFakeNode } from '../../helpers/fake-node.ts'
import { temporaryFolder } from '../../helpers/folder.ts'
import { request, serve } from '../../helpers/http.ts'

const HEADERS = { Authorization: 'Bearer operator', 'Content-Type': 'application/json' }

describe('daemon/http/routes/operator-routes', () => {
  it('sets and removes trust rules', async () => {
    const node = createFakeNode(temporaryFolder())
    const { url } = await serve(node)
    const post = (rule: object) =>
      request(`${url}/v1/trust`, { method: 'POST', headers: HEADERS, body: JSON.stringify(rule) })
    assert.equal((await post({ publisher: 'institute-b', right: 'run', send: true })).status, 200)
    assert.deepEqual(node.calls.trust, [['institute-b', 'run', { petname: null, send: true }]])
    for (const rule of [{ right: 'run' }, { publisher: 'b' }, { publisher: 'b', right: 'all' }]) {
      assert.equal((await post(rule)).code, 'PARAMETER', JSON.stringify(rule))
    }
    const removed = await request(`${url}/v1/trust/institute-b`, {
      method: 'DELETE',
      headers: HEADERS,
    })
    assert.equal(removed.status, 200)
  })

  it('takes statements about own models, checked field by field', async () => {
    const { url } = await serve(createFakeNode(temporaryFolder()))
    const post = (path: string, body: object) =>
      request(url + path, { method: 'POST', headers: HEADERS, body: JSON.stringify(body) })
    const withdrawal = { ref: 'a/b@1.0.0', verb: 'recall', reason: 'wrong-output' }
    assert.equal((await post('/v1/withdraw', withdrawal)).status, 200)
    for (const wrong of [
      { verb: 'delete' },
      { reason: 'It was wrong.' },
      { note: 'n'.repeat(201) },
      { ref: undefined },
    ]) {
      const { code } = await post('/v1/withdraw', { ...withdrawal, ...wrong })
      assert.equal(code, 'PARAMETER', JSON.stringify(wrong))
    }
    assert.equal((await post('/v1/tags', { ref: 'a/b', tag: 'stable' })).status, 200)
    assert.equal((await post('/v1/tags', { ref: 'a/b' })).code, 'PARAMETER')
  })

  it('erases on this node, and collects what nobody names', async () => {
    const { url } = await serve(createFakeNode(temporaryFolder()))
    const ask = (method: string, path: string, body: object | null = null) =>
      request(url + path, {
        method,
        headers: HEADERS,
        ...(body === null ? {} : { body: JSON.stringify(body) }),
      })
    assert.deepEqual(JSON.parse((await ask('GET', '/v1/erasures')).text), { items: [] })
    const erased = await ask('POST', '/v1/erasures', { ref: 'a/b' })
    assert.deepEqual([erased.status, JSON.parse(erased.text)], [200, { count: 1, bytes: 2 }])
    assert.equal((await ask('POST', '/v1/erasures', {})).code, 'PARAMETER')
    assert.equal(
      (await ask('POST', '/v1/erasures', { ref: 'a/b', verb: 'erase' })).code,
      'PARAMETER',
    )
    assert.equal((await ask('DELETE', '/v1/erasures/a%2Fb%401.0.0')).status, 200)
    assert.equal((await ask('POST', '/v1/doctor', {})).status, 200)
    assert.equal((await ask('POST', '/v1/doctor', { all: true })).code, 'PARAMETER')
    assert.equal((await ask('POST', '/v1/gc', {})).status, 200)
    assert.equal((await ask('POST', '/v1/gc', { all: true })).code, 'PARAMETER')
    const open = await request(`${url}/v1/gc`, { method: 'POST', body: '{}' })
    assert.equal(open.status, 401)
  })

  it('takes a profile as a whole', async () => {
    const node = createFakeNode(temporaryFolder())
    const { url } = await serve(node)
    const put = (profile: object, headers = HEADERS) =>
      request(`${url}/v1/profile`, { method: 'PUT', headers, body: JSON.stringify(profile) })
    const said = { label: 'a', displayName: 'A' }
    assert.equal((await put(said)).status, 200)
    assert.deepEqual(node.calls.profile, [{ ...said, handle: null, url: null, ror: null }])
    for (const wrong of [
      { label: undefined },
      { displayName: '' },
      { handle: 7 },
      { petname: 'a' },
    ]) {
      assert.equal((await put({ ...said, ...wrong })).code, 'PARAMETER', JSON.stringify(wrong))
    }
    const { Authorization: _, ...bare } = HEADERS
    assert.equal((await put(said, bare as typeof HEADERS)).status, 401)
  })

  it('makes and revokes tokens', async () => {
    const { url } = await serve(createFakeNode(temporaryFolder()))
    const post = (token: object) =>
      request(`${url}/v1/tokens`, { method: 'POST', headers: HEADERS, body: JSON.stringify(token) })
    const made = await post({ label: 'viewer', scopes: ['read', 'infer'], expiresMs: 1000 })
    assert.equal(made.status, 201)
    assert.equal(JSON.parse(made.text).token, 'zo_secret')
    for (const token of [
      {},
      { scopes: ['all'] },
      { scopes: 3 },
      { scopes: ['read'], expiresMs: 0 },
    ]) {
      assert.equal((await post(token)).code, 'PARAMETER', JSON.stringify(token))
    }
    const revoke = (id: string) =>
      request(`${url}/v1/tokens/${id}`, { method: 'DELETE', headers: HEADERS })
    assert.equal((await revoke('t1')).status, 204)
    assert.deepEqual([(await revoke('t9')).status, (await revoke('t9')).code], [404, 'NOT_FOUND'])
  })
})

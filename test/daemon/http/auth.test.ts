import assert from 'node:assert/strict'
import { createRouter } from '../../../daemon/http/app.ts'
import { ByteBudget } from '../../../daemon/http/byte-budget.ts'
import { EventStreams } from '../../../daemon/http/routes/event-routes.ts'
import { createFakeNode } from '../../helpers/fake-node.ts'
import { temporaryFolder } from '../../helpers/folder.ts'
import { request, serve } from '../../helpers/http.ts'

const bearer = (token: string) => ({ Authorization: `Bearer ${token}` })
const json = { 'Content-Type': 'application/json' }

describe('daemon/http/auth', () => {
  it('leaves reading and inference open on loopback', async () => {
    const { url } = await serve(createFakeNode(temporaryFolder()))
    for (const path of ['/v1/node', '/v1/models', '/metrics', '/readyz', '/v1/trust']) {
      assert.equal((await request(url + path)).status, 200, path)
    }
    const infer = await request(`${url}/v1/models/institute-a/nuclei/infer`, {
      method: 'POST',
      headers: { 'Content-Type': 'image/png' },
      body: 'png',
    })
    assert.equal(infer.status, 200)
  })

  it('wants a token with the scope for the rest', async () => {
    const { url } = await serve(createFakeNode(temporaryFolder()))
    const post = (headers: Record<string, string>) =>
      request(`${url}/v1/sync`, { method: 'POST', headers: { ...json, ...headers }, body: '{}' })
    const missing = await post({})
    assert.deepEqual([missing.status, missing.code], [401, 'TOKEN'])
    assert.equal(missing.headers['www-authenticate'], 'Bearer')
    const less = await post(bearer('publisher'))
    assert.deepEqual([less.status, less.code], [403, 'TOKEN_SCOPE'])
    assert.equal((await post(bearer('operator'))).status, 200)
  })

  it('refuses a wrong token even where none is needed, and any other scheme', async () => {
    const { url } = await serve(createFakeNode(temporaryFolder()))
    for (const value of [
      'Bearer wrong',
      'Bearer ',
      'Basic b3BlcmF0b3I=',
      'operator',
      'Bearer a b',
    ]) {
      const answer = await request(`${url}/v1/node`, { headers: { Authorization: value } })
      assert.deepEqual([answer.status, answer.code], [401, 'TOKEN'], value)
    }
  })

  it('never takes a token from the address', async () => {
    const { url } = await serve(createFakeNode(temporaryFolder()))
    const answer = await request(`${url}/v1/tokens?token=operator&access_token=operator`)
    assert.deepEqual([answer.status, answer.code], [401, 'TOKEN'])
  })

  it('wants a token for every route but three where others may reach the daemon', async () => {
    const node = createFakeNode(temporaryFolder())
    const { url } = await serve(node, { config: { behindProxy: true } })
    const shared = {
      streams: new EventStreams(),
      maxPublishBytes: 1,
      infer: { maxBytes: 1, budget: new ByteBudget(1) },
    }
    const routes = createRouter(node, shared).stack.flatMap(({ methods, path }) =>
      methods.map((method) => ({ method, path: String(path).replaceAll(/[:*]/g, '') })),
    )
    assert.ok(routes.length > 20)
    for (const { method, path } of routes) {
      const { status } = await request(url + path, { method })
      const isPublic =
        ['/healthz', '/.well-known/zoarium.json'].includes(path) || path.endsWith('.car')
      assert.equal(status, isPublic ? 200 : 401, `${method} ${path}`)
    }
    assert.equal((await request(`${url}/v1/node`, { headers: bearer('reader') })).status, 200)
  })
})

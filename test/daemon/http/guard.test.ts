import assert from 'node:assert/strict'
import { createFakeNode } from '../../helpers/fake-node.ts'
import { temporaryFolder } from '../../helpers/folder.ts'
import { request, serve } from '../../helpers/http.ts'

describe('daemon/http/guard', () => {
  it('serves its own addresses under any of their names', async () => {
    const { url, port } = await serve(createFakeNode(temporaryFolder()))
    for (const host of ['127.0.0.1', 'localhost', '[::1]', 'LocalHost']) {
      const answer = await request(`${url}/healthz`, { headers: { Host: `${host}:${port}` } })
      assert.equal(answer.status, 200, host)
    }
  })

  it('refuses other Hosts, which a rebound name would send', async () => {
    const { url, port } = await serve(createFakeNode(temporaryFolder()))
    const hosts = [
      'evil.com',
      `evil.com:${port}`,
      '127.0.0.1',
      '127.0.0.1:1',
      '[::1',
      '127.0.0.1:x',
    ]
    for (const host of hosts) {
      const answer = await request(`${url}/healthz`, { headers: { Host: host } })
      assert.deepEqual([answer.status, answer.code], [421, 'HOST'], host)
    }
  })

  it('serves configured names at any port', async () => {
    const { url } = await serve(createFakeNode(temporaryFolder()), {
      config: { hosts: ['zoo.example.org'] },
    })
    for (const host of ['zoo.example.org', 'zoo.example.org:443']) {
      assert.equal((await request(`${url}/healthz`, { headers: { Host: host } })).status, 200, host)
    }
  })

  it('serves the document of its handle under that name, to anybody, and nothing else', async () => {
    const node = createFakeNode(temporaryFolder())
    const { url } = await serve(node, { config: { behindProxy: true } })
    const ask = (path: string, host: string) =>
      request(`${url}${path}`, { headers: { Host: host } })
    const path = '/.well-known/zoarium.json'
    for (const host of ['zoo.example.org', 'Zoo.Example.org:443']) {
      const answer = await ask(path, host)
      assert.equal(answer.status, 200, host)
      assert.deepEqual(JSON.parse(answer.text), { version: 1, publisher: node.publisher.publisher })
    }
    for (const [path, host] of [
      ['/.well-known/zoarium.json', 'other.example.org'],
      ['/healthz', 'zoo.example.org'],
      ['/v1/node', 'zoo.example.org'],
    ] as const) {
      assert.deepEqual([(await ask(path, host)).code], ['HOST'], path)
    }
    const without = createFakeNode(temporaryFolder(), { ownHandle: () => null })
    const other = await serve(without)
    const headers = { Host: 'zoo.example.org' }
    assert.equal((await request(`${other.url}${path}`, { headers })).code, 'HOST')
    assert.equal((await request(`${other.url}${path}`)).status, 200)
  })

  it('refuses pages of other origins and cross-site requests', async () => {
    const { url, port } = await serve(createFakeNode(temporaryFolder()))
    const cases: Record<string, string>[] = [
      { Origin: 'https://evil.example' },
      { Origin: 'null' },
      { Origin: 'http://127.0.0.1:1' },
      { 'Sec-Fetch-Site': 'cross-site' },
    ]
    for (const headers of cases) {
      const answer = await request(`${url}/v1/node`, { headers })
      assert.deepEqual([answer.status, answer.code], [403, 'ORIGIN'], JSON.stringify(headers))
    }
    const own = await request(`${url}/v1/node`, { headers: { Origin: `http://127.0.0.1:${port}` } })
    assert.equal(own.status, 200)
  })

  it('sends no CORS header and forbids sniffing, framing and scripts', async () => {
    const { url } = await serve(createFakeNode(temporaryFolder()))
    const { headers } = await request(`${url}/v1/node`)
    assert.equal(headers['x-content-type-options'], 'nosniff')
    assert.match(String(headers['content-security-policy']), /default-src 'none'.*sandbox/)
    assert.deepEqual(
      Object.keys(headers).filter((name) => name.startsWith('access-control')),
      [],
    )
    const preflight = await request(`${url}/v1/node`, { method: 'OPTIONS' })
    assert.deepEqual([preflight.status, preflight.code], [405, 'METHOD'])
  })
})

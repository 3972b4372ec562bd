import assert from 'node:assert/strict'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { createRouter } from '../../../daemon/http/app.ts'
import { ByteBudget } from '../../../daemon/http/byte-budget.ts'
import { openApi } from '../../../daemon/http/openapi.ts'
import { EventStreams } from '../../../daemon/http/routes/event-routes.ts'
import { createFakeNode, type FakeNode } from '../../helpers/fake-node.ts'
import { temporaryFolder } from '../../helpers/folder.ts'
import { request, serve } from '../../helpers/http.ts'

type Operation = { responses: Record<string, { content?: Record<string, { schema?: object }> }> }
const paths = openApi.paths as unknown as Record<string, Record<string, Operation>>

describe('daemon/http/openapi', () => {
  const node: FakeNode = createFakeNode('/nowhere')
  const shared = {
    streams: new EventStreams(),
    maxPublishBytes: 1,
    infer: { maxBytes: 1, budget: new ByteBudget(1) },
  }

  it('documents every route, and no other', () => {
    const routes = createRouter(node, shared)
      .stack.flatMap(({ methods, path }) => methods.map((method) => `${method} ${path}`))
      .filter((route) => !route.startsWith('HEAD '))
      .map((route) => route.replaceAll(/[:*]([a-z]+)/gi, '{$1}'))
    const documented = Object.entries(paths).flatMap(([path, operations]) =>
      Object.keys(operations).map((method) => `${method.toUpperCase()} ${path}`),
    )
    assert.deepEqual(documented.sort(), routes.sort())
  })

  it('names each parameter of a path', () => {
    for (const [path, operations] of Object.entries(openApi.paths)) {
      const inPath = [...path.matchAll(/\{([a-z]+)\}/g)].map(([, name]) => name)
      for (const operation of Object.values(operations)) {
        const { parameters = [] } = operation as { parameters?: { in: string; name: string }[] }
        const named = parameters.filter((each) => each.in === 'path').map(({ name }) => name)
        assert.deepEqual(named, inPath, path)
      }
    }
  })

  it('has the schema of every answer', async () => {
    const ajv = new Ajv2020({ strict: false, validateFormats: false })
    ajv.addSchema({ $id: 'doc:', components: openApi.components })
    const fake = createFakeNode(temporaryFolder())
    const { url } = await serve(fake)
    const { record, publisher } = fake.view
    const requests: [string, string, object?][] = [
      ['GET', '/healthz'],
      ['GET', '/readyz'],
      ['GET', '/.well-known/zoarium.json'],
      ['GET', '/v1/node'],
      ['GET', '/v1/peers'],
      ['POST', '/v1/peers', { address: '/ip4/1.2.3.4/tcp/1' }],
      ['POST', '/v1/sync', {}],
      ['GET', '/v1/resolve?ref=institute-a/nuclei'],
      ['GET', '/v1/models'],
      ['GET', '/v1/models/institute-a/nuclei'],
      ['GET', `/v1/records/${record}`],
      ['GET', `/v1/identities/${publisher.id}`],
      ['POST', '/v1/publish'],
      ['POST', '/v1/pull', { ref: record }],
      ['GET', `/v1/route?model=${record}`],
      ['GET', '/v1/trust'],
      ['POST', '/v1/trust', { publisher: 'institute-b', right: 'list' }],
      ['GET', '/v1/trust/explain?ref=institute-a'],
      ['DELETE', '/v1/trust/institute-b'],
      ['GET', '/v1/rosters'],
      ['POST', '/v1/rosters', { name: 'imaging' }],
      ['DELETE', '/v1/rosters/imaging'],
      ['GET', '/v1/rosters/institute-a/imaging'],
      ['POST', `/v1/join?ref=${publisher.id}&dryRun=true`],
      ['POST', '/v1/leave', { publisher: publisher.id, name: 'imaging' }],
      ['GET', '/v1/tokens'],
      ['POST', '/v1/tokens', { scopes: ['read'] }],
    ]
    for (const [method, path, body] of requests) {
      const type = path === '/v1/publish' ? 'application/zip' : 'application/json'
      const answer = await request(url + path, {
        method,
        headers: { Authorization: 'Bearer operator', 'Content-Type': type },
        ...(method === 'POST' ? { body: JSON.stringify(body ?? 'zip') } : {}),
      })
      const documented = paths[patternOf(path)]?.[method.toLowerCase()]
      const content = documented?.responses[answer.status]?.content?.['application/json']
      const text = JSON.stringify(content?.schema ?? null).replaceAll('"#/', '"doc:#/')
      assert.notEqual(text, 'null', `${method} ${path} ${answer.status}`)
      const validate = ajv.compile(JSON.parse(text))
      assert.ok(
        validate(JSON.parse(answer.text)),
        `${method} ${path}: ${ajv.errorsText(validate.errors)}`,
      )
    }
    const missing = await request(`${url}/v1/models/a/b`)
    assert.ok(ajv.validate({ $ref: 'doc:#/components/schemas/Error' }, JSON.parse(missing.text)))
  })

  it('is served', async () => {
    const { url } = await serve(node)
    const answer = await request(`${url}/v1/openapi.json`)
    assert.deepEqual(JSON.parse(answer.text), JSON.parse(JSON.stringify(openApi)))
  })
})

/** The documented path that a request matches; literal ones first. */
function patternOf(path: string): string {
  const bare = path.split('?', 1)[0] ?? ''
  if (paths[bare] !== undefined) return bare
  const found = Object.keys(paths).find((pattern) =>
    new RegExp(`^${pattern.replaceAll(/\{[a-z]+\}/g, '[^/]+')}$`).test(bare),
  )
  return found ?? bare
}

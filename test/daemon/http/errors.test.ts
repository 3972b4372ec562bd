import assert from 'node:assert/strict'
import { CODES, ZoariumError } from '../../../protocol/errors.ts'
import { createFakeNode } from '../../helpers/fake-node.ts'
import { temporaryFolder } from '../../helpers/folder.ts'
import { request, serve } from '../../helpers/http.ts'

describe('daemon/http errors', () => {
  it('answers unknown paths and methods in the one form', async () => {
    const { url } = await serve(createFakeNode(temporaryFolder()))
    for (const path of [
      '/',
      '/v1',
      '/v1/nothing',
      '/v1/models/a',
      '/v1/models/a/b/c',
      '/%zz',
      '//',
    ]) {
      const answer = await request(url + path)
      assert.deepEqual([answer.status, answer.code], [404, 'NOT_FOUND'], path)
    }
    const wrong = await request(`${url}/v1/models`, { method: 'DELETE' })
    assert.deepEqual([wrong.status, wrong.code, wrong.headers.allow], [405, 'METHOD', 'HEAD, GET'])
  })

  it('names the parameter that is wrong', async () => {
    const { url } = await serve(createFakeNode(temporaryFolder()))
    const cases = {
      'axes=yy': 'axes',
      'axes=Q': 'axes',
      'channels=0': 'channels',
      'channels=1.5': 'channels',
      'dtype=float16': 'dtype',
      'limit=101': 'limit',
      'limit=0': 'limit',
      'sort=best': 'sort',
      'q=a&q=b': 'q',
      'q=': 'q',
      'tags=a': 'tags',
      [`q=${'x'.repeat(501)}`]: 'q',
      '__proto__=1': '__proto__',
    }
    for (const [query, field] of Object.entries(cases)) {
      const answer = await request(`${url}/v1/models?${query}`)
      const { error } = JSON.parse(answer.text)
      assert.deepEqual([answer.status, error.code, error.field], [400, 'PARAMETER', field], query)
    }
    const { status } = await request(`${url}/v1/models?limit=100&axes=zyx&channels=3&q=cells`)
    assert.equal(status, 200)
  })

  it('says what a model, record or reference is not', async () => {
    const { url } = await serve(createFakeNode(temporaryFolder()))
    const cases: [string, number, string][] = [
      ['/v1/models/institute-a/other', 404, 'NOT_FOUND'],
      ['/v1/records/nothing', 400, 'CID_TEXT'],
      [`/v1/records/B${'a'.repeat(58)}`, 400, 'CID_TEXT'],
      [`/v1/records/bafyreib${'a'.repeat(51)}`, 404, 'NOT_FOUND'],
      ['/v1/resolve', 400, 'PARAMETER'],
      ['/v1/identities/nobody', 404, 'NOT_FOUND'],
      ['/v1/route?model=institute-a/nuclei&bytes=-1', 400, 'PARAMETER'],
    ]
    for (const [path, status, code] of cases) {
      const answer = await request(url + path)
      assert.deepEqual([answer.status, answer.code], [status, code], path)
    }
  })

  it('refuses bodies that are no JSON, of another type, or compressed', async () => {
    const { url } = await serve(createFakeNode(temporaryFolder()))
    const post = (type: string, body: string, more = {}) =>
      request(`${url}/v1/pull`, {
        method: 'POST',
        headers: { Authorization: 'Bearer operator', 'Content-Type': type, ...more },
        body,
      })
    const cases: [string, string, number, string][] = [
      ['text/plain', '{"ref":"a/b"}', 415, 'MEDIA_TYPE'],
      ['application/x-www-form-urlencoded', 'ref=a', 415, 'MEDIA_TYPE'],
      ['', '{}', 415, 'MEDIA_TYPE'],
      ['application/json', '{', 400, 'PARAMETER'],
      ['application/json', '[]', 400, 'PARAMETER'],
      ['application/json', '{}', 400, 'PARAMETER'],
      ['application/json', '{"ref":1}', 400, 'PARAMETER'],
      ['application/json', '{"ref":"a/b","more":1}', 400, 'PARAMETER'],
      ['application/json', '\xff', 400, 'PARAMETER'],
      ['application/json', '{"ref":"a/b","ref":"a/c"}', 400, 'JSON_DUP'],
      ['application/json', '{"ref":"a/b","\\u0072ef":"a/c"}', 400, 'JSON_DUP'],
      ['application/json', '{"ref":[{"a":1,"b":{"c":1,"c":2}}]}', 400, 'JSON_DUP'],
      ['application/json', '{"ref":[{"a":":"},{"a":"a"}]}', 400, 'PARAMETER'],
      ['application/json', '{"ref":1e400}', 400, 'NUMBER_RANGE'],
      ['application/json', '{"ref":9007199254740993}', 400, 'NUMBER_RANGE'],
      ['application/json', '{"ref":[-9007199254740992]}', 400, 'NUMBER_RANGE'],
      ['application/json', '{"ref":9007199254740991}', 400, 'PARAMETER'],
      ['application/json', JSON.stringify({ ref: 'x'.repeat(1024 * 1024) }), 413, 'LIMIT'],
    ]
    for (const [type, body, status, code] of cases) {
      const answer = await post(type, body)
      assert.deepEqual([answer.status, answer.code], [status, code], `${type} ${body.slice(0, 30)}`)
    }
    const zipped = await post('application/json', 'x', { 'Content-Encoding': 'gzip' })
    assert.deepEqual([zipped.status, zipped.code], [415, 'MEDIA_TYPE'])
    assert.equal(
      (await post('application/json; charset=utf-8', '{"ref":"institute-a/nuclei"}')).status,
      200,
    )
  })

  it('gives each code the status of the table, with all its details', async () => {
    const issues = [{ code: 'FILE_MISSING', message: 'missing', field: 'a', line: 3 }] as const
    for (const code of ['AMBIGUOUS', 'RECALLED', 'NO_ROUTE', 'BUSY', 'CARD_INVALID'] as const) {
      const node = createFakeNode(temporaryFolder(), {
        model: () => {
          throw new ZoariumError(code, 'no', { field: 'f', limit: 1, got: 'g', hint: 'h', issues })
        },
      })
      const { url } = await serve(node)
      const answer = await request(`${url}/v1/models/a/b`)
      assert.equal(answer.status, CODES[code].status)
      assert.deepEqual(JSON.parse(answer.text), {
        error: { code, message: 'no', field: 'f', limit: 1, got: 'g', hint: 'h', issues },
      })
      assert.equal(answer.headers['retry-after'], code === 'BUSY' ? '2' : undefined)
    }
  })

  it('shows nothing of a defect but where to look, and logs it', async () => {
    const node = createFakeNode(temporaryFolder(), {
      node: () => {
        throw new TypeError('secret /root/path')
      },
    })
    const { url, log } = await serve(node)
    const answer = await request(`${url}/v1/node`)
    assert.deepEqual([answer.status, answer.code], [500, 'INTERNAL'])
    assert.doesNotMatch(answer.text, /secret|\/root|\.ts/)
    const line = log.find(({ level }) => level === 'error')
    assert.match(JSON.stringify(line), /secret \/root\/path/)
    const { id } = (line?.fields ?? {}) as { id?: string }
    assert.match(answer.text, new RegExp(id ?? 'no id'))
  })
})

import assert from 'node:assert/strict'
import http from 'node:http'
import { ZoariumError } from '../../../protocol/errors.ts'
import { createFakeNode, type FakeNode } from '../../helpers/fake-node.ts'
import { temporaryFolder } from '../../helpers/folder.ts'
import { request, serve } from '../../helpers/http.ts'

const PATH = '/v1/models/institute-a/nuclei@1.0.0/infer'
const PNG = { 'Content-Type': 'image/png' }

describe('daemon/http/routes/infer-routes', () => {
  let node: FakeNode

  beforeEach(() => {
    node = createFakeNode(temporaryFolder())
  })

  it('passes the image on and describes the result in headers', async () => {
    const { url } = await serve(node)
    const answer = await request(`${url}${PATH}?on=nearest&output=tiff&deadlineMs=500`, {
      method: 'POST',
      headers: { ...PNG, Accept: 'image/tiff' },
      body: 'pixels',
    })
    assert.deepEqual([answer.status, answer.text], [200, 'pixels'])
    assert.equal(answer.headers['content-type'], 'image/png')
    assert.equal(answer.headers['zoarium-node'], 'local')
    assert.equal(answer.headers['server-timing'], 'queue;dur=0.50, compute;dur=12.25')
    assert.deepEqual(JSON.parse(String(answer.headers['zoarium-outputs'])), [
      { id: 'mask', axes: ['y', 'x'], shape: [2, 3], dtype: 'uint8' },
    ])
    assert.deepEqual(JSON.parse(String(answer.headers['zoarium-notes'])), [
      'padded to a multiple of 8 µm',
    ])
    const [call] = node.calls.infer
    assert.equal(call?.record, node.view.record)
    const options = { on: 'nearest', output: 'tiff', accept: 'image/tiff', deadlineMs: 500 }
    assert.deepEqual(call?.options, options)
    assert.deepEqual(
      call?.inputs.map(({ name, mediaType }) => [name, mediaType]),
      [[null, 'image/png']],
    )
  })

  it('stays here unless told otherwise, and runs records too', async () => {
    const { url } = await serve(node)
    const path = `/v1/records/${node.view.record}/infer`
    const headers = { 'Content-Type': 'application/octet-stream' }
    assert.equal((await request(url + path, { method: 'POST', headers, body: 'x' })).status, 200)
    const [call] = node.calls.infer
    assert.deepEqual([call?.record, call?.options.on], [node.view.record, 'local'])
    assert.equal(call?.inputs[0]?.mediaType, null)
  })

  it('takes several inputs as multipart', async () => {
    const { url } = await serve(node)
    const form = new FormData()
    form.append('raw', new Blob([new Uint8Array(100_000).fill(7)], { type: 'image/tiff' }), 'a.tif')
    form.append('mask', new Blob(['m']), 'b.npy')
    const answer = await fetch(url + PATH, { method: 'POST', body: form })
    assert.equal(answer.status, 200)
    assert.deepEqual(
      node.calls.infer[0]?.inputs.map(({ name, mediaType, bytes }) => [
        name,
        mediaType,
        bytes.length,
      ]),
      [
        ['raw', 'image/tiff', 100_000],
        ['mask', null, 1],
      ],
    )
  })

  it('refuses multipart bodies that are malformed, of fields, doubled or too many', async () => {
    const { url } = await serve(node)
    const part = (name: string, rest = '; filename="f"') =>
      `--b\r\nContent-Disposition: form-data; name="${name}"${rest}\r\n\r\nx\r\n`
    const many = Array.from({ length: 17 }, (_, i) => part(`n${i}`)).join('')
    const bodies = {
      'no end': part('a'),
      field: `${part('a', '')}--b--\r\n`,
      twice: `${part('a')}${part('a')}--b--\r\n`,
      many: `${many}--b--\r\n`,
      nothing: '--b--\r\n',
    }
    for (const [what, body] of Object.entries(bodies)) {
      const headers = { 'Content-Type': 'multipart/form-data; boundary=b' }
      const answer = await request(url + PATH, { method: 'POST', headers, body })
      const code = what === 'nothing' ? 'INPUT_EMPTY' : 'INPUT'
      assert.deepEqual([answer.status, answer.code], [400, code], what)
    }
    const headers = { 'Content-Type': 'multipart/form-data' }
    assert.equal((await request(url + PATH, { method: 'POST', headers, body: 'x' })).code, 'INPUT')
    assert.equal(node.calls.infer.length, 0)
  })

  it('refuses no input, other types, wrong options and bodies over the limit', async () => {
    const { url } = await serve(node, { limits: { maxInferBytes: 10 } })
    const cases: [string, Record<string, string>, string, number, string][] = [
      ['', PNG, '', 400, 'INPUT_EMPTY'],
      ['', { 'Content-Type': 'text/plain' }, 'x', 415, 'MEDIA_TYPE'],
      ['', {}, 'x', 415, 'MEDIA_TYPE'],
      ['?output=gif', PNG, 'x', 400, 'PARAMETER'],
      ['?on=a/b', PNG, 'x', 400, 'PARAMETER'],
      ['?deadlineMs=0', PNG, 'x', 400, 'PARAMETER'],
      ['', PNG, 'x'.repeat(11), 413, 'LIMIT'],
    ]
    for (const [query, headers, body, status, code] of cases) {
      const answer = await request(url + PATH + query, { method: 'POST', headers, body })
      assert.deepEqual([answer.status, answer.code], [status, code], `${query} ${body}`)
    }
    const full = await request(url + PATH, { method: 'POST', headers: PNG, body: 'x'.repeat(10) })
    assert.equal(full.status, 200)
  })

  it('bounds all bodies together, and frees what it held', async () => {
    const { url } = await serve(node, { limits: { maxInferBytesInFlight: 100 } })
    const send = (bytes: number) =>
      request(url + PATH, { method: 'POST', headers: PNG, body: 'x'.repeat(bytes) })
    for (let i = 0; i < 3; i++) assert.equal((await send(100)).status, 200)
    const busy = await send(101)
    assert.deepEqual([busy.status, busy.code, busy.headers['retry-after']], [429, 'BUSY', '2'])
    assert.equal((await send(100)).status, 200)
  })

  it('refuses an unknown model before it reads the body', async () => {
    const { url } = await serve(node)
    const path = '/v1/models/institute-a/unknown/infer'
    const outgoing = http.request(url + path, { method: 'POST', headers: PNG, agent: false })
    const answer = await new Promise<http.IncomingMessage>((resolve, reject) => {
      outgoing.once('response', resolve).once('error', reject)
      // More is to come, and never does.
      outgoing.write('x')
    })
    assert.equal(answer.statusCode, 404)
    outgoing.on('error', () => {}).destroy()
  })

  it('cancels a run whose client went away', async () => {
    let cancelled: (reason: unknown) => void = () => {}
    const reason = new Promise<unknown>((resolve) => {
      cancelled = resolve
    })
    const { url } = await serve({
      ...node,
      infer: (_record, _inputs, _options, signal) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => {
            cancelled(signal.reason)
            reject(signal.reason)
          })
          outgoing.destroy()
        }),
    })
    const outgoing = http.request(url + PATH, { method: 'POST', headers: PNG, agent: false })
    outgoing.on('error', () => {})
    outgoing.end('x')
    const error = await reason
    assert.ok(error instanceof ZoariumError && error.code === 'CANCELLED')
  })

  it('explains where a model would run', async () => {
    const { url } = await serve(node)
    const answer = await request(`${url}/v1/route?model=institute-a/nuclei&bytes=1000`)
    assert.equal(JSON.parse(answer.text).items[0].cost.totalMs, 15)
  })
})

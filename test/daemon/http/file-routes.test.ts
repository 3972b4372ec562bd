import assert from 'node:assert/strict'
import { createFakeNode, type FakeNode } from '../../helpers/fake-node.ts'
import { temporaryFolder } from '../../helpers/folder.ts'
import { request, serve } from '../../helpers/http.ts'

describe('daemon/http/routes/file-routes', () => {
  let node: FakeNode
  let url: string
  let bytes: Buffer

  beforeEach(async () => {
    node = createFakeNode(temporaryFolder())
    url = `${(await serve(node)).url}/v1/records/${node.view.record}/files/weights.onnx`
    bytes = Buffer.from(node.files.get('weights.onnx') ?? [])
  })

  const get = async (headers: Record<string, string> = {}, at = url) => {
    const answer = await fetch(at, { headers })
    return { answer, body: Buffer.from(await answer.arrayBuffer()) }
  }

  it('sends a file whole, to be kept and never to be shown', async () => {
    const { answer, body } = await get()
    assert.equal(answer.status, 200)
    assert.ok(body.equals(bytes))
    const file = node.view.files.find(({ path }) => path === 'weights.onnx')
    assert.equal(answer.headers.get('etag'), `"${file?.cid}"`)
    assert.match(answer.headers.get('cache-control') ?? '', /immutable/)
    assert.equal(answer.headers.get('content-type'), 'application/octet-stream')
    assert.equal(answer.headers.get('content-disposition'), 'attachment; filename="weights.onnx"')
    assert.match(answer.headers.get('content-security-policy') ?? '', /sandbox/)
  })

  it('sends ranges', async () => {
    const size = bytes.length
    const cases: [string, number, number][] = [
      ['bytes=0-0', 0, 1],
      ['bytes=100-199', 100, 200],
      [`bytes=${size - 1}-`, size - 1, size],
      ['bytes=-5', size - 5, size],
      [`bytes=-${size + 10}`, 0, size],
      [`bytes=10-${size + 10}`, 10, size],
    ]
    for (const [range, start, end] of cases) {
      const { answer, body } = await get({ Range: range })
      assert.equal(answer.status, 206, range)
      assert.equal(answer.headers.get('content-range'), `bytes ${start}-${end - 1}/${size}`)
      assert.ok(body.equals(bytes.subarray(start, end)), range)
    }
  })

  it('refuses ranges outside the file and ignores what it need not read', async () => {
    for (const range of [`bytes=${bytes.length}-`, 'bytes=-0', 'bytes=99999999-99999999']) {
      const answer = await request(url, { headers: { Range: range } })
      assert.deepEqual([answer.status, answer.code], [416, 'RANGE'], range)
      assert.equal(answer.headers['content-range'], `bytes */${bytes.length}`)
      assert.equal(answer.headers.etag, undefined)
    }
    for (const range of ['bytes=5-2', 'bytes=0-1,5-6', 'items=0-1', 'bytes=-', 'bytes=a-b']) {
      const { answer, body } = await get({ Range: range })
      assert.deepEqual([answer.status, body.length], [200, bytes.length], range)
    }
  })

  it('answers HEAD and what the client already has without the bytes', async () => {
    const head = await fetch(url, { method: 'HEAD' })
    assert.equal(head.headers.get('content-length'), String(bytes.length))
    const etag = head.headers.get('etag') ?? ''
    // fetch would add `Cache-Control: no-cache`, which asks for the bytes.
    const known = await request(url, { headers: { 'If-None-Match': etag } })
    assert.deepEqual([known.status, known.text], [304, ''])
    const same = await get({ Range: 'bytes=0-0', 'If-Range': etag })
    const other = await get({ Range: 'bytes=0-0', 'If-Range': '"other"' })
    assert.deepEqual([same.answer.status, other.answer.status], [206, 200])
  })

  it('finds files by model name too, where caches must ask again', async () => {
    const at = url.replace(/records\/[^/]+/, 'models/institute-a/nuclei@1.0.0')
    const { answer } = await get({}, at)
    assert.equal(answer.status, 200)
    assert.match(answer.headers.get('cache-control') ?? '', /no-cache/)
  })

  it('knows no file outside the record', async () => {
    for (const path of ['nothing', '..%2f..%2fetc%2fpasswd', 'weights.onnx/', '%00', 'RDF.yaml']) {
      const answer = await request(url.replace('weights.onnx', path))
      assert.deepEqual([answer.status, answer.code], [404, 'NOT_FOUND'], path)
    }
  })
})

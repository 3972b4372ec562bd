import assert from 'node:assert/strict'
import type { LeafQuery } from '../../../daemon/http/node-api.ts'
import { LEAF_BYTES } from '../../../protocol/limits.ts'
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

  describe('by content id', () => {
    const fileOf = () => {
      const file = node.view.files.find(({ path }) => path === 'weights.onnx')
      assert.ok(file)
      return file
    }

    it('sends a file, whole and in ranges', async () => {
      const at = new URL(`/v1/blobs/${fileOf().cid}`, url).href
      assert.ok((await get({}, at)).body.equals(bytes))
      const { answer, body } = await get({ Range: 'bytes=5-9' }, at)
      assert.deepEqual([answer.status, body], [206, bytes.subarray(5, 10)])
      const other = await request(at.replace(/[^/]+$/, node.view.record))
      assert.deepEqual([other.status, other.code], [404, 'BLOB_MISSING'])
    })

    it('sends another node with a ticket one leaf, or who else has it', async () => {
      const asked: LeafQuery[] = []
      let sent = 0
      node = createFakeNode(temporaryFolder(), {
        isTicket: (text) => text === 'ticket',
        leaf: async (ticket, query) => {
          assert.equal(ticket, 'ticket')
          asked.push(query)
          const start = query.index * LEAF_BYTES
          const leaf = bytes.subarray(start, start + LEAF_BYTES)
          const reply = query.insist
            ? { length: leaf.length, parts: [leaf] }
            : { given: new Uint8Array([2]) }
          return { size: bytes.length, reply, sent: () => void sent++ }
        },
      })
      const at = `${(await serve(node)).url}/v1/blobs/${fileOf().cid}`
      const leaf = (range: string, query = '') =>
        request(at + query, { headers: { Authorization: 'Bearer ticket', Range: range } })
      const first = await leaf(`bytes=0-${LEAF_BYTES - 1}`)
      assert.deepEqual([first.status, first.headers['content-length']], [206, String(LEAF_BYTES)])
      const last = await leaf(`bytes=${LEAF_BYTES}-${bytes.length - 1}`)
      const { 'content-range': range } = last.headers
      assert.equal(range, `bytes ${LEAF_BYTES}-${bytes.length - 1}/${bytes.length}`)
      const given = await leaf(`bytes=${LEAF_BYTES}-${bytes.length - 1}`, '?insist=false')
      assert.deepEqual([given.status, given.code], [409, 'GIVEN'])
      assert.equal(JSON.parse(given.text).error.got, 'Ag')
      const { cid } = fileOf()
      const queries = [0, 1, 1].map((index, n) => ({ cid, index, insist: n < 2 }))
      assert.deepEqual(asked, queries)
      for (const wrong of [
        '',
        'bytes=5-10',
        `bytes=0-${LEAF_BYTES}`,
        `bytes=0-${LEAF_BYTES - 2}`,
      ]) {
        const answer = await leaf(wrong)
        assert.deepEqual([answer.status, answer.code], [416, 'RANGE'], wrong)
      }
      // What was not sent is not being sent any more either.
      assert.equal(sent, asked.length)
    })
  })
})

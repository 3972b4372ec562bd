import assert from 'node:assert/strict'
import { createFakeNode, type FakeNode } from '../../helpers/fake-node.ts'
import { temporaryFolder } from '../../helpers/folder.ts'
import { request, serve } from '../../helpers/http.ts'

describe('daemon/http/routes/model-routes', () => {
  let node: FakeNode
  let url: string

  beforeEach(async () => {
    node = createFakeNode(temporaryFolder())
    url = (await serve(node)).url
  })

  it('passes a search on as it was meant', async () => {
    const query =
      'q=cell%20nuclei&axes=zyx&channels=2&dtype=uint16&sort=newest&limit=5&publisher=institute-a'
    assert.equal((await request(`${url}/v1/models?${query}`)).status, 200)
    assert.deepEqual(node.calls.search, [
      {
        text: 'cell nuclei',
        axes: 'zyx',
        channels: 2,
        dtype: 'uint16',
        sort: 'newest',
        limit: 5,
        publisher: node.view.publisher.id,
      },
    ])
    assert.equal((await request(`${url}/v1/models?publisher=nobody`)).code, 'NOT_FOUND')
  })

  it('gives a record as JSON or as its signed bytes', async () => {
    const at = `${url}/v1/records/${node.view.record}`
    const json = JSON.parse((await request(at)).text)
    assert.deepEqual([json.kind, json.ref], ['model', node.view.ref])
    const envelope = Buffer.from(node.envelope(node.view.record))
    const byQuery = await fetch(`${at}?format=envelope`)
    const type = 'application/vnd.zoarium.record'
    const byAccept = await fetch(at, { headers: { Accept: type } })
    for (const answer of [byQuery, byAccept]) {
      assert.equal(answer.headers.get('content-type'), type)
      assert.ok(Buffer.from(await answer.arrayBuffer()).equals(envelope))
    }
  })

  it('shows other records as they were signed', async () => {
    const profile = node.publisher.profile('institute-a', 'Institute A')
    const { url: other } = await serve(
      createFakeNode(temporaryFolder(), { envelope: () => profile.envelope }),
    )
    const json = JSON.parse((await request(`${other}/v1/records/${profile.id}`)).text)
    assert.deepEqual([json.kind, json.body.label], ['profile', 'institute-a'])
    assert.equal(json.position.seq, profile.record.seq)
  })

  it('resolves references to records', async () => {
    const json = JSON.parse((await request(`${url}/v1/resolve?ref=institute-a%2Fnuclei`)).text)
    assert.deepEqual([json.record, json.version], [node.view.record, '1.0.0'])
  })
})

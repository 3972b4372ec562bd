import assert from 'node:assert/strict'
import { MAX_ROSTER_CAR_BYTES, MAX_ROSTER_MEMBERS } from '../../../protocol/limits.ts'
import { CAR_TYPE } from '../../../protocol/roster-car.ts'
import { createFakeNode, type FakeNode } from '../../helpers/fake-node.ts'
import { request, serve } from '../../helpers/http.ts'

describe('daemon/http/roster-routes', () => {
  let node: FakeNode
  let url: string
  beforeEach(async () => {
    node = createFakeNode('/nowhere')
    url = (await serve(node)).url
  })
  const send = (path: string, body: Uint8Array | object, token = 'operator') =>
    request(url + path, {
      method: 'POST',
      headers: {
        Authorization: `Bearer ${token}`,
        'Content-Type': body instanceof Uint8Array ? CAR_TYPE : 'application/json',
      },
      body: body instanceof Uint8Array ? body : JSON.stringify(body),
    })
  const codeOf = (text: string): string => JSON.parse(text).error.code

  it('hands out the file of a roster', async () => {
    const answer = await request(`${url}/v1/rosters/institute-a/imaging.car`)
    assert.equal(answer.status, 200)
    assert.equal(answer.headers['content-type'], CAR_TYPE)
    assert.equal(answer.headers['content-disposition'], 'attachment; filename="imaging.car"')
    const shown = await request(`${url}/v1/rosters/institute-a/imaging`)
    assert.equal(JSON.parse(shown.text).name, 'imaging')
    assert.equal((await request(`${url}/v1/rosters/institute-a/other`)).status, 404)
  })

  it('passes on what is to be signed, and what is left as it was', async () => {
    const edit = { add: ['b'], right: 'list' }
    assert.equal((await send('/v1/rosters', { name: 'imaging', ...edit }, 'publisher')).status, 200)
    assert.deepEqual(node.calls.rosters, [
      ['set', 'imaging', { ...edit, remove: null, bootstrap: null }],
    ])
    assert.equal((await send('/v1/rosters', { name: 'imaging' }, 'reader')).status, 403)
    const many = Array.from({ length: MAX_ROSTER_MEMBERS }, () => 'b')
    assert.equal((await send('/v1/rosters', { name: 'x', add: many })).status, 200)
    const refused = await send('/v1/rosters', { name: 'x', add: [...many, 'b'] })
    assert.deepEqual([refused.status, codeOf(refused.text)], [400, 'PARAMETER'])
    for (const wrong of [{}, { name: 'x', right: 'see' }, { name: 'x', members: [] }]) {
      assert.equal((await send('/v1/rosters', wrong)).status, 400)
    }
  })

  it('withdraws for those who may publish', async () => {
    const remove = (token: string) =>
      request(`${url}/v1/rosters/imaging`, {
        method: 'DELETE',
        headers: { Authorization: `Bearer ${token}` },
      })
    assert.equal((await remove('reader')).status, 403)
    assert.equal(JSON.parse((await remove('publisher')).text).state, 'WITHDRAWN')
    assert.deepEqual(node.calls.rosters, [['withdraw', 'imaging']])
  })

  it('joins by a file or an id, for the operator alone', async () => {
    const car = new Uint8Array([1, 2, 3])
    assert.equal((await send('/v1/join', car, 'publisher')).status, 403)
    assert.equal((await send('/v1/join?grantRun=true', car)).status, 200)
    assert.equal((await send('/v1/join?ref=bafy&dryRun=true', {})).status, 200)
    const [first, second] = node.calls.rosters as [string, { car: Uint8Array | null }][]
    assert.deepEqual(
      [first?.[1], second?.[1]],
      [
        { car: Buffer.from(car), ref: null, grantRun: true, dryRun: false },
        { car: null, ref: 'bafy', grantRun: false, dryRun: true },
      ],
    )
  })

  it('takes files up to their limit, of their type', async () => {
    assert.equal((await send('/v1/join', new Uint8Array(MAX_ROSTER_CAR_BYTES))).status, 200)
    const over = await send('/v1/join', new Uint8Array(MAX_ROSTER_CAR_BYTES + 1))
    assert.deepEqual([over.status, codeOf(over.text)], [413, 'LIMIT'])
    const other = await send('/v1/join', {})
    assert.deepEqual([other.status, codeOf(other.text)], [415, 'MEDIA_TYPE'])
  })

  it('leaves', async () => {
    const left = { publisher: node.publisher.publisher, name: 'imaging' }
    assert.equal((await send('/v1/leave', left)).status, 200)
    assert.deepEqual(node.calls.rosters, [['leave', left.publisher, left.name]])
    assert.equal((await send('/v1/leave', { name: 'imaging' })).status, 400)
  })
})

import assert from 'node:assert/strict'
import { CAR_TYPE } from '../../../protocol/roster-car.ts'
import { createFakeNode } from '../../helpers/fake-node.ts'
import { request, serve } from '../../helpers/http.ts'

describe('daemon/http/routes/car-routes', () => {
  let url: string
  beforeEach(async () => {
    url = (await serve(createFakeNode('/nowhere'))).url
  })

  it('streams models as a file', async () => {
    const answer = await request(`${url}/v1/export?ref=institute-a/nuclei,institute-a/nuclei`)
    assert.equal(answer.status, 200)
    assert.equal(answer.headers['content-type'], CAR_TYPE)
    assert.match(String(answer.headers['content-disposition']), /models\.car/)
    assert.equal(answer.text, '\u0001\u0002\u0003')
    assert.equal((await request(`${url}/v1/export?ref=none/such`)).code, 'NOT_FOUND')
    assert.equal((await request(`${url}/v1/export`)).code, 'PARAMETER')
  })

  it('takes a file from the operator alone', async () => {
    const send = (token: string, type = CAR_TYPE) =>
      request(`${url}/v1/import`, {
        method: 'POST',
        headers: { Authorization: `Bearer ${token}`, 'Content-Type': type },
        body: new Uint8Array(5),
      })
    const { status, text } = await send('operator')
    assert.deepEqual([status, JSON.parse(text).bytes], [200, 5])
    assert.equal((await send('publisher')).code, 'TOKEN_SCOPE')
    assert.equal((await send('operator', 'application/zip')).code, 'MEDIA_TYPE')
  })
})

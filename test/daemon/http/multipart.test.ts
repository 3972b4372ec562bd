import assert from 'node:assert/strict'
import type { Context } from '../../../daemon/http/context.ts'
import { readMultipart } from '../../../daemon/http/multipart.ts'

const CRLF = '\r\n'
const part = (name: string, content: string): string =>
  `--zoo${CRLF}Content-Disposition: form-data; name="${name}"; filename="x"${CRLF}${CRLF}${content}${CRLF}`
const END = `--zoo--${CRLF}`

/** What a body of some chunks holds: names and contents. */
async function read(chunks: readonly string[], type = 'multipart/form-data; boundary=zoo') {
  async function* body() {
    for (const chunk of chunks) yield Buffer.from(chunk)
  }
  // SAFE: the reader looks at the headers only.
  const context = { headers: { 'content-type': type } } as unknown as Context
  const inputs = await readMultipart(context, body(), () => {})
  return inputs.map(({ name, bytes }) => [name, Buffer.from(bytes).toString()])
}

describe('daemon/http/multipart', () => {
  it('reads parts, however the body was cut on its way', async () => {
    const whole = part('a', 'one') + part('b', 'two') + END
    const expected = [
      ['a', 'one'],
      ['b', 'two'],
    ]
    assert.deepEqual(await read([whole]), expected)
    assert.deepEqual(await read([...whole]), expected)
    assert.deepEqual(await read([whole], 'multipart/form-data; boundary="zoo"'), expected)
  })

  it('passes over what follows the end, a part that never ends included', async () => {
    const more = (part('b', 'two') + part('c', 'three')).slice(0, -CRLF.length)
    const whole = part('a', 'one') + END + more
    assert.deepEqual(await read([whole]), [['a', 'one']])
    assert.deepEqual(await read([...whole]), [['a', 'one']])
    assert.deepEqual(await read([END + more]), [])
  })

  it('refuses a body that ends within a part', async () => {
    for (const body of ['', part('a', 'one'), part('a', 'one').slice(0, 40)]) {
      await assert.rejects(read([body]), { code: 'INPUT' }, body)
    }
  })
})

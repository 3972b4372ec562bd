import assert from 'node:assert/strict'
import { MAX_LISTENERS } from '../../../daemon/http/routes/event-routes.ts'
import { createFakeNode } from '../../helpers/fake-node.ts'
import { request, serve } from '../../helpers/http.ts'

describe('daemon/http/routes/event-routes', () => {
  it('streams events by their type and forgets a listener that leaves', async () => {
    const node = createFakeNode('/nowhere')
    const { url } = await serve(node)
    const leaving = new AbortController()
    const answer = await fetch(`${url}/v1/events`, { signal: leaving.signal })
    assert.equal(answer.headers.get('content-type'), 'text/event-stream; charset=utf-8')
    assert.equal(answer.headers.get('x-content-type-options'), 'nosniff')
    const reader = answer.body?.getReader()
    const event = {
      type: 'record',
      at: '2026-01-01T00:00:00.000Z',
      data: { text: 'a\nb' },
    } as const
    for (const listener of node.listeners) listener(event)
    let text = ''
    while (!text.includes('data:')) {
      const { value } = (await reader?.read()) ?? {}
      text += Buffer.from(value ?? []).toString()
    }
    assert.equal(text, `retry: 3000\n\nevent: record\ndata: ${JSON.stringify(event)}\n\n`)
    leaving.abort()
    while (node.listeners.size > 0) await new Promise((resolve) => setTimeout(resolve, 5))
  })

  it('takes a bounded number of listeners', async () => {
    const { url } = await serve(createFakeNode('/nowhere'))
    const open = await Promise.all(
      Array.from({ length: MAX_LISTENERS }, () => fetch(`${url}/v1/events`)),
    )
    assert.ok(open.every(({ status }) => status === 200))
    const more = await request(`${url}/v1/events`)
    assert.deepEqual([more.status, more.code], [429, 'BUSY'])
  })
})

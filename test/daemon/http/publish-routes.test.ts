import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import http from 'node:http'
import net from 'node:net'
import { ZoariumError } from '../../../protocol/errors.ts'
import { createFakeNode } from '../../helpers/fake-node.ts'
import { temporaryFolder } from '../../helpers/folder.ts'
import { request, serve } from '../../helpers/http.ts'

const HEADERS = { Authorization: 'Bearer publisher', 'Content-Type': 'application/zip' }

describe('daemon/http/routes/publish-routes', () => {
  it('spools the zip, passes it on with the options, and removes it', async () => {
    const spool = temporaryFolder()
    let seen = ''
    const node = createFakeNode(spool)
    const { publish } = node
    const { url } = await serve({
      ...node,
      publish: (zip, options, signal) => {
        seen = readFileSync(zip, 'utf8')
        return publish(zip, options, signal)
      },
    })
    const query = 'name=nuclei&version=1.0.0&weights=onnx,torchscript&dryRun=true'
    const answer = await request(`${url}/v1/publish?${query}`, {
      method: 'POST',
      headers: HEADERS,
      body: 'a zip',
    })
    assert.equal(answer.status, 200)
    assert.equal(seen, 'a zip')
    assert.deepEqual(node.calls.publish[0]?.options, {
      name: 'nuclei',
      version: '1.0.0',
      weights: ['onnx', 'torchscript'],
      dryRun: true,
      untested: false,
      private: false,
    })
    assert.deepEqual(readdirSync(spool), [])
  })

  it('refuses a zip over the limit, by its length or while it comes, and keeps nothing', async () => {
    const spool = temporaryFolder()
    const node = createFakeNode(spool)
    const { url } = await serve(node, { limits: { maxPublishBytes: 1000 } })
    const send = (body: string) =>
      request(`${url}/v1/publish`, { method: 'POST', headers: HEADERS, body })
    assert.equal((await send('x'.repeat(1000))).status, 200)
    const declared = await send('x'.repeat(1001))
    assert.deepEqual([declared.status, declared.code], [413, 'LIMIT'])
    const { error } = JSON.parse(declared.text)
    assert.deepEqual([error.limit, error.got], [1000, 1001])

    const answer = await new Promise<http.IncomingMessage>((resolve, reject) => {
      const endless = http.request(`${url}/v1/publish`, {
        method: 'POST',
        headers: HEADERS,
        agent: false,
      })
      endless.once('response', (response) => {
        resolve(response)
        endless.destroy()
      })
      endless.once('error', reject)
      for (let i = 0; i < 100; i++) endless.write('x'.repeat(100))
    })
    assert.equal(answer.statusCode, 413)
    assert.equal(node.calls.publish.length, 1)
    assert.deepEqual(readdirSync(spool), [])
  })

  it('asks for the body only once token, type and size are right', async () => {
    const { url } = await serve(createFakeNode(temporaryFolder()))
    const ask = (headers: Record<string, string>) =>
      new Promise<string>((resolve, reject) => {
        const outgoing = http.request(`${url}/v1/publish`, {
          method: 'POST',
          agent: false,
          headers: { ...headers, Expect: '100-continue', 'Content-Length': 5 },
        })
        outgoing.once('continue', () => {
          resolve('continue')
          outgoing.end('a zip')
        })
        outgoing.once('response', (answer) => {
          resolve(String(answer.statusCode))
          outgoing.destroy()
        })
        outgoing.once('error', reject)
        outgoing.flushHeaders()
      })
    assert.equal(await ask(HEADERS), 'continue')
    assert.equal(await ask({ 'Content-Type': 'application/zip' }), '401')
    assert.equal(await ask({ ...HEADERS, 'Content-Type': 'text/html' }), '415')
  })

  it('keeps nothing of an upload that breaks off', async () => {
    const spool = temporaryFolder()
    const node = createFakeNode(spool)
    const { port, log } = await serve(node)
    const socket = net.connect(port, '127.0.0.1')
    socket.write(
      `POST /v1/publish HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nAuthorization: Bearer publisher\r\n` +
        'Content-Type: application/zip\r\nContent-Length: 1000\r\n\r\nfirst bytes',
    )
    const until = async (isDone: () => boolean) => {
      while (!isDone()) await new Promise((resolve) => setTimeout(resolve, 5))
    }
    await until(() => readdirSync(spool).length === 1)
    socket.destroy()
    await until(() => readdirSync(spool).length === 0)
    await until(() => log.some(({ message }) => message === 'request'))
    assert.equal(node.calls.publish.length, 0)
    assert.deepEqual(
      log.filter(({ level }) => level === 'error'),
      [],
    )
  })

  it('removes the zip where the node refuses it', async () => {
    const spool = temporaryFolder()
    const node = createFakeNode(spool, {
      publish: async () => {
        throw new ZoariumError('CARD_INVALID', 'no')
      },
    })
    const { url } = await serve(node)
    const answer = await request(`${url}/v1/publish`, {
      method: 'POST',
      headers: HEADERS,
      body: 'x',
    })
    assert.deepEqual([answer.status, answer.code], [422, 'CARD_INVALID'])
    assert.deepEqual(readdirSync(spool), [])
  })
})

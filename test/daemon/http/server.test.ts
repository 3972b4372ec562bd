import assert from 'node:assert/strict'
import https from 'node:https'
import net from 'node:net'
import { join } from 'node:path'
import { createHttpServer } from '../../../daemon/http/server.ts'
import { ZoariumError } from '../../../protocol/errors.ts'
import { makeCertificate } from '../../helpers/certificate.ts'
import { createFakeNode } from '../../helpers/fake-node.ts'
import { temporaryFolder } from '../../helpers/folder.ts'
import { request, serve } from '../../helpers/http.ts'

/** Sends bytes as they are and reads until the connection ends. */
function raw(port: number, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, '127.0.0.1', () => socket.write(text))
    const chunks: Buffer[] = []
    socket.on('data', (chunk) => chunks.push(chunk))
    socket.on('close', () => resolve(Buffer.concat(chunks).toString()))
    socket.on('error', reject)
  })
}

describe('daemon/http/server', () => {
  const silent = { debug() {}, info() {}, warn() {}, error() {} }
  const withConfig = (config: Parameters<typeof serve>[1]) =>
    createHttpServer({
      node: createFakeNode('/nowhere'),
      log: silent,
      config: {
        listen: ['127.0.0.1:0'],
        tls: null,
        behindProxy: false,
        hosts: [],
        ...config?.config,
      },
    })
  const isConfigError = (error: unknown) => error instanceof ZoariumError && error.code === 'CONFIG'

  it('does not start in the open without TLS or a proxy', () => {
    for (const listen of [['0.0.0.0:7070'], ['127.0.0.1:0', '[::]:7070'], ['zoo.example.org:80']]) {
      assert.throws(() => withConfig({ config: { listen } }), isConfigError, listen.join())
    }
    withConfig({ config: { listen: ['0.0.0.0:0'], behindProxy: true } })
  })

  it('refuses what is no address', () => {
    for (const text of [
      '7070',
      'localhost',
      '::1:7070',
      '[::1]',
      '127.0.0.1:70000',
      '[x]:1',
      'http://a:1',
    ]) {
      assert.throws(() => withConfig({ config: { listen: [text] } }), isConfigError, text)
    }
  })

  it('says so where a port is taken or a certificate cannot be read', async () => {
    const { port } = await serve(createFakeNode('/nowhere'))
    await assert.rejects(
      withConfig({ config: { listen: [`127.0.0.1:${port}`] } }).start(),
      isConfigError,
    )
    const tls = { cert: '/nowhere/cert.pem', key: '/nowhere/key.pem' }
    await assert.rejects(withConfig({ config: { tls } }).start(), isConfigError)
  })

  it('listens at several addresses and speaks TLS', async function () {
    const folder = temporaryFolder()
    if (makeCertificate(folder, ['IP:127.0.0.1']) === null) return this.skip()
    const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')]
    const { server } = await serve(createFakeNode(folder), {
      config: { listen: ['127.0.0.1:0', '127.0.0.1:0'], tls: { cert, key } },
    })
    assert.equal(server.urls.length, 2)
    for (const url of server.urls) {
      assert.match(url, /^https:/)
      const status = await new Promise((resolve, reject) => {
        https
          .get(`${url}/healthz`, { rejectUnauthorized: false, agent: false }, (answer) => {
            answer.resume()
            resolve(answer.statusCode)
          })
          .once('error', reject)
      })
      assert.equal(status, 200)
    }
  })

  it('answers what is no HTTP, and headers that are too long, in its own form', async () => {
    const { port } = await serve(createFakeNode('/nowhere'))
    assert.match(await raw(port, 'hello\r\n\r\n'), /^HTTP\/1.1 400 [\s\S]*"code":"PARAMETER"/)
    const long = `GET / HTTP/1.1\r\nHost: x\r\nX: ${'y'.repeat(20_000)}\r\n\r\n`
    assert.match(await raw(port, long), /^HTTP\/1.1 431 [\s\S]*"code":"LIMIT"/)
  })

  it('ends event streams when it stops, and takes no more connections', async () => {
    const { url, server } = await serve(createFakeNode('/nowhere'))
    const stream = fetch(`${url}/v1/events`).then((answer) => answer.text())
    await request(`${url}/healthz`)
    await new Promise((resolve) => setImmediate(resolve))
    await server.stop()
    await stream
    await assert.rejects(request(`${url}/healthz`))
  })
})

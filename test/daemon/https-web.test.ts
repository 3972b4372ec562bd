import assert from 'node:assert/strict'
import https from 'node:https'
import type { AddressInfo } from 'node:net'
import { HandleChecks } from '../../daemon/handle-checks.ts'
import { HttpsWeb } from '../../daemon/https-web.ts'
import { createLog } from '../../daemon/log.ts'
import { PublicWeb } from '../../daemon/public-web.ts'
import type { Cid } from '../../protocol/cid.ts'
import type { Verdict } from '../../protocol/errors.ts'
import { handleDocument } from '../../protocol/handle.ts'
import { makeCertificate } from '../helpers/certificate.ts'
import { temporaryFolder } from '../helpers/folder.ts'
import { MemoryWeb } from '../helpers/memory-web.ts'
import { TestPublisher } from '../helpers/publisher.ts'
import { SUITE_HOSTS, webSuite } from '../suites/web.ts'

const ADDRESS = '127.0.0.1'

const NAMES = ['embl.example', ...Object.keys(SUITE_HOSTS)].map((host) => `DNS:${host}`)

interface Served {
  readonly server: https.Server
  readonly port: number
  readonly ca: string
}

/** Serves on loopback, or skips the tests with a printed line. */
async function serveHttps(
  test: Mocha.Context,
  answer: Parameters<typeof https.createServer>[1],
): Promise<Served> {
  const made = makeCertificate(temporaryFolder(), NAMES)
  if (made === null) {
    return test.skip()
  }
  const server = https.createServer(made, answer)
  await new Promise<void>((resolve) => server.listen(0, ADDRESS, resolve))
  const { port } = server.address() as AddressInfo
  return { server, port, ca: made.cert.toString() }
}

const close = (server: https.Server): Promise<void> =>
  new Promise((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })

webSuite('node:https', async (test) => {
  const { server, port, ca } = await serveHttps(test, (request, response) => {
    const known: Record<string, { status?: number; body?: string; hangs?: boolean }> = SUITE_HOSTS
    const { status = 200, body, hangs = false } = known[request.headers.host ?? ''] ?? {}
    if (hangs) return
    response.writeHead(status, { Location: 'https://fine.example/' }).end(body)
  })
  return { web: new HttpsWeb({ ca, port }), address: ADDRESS, close: () => close(server) }
})

describe('daemon/https-web', () => {
  const { publisher } = new TestPublisher('embl')
  let served: Served | undefined
  before(async function () {
    served = await serveHttps(this, (request, response) => {
      assert.equal(request.url, '/.well-known/zoarium.json')
      response.end(JSON.stringify(handleDocument(publisher)))
    })
  })
  after(async () => {
    if (served !== undefined) await close(served.server)
  })
  const web = (options: object = {}) => new HttpsWeb({ ...served, ...options })
  const get = (web: HttpsWeb, host: string) =>
    web.get({
      host,
      address: ADDRESS,
      path: '/.well-known/zoarium.json',
      maxBytes: 1000,
      signal: new AbortController().signal,
    })

  it('finds addresses', async () => {
    const found = await web().addresses('localhost')
    assert(
      found.some((address) => address === ADDRESS || address === '::1'),
      found.join(),
    )
  })

  it('connects to the address that it is given, whatever the name stands for', async () => {
    // Nobody has this name: a lookup would fail.
    assert.equal((await get(web(), 'embl.example')).status, 200)
  })

  it('takes no certificate of another name or of an authority that is not known', async () => {
    await assert.rejects(get(web(), 'embl.other'), { code: 'ERR_TLS_CERT_ALTNAME_INVALID' })
    const { port } = served ?? {}
    await assert.rejects(get(new HttpsWeb(port === undefined ? {} : { port }), 'embl.example'))
  })

  it('asks a real host through the whole check, where its address is allowed', async () => {
    for (const allowPrivate of [[], ['embl.example']]) {
      const names = new MemoryWeb()
      names.sites.set('embl.example', { addresses: [ADDRESS] })
      const noted: Verdict<Cid>[] = []
      const checks = new HandleChecks({
        handles: {
          due: () => (noted.length === 0 ? ['embl.example'] : []),
          note: (_, verdict) => noted.push(verdict),
        },
        web: new PublicWeb(
          { addresses: (host) => names.addresses(host), get: (each) => web().get(each) },
          allowPrivate,
        ),
        log: createLog('silent'),
      })
      await checks.round()
      const [verdict] = noted
      if (allowPrivate.length === 0) assert.equal(verdict?.ok, false)
      else assert.deepEqual(verdict, { ok: true, value: publisher })
    }
  })
})

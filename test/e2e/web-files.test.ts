/** A large file that comes over HTTPS, from the address that the publisher's profile names. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { appendFile } from 'node:fs/promises'
import { join } from 'node:path'
import { initNode, type NodeProcess } from '../../cli/colony.ts'
import type { PublishView } from '../../protocol/api.ts'
import { makeCertificate } from '../helpers/certificate.ts'
import { exampleFiles, writeFiles } from '../helpers/package.ts'
import { Colony, eventually, meets, zoarium, zoariumJson } from './colony.ts'
import { HttpsProxy } from './https-proxy.ts'

const FILE_BYTES = 24 * 1024 * 1024

describe('e2e/web-files', () => {
  const colony = new Colony()
  let proxy: HttpsProxy
  let origin: NodeProcess
  let env: NodeJS.ProcessEnv
  let record: string

  before(async function () {
    const made = makeCertificate(await colony.folder(), ['DNS:localhost'])
    if (made === null) return this.skip()
    env = { NODE_EXTRA_CA_CERTS: made.path }
    proxy = new HttpsProxy(made)
    const url = `https://localhost:${await proxy.listen()}`
    origin = await colony.node('Origin', [], ['--behind-proxy', '--public-url', url])
    proxy.upstream = Number(new URL(origin.url).port)
    await zoariumJson(origin, 'profile', 'set', '--page', url)
    const folder = await colony.folder()
    const files = exampleFiles({
      name: 'Large',
      files: { 'extra.bin': randomBytes(FILE_BYTES) },
      card: (card) => (card.attachments = [{ source: 'extra.bin' }]),
    })
    await writeFiles(folder, files)
    const published = await zoariumJson<PublishView>(origin, 'publish', folder, '--untested')
    record = published.record ?? ''
  })
  after(async () => {
    await colony.stop()
    await proxy?.close()
  })

  /** A node that met the origin, and the leaves that it fetched over HTTPS. */
  async function pull(config: string): Promise<number> {
    const folder = await colony.folder()
    await initNode(folder, 'Follower')
    await appendFile(join(folder, 'config.yaml'), config)
    const node = await colony.start(folder, [origin], ['--no-follow'], { env })
    await meets(node, origin)
    await zoariumJson(node, 'trust', 'add', origin.publisher, 'mirror')
    await zoariumJson(origin, 'trust', 'add', node.publisher, 'list')
    await zoariumJson(node, 'sync')
    await eventually(node, async () => (await zoarium(node, 'show', record)).code === 0)
    const before = proxy.requests
    const { code, stderr } = await zoarium(node, 'pull', record)
    assert.equal(code, 0, stderr)
    return proxy.requests - before
  }

  it('comes over HTTPS where the host may be asked', async () => {
    assert.ok((await pull('web:\n  allowPrivate: [localhost]\n')) > 0)
  })

  it('comes over streams where the host is private and was not named', async () => {
    assert.equal(await pull(''), 0)
  })

  it('comes over streams where nobody answers at the address', async () => {
    const { upstream } = proxy
    proxy.upstream = 0
    try {
      assert.ok((await pull('web:\n  allowPrivate: [localhost]\n')) > 0)
    } finally {
      proxy.upstream = upstream
    }
  })
})

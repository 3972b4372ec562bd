import assert from 'node:assert/strict'
import { appendFile } from 'node:fs/promises'
import { join } from 'node:path'
import { initNode, type NodeProcess, projectPath } from '../../cli/colony.ts'
import type { DoctorView, NodeView, PeerView, PublishView } from '../../protocol/api.ts'
import { makeCertificate } from '../helpers/certificate.ts'
import { Colony, meets, until, zoarium, zoariumJson } from './colony.ts'
import { HttpsProxy } from './https-proxy.ts'

const example = projectPath('docs', 'examples', 'nuclei-unet')

/** A node that has nothing but one HTTPS port of a proxy, and one that has nothing but outbound. */
describe('e2e/campus', () => {
  const colony = new Colony()
  let proxy: HttpsProxy
  let hub: NodeProcess
  let campus: NodeProcess
  let env: NodeJS.ProcessEnv
  let folder: string
  let port: number
  let published: PublishView

  before(async function () {
    const made = makeCertificate(await colony.folder(), ['DNS:localhost'])
    if (made === null) return this.skip()
    env = { NODE_EXTRA_CA_CERTS: made.path }
    proxy = new HttpsProxy(made)
    port = await proxy.listen()
    folder = await colony.folder()
    await initNode(folder, 'Institute A', ['--profile', 'campus'])
    await appendFile(join(folder, 'config.yaml'), 'http:\n  proxies: [127.0.0.1]\n')
    await startHub()
  })
  const startHub = async () => {
    const flags = ['--behind-proxy', '--public-url', `https://localhost:${port}`]
    hub = await colony.start(folder, [], flags, { asConfigured: true })
    proxy.upstream = Number(new URL(hub.url).port)
  }
  after(async () => {
    await colony.stop()
    await proxy?.close()
  })

  it('announces the address of the proxy, and no other', async () => {
    assert.deepEqual(hub.addresses, [`/dns/localhost/tcp/${port}/tls/ws/p2p/${hub.peer}`])
  })

  it('lets a node in that listens nowhere', async () => {
    const folder = await colony.folder()
    await initNode(folder, 'Institute B', ['--profile', 'campus'])
    campus = await colony.start(folder, [hub], [], { asConfigured: true, env })
    assert.deepEqual(campus.addresses, [])
    await meets(campus, hub)
    assert.equal(proxy.upgrades, 1)
  })

  it('replicates records and files through it, in both directions', async () => {
    published = await zoariumJson<PublishView>(hub, 'publish', example)
    await zoarium(campus, 'trust', 'add', hub.publisher, 'run')
    const held = (node: NodeProcess, count: number) =>
      until(async () => (await zoariumJson<NodeView>(node, 'status')).blobs.count >= count)
    const { blobs } = await zoariumJson<NodeView>(hub, 'status')
    await held(campus, blobs.count)
    assert.equal((await zoarium(campus, 'verify', published.ref)).code, 0)

    const own = ['publish', example, '--name', 'from-campus']
    const { ref } = await zoariumJson<PublishView>(campus, ...own)
    await zoarium(hub, 'trust', 'add', campus.publisher, 'mirror')
    await until(async () => (await zoarium(hub, 'verify', ref)).code === 0)
  })

  it('learns from its doctor what others reach, and what they do not', async () => {
    const states = ({ findings }: DoctorView, check: string) =>
      findings.filter((each) => each.check === check).map(({ state }) => state)
    const behind = await zoarium(campus, '--json', 'doctor')
    const { findings, isWell } = JSON.parse(behind.stdout) as DoctorView
    assert.deepEqual(states({ findings, isWell }, 'reach'), ['ok'], behind.stdout)
    assert.deepEqual(states({ findings, isWell }, 'clock'), ['ok'])
    assert.equal(behind.code, isWell ? 0 : 1)
    // Its own name is no public address, and no member dials it on its word alone.
    const unasked = await zoarium(hub, 'doctor')
    assert.match(unasked.stdout, /- {5}reach .*no member dials it/)
    assert.match(unasked.stdout, /profile set --page/)
    assert.match(unasked.stdout, /WARN {2}dns .*localhost is/)
    const gone = await zoarium({ ...campus, url: 'http://127.0.0.1:9' }, 'doctor')
    assert.equal(gone.code, 6)
    assert.match(gone.stdout, /FAIL {2}daemon/)
  })

  it('comes back by itself once the proxy does', async () => {
    await hub.stop()
    await startHub()
    await until(async () =>
      (await zoariumJson<{ items: PeerView[] }>(hub, 'peers')).items.some(
        ({ peer, connected }) => peer === campus.peer && connected,
      ),
    )
  })
})

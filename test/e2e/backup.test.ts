/** A node that is lost with its disk, and comes back from a backup that was made while it ran. */
import assert from 'node:assert/strict'
import { cp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { type NodeProcess, projectPath } from '../../cli/colony.ts'
import { Colony, clientOf, eventually, meets, until, zoarium, zoariumJson } from './colony.ts'

const example = projectPath('docs', 'examples', 'nuclei-unet')

describe('e2e: backup', () => {
  const colony = new Colony()
  after(() => colony.stop())
  let a: NodeProcess
  let b: NodeProcess

  const publish = (version: string) =>
    zoarium(a, 'publish', example, '--untested', '--version', version)
  const follows = (version: string) =>
    eventually(b, async () => {
      const { items } = await clientOf(b).search({ q: 'nuclei' })
      return items[0]?.version === version
    })

  before(async () => {
    b = await colony.node('Follower')
    a = await colony.node('Publisher', [b])
    await meets(b, a)
    await zoariumJson(b, 'trust', 'add', a.publisher, 'mirror')
    await publish('1.0.0')
    await follows('1.0.0')
    const backup = join(await colony.folder(), 'backup')
    await zoariumJson(a, 'backup', backup, '--keys')
    await publish('2.0.0')
    await follows('2.0.0')
    const ref = 'publisher/nuclei-u-net-example'
    await until(async () => (await zoarium(b, 'verify', `${ref}@2.0.0`)).code === 0)
    await a.stop()
    await rm(a.folder, { recursive: true })
    await cp(backup, a.folder, { recursive: true })
  })

  it('signs nothing while no peer answers, and serves what it knows', async () => {
    a = await colony.start(a.folder)
    await until(async () => (await clientOf(a).node()).self === 'unsure')
    const { code, stderr } = await publish('2.0.0')
    assert.notEqual(code, 0)
    assert.match(stderr, /SELF_UNSURE/)
    assert.equal((await clientOf(a).search({ q: 'nuclei' })).items[0]?.version, '1.0.0')
    await a.stop()
  }).timeout(60_000)

  it('takes back records and files from a peer, and signs on after them', async () => {
    a = await colony.start(a.folder, [b])
    const { code, stderr } = await publish('3.0.0')
    assert.equal(code, 0, stderr)
    await follows('3.0.0')
    for (const node of [a, b]) {
      const { logs } = await clientOf(node).node()
      const log = logs.find(({ publisher, seq }) => publisher === a.publisher && seq !== null)
      // A profile and three versions.
      assert.deepEqual([log?.seq, log?.state], [3, 'OK'])
      for (const version of ['1.0.0', '2.0.0']) {
        const ref = `publisher/nuclei-u-net-example@${version}`
        await until(async () => (await zoarium(node, 'verify', ref)).code === 0)
      }
    }
  })
})

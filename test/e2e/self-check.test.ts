import assert from 'node:assert/strict'
import { cp, rm } from 'node:fs/promises'
import type { NodeProcess } from '../../cli/colony.ts'
import { projectPath } from '../../cli/colony.ts'
import { Colony, clientOf, eventually, meets, until, zoarium, zoariumJson } from './colony.ts'

const example = projectPath('docs', 'examples', 'nuclei-unet')
const publish = (node: NodeProcess, version: string) =>
  zoarium(node, 'publish', example, '--untested', '--version', version)

describe('e2e: a node that was not stopped in order', () => {
  const colony = new Colony()
  after(() => colony.stop())

  it('signs on at once where it never had a peer', async () => {
    const node = await colony.node('Lone')
    await node.kill()
    const again = await colony.start(node.folder)
    assert.equal((await clientOf(again).node()).self, 'sure')
    const { code, stderr } = await publish(again, '1.0.0')
    assert.equal(code, 0, stderr)
    await again.stop()
  })

  describe('and came back from the snapshot of a machine', () => {
    let a: NodeProcess
    let b: NodeProcess

    before(async () => {
      b = await colony.node('Follower')
      a = await colony.node('Publisher', [b])
      await meets(b, a)
      await zoariumJson(b, 'trust', 'add', a.publisher, 'list')
      await publish(a, '1.0.0')
      const versions = (count: number) =>
        eventually(b, async () => {
          const { items } = await clientOf(b).search({ q: 'nuclei' })
          return items[0]?.version === `${count}.0.0`
        })
      await versions(1)
      const folder = await colony.folder()
      await cp(a.folder, folder, { recursive: true })
      await publish(a, '2.0.0')
      await versions(2)
      await a.kill()
      // Key, ledger and catalogue agree with each other, and know nothing of the second version.
      await rm(a.folder, { recursive: true, force: true })
      await cp(folder, a.folder, { recursive: true })
      await rm(`${a.folder}/lock`, { force: true })
    })

    it('signs nothing while it is cut off', async () => {
      // It knows where its follower was, and would find it by itself.
      await b.stop()
      a = await colony.start(a.folder)
      await until(async () => (await clientOf(a).node()).self === 'unsure')
      const { code, stderr } = await publish(a, '2.0.0')
      assert.notEqual(code, 0)
      assert.match(stderr, /SELF_UNSURE/)
      assert.match(stderr, /--i-am-alone/)
      assert.match((await zoarium(a, 'status')).stdout, /SELF_UNSURE/)
      await a.stop()
    }).timeout(60_000)

    it('is given back what it signed, and goes on after it', async () => {
      b = await colony.start(b.folder)
      a = await colony.start(a.folder, [b])
      const { code, stderr } = await publish(a, '3.0.0')
      assert.equal(code, 0, stderr)
      const { logs } = await clientOf(a).node()
      const own = logs.find(
        ({ publisher, seq }) => publisher === a.publisher && seq !== null && seq > 0,
      )
      // A profile and three versions.
      assert.deepEqual([own?.seq, own?.state], [3, 'OK'])
      const seen = await eventually(b, async () => {
        const { items } = await clientOf(b).search({ q: 'nuclei' })
        return items[0]?.version === '3.0.0' && (await clientOf(b).node()).logs
      })
      assert.ok(seen.every(({ state }) => state === 'OK'))
    })

    it('signs on alone where its operator says so', async () => {
      await a.kill()
      a = await colony.start(a.folder, [], ['--i-am-alone'])
      const { code, stderr } = await publish(a, '4.0.0')
      assert.equal(code, 0, stderr)
    })
  })
})

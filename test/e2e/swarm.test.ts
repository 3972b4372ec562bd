/** A large file that several nodes fetch at once. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import type { NodeProcess } from '../../cli/colony.ts'
import type { PublishView } from '../../protocol/api.ts'
import { exampleFiles, writeFiles } from '../helpers/package.ts'
import { Colony, eventually, zoarium, zoariumJson } from './colony.ts'

const FILE_BYTES = 24 * 1024 * 1024

describe('e2e/swarm', () => {
  const colony = new Colony()
  after(() => colony.stop())

  let origin: NodeProcess
  let others: NodeProcess[]
  let record: string

  /** Models of the origin are fetched where they are asked for. */
  async function follower(peers: readonly NodeProcess[]): Promise<NodeProcess> {
    const node = await colony.node('Follower', peers, ['--no-follow'])
    await zoariumJson(node, 'trust', 'add', origin.publisher, 'mirror')
    return node
  }

  async function sentBy(node: NodeProcess): Promise<number> {
    const text = await (await fetch(new URL('/metrics', node.url))).text()
    return Number(/^zoarium_sent_bytes (\S+)$/m.exec(text)?.[1])
  }

  before(async () => {
    origin = await colony.node('Origin')
    const folder = await colony.folder()
    const extra = randomBytes(FILE_BYTES)
    const files = exampleFiles({
      name: 'Large',
      files: { 'extra.bin': extra },
      card: (card) => (card.attachments = [{ source: 'extra.bin' }]),
    })
    await writeFiles(folder, files)
    const published = await zoariumJson<PublishView>(origin, 'publish', folder, '--untested')
    assert.ok(published.record)
    record = published.record
  })

  it('leaves its origin about once', async () => {
    others = []
    for (let n = 0; n < 3; n++) others.push(await follower([origin, ...others]))
    for (const node of others) {
      for (const other of others) {
        if (other === node) continue
        await zoarium(node, 'peers', 'add', other.addresses[0] ?? '')
        await zoariumJson(node, 'trust', 'add', other.publisher, 'list')
      }
      await zoariumJson(node, 'sync')
      await eventually(node, async () => (await zoarium(node, 'show', record)).code === 0)
    }
    const before = await sentBy(origin)
    const pulls = await Promise.all(others.map((node) => zoarium(node, 'pull', record)))
    for (const { code, stderr } of pulls) assert.equal(code, 0, stderr)
    const sent = (await sentBy(origin)) - before
    assert.ok(sent < 2 * FILE_BYTES, `${sent} bytes`)
  })
})

/** A model is erased at its publisher, and with that at every node; then it is restored. */
import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { type NodeProcess, projectPath, runCommand } from '../../cli/colony.ts'
import type { PublishView, StatementView } from '../../protocol/api.ts'
import { Colony, clientOf, eventually, meets, until, zoarium, zoariumJson } from './colony.ts'

const example = projectPath('docs', 'examples', 'nuclei-unet')

describe('e2e/erasure', () => {
  const colony = new Colony()
  let a: NodeProcess
  let b: NodeProcess
  let published: PublishView
  let record: string

  before(async () => {
    a = await colony.node('Institute A')
    b = await colony.node('Institute B', [a])
    published = await zoariumJson<PublishView>(a, 'publish', example)
    record = published.record ?? assert.fail()
    await meets(b, a)
    await zoarium(b, 'trust', 'add', a.publisher, 'run')
    await eventually(b, () => isHeld(b))
  })
  after(() => colony.stop())

  const found = async (node: NodeProcess) => (await clientOf(node).search({ q: 'nuclei' })).items[0]
  const isHeld = async (node: NodeProcess) => (await found(node))?.held
  const run = async (node: NodeProcess) => {
    const out = join(await colony.folder(), 'out.npy')
    return zoarium(node, 'run', record, join(example, 'test_input.npy'), '-o', out)
  }
  const card = (node: NodeProcess) => fetch(`${node.url}/v1/records/${record}/files/rdf.yaml`)
  const files = async ({ folder }: NodeProcess) =>
    (await readdir(join(folder, 'blobs'), { recursive: true })).filter((name) =>
      /ba[a-z0-9]{57}/.test(name),
    )

  it('needs more than the keys that a node has from the start', async () => {
    const args = ['withdraw', published.ref, '--verb', 'erase', '--reason', 'licence']
    const { code, stderr } = await zoarium(a, ...args)
    assert.equal(code, 5)
    assert.match(stderr, /SCOPE[\s\S]*zoarium keys delegate erase/)
    const { folder } = a
    await a.stop()
    const delegated = await runCommand(['keys', 'delegate', 'erase'], { ZOARIUM_DIR: folder })
    assert.equal(delegated.code, 0, delegated.stderr)
    a = await colony.start(folder, [b])
  })

  it('ends at once at a node that has run it, and the bytes wait for their time', async () => {
    assert.equal((await run(b)).code, 0)
    assert.deepEqual((await clientOf(b).node()).engine.warm, [record])
    assert.equal((await card(b)).status, 200)
    const args = ['withdraw', published.ref, '--verb', 'erase', '--reason', 'licence']
    await zoariumJson<StatementView>(a, ...args)
    await eventually(b, async () => (await found(b)) === undefined)
    const { code, stderr } = await run(b)
    assert.equal(code, 5)
    assert.match(stderr, /ERASED/)
    assert.equal((await card(b)).status, 410)
    assert.deepEqual((await clientOf(b).node()).engine.warm, [])
    const status = await zoarium(b, 'status')
    assert.match(status.stdout, /ERASED: institute-a\/\S+ by its publisher; its bytes go at 20/)
    assert.equal((await files(b)).length, published.files.length)
  })

  it('comes to a fresh node without its card, from one that is not its publisher', async () => {
    await a.stop()
    const c = await colony.node('Institute C', [b])
    await meets(c, b)
    await zoarium(c, 'trust', 'add', a.publisher, 'run')
    const shown = await until(async () => {
      await zoarium(c, 'sync')
      return clientOf(c)
        .record(record as never)
        .catch(() => null)
    })
    assert.equal('kind' in shown && shown.kind, 'model')
    assert.equal(await found(c), undefined)
    assert.deepEqual(await files(c), [])
    const [report] = await clientOf(c)
      .sync(null)
      .catch(() => [])
    assert.deepEqual(report?.refused ?? [], [])
    // It is restored while the third node has no card: it asks for it.
    a = await colony.start(a.folder, [b])
    const args = ['withdraw', record, '--verb', 'restore', '--reason', 'mistake']
    await zoariumJson<StatementView>(a, ...args)
    await eventually(b, () => isHeld(b))
    assert.equal((await run(b)).code, 0)
    await until(async () => {
      await zoarium(c, 'sync')
      return isHeld(c)
    })
    assert.equal((await run(c)).code, 0)
  })

  it('goes at once where the operator says so, and is not fetched again', async () => {
    assert.equal((await zoarium(b, 'withdraw', record, '--verb', 'erase', '--here')).code, 0)
    assert.deepEqual(await files(b), [])
    const { folder } = b
    await b.stop()
    b = await colony.start(folder, [a])
    await meets(b, a)
    await zoarium(b, 'sync')
    assert.equal(await found(b), undefined)
    assert.equal((await zoarium(b, 'pull', record)).code, 5)
    assert.deepEqual(await files(b), [])
    assert.equal((await zoarium(b, 'withdraw', record, '--verb', 'restore', '--here')).code, 0)
    await eventually(b, () => isHeld(b))
  })
})

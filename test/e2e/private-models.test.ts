import assert from 'node:assert/strict'
import type { NodeProcess } from '../../cli/colony.ts'
import { projectPath, runCommand } from '../../cli/colony.ts'
import type { ModelSummary, SyncView } from '../../protocol/api.ts'
import { Colony, clientOf, eventually, meets, zoarium, zoariumJson } from './colony.ts'

const example = projectPath('docs', 'examples', 'nuclei-unet')

describe('e2e: private models', () => {
  const colony = new Colony()
  let a: NodeProcess
  let b: NodeProcess
  let c: NodeProcess

  const found = async (node: NodeProcess): Promise<ModelSummary | undefined> =>
    (await clientOf(node).search({ q: 'nuclei' })).items[0]

  before(async () => {
    b = await colony.node('Institute B')
    c = await colony.node('Institute C')
    const folder = await colony.folder()
    const { code } = await runCommand(['init', '--name', 'Institute A'], { ZOARIUM_DIR: folder })
    assert.equal(code, 0)
    const confide = ['keys', 'confide', b.publisher]
    const made = await runCommand(confide, { ZOARIUM_DIR: folder })
    assert.equal(made.code, 0, made.stderr)
    a = await colony.start(folder, [b, c])
    for (const node of [b, c]) {
      await meets(node, a)
      await zoariumJson(node, 'trust', 'add', a.publisher, 'run')
    }
    await zoariumJson(a, 'trust', 'add', b.publisher, 'list')
    await zoariumJson(a, 'trust', 'add', c.publisher, 'list')
    // A public statement, which all see.
    await zoariumJson(c, 'peers', 'add', b.addresses[0] ?? '')
  })
  after(() => colony.stop())

  it('come to the audience, run there, and say for whom they are', async () => {
    const { code, stderr } = await zoarium(a, 'publish', example, '--private', '--untested')
    assert.equal(code, 0, stderr)
    const model = await eventually(b, async () => {
      const one = await found(b)
      return one?.runnable.here && one
    })
    assert.deepEqual(model.audience, ['institute-b'])
    assert.match(
      (await zoarium(b, 'show', model.ref)).stdout,
      /private to +its own publisher, instit/,
    )
    assert.match((await zoarium(b, 'search', 'nuclei')).stdout, /\(private\)/)
  })

  it('come to nobody else, who may ask as often as they like', async () => {
    const record = (await found(b))?.record ?? assert.fail()
    for (let n = 0; n < 3; n++) {
      const { items } = await zoariumJson<{ items: SyncView[] }>(c, 'sync')
      assert.ok(items.length > 0 && items.every(({ ok }) => ok))
    }
    assert.equal(await found(c), undefined)
    const { stderr } = await zoarium(c, 'show', record)
    assert.match(stderr, /NOT_FOUND/)
    for (const node of [a, b]) {
      const offered = (await clientOf(c).peers()).find(({ peer }) => peer === node.peer)
      assert.equal(offered?.serves, 0)
    }
  })

  it('go public as the same version', async () => {
    const { code, stderr } = await zoarium(a, 'publish', example, '--untested')
    assert.equal(code, 0, stderr)
    const model = await eventually(c, async () => {
      const one = await found(c)
      return one?.runnable.here && one
    })
    assert.equal(model.audience, null)
    assert.equal((await found(b))?.root, model.root)
    assert.equal((await zoarium(b, 'show', 'institute-a/nuclei-u-net-example')).code, 0)
  })
})

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { NodeProcess } from '../../cli/colony.ts'
import { projectPath } from '../../cli/colony.ts'
import { decodeNpy } from '../../daemon/inference/image/npy.ts'
import type { ModelPageView, ModelSummary, PublishView, RouteView } from '../../protocol/api.ts'
import { expectOk } from '../../protocol/errors.ts'
import { fixturePath, needsFixtures } from '../helpers/fixtures.ts'
import { Colony, clientOf, eventually, meets, zoarium, zoariumJson } from './colony.ts'

const example = projectPath('docs', 'examples', 'nuclei-unet')

/** Largest |a - e| - 1e-3 |e|; at most 1e-3 where the results agree. */
function excess(actual: Uint8Array, expected: Uint8Array): number {
  const [a, e] = [expectOk(decodeNpy(actual)).tensor, expectOk(decodeNpy(expected)).tensor]
  assert.equal(a.data.length, e.data.length)
  let worst = Number.NEGATIVE_INFINITY
  for (let i = 0; i < e.data.length; i++) {
    const wanted = Number(e.data[i])
    worst = Math.max(worst, Math.abs(Number(a.data[i]) - wanted) - 1e-3 * Math.abs(wanted))
  }
  return worst
}

describe('e2e/federation', () => {
  const colony = new Colony()
  let a: NodeProcess
  let b: NodeProcess
  let c: NodeProcess
  let published: PublishView

  before(async () => {
    a = await colony.node('Institute A')
    b = await colony.node('Institute B', [a])
    c = await colony.node('Institute C', [a, b], ['--no-follow'])
  })
  after(() => colony.stop())

  const found = async (node: NodeProcess): Promise<ModelSummary | undefined> =>
    (await clientOf(node).search({ q: 'nuclei' })).items[0]

  it('publishes the example model after its own test', async () => {
    published = await zoariumJson<PublishView>(a, 'publish', example)
    assert.equal(published.tested, 'reproduced')
    assert.ok((published.test?.worstAbsolute ?? 1) < 1e-3)
  })

  it('refuses the same version again', async () => {
    const { code, stderr } = await zoarium(a, 'publish', example)
    assert.equal(code, 4)
    assert.match(stderr, /VERSION_EXISTS/)
  })

  it('shows a second node an empty catalogue, and by its messages the way on', async () => {
    await meets(b, a)
    const { code, stdout, stderr } = await zoarium(b, 'search', 'nuclei')
    assert.equal(code, 0)
    assert.equal(stdout, '')
    const advice = /zoarium trust add (\S+) list/.exec(stderr)
    assert.ok(advice?.[1], stderr)
    assert.equal((await zoarium(b, 'trust', 'add', advice[1], 'list')).code, 0)
    const model = await eventually(b, () => found(b))
    assert.equal(model.record, published.record)
    assert.equal(model.held, false)
  })

  it('replicates the files once a rule lets them run', async () => {
    assert.equal((await zoarium(b, 'trust', 'add', 'institute-a', 'run')).code, 0)
    await eventually(b, async () => (await found(b))?.held)
    const { code, stdout } = await zoarium(b, 'verify', published.ref)
    assert.equal(code, 0, stdout)
  })

  it('runs nothing at a stranger, and says which rule would change that', async () => {
    await meets(c, a)
    await meets(c, b)
    await zoarium(c, 'trust', 'add', a.publisher, 'run')
    await eventually(c, () => found(c))
    const image = join(example, 'test_input.npy')
    const out = join(await colony.folder(), 'out.npy')
    const { code, stderr } = await zoarium(
      c,
      'run',
      published.ref,
      image,
      '-o',
      out,
      '--on',
      'nearest',
    )
    assert.equal(code, 6)
    assert.match(stderr, /NO_ROUTE/)
    assert.match(stderr, /zoarium trust add institute-b list --send/)
  })

  it('runs at the nearest node without holding the model', async () => {
    await zoarium(b, 'trust', 'add', c.publisher, 'list')
    await zoarium(c, 'trust', 'add', b.publisher, 'list', '--send')
    const routes = await eventually(c, async () => {
      const rows = await clientOf(c).route(published.record ?? '', 1e6)
      return rows.some((row: RouteView) => row.eligible) && rows
    })
    assert.equal(routes[0]?.node, b.peer)
    const image = join(example, 'test_input.npy')
    const out = join(await colony.folder(), 'out.npy')
    const args = ['run', published.ref, image, '-o', out, '--on', 'nearest']
    const { code, stderr } = await zoarium(c, ...args)
    assert.equal(code, 0, stderr)
    const worst = excess(await readFile(out), await readFile(join(example, 'test_output.npy')))
    assert.ok(worst <= 1e-3, `off by ${worst}`)
    assert.equal((await found(c))?.held, false)
  })

  it('names the nearest nodes where this one cannot run it', async () => {
    const image = join(example, 'sample_input.png')
    const { code, stderr } = await zoarium(c, 'run', published.ref, image)
    assert.equal(code, 3)
    assert.match(stderr, /institute-b.*--on nearest/)
  })

  it('takes a model back everywhere, once its publisher says so', async () => {
    const args = ['withdraw', published.ref, '--verb', 'recall', '--reason', 'wrong-output']
    assert.equal((await zoarium(b, ...args)).code, 5, 'b is not its publisher')
    const spare = await zoariumJson<PublishView>(a, 'publish', example, '--name', 'spare')
    await eventually(b, async () => (await found(b))?.held)
    assert.equal((await zoarium(a, 'tag', spare.ref, 'stable')).code, 0)
    assert.equal((await zoarium(a, ...args.with(1, spare.ref))).code, 0)
    const image = join(example, 'test_input.npy')
    const out = join(await colony.folder(), 'out.npy')
    const { code, stderr } = await eventually(b, async () => {
      const run = await zoarium(b, 'run', spare.record ?? '', image, '-o', out)
      return run.stderr.includes('RECALLED') && run
    })
    assert.equal(code, 5, stderr)
    assert.equal((await found(b))?.record, published.record)
  })

  it('serves again after a restart, with all that it held', async () => {
    const { folder } = b
    await b.kill()
    b = await colony.start(folder, [a])
    assert.equal((await found(b))?.held, true)
    await eventually(c, async () =>
      (await clientOf(c).peers()).some(
        ({ publisher, connected }) => publisher?.id === a.publisher && connected,
      ),
    )
  })

  it('refuses a second daemon on the same folder', async () => {
    const { code, stderr } = await zoarium(a, 'daemon', '--http', '127.0.0.1:0')
    assert.equal(code, 6)
    assert.match(stderr, /LOCKED/)
  })

  describe('with a real model', () => {
    needsFixtures()
    const card = () =>
      fixturePath('bioimageio', 'examples', 'models', 'unet2d_nuclei_broad', 'bioimageio.yaml')

    it('refuses a package with missing and remote files, each by name, with the way out', async () => {
      const { code, stderr } = await zoarium(a, 'publish', card())
      assert.equal(code, 4)
      for (const name of ['FILE_MISSING', 'FILE_REMOTE', '--weights onnx']) {
        assert.ok(stderr.includes(name), `${name} in ${stderr}`)
      }
      const page = await zoariumJson<ModelPageView>(a, 'search', 'broad')
      assert.equal(page.total, 0)
    })

    it('publishes its ONNX part, and a replica reproduces the test', async () => {
      const view = await zoariumJson<PublishView>(a, 'publish', card(), '--weights', 'onnx')
      await eventually(b, async () => {
        const page = await clientOf(b).search({ q: view.name })
        return page.items.some(({ record, held }) => record === view.record && held)
      })
      const out = join(await colony.folder(), 'out.npy')
      const folder = (name: string) =>
        fixturePath('bioimageio', 'examples', 'models', 'unet2d_nuclei_broad', name)
      const local = await zoarium(b, 'run', view.ref, folder('test_input.npy'), '-o', out)
      assert.equal(local.code, 0, local.stderr)
      const expected = await readFile(folder('test_output.npy'))
      assert.ok(excess(await readFile(out), expected) <= 1e-3)

      const record = view.record ?? ''
      await eventually(c, async () =>
        (
          await clientOf(c)
            .route(record, 1e6)
            .catch(() => [])
        ).some(({ eligible }) => eligible),
      )
      const remote = await zoarium(
        c,
        ...['run', record, folder('test_input.npy'), '-o', out, '--on', 'nearest'],
      )
      assert.equal(remote.code, 0, remote.stderr)
      assert.ok(excess(await readFile(out), expected) <= 1e-3)
    })
  })
})

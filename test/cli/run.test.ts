import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { EXIT, ZoariumError } from '../../protocol/errors.ts'
import { zoarium } from '../helpers/cli.ts'
import { createFakeNode } from '../helpers/fake-node.ts'
import { temporaryFolder } from '../helpers/folder.ts'
import { serve } from '../helpers/http.ts'

describe('cli/commands/run', () => {
  let folder: string
  let image: string

  beforeEach(() => {
    folder = temporaryFolder()
    image = join(folder, 'cells.tif')
    writeFileSync(image, 'pixels')
  })

  it('sends the image and writes the result beside it', async () => {
    const node = createFakeNode(folder)
    const { url } = await serve(node)
    const run = await zoarium(['run', 'institute-a/nuclei', image], { ZOARIUM_URL: url })
    assert.equal(run.status, EXIT.ok, run.stderr)
    assert.equal(readFileSync(join(folder, 'cells.result.png'), 'utf8'), 'pixels')
    assert.match(run.stdout, /output +mask +y 2 x x 3 +uint8/)
    assert.match(run.stdout, /note +padded to a multiple of 8 µm/)
    const [call] = node.calls.infer
    assert.equal(call?.record, node.view.record)
    assert.equal(call?.inputs[0]?.mediaType, 'image/tiff')
    assert.deepEqual([call?.options.on, call?.options.output], ['local', null])
  })

  it('takes the format from the name of the result, and the node as asked', async () => {
    const node = createFakeNode(folder)
    const { url } = await serve(node)
    const out = join(folder, 'mask.npy')
    const argv = [
      'run',
      'institute-a/nuclei',
      image,
      '-o',
      out,
      '--on',
      'nearest',
      '--explain',
      '--json',
    ]
    const run = await zoarium(argv, { ZOARIUM_URL: url })
    const { options } = node.calls.infer[0] ?? {}
    assert.deepEqual([options?.on, options?.output], ['nearest', 'npy'])
    const json = run.json() as { out: string; route: unknown[]; timings: object; node: string }
    assert.deepEqual([json.out, json.node, json.route.length], [out, 'local', 2])
    assert.deepEqual(json.timings, { queue: 0.5, compute: 12.25 })
    assert.ok(existsSync(out))
  })

  it('explains the choice of a node to people', async () => {
    const { url } = await serve(createFakeNode(folder))
    const run = await zoarium(['run', 'institute-a/nuclei', image, '--explain'], {
      ZOARIUM_URL: url,
    })
    assert.match(
      run.stdout,
      /^NODE +PUBLISHER.*WHY NOT\nlocal .* 15 ms\n12D3KooWFakePeer .* no trust rule\n/,
    )
  })

  it('writes nothing where the run fails', async () => {
    const node = createFakeNode(folder, {
      infer: async () => {
        throw new ZoariumError('PIXELS', 'too many', { limit: 100, got: 400 })
      },
    })
    const { url } = await serve(node)
    const before = readdirSync(folder)
    const run = await zoarium(['run', 'institute-a/nuclei', image], { ZOARIUM_URL: url })
    assert.equal(run.status, EXIT.invalidInput)
    assert.match(run.stderr, /too many: 400 \(at most: 100\) \[PIXELS\]/)
    assert.deepEqual(readdirSync(folder), before)
  })

  it('says so where there is no image, or no such model', async () => {
    const { url } = await serve(createFakeNode(folder))
    const env = { ZOARIUM_URL: url }
    assert.equal((await zoarium(['run', 'a/b', '/nowhere.png'], env)).status, EXIT.invalidInput)
    assert.equal((await zoarium(['run', 'a/b', image], env)).status, EXIT.notFound)
  })
})

import assert from 'node:assert/strict'
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import type { ModelView } from '../../protocol/api.ts'
import { EXIT } from '../../protocol/errors.ts'
import { zoarium } from '../helpers/cli.ts'
import { createFakeNode, type FakeNode } from '../helpers/fake-node.ts'
import { temporaryFolder } from '../helpers/folder.ts'
import { serve } from '../helpers/http.ts'

describe('cli/commands/pull', () => {
  const honest = createFakeNode('/nowhere')
  const pull = async (overrides: Partial<FakeNode>, ...flags: string[]) => {
    const { url } = await serve({ ...honest, ...overrides })
    const env = { ZOARIUM_URL: url, ZOARIUM_TOKEN: 'operator' }
    return zoarium(['pull', 'institute-a/nuclei', ...flags], env)
  }
  /** The one model with its second file renamed, as a lying daemon might. */
  const renamed = (path: string): Partial<FakeNode> => {
    const files = honest.view.files.map((file, i) => (i === 1 ? { ...file, path } : file))
    const view: ModelView = { ...honest.view, files }
    return {
      model: () => view,
      file: (ref, at, signal) => honest.file(ref, at === path ? 'weights.onnx' : at, signal),
    }
  }

  it('has the daemon fetch, and says how much that was', async () => {
    const run = await pull({})
    assert.equal(run.status, EXIT.ok, run.stderr)
    assert.match(run.stdout, /institute-a\/nuclei@1.0.0 is here in full, 1.50 MB/)
  })

  it('writes the files to a folder, verified', async () => {
    const folder = join(temporaryFolder(), 'new')
    const run = await pull({}, '-o', folder, '--json')
    assert.equal(run.status, EXIT.ok, run.stderr)
    assert.deepEqual(readdirSync(folder).sort(), ['rdf.yaml', 'weights.onnx'])
    assert.ok(
      readFileSync(join(folder, 'weights.onnx')).equals(
        honest.files.get('weights.onnx') ?? new Uint8Array(),
      ),
    )
  })

  it('leaves no file whose bytes are wrong', async () => {
    const folder = temporaryFolder()
    const run = await pull(
      {
        file: async (ref, path, signal) => ({
          ...(await honest.file(ref, path, signal)),
          open: async ({ start = 0, end = 0 }) => Readable.from([new Uint8Array(end - start)]),
        }),
      },
      '-o',
      folder,
    )
    assert.equal(run.status, EXIT.unverified)
    assert.match(run.stderr, /CONTENT_MISMATCH/)
    assert.deepEqual(readdirSync(folder), [])
  })

  it('never writes outside the folder', async () => {
    for (const path of ['../escaped', '/tmp/zoarium-escaped', 'a/../../b', 'con', 'rdf.YAML']) {
      const folder = temporaryFolder()
      const inner = join(folder, 'inner')
      const run = await pull(renamed(path), '-o', inner)
      assert.equal(run.status, EXIT.invalidInput, path)
      assert.match(run.stderr, /PATH|NAME_CLASH/)
      assert.deepEqual(readdirSync(folder), [], path)
    }
    const [folder, outside] = [temporaryFolder(), temporaryFolder()]
    symlinkSync(outside, join(folder, 'link'))
    const run = await pull(renamed('link/weights.onnx'), '-o', folder)
    assert.match(run.stderr, /a link leads out/)
    assert.deepEqual(readdirSync(outside), [])
  })

  it('replaces no file', async () => {
    const folder = temporaryFolder()
    mkdirSync(join(folder, 'sub'))
    writeFileSync(join(folder, 'weights.onnx'), 'mine')
    const run = await pull({}, '-o', folder)
    assert.equal(run.status, EXIT.usage)
    assert.equal(readFileSync(join(folder, 'weights.onnx'), 'utf8'), 'mine')
    assert.deepEqual(readdirSync(folder).sort(), ['sub', 'weights.onnx'])
  })
})

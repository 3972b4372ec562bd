import assert from 'node:assert/strict'
import { readFileSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { prepareUpload } from '../../cli/package-upload.ts'
import { EXIT, type Issue, ZoariumError } from '../../protocol/errors.ts'
import { openZip } from '../../registry/package-source.ts'
import { zoarium } from '../helpers/cli.ts'
import { createFakeNode } from '../helpers/fake-node.ts'
import { temporaryFolder } from '../helpers/folder.ts'
import { serve } from '../helpers/http.ts'
import { writeExamplePackage, zipOf } from '../helpers/package.ts'

const PACKAGE = ['README.md', 'rdf.yaml', 'test_input.npy', 'test_output.npy', 'weights.onnx']

/** The names in what would be sent, and whether its length was told right. */
async function sentBy(path: string, weights: 'onnx'[] | null = null): Promise<string[]> {
  const upload = await prepareUpload(path, weights)
  const bytes = await buffer(upload.body)
  assert.equal(upload.size, bytes.length)
  const zip = join(temporaryFolder(), 'sent.zip')
  writeFileSync(zip, bytes)
  const source = await openZip(zip)
  assert.ok(source.ok)
  const names = source.value.files.map((file) => file.path).sort()
  await source.value.close()
  return names
}

describe('cli/commands/publish', () => {
  let folder: string

  beforeEach(() => {
    folder = temporaryFolder()
  })

  const refusedWith = (code: string) => (error: unknown) =>
    error instanceof ZoariumError && error.code === code

  it('sends the card and the files that it names, nothing else', async () => {
    await writeExamplePackage(folder, { files: { 'notes.txt': 'x', 'sub/old.onnx': 'x' } })
    assert.deepEqual(await sentBy(folder), PACKAGE)
    assert.deepEqual(await sentBy(join(folder, 'rdf.yaml')), PACKAGE)
  })

  it('leaves out what is missing or of other weights', async () => {
    await writeExamplePackage(folder, {
      files: { 'test_input.npy': null, 'weights.pt': 'x' },
      card: (card) => {
        card.weights.torchscript = {
          source: 'weights.pt',
          sha256: '0'.repeat(64),
          pytorch_version: '2.0',
        }
        card.covers = ['https://example.org/cover.png', '../outside.png']
      },
    })
    assert.deepEqual(
      await sentBy(folder, ['onnx']),
      PACKAGE.filter((name) => name !== 'test_input.npy'),
    )
  })

  it('sends a card that cannot be read for the node to explain', async () => {
    writeFileSync(join(folder, 'rdf.yaml'), 'type: [')
    writeFileSync(join(folder, 'weights.onnx'), 'x')
    assert.deepEqual(await sentBy(folder), ['rdf.yaml'])
    writeFileSync(join(folder, 'my-card.yml'), 'type: [')
    assert.deepEqual(await sentBy(join(folder, 'my-card.yml')), ['rdf.yaml'])
  })

  it('sends a zip as it is', async () => {
    const files = await writeExamplePackage(folder, { files: { 'notes.txt': 'x' } })
    const zip = join(temporaryFolder(), 'package.ZIP')
    writeFileSync(zip, await zipOf(files))
    const upload = await prepareUpload(zip, null)
    assert.ok((await buffer(upload.body)).equals(readFileSync(zip)))
  })

  it('refuses what is no package, and links that lead out of one', async () => {
    await assert.rejects(prepareUpload(join(folder, 'nothing'), null), refusedWith('NOT_A_PACKAGE'))
    await assert.rejects(prepareUpload(folder, null), refusedWith('NOT_A_PACKAGE'))
    const large = join(folder, 'large.yaml')
    writeFileSync(large, '')
    truncateSync(large, 2 * 1024 * 1024)
    await assert.rejects(prepareUpload(large, null), refusedWith('LIMIT'))

    const inner = join(folder, 'package')
    await mkdir(inner)
    await writeExamplePackage(inner, { files: { 'README.md': null } })
    writeFileSync(join(folder, 'secret'), 'x')
    symlinkSync('../secret', join(inner, 'README.md'))
    await assert.rejects(prepareUpload(inner, null), refusedWith('PATH'))
  })

  it('passes the options on and tells what was published', async () => {
    await writeExamplePackage(folder)
    const node = createFakeNode(temporaryFolder())
    const { url } = await serve(node)
    const env = { ZOARIUM_URL: url, ZOARIUM_TOKEN: 'publisher' }
    const flags = [
      '--name',
      'nuclei',
      '--version',
      '2.0.0',
      '--weights',
      'onnx',
      '--dry-run',
      '--untested',
    ]
    const run = await zoarium(['publish', folder, ...flags], env)
    assert.equal(run.status, EXIT.ok, run.stderr)
    assert.match(
      run.stdout,
      /published institute-a\/nuclei@1.0.0\n[\s\S]*tested +reproduced: worst difference 0.0000010/,
    )
    assert.deepEqual(node.calls.publish[0]?.options, {
      name: 'nuclei',
      version: '2.0.0',
      weights: ['onnx'],
      dryRun: true,
      untested: true,
      private: false,
    })
  })

  it('prints each finding of the node with its line', async () => {
    await writeExamplePackage(folder)
    const issues: readonly Issue[] = [
      {
        code: 'FILE_MISSING',
        message: 'weights.pt is missing',
        field: 'weights.torchscript.source',
        line: 40,
      },
      { code: 'FILE_REMOTE', message: 'a URL', field: 'weights.keras_hdf5.source', line: 44 },
    ]
    const node = createFakeNode(temporaryFolder(), {
      publish: async () => {
        throw new ZoariumError('FILE_MISSING', 'the package is not complete', {
          issues,
          hint: 'publish with --weights onnx',
        })
      },
    })
    const { url } = await serve(node)
    const run = await zoarium(['publish', folder], { ZOARIUM_URL: url, ZOARIUM_TOKEN: 'publisher' })
    assert.equal(run.status, EXIT.invalidInput)
    assert.match(run.stderr, /weights.torchscript.source:40 +FILE_MISSING +weights.pt is missing\n/)
    assert.match(run.stderr, /hint: publish with --weights onnx\n$/)
  })

  it('stops sending where the node refuses early', async () => {
    await writeExamplePackage(folder, { onnx: new Uint8Array(3_000_000) })
    const { url } = await serve(createFakeNode(temporaryFolder()))
    const run = await zoarium(['publish', folder], { ZOARIUM_URL: url })
    assert.equal(run.status, EXIT.refused)
    assert.match(run.stderr, /\[TOKEN\]/)
    const small = await serve(createFakeNode(temporaryFolder()), {
      limits: { maxPublishBytes: 1000 },
    })
    const env = { ZOARIUM_URL: small.url, ZOARIUM_TOKEN: 'publisher' }
    assert.match((await zoarium(['publish', folder], env)).stderr, /\[LIMIT\]/)
  })
})

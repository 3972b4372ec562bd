import assert from 'node:assert/strict'
import { symlink, writeFile } from 'node:fs/promises'
import path from 'node:path'
import type { Failure } from '../../protocol/errors.ts'
import { type Package, type PackageOptions, readPackage } from '../../registry/package.ts'
import { openSource } from '../../registry/package-source.ts'
import { fixturePath, needsFixtures } from '../helpers/fixtures.ts'
import { temporaryFolder } from '../helpers/folder.ts'
import { identityModel, makeOnnx } from '../helpers/onnx-model.ts'
import { type ExampleOptions, exampleFiles, writeFiles, zipOf } from '../helpers/package.ts'

const LFS = 'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n'

describe('registry/package', () => {
  let dir = ''
  beforeEach(() => {
    dir = temporaryFolder()
  })

  const readAt = async (where: string, options?: PackageOptions) => {
    const source = await openSource(where)
    if (!source.ok) return source
    try {
      return await readPackage(source.value, options)
    } finally {
      await source.value.close()
    }
  }
  const readExample = async (example: ExampleOptions, options?: PackageOptions) => {
    await writeFiles(dir, exampleFiles(example))
    return readAt(dir, options)
  }
  const accepted = async (example: ExampleOptions, options?: PackageOptions): Promise<Package> => {
    const result = await readExample(example, options)
    assert.ok(result.ok, JSON.stringify(result))
    return result.value
  }
  const refused = async (example: ExampleOptions, options?: PackageOptions): Promise<Failure> => {
    const result = await readExample(example, options)
    assert.ok(!result.ok)
    return result
  }
  const issuesOf = (failure: Failure) =>
    (failure.issues ?? []).map(({ code, field }) => `${code} ${field}`)

  it('lists card and files with role, type, size and hash', async () => {
    const { files, cardPath, card } = await accepted({})
    assert.equal(cardPath, 'rdf.yaml')
    assert.deepEqual(
      files.map(({ path, role, mediaType }) => [path, role, mediaType]),
      [
        ['README.md', 'documentation', 'text/markdown'],
        ['rdf.yaml', 'card', 'application/yaml'],
        ['test_input.npy', 'test-input', 'application/octet-stream'],
        ['test_output.npy', 'test-output', 'application/octet-stream'],
        ['weights.onnx', 'weights', 'application/octet-stream'],
      ],
    )
    assert.ok(files.every(({ sha256 }) => /^[0-9a-f]{64}$/.test(sha256)))
    assert.equal(files[1]?.size, card.length)
  })

  it('reads the same from a folder, a card in it and a zip, with or without a top folder', async () => {
    const files = exampleFiles()
    const folder = await accepted({})
    const zip = path.join(dir, 'a.zip')
    await writeFile(zip, await zipOf(files))
    const wrapped = path.join(dir, 'b.zip')
    await writeFile(
      wrapped,
      await zipOf(new Map([...files].map(([name, content]) => [`top/${name}`, content]))),
    )
    for (const where of [path.join(dir, 'rdf.yaml'), zip, wrapped]) {
      const result = await readAt(where)
      assert.ok(result.ok, JSON.stringify(result))
      assert.deepEqual(result.value.files, folder.files)
    }
  })

  it('leaves out files that the card does not name', async () => {
    const { files } = await accepted({
      files: { 'notes.txt': 'x', '.git/config': 'x', 'a\\b': 'x' },
    })
    assert.equal(files.length, 5)
  })

  it('names every problem at once', async () => {
    const failure = await refused({
      card: (card) => {
        card.covers = ['cover.png']
        card.attachments = [{ source: 'https://example.com/a.txt' }, { source: '../b.txt' }]
        card.inputs[0].test_tensor.sha256 = '00'.repeat(32)
      },
      files: { 'weights.onnx': LFS },
    })
    assert.deepEqual(issuesOf(failure).sort(), [
      'FILE_HASH inputs[0].test_tensor.source',
      'FILE_HASH weights.onnx.source',
      'FILE_MISSING covers[0]',
      'FILE_REMOTE attachments[0].source',
      'PATH attachments[1].source',
      'WEIGHTS_CONTENT weights.onnx.source',
    ])
    assert.equal(failure.code, 'PATH')
    assert.ok(failure.issues?.every((issue) => (issue.line ?? 0) > 0))
  })

  it('says what hash a file has and should have', async () => {
    const failure = await refused({ files: { 'test_output.npy': 'x' } })
    assert.equal(failure.code, 'FILE_HASH')
    assert.match(String(failure.limit), /^[0-9a-f]{64}$/)
    assert.match(String(failure.got), /^2d711642b726b044/)
  })

  describe('weight formats', () => {
    const torch = (card: { weights: Record<string, unknown> }) => {
      card.weights.pytorch_state_dict = {
        source: 'weights.pt',
        pytorch_version: '2.5',
        architecture: { callable: 'Net', source: 'net.py' },
        dependencies: { source: 'environment.yaml' },
      }
    }

    it('are a way out where one of them is complete', async () => {
      const failure = await refused({ card: torch })
      assert.equal(failure.code, 'FILE_MISSING')
      assert.equal(failure.issues?.length, 3)
      assert.match(failure.hint ?? '', /--weights onnx\b/)
      const { files } = await accepted({ card: torch }, { weights: ['onnx'] })
      assert.equal(files.length, 5)
    })

    it('are no way out where a file that all need is missing', async () => {
      const failure = await refused({ card: torch, files: { 'README.md': null } })
      assert.equal(failure.hint, undefined)
    })

    it('must be in the card', async () => {
      assert.equal((await refused({}, { weights: ['torchscript'] })).code, 'WEIGHTS')
      assert.equal((await refused({}, { weights: [] })).code, 'WEIGHTS')
    })

    it('may be pickles, which are kept and never run', async () => {
      const pickle = Uint8Array.from([0x80, 2, 0x2e])
      const files = {
        'weights.pt': pickle,
        'net.py': 'class Net: pass',
        'environment.yaml': 'name: x',
      }
      assert.equal((await accepted({ card: torch, files })).files.length, 8)
    })
  })

  it('refuses weights that are not what they should be', async () => {
    const noHash = (card: { weights: { onnx: { sha256?: string } } }) =>
      void delete card.weights.onnx.sha256
    const codeOf = async (onnx: string | Uint8Array) =>
      (await refused({ card: noHash, files: { 'weights.onnx': onnx } })).code
    const whole = identityModel()
    assert.equal(await codeOf(LFS), 'WEIGHTS_CONTENT')
    assert.equal(await codeOf('<html>404 Not Found</html>'), 'WEIGHTS_CONTENT')
    assert.equal(await codeOf(Uint8Array.from([0x80, 2, 0x2e])), 'WEIGHTS_CONTENT')
    assert.equal(await codeOf(''), 'WEIGHTS_CONTENT')
    assert.equal(await codeOf(whole.subarray(0, whole.length - 10)), 'MODEL_PARSE')
    const parts = { nodes: [{ op: 'Relu', inputs: ['x'], outputs: ['y'], domain: 'com.evil' }] }
    assert.equal(await codeOf(makeOnnx(parts)), 'MODEL_UNSUPPORTED')
  })

  it('allows external data that the card names in the same folder', async () => {
    const onnx = makeOnnx({
      nodes: [{ op: 'Add', inputs: ['x', 'w'], outputs: ['y'] }],
      constants: [{ name: 'w', shape: [1], external: { location: 'weights.onnx.data' } }],
    })
    const named = (card: { weights: { onnx: Record<string, unknown> } }) => {
      card.weights.onnx.external_data = { source: 'weights.onnx.data' }
    }
    const files = { 'weights.onnx.data': new Uint8Array(4) }
    assert.equal((await accepted({ onnx, card: named, files })).files.length, 6)
    assert.equal((await refused({ onnx, files })).code, 'EXTERNAL_DATA')
  })

  it('refuses names that clash on some file systems', async () => {
    const failure = await refused({
      card: (card) => {
        card.covers = ['Cover.png', 'cover.png']
      },
      files: { 'Cover.png': 'a', 'cover.png': 'b' },
    })
    assert.equal(failure.code, 'NAME_CLASH')
  })

  it('hints at a name in other case', async () => {
    const failure = await refused({ files: { 'README.md': null, 'readme.md': 'x' } })
    assert.match(failure.hint ?? '', /readme\.md/)
  })

  it('refuses links', async () => {
    const outside = path.join(temporaryFolder(), 'secret')
    await writeFile(outside, 'secret')
    await symlink(outside, path.join(dir, 'README.md'))
    const failure = await refused({ files: { 'README.md': null } })
    assert.deepEqual(issuesOf(failure), ['PATH documentation'])
  })

  it('finds the card, or says what to do', async () => {
    const files = exampleFiles()
    const card = files.get('rdf.yaml') ?? new Uint8Array()
    files.delete('rdf.yaml')
    await writeFiles(dir, files)
    const none = await readAt(dir)
    assert.ok(!none.ok && none.code === 'NOT_A_PACKAGE')
    await writeFiles(dir, new Map([['a.rdf.yaml', card]]))
    assert.ok((await readAt(dir)).ok)
    await writeFiles(dir, new Map([['b.bioimageio.yaml', card]]))
    const several = await readAt(dir)
    assert.ok(
      !several.ok && several.code === 'NOT_A_PACKAGE' && several.hint?.includes('a.rdf.yaml'),
    )
    assert.ok((await readAt(path.join(dir, 'b.bioimageio.yaml'))).ok)
    assert.ok((await readAt(dir, { rdf: 'a.rdf.yaml' })).ok)
    assert.ok((await readAt(dir, { rdf: 'rdf.yaml' })).ok === false)
    await writeFiles(dir, new Map([['bioimageio.yaml', card]]))
    assert.ok((await readAt(dir)).ok)
  })

  describe('a real U-Net', () => {
    needsFixtures()
    const folder = () => fixturePath('bioimageio/examples/models/unet2d_nuclei_broad')

    it('is refused as it lies there, each missing file by name, with the way out', async () => {
      const result = await readAt(path.join(folder(), 'bioimageio.yaml'))
      assert.ok(!result.ok)
      assert.deepEqual(issuesOf(result), [
        'FILE_MISSING weights.torchscript.source',
        'FILE_MISSING weights.pytorch_state_dict.architecture.source',
        'FILE_REMOTE weights.pytorch_state_dict.source',
      ])
      assert.match(result.hint ?? '', /--weights onnx/)
    })

    it('is accepted with its ONNX weights', async () => {
      const result = await readAt(folder(), { weights: ['onnx'] })
      assert.ok(result.ok)
      assert.deepEqual(
        result.value.files.map((file) => file.path),
        [
          'README.md',
          'bioimageio.yaml',
          'cover0.png',
          'test_input.npy',
          'test_input.png',
          'test_output.npy',
          'test_output.png',
          'weights.onnx',
        ],
      )
    })
  })
})

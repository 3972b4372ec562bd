/** What a clumsy or a hostile user sends to a real daemon, and what each is told. */
import assert from 'node:assert/strict'
import { readdir, readFile, symlink, watch, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { crc32, deflateSync } from 'node:zlib'
import { encode } from 'fast-png'
import { ZipFile } from 'yazl'
import type { NodeProcess } from '../../cli/colony.ts'
import type { ErrorBody, PublishView } from '../../protocol/api.ts'
import type { Code } from '../../protocol/errors.ts'
import { identityModel } from '../helpers/onnx-model.ts'
import {
  type ExampleOptions,
  exampleFiles,
  npy,
  writeExamplePackage,
  zipOf,
} from '../helpers/package.ts'
import { Colony, clientOf, zoariumJson } from './colony.ts'
import { keptBy, refused, unchanged } from './kept.ts'

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)

/** A deep YAML bomb: six lines of aliases that stand for 10^6 values. */
const BOMB = ['a', 'b', 'c', 'd', 'e', 'f']
  .map((name, i, all) => {
    const values = i === 0 ? Array(10).fill('lol') : Array(10).fill(`*${all[i - 1]}`)
    return `${name}: &${name} [${values.join(', ')}]`
  })
  .join('\n')

/** The same archive with another name of equal length in both of its headers. */
function renamed(zip: Uint8Array, from: string, to: string): Uint8Array {
  assert.equal(Buffer.byteLength(to), Buffer.byteLength(from))
  const text = Buffer.from(zip).toString('latin1')
  return Buffer.from(text.replaceAll(from, Buffer.from(to).toString('latin1')), 'latin1')
}

describe('e2e/wrong-input', () => {
  const colony = new Colony()
  let node: NodeProcess

  before(async () => {
    node = await colony.node('Institute')
  })
  after(() => colony.stop())

  /** A package in a folder of its own. @returns the folder */
  async function packageWith(options: ExampleOptions): Promise<string> {
    const folder = await colony.folder()
    await writeExamplePackage(folder, options)
    return folder
  }

  /** A zip in a folder of its own. @returns its path */
  async function zipWith(bytes: Uint8Array): Promise<string> {
    const path = join(await colony.folder(), 'package.zip')
    await writeFile(path, bytes)
    return path
  }

  const withWeights = (onnx: Uint8Array) => () => packageWith({ onnx })
  const withCard = (card: string) => () => packageWith({ files: { 'rdf.yaml': card } })
  const withEntry = (from: string, to: string) => async () =>
    zipWith(renamed(await zipOf(exampleFiles({ files: { [from]: 'x' } })), from, to))

  /** What -> how it is made, the code, and what its message must name. */
  const PACKAGES: Readonly<
    Record<string, readonly [make: () => Promise<string>, code: Code, names: RegExp]>
  > = {
    'nothing at all': [async () => join(await colony.folder(), 'no'), 'NOT_A_PACKAGE', /no/],
    'an empty folder': [() => colony.folder(), 'NOT_A_PACKAGE', /rdf\.yaml/],
    'a folder without a card': [
      () => packageWith({ files: { 'rdf.yaml': null } }),
      'NOT_A_PACKAGE',
      /rdf\.yaml/,
    ],
    'text called a zip': [() => zipWith(utf8('hello, world')), 'ZIP', /zip/],
    'half a zip': [
      async () => zipWith((await zipOf(exampleFiles())).subarray(0, 1500)),
      'ZIP',
      /zip/,
    ],
    'an empty zip': [async () => zipWith(await zipOf(new Map())), 'NOT_A_PACKAGE', /rdf\.yaml/],
    'a card that is no YAML': [withCard('name: [unclosed'), 'YAML', /line 1/],
    'a card that is a list': [withCard('- a\n- b\n'), 'NOT_A_PACKAGE', /map of fields/],
    'a card of bytes': [
      () => packageWith({ files: { 'rdf.yaml': Buffer.from('name: \xff\xfe', 'latin1') } }),
      'UTF8',
      /./,
    ],
    'a YAML bomb': [withCard(`${BOMB}\n`), 'YAML_ALIAS', /alias/],
    'a YAML alias': [withCard('a: &x 1\nb: *x\n'), 'YAML_ALIAS', /alias/],
    'a card nested without end': [withCard(`a: ${'['.repeat(50_000)}`), 'DEPTH', /./],
    'a card of 2 MiB': [withCard(`# ${'x'.repeat(2 ** 21)}\n`), 'LIMIT', /1048576/],
    'a card of another format': [
      () => packageWith({ card: (card) => (card.format_version = '0.3.6') }),
      'FORMAT_VERSION',
      /0\.3\.6/,
    ],
    'a card of a dataset': [
      () => packageWith({ card: (card) => (card.type = 'dataset') }),
      'NOT_A_PACKAGE',
      /dataset/,
    ],
    'a missing file': [
      () => packageWith({ files: { 'test_input.npy': null } }),
      'FILE_MISSING',
      /inputs\[0\]\.test_tensor.*\d+.*test_input\.npy/,
    ],
    'a remote file': [
      () =>
        packageWith({
          card: (card) => (card.weights.onnx.source = 'https://example.org/w.onnx'),
        }),
      'FILE_REMOTE',
      /weights\.onnx/,
    ],
    'a wrong sha256': [
      () => packageWith({ card: (card) => (card.weights.onnx.sha256 = '0'.repeat(64)) }),
      'FILE_HASH',
      /weights\.onnx/,
    ],
    'a sha256 that is none': [
      () => packageWith({ card: (card) => (card.weights.onnx.sha256 = 'abc') }),
      'CARD_INVALID',
      /sha256/,
    ],
    'a card that names a file above': [
      () => packageWith({ card: (card) => (card.weights.onnx.source = '../../etc/passwd') }),
      'PATH',
      /\.\./,
    ],
    'a name above the archive': [withEntry('aaaaaaa.txt', '../evil.txt'), 'PATH', /evil/],
    'a name from the root': [withEntry('aaaaaaa.txt', '/tmp/evil.x'), 'PATH', /evil/],
    'a name with a backslash': [
      withEntry('aaaaaaa.txt', '..\\evil.txt'.slice(0, 11)),
      'PATH',
      /evil/,
    ],
    'a name of a drive': [withEntry('aaaaaaa.txt', 'C:\\evil.txt'.slice(0, 11)), 'PATH', /C:/],
    'a name of a device': [withEntry('aaa', 'CON'), 'PATH', /CON/],
    'a name with NUL': [withEntry('aaaaaaa.txt', 'evil\0.png.x'), 'PATH', /evil/],
    'names that differ in case': [
      async () => zipWith(await zipOf(exampleFiles({ files: { 'readme.md': 'x' } }))),
      'NAME_CLASH',
      /readme\.md/i,
    ],
    'names that differ in normal form': [
      async () =>
        zipWith(
          await zipOf(exampleFiles({ files: { 'caf\u00e9.txt': 'x', 'cafe\u0301.txt': 'y' } })),
        ),
      'NFC',
      /caf/,
    ],
    'a link in the archive': [
      async () => {
        const zip = new ZipFile()
        for (const [name, bytes] of exampleFiles()) zip.addBuffer(Buffer.from(bytes), name)
        zip.addBuffer(Buffer.from('/etc/passwd'), 'link', { mode: 0o120777 })
        zip.end()
        return zipWith(await buffer(zip.outputStream))
      },
      'PATH',
      /link/,
    ],
    'a link out of the folder': [
      async () => {
        const folder = await packageWith({ files: { 'README.md': null } })
        await symlink('/etc/hostname', join(folder, 'README.md'))
        return folder
      },
      'PATH',
      /README\.md/,
    ],
    'a git-lfs pointer': [
      withWeights(
        utf8(
          `version https://git-lfs.github.com/spec/v1\noid sha256:${'a'.repeat(64)}\nsize 12345\n`,
        ),
      ),
      'WEIGHTS_CONTENT',
      /git-lfs pointer.*git lfs pull/s,
    ],
    'a web page': [withWeights(utf8('<html>404 Not Found</html>')), 'WEIGHTS_CONTENT', /web page/],
    'a truncated ONNX': [withWeights(identityModel().subarray(0, 40)), 'MODEL_PARSE', /cut short/],
    'an empty ONNX': [withWeights(new Uint8Array()), 'WEIGHTS_CONTENT', /empty/],
    'a pickle': [
      withWeights(Uint8Array.from([0x80, 2, 0x7d, 0x71, 0, 0x2e])),
      'WEIGHTS_CONTENT',
      /executes code/,
    ],
    'a model that fails its own test': [
      () => packageWith({ compute: (x) => x + 1 }),
      'TEST_FAILED',
      /--untested/,
    ],
  }

  describe('a package', () => {
    for (const [what, [make, code, names]] of Object.entries(PACKAGES)) {
      it(`refuses ${what}: ${code}`, async () => {
        const path = await make()
        const error = await unchanged(node, () => refused(node, 'publish', path))
        assert.equal(error.code, code, error.stderr)
        assert.match(error.stderr, names)
      })
    }

    it('lists every finding at once', async () => {
      const folder = await packageWith({
        files: { 'README.md': null, 'test_input.npy': null },
        card: (card) => (card.weights.onnx.sha256 = '0'.repeat(64)),
      })
      const error = await refused(node, 'publish', folder)
      assert.equal(error.issues?.length, 3, error.stderr)
    })

    it('publishes the good one after all of these', async () => {
      const view = await zoariumJson<PublishView>(node, 'publish', await packageWith({}))
      assert.equal(view.tested, 'reproduced')
      const { files, logs } = await keptBy(node)
      // Input and output of its test are the same bytes, and so one blob.
      assert.equal(files.length, view.files.length - 1)
      assert.ok(logs.every(({ state }) => state === 'OK'))
    })
  })

  describe('an upload', () => {
    const post = (init: RequestInit, query = '') =>
      fetch(new URL(`/v1/publish${query}`, node.url), { method: 'POST', ...init })
    const token = async () =>
      `Bearer ${(await readFile(join(node.folder, 'token'), 'utf8')).trim()}`
    const codeOf = async (answer: Response) => ((await answer.json()) as ErrorBody).error.code

    it('is refused without the token, as text, compressed, or with a wrong parameter', async () => {
      const body = await zipOf(exampleFiles())
      const zip = { 'Content-Type': 'application/zip' }
      const own = { ...zip, Authorization: await token() }
      const cases = [
        [{ headers: zip, body }, '', 'TOKEN'],
        [{ headers: { ...own, 'Content-Type': 'text/plain' }, body }, '', 'MEDIA_TYPE'],
        [{ headers: { ...own, 'Content-Encoding': 'gzip' }, body }, '', 'MEDIA_TYPE'],
        [{ headers: own, body: new Uint8Array() }, '', 'ZIP'],
        [{ headers: own, body }, '?weights=keras', 'PARAMETER'],
        [{ headers: own, body }, '?name=..%2Fx', 'NAME'],
        [{ headers: own, body }, '?version=1%20%2F2', 'NAME'],
        [{ headers: own, body }, '?weights=torchscript', 'WEIGHTS'],
      ] as const
      await unchanged(node, async () => {
        for (const [init, query, code] of cases) {
          assert.equal(await codeOf(await post(init as RequestInit, query)), code, query)
        }
      })
    })

    it('leaves nothing where the client goes away in the middle', async () => {
      const spool = join(node.folder, 'spool')
      const uploads = async () =>
        (await readdir(spool)).filter((name) => name.startsWith('upload-')).length
      const authorization = await token()
      await unchanged(node, async () => {
        const changes = watch(spool, { signal: AbortSignal.timeout(10_000) })
        const headers = {
          'Content-Type': 'application/zip',
          'Content-Length': 1_000_000,
          Authorization: authorization,
        }
        const sending = request(new URL('/v1/publish', node.url), { method: 'POST', headers })
        sending.once('error', () => {})
        sending.write(new Uint8Array(100_000))
        for await (const _ of changes) {
          if ((await uploads()) === 0) break
          sending.destroy()
        }
      })
    })
  })

  describe('an image', () => {
    let ref: string
    before(async () => {
      const folder = await packageWith({ name: 'Second model' })
      ref = (await zoariumJson<PublishView>(node, 'publish', folder)).ref
    })

    const float = (...shape: number[]): Uint8Array =>
      npy('<f4', shape, new Float32Array(shape.reduce((n, d) => n * d, 1)))
    const short = (type: string, shape: readonly number[]): Uint8Array =>
      npy(type, shape, new Uint8Array(8))

    /** What -> name of the file, its bytes, the code, and what its message must name. */
    const IMAGES: Readonly<
      Record<string, readonly [name: string, bytes: () => Uint8Array, code: Code, names: RegExp]>
    > = {
      'no bytes': ['a.npy', () => new Uint8Array(), 'INPUT_EMPTY', /body/],
      text: ['a.png', () => utf8('hello'), 'FORMAT', /PNG.*TIFF.*npy/],
      'a JPEG': ['a.png', () => Uint8Array.of(0xff, 0xd8, 0xff, 0xe0), 'FORMAT', /JPEG/],
      'an array of rank 6': ['a.npy', () => float(2, 2, 1, 1, 16, 16), 'INPUT', /raw.*batch/],
      'an array of rank 1': ['a.npy', () => float(16), 'INPUT', /raw.*batch/],
      'three channels for one': ['a.npy', () => float(1, 3, 16, 16), 'INPUT', /raw\.channel.*3/],
      'colours for gray': [
        'a.png',
        () => encode({ width: 2, height: 1, channels: 3, data: Uint8Array.of(1, 2, 3, 4, 5, 6) }),
        'INPUT',
        /gray/,
      ],
      'an array without elements': ['a.npy', () => float(1, 1, 0, 16), 'INPUT_EMPTY', /shape/],
      'complex numbers': ['a.npy', () => short('<c8', [1, 1, 1, 1]), 'FORMAT', /c8/],
      'text for numbers': ['a.npy', () => short('<U2', [1]), 'FORMAT', /U2/],
      'Python objects': ['a.npy', () => short('|O', [1]), 'FORMAT', /O/],
      'an array shorter than its shape': [
        'a.npy',
        () => short('<f4', [1, 1, 16, 16]),
        'INPUT_LENGTH',
        /1024/,
      ],
      'an array of 10^10 elements': [
        'a.npy',
        () => short('<f4', [1, 1, 100_000, 100_000]),
        'INPUT_LENGTH',
        /40000000000/,
      ],
      'an array of 2^128 elements': [
        'a.npy',
        () => short('<f4', [2 ** 32, 2 ** 32, 2 ** 32, 2 ** 32]),
        'INPUT',
        /shape.*4294967296/,
      ],
      'half a PNG': ['a.png', () => pngOf(64, 64, 8).subarray(0, 50), 'IMAGE', /PNG/],
      'a PNG with a flipped bit': [
        'a.png',
        () => {
          const bytes = pngOf(64, 64, 8)
          bytes[20] = (bytes[20] ?? 0) ^ 1
          return bytes
        },
        'IMAGE',
        /IHDR/,
      ],
      'a small PNG that says 20,000 x 20,000': [
        'a.png',
        () => pngOf(20_000, 20_000, 8, 8),
        'PIXELS',
        /400000000.*100000000/,
      ],
      'a PNG bomb of 20,000 x 20,000': [
        'a.png',
        () => pngOf(20_000, 20_000, 1),
        'PIXELS',
        /400000000.*100000000/,
      ],
      'a PNG with less than it says': ['a.png', () => pngOf(64, 64, 8, 8), 'IMAGE', /less/],
      'a TIFF of 100,000 x 100,000': ['a.tif', () => tiffOf(100_000), 'PIXELS', /100000000/],
      'half a TIFF': ['a.tif', () => tiffOf(64).subarray(0, 40), 'IMAGE', /TIFF/],
    }

    for (const [what, [name, bytes, code, names]] of Object.entries(IMAGES)) {
      it(`refuses ${what}: ${code}`, async () => {
        const folder = await colony.folder()
        const image = join(folder, name)
        const out = join(folder, 'out.npy')
        await writeFile(image, bytes())
        await writeFile(out, 'what was there')
        const error = await unchanged(node, () => refused(node, 'run', ref, image, '-o', out))
        assert.equal(error.code, code, error.stderr)
        assert.match(error.stderr, names)
        assert.deepEqual((await readdir(folder)).sort(), [name, 'out.npy'].sort())
        assert.equal(await readFile(out, 'utf8'), 'what was there')
      })
    }

    it('refuses an input that the model does not have, and two for one', async () => {
      const { record } = await clientOf(node).resolve(ref)
      const send = async (...names: string[]): Promise<string> => {
        const body = new FormData()
        for (const name of names) body.append(name, new Blob([float(1, 1, 8, 8)]), `${name}.npy`)
        const url = new URL(`/v1/records/${record}/infer`, node.url)
        return JSON.stringify(await (await fetch(url, { method: 'POST', body })).json())
      }
      assert.match(await send('other'), /"INPUT".*raw/)
      assert.match(await send('raw', 'raw'), /"INPUT"/)
    })

    it('runs a good one after all of these', async () => {
      const folder = await colony.folder()
      const [image, out] = [join(folder, 'a.npy'), join(folder, 'b.npy')]
      await writeFile(image, float(1, 1, 16, 16))
      await zoariumJson(node, 'run', ref, image, '-o', out)
      assert.deepEqual(new Uint8Array(await readFile(out)), float(1, 1, 16, 16))
    })
  })
})

/** A gray PNG; `rows` is how many of its rows it really has. */
function pngOf(width: number, height: number, depth: 1 | 8, rows = height): Uint8Array {
  const header = Buffer.alloc(13)
  header.writeUInt32BE(width, 0)
  header.writeUInt32BE(height, 4)
  header[8] = depth
  const pixels = new Uint8Array(rows * (1 + Math.ceil((width * depth) / 8)))
  const chunk = (type: string, content: Uint8Array): Buffer => {
    const head = Buffer.alloc(8)
    head.writeUInt32BE(content.length)
    head.write(type, 4, 'latin1')
    const sum = Buffer.alloc(4)
    sum.writeUInt32BE(crc32(content, crc32(head.subarray(4))))
    return Buffer.concat([head, content, sum])
  }
  return Buffer.concat([
    Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a),
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(pixels, { level: 1 })),
    chunk('IEND', new Uint8Array()),
  ])
}

/** A gray TIFF that says `side` x `side` and has 8 bytes of pixels. */
function tiffOf(side: number): Uint8Array {
  const tags = [
    [256, side],
    [257, side],
    [258, 8],
    [259, 1],
    [262, 1],
    [273, 200],
    [277, 1],
    [278, side],
    [279, 8],
  ] as const
  const bytes = Buffer.alloc(208)
  bytes.write('II*\0', 'latin1')
  bytes.writeUInt32LE(8, 4)
  bytes.writeUInt16LE(tags.length, 8)
  for (const [i, [tag, value]] of tags.entries()) {
    const at = 10 + 12 * i
    bytes.writeUInt16LE(tag, at)
    bytes.writeUInt16LE(4, at + 2)
    bytes.writeUInt32LE(1, at + 4)
    bytes.writeUInt32LE(value, at + 8)
  }
  return bytes
}

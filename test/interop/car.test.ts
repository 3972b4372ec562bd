/**
 * CAR files of models, read by the programs of others: the libraries of Helia, installed into a
 * folder of their own, and Kubo where it is on this machine (`ipfs` on the PATH or in ZOARIUM_IPFS).
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { createReadStream, readFileSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { type NodeProcess, projectPath } from '../../cli/colony.ts'
import type { ModelView, PublishView } from '../../protocol/api.ts'
import { Colony, clientOf, zoariumJson } from '../e2e/colony.ts'

/** Releases that were tried; each brings what it depends on. */
const LIBRARIES = ['@ipld/car@5.4.7', 'ipfs-unixfs-exporter@16.2.2', 'multiformats@14.0.5']
/** The file of a model that has an inner node, and so several leaves. */
const LARGE = 'large.bin'

/** What is used of the libraries. */
interface CarModule {
  readonly CarReader: {
    fromIterable(bytes: AsyncIterable<Uint8Array>): Promise<{
      getRoots(): Promise<readonly { toString(): string }[]>
      get(cid: unknown): Promise<{ readonly bytes: Uint8Array } | undefined>
    }>
  }
}
interface ExporterModule {
  exporter(path: string, blocks: object): Promise<{ content(): AsyncIterable<Uint8Array> }>
}

describe('interop: CAR files of models', () => {
  const colony = new Colony()
  after(() => colony.stop())
  let node: NodeProcess
  let model: ModelView
  let file: string
  let source: string

  before(async () => {
    node = await colony.node('Institute')
    source = await colony.folder()
    const example = projectPath('docs', 'examples', 'nuclei-unet')
    const copied = spawnSync('cp', ['-r', `${example}/.`, source])
    assert.equal(copied.status, 0)
    const card = readFileSync(join(source, 'rdf.yaml'), 'utf8')
    await writeFile(
      join(source, 'rdf.yaml'),
      `${card.trimEnd()}\nattachments:\n  - source: ${LARGE}\n`,
    )
    const bytes = new Uint8Array(5_000_000).map((_, n) => (n * n) >>> 7)
    await writeFile(join(source, LARGE), bytes)
    const { record } = await zoariumJson<PublishView>(node, 'publish', source, '--untested')
    const view = await clientOf(node).record(record ?? assert.fail())
    model = 'files' in view ? view : assert.fail()
    file = join(await colony.folder(), 'model.car')
    await zoariumJson(node, 'export', model.ref, '-o', file)
  })

  it('bring a model to a node that has no network to this one', async () => {
    const other = await colony.node('Other')
    await zoariumJson(other, 'peers')
    const refused = await clientOf(other)
      .record(model.record)
      .catch((error) => error.code)
    assert.equal(refused, 'NOT_FOUND')
    await zoariumJson(other, 'trust', 'add', node.publisher, 'mirror')
    const made = await zoariumJson<{ models: { ref: string }[] }>(other, 'import', file)
    const ref = made.models[0]?.ref ?? assert.fail()
    await zoariumJson(other, 'verify', ref)
  })

  it('are read by the libraries of Helia', async function () {
    const folder = await colony.folder()
    await writeFile(join(folder, 'package.json'), '{"type":"module","private":true}')
    const npm = ['install', '--no-audit', '--no-fund', '--ignore-scripts', ...LIBRARIES]
    const installed = spawnSync('npm', npm, { cwd: folder, encoding: 'utf8' })
    if (installed.status !== 0) {
      console.log(`      skipped: npm cannot install ${LIBRARIES.join(', ')}`)
      this.skip()
    }
    await writeFile(
      join(folder, 'index.js'),
      "export * from '@ipld/car'\nexport * from 'ipfs-unixfs-exporter'\n",
    )
    const theirs: CarModule & ExporterModule = await import(
      pathToFileURL(join(folder, 'index.js')).href
    )
    const car = await theirs.CarReader.fromIterable(createReadStream(file))
    assert.equal(String((await car.getRoots())[0]), model.root)
    const blocks = {
      async *get(cid: unknown) {
        yield (await car.get(cid))?.bytes ?? assert.fail(String(cid))
      },
    }
    for (const { path } of model.files) {
      const entry = await theirs.exporter(`${model.root}/${path}`, blocks)
      const parts: Uint8Array[] = []
      for await (const part of entry.content()) parts.push(part)
      assert.deepEqual(Buffer.concat(parts), readFileSync(join(source, path)), path)
    }
  })

  it('are read by Kubo', async function () {
    const ipfs = process.env.ZOARIUM_IPFS ?? 'ipfs'
    const repository = await colony.folder()
    await mkdir(repository, { recursive: true })
    const run = (...args: string[]) =>
      spawnSync(ipfs, args, {
        env: { ...process.env, IPFS_PATH: repository },
        maxBuffer: 1e9,
      })
    if (run('init', '--empty-repo').status !== 0) {
      console.log('      skipped: no ipfs on the PATH or in ZOARIUM_IPFS')
      this.skip()
    }
    const imported = run('--offline', 'dag', 'import', file)
    assert.equal(imported.status, 0, String(imported.stderr))
    assert.match(String(imported.stdout), new RegExp(`Pinned root\\s+${model.root}\\s+success`))
    for (const { path } of model.files) {
      const read = run('--offline', 'cat', `/ipfs/${model.root}/${path}`)
      assert.equal(read.status, 0, String(read.stderr))
      assert.deepEqual(read.stdout, readFileSync(join(source, path)), path)
    }
  })
})

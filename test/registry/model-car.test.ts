import assert from 'node:assert/strict'
import { concat } from '../../protocol/bytes.ts'
import { carBlock, carHeader } from '../../protocol/car.ts'
import { CarReader } from '../../protocol/car-stream.ts'
import { type Cid, cidOf } from '../../protocol/cid.ts'
import { expectOk, ZoariumError } from '../../protocol/errors.ts'
import { LEAF_BYTES } from '../../protocol/limits.ts'
import { readManifest, writeManifest } from '../../protocol/models-car.ts'
import { createFolders, dataFolder } from '../../registry/data-folder.ts'
import { FileBlobs } from '../../registry/file-blobs.ts'
import { exportModels } from '../../registry/model-export.ts'
import { importModels } from '../../registry/model-import.ts'
import type { Registry } from '../../registry/registry.ts'
import { temporaryFolder } from '../helpers/folder.ts'
import { type TestModel, TestPublisher, utf8 } from '../helpers/publisher.ts'
import { keepFiles } from '../helpers/registry.ts'
import { admit, introduce, testRegistry } from '../helpers/test-registry.ts'
import { inChunks, readAll, someBytes } from '../suites/blob-store.ts'

describe('registry/model-export and model-import', () => {
  let here: Registry
  let there: Registry
  let embl: TestPublisher
  let large: TestModel
  let small: TestModel

  const onDisk = (): FileBlobs => {
    const folder = dataFolder(temporaryFolder())
    createFolders(folder)
    return new FileBlobs(folder)
  }
  const rowOf = ({ signed }: TestModel) => here.catalogue.model(signed.id) ?? assert.fail()
  const fileOf = (...models: TestModel[]): Promise<Uint8Array> =>
    readAll(exportModels(here, models.map(rowOf)))
  const take = (bytes: Uint8Array) => importModels(there, inChunks(bytes, 70_001))
  /** Of what is there nothing is new, and no file lies about. */
  const hasNothing = (): void => {
    assert.deepEqual([there.catalogue.logs(embl.publisher).length, there.blobs.held.count], [0, 0])
  }

  beforeEach(async () => {
    ;({ registry: here } = await testRegistry('here'))
    ;({ registry: there } = await testRegistry('there', { blobs: onDisk() }))
    embl = new TestPublisher('embl')
    embl.letErase()
    for (const registry of [here, there]) introduce(registry, embl, 'mirror')
    // Two leaves are equal, and one file is the card of another model.
    const leaf = someBytes(LEAF_BYTES, 5)
    const weights = concat([leaf, someBytes(LEAF_BYTES, 6), leaf, utf8('end')])
    large = embl.model({
      name: 'large',
      weights,
      tests: new Map([['empty.npy', new Uint8Array(0)]]),
    })
    small = embl.model({ name: 'small', weights: large.card })
    for (const model of [large, small]) {
      admit(here, model)
      await keepFiles(here, model)
    }
    expectOk(here.admitRecord(embl.tag('large', 'stable', large.signed.id).envelope, null))
  })

  it('carries models with all that proves them', async () => {
    const file = await fileOf(large, small)
    const made = await take(file)
    assert.deepEqual(made.models, [large.signed.id, small.signed.id])
    assert.equal(made.records, 3)
    for (const model of [large, small]) {
      assert.deepEqual(there.holding(model.signed.id), { complete: true, missing: [] })
      const row = there.catalogue.model(model.signed.id) ?? assert.fail()
      assert.deepEqual(row.description, rowOf(model).description)
      for (const { cid, path } of row.files) {
        assert.deepEqual(await readAll(await there.blobs.open(cid)), model.files.get(path))
      }
    }
    assert.equal(expectOk(there.resolve(`${embl.publisher}/large@stable`)).record, large.signed.id)
    assert.deepEqual(await take(file), { ...made, records: 0, files: 0, bytes: 0 })
    // What was taken in goes on from there, and is the same file.
    assert.deepEqual(await readAll(exportModels(there, [rowOf(large), rowOf(small)])), file)
  })

  it('has the folders of the models as its first roots, each block once', async () => {
    const reader = new CarReader(inChunks(await fileOf(large, small), 999))
    const roots = expectOk(await reader.roots())
    assert.deepEqual(roots.slice(0, 2), [rowOf(large).root, rowOf(small).root])
    const cids = new Set<Cid>()
    for (let n = 0; ; n++) {
      const block = expectOk(await reader.block())
      if (block === null) break
      cids.add(block.cid)
      if (n === 0) {
        assert.equal(block.cid, roots[2])
        assert.equal(expectOk(readManifest(block.content)).publishers.length, 1)
      }
    }
    for (const root of roots) assert.ok(cids.has(root))
  })

  it('brings the records alone where only a smaller model is exported', async () => {
    await take(await fileOf(small))
    assert.equal(there.holding(small.signed.id).complete, true)
    assert.equal(there.holding(large.signed.id).complete, false)
    assert.deepEqual(there.catalogue.model(large.signed.id)?.description, rowOf(large).description)
  })

  it('brings withdrawals, and what was erased without its card', async () => {
    expectOk(here.admitRecord(embl.withdraw(large.signed.id, 'erase').envelope, null))
    here.catalogue.strip(large.signed.id)
    assert.throws(() => exportModels(here, [rowOf(large)]), { code: 'ERASED' })
    await take(await fileOf(small))
    assert.equal(there.catalogue.model(large.signed.id)?.withdrawn, 'erase')
  })

  it('exports nothing that is private, contested, or not whole', async () => {
    const missing = embl.model({ name: 'missing' })
    admit(here, missing)
    assert.throws(() => exportModels(here, [rowOf(missing)]), { code: 'BLOB_MISSING' })
    const seed = embl.confide([here.publisher])
    expectOk(here.admitIdentity(embl.publisher, embl.operations, 0))
    const secret = embl.model({ name: 'secret', seed })
    admit(here, secret)
    await keepFiles(here, secret)
    assert.throws(() => exportModels(here, [rowOf(secret)]), { code: 'AUDIENCE' })
    await take(await fileOf(small))
    assert.equal(there.catalogue.record(secret.signed.id), null)
  })

  it('takes nothing of publishers that may not be mirrored', async () => {
    const file = await fileOf(small)
    there.setTrust({ publisher: embl.publisher, right: 'list' })
    await assert.rejects(take(file), {
      code: 'TRUST',
      data: { field: embl.publisher, hint: `zoarium trust add ${embl.publisher} mirror` },
    })
    hasNothing()
  })

  it('takes nothing that was erased here', async () => {
    const file = await fileOf(small)
    await take(file)
    await there.eraseHere(there.catalogue.model(small.signed.id) ?? assert.fail())
    await assert.rejects(take(file), { code: 'ERASED' })
  })

  it('refuses every file that was cut or bent, and keeps no byte that is wrong', async () => {
    const file = await fileOf(small)
    const places = Array.from({ length: 60 }, (_, n) => Math.floor((file.length * n) / 60))
    for (const at of places) {
      const bent = file.slice()
      bent[at] = (bent[at] ?? 0) ^ 0x11
      for (const wrong of [bent, file.slice(0, at)]) {
        await assert.rejects(
          take(wrong),
          (error) => error instanceof ZoariumError && error.code !== 'INTERNAL',
        )
      }
    }
    assert.equal(there.catalogue.logs(embl.publisher).length, 0)
    for (const { cid } of there.blobs.list()) {
      assert.equal(await there.blobs.recheck(cid, async () => {}), true)
    }
  })

  describe('refuses', () => {
    /** The file in parts: its roots, and its blocks in order. */
    async function partsOf(file: Uint8Array) {
      const reader = new CarReader(inChunks(file, file.length))
      const roots = expectOk(await reader.roots())
      const blocks: { cid: Cid; content: Uint8Array }[] = []
      for (;;) {
        const block = expectOk(await reader.block())
        if (block === null) return { roots, blocks }
        blocks.push({ cid: block.cid, content: block.content.slice() })
      }
    }
    const join = (roots: readonly Cid[], blocks: readonly { cid: Cid; content: Uint8Array }[]) =>
      concat([carHeader(roots), ...blocks.map(({ cid, content }) => carBlock(cid, content))])
    const raw = (text: string) => ({ cid: cidOf('raw', utf8(text)), content: utf8(text) })
    const isRefused = (file: Uint8Array) => assert.rejects(take(file), { code: 'RECORD_INVALID' })

    it('blocks that are missing, too many, twice, or out of order', async () => {
      const { roots, blocks } = await partsOf(await fileOf(large))
      const statements = blocks.findIndex(({ cid }) => cid === roots[0])
      for (const at of [0, 1, statements - 1, statements, statements + 1]) {
        await isRefused(join(roots, blocks.toSpliced(at, 1)))
      }
      await isRefused(join(roots, [...blocks, raw('more')]))
      await isRefused(join(roots, blocks.toSpliced(statements, 0, raw('more'))))
      await isRefused(join(roots, [...blocks, blocks[3] ?? assert.fail()]))
      await isRefused(join(roots, [...blocks.slice(1), blocks[0] ?? assert.fail()]))
      // Files that were whole and right may be here until the next collection.
      assert.equal(there.catalogue.logs(embl.publisher).length, 0)
    })

    it('roots that no record names, and another manifest than that at the end of the roots', async () => {
      const { roots, blocks } = await partsOf(await fileOf(small))
      await isRefused(join([...roots].reverse(), blocks))
      await isRefused(join([rowOf(large).root, ...roots], blocks))
      await isRefused(join(roots.slice(0, 1), blocks))
      hasNothing()
    })

    it('records of another publisher than the chain', async () => {
      const { roots, blocks } = await partsOf(await fileOf(small))
      const [first, ...rest] = blocks
      const manifest = expectOk(readManifest(first?.content ?? assert.fail()))
      const other = new TestPublisher('other').operations.map((content) => ({
        cid: cidOf('raw', content),
        content,
      }))
      const [said] = manifest.publishers
      const bent = writeManifest({
        ...manifest,
        publishers: [{ ...(said ?? assert.fail()), operations: other.map(({ cid }) => cid) }],
      })
      const count = said?.operations.length ?? 0
      await isRefused(
        join([...roots.slice(0, -1), bent.cid], [bent, ...other, ...rest.slice(count)]),
      )
      hasNothing()
    })
  })
})

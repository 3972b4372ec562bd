import assert from 'node:assert/strict'
import fc from 'fast-check'
import { cidOf } from '../../protocol/cid.ts'
import { createTreeHasher } from '../../protocol/content-tree.ts'
import { expectOk } from '../../protocol/errors.ts'
import { type FolderFile, folderCid } from '../../protocol/folder.ts'
import { LEAF_BYTES } from '../../protocol/limits.ts'
import { importAll, zeros } from '../helpers/unixfs-importer.ts'

async function fileOf(path: string, size: number): Promise<FolderFile> {
  const hasher = createTreeHasher()
  for await (const leaf of zeros(size)) hasher.leaf(leaf)
  return { path, size, cid: hasher.finish().cid }
}

describe('protocol/folder', () => {
  it('gives nested folders the id that other tools give', async () => {
    const files = await Promise.all(
      [
        ['weights.onnx', 3 * LEAF_BYTES + 5],
        ['rdf.yaml', 10],
        ['a/b.txt', 20],
        ['a/b/c.txt', 0],
        ['a/z/y.bin', LEAF_BYTES],
        ['Zellkörper.png', 1],
        ['\uffee.txt', 2],
        ['😀.txt', 3],
      ].map(([path, size]) => fileOf(path as string, size as number)),
    )
    const { cid } = await importAll(
      files.map(({ path, size }) => ({ path: `folder/${path}`, content: zeros(size) })),
    )
    assert.deepEqual(folderCid(files), { ok: true, value: cid })
  })

  it('does not depend on the order of the files', async () => {
    const names = ['b', 'a/c', 'a/b/d', 'z/z', 'ab', 'a.b']
    const files = await Promise.all(names.map((path, size) => fileOf(path, size)))
    const cid = expectOk(folderCid(files))
    const order = fc.shuffledSubarray(files, { minLength: files.length })
    fc.assert(
      fc.property(order, (shuffled) => assert.equal(expectOk(folderCid(shuffled)), cid)),
      {
        numRuns: 20,
      },
    )
  })

  it('changes with every name, size and id', async () => {
    const file = await fileOf('a/b', 5)
    const cids = [
      file,
      { ...file, path: 'a/c' },
      { ...file, path: 'b' },
      { ...file, size: 6 },
      { ...file, cid: cidOf('raw', new Uint8Array(6)) },
    ].map((each) => expectOk(folderCid([each])))
    assert.equal(new Set(cids).size, cids.length)
  })

  it('refuses a path that stands for two things', async () => {
    const file = await fileOf('a', 1)
    for (const path of ['a', 'a/b']) {
      for (const files of [
        [file, { ...file, path }],
        [{ ...file, path }, file],
      ]) {
        const verdict = folderCid(files)
        assert.equal(verdict.ok ? 'ok' : verdict.code, 'NAME_CLASH')
      }
    }
  })

  it('refuses a folder so full that other tools would shard it', async () => {
    const { cid } = await fileOf('', 1)
    // Names of 255 bytes make links of 301; 870 of them stay below 256 KiB.
    const files = (count: number): FolderFile[] =>
      Array.from({ length: count }, (_, i) => ({ path: `${i}`.padStart(255, 'x'), size: 1, cid }))
    const imported = async (count: number) =>
      (await importAll(files(count).map(({ path }) => ({ path: `f/${path}`, content: zeros(1) }))))
        .cid
    assert.deepEqual(folderCid(files(870)), { ok: true, value: await imported(870) })
    const full = folderCid(files(871))
    assert.equal(full.ok ? 'ok' : full.code, 'LIMIT')
  })
})

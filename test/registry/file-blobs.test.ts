import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import type { Cid } from '../../protocol/cid.ts'
import { LEAF_BYTES } from '../../protocol/limits.ts'
import { createFolders, type DataFolder, dataFolder } from '../../registry/data-folder.ts'
import { FileBlobs } from '../../registry/file-blobs.ts'
import { temporaryFolder } from '../helpers/folder.ts'
import { blobStoreSuite, inChunks, readAll, someBytes } from '../suites/blob-store.ts'

const MAX = 64 * LEAF_BYTES

const freshFolder = (): DataFolder => {
  const folder = dataFolder(temporaryFolder())
  createFolders(folder)
  return folder
}

blobStoreSuite('registry/file-blobs', async () => {
  const folder = freshFolder()
  return { store: new FileBlobs(folder), reopen: async () => new FileBlobs(folder) }
})

describe('registry/file-blobs', () => {
  const fileOf = (folder: DataFolder, cid: Cid): string =>
    path.join(folder.blobs, cid.slice(-3, -1), cid)
  const files = (folder: string): string[] =>
    fs
      .readdirSync(folder, { withFileTypes: true, recursive: true })
      .filter((entry) => entry.isFile())
      .map((entry) => entry.name)

  it('keeps each blob whole under its id, for the owner only', async () => {
    const folder = freshFolder()
    const bytes = someBytes(LEAF_BYTES + 1)
    const { cid } = await new FileBlobs(folder).put(inChunks(bytes, 1000), MAX)
    assert.deepEqual(new Uint8Array(fs.readFileSync(fileOf(folder, cid))), bytes)
    assert.equal(fs.statSync(fileOf(folder, cid)).mode & 0o777, 0o600)
    assert.deepEqual(files(folder.blobs), [cid])
  })

  it('never serves bytes that changed on disk, and sets them aside', async () => {
    const folder = freshFolder()
    const bytes = someBytes(2 * LEAF_BYTES + 5)
    const { cid } = await new FileBlobs(folder).put(inChunks(bytes, 50_000), MAX)
    const changed = bytes.slice()
    changed[LEAF_BYTES + 3] = (changed[LEAF_BYTES + 3] ?? 0) ^ 0x10
    fs.writeFileSync(fileOf(folder, cid), changed)

    const store = new FileBlobs(folder)
    await assert.rejects(store.open(cid), { code: 'CONTENT_MISMATCH' })
    await assert.rejects(store.open(cid), { code: 'BLOB_MISSING' })
    assert.equal(store.stat(cid), null)
    const [quarantined = ''] = files(folder.quarantine)
    assert.match(quarantined, new RegExp(`^${cid}-`))

    await store.put(inChunks(bytes, 50_000), MAX)
    assert.deepEqual(await readAll(await store.open(cid)), bytes)
    await store.remove(cid)
    assert.deepEqual([files(folder.quarantine), files(folder.blobs)], [[], []])
  })

  it('notices a change made while it runs', async () => {
    const folder = freshFolder()
    const store = new FileBlobs(folder)
    const { cid } = await store.put(inChunks(someBytes(1000), 1000), MAX)
    await readAll(await store.open(cid))
    fs.appendFileSync(fileOf(folder, cid), 'x')
    await assert.rejects(store.open(cid), { code: 'CONTENT_MISMATCH' })
  })

  it('does not copy changed bytes', async () => {
    const folder = freshFolder()
    const { cid } = await new FileBlobs(folder).put(inChunks(someBytes(1000), 1000), MAX)
    fs.writeFileSync(fileOf(folder, cid), someBytes(1000, 2))
    const target = path.join(temporaryFolder(), 'copy')
    await assert.rejects(new FileBlobs(folder).copyTo(cid, target), { code: 'CONTENT_MISMATCH' })
    assert.equal(fs.existsSync(target), false)
  })

  it('hashes a download again when it goes on', async () => {
    const folder = freshFolder()
    const bytes = someBytes(3 * LEAF_BYTES)
    const scratch = freshFolder()
    const info = await new FileBlobs(scratch).put(inChunks(bytes, 50_000), MAX)
    const { readTree } = await import('../../protocol/content-tree.ts')
    const tree = readTree(info.cid, info.size, info.nodes)
    assert(tree.ok)
    const first = await new FileBlobs(folder).download(info.cid, info.size, tree.value)
    for (const n of [0, 1, 2]) {
      await first.write(n, bytes.subarray(n * LEAF_BYTES, (n + 1) * LEAF_BYTES))
    }
    await first.close()
    const partial = path.join(folder.partial, info.cid)
    const damaged = fs.readFileSync(partial)
    damaged[LEAF_BYTES + 1] = (damaged[LEAF_BYTES + 1] ?? 0) ^ 1
    fs.writeFileSync(partial, damaged)
    const second = await new FileBlobs(folder).download(info.cid, info.size, tree.value)
    assert.deepEqual(second.missing(), [1])
    await second.close()
  })

  it('leaves nothing of a download of which nothing came', async () => {
    const folder = freshFolder()
    const info = await new FileBlobs(freshFolder()).put(inChunks(someBytes(1000), 100), MAX)
    const leaf = new Uint8Array(createHash('sha256').update(someBytes(1000)).digest())
    const download = await new FileBlobs(folder).download(info.cid, info.size, [leaf])
    assert.equal(await download.write(0, new Uint8Array(1000)), false)
    await download.close()
    assert.deepEqual(files(folder.partial), [])
  })

  it('deletes what a crash left of a put, and keeps partial downloads', () => {
    const folder = freshFolder()
    fs.writeFileSync(path.join(folder.blobs, '.put-0011'), 'half')
    fs.writeFileSync(path.join(folder.partial, 'bafk'), 'half')
    new FileBlobs(folder)
    assert.deepEqual(files(folder.blobs), [])
    assert.deepEqual(files(folder.partial), ['bafk'])
  })

  it('passes over foreign files', async () => {
    const folder = freshFolder()
    fs.mkdirSync(path.join(folder.blobs, 'zz'))
    fs.writeFileSync(path.join(folder.blobs, 'zz', 'README'), 'hello')
    assert.deepEqual([...new FileBlobs(folder).list()], [])
  })
})

/** The contract of blob stores, run on every implementation. */
import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import { createTreeHasher, readTree } from '../../protocol/content-tree.ts'
import { expectOk } from '../../protocol/errors.ts'
import { LEAF_BYTES } from '../../protocol/limits.ts'
import type { BlobInfo, BlobStore } from '../../registry/blob-store.ts'
import { temporaryFolder } from '../helpers/folder.ts'

interface Subject {
  store: BlobStore
  /** Opens the same store as after a restart of the process; absent where nothing outlives one. */
  reopen?: () => Promise<BlobStore>
}

/** Bytes that differ everywhere and repeat from run to run. */
export function someBytes(size: number, seed = 1): Uint8Array {
  const bytes = Buffer.alloc(size)
  let state = seed >>> 0 || 1
  for (let n = 0; n < size; n += 1) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    bytes[n] = state >>> 24
  }
  return new Uint8Array(bytes)
}

export async function* inChunks(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

export async function readAll(bytes: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  for await (const chunk of bytes) chunks.push(chunk)
  return new Uint8Array(Buffer.concat(chunks))
}

/** What a store should say of some bytes. */
function infoOf(bytes: Uint8Array): BlobInfo {
  const hasher = createTreeHasher()
  for (let at = 0; at < bytes.length; at += LEAF_BYTES) {
    hasher.leaf(bytes.subarray(at, at + LEAF_BYTES))
  }
  return hasher.finish()
}

const leavesOf = ({ cid, size, nodes }: BlobInfo): readonly Uint8Array[] =>
  expectOk(readTree(cid, size, nodes))

const leaf = (bytes: Uint8Array, index: number): Uint8Array =>
  bytes.subarray(index * LEAF_BYTES, (index + 1) * LEAF_BYTES)

const MAX = 64 * LEAF_BYTES

export function blobStoreSuite(name: string, open: () => Promise<Subject>): void {
  describe(`${name} as a blob store`, () => {
    let subject: Subject
    let store: BlobStore
    beforeEach(async () => {
      subject = await open()
      store = subject.store
    })
    afterEach(() => store.close())

    const put = (bytes: Uint8Array, chunk = 100_000): Promise<BlobInfo> =>
      store.put(inChunks(bytes, chunk), MAX)

    describe('put', () => {
      for (const size of [0, 1, LEAF_BYTES - 1, LEAF_BYTES, LEAF_BYTES + 1, 3 * LEAF_BYTES]) {
        it(`stores ${size} bytes under the id of their tree`, async () => {
          const bytes = someBytes(size)
          const info = await put(bytes)
          assert.deepEqual(info, infoOf(bytes))
          assert.equal(info.sha256, createHash('sha256').update(bytes).digest('hex'))
          assert.deepEqual(store.stat(info.cid), { size })
          assert.deepEqual(await readAll(await store.open(info.cid)), bytes)
        })
      }

      it('gives the same id however the bytes are cut', async () => {
        const bytes = someBytes(2 * LEAF_BYTES + 7)
        const first = await put(bytes, 1000)
        const second = await put(bytes, 3 * LEAF_BYTES)
        assert.equal(first.cid, second.cid)
        assert.equal([...store.list()].length, 1)
      })

      it('takes the limit and refuses one byte more, keeping nothing', async () => {
        const bytes = someBytes(1001)
        await assert.rejects(store.put(inChunks(bytes, 100), 1000), { code: 'LIMIT' })
        assert.deepEqual([...store.list()], [])
        await store.put(inChunks(bytes.subarray(1), 100), 1000)
        assert.equal([...store.list()].length, 1)
      })

      it('keeps nothing of a stream that breaks off', async () => {
        const broken = async function* (): AsyncGenerator<Uint8Array> {
          yield someBytes(LEAF_BYTES + 5)
          throw new Error('the sender went away')
        }
        await assert.rejects(store.put(broken(), MAX), /the sender went away/)
        assert.deepEqual([...store.list()], [])
      })

      it('lets the source use its memory again', async () => {
        const chunk = new Uint8Array(1000)
        const reusing = async function* (): AsyncGenerator<Uint8Array> {
          for (let n = 1; n <= 3; n += 1) yield chunk.fill(n)
        }
        const { cid } = await store.put(reusing(), MAX)
        const bytes = await readAll(await store.open(cid))
        assert.deepEqual([bytes[0], bytes[1000], bytes[2999]], [1, 2, 3])
      })

      it('stores many files at once', async () => {
        const files = Array.from({ length: 8 }, (_, n) => someBytes(LEAF_BYTES + n, n + 1))
        const infos = await Promise.all(files.map((bytes) => put(bytes)))
        for (const [n, { cid }] of infos.entries()) {
          assert.deepEqual(await readAll(await store.open(cid)), files[n])
        }
      })
    })

    describe('open', () => {
      it('reads ranges, and leaves out what lies beyond the end', async () => {
        const bytes = someBytes(2 * LEAF_BYTES + 100)
        const { cid } = await put(bytes)
        const ranges = [
          { start: 0, end: 0 },
          { start: 5, end: 6 },
          { start: LEAF_BYTES - 1, end: LEAF_BYTES + 1 },
          { start: 2 * LEAF_BYTES },
          { end: 10 },
          { start: 2 * LEAF_BYTES + 99, end: 3 * LEAF_BYTES },
          { start: 3 * LEAF_BYTES },
        ]
        for (const range of ranges) {
          const expected = bytes.slice(range.start ?? 0, range.end ?? bytes.length)
          assert.deepEqual(await readAll(await store.open(cid, range)), expected)
        }
      })

      it('says that a blob is missing', async () => {
        const { cid } = infoOf(someBytes(10))
        await assert.rejects(store.open(cid), { code: 'BLOB_MISSING' })
        assert.equal(store.stat(cid), null)
      })

      it('serves several readers at once', async () => {
        const bytes = someBytes(3 * LEAF_BYTES)
        const { cid } = await put(bytes)
        const reads = await Promise.all([1, 2, 3].map(async () => readAll(await store.open(cid))))
        for (const read of reads) assert.deepEqual(read, bytes)
      })
    })

    it('copies a blob to a path that is free', async () => {
      const bytes = someBytes(LEAF_BYTES + 1)
      const { cid } = await put(bytes)
      const target = path.join(temporaryFolder(), 'weights.onnx')
      await store.copyTo(cid, target)
      assert.deepEqual(new Uint8Array(fs.readFileSync(target)), bytes)
      fs.writeFileSync(target, 'changed')
      assert.deepEqual(await readAll(await store.open(cid)), bytes)
      await assert.rejects(store.copyTo(cid, target), { code: 'STORE' })
    })

    it('removes a blob, and does not mind removing it again', async () => {
      const { cid } = await put(someBytes(10))
      await store.remove(cid)
      assert.equal(store.stat(cid), null)
      await store.remove(cid)
      assert.deepEqual([...store.list()], [])
    })

    it('lists what is here', async () => {
      const infos = await Promise.all([1, 2, 3].map((n) => put(someBytes(n * 100, n))))
      const listed = [...store.list()].map(({ cid, size }) => `${cid} ${size}`).sort()
      assert.deepEqual(listed, infos.map(({ cid, size }) => `${cid} ${size}`).sort())
    })

    it('knows how much is here through every change', async () => {
      assert.deepEqual(store.held, { count: 0, bytes: 0 })
      const [first, second] = await Promise.all([put(someBytes(10)), put(someBytes(20, 2))])
      await Promise.all([put(someBytes(10)), put(someBytes(10))])
      assert.deepEqual(store.held, { count: 2, bytes: 30 })
      const info = infoOf(someBytes(5, 3))
      const download = await store.download(info.cid, info.size, leavesOf(info))
      await download.write(0, someBytes(5, 3))
      assert.deepEqual(store.held, { count: 2, bytes: 30 })
      await download.finish(info.sha256)
      assert.deepEqual(store.held, { count: 3, bytes: 35 })
      for (const { cid } of [first, first, second]) await store.remove(cid)
      assert.deepEqual(store.held, { count: 1, bytes: 5 })
      if (subject.reopen !== undefined) {
        assert.deepEqual((await subject.reopen()).held, { count: 1, bytes: 5 })
      }
    })

    describe('recheck', () => {
      it('hashes all of a blob, as slowly as it is told to', async () => {
        const { cid } = await put(someBytes(2 * LEAF_BYTES + 1))
        const parts: number[] = []
        assert.equal(await store.recheck(cid, async (bytes) => void parts.push(bytes)), true)
        assert.equal(
          parts.reduce((sum, bytes) => sum + bytes),
          2 * LEAF_BYTES + 1,
        )
        assert.equal(store.rotten, 0)
      })

      it('ends with what the pace throws, and changes nothing', async () => {
        const { cid } = await put(someBytes(10))
        const stop = new Error('stop')
        await assert.rejects(
          store.recheck(cid, () => Promise.reject(stop)),
          stop,
        )
        assert.notEqual(store.stat(cid), null)
      })

      it('fails for what is not here', async () => {
        const { cid } = infoOf(someBytes(10))
        await assert.rejects(
          store.recheck(cid, async () => {}),
          { code: 'BLOB_MISSING' },
        )
      })
    })

    describe('download', () => {
      it('takes leaves in any order, and shows the blob at the end only', async () => {
        const bytes = someBytes(4 * LEAF_BYTES + 9)
        const info = infoOf(bytes)
        const download = await store.download(info.cid, info.size, leavesOf(info))
        for (const index of [2, 4, 0, 3]) assert(await download.write(index, leaf(bytes, index)))
        assert.deepEqual(download.missing(), [1])
        assert.equal(store.stat(info.cid), null)
        assert(await download.write(1, leaf(bytes, 1)))
        for (const index of [0, 4]) {
          assert.deepEqual(Buffer.from(await download.read(index)), Buffer.from(leaf(bytes, index)))
        }
        await download.finish(info.sha256)
        assert.deepEqual(await readAll(await store.open(info.cid)), bytes)
      })

      it('takes leaves at the same time', async () => {
        const bytes = someBytes(6 * LEAF_BYTES)
        const info = infoOf(bytes)
        const download = await store.download(info.cid, info.size, leavesOf(info))
        const order = [3, 1, 0, 5, 4, 2, 2]
        const taken = await Promise.all(order.map((n) => download.write(n, leaf(bytes, n))))
        assert(taken.every((isTaken) => isTaken))
        await download.finish(info.sha256)
        assert.deepEqual(await readAll(await store.open(info.cid)), bytes)
      })

      for (const size of [0, 1]) {
        it(`fetches a file of ${size} bytes`, async () => {
          const bytes = someBytes(size)
          const info = infoOf(bytes)
          const download = await store.download(info.cid, size, leavesOf(info))
          for (const index of download.missing()) assert(await download.write(index, bytes))
          await download.finish(info.sha256)
          assert.deepEqual(await readAll(await store.open(info.cid)), bytes)
        })
      }

      it('refuses a leaf with wrong bytes, a wrong length or in a wrong place', async () => {
        const bytes = someBytes(2 * LEAF_BYTES + 9)
        const info = infoOf(bytes)
        const download = await store.download(info.cid, info.size, leavesOf(info))
        const flipped = leaf(bytes, 0).slice()
        flipped[77] = (flipped[77] ?? 0) ^ 1
        assert.equal(await download.write(0, flipped), false)
        assert.equal(await download.write(0, leaf(bytes, 1)), false)
        assert.equal(await download.write(2, bytes.subarray(2 * LEAF_BYTES, -1)), false)
        assert.equal(await download.write(2, new Uint8Array()), false)
        assert.deepEqual(download.missing(), [0, 1, 2])
        await download.close()
      })

      it('refuses a file whose SHA-256 is another, and drops it', async () => {
        const bytes = someBytes(LEAF_BYTES + 9)
        const info = infoOf(bytes)
        const leaves = leavesOf(info)
        const download = await store.download(info.cid, info.size, leaves)
        for (const index of [0, 1]) await download.write(index, leaf(bytes, index))
        await assert.rejects(download.finish('00'.repeat(32)), { code: 'CONTENT_MISMATCH' })
        assert.equal(store.stat(info.cid), null)
        const again = await store.download(info.cid, info.size, leaves)
        assert.deepEqual(again.missing(), [0, 1])
        await again.close()
      })

      it('goes on where it was closed', async () => {
        const bytes = someBytes(3 * LEAF_BYTES)
        const info = infoOf(bytes)
        const first = await store.download(info.cid, info.size, leavesOf(info))
        await first.write(1, leaf(bytes, 1))
        await first.close()
        await first.close()
        const second = await store.download(info.cid, info.size, leavesOf(info))
        assert.deepEqual(second.missing(), [0, 2])
        for (const index of [2, 0]) await second.write(index, leaf(bytes, index))
        await second.finish(info.sha256)
        assert.deepEqual(await readAll(await store.open(info.cid)), bytes)
      })

      it('goes with its blob, but not while it is under way', async () => {
        const bytes = someBytes(2 * LEAF_BYTES)
        const info = infoOf(bytes)
        const first = await store.download(info.cid, info.size, leavesOf(info))
        await first.write(1, leaf(bytes, 1))
        assert.deepEqual([...store.unfinished()], [])
        await store.remove(info.cid)
        await first.close()
        assert.deepEqual([...store.unfinished()], [info.cid])
        const second = await store.download(info.cid, info.size, leavesOf(info))
        assert.deepEqual(second.missing(), [0])
        await second.close()
        await store.remove(info.cid)
        assert.deepEqual([...store.unfinished()], [])
        const third = await store.download(info.cid, info.size, leavesOf(info))
        assert.deepEqual(third.missing(), [0, 1])
        await third.close()
      })

      it('is one at a time for one blob', async () => {
        const info = infoOf(someBytes(10))
        const first = await store.download(info.cid, info.size, leavesOf(info))
        await assert.rejects(store.download(info.cid, info.size, leavesOf(info)), { code: 'BUSY' })
        await first.close()
        await (await store.download(info.cid, info.size, leavesOf(info))).close()
      })
    })

    describe('after a restart', () => {
      let reopen: () => Promise<BlobStore>
      beforeEach(function () {
        if (subject.reopen === undefined) this.skip()
        reopen = subject.reopen
      })

      it('has all blobs', async () => {
        const bytes = someBytes(LEAF_BYTES + 3)
        const { cid } = await put(bytes)
        const again = await reopen()
        assert.deepEqual(await readAll(await again.open(cid)), bytes)
      })

      it('goes on with a download', async () => {
        const bytes = someBytes(3 * LEAF_BYTES + 1)
        const info = infoOf(bytes)
        const download = await store.download(info.cid, info.size, leavesOf(info))
        await download.write(0, leaf(bytes, 0))
        await download.write(2, leaf(bytes, 2))
        const again = await reopen()
        const resumed = await again.download(info.cid, info.size, leavesOf(info))
        assert.deepEqual(resumed.missing(), [1, 3])
        for (const index of [3, 1]) await resumed.write(index, leaf(bytes, index))
        await resumed.finish(info.sha256)
        assert.deepEqual(await readAll(await again.open(info.cid)), bytes)
        await download.close()
      })
    })
  })
}

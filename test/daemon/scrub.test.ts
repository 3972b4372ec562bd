import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { Mirror } from '../../daemon/mirror.ts'
import { SCRUB_INTERVAL_MS, Scrub, type ScrubParts } from '../../daemon/scrub.ts'
import type { Cid } from '../../protocol/cid.ts'
import { LEAF_BYTES } from '../../protocol/limits.ts'
import { createFolders, type DataFolder, dataFolder } from '../../registry/data-folder.ts'
import { FileBlobs } from '../../registry/file-blobs.ts'
import { MemoryCatalogue } from '../../registry/memory-catalogue.ts'
import { temporaryFolder } from '../helpers/folder.ts'
import { TestPublisher } from '../helpers/publisher.ts'
import { keepFiles } from '../helpers/registry.ts'
import { admit, introduce, TestClock, testRegistry } from '../helpers/test-registry.ts'
import { inChunks, someBytes } from '../suites/blob-store.ts'

const RATE = 1024 ** 2

describe('daemon/scrub', () => {
  let folder: DataFolder
  let blobs: FileBlobs
  let catalogue: MemoryCatalogue
  let clock: TestClock
  /** In the order in which they are gone through. */
  let cids: Cid[]
  let waits: number[]
  let logged: object[]
  let rotten: number
  let ended: number
  let onWait: (signal: AbortSignal) => Promise<void>

  const scrubOf = (changes: Partial<ScrubParts> = {}): Scrub =>
    new Scrub({
      blobs,
      catalogue,
      bytesPerSecond: RATE,
      clock,
      log: { info: () => {}, error: (fields: object) => void logged.push(fields) },
      onRotten: () => void rotten++,
      onEnd: () => void ended++,
      sleep: (ms, signal) => {
        waits.push(ms)
        return onWait(signal)
      },
      ...changes,
    })
  const put = async (size: number, seed: number) =>
    (await blobs.put(inChunks(someBytes(size, seed), 65_536), 1e9)).cid
  const fileOf = (cid: Cid): string => path.join(folder.blobs, cid.slice(-3, -1), cid)
  function rot(cid: Cid): void {
    const bytes = fs.readFileSync(fileOf(cid))
    bytes[5] = (bytes[5] ?? 0) ^ 4
    fs.writeFileSync(fileOf(cid), bytes)
  }

  beforeEach(async () => {
    folder = dataFolder(temporaryFolder())
    createFolders(folder)
    blobs = new FileBlobs(folder)
    catalogue = new MemoryCatalogue()
    clock = new TestClock()
    cids = [await put(100, 1), await put(2 * LEAF_BYTES + 7, 2), await put(3000, 3)].sort()
    waits = []
    logged = []
    rotten = 0
    ended = 0
    onWait = async () => {}
  })

  it('hashes every file anew, no faster than it may', async () => {
    const scrub = scrubOf()
    assert.equal(scrub.view(), null)
    await scrub.run()
    const bytes = 2 * LEAF_BYTES + 3107
    assert.deepEqual(
      waits.toSorted((a, b) => a - b),
      [7, 100, 3000, LEAF_BYTES, LEAF_BYTES].map((size) => (size / RATE) * 1000),
    )
    const at = new Date(clock.now()).toISOString()
    assert.equal(ended, 1)
    assert.deepEqual(scrub.view(), { started: at, finished: at, files: 3, bytes, rotten: 0 })
  })

  it('sets rotten files aside, though they were read before, and says so', async () => {
    const [first, second] = cids as [Cid, Cid]
    await blobs.open(first)
    rot(first)
    // As a disk that rots does, it leaves the times as they were.
    const { mtime, atime } = fs.statSync(fileOf(second))
    rot(second)
    fs.utimesSync(fileOf(second), atime, mtime)
    await scrubOf().run()
    assert.deepEqual([blobs.stat(first), blobs.stat(second), blobs.rotten], [null, null, 2])
    assert.deepEqual(logged, [{ cid: first }, { cid: second }])
    assert.equal(rotten, 2)
    assert.equal(fs.readdirSync(folder.quarantine).length, 2)
    assert.equal(scrubOf().view()?.rotten, 2)
  })

  it('begins anew after a day, or when the clock was set back as far', async () => {
    const scrub = scrubOf()
    const rounds = async (): Promise<number> => {
      waits = []
      await scrub.run()
      return waits.length
    }
    assert.equal(await rounds(), 5)
    clock.time += SCRUB_INTERVAL_MS - 1
    assert.equal(await rounds(), 0)
    clock.time += 1
    assert.equal(await rounds(), 5)
    clock.time -= SCRUB_INTERVAL_MS
    assert.equal(await rounds(), 5)
  })

  it('goes on after a restart where it was stopped', async () => {
    let stopped = Promise.resolve()
    const scrub = scrubOf()
    onWait = async (signal) => {
      if (waits.length < 2) return
      stopped = scrub.stop()
      signal.throwIfAborted()
    }
    await scrub.run()
    await stopped
    const { files, finished } = scrub.view() ?? assert.fail()
    assert.deepEqual([files < 3, finished], [true, null])
    onWait = async () => {}
    clock.time += 5000
    const again = scrubOf()
    await again.run()
    const view = again.view() ?? assert.fail()
    assert.deepEqual([view.files, view.bytes], [3, 2 * LEAF_BYTES + 3107])
    assert.equal(Date.parse(view.finished ?? '') - Date.parse(view.started), 5000)
  })

  it('passes over files that are deleted meanwhile', async () => {
    const last = cids[2] ?? assert.fail()
    onWait = async () => {
      if (waits.length === 1) await blobs.remove(last)
    }
    const scrub = scrubOf()
    await scrub.run()
    assert.deepEqual([scrub.view()?.files, scrub.view()?.rotten, logged], [2, 0, []])
  })

  it('does nothing at a rate of 0', async () => {
    const scrub = scrubOf({ bytesPerSecond: 0 })
    await scrub.run()
    assert.deepEqual([waits, scrub.view()], [[], null])
  })

  it('has what was rotten fetched anew', async () => {
    const { registry } = await testRegistry('here', { blobs, clock })
    const embl = new TestPublisher('embl')
    introduce(registry, embl, 'mirror')
    const model = embl.model({ name: 'nuclei' })
    const record = admit(registry, model)
    await keepFiles(registry, model)
    const [file] = registry.catalogue.model(record)?.files ?? []
    const { cid, path: name } = file ?? assert.fail()
    const mirror = new Mirror({
      registry,
      network: {
        fetchBlob: async () => {
          await keepFiles(registry, {
            ...model,
            files: new Map([[name, model.files.get(name) ?? assert.fail()]]),
          })
        },
      },
      follow: true,
      maxBytes: 1e9,
      clock,
      mayGo: async () => false,
      isInUse: () => false,
      onEvicted: () => assert.fail(),
      log: { warn: () => assert.fail(), info: () => assert.fail() },
      onProgress: () => {},
      onComplete: () => came(),
    })
    let came = () => {}
    const complete = new Promise<void>((resolve) => {
      came = resolve
    })
    assert.deepEqual(registry.incompleteModels(), [])
    rot(cid)
    await scrubOf({ onRotten: () => mirror.retry() }).run()
    await complete
    assert.deepEqual(registry.incompleteModels(), [])
    assert.equal(await blobs.recheck(cid, async () => {}), true)
    await mirror.stop()
  })

  it('begins anew where what was noted is not to be read', async () => {
    for (const text of ['', '{}', '{"started":"x"}', 'null']) {
      catalogue.putSetting('scrub', text)
      const scrub = scrubOf()
      assert.equal(scrub.view(), null)
      await scrub.run()
      assert.equal(scrub.view()?.files, 3)
      clock.time += SCRUB_INTERVAL_MS
    }
  })
})

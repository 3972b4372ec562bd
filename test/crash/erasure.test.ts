/** The files of an erased model are deleted by processes that are killed half-way. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import type { Cid } from '../../protocol/cid.ts'
import { LEAF_BYTES } from '../../protocol/limits.ts'
import { systemClock } from '../../registry/clock.ts'
import { type DataFolder, dataFolder } from '../../registry/data-folder.ts'
import { initialise, openRegistry } from '../../registry/open-registry.ts'
import type { Registry } from '../../registry/registry.ts'
import { temporaryFolder } from '../helpers/folder.ts'
import { TestPublisher, utf8 } from '../helpers/publisher.ts'
import { keepFiles } from '../helpers/registry.ts'
import { admit, introduce } from '../helpers/test-registry.ts'

const DAY_MS = 24 * 3600 * 1000
const FAILPOINTS = ['erase.after-mark', 'erase.after-unlink', 'erase.after-row']

describe('crash/erasure', () => {
  let base: string
  let folder: DataFolder
  /** Files that only the erased model names, and one that another model names too. */
  let own: readonly Cid[]
  let shared: Cid
  let erased: Cid
  let kept: Cid

  beforeEach(async () => {
    base = temporaryFolder()
    folder = dataFolder(path.join(base, 'node'))
    await initialise(folder, { displayName: 'Crash test' }, systemClock)
    const { registry, close } = await openRegistry(folder, systemClock)
    const embl = new TestPublisher('embl', systemClock.now() - DAY_MS)
    embl.letErase()
    introduce(registry, embl, 'mirror')
    const first = embl.model({ name: 'a', weights: new Uint8Array(LEAF_BYTES + 1) })
    const second = embl.model({
      name: 'b',
      weights: new Uint8Array(LEAF_BYTES + 2),
      card: utf8('the same'),
    })
    const third = embl.model({ name: 'c', weights: new Uint8Array(3), card: utf8('the same') })
    for (const model of [first, second, third]) {
      admit(registry, model)
      await keepFiles(registry, model)
    }
    const cids = (id: Cid) => (registry.catalogue.model(id)?.files ?? []).map(({ cid }) => cid)
    erased = second.signed.id
    kept = third.signed.id
    shared = registry.catalogue.model(erased)?.card ?? assert.fail()
    own = [...cids(first.signed.id), ...cids(erased).filter((cid) => cid !== shared)]
    for (const { signed } of [first, second]) {
      const { envelope } = embl.withdraw(signed.id, 'erase')
      assert(registry.admitRecord(envelope, null).ok)
    }
    await close()
  })

  const collect = (hours: number, failpoint: string | null = null) =>
    spawnSync(
      process.execPath,
      [path.join(import.meta.dirname, 'erasure-child.ts'), folder.path, `${hours}`],
      { env: { ...process.env, ...(failpoint === null ? {} : { ZOARIUM_FAILPOINT: failpoint }) } },
    )
  const look = async <T>(work: (registry: Registry) => Promise<T> | T): Promise<T> => {
    const { registry, close } = await openRegistry(folder, systemClock)
    try {
      return await work(registry)
    } finally {
      await close()
    }
  }
  /** What is wrong between files and rows; nothing, at any moment. */
  const faults = (registry: Registry): string[] => {
    const { catalogue, blobs } = registry
    const doomed = new Set(catalogue.doomed())
    const found: string[] = []
    for (const { cid } of blobs.list()) {
      const isNamed = catalogue.recordsWithFile(cid).length > 0
      if (!isNamed && !doomed.has(cid)) found.push(`nobody names or dooms ${cid}`)
      if (!isNamed && registry.isShared(cid, null)) found.push(`served: ${cid}`)
    }
    if (!registry.holding(kept).complete) found.push('a model lost a file to another one')
    if (catalogue.card(shared) === null) found.push('a model lost its card to another one')
    if (registry.resolve(erased).ok) found.push('the erased model stands')
    return found
  }

  for (const name of FAILPOINTS) {
    it(`leaves nothing that counts as gone, killed at ${name}`, async () => {
      for (let pass = 1; ; pass++) {
        const killed = collect(73, `${name}:${pass}`)
        assert.deepEqual(await look(faults), [], `${name}:${pass}`)
        if (killed.signal === null) {
          assert(pass > 1, `the place was never reached ${killed.stderr}`)
          break
        }
      }
      assert.equal(collect(73).status, 0)
      await look((registry) => {
        assert.deepEqual(registry.catalogue.doomed(), [])
        for (const cid of own) {
          assert.equal(registry.blobs.stat(cid), null)
          assert.equal(registry.catalogue.tree(cid), null)
        }
      })
      const files = fs.readdirSync(folder.blobs, { recursive: true }).map(String)
      assert.equal(files.filter((file) => own.some((cid) => file.endsWith(cid))).length, 0)
    })
  }

  it('deletes nothing before the time, however often it starts', async () => {
    for (const hours of [0, 24, 71]) {
      const { stdout, status } = collect(hours)
      assert.deepEqual([status, String(stdout)], [0, '0\n'])
    }
    await look((registry) => {
      for (const cid of own) assert.notEqual(registry.blobs.stat(cid), null)
    })
  })
})

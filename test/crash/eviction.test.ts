/** Files that go to make room are deleted by processes that are killed half-way. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import type { Cid } from '../../protocol/cid.ts'
import { LEAF_BYTES } from '../../protocol/limits.ts'
import { systemClock } from '../../registry/clock.ts'
import { type DataFolder, dataFolder } from '../../registry/data-folder.ts'
import { initialise, openRegistry } from '../../registry/open-registry.ts'
import { temporaryFolder } from '../helpers/folder.ts'
import { TestPublisher } from '../helpers/publisher.ts'
import { keepFiles } from '../helpers/registry.ts'
import { admit, introduce } from '../helpers/test-registry.ts'

const DAY_MS = 24 * 3600 * 1000

describe('crash/eviction', () => {
  let folder: DataFolder
  let going: Cid
  let pinned: Cid

  beforeEach(async () => {
    folder = dataFolder(path.join(temporaryFolder(), 'node'))
    await initialise(folder, { displayName: 'Crash test' }, systemClock)
    fs.writeFileSync(folder.trust, 'version: 1\nrules: []\nmirror: { otherwise: demand }\n')
    const { registry, close } = await openRegistry(folder, systemClock)
    const embl = new TestPublisher('embl', systemClock.now() - DAY_MS)
    introduce(registry, embl, 'mirror')
    const models = ['a', 'b'].map((name, n) =>
      embl.model({ name, weights: new Uint8Array(LEAF_BYTES + n).fill(n) }),
    )
    for (const model of models) {
      admit(registry, model)
      await keepFiles(registry, model)
    }
    ;[going, pinned] = models.map(({ signed }) => signed.id) as [Cid, Cid]
    registry.pin(registry.catalogue.model(pinned) ?? assert.fail(), 'embl/b')
    await close()
  })

  const evict = (failpoint: string | null, passes = 1) =>
    spawnSync(
      process.execPath,
      [path.join(import.meta.dirname, 'eviction-child.ts'), folder.path, `${LEAF_BYTES + 5}`],
      {
        env: {
          ...process.env,
          ...(failpoint === null ? {} : { ZOARIUM_FAILPOINT: `${failpoint}:${passes}` }),
        },
        encoding: 'utf8',
      },
    )

  for (const [failpoint, passes] of [
    ['evict.after-word', 1],
    ['evict.after-unlink', 1],
    ['evict.after-unlink', 2],
  ] as const) {
    it(`says nothing of what goes, killed at ${failpoint} ${passes}`, async () => {
      const killed = evict(failpoint, passes)
      assert.equal(killed.signal, 'SIGKILL', killed.stderr)
      assert.deepEqual(JSON.parse(killed.stdout), [pinned])
      const { registry, close } = await openRegistry(folder, systemClock)
      const model = registry.catalogue.model(going) ?? assert.fail()
      const missing = new Set(registry.holding(going).missing.map(({ cid }) => cid))
      // What is said to be here is here, and verifies; what is gone is missing.
      for (const { cid } of model.files) {
        if (missing.has(cid)) assert.equal(registry.blobs.stat(cid), null)
        else assert.ok(await registry.blobs.recheck(cid, async () => {}))
      }
      assert.equal(missing.size, failpoint === 'evict.after-word' ? 0 : passes)
      assert.equal(registry.heldForAll().includes(going), missing.size === 0)
      assert.ok(registry.holding(pinned).complete)
      await close()

      assert.equal(evict(null).status, 0)
      const after = await openRegistry(folder, systemClock)
      assert.ok(after.registry.holding(pinned).complete)
      await after.close()
    })
  }
})

/** The own keys are changed by processes that are killed half-way. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { toHex } from '../../protocol/bytes.ts'
import { publicKeyOf } from '../../protocol/crypto.ts'
import { systemClock } from '../../registry/clock.ts'
import { dataFolder } from '../../registry/data-folder.ts'
import { readSeed } from '../../registry/key-files.ts'
import { initialise, openRegistry } from '../../registry/open-registry.ts'
import { OwnKeys } from '../../registry/own-keys.ts'
import { temporaryFolder } from '../helpers/folder.ts'

/** How often each change rotates. */
const ROTATIONS: Readonly<Record<string, number>> = {
  delegate: 0,
  renew: 0,
  rotate: 1,
  threshold: 2,
}

describe('crash/keys', () => {
  it('has all keys that the identity names wherever it is killed', async () => {
    const base = temporaryFolder()
    const folder = dataFolder(path.join(base, 'node'))
    await initialise(folder, { displayName: 'Crash test' }, systemClock)
    const first = await openRegistry(folder, systemClock)
    const serve = first.registry.signer.device('serve').key
    new OwnKeys(first, systemClock).revoke(serve, 'superseded')
    await first.close()
    for (const work of Object.keys(ROTATIONS)) {
      for (const place of ['before-identity', 'after-identity', 'after-catalogue']) {
        const copy = dataFolder(path.join(base, `${work}-${place}`))
        fs.cpSync(folder.path, copy.path, { recursive: true })
        const child = spawnSync(
          process.execPath,
          [path.join(import.meta.dirname, 'keys-child.ts'), copy.path, work],
          { env: { ...process.env, ZOARIUM_FAILPOINT: `keys.${place}` } },
        )
        assert.equal(child.signal, 'SIGKILL', `${work} ${place} ${child.stderr}`)
        const opened = await openRegistry(copy, systemClock)
        const own = new OwnKeys(opened, systemClock)
        const { identity, rootsHere, isNextHere } = own.overview()
        const isDone = place !== 'before-identity'
        assert.equal(identity.rotations, isDone ? ROTATIONS[work] : 0, `${work} ${place}`)
        assert.deepEqual([rootsHere, isNextHere], [identity.roots, true], `${work} ${place}`)
        // What was left undone can be done now, with the key that was made for it.
        const made = toHex(publicKeyOf(readSeed(copy, 'serve', null) ?? assert.fail()))
        if (work === 'delegate' && !isDone) assert.equal(own.delegate('serve'), made)
        if (work === 'delegate') assert.equal(own.device(made).state, 'active')
        if (work === 'renew') {
          const [publish] = own.renewable('publish')
          assert.equal(publish?.cuts.length, isDone ? 1 : 0, place)
        }
        own.rotate()
        await opened.close()
      }
    }
  })
})

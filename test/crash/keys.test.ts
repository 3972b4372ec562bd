/** The own keys are changed by processes that are killed half-way. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { toHex } from '../../protocol/bytes.ts'
import { publicKeyOf } from '../../protocol/crypto.ts'
import { systemClock } from '../../registry/clock.ts'
import { type DataFolder, dataFolder } from '../../registry/data-folder.ts'
import { readSeed } from '../../registry/key-files.ts'
import { importIdentity } from '../../registry/key-transfer.ts'
import { initialise, type OpenRegistry, openRegistry } from '../../registry/open-registry.ts'
import { OwnKeys } from '../../registry/own-keys.ts'
import { exportShare, importShare } from '../../registry/root-share.ts'
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
  describe('keys that travel', () => {
    let base: string
    let node: DataFolder
    let file: string
    beforeEach(async () => {
      base = temporaryFolder()
      node = dataFolder(path.join(base, 'node'))
      file = path.join(base, 'file')
      await initialise(node, { displayName: 'Crash test' }, systemClock)
    })
    const killed = (place: string, folder: DataFolder, work: string): void => {
      const child = spawnSync(
        process.execPath,
        [path.join(import.meta.dirname, 'keys-child.ts'), folder.path, work, file],
        { env: { ...process.env, ZOARIUM_FAILPOINT: place } },
      )
      assert.equal(child.signal, 'SIGKILL', `${work} ${place} ${child.stderr}`)
    }
    const open = async <T>(folder: DataFolder, work: (opened: OpenRegistry, own: OwnKeys) => T) => {
      const opened = await openRegistry(folder, systemClock, secret)
      try {
        return await work(opened, new OwnKeys(opened, systemClock))
      } finally {
        await opened.close()
      }
    }
    const secret = async () => ({ by: 'passphrase', text: 'crash' }) as const
    const share = () =>
      open(node, (opened) =>
        exportShare(opened, 1, file, secret, { isMove: true, cost: { n: 16, r: 1, p: 1 } }),
      )

    it('have the seed of a key that a draft names, written or not', async () => {
      await open(node, (opened, own) =>
        own.revoke(opened.registry.signer.device('serve').key, 'lost'),
      )
      killed('keys.before-draft', node, 'draft')
      assert.equal(fs.existsSync(file), false)
      const made = toHex(publicKeyOf(readSeed(node, 'serve', null) ?? assert.fail()))
      await open(node, (opened) => {
        new OwnKeys(opened, systemClock, { draftTo: file }).delegate('serve')
        assert.equal(importIdentity(opened, file), 1)
      })
      await open(node, (_, own) => assert.equal(own.device(made).isHere, true))
    })

    it('are never gone from one machine before they are in the file', async () => {
      killed('keys.after-share', node, 'share')
      await open(node, (_, own) => assert.equal(own.overview().rootsHere.length, 1))
      const other = dataFolder(path.join(base, 'other'))
      assert.equal(await importShare(other, file, secret, systemClock), 2)
    })

    it('make no half of a folder that signs', async () => {
      await share()
      const other = dataFolder(path.join(base, 'other'))
      killed('keys.before-identity', other, 'found')
      await assert.rejects(openRegistry(other, systemClock, secret), { code: 'NOT_INITIALISED' })
      assert.equal(await importShare(other, file, secret, systemClock), 2)
      await open(other, (_, own) => assert.equal(own.overview().rootsHere.length, 1))
      await open(node, (_, own) => assert.equal(own.overview().rootsHere.length, 0))
    })
  })
})

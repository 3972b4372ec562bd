import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { expectOk } from '../../protocol/errors.ts'
import { backUp } from '../../registry/backup.ts'
import { type DataFolder, dataFolder } from '../../registry/data-folder.ts'
import { initialise, openRegistry } from '../../registry/open-registry.ts'
import { temporaryFolder } from '../helpers/folder.ts'
import { examplePackage, TestClock } from '../helpers/test-registry.ts'

const ALL = { keys: true, files: true }

describe('registry/backup', () => {
  const clock = new TestClock()
  let folder: DataFolder
  let target: string

  beforeEach(async () => {
    folder = dataFolder(path.join(temporaryFolder(), 'node'))
    target = path.join(temporaryFolder(), 'backup')
    await initialise(folder, { displayName: 'EMBL' }, clock)
  })

  async function publish(version: string): Promise<void> {
    const opened = await openRegistry(folder, clock)
    const { pkg, source } = await examplePackage({ version })
    const plan = expectOk(opened.registry.planPublication(pkg, { tested: 'untested' }))
    await opened.registry.publish(pkg, source, plan)
    await opened.close()
  }

  it('is a data folder with all that the node knew, be it in use', async () => {
    await publish('1.0.0')
    const opened = await openRegistry(folder, clock)
    const made = await backUp(folder, target, ALL)
    const before = opened.registry.counts()
    await opened.close()
    assert.equal(made.keys, 3)
    assert.ok(made.files.count > 0)

    const back = await openRegistry(dataFolder(target), clock)
    assert.deepEqual(back.registry.counts(), before)
    assert.equal(back.registry.publisher, opened.registry.publisher)
    assert.deepEqual(back.peerKey, opened.peerKey)
    assert.deepEqual(back.registry.incompleteModels(), [])
    await back.close()
  })

  it('signs nothing by itself, though the node was stopped in order when it was made', async () => {
    await publish('1.0.0')
    await backUp(folder, target, ALL)
    const back = await openRegistry(dataFolder(target), clock)
    assert.equal(back.registry.whyUnsure()?.code, 'SELF_UNSURE')
    await back.close()
  })

  it('has no secret that was not asked for, and nothing for others to read', async () => {
    await publish('1.0.0')
    await backUp(folder, target, { keys: false, files: false })
    const names = fs.readdirSync(target, { recursive: true, withFileTypes: true })
    assert.deepEqual(
      names
        .filter((each) => each.isFile())
        .map(({ name }) => name)
        .sort(),
      ['catalogue.sqlite', 'identity.json'],
    )
    for (const each of [...names, { parentPath: path.dirname(target), name: 'backup' }]) {
      const { mode } = fs.statSync(path.join(each.parentPath, each.name))
      assert.equal(mode & 0o077, 0, each.name)
    }
  })

  it('is written over nothing', async () => {
    fs.mkdirSync(target)
    fs.writeFileSync(path.join(target, 'thesis.pdf'), '')
    await assert.rejects(backUp(folder, target, ALL), { code: 'USAGE' })
    assert.deepEqual(fs.readdirSync(target), ['thesis.pdf'])
  })

  it('is refused of a catalogue that is damaged', async () => {
    await publish('1.0.0')
    const bytes = fs.readFileSync(folder.catalogue)
    bytes.fill(0xff, 3 * 4096, 9 * 4096)
    fs.writeFileSync(folder.catalogue, bytes)
    await assert.rejects(backUp(folder, target, ALL), { code: 'STORE', message: /damaged/ })
    await assert.rejects(openRegistry(dataFolder(target), clock), { code: 'NOT_INITIALISED' })
  })
})

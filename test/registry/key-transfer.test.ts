import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { toHex } from '../../protocol/bytes.ts'
import { publicKeyOf } from '../../protocol/crypto.ts'
import { type DataFolder, dataFolder } from '../../registry/data-folder.ts'
import { readSeed } from '../../registry/key-files.ts'
import { exportIdentity, importIdentity, MAX_TRANSFER_BYTES } from '../../registry/key-transfer.ts'
import { initialise, type OpenRegistry, openRegistry } from '../../registry/open-registry.ts'
import { OwnKeys } from '../../registry/own-keys.ts'
import { temporaryFolder } from '../helpers/folder.ts'
import { TestClock } from '../helpers/test-registry.ts'

describe('registry/key-transfer', () => {
  let node: DataFolder
  /** A machine that has the root keys and nothing else. */
  let safe: DataFolder
  let file: string
  let publish: string
  const clock = new TestClock()

  beforeEach(async () => {
    const base = temporaryFolder()
    node = dataFolder(path.join(base, 'node'))
    safe = dataFolder(path.join(base, 'safe'))
    file = path.join(base, 'keys.json')
    await initialise(node, { displayName: 'EMBL' }, clock)
    publish = toHex(publicKeyOf(readSeed(node, 'publish', null) ?? assert.fail()))
    fs.mkdirSync(safe.keys, { recursive: true })
    fs.copyFileSync(node.identity, safe.identity)
    fs.renameSync(path.join(node.keys, 'root.json'), path.join(safe.keys, 'root.json'))
  })

  async function on<T>(
    folder: DataFolder,
    work: (opened: OpenRegistry, own: OwnKeys) => T,
  ): Promise<T> {
    const opened = await openRegistry(folder, clock)
    try {
      return work(opened, new OwnKeys(opened, clock))
    } finally {
      await opened.close()
    }
  }
  const write = (folder: DataFolder) => on(folder, (opened) => exportIdentity(opened, file))
  const take = (folder: DataFolder) => on(folder, (opened) => importIdentity(opened, file))

  it('lets root keys without a network sign what a node takes in', async () => {
    await assert.rejects(
      on(node, (_, own) => own.renew([publish])),
      { code: 'SCOPE' },
    )
    await write(node)
    assert.equal(await take(safe), 0)
    clock.time += 1000
    await on(safe, (_, own) => {
      own.renew([publish])
      own.rotate()
    })
    await write(safe)
    assert.equal(await take(node), 2)
    assert.equal(await take(node), 0)
    await on(node, ({ registry }, own) => {
      const { cuts, last } = own.device(publish)
      assert.equal(last?.seq, 0)
      // Cut at the head that the file brought.
      assert.deepEqual(cuts, [{ last, epoch: 0 }])
      assert.equal(own.overview().identity.rotations, 1)
      const profile = { label: 'embl', displayName: 'E', handle: null, url: null, ror: null }
      assert.equal(registry.publishProfile(profile).record.seq, 1)
    })
  })

  it('cuts nothing where no log is known', async () => {
    await assert.rejects(
      on(safe, (_, own) => own.revoke(publish, 'lost')),
      { code: 'GAP' },
    )
    // Not even where the machine has the key itself, as from a backup of the keys alone.
    fs.copyFileSync(path.join(node.keys, 'publish.json'), path.join(safe.keys, 'publish.json'))
    await assert.rejects(
      on(safe, (_, own) => own.revoke(publish, 'lost')),
      { code: 'GAP' },
    )
  })

  it('takes in no fork of the own identity, unless it rotates', async () => {
    fs.copyFileSync(path.join(safe.keys, 'root.json'), path.join(node.keys, 'root.json'))
    await write(node)
    await take(safe)
    clock.time += 1000
    await on(node, (_, own) => own.renew([publish]))
    clock.time += 1000
    await on(safe, (_, own) => own.renew([publish]))
    await write(safe)
    await assert.rejects(take(node), { code: 'CONTESTED' })
    await on(node, ({ registry }) => assert.equal(registry.isFrozen(registry.publisher), false))
    await on(safe, (_, own) => own.rotate())
    await write(safe)
    await take(node)
    await on(node, ({ registry }) => assert.equal(registry.isFrozen(registry.publisher), false))
    assert.deepEqual(fs.readFileSync(node.identity), fs.readFileSync(safe.identity))
  })

  it('refuses other files', async () => {
    await write(node)
    const whole = JSON.parse(fs.readFileSync(file, 'utf8'))
    const other = dataFolder(path.join(temporaryFolder(), 'other'))
    await initialise(other, { displayName: 'Other' }, clock)
    await assert.rejects(take(other), { code: 'IDENTITY_INVALID' })
    const cases = [
      ['{', 'RECORD_INVALID'],
      ['null', 'RECORD_INVALID'],
      [JSON.stringify({ ...whole, heads: null }), 'RECORD_INVALID'],
      [JSON.stringify({ ...whole, operations: [7] }), 'RECORD_INVALID'],
      [JSON.stringify({ ...whole, version: 2 }), 'UNKNOWN_VERSION'],
      [JSON.stringify({ ...whole, operations: [] }), 'IDENTITY_INVALID'],
      [JSON.stringify({ ...whole, operations: whole.operations.slice(1) }), 'GAP'],
      [JSON.stringify({ ...whole, heads: ['AAAA'] }), 'SIG_LENGTH'],
    ] as const
    for (const [text, code] of cases) {
      fs.writeFileSync(file, text)
      await assert.rejects(take(node), { code }, text.slice(0, 40))
    }
    fs.truncateSync(file, MAX_TRANSFER_BYTES)
    await assert.rejects(take(node), { code: 'RECORD_INVALID' })
    fs.truncateSync(file, MAX_TRANSFER_BYTES + 1)
    await assert.rejects(take(node), { code: 'LIMIT' })
    fs.rmSync(file)
    await assert.rejects(take(node), { code: 'NOT_FOUND' })
  })
})

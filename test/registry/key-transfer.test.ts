import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { toHex } from '../../protocol/bytes.ts'
import { publicKeyOf } from '../../protocol/crypto.ts'
import type { ZoariumError } from '../../protocol/errors.ts'
import { MAX_BUNDLE_BYTES } from '../../protocol/limits.ts'
import { type DataFolder, dataFolder } from '../../registry/data-folder.ts'
import { readRootSets, readSeed, rootSetOf } from '../../registry/key-files.ts'
import { importIdentity, signBundle, writeBundle } from '../../registry/key-transfer.ts'
import { initialise, type OpenRegistry, openRegistry } from '../../registry/open-registry.ts'
import { OwnKeys } from '../../registry/own-keys.ts'
import { exportShare, importShare, MAX_SHARE_BYTES } from '../../registry/root-share.ts'
import { Seal, type SealSecret } from '../../registry/seal.ts'
import { writeSecret } from '../../registry/secret-json.ts'
import { writeShare } from '../../registry/share-file.ts'
import { temporaryFolder } from '../helpers/folder.ts'
import { seedOf } from '../helpers/publisher.ts'
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
  const write = (folder: DataFolder) => on(folder, (opened) => writeBundle(opened, file))
  const take = (folder: DataFolder) => on(folder, (opened) => importIdentity(opened, file))

  it('lets root keys without a network sign what a node takes in', async () => {
    await assert.rejects(
      on(node, (_, own) => own.renew([publish])),
      ({ code, data }: ZoariumError) =>
        code === 'THRESHOLD_NOT_MET' && /--draft FILE/.test(data.hint ?? ''),
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

  /** Lays an operation by. */
  const draft = (folder: DataFolder, work: (own: OwnKeys) => void, to = file) =>
    on(folder, (opened) => work(new OwnKeys(opened, clock, { draftTo: to })))
  const sign = (folder: DataFolder) => on(folder, (opened) => signBundle(opened, file))

  it('lays an operation by that a machine without a network signs', async () => {
    await draft(node, (own) => own.revoke(publish, 'lost'))
    await assert.rejects(take(node), { code: 'THRESHOLD_NOT_MET' })
    await assert.rejects(sign(node), { code: 'SCOPE' })
    const { drafts, added } = await sign(safe)
    assert.deepEqual([added, drafts.map(({ missing }) => missing)], [1, [0]])
    assert.equal(await take(node), 1)
    await on(node, (_, own) => assert.equal(own.device(publish).revoked, 'lost'))
    // It was cut where the node had drafted it, though the other machine knows no record.
    await on(node, (_, own) => assert.equal(own.device(publish).cuts[0]?.last?.seq, 0))
    assert.deepEqual(await sign(safe), { drafts: [], added: 0 })
  })

  it('lays by a key that is made for this machine, and keeps it whatever comes of that', async () => {
    await draft(node, (own) => own.revoke(publish, 'superseded'))
    await sign(safe)
    await take(node)
    const second = path.join(path.dirname(file), 'second')
    await draft(node, (own) => own.delegate('publish'), second)
    const made = toHex(publicKeyOf(readSeed(node, 'publish', null) ?? assert.fail()))
    assert.notEqual(made, publish)
    file = path.join(path.dirname(file), 'third')
    // The draft got lost; the next one names the same key.
    await draft(node, (own) => own.delegate('publish'))
    await sign(safe)
    await take(node)
    await on(node, ({ registry }, own) => {
      assert.equal(own.device(made).isHere, true)
      const profile = { label: 'embl', displayName: 'E', handle: null, url: null, ror: null }
      assert.equal(registry.publishProfile(profile).record.key, made)
    })
  })

  it('overwrites no file with a draft', async () => {
    fs.writeFileSync(file, '')
    await assert.rejects(
      draft(node, (own) => own.revoke(publish, 'lost')),
      { code: 'USAGE' },
    )
  })

  it('signs nothing that the identity has passed by', async () => {
    await draft(node, (own) => own.revoke(publish, 'lost'))
    await on(safe, (_, own) => own.rotate())
    await assert.rejects(sign(safe), { code: 'SEQ', message: /moved on/ })
    await write(safe)
    await take(node)
  })

  describe('2 of 3 root keys on three machines', () => {
    let others: readonly [DataFolder, DataFolder]
    const CHEAP = { n: 16, r: 1, p: 1 }
    const secret: SealSecret = { by: 'passphrase', text: 'correct horse' }
    const ask = async () => secret
    const share = (n: number, isMove: boolean) =>
      on(safe, (opened) => exportShare(opened, n, `${file}-${n}`, ask, { isMove, cost: CHEAP }))
    const open = async <T>(folder: DataFolder, work: (opened: OpenRegistry, own: OwnKeys) => T) => {
      const opened = await openRegistry(folder, clock, ask)
      try {
        return work(opened, new OwnKeys(opened, clock))
      } finally {
        await opened.close()
      }
    }
    const signAt = (folder: DataFolder) => open(folder, (opened) => signBundle(opened, file))

    beforeEach(async () => {
      await on(safe, (_, own) => own.threshold(2, 3))
      others = [2, 3].map((n) => dataFolder(path.join(path.dirname(file), `other-${n}`))) as never
      for (const [index, folder] of others.entries()) {
        await share(index + 2, true)
        assert.equal(await importShare(folder, `${file}-${index + 2}`, ask, clock), 2)
      }
      await write(safe)
      await take(node)
      fs.rmSync(file)
    })

    it('each have one, and say so', async () => {
      for (const folder of [safe, ...others]) {
        await open(folder, (_, own) => {
          const { rootsHere, isNextHere, identity, isSealed } = own.overview()
          assert.deepEqual([rootsHere.length, isNextHere, identity.threshold], [1, false, 2])
          assert.equal(isSealed, folder !== safe)
        })
      }
      const seeds = [safe, ...others].map((folder) =>
        fs.readFileSync(path.join(folder.keys, 'root.json'), 'utf8'),
      )
      assert.ok(!seeds[1]?.includes('seeds'))
      await assert.rejects(share(2, false), { code: 'USAGE' })
      fs.rmSync(`${file}-2`)
      await assert.rejects(share(2, false), { code: 'SCOPE' })
      await assert.rejects(share(4, false), { code: 'USAGE' })
    })

    it('sign an operation of the node, two of them', async () => {
      await draft(node, (own) => own.renew([publish]))
      const first = await sign(safe)
      assert.deepEqual(
        first.drafts.map(({ missing, signers, open }) => [missing, signers.length, open.length]),
        [[1, 1, 2]],
      )
      await assert.rejects(take(node), {
        code: 'THRESHOLD_NOT_MET',
        message: /signatures are missing/,
      })
      await assert.rejects(sign(safe), { code: 'SCOPE' })
      const second = await signAt(others[1])
      assert.deepEqual([second.added, second.drafts[0]?.missing], [1, 0])
      assert.equal(await take(node), 1)
      await on(node, (_, own) => assert.equal(own.device(publish).cuts.length, 1))
    })

    it('rotate, and hand out the keys of the set after', async () => {
      await draft(safe, (own) => own.rotate())
      const { drafts } = await signAt(others[0])
      assert.equal(drafts[0]?.missing, 0)
      assert.equal(await take(safe), 1)
      await on(safe, (_, own) => {
        const { identity, rootsHere, isNextHere } = own.overview()
        assert.deepEqual([identity.rotations, rootsHere.length, isNextHere], [3, 1, true])
      })
      // The n-th key of either set: the other machine gets the seed that it lacks.
      const n = await open(others[0], (_, own) => {
        const { identity, rootsHere } = own.overview()
        return identity.roots.indexOf(rootsHere[0] ?? '') + 1
      })
      for (const each of [1, 2, 3]) fs.rmSync(`${file}-${each}`, { force: true })
      await share(n, true)
      assert.equal(await importShare(others[0], `${file}-${n}`, ask, clock), 1)
    })

    it('take in no keys that were rotated away', async () => {
      await share(1, false)
      for (const name of ['first', 'second']) {
        file = path.join(path.dirname(file), name)
        await draft(safe, (own) => own.rotate())
        await signAt(others[0])
        assert.equal(await take(safe), 1)
      }
      const old = path.join(path.dirname(file), 'keys.json-1')
      const before = await on(safe, (_, own) => own.overview())
      await assert.rejects(importShare(safe, old, ask, clock), { code: 'IDENTITY_INVALID' })
      assert.deepEqual(await on(safe, (_, own) => own.overview()), before)
      assert.equal(readRootSets(safe, null).length, 2)
    })

    it('take in the whole of a chain, and no keys of other publishers', async () => {
      const stranger = dataFolder(path.join(path.dirname(file), 'stranger'))
      await initialise(stranger, { displayName: 'Other' }, clock)
      await assert.rejects(importShare(stranger, `${file}-2`, ask, clock), {
        code: 'IDENTITY_INVALID',
      })
      const wrong = async (): Promise<SealSecret> => ({ by: 'passphrase', text: 'wrong' })
      const fresh = dataFolder(path.join(path.dirname(file), 'fresh'))
      await assert.rejects(importShare(fresh, `${file}-2`, wrong, clock), { code: 'KEY_SEALED' })
      const whole = fs.readFileSync(`${file}-2`, 'utf8')
      for (const [text, code] of [
        ['{', 'STORE'],
        ['{"version": 1}', 'RECORD_INVALID'],
        ['{"version": 3}', 'NEWER_STORE'],
        [fs.readFileSync(path.join(others[0].keys, 'root.json'), 'utf8'), 'RECORD_INVALID'],
        [whole.replace(/"sealed": "..../, '"sealed": "AAAA'), 'KEY_SEALED'],
      ] as const) {
        fs.writeFileSync(`${file}-2`, text)
        await assert.rejects(
          importShare(fresh, `${file}-2`, ask, clock),
          { code },
          text.slice(0, 40),
        )
      }
      const chain = await on(safe, ({ registry }) => registry.identityOps(registry.publisher))
      const { publisher } = await on(safe, ({ registry }) => registry)
      const seal = new Seal(secret, CHEAP)
      const strange = { publisher, operations: chain, sets: [rootSetOf([seedOf('strange')], 1)] }
      writeShare(`${file}-2`, strange, seal)
      await assert.rejects(importShare(fresh, `${file}-2`, ask, clock), {
        code: 'IDENTITY_INVALID',
      })
      writeShare(`${file}-2`, { ...strange, operations: chain.slice(1) }, seal)
      await assert.rejects(importShare(fresh, `${file}-2`, ask, clock), { code: 'STORE' })
      const purposes = { purpose: 'root-share', publisher, operations: [] }
      for (const value of [purposes, { ...purposes, sets: 7 }, { purpose: null }]) {
        writeSecret(`${file}-2`, value, seal)
        await assert.rejects(importShare(fresh, `${file}-2`, ask, clock))
      }
      assert.equal(fs.existsSync(fresh.identity), false)
      fs.truncateSync(`${file}-2`, MAX_SHARE_BYTES)
      await assert.rejects(importShare(fresh, `${file}-2`, ask, clock), { code: 'STORE' })
      fs.truncateSync(`${file}-2`, MAX_SHARE_BYTES + 1)
      await assert.rejects(importShare(fresh, `${file}-2`, ask, clock), { code: 'LIMIT' })
    })
  })

  it('refuses other files', async () => {
    await write(node)
    const other = dataFolder(path.join(temporaryFolder(), 'other'))
    await initialise(other, { displayName: 'Other' }, clock)
    await assert.rejects(take(other), { code: 'IDENTITY_INVALID' })
    fs.writeFileSync(file, '{"version": 1}')
    await assert.rejects(take(node), { code: 'TRUNCATED' })
    fs.truncateSync(file, MAX_BUNDLE_BYTES + 1)
    await assert.rejects(take(node), { code: 'LIMIT' })
    fs.rmSync(file)
    await assert.rejects(take(node), { code: 'NOT_FOUND' })
  })
})

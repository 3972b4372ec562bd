import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { toHex } from '../../protocol/bytes.ts'
import { cidOf } from '../../protocol/cid.ts'
import { publicKeyOf } from '../../protocol/crypto.ts'
import { expectOk, type ZoariumError } from '../../protocol/errors.ts'
import { signHead } from '../../protocol/head.ts'
import { readIdentity } from '../../protocol/identity.ts'
import { MAX_CLOCK_AHEAD_MS, MAX_DELEGATION_MS, MAX_ROOT_KEYS } from '../../protocol/limits.ts'
import type { SignedRecord } from '../../protocol/record.ts'
import type { Scope } from '../../protocol/scope.ts'
import type { Catalogue } from '../../registry/catalogue.ts'
import { type DataFolder, dataFolder } from '../../registry/data-folder.ts'
import { readIdentityFile, readRootSets, readSeed } from '../../registry/key-files.ts'
import { initialise, openRegistry } from '../../registry/open-registry.ts'
import { OwnKeys } from '../../registry/own-keys.ts'
import { RENEWAL_NOTICE_MS } from '../../registry/renewal.ts'
import type { SealSecret } from '../../registry/seal.ts'
import { temporaryFolder } from '../helpers/folder.ts'
import { seedOf, utf8 } from '../helpers/publisher.ts'
import { TestClock, testRegistry } from '../helpers/test-registry.ts'

const PROFILE = { label: 'embl', displayName: 'EMBL', handle: null, url: null, ror: null }
const DAY_MS = 24 * 3600 * 1000

describe('registry/own-keys', () => {
  let folder: DataFolder
  let clock: TestClock
  let n = 0
  beforeEach(async () => {
    folder = dataFolder(path.join(temporaryFolder(), 'node'))
    clock = new TestClock()
    await initialise(folder, { displayName: 'EMBL' }, clock)
  })

  /** Opens the folder, as each command does, and lets go of it. */
  async function keys<T>(
    work: (own: OwnKeys, opened: Awaited<ReturnType<typeof openRegistry>>) => T,
  ): Promise<T> {
    const opened = await openRegistry(folder, clock)
    const randomSeed = () => seedOf(`new ${n++}`)
    try {
      return work(new OwnKeys(opened, clock, { randomSeed }), opened)
    } finally {
      await opened.close()
    }
  }
  const keyOf = (scope: Scope): string =>
    toHex(publicKeyOf(readSeed(folder, scope, null) ?? assert.fail('no seed')))
  const onDisk = () => expectOk(readIdentity(readIdentityFile(folder).operations))
  const device = (key: string) => keys((own) => own.device(key))

  it('shows what a new node has', async () => {
    const { identity, rootsHere, isNextHere, devices } = await keys((own) => own.overview())
    assert.deepEqual([identity.length, identity.threshold], [3, 1])
    assert.deepEqual([rootsHere, isNextHere], [identity.roots, true])
    assert.deepEqual(
      devices.map(({ scope, state, isHere, last }) => [scope, state, isHere, last?.seq ?? null]),
      [
        ['publish', 'active', true, 0],
        ['serve', 'active', true, null],
      ],
    )
  })

  it('finds a key by its first digits', async () => {
    const key = keyOf('serve')
    assert.equal((await device(key.slice(0, 8))).key, key)
    await assert.rejects(device(key.slice(0, 7)), { code: 'USAGE' })
    await assert.rejects(device('0'.repeat(64)), { code: 'NOT_FOUND' })
  })

  it('renews keys for 400 days from now, cut at the newest record', async () => {
    clock.time += 380 * DAY_MS
    assert.deepEqual(
      (await keys((own) => own.overview())).devices.map(({ state }) => state),
      ['expiring', 'expiring'],
    )
    await keys((own) => own.renew(own.renewable('publish').map(({ key }) => key)))
    const publish = await device(keyOf('publish'))
    assert.equal(publish.notAfter, clock.time + MAX_DELEGATION_MS)
    assert.deepEqual(publish.cuts, [{ last: publish.last, epoch: 0 }])
    assert.equal((await device(keyOf('serve'))).state, 'expiring')
    assert.equal(onDisk().length, 4)
    // The log goes on.
    clock.time += 60 * DAY_MS
    const { record } = await keys((_, { registry }) => registry.publishProfile(PROFILE))
    assert.equal(record.seq, 1)
    assert.equal((await device(keyOf('serve'))).state, 'expired')
  })

  it('says from 30 days before its end on that a key is expiring', async () => {
    const { key, notAfter } = await device(keyOf('publish'))
    clock.time = notAfter - RENEWAL_NOTICE_MS - 1
    assert.equal((await device(key)).state, 'active')
    clock.time += 1
    assert.equal((await device(key)).state, 'expiring')
    clock.time = notAfter + 1
    assert.equal((await device(key)).state, 'expired')
  })

  it('revokes a key at the newest record and delegates a new one', async () => {
    const old = keyOf('publish')
    await keys((own) => own.revoke(old, 'lost'))
    await assert.rejects(
      keys((_, { registry }) => registry.publishProfile(PROFILE)),
      { code: 'KEY_REVOKED' },
    )
    const key = await keys((own) => own.delegate('publish'))
    assert.equal(keyOf('publish'), key)
    const made = await device(key)
    assert.deepEqual([made.state, made.isHere], ['active', true])
    assert.equal(made.notAfter, clock.time - MAX_CLOCK_AHEAD_MS + MAX_DELEGATION_MS)
    assert.deepEqual([(await device(old)).state, (await device(old)).isHere], ['revoked', false])
    await keys((_, { registry }) => {
      const signed = registry.publishProfile(PROFILE)
      assert.deepEqual([signed.record.key, signed.record.seq], [key, 0])
    })
  })

  it('makes void what stands after the place that is named', async () => {
    const key = keyOf('publish')
    const lost = await keys((_, { registry }) => registry.publishProfile(PROFILE))
    const place = { epoch: 0, seq: 7 }
    await assert.rejects(
      keys((own) => own.revoke(key, 'stolen', place)),
      { code: 'NOT_FOUND' },
    )
    await keys((own, { registry }) => {
      own.revoke(key, 'stolen', { epoch: 0, seq: 0 })
      assert.throws(() => registry.record(lost.id), { code: 'NOT_FOUND' })
    })
    assert.equal((await device(key)).last?.seq, 0)
    await assert.rejects(
      keys((own) => own.revoke(key, 'lost')),
      { code: 'KEY_REVOKED' },
    )
  })

  it('voids what somebody else signed, and goes on in a new epoch', async () => {
    const key = keyOf('publish')
    const strange = await keys((_, { registry }) => registry.publishProfile(PROFILE))
    await assert.rejects(
      keys((own) => own.heal(key, { epoch: 0, seq: 0 })),
      { code: 'USAGE' },
    )
    await keys((own, { registry }) => {
      own.raiseEpoch(key, { epoch: 0, seq: 0 })
      assert.throws(() => registry.record(strange.id), { code: 'NOT_FOUND' })
      const { record } = registry.publishProfile(PROFILE)
      assert.deepEqual([record.epoch, record.seq], [1, 0])
      assert.equal(record.prev, own.device(key).cuts[0]?.last?.tip)
    })
    await keys((own) => own.raiseEpoch(keyOf('serve'), 'none'))
    assert.deepEqual((await device(keyOf('serve'))).cuts, [{ last: null, epoch: 1 }])
    // The root has vouched for what it named.
    await assert.rejects(
      keys((own) => own.raiseEpoch(key, 'none')),
      { code: 'IDENTITY_INVALID' },
    )
  })

  it('undoes a thief who ran ahead in the log, and a replica follows', async () => {
    const key = keyOf('publish')
    const replica = (await testRegistry('replica')).registry
    const { publisher } = await keys((_, { registry }) => registry)
    replica.setTrust({ publisher, right: 'list' })
    const copy = dataFolder(path.join(temporaryFolder(), 'thief'))
    fs.cpSync(folder.path, copy.path, { recursive: true })
    const stolen = await openRegistry(copy, clock)
    const [one, two, three] = ['one', 'two', 'three'].map((label) =>
      stolen.registry.publishProfile({ ...PROFILE, label }),
    ) as [SignedRecord, SignedRecord, SignedRecord]
    await stolen.close()

    /** Brings the chain and the records of the own log to the replica. */
    const follow = () =>
      keys((_, { registry }) => {
        expectOk(replica.admitIdentity(publisher, registry.identityOps(publisher), 0))
        const records = registry.catalogue.recordsAfter(publisher, key, null, 10)
        for (const { envelope } of records) expectOk(replica.admitRecord(envelope, null))
      })
    const tipOf = (registry: { catalogue: Catalogue }) =>
      registry.catalogue.log(publisher, key)?.tip
    await follow()
    for (const { envelope } of [one, two]) {
      expectOk(replica.admitRecord(envelope, null))
      await keys((_, { registry }) => expectOk(registry.admitRecord(envelope, null)))
    }
    assert.equal(replica.profile(publisher)?.label, 'two')

    await keys((own) => own.raiseEpoch(key, { epoch: 0, seq: 0 }))
    await keys((_, { registry }) => registry.publishProfile({ ...PROFILE, label: 'ours' }))
    await follow()
    assert.equal(replica.profile(publisher)?.label, 'ours')
    assert.equal(tipOf(replica), await keys((_, { registry }) => tipOf(registry)))
    const late = replica.admitRecord(three.envelope, null)
    assert.equal(late.ok || late.code, 'SEQ')
  })

  describe('a log that forked', () => {
    let key: string
    let ours: SignedRecord
    let theirs: SignedRecord
    /** The key was used on a copy of the machine, and its record comes here. */
    beforeEach(async () => {
      key = keyOf('publish')
      const copy = dataFolder(path.join(temporaryFolder(), 'copy'))
      fs.cpSync(folder.path, copy.path, { recursive: true })
      ours = await keys((_, { registry }) => registry.publishProfile(PROFILE))
      const opened = await openRegistry(copy, clock)
      theirs = opened.registry.publishProfile({ ...PROFILE, label: 'copy' })
      await opened.close()
      await keys((_, { registry }) => {
        const verdict = registry.admitRecord(theirs.envelope, null)
        assert.equal(verdict.ok || verdict.code, 'EQUIVOCATION')
      })
    })
    const publish = () => keys((_, { registry }) => registry.publishProfile(PROFILE))

    it('signs nothing, and is not renewed or revoked unseen', async () => {
      await assert.rejects(publish(), ({ code, data }: ZoariumError) => {
        assert.match(data.hint ?? '', new RegExp(`keys heal ${key.slice(0, 16)} --at 0.1$`))
        return code === 'CONTESTED'
      })
      await assert.rejects(
        keys((own) => own.renew([key])),
        { code: 'CONTESTED' },
      )
    })

    it('is healed for the branch that is here', async () => {
      await keys((own) => own.heal(key, { epoch: 0, seq: 1 }))
      const { record } = await publish()
      assert.deepEqual([record.epoch, record.seq, record.prev], [1, 0, ours.id])
      await keys((own) => own.renew([key]))
    })

    it('is healed for the other branch, and waits for its records', async () => {
      await keys((own) => own.heal(key, theirs.id))
      await assert.rejects(publish(), { code: 'SELF_UNSURE' })
      await keys((_, { registry }) => expectOk(registry.admitRecord(theirs.envelope, null)))
      const { record } = await publish()
      assert.deepEqual([record.epoch, record.seq, record.prev], [1, 0, theirs.id])
    })

    it('is healed for what stood before', async () => {
      await keys((own) => own.heal(key, { epoch: 0, seq: 0 }))
      assert.deepEqual((await publish()).record.epoch, 1)
      await assert.rejects(
        keys((own) => own.heal(key, ours.id)),
        { code: 'USAGE' },
      )
    })

    it('is not healed for a record that nobody knows', async () => {
      for (const at of [{ epoch: 0, seq: 2 }, cidOf('dag-cbor', seedOf('nobody'))]) {
        await assert.rejects(
          keys((own) => own.heal(key, at)),
          { code: 'NOT_FOUND' },
        )
      }
    })
  })

  it('delegates keys of other machines, whose log it does not cut unseen', async () => {
    const other = toHex(publicKeyOf(seedOf('another machine')))
    await keys((own) => own.delegate('serve', other))
    assert.equal((await device(other)).isHere, false)
    await assert.rejects(
      keys((own) => own.revoke(other, 'lost')),
      { code: 'GAP' },
    )
    await keys((own) => own.revoke(other, 'lost', 'none'))
    assert.deepEqual((await device(other)).cuts, [{ last: null, epoch: null }])
    await assert.rejects(
      keys((own) => own.delegate('serve', '00'.repeat(32))),
      { code: 'KEY_WEAK' },
    )
  })

  it('names a record of another machine by the id that its head gives', async () => {
    const seed = seedOf('another machine')
    const other = toHex(publicKeyOf(seed))
    const tip = cidOf('dag-cbor', seed)
    await keys((own) => own.delegate('publish', other))
    await keys((own, { registry }) => {
      const { publisher } = registry
      const times = { issued: clock.time, expires: clock.time + 1000 }
      const head = signHead({ publisher, key: other, epoch: 0, seq: 7, tip, ...times }, seed)
      expectOk(registry.admitHead(head))
      assert.throws(() => own.revoke(other, 'lost', { epoch: 0, seq: 7 }), { code: 'NOT_FOUND' })
      assert.throws(() => own.revoke(other, 'lost', cidOf('raw', seed)), { code: 'NOT_FOUND' })
      own.revoke(other, 'lost', tip)
      assert.deepEqual(own.device(other).cuts[0]?.last, { epoch: 0, seq: 7, tip })
    })
  })

  it('signs no operation but a rotation while the identity has forked', async () => {
    const copy = dataFolder(path.join(temporaryFolder(), 'copy'))
    fs.cpSync(folder.path, copy.path, { recursive: true })
    await keys((own) => own.renew([keyOf('serve')]))
    const opened = await openRegistry(copy, clock)
    clock.time += 1
    new OwnKeys(opened, clock).renew([keyOf('serve')])
    const theirs = opened.registry.identityOps(opened.registry.publisher)
    await opened.close()
    await keys((own, { registry }) => {
      registry.admitIdentity(registry.publisher, theirs, 0)
      assert.throws(() => own.renew([keyOf('serve')]), { code: 'CONTESTED' })
      assert.throws(() => registry.publishProfile(PROFILE), /keys rotate|forked/)
      own.rotate()
      assert.equal(registry.isFrozen(registry.publisher), false)
      own.renew([keyOf('serve')])
    })
  })

  it('makes no second key of a scope for a machine', async () => {
    await assert.rejects(
      keys((own) => own.delegate('serve')),
      { code: 'USAGE' },
    )
    assert.equal(onDisk().length, 3)
  })

  it('cuts no log of which this machine has signed more than it knows', async () => {
    const backup = fs.readFileSync(folder.catalogue)
    await keys((_, { registry }) => {
      registry.signer.share(registry.publishProfile(PROFILE).record.key)
    })
    fs.writeFileSync(folder.catalogue, backup)
    await assert.rejects(
      keys((own) => own.revoke(keyOf('publish'), 'superseded')),
      { code: 'SELF_UNSURE' },
    )
  })

  it('confides in an audience with a key of its own', async () => {
    const [a, b] = ['a', 'b'].map((name) => cidOf('dag-cbor', utf8(name))).sort()
    assert(a && b)
    const rosters = [
      { publisher: b, name: 'x' },
      { publisher: a, name: 'y' },
    ]
    const key = await keys((own) => own.confide({ publishers: [b, a, b], rosters }))
    const found = onDisk().devices.find((each) => each.key === key)
    assert.deepEqual(
      [found?.scope, found?.audience],
      ['publish', { publishers: [a, b], rosters: rosters.toReversed() }],
    )
    const [last] = (await keys((own) => own.overview())).devices.slice(-1)
    assert.deepEqual([last?.key, last?.isHere], [key, true])
    const again = keys((own) => own.confide({ publishers: [], rosters: [] }))
    await assert.rejects(again, { code: 'USAGE' })
    await keys((own) => own.revoke(key, 'superseded', 'none'))
    await keys((own) => own.confide({ publishers: [], rosters: [] }))
  })

  it('names a steward, and nobody any more', async () => {
    const steward = cidOf('dag-cbor', utf8('steward'))
    await keys((own) => own.succeed(steward))
    assert.equal(onDisk().steward, steward)
    const { publisher } = onDisk()
    await assert.rejects(
      keys((own) => own.succeed(publisher)),
      { code: 'IDENTITY_INVALID' },
    )
    await keys((own) => own.succeed(null))
    assert.equal(onDisk().steward, undefined)
  })

  it('rotates to the keys that were committed to, again and again', async () => {
    const [, committed] = readRootSets(folder, null)
    for (const rotations of [1, 2, 3]) {
      await keys((own) => own.rotate())
      const { identity, rootsHere, isNextHere } = await keys((own) => own.overview())
      assert.equal(identity.rotations, rotations)
      assert.deepEqual([rootsHere, isNextHere], [identity.roots, true])
      if (rotations === 1) assert.deepEqual(identity.roots, committed?.keys)
      assert.equal(readRootSets(folder, null).length, 2)
    }
  })

  it('changes the threshold by two rotations, and signs with all keys then', async () => {
    await keys((own) => own.threshold(2, 3))
    const { identity } = await keys((own) => own.overview())
    assert.deepEqual([identity.threshold, identity.roots.length], [2, 3])
    assert.equal(identity.rotations, 2)
    await keys((own) => own.rotate())
    await keys((own) => own.renew([keyOf('serve')]))
    assert.equal(onDisk().threshold, 2)
    await keys((own) => own.threshold(1, MAX_ROOT_KEYS))
    await keys((own) => own.threshold(1, 1))
    for (const [k, n] of [
      [0, 1],
      [3, 2],
      [1, MAX_ROOT_KEYS + 1],
    ] as const) {
      await assert.rejects(
        keys((own) => own.threshold(k, n)),
        { code: 'THRESHOLD' },
      )
    }
  })

  it('signs with as many root keys as are here, and says where that is too few', async () => {
    await keys((own) => own.threshold(2, 3))
    const file = path.join(folder.keys, 'root.json')
    const root = JSON.parse(fs.readFileSync(file, 'utf8'))
    root.sets[0].seeds.pop()
    fs.writeFileSync(file, JSON.stringify(root))
    assert.equal((await keys((own) => own.overview())).rootsHere.length, 2)
    await keys((own) => own.renew([keyOf('serve')]))
    root.sets[0].seeds.pop()
    fs.writeFileSync(file, JSON.stringify(root))
    clock.time += 1
    await assert.rejects(
      keys((own) => own.renew([keyOf('serve')])),
      { code: 'THRESHOLD_NOT_MET' },
    )
    root.sets[0].keys.pop()
    fs.writeFileSync(file, JSON.stringify({ ...root, sets: [{ ...root.sets[0], keys: [] }] }))
    await assert.rejects(
      keys((own) => own.overview()),
      { code: 'STORE' },
    )
    fs.rmSync(file)
    assert.deepEqual((await keys((own) => own.overview())).rootsHere, [])
    await assert.rejects(
      keys((own) => own.rotate()),
      { code: 'SCOPE' },
    )
  })

  it('reads the first form of the root key file', async () => {
    const sets = readRootSets(folder, null)
    const [seeds, nextSeeds] = sets.map((set) => set.seeds.map((seed) => toHex(seed)))
    const first = { version: 1, purpose: 'root', threshold: 1, seeds, nextSeeds }
    fs.writeFileSync(path.join(folder.keys, 'root.json'), JSON.stringify(first))
    assert.deepEqual(readRootSets(folder, null), sets)
    await keys((own) => own.rotate())
  })

  describe('sealed', () => {
    const CHEAP = { n: 16, r: 1, p: 1 }
    const secretOf = (text: string): SealSecret => ({ by: 'passphrase', text })
    const ask = async () => secretOf('correct horse')
    const sealed = async <T>(work: (own: OwnKeys) => T, passphrase = 'correct horse') => {
      const opened = await openRegistry(folder, clock, async () => secretOf(passphrase))
      try {
        return await work(new OwnKeys(opened, clock))
      } finally {
        await opened.close()
      }
    }
    const textOf = (name: string) => fs.readFileSync(path.join(folder.keys, name), 'utf8')
    const files = ['root.json', 'publish.json', 'serve.json']

    it('shows no seed on disk, and works on with the passphrase', async () => {
      const before = files.map((name) => textOf(name))
      await sealed((own) => own.seal(ask, CHEAP))
      const seed = /"seeds?": (?:\[\s*)?"([0-9a-f]{64})"/
      files.forEach((name, index) => {
        const secret = seed.exec(before[index] ?? '')?.[1] ?? assert.fail('no seed')
        assert.ok(!textOf(name).includes(secret))
        assert.equal(fs.statSync(path.join(folder.keys, name)).mode & 0o777, 0o600)
      })
      await sealed((own) => own.threshold(2, 3))
      await sealed((own) => own.revoke(own.renewable('publish')[0]?.key ?? '', 'lost'))
      await sealed((own) => own.delegate('publish'))
      const { isSealed, rootsHere, devices } = await sealed((own) => own.overview())
      assert.deepEqual([isSealed, rootsHere.length, devices.at(-1)?.isHere], [true, 3, true])
      const { n, r, p } = JSON.parse(textOf('root.json'))
      assert.deepEqual({ n, r, p }, CHEAP)
      await sealed((own) => own.unseal())
      assert.equal((await keys((own) => own.overview())).rootsHere.length, 3)
    })

    it('opens to its passphrase only', async () => {
      await sealed((own) => own.seal(ask, CHEAP))
      for (const wrong of ['correct horsf', 'correct horse ', '']) {
        await assert.rejects(
          sealed((own) => own.overview(), wrong),
          { code: 'KEY_SEALED' },
        )
      }
      await assert.rejects(openRegistry(folder, clock), { code: 'KEY_SEALED' })
      await assert.rejects(
        sealed((own) => own.seal(ask, CHEAP)),
        { code: 'USAGE' },
      )
    })

    it('opens to its key file, and says so to a passphrase', async () => {
      const file = (text: string): SealSecret => ({ by: 'key-file', bytes: utf8(text) })
      const asked: string[] = []
      const open = async (secret: SealSecret) => {
        const opened = await openRegistry(folder, clock, async (by) => {
          asked.push(by)
          return secret
        })
        await opened.close()
      }
      await sealed((own) => own.seal(async () => file('x'.repeat(32)), CHEAP))
      await open(file('x'.repeat(32)))
      await assert.rejects(open(file('y'.repeat(32))), { code: 'KEY_SEALED' })
      await assert.rejects(open(secretOf('x'.repeat(32))), /sealed under a key file/)
      assert.deepEqual([...new Set(asked)], ['key-file'])
      await assert.rejects(open(file('')), { code: 'KEY_SEALED' })
    })

    it('reads keys that were sealed before there were key files', async () => {
      await sealed((own) => own.seal(ask, CHEAP))
      for (const name of files) {
        const { by, ...older } = JSON.parse(textOf(name))
        assert.equal(by, 'passphrase')
        fs.writeFileSync(path.join(folder.keys, name), JSON.stringify(older))
      }
      assert.equal((await sealed((own) => own.overview())).isSealed, true)
    })

    it('goes on where it was killed with some files sealed', async () => {
      const open = textOf('serve.json')
      await sealed((own) => own.seal(ask, CHEAP))
      fs.writeFileSync(path.join(folder.keys, 'serve.json'), open)
      assert.equal((await sealed((own) => own.overview())).isSealed, false)
      await sealed((own) => own.seal(() => assert.fail('it has one'), CHEAP))
      assert.equal((await sealed((own) => own.overview())).isSealed, true)
    })

    it('stops at damaged files', async () => {
      await sealed((own) => own.seal(ask, CHEAP))
      const whole = JSON.parse(textOf('publish.json'))
      const cases = [
        { n: 17 },
        { n: 2 ** 40 },
        { r: 0 },
        { p: 17 },
        { kdf: 'argon2' },
        { by: 'voice' },
        { nonce: 'AAAA' },
        { sealed: 7 },
      ]
      for (const change of cases) {
        const text = JSON.stringify({ ...whole, ...change })
        fs.writeFileSync(path.join(folder.keys, 'publish.json'), text)
        await assert.rejects(
          sealed((own) => own.overview()),
          { code: 'STORE' },
        )
      }
    })
  })
})

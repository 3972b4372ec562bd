import assert from 'node:assert/strict'
import type { Code, Verdict } from '../../protocol/errors.ts'
import { expectOk } from '../../protocol/errors.ts'
import { readHead } from '../../protocol/head.ts'
import { LEAF_BYTES } from '../../protocol/limits.ts'
import type { BlobStore } from '../../registry/blob-store.ts'
import { memoryLedger } from '../../registry/ledger.ts'
import { HEAD_RENEWAL_MS } from '../../registry/own-log.ts'
import type { Registry } from '../../registry/registry.ts'
import { Signer } from '../../registry/signer.ts'
import { memoryTrust, TrustBook } from '../../registry/trust-file.ts'
import { seedOf, TestPublisher, utf8 } from '../helpers/publisher.ts'
import { keepFiles } from '../helpers/registry.ts'
import { admit, introduce, type TestClock, testRegistry } from '../helpers/test-registry.ts'
import { inChunks, someBytes } from '../suites/blob-store.ts'

const refused = (verdict: Verdict<unknown>, code: Code): string => {
  assert(!verdict.ok, `expected ${code}`)
  assert.equal(verdict.code, code)
  return verdict.hint ?? ''
}
const put = (blobs: BlobStore, bytes: Uint8Array) => blobs.put(inChunks(bytes, 65_536), 1e9)

describe('registry/registry', () => {
  let registry: Registry
  let clock: TestClock
  let own: TestPublisher
  let embl: TestPublisher
  let crick: TestPublisher
  beforeEach(async () => {
    ;({ registry, clock, own } = await testRegistry())
    embl = new TestPublisher('embl')
    crick = new TestPublisher('crick')
  })

  describe('resolving publishers', () => {
    it('takes ids, petnames and labels', () => {
      const id = introduce(registry, embl)
      expectOk(registry.admitRecord(embl.profile('embl').envelope, null))
      registry.setTrust({ publisher: id, right: 'list', petname: 'heidelberg' })
      for (const text of [id, 'heidelberg', 'embl']) {
        assert.equal(expectOk(registry.resolvePublisher(text)), id)
      }
      refused(registry.resolvePublisher('nobody'), 'NOT_FOUND')
    })

    it('finds a stranger by its label, so that it can be trusted', () => {
      introduce(registry, embl, 'see')
      expectOk(registry.admitProfile(embl.profile('embl').envelope))
      assert.equal(expectOk(registry.resolvePublisher('embl')), embl.publisher)
    })

    it('does not let a stranger take the label of a publisher that is listed', () => {
      introduce(registry, embl)
      introduce(registry, crick, 'see')
      expectOk(registry.admitRecord(embl.profile('embl').envelope, null))
      expectOk(registry.admitProfile(crick.profile('embl').envelope))
      assert.equal(expectOk(registry.resolvePublisher('embl')), embl.publisher)
    })

    it('names the ids where a label fits several', () => {
      for (const each of [embl, crick]) {
        introduce(registry, each)
        expectOk(registry.admitRecord(each.profile('imaging').envelope, null))
      }
      const hint = refused(registry.resolvePublisher('imaging'), 'AMBIGUOUS')
      assert(hint.includes(embl.publisher) && hint.includes(crick.publisher))
      registry.setTrust({ publisher: crick.publisher, right: 'list', petname: 'imaging' })
      assert.equal(expectOk(registry.resolvePublisher('imaging')), crick.publisher)
    })
  })

  describe('resolving models', () => {
    beforeEach(() => {
      introduce(registry, embl)
      expectOk(registry.admitRecord(embl.profile('embl').envelope, null))
    })
    const version = (ref: string): string => expectOk(registry.resolve(ref)).version

    it('takes the newest position that is not withdrawn, unless told otherwise', () => {
      const first = admit(registry, embl.model({ name: 'a', version: '2.0.0' }))
      const second = admit(registry, embl.model({ name: 'a', version: '1.9.9' }))
      assert.equal(version('embl/a'), '1.9.9')
      assert.equal(version('embl/a@latest'), '1.9.9')
      assert.equal(version('embl/a@2.0.0'), '2.0.0')
      assert.equal(version(`${embl.publisher}/a@2.0.0`), '2.0.0')
      assert.equal(version(second), '1.9.9')
      expectOk(registry.admitRecord(embl.withdraw(second).envelope, null))
      assert.equal(version('embl/a'), '2.0.0')
      assert.equal(expectOk(registry.resolve('embl/a@1.9.9')).withdrawn, 'yank')
      expectOk(registry.admitRecord(embl.withdraw(first, 'recall').envelope, null))
      assert.match(refused(registry.resolve('embl/a'), 'NOT_FOUND'), /1\.9\.9/)
    })

    it('follows tags', () => {
      const first = admit(registry, embl.model({ name: 'a', version: '1.0.0' }))
      admit(registry, embl.model({ name: 'a', version: '2.0.0' }))
      expectOk(registry.admitRecord(embl.tag('a', 'stable', first).envelope, null))
      assert.equal(version('embl/a@stable'), '1.0.0')
      refused(registry.resolve('embl/a@beta'), 'NOT_FOUND')
    })

    it('names the versions that there are', () => {
      admit(registry, embl.model({ name: 'a', version: '1.0.0' }))
      assert.match(refused(registry.resolve('embl/a@3'), 'NOT_FOUND'), /1\.0\.0/)
      refused(registry.resolve('embl/b'), 'NOT_FOUND')
      refused(registry.resolve('nobody/a'), 'NOT_FOUND')
      refused(registry.resolve('embl/'), 'REF')
      refused(registry.resolve(''), 'REF')
    })

    it('refuses to choose where one version was published twice', () => {
      const ids = [utf8('one'), utf8('two')].map((weights) =>
        admit(registry, embl.model({ name: 'a', weights })),
      )
      const hint = refused(registry.resolve('embl/a@1.0.0'), 'VERSION_CONFLICT')
      for (const id of ids) {
        assert(hint.includes(id))
        assert.equal(expectOk(registry.resolve(id)).record, id)
      }
      refused(registry.resolve('embl/a'), 'VERSION_CONFLICT')
      expectOk(registry.admitRecord(embl.withdraw(ids[0] ?? assert.fail()).envelope, null))
      assert.equal(expectOk(registry.resolve('embl/a@1.0.0')).record, ids[1])
    })

    it('finds old names: one model however many published it, ambiguous where roots differ', () => {
      introduce(registry, crick)
      const same = { card: utf8('card'), weights: utf8('weights'), aliases: ['affable-shark'] }
      admit(registry, embl.model({ name: 'shark', ...same }))
      admit(registry, crick.model({ name: 'fish', ...same }))
      assert.equal(expectOk(registry.resolve('affable-shark')).aliases[0], 'affable-shark')
      const other = { weights: utf8('others'), aliases: ['affable-shark'] }
      admit(registry, crick.model({ name: 'whale', ...other }))
      refused(registry.resolve('affable-shark'), 'AMBIGUOUS')
      refused(registry.resolve('lonely-shark'), 'NOT_FOUND')
    })

    it('takes the newest of a model whose versions share an old name', () => {
      for (const each of ['1', '2']) {
        admit(registry, embl.model({ name: 'a', version: each, aliases: ['10.5281/zenodo.7'] }))
      }
      assert.equal(version('10.5281/zenodo.7'), '2')
    })
  })

  describe('trust', () => {
    it('hides what may no longer be listed, and shows it again', () => {
      introduce(registry, embl)
      const id = admit(registry, embl.model({ name: 'a', aliases: ['shark'] }))
      assert.equal(registry.search({}).total, 1)
      assert.equal(registry.removeTrust(embl.publisher), true)
      assert.equal(registry.search({}).total, 0)
      for (const ref of [id, `${embl.publisher}/a`]) {
        assert(refused(registry.resolve(ref), 'TRUST').includes('zoarium trust add'))
      }
      refused(registry.resolve('shark'), 'NOT_FOUND')
      registry.setTrust({ publisher: embl.publisher, right: 'list' })
      assert.equal(registry.search({}).total, 1)
      assert.equal(registry.removeTrust(crick.publisher), false)
    })

    it('tells of each change, so that synchronising starts', () => {
      const seen: (string | null)[] = []
      const stop = registry.on('trust', ({ publisher }) => seen.push(publisher))
      registry.setTrust({ publisher: embl.publisher, right: 'list' })
      registry.removeTrust(embl.publisher)
      stop()
      registry.setTrust({ publisher: embl.publisher, right: 'run' })
      assert.deepEqual(seen, [embl.publisher, embl.publisher])
      assert(registry.trust.may(embl.publisher, 'run'))
    })
  })

  describe('own statements', () => {
    it('are signed, kept, and told of with a new head', () => {
      const seen: string[] = []
      registry.on('record', ({ id }) => seen.push(id))
      const heads: Uint8Array[] = []
      registry.on('head', ({ envelope }) => heads.push(envelope))
      const profile = { label: 'here', displayName: 'Here', handle: null, url: null, ror: null }
      const first = registry.publishProfile(profile)
      const second = registry.publishProfile({ ...profile, displayName: 'Here and now' })
      assert.deepEqual(seen, [first.id, second.id])
      assert.deepEqual([first.record.seq, second.record.seq], [0, 1])
      assert.equal(second.record.prev, first.id)
      assert.equal(registry.profile(own.publisher)?.displayName, 'Here and now')
      assert.deepEqual(registry.record(second.id), second)
      const tips = heads.map((head) => expectOk(readHead(head)).head.tip)
      assert.deepEqual(tips, [first.id, second.id])
    })

    it('replaces profiles so that one stands', () => {
      const profile = { label: 'here', displayName: 'Here', handle: null, url: null, ror: null }
      for (let n = 0; n < 5; n += 1) {
        registry.publishProfile({ ...profile, displayName: `Here ${n}` })
      }
      assert.equal(registry.profile(own.publisher)?.displayName, 'Here 4')
    })

    it('pass every other node', async () => {
      const { registry: other } = await testRegistry('other')
      const profile = { label: 'here', displayName: 'Here', handle: null, url: null, ror: null }
      const { envelope } = registry.publishProfile(profile)
      introduce(other, own)
      expectOk(other.admitRecord(envelope, null))
      for (const head of registry.heads()) assert(!expectOk(other.admitHead(head)).ahead)
    })

    it('renews heads after a day', () => {
      registry.publishProfile({ label: 'h', displayName: 'H', handle: null, url: null, ror: null })
      const [first] = registry.heads()
      clock.time += HEAD_RENEWAL_MS - 1
      assert.deepEqual(registry.heads(), [first])
      clock.time += 1
      const [renewed] = registry.heads()
      assert.notDeepEqual(renewed, first)
      assert.deepEqual(registry.heads(), [renewed])
    })

    it('signs nothing that its delegation does not cover, and keeps nothing then', () => {
      clock.time += 2 * 365 * 24 * 3600 * 1000
      const profile = { label: 'h', displayName: 'H', handle: null, url: null, ror: null }
      assert.throws(() => registry.publishProfile(profile), { code: 'KEY_EXPIRED' })
      assert.throws(() => registry.publishProfile({ ...profile, label: 'NO LABEL' }), {
        code: 'NAME',
      })
      assert.equal(registry.counts().records, 0)
      assert.deepEqual(registry.heads(), [])
    })

    it('ends a conflict of its profiles by saying once more who it is', () => {
      const other = seedOf('another machine')
      own.delegate('publish', other)
      expectOk(registry.admitIdentity(own.publisher, own.operations, 0))
      const profile = { label: 'h', displayName: 'H', handle: null, url: null, ror: null }
      const body = { ...profile, replaces: [] }
      const here = registry.publishProfile(profile)
      const there = own.record({ kind: 'profile', body }, {}, other)
      expectOk(registry.admitRecord(there.envelope, null))
      const [conflict] = registry.catalogue.conflicts()
      assert.deepEqual(conflict?.records.toSorted(), [here.id, there.id].sort())
      registry.publishProfile(profile)
      assert.deepEqual(registry.catalogue.conflicts(), [])
    })

    it('signs nothing more in a log of its own that has forked', () => {
      const twin = new TestPublisher('here')
      twin.now = clock.time
      const ours = registry.publishProfile({
        label: 'h',
        displayName: 'H',
        handle: null,
        url: null,
        ror: null,
      })
      const theirs = twin.profile('twin')
      refused(registry.admitRecord(theirs.envelope, null), 'EQUIVOCATION')
      const target = ours.id
      const body = { target, verb: 'yank', reason: 'wrong-output', note: '' } as const
      assert.throws(() => registry.append({ kind: 'withdraw', body }), { code: 'CONTESTED' })
    })

    it('takes its own records back from others, and then is sure again', async () => {
      const lost = await testRegistry('here')
      const profile = { label: 'h', displayName: 'H', handle: null, url: null, ror: null }
      const signed = registry.publishProfile(profile)
      const { key } = lost.registry.signer.device('publish')
      lost.registry.signer.prepare(key, { epoch: 0, seq: 0, id: signed.id }).commit()
      assert.throws(() => lost.registry.publishProfile(profile), { code: 'SELF_UNSURE' })
      expectOk(lost.registry.admitRecord(signed.envelope, null))
      const next = lost.registry.publishProfile(profile)
      assert.deepEqual([next.record.seq, next.record.prev], [1, signed.id])
    })
  })

  describe('taking back and tagging', () => {
    // Own models come in here as records, which spares a package.
    const publish = (version: string) =>
      admit(registry, own.model({ name: 'a', version, card: utf8(`version: ${version}`) }))
    const model = (ref: string) => expectOk(registry.resolve(`${own.publisher}/${ref}`))

    it('yanks: names skip it, its version still finds it', () => {
      const [first, second] = [publish('1.0.0'), publish('2.0.0')]
      const signed = registry.withdraw(model('a@2.0.0'), {
        verb: 'yank',
        reason: 'superseded',
        note: '',
      })
      assert.equal(signed.record.kind, 'withdraw')
      assert.equal(model('a').record, first)
      assert.equal(model('a@2.0.0').record, second)
      assert.equal(model('a@2.0.0').withdrawn, 'yank')
    })

    it('does not erase with the key of a machine', () => {
      publish('1.0.0')
      const erase = { verb: 'erase', reason: 'consent', note: '' } as const
      assert.throws(() => registry.withdraw(model('a'), erase), { code: 'SCOPE' })
      assert.equal(model('a').withdrawn, null)
    })

    it('erases with a key that the root gave for it, and restores while the bytes are here', async () => {
      const eraser = new TestPublisher('eraser')
      eraser.letErase()
      const seeds = { ...eraser.seeds, erase: eraser.eraseSeed }
      const { publisher } = eraser
      const signer = new Signer({ publisher, seeds, ledger: memoryLedger() })
      const trust = new TrustBook(memoryTrust(), publisher)
      const made = await testRegistry('eraser', { signer, trust })
      const { registry: node } = made
      expectOk(node.admitIdentity(publisher, eraser.operations.slice(-1), 3))
      const id = admit(node, eraser.model({ name: 'a' }))
      const row = () => node.catalogue.model(id) ?? assert.fail()
      const how = { reason: 'licence', note: '' }
      const restore = { verb: 'restore', ...how } as const
      assert.throws(() => node.withdraw(row(), restore), { code: 'USAGE' })
      for (let n = 0; n < 2; n += 1) node.withdraw(row(), { verb: 'erase', ...how })
      assert.equal(row().withdrawn, 'erase')
      // One restore for each erasure that stands.
      const signed = node.withdraw(row(), restore)
      assert.deepEqual([signed.record.key, signed.record.seq], [eraser.key('erase'), 3])
      assert.equal(row().withdrawn, null)
      node.withdraw(row(), { verb: 'erase', ...how })
      made.clock.time += 72 * 3600 * 1000
      await node.collect()
      assert.throws(() => node.withdraw(row(), restore), { code: 'BLOB_MISSING' })
    })

    it('moves a tag on', () => {
      const [first, second] = [publish('1.0.0'), publish('2.0.0')]
      registry.tag(model('a@1.0.0'), 'stable')
      assert.equal(model('a@stable').record, first)
      registry.tag(model('a@2.0.0'), 'stable')
      assert.equal(model('a@stable').record, second)
      assert.equal(registry.catalogue.tags(own.publisher, 'a', 'stable').length, 1)
    })

    it('refuses a tag that reads like a version', () => {
      publish('1.0.0')
      assert.throws(() => registry.tag(model('a'), '1.0'), { code: 'NAME' })
    })

    it("leaves others' models to them", () => {
      introduce(registry, embl)
      admit(registry, embl.model({ name: 'b' }))
      const foreign = expectOk(registry.resolve(`${embl.publisher}/b`))
      const how = { verb: 'recall', reason: 'wrong-output', note: '' } as const
      assert.throws(() => registry.withdraw(foreign, how), { code: 'SCOPE' })
      assert.throws(() => registry.tag(foreign, 'stable'), { code: 'SCOPE' })
    })
  })

  describe('files', () => {
    it('tells what of a model is here, and what is to be fetched', async () => {
      introduce(registry, embl, 'mirror')
      const model = embl.model({ name: 'a' })
      const id = admit(registry, model)
      assert.deepEqual(
        registry.holding(id).missing.map(({ path }) => path),
        ['rdf.yaml', 'weights.onnx'],
      )
      assert.deepEqual(registry.incompleteModels(), [id])
      registry.setTrust({ publisher: embl.publisher, right: 'run' })
      assert.deepEqual([...registry.runnableModels()], [])
      await keepFiles(registry, model)
      assert.deepEqual(registry.incompleteModels(), [])
      assert.deepEqual([...registry.runnableModels()], [id])
      assert.deepEqual(registry.holding(id), { complete: true, missing: [] })
      const lost = registry.catalogue.model(id)?.files[1]?.cid ?? assert.fail()
      await registry.blobs.remove(lost)
      assert.deepEqual(
        registry.holding(id).missing.map(({ cid }) => cid),
        [lost],
      )
      assert.deepEqual(registry.incompleteModels(), [id])
      assert.equal(registry.holding(own.publisher).complete, false)
    })

    it('fetches nothing that is only listed, nor what was recalled', () => {
      introduce(registry, embl, 'list')
      const id = admit(registry, embl.model({ name: 'a' }))
      assert.deepEqual(registry.incompleteModels(), [])
      registry.setTrust({ publisher: embl.publisher, right: 'mirror' })
      assert.equal(registry.incompleteModels().length, 1)
      expectOk(registry.admitRecord(embl.withdraw(id, 'recall').envelope, null))
      assert.deepEqual(registry.incompleteModels(), [])
    })

    it('shares what it mirrors', () => {
      introduce(registry, embl, 'list')
      const id = admit(registry, embl.model({ name: 'a' }))
      const cid = registry.catalogue.model(id)?.files[0]?.cid ?? assert.fail()
      assert.equal(registry.isShared(cid, null), false)
      registry.setTrust({ publisher: embl.publisher, right: 'mirror' })
      assert.equal(registry.isShared(cid, null), true)
      assert.equal(registry.isShared(own.publisher, null), false)
    })

    it('knows the tree of a file of one leaf, and keeps those of others', async () => {
      const small = await put(registry.blobs, someBytes(10))
      const large = await put(registry.blobs, someBytes(LEAF_BYTES + 1))
      assert.deepEqual(registry.tree(small.cid), [])
      assert.equal(registry.tree(large.cid), null)
      registry.keepTree(large.cid, large.nodes)
      assert.deepEqual(registry.tree(large.cid), large.nodes)
    })
  })

  it('says when a record is not here', () => {
    assert.throws(() => registry.record(own.publisher), { code: 'NOT_FOUND' })
  })
})

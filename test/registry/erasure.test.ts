import assert from 'node:assert/strict'
import path from 'node:path'
import * as fc from 'fast-check'
import { archiveOf } from '../../daemon/net/archive.ts'
import type { Cid } from '../../protocol/cid.ts'
import { expectOk } from '../../protocol/errors.ts'
import { LEAF_BYTES } from '../../protocol/limits.ts'
import type { Catalogue } from '../../registry/catalogue.ts'
import { ERASE_GRACE_MS, GC_GRACE_MS } from '../../registry/erasure.ts'
import { FileBlobs } from '../../registry/file-blobs.ts'
import { MemoryBlobs } from '../../registry/memory-blobs.ts'
import { MemoryCatalogue } from '../../registry/memory-catalogue.ts'
import { Registry, type RegistryParts } from '../../registry/registry.ts'
import { SqliteCatalogue } from '../../registry/sqlite-catalogue.ts'
import { temporaryFolder } from '../helpers/folder.ts'
import { lastOf, type TestModel, TestPublisher, utf8 } from '../helpers/publisher.ts'
import { keepFiles } from '../helpers/registry.ts'
import { admit, introduce, type TestClock, testRegistry } from '../helpers/test-registry.ts'

const YEAR_MS = 365 * 24 * 3600 * 1000

function erasureSuite(where: string, parts: () => Partial<RegistryParts>, orders: number): void {
  describe(`registry/erasure ${where}`, () => {
    let registry: Registry
    let all: RegistryParts
    let clock: TestClock
    let embl: TestPublisher
    let model: TestModel
    const shared = utf8('shared weights')
    beforeEach(async () => {
      ;({ registry, clock, parts: all } = await testRegistry('here', parts()))
      embl = new TestPublisher('embl')
      embl.letErase()
      introduce(registry, embl, 'run')
      model = embl.model({ name: 'a', weights: shared, aliases: ['shark'] })
      await take(model)
    })

    afterEach(() => all.catalogue.close())

    const take = async (each: TestModel): Promise<Cid> => {
      const id = admit(registry, each)
      await keepFiles(registry, each)
      return id
    }
    const say = (signed: { readonly envelope: Uint8Array }): void =>
      void expectOk(registry.admitRecord(signed.envelope, null))
    const erase = (target = model.signed.id) => {
      const signed = embl.withdraw(target, 'erase')
      say(signed)
      return signed
    }
    const isHere = (cid: Cid): boolean => registry.blobs.stat(cid) !== null
    const cids = ({ signed }: TestModel): Record<'card' | 'weights', Cid> => {
      assert(signed.record.kind === 'model')
      const [card, weights] = signed.record.body.files.map(({ cid }) => cid)
      return { card, weights } as Record<'card' | 'weights', Cid>
    }
    const sharedNow = (): boolean[] =>
      Object.values(cids(model)).map((cid) => registry.isShared(cid, null))
    const refusal = (ref: string): string | null => {
      const found = registry.resolve(ref)
      return found.ok ? null : found.code
    }
    const cardSent = (): Uint8Array | null => {
      const { publisher, key, epoch, seq } = model.signed.record
      const sent = archiveOf(registry).recordAt(publisher, key, { epoch, seq })
      assert(sent)
      return sent.card
    }

    it('shows, serves and sends nothing of an erased model at once, and keeps the record', () => {
      assert.deepEqual(sharedNow(), [true, true])
      erase()
      assert.deepEqual(sharedNow(), [false, false])
      for (const ref of [model.signed.id, `${embl.publisher}/a@1.0.0`]) {
        assert.equal(refusal(ref), 'ERASED')
      }
      assert.equal(refusal('shark'), 'ERASED')
      assert.equal(refusal(`${embl.publisher}/a`), 'NOT_FOUND')
      assert.equal(registry.search({}).total, 0)
      assert.equal(cardSent(), null)
      assert.deepEqual([...registry.runnableModels()], [])
      assert.deepEqual(registry.record(model.signed.id), model.signed)
    })

    it('deletes after 72 hours, counted from when this node learned of it', async () => {
      const { card, weights } = cids(model)
      erase()
      clock.time += ERASE_GRACE_MS - 1
      assert.deepEqual(await registry.collect(), { count: 0, bytes: 0 })
      assert(isHere(card) && isHere(weights) && registry.catalogue.card(card) !== null)
      clock.time += 1
      const bytes = model.card.length + shared.length
      assert.deepEqual(await registry.collect(), { count: 2, bytes })
      assert(!isHere(card) && !isHere(weights))
      assert.equal(registry.catalogue.card(card), null)
      assert.equal(refusal(model.signed.id), 'ERASED')
      assert.deepEqual(registry.record(model.signed.id), model.signed)
      assert.deepEqual(await registry.collect(), { count: 0, bytes: 0 })
    })

    it('counts on across a restart', async () => {
      erase()
      clock.time += ERASE_GRACE_MS / 2
      const again = await Registry.open(all)
      clock.time += ERASE_GRACE_MS / 2
      assert.equal((await again.collect()).count, 2)
    })

    it('keeps the bytes that another model names, whoever published it', async () => {
      const crick = new TestPublisher('crick')
      introduce(registry, crick, 'mirror')
      const other = crick.model({ name: 'b', weights: shared })
      await take(other)
      erase()
      assert.deepEqual(sharedNow(), [false, true])
      clock.time += ERASE_GRACE_MS
      assert.equal((await registry.collect()).count, 1)
      const { card, weights } = cids(model)
      assert(!isHere(card) && isHere(weights))
      assert(registry.holding(other.signed.id).complete)
    })

    it('takes nothing along when a model that names another one’s file is erased', async () => {
      const thief = new TestPublisher('thief')
      thief.letErase()
      introduce(registry, thief, 'mirror')
      const copy = thief.model({ name: 'copy', card: model.card, weights: shared })
      await take(copy)
      say(thief.withdraw(copy.signed.id, 'erase'))
      // Nor does a publisher erase what another one published.
      say(thief.withdraw(model.signed.id, 'erase'))
      clock.time += ERASE_GRACE_MS
      assert.deepEqual(await registry.collect(), { count: 0, bytes: 0 })
      assert.equal(registry.catalogue.model(model.signed.id)?.withdrawn, null)
      assert(registry.holding(model.signed.id).complete)
      assert.deepEqual(registry.catalogue.card(cids(model).card), model.card)
      assert.deepEqual(cardSent(), model.card)
    })

    it('lets each of two erased models have its own time', async () => {
      const second = embl.model({ name: 'b', weights: shared })
      await take(second)
      erase()
      clock.time += 1000
      erase(second.signed.id)
      clock.time += ERASE_GRACE_MS - 1000
      await registry.collect()
      assert(isHere(cids(model).weights))
      clock.time += 1000
      await registry.collect()
      assert(!isHere(cids(model).weights))
    })

    it('stands again when the root takes it back in time, and has lost nothing', async () => {
      const record = erase()
      clock.time += ERASE_GRACE_MS - 1
      say(embl.withdraw(record.id, 'restore'))
      clock.time += YEAR_MS / 2
      assert.deepEqual(await registry.collect(), { count: 0, bytes: 0 })
      assert.equal(refusal('shark'), null)
      assert.deepEqual(cardSent(), model.card)
      assert(registry.holding(model.signed.id).complete)
      // A new erasure has a time of its own.
      erase()
      await registry.collect()
      assert(isHere(cids(model).weights))
    })

    it('fetches again what was restored after the bytes had gone', async () => {
      const record = erase()
      clock.time += ERASE_GRACE_MS
      await registry.collect()
      say(embl.withdraw(record.id, 'restore'))
      assert.deepEqual(registry.incompleteModels(), [model.signed.id])
      assert.equal(registry.catalogue.model(model.signed.id)?.unreadable?.code, 'BLOB_MISSING')
      await keepFiles(registry, model)
      await registry.mendCard(registry.catalogue.model(model.signed.id) ?? assert.fail())
      assert.deepEqual(registry.catalogue.modelsWithoutCard(), [])
      assert.deepEqual(cardSent(), model.card)
    })

    it('takes back what a cut makes void, and deletes nothing for it', async () => {
      const last = lastOf(erase(embl.publisher))
      erase()
      const { time: ts } = clock
      embl.sign({ op: 'revoke', key: embl.key('erase'), last, reason: 'stolen', ts })
      expectOk(registry.admitIdentity(embl.publisher, embl.operations.slice(-1), 4))
      assert.equal(refusal('shark'), null)
      clock.time += ERASE_GRACE_MS
      assert.deepEqual(await registry.collect(), { count: 0, bytes: 0 })
    })

    it('deletes nothing for what came after the end of its key, until the root vouches', async () => {
      clock.time += YEAR_MS
      const late = erase()
      assert.equal(refusal('shark'), 'ERASED')
      clock.time += ERASE_GRACE_MS
      assert.deepEqual(await registry.collect(), { count: 0, bytes: 0 })
      const cut = { key: embl.key('erase'), last: lastOf(late), reason: 'superseded' } as const
      embl.sign({ op: 'revoke', ...cut, ts: clock.time })
      expectOk(registry.admitIdentity(embl.publisher, embl.operations.slice(-1), 4))
      assert.equal((await registry.collect()).count, 2)
    })

    it('deletes nothing for a log that has forked', async () => {
      const signed = erase()
      const { publisher, key, epoch, seq } = signed.record
      const fork = embl.record(
        signed.record,
        { epoch, seq, prev: null, ts: 1 + signed.record.ts },
        embl.eraseSeed,
      )
      assert.deepEqual([fork.record.publisher, fork.record.key], [publisher, key])
      expectOk(registry.admitProof(signed.envelope, fork.envelope))
      clock.time += ERASE_GRACE_MS
      assert.deepEqual(await registry.collect(), { count: 0, bytes: 0 })
      assert.equal(refusal('shark'), 'ERASED')
    })

    it('comes to the same whatever comes first', async () => {
      const run = async (order: readonly number[]): Promise<string> => {
        const { registry: node, clock: time } = await testRegistry('here', parts())
        const lab = new TestPublisher('lab')
        lab.letErase()
        introduce(node, lab, 'mirror')
        const models = ['a', 'b', 'c', 'd'].map((name) => lab.model({ name, weights: shared }))
        const [a, b, c, d] = models.map(({ signed }) => signed.id) as [Cid, Cid, Cid, Cid]
        const log = models.map((each) => () => node.admitRecord(each.signed.envelope, each.card))
        const yank = lab.withdraw(d, 'yank')
        const [first, second] = [lab.withdraw(a, 'erase'), lab.withdraw(b, 'erase')]
        const restored = lab.withdraw(second.id, 'restore')
        // The thief's: he erases c, erases a once more, and undoes a.
        const thief = [
          lab.withdraw(c, 'erase'),
          lab.withdraw(a, 'erase'),
          lab.withdraw(first.id, 'restore'),
        ]
        const cut = { key: lab.key('erase'), last: lastOf(restored), reason: 'stolen' } as const
        lab.sign({ op: 'revoke', ...cut, ts: time.time })
        const admitOf =
          ({ envelope }: { envelope: Uint8Array }) =>
          () =>
            node.admitRecord(envelope, null)
        const lists = [
          [...log, admitOf(yank)],
          [first, second, restored, ...thief].map(admitOf),
          [() => node.admitIdentity(lab.publisher, lab.operations.slice(-1), 4)],
        ]
        for (const list of order) lists[list]?.shift()?.()
        // What was refused for its order comes again, as in the next sync.
        for (const each of [first, second, restored, ...thief])
          node.admitRecord(each.envelope, null)
        for (const each of models) await keepFiles(node, each)
        time.time += ERASE_GRACE_MS
        await node.collect()
        const states = [a, b, c, d].map((id) => node.catalogue.model(id)?.withdrawn ?? null)
        const held = [...node.blobs.list()].map(({ cid }) => cid).sort()
        const { catalogue } = node
        const result = { states, held, found: node.search({}).total, erasures: node.erasures() }
        assert.deepEqual(states, ['erase', null, null, 'yank'])
        const cards = models.map(({ signed }) => {
          assert(signed.record.kind === 'model')
          return catalogue.card(signed.record.body.card) !== null
        })
        catalogue.close()
        return JSON.stringify({ ...result, cards })
      }
      const straight = await run([0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 2])
      const anyOrder = fc.shuffledSubarray([0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 2], { minLength: 12 })
      await fc.assert(
        fc.asyncProperty(anyOrder, async (order) => {
          assert.equal(await run(order), straight)
        }),
        { numRuns: orders },
      )
    }).timeout(60_000)

    describe('on this node alone', () => {
      const row = () => registry.catalogue.model(model.signed.id) ?? assert.fail()

      it('is at once, for a model of anybody, and survives a restart', async () => {
        assert.equal((await registry.eraseHere(row())).count, 2)
        assert.equal(refusal(model.signed.id), 'ERASED')
        const again = await Registry.open(all)
        assert.equal(again.resolve(model.signed.id).ok, false)
        assert.deepEqual(again.incompleteModels(), [])
        assert.deepEqual(
          again.erasures().map(({ record, isHere: here }) => [record, here]),
          [[model.signed.id, true]],
        )
      })

      it('ends when the operator says so', async () => {
        await registry.eraseHere(row())
        registry.restoreHere(row())
        assert.deepEqual(registry.incompleteModels(), [model.signed.id])
        await keepFiles(registry, model)
        await registry.mendCard(row())
        assert.equal(refusal('shark'), null)
      })

      it('leaves the time of the publisher’s own erasure as it was', async () => {
        erase()
        await registry.eraseHere(row())
        registry.restoreHere(row())
        assert.equal(refusal(model.signed.id), 'ERASED')
      })
    })

    describe('a model that comes after it was erased', () => {
      it('is taken in with its card or without, and stands when that is restored', async () => {
        const late = embl.model({ name: 'late' })
        const bare = embl.model({ name: 'bare' })
        const erased = [late, bare].map(({ signed }) => erase(signed.id))
        expectOk(registry.admitRecord(late.signed.envelope, late.card))
        expectOk(registry.admitRecord(bare.signed.envelope, null))
        for (const { signed } of [late, bare]) assert.equal(refusal(signed.id), 'ERASED')
        for (const { id } of erased) say(embl.withdraw(id, 'restore'))
        const cardless = () => registry.catalogue.modelsWithoutCard()
        assert.deepEqual(cardless(), [bare.signed.id])
        // A wrong card is refused, the right one is taken.
        assert.equal(registry.admitRecord(bare.signed.envelope, late.card).ok, false)
        expectOk(registry.admitRecord(bare.signed.envelope, bare.card))
        assert.deepEqual(cardless(), [])
      })

      it('is refused without its card where nothing says that it was erased', () => {
        const verdict = registry.admitRecord(embl.model({ name: 'bare' }).signed.envelope, null)
        assert(!verdict.ok && verdict.code === 'BLOB_MISSING')
      })
    })

    it('collects files that nobody names, and leaves the others', async () => {
      const stray = new Uint8Array(LEAF_BYTES + 1)
      const { cid, nodes } = await registry.blobs.put(
        (async function* () {
          yield stray
        })(),
        stray.length,
      )
      registry.keepTree(cid, nodes)
      const none = { count: 0, bytes: 0, until: null }
      const until = clock.time + GC_GRACE_MS
      assert.deepEqual(await registry.collectAll(), {
        count: 0,
        bytes: 0,
        waiting: { count: 1, bytes: stray.length, until },
      })
      clock.time = until - 1
      assert.equal((await registry.collectAll()).waiting.count, 1)
      assert(isHere(cid))
      clock.time = until
      const gone = { count: 1, bytes: stray.length, waiting: none }
      assert.deepEqual(await registry.collectAll(), gone)
      assert(!isHere(cid) && isHere(cids(model).weights))
      assert.equal(registry.catalogue.tree(cid), null)
      assert.deepEqual(await registry.collectAll(), { count: 0, bytes: 0, waiting: none })
      await keepFiles(registry, { ...model, files: new Map([['stray', stray]]) })
      assert.equal((await registry.collectAll(0)).count, 1)
    })

    it('collects what came for a model that was erased meanwhile', async () => {
      await registry.eraseHere(registry.catalogue.model(model.signed.id) ?? assert.fail())
      await keepFiles(registry, model)
      assert.equal((await registry.collect()).count, 2)
    })
  })
}

erasureSuite(
  'in memory',
  () => ({ catalogue: new MemoryCatalogue(), blobs: new MemoryBlobs() }),
  15,
)
erasureSuite(
  'on disk',
  () => {
    const folder = temporaryFolder()
    const at = (name: string): string => path.join(folder, name)
    const folders = { blobs: at('blobs'), partial: at('partial'), quarantine: at('quarantine') }
    const catalogue: Catalogue = new SqliteCatalogue(at('catalogue.sqlite'))
    return { catalogue, blobs: new FileBlobs(folders) }
  },
  3,
)

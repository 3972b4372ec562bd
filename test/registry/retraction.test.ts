/** What operations on device keys do to the logs that are here. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import type { Code, Verdict } from '../../protocol/errors.ts'
import { expectOk } from '../../protocol/errors.ts'
import type { NewOperation } from '../../protocol/identity.ts'
import { MAX_EVIDENCE } from '../../registry/admission.ts'
import type { Catalogue } from '../../registry/catalogue.ts'
import { MemoryCatalogue } from '../../registry/memory-catalogue.ts'
import type { Registry } from '../../registry/registry.ts'
import { SqliteCatalogue } from '../../registry/sqlite-catalogue.ts'
import { lastOf, START, type TestModel, TestPublisher } from '../helpers/publisher.ts'
import { admit, introduce, type TestRegistry, testRegistry } from '../helpers/test-registry.ts'

const refused = (verdict: Verdict<unknown>, code: Code): void => {
  assert(!verdict.ok, `expected ${code}`)
  assert.equal(verdict.code, code, verdict.message)
}

const catalogues: Readonly<Record<string, () => Catalogue>> = {
  memory: () => new MemoryCatalogue(),
  SQLite: () => new SqliteCatalogue(':memory:'),
}
for (const [name, open] of Object.entries(catalogues)) {
  describe(`registry/retraction in ${name}`, () => {
    let here: TestRegistry
    let registry: Registry
    let embl: TestPublisher
    beforeEach(async () => {
      here = await testRegistry('here', { catalogue: open() })
      registry = here.registry
      embl = new TestPublisher('embl')
      introduce(registry, embl)
    })
    afterEach(() => registry.close())

    const offer = ({ signed, card }: TestModel): Verdict<unknown> =>
      registry.admitRecord(signed.envelope, card)
    const modelsOf = (count: number, header = {}): TestModel[] =>
      Array.from({ length: count }, (_, n) => embl.model({ name: `m${n}`, header }))
    const admitAll = (models: readonly TestModel[]): void => {
      for (const model of models) admit(registry, model)
    }
    const at = (models: readonly TestModel[], n: number): TestModel => models[n] ?? assert.fail()
    /** Signs an operation that names a record of the publishing log, and takes it in. */
    const say = (op: 'epoch' | 'heal', { signed }: TestModel): void => {
      embl.sign({ op, key: embl.key(), last: lastOf(signed), ts: START })
      introduce(registry, embl)
    }
    const revoke = (last: TestModel | null, reason: 'stolen' | 'lost' = 'stolen'): void => {
      const operation: NewOperation = {
        op: 'revoke',
        key: embl.key(),
        last: last && lastOf(last.signed),
        reason,
        ts: START,
      }
      embl.sign(operation)
      introduce(registry, embl)
    }
    const log = () => registry.catalogue.log(embl.publisher, embl.key())
    const names = (): string[] => registry.search({ sort: 'name' }).items.map((row) => row.name)

    it('keeps what came before a revocation, and takes back the rest', () => {
      const models = modelsOf(4)
      admitAll(models)
      expectOk(registry.admitHead(embl.head(at(models, 3).signed)))
      revoke(at(models, 1))
      assert.deepEqual(names(), ['m0', 'm1'])
      assert.equal(log()?.tip, at(models, 1).signed.id)
      assert.equal(log()?.head, null, 'a head beyond the cut goes too')
      const evidence = models.slice(2).map(({ signed }) => signed.envelope)
      assert.deepEqual(registry.catalogue.evidence(embl.publisher), evidence)
      refused(registry.resolve(at(models, 2).signed.id), 'NOT_FOUND')
    })

    it('refuses records and heads after the cut, and shows it', () => {
      const models = modelsOf(3)
      revoke(at(models, 1))
      refused(offer(at(models, 2)), 'KEY_REVOKED')
      admitAll(models.slice(0, 2))
      const verdict = offer(at(models, 2))
      assert(!verdict.ok && verdict.code === 'KEY_REVOKED')
      assert.equal(verdict.limit, `0.1 ${at(models, 1).signed.id}`)
      refused(registry.admitHead(embl.head(at(models, 2).signed)), 'KEY_REVOKED')
      expectOk(registry.admitHead(embl.head(at(models, 1).signed)))
    })

    it('takes back all records of a key of which none is good', () => {
      admitAll(modelsOf(2))
      revoke(null, 'lost')
      assert.deepEqual([names(), log()], [[], null])
    })

    it('undoes a thief who ran ahead by raising the epoch', () => {
      const [good, stolen] = [modelsOf(2), modelsOf(3)]
      admitAll([...good, ...stolen])
      say('epoch', at(good, 1))
      assert.deepEqual(log()?.tip, at(good, 1).signed.id)
      refused(offer(at(stolen, 0)), 'SEQ')
      embl.rewind(at(good, 1).signed)
      const next = embl.model({ name: 'next' })
      assert.deepEqual([next.signed.record.epoch, next.signed.record.seq], [1, 0])
      admit(registry, next)
      admit(registry, embl.model({ name: 'after' }))
      assert.deepEqual(names(), ['after', 'm0', 'm1', 'next'])
    })

    it('refuses a thief who jumps ahead', () => {
      admitAll(modelsOf(1))
      refused(offer(embl.model({ name: 'far', header: { seq: 2 ** 32 - 1 } })), 'GAP')
      refused(offer(embl.model({ name: 'raised', header: { epoch: 1, seq: 0 } })), 'SEQ')
    })

    it('comes to the same log whether operations come before records or after', () => {
      const [good, stolen] = [modelsOf(2), modelsOf(2)]
      say('epoch', at(good, 1))
      embl.rewind(at(good, 1).signed)
      const next = embl.model({ name: 'next' })
      refused(offer(next), 'GAP')
      admitAll(good)
      refused(offer(at(stolen, 0)), 'SEQ')
      admit(registry, next)
      assert.deepEqual([log()?.epoch, log()?.seq, log()?.tip], [1, 0, next.signed.id])
    })

    describe('of forks', () => {
      /** Two records, and two branches after them. */
      const forked = () => {
        const common = modelsOf(2)
        const ours = [embl.model({ name: 'ours' }), embl.model({ name: 'ours-too' })]
        embl.rewind(at(common, 1).signed)
        const theirs = [embl.model({ name: 'theirs' }), embl.model({ name: 'theirs-too' })]
        return { common, ours, theirs }
      }

      it('goes on from our branch where the root names it', () => {
        const { common, ours, theirs } = forked()
        admitAll([...common, ...ours])
        refused(offer(at(theirs, 0)), 'EQUIVOCATION')
        assert(registry.isContested(at(ours, 0).signed.id))
        say('heal', at(ours, 0))
        assert.equal(log()?.proof, null)
        assert(!registry.isContested(at(ours, 0).signed.id))
        assert.deepEqual(names(), ['m0', 'm1', 'ours'])
        refused(offer(at(ours, 1)), 'SEQ')
        refused(offer(at(theirs, 0)), 'SEQ')
        embl.rewind(at(ours, 0).signed)
        admit(registry, embl.model({ name: 'next' }))
        assert.equal(registry.catalogue.evidence(embl.publisher).length, 3, 'proof and lost record')
      })

      it('goes on from the other branch where the root names that', () => {
        const { common, ours, theirs } = forked()
        admitAll([...common, ...ours])
        refused(offer(at(theirs, 0)), 'EQUIVOCATION')
        say('heal', at(theirs, 0))
        assert.deepEqual([log()?.tip, log()?.proof], [at(common, 1).signed.id, null])
        admit(registry, at(theirs, 0))
        embl.rewind(at(theirs, 0).signed)
        admit(registry, embl.model({ name: 'next' }))
        assert.deepEqual(names(), ['m0', 'm1', 'next', 'theirs'])
      })

      it('leaves a branch that does not lead to the record that the root names', () => {
        const { common, ours, theirs } = forked()
        admitAll([...common, ...ours])
        say('heal', at(theirs, 1))
        assert.equal(log(), null, 'nobody can tell where the branches part')
        admitAll([...common, ...theirs])
        assert.deepEqual(names(), ['m0', 'm1', 'theirs', 'theirs-too'])
      })

      it('leaves a branch that is short of the record that the root names', () => {
        const { common, ours, theirs } = forked()
        admitAll([...common, at(ours, 0)])
        say('heal', at(theirs, 1))
        assert.equal(log()?.tip, at(ours, 0).signed.id)
        refused(offer(at(theirs, 0)), 'EQUIVOCATION')
        assert.equal(log(), null)
        admitAll([...common, ...theirs])
        assert.equal(log()?.proof, null)
      })

      it('takes a proof of a settled fork as evidence', () => {
        const { common, ours, theirs } = forked()
        admitAll([...common, at(ours, 0)])
        say('heal', at(ours, 0))
        expectOk(registry.admitProof(at(ours, 0).signed.envelope, at(theirs, 0).signed.envelope))
        assert.equal(log()?.proof, null)
        assert.equal(registry.catalogue.evidence(embl.publisher).length, 2)
        assert.deepEqual(names(), ['m0', 'm1', 'ours'])
      })

      it('keeps so much of what counts for nothing, and no more', () => {
        const { common, ours } = forked()
        admitAll([...common, at(ours, 0)])
        say('heal', at(ours, 0))
        const { signed } = at(ours, 0)
        const { seq, prev } = signed.record
        const count = () => registry.catalogue.countEvidence(embl.publisher)
        for (let n = 0; count() < MAX_EVIDENCE; n++) {
          const body = { name: 'm', tag: `t${n}`, target: embl.publisher, replaces: [] }
          const twin = embl.record({ kind: 'tag', body }, { seq, prev })
          expectOk(registry.admitProof(signed.envelope, twin.envelope))
        }
        assert.equal(count(), MAX_EVIDENCE)
        const body = { name: 'm', tag: 'last', target: embl.publisher, replaces: [] }
        const last = embl.record({ kind: 'tag', body }, { seq, prev })
        expectOk(registry.admitProof(signed.envelope, last.envelope))
        assert.equal(count(), MAX_EVIDENCE)
      })

      it('keeps records up to a cut for ever, whatever fork of them is proven later', () => {
        const { common, ours, theirs } = forked()
        admitAll([...common, ...ours])
        revoke(at(ours, 1))
        expectOk(registry.admitProof(at(ours, 0).signed.envelope, at(theirs, 0).signed.envelope))
        for (const { signed } of ours) assert(!registry.isContested(signed.id))
      })
    })

    describe('of the own log', () => {
      const own = (operation: NewOperation): void => {
        here.own.sign(operation)
        expectOk(registry.admitIdentity(here.own.publisher, here.own.operations, 0))
      }
      const profile = (label: string) =>
        registry.publishProfile({ label, displayName: label, handle: null, url: null, ror: null })

      it('goes on in the raised epoch', () => {
        const [one] = [profile('one'), profile('two')]
        own({ op: 'epoch', key: here.own.key(), last: lastOf(one), ts: START })
        assert.equal(registry.profile(registry.publisher)?.label, 'one')
        const { record } = profile('three')
        assert.deepEqual([record.epoch, record.seq, record.prev], [1, 0, one.id])
        assert.deepEqual([profile('four').record.epoch, profile('five').record.seq], [1, 2])
      })

      it('goes on after a renewal, and ends with a revocation', () => {
        const one = profile('one')
        const key = here.own.key()
        const notAfter = START + 500 * 24 * 3600 * 1000
        own({ op: 'renew', key, last: lastOf(one), notAfter, ts: START })
        const two = profile('two')
        assert.deepEqual([two.record.epoch, two.record.seq], [0, 1])
        own({ op: 'revoke', key, last: lastOf(two), reason: 'superseded', ts: START })
        assert.throws(() => profile('three'), { code: 'KEY_REVOKED' })
      })

      it('signs nothing before it has the record that the root named', () => {
        const one = here.own.profile('elsewhere')
        own({ op: 'epoch', key: here.own.key(), last: lastOf(one), ts: START })
        assert.throws(() => profile('two'), { code: 'SELF_UNSURE' })
        expectOk(registry.admitRecord(one.envelope, null))
        assert.deepEqual(profile('two').record.epoch, 1)
      })
    })
  })
}

describe('registry/retraction', () => {
  it('comes to one state, in whatever order things arrive', async () => {
    const embl = new TestPublisher('embl')
    const model = (each: string) => embl.model({ name: each })
    const at = (models: readonly TestModel[]): TestModel => models.at(-1) ?? assert.fail()
    const key = embl.key()
    const common = ['a', 'b'].map(model)
    const left = ['c', 'd'].map(model)
    embl.rewind(at(common).signed)
    const right = ['e', 'f', 'g'].map(model)
    const lastOfRight = right[1] ?? assert.fail()
    embl.sign({ op: 'heal', key, last: lastOf(lastOfRight.signed), ts: START })
    embl.rewind(lastOfRight.signed)
    const healed = ['h', 'i'].map(model)
    embl.sign({ op: 'revoke', key, last: lastOf(at(healed).signed), reason: 'lost', ts: START })
    const stolen = model('j')
    const items = [...common, ...left, ...right, ...healed, stolen]
    /** Everything of which some peer may have told, as an order of arrival. */
    const orders = fc.array(fc.nat(items.length + embl.operations.length - 1), {
      minLength: 20,
      maxLength: 60,
    })
    await fc.assert(
      fc.asyncProperty(orders, async (order) => {
        const { registry } = await testRegistry()
        const { publisher } = embl
        expectOk(registry.admitIdentity(publisher, embl.operations.slice(0, 3), 0))
        registry.setTrust({ publisher, right: 'list' })
        const offer = (n: number): void => {
          const item = items[n]
          if (item !== undefined) registry.admitRecord(item.signed.envelope, item.card)
          else registry.admitIdentity(publisher, embl.operations.slice(0, n - items.length + 1), 0)
        }
        for (const n of order) offer(n)
        // At last from a node that has it all.
        expectOk(registry.admitIdentity(publisher, embl.operations, 0))
        const standing = [...common, ...right.slice(0, 2), ...healed]
        for (let pass = 0; pass < 2; pass++) {
          for (const { signed, card } of standing) registry.admitRecord(signed.envelope, card)
        }
        const log = registry.catalogue.log(publisher, key)
        const tip = at(healed).signed.id
        assert.deepEqual([log?.epoch, log?.seq, log?.tip, log?.proof], [1, 1, tip, null])
        const found = registry.search({ sort: 'name' }).items.map((row) => row.name)
        assert.deepEqual(found, ['a', 'b', 'e', 'f', 'h', 'i'])
      }),
      { numRuns: 60 },
    )
  })
})

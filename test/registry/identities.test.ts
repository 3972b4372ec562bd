/** Forked identity chains: which branch stands, and what becomes of the rest. */
import assert from 'node:assert/strict'
import type { Code, Verdict } from '../../protocol/errors.ts'
import { expectOk } from '../../protocol/errors.ts'
import type { Catalogue } from '../../registry/catalogue.ts'
import { Identities } from '../../registry/identities.ts'
import { MemoryCatalogue } from '../../registry/memory-catalogue.ts'
import type { Registry } from '../../registry/registry.ts'
import { SqliteCatalogue } from '../../registry/sqlite-catalogue.ts'
import { lastOf, START, seedOf, TestPublisher } from '../helpers/publisher.ts'
import { admit, introduce, testRegistry } from '../helpers/test-registry.ts'

const refused = (verdict: Verdict<unknown>, code: Code): void => {
  assert(!verdict.ok, `expected ${code}`)
  assert.equal(verdict.code, code, verdict.message)
}

const catalogues: Readonly<Record<string, () => Catalogue>> = {
  memory: () => new MemoryCatalogue(),
  SQLite: () => new SqliteCatalogue(':memory:'),
}
for (const [name, open] of Object.entries(catalogues)) {
  describe(`registry/identities in ${name}`, () => {
    let registry: Registry
    /** The publisher, and a thief of its root keys: the same chain up to a point. */
    let embl: TestPublisher
    let thief: TestPublisher
    beforeEach(async () => {
      registry = (await testRegistry('here', { catalogue: open() })).registry
      embl = new TestPublisher('embl')
      thief = new TestPublisher('embl')
      introduce(registry, embl)
    })
    afterEach(() => registry.close())

    const offer = ({ publisher, operations }: TestPublisher, from = 0): Verdict<unknown> =>
      registry.admitIdentity(publisher, operations.slice(from), from)
    /** As it is after a restart. */
    const isContested = (): boolean =>
      new Identities(registry.catalogue, () => registry.trust).isContested(embl.publisher)
    const tip = () => registry.identity(embl.publisher)?.tip

    it('passes over operations with other signatures of the same roots', () => {
      expectOk(offer(embl))
      assert.equal(
        expectOk(registry.admitIdentity(embl.publisher, embl.operations, 0)).isNew,
        false,
      )
      assert.equal(registry.catalogue.rival(embl.publisher), null)
    })

    it('freezes a publisher with two branches, and keeps both', () => {
      const model = embl.model({ name: 'a' })
      admit(registry, model)
      embl.delegate('publish', seedOf('one'))
      thief.delegate('publish', seedOf('two'))
      expectOk(offer(embl))
      refused(offer(thief), 'CONTESTED')
      assert.deepEqual(registry.identityOps(embl.publisher), embl.operations)
      assert.deepEqual(registry.catalogue.rival(embl.publisher), {
        from: 3,
        operations: thief.operations.slice(3),
      })
      assert(isContested())
      refused(registry.admitRecord(embl.profile('x').envelope, null), 'CONTESTED')
      assert(registry.isContested(model.signed.id))
    })

    it('follows our branch again once it reveals the committed keys', () => {
      embl.delegate('publish', seedOf('one'))
      thief.delegate('publish', seedOf('two'))
      expectOk(offer(embl))
      refused(offer(thief), 'CONTESTED')
      embl.rotate()
      expectOk(offer(embl))
      assert(!isContested())
      assert.equal(tip(), embl.identity.tip)
      expectOk(registry.admitRecord(embl.profile('x').envelope, null))
      refused(offer(thief), 'SEQ')
    })

    it('changes to the other branch once that reveals the committed keys', () => {
      thief.delegate('publish', seedOf('stolen'))
      expectOk(offer(thief))
      const { signed, card } = thief.model({ name: 'bad', seed: seedOf('stolen') })
      expectOk(registry.admitRecord(signed.envelope, card))
      embl.delegate('publish', seedOf('one'))
      refused(offer(embl), 'CONTESTED')
      embl.rotate()
      const { isReplaced } = expectOk(registry.admitIdentity(embl.publisher, embl.operations, 0))
      assert(isReplaced && !isContested())
      assert.deepEqual(registry.identityOps(embl.publisher), embl.operations)
      assert.deepEqual(
        registry.catalogue.rival(embl.publisher)?.operations,
        thief.operations.slice(3),
      )
      assert.deepEqual(registry.catalogue.evidence(embl.publisher), [signed.envelope])
      refused(registry.resolve(signed.id), 'NOT_FOUND')
      admit(registry, embl.model({ name: 'good' }))
    })

    it('takes the rest of a rival branch in a later page', () => {
      embl.delegate('publish', seedOf('one'))
      thief.delegate('publish', seedOf('two'))
      expectOk(offer(thief))
      refused(offer(embl), 'CONTESTED')
      embl.rotate()
      expectOk(offer(embl, 4))
      assert.equal(tip(), embl.identity.tip)
      assert(!isContested())
    })

    it('takes the rest of a rival branch that is longer than ours', () => {
      for (const each of ['one', 'two', 'three']) embl.delegate('publish', seedOf(each))
      thief.delegate('publish', seedOf('stolen'))
      expectOk(offer(thief))
      refused(offer(embl), 'CONTESTED')
      embl.rotate()
      refused(offer(embl, 7), 'GAP')
      expectOk(offer(embl, 6))
      assert.equal(tip(), embl.identity.tip)
    })

    it('is not frozen by a thief of keys that were rotated away', () => {
      embl.rotate()
      expectOk(offer(embl))
      thief.delegate('publish', seedOf('two'))
      refused(offer(thief), 'SEQ')
      assert(!isContested())
      assert.equal(tip(), embl.identity.tip)
    })

    it('stays frozen where both branches reveal the keys', () => {
      embl.rotate()
      thief.delegate('publish', seedOf('two'))
      thief.rotate()
      expectOk(offer(embl))
      refused(offer(thief), 'CONTESTED')
      assert(isContested())
    })

    it('comes to the same branch in any order of arrival', () => {
      embl.delegate('publish', seedOf('one'))
      embl.rotate()
      for (const each of ['two', 'three', 'four']) thief.delegate('publish', seedOf(each))
      refusedOrOk(offer(thief))
      refusedOrOk(offer(embl))
      refusedOrOk(offer(thief))
      assert.equal(tip(), embl.identity.tip)
      assert(!isContested())
    })
    const refusedOrOk = (verdict: Verdict<unknown>): void => {
      if (!verdict.ok) assert(['CONTESTED', 'SEQ'].includes(verdict.code), verdict.code)
    }

    it('gives back what the branch of a thief had taken away', () => {
      const models = ['a', 'b'].map((each) => embl.model({ name: each }))
      for (const model of models) admit(registry, model)
      thief.sign({ op: 'revoke', key: thief.key(), last: null, reason: 'lost', ts: START })
      expectOk(offer(thief))
      assert.equal(registry.catalogue.log(embl.publisher, embl.key()), null)
      embl.rotate()
      expectOk(offer(embl))
      for (const { signed } of models) assert(registry.resolve(signed.id).ok)
      assert.deepEqual(registry.catalogue.evidence(embl.publisher), [])
    })

    it('refuses what is no branch at all', () => {
      const other = new TestPublisher('crick')
      refused(registry.admitIdentity(embl.publisher, other.operations, 0), 'IDENTITY_INVALID')
      const forged = embl.operations[2]?.slice() ?? assert.fail()
      forged[40] = (forged[40] ?? 0) ^ 1
      assert(!registry.admitIdentity(embl.publisher, [forged], 2).ok)
      assert.equal(registry.catalogue.rival(embl.publisher), null)
      refused(registry.admitIdentity(embl.publisher, [], 9), 'GAP')
    })

    it('applies cuts as operations come', () => {
      const models = ['a', 'b'].map((each) => embl.model({ name: each }))
      for (const model of models) admit(registry, model)
      const last = lastOf(models[0]?.signed ?? assert.fail())
      embl.sign({ op: 'revoke', key: embl.key(), last, reason: 'stolen', ts: START })
      expectOk(offer(embl, 3))
      assert.equal(registry.counts().models, 1)
    })
  })
}

/** The contract of catalogues, run on every implementation. */
import assert from 'node:assert/strict'
import type { Cid } from '../../protocol/cid.ts'
import { cidOf } from '../../protocol/cid.ts'
import type { ModelDescription } from '../../protocol/model-description.ts'
import type { SignedRecord } from '../../protocol/record.ts'
import type { Catalogue, ModelQuery, ProfileRow } from '../../registry/catalogue.ts'
import { profileOf } from '../../registry/profile.ts'
import { describeModel, lastOf, TestPublisher, utf8 } from '../helpers/publisher.ts'

type ModelOptions = Parameters<TestPublisher['model']>[0] & {
  readonly description?: Partial<Parameters<typeof describeModel>[0]>
}

export function catalogueSuite(name: string, open: () => Catalogue): void {
  describe(`${name} as a catalogue`, () => {
    let catalogue: Catalogue
    let embl: TestPublisher
    let crick: TestPublisher
    beforeEach(() => {
      catalogue = open()
      embl = new TestPublisher('embl')
      crick = new TestPublisher('crick')
    })
    afterEach(() => catalogue.close())

    const add = (publisher: TestPublisher, options: ModelOptions): Cid => {
      const { signed, card } = publisher.model(options)
      const description: ModelDescription = describeModel({
        name: options.name,
        ...options.description,
      })
      catalogue.appendRecord(signed, { card, description })
      return signed.id
    }
    const profileRow = (
      publisher: TestPublisher,
      ...rest: Parameters<TestPublisher['profile']>
    ): ProfileRow => {
      const { id, envelope, record } = publisher.profile(...rest)
      assert(record.kind === 'profile')
      return profileOf(id, envelope, publisher.publisher, record.body)
    }
    const found = (query: ModelQuery): string[] =>
      catalogue.search(query).items.map((model) => `${model.name}@${model.version}`)

    describe('identity chains', () => {
      it('keeps operations in order, from any number on', () => {
        const { publisher } = embl
        assert.deepEqual(catalogue.identityOps(publisher), [])
        embl.operations.forEach((each, n) => {
          catalogue.putIdentityOp(publisher, n, each)
        })
        assert.deepEqual(catalogue.identityOps(publisher), embl.operations)
        assert.deepEqual(catalogue.identityOps(publisher, 2), embl.operations.slice(2))
        assert.deepEqual(catalogue.identityOps(publisher, 9), [])
      })

      it('lists publishers in the order of their coming, and drops one with all its traces', () => {
        for (const { publisher, operations } of [embl, crick]) {
          catalogue.putIdentityOp(publisher, 0, operations[0] ?? new Uint8Array())
        }
        catalogue.putHead(embl.publisher, embl.key(), utf8('head'), 5)
        catalogue.putProfile(profileRow(embl, 'embl'))
        assert.deepEqual(catalogue.publishers(), [embl.publisher, crick.publisher])
        catalogue.dropPublisher(embl.publisher)
        assert.deepEqual(catalogue.publishers(), [crick.publisher])
        assert.deepEqual(catalogue.identityOps(embl.publisher), [])
        assert.deepEqual(catalogue.heads(embl.publisher), [])
        assert.equal(catalogue.profile(embl.publisher), null)
      })
    })

    describe('logs', () => {
      it('keeps records by id and position', () => {
        const records = ['a', 'b', 'c'].map((name) => embl.model({ name }).signed)
        for (const signed of records) {
          catalogue.appendRecord(signed, { description: describeModel({ name: 'x' }) })
        }
        const rows = records.map(({ id, envelope }) => ({ id, kind: 'model', envelope }))
        const [first, second, third] = rows
        const place = [embl.publisher, embl.key()] as const
        const { id } = records[1] ?? assert.fail()
        assert.deepEqual(catalogue.record(id), second)
        assert.equal(catalogue.record(cidOf('dag-cbor', utf8('nothing'))), null)
        assert.deepEqual(catalogue.recordAt(...place, { epoch: 0, seq: 2 }), third)
        assert.equal(catalogue.recordAt(...place, { epoch: 0, seq: 3 }), null)
        assert.deepEqual(catalogue.recordsAfter(...place, null, 2), [first, second])
        assert.deepEqual(catalogue.recordsAfter(...place, { epoch: 0, seq: 0 }, 9), [second, third])
        assert.deepEqual(catalogue.recordsAfter(...place, { epoch: 0, seq: 2 }, 9), [])
        assert.deepEqual(catalogue.recordsAfter(crick.publisher, crick.key(), null, 9), [])
      })

      it('tells the newest position of each log', () => {
        assert.equal(catalogue.log(embl.publisher, embl.key()), null)
        add(embl, { name: 'a' })
        const tip = add(embl, { name: 'b' })
        add(crick, { name: 'c' })
        const log = catalogue.log(embl.publisher, embl.key())
        assert.deepEqual(log, {
          publisher: embl.publisher,
          key: embl.key(),
          epoch: 0,
          seq: 1,
          tip,
          head: null,
          headIssued: 0,
          proof: null,
        })
        assert.deepEqual(catalogue.logs(embl.publisher), [log])
        const order = [embl.publisher, crick.publisher].sort()
        assert.deepEqual(
          catalogue.logs().map(({ publisher }) => publisher),
          order,
        )
      })

      it('refuses a second record at a position, and changes nothing', () => {
        add(embl, { name: 'a' })
        const before = catalogue.log(embl.publisher, embl.key())
        const { signed } = embl.model({ name: 'b' })
        catalogue.appendRecord(signed, { description: describeModel({ name: 'b' }) })
        assert.throws(() =>
          catalogue.appendRecord(signed, { description: describeModel({ name: 'b' }) }),
        )
        assert.equal(before?.seq, 0)
        assert.equal(catalogue.log(embl.publisher, embl.key())?.seq, 1)
        assert.equal(catalogue.counts().records, 2)
      })

      it('keeps the newest head of a key, also without its log', () => {
        catalogue.putHead(embl.publisher, embl.key(), utf8('one'), 1)
        catalogue.putHead(embl.publisher, embl.key(), utf8('two'), 2)
        assert.deepEqual(catalogue.heads(embl.publisher), [
          { key: embl.key(), envelope: utf8('two'), issued: 2 },
        ])
        add(embl, { name: 'a' })
        const log = catalogue.log(embl.publisher, embl.key())
        assert.deepEqual([log?.head, log?.headIssued], [utf8('two'), 2])
      })

      it('keeps the first proof of a fork', () => {
        add(embl, { name: 'a' })
        catalogue.putProof(embl.publisher, embl.key(), utf8('a'), utf8('b'))
        catalogue.putProof(embl.publisher, embl.key(), utf8('c'), utf8('d'))
        assert.deepEqual(catalogue.log(embl.publisher, embl.key())?.proof, [utf8('a'), utf8('b')])
      })

      it('keeps the proof of a fork of which no record is here, until it is settled', () => {
        const place = [embl.publisher, embl.key()] as const
        assert.equal(catalogue.proof(...place), null)
        catalogue.putProof(...place, utf8('a'), utf8('b'))
        assert.deepEqual(catalogue.proof(...place), [utf8('a'), utf8('b')])
        assert.deepEqual(catalogue.proofs(embl.publisher), [
          { key: embl.key(), proof: [utf8('a'), utf8('b')] },
        ])
        assert.deepEqual(catalogue.logs(embl.publisher), [])
        add(embl, { name: 'a' })
        assert.deepEqual(catalogue.log(...place)?.proof, [utf8('a'), utf8('b')])
        catalogue.retract(...place, null)
        assert.equal(catalogue.log(...place), null)
        assert.notEqual(catalogue.proof(...place), null)
        catalogue.settle(...place)
        assert.equal(catalogue.proof(...place), null)
        assert.deepEqual(catalogue.evidence(embl.publisher).slice(-2), [utf8('a'), utf8('b')])
      })

      it('keeps the bytes of cards', () => {
        const card = utf8('name: a\n')
        add(embl, { name: 'a', card })
        assert.deepEqual(catalogue.card(cidOf('raw', card)), card)
        assert.equal(catalogue.card(cidOf('raw', utf8('other'))), null)
      })
    })

    it('tells which names several statements claim, the one that holds first', () => {
      assert.deepEqual(catalogue.conflicts(), [])
      const { publisher } = embl
      const tags = ['a', 'b'].map((target) =>
        embl.tag('nuclei', 'stable', cidOf('dag-cbor', utf8(target))),
      )
      const profiles = [embl.profile('embl'), embl.profile('other')]
      for (const each of [...tags, ...profiles, embl.tag('nuclei', 'beta', publisher)]) {
        catalogue.appendRecord(each, {})
      }
      catalogue.appendRecord(crick.profile('crick'), {})
      const idsOf = (records: readonly { readonly id: Cid }[]) =>
        records
          .map(({ id }) => id)
          .sort()
          .reverse()
      assert.deepEqual(catalogue.conflicts(), [
        { publisher, kind: 'profile', name: '', records: idsOf(profiles) },
        { publisher, kind: 'tag', name: 'nuclei@stable', records: idsOf(tags) },
      ])
      const last = embl.profile(
        'last',
        'last',
        profiles.map(({ id }) => id),
      )
      catalogue.appendRecord(last, {})
      assert.deepEqual(
        catalogue.conflicts().map(({ kind }) => kind),
        ['tag'],
      )
    })

    describe('what came late, and who names it', () => {
      it('keeps that a record came late, until it is taken back', () => {
        const [one, two] = [embl.tag('a', 'x', embl.publisher), embl.tag('a', 'y', embl.publisher)]
        catalogue.appendRecord(one, {})
        catalogue.appendRecord(two, { isLate: true })
        assert.deepEqual(
          [one, two].map(({ id }) => catalogue.isLate(id)),
          [false, true],
        )
        catalogue.retract(embl.publisher, embl.key(), null)
        assert.equal(catalogue.isLate(two.id), false)
      })

      it('lists what others name in a log, in its order', () => {
        const named = ['a', 'b'].map((name) => add(embl, { name }))
        const [first, second] = named as [Cid, Cid]
        const late = crick.attest(second)
        const early = crick.attest(first)
        // Its own word does not count, nor what names nothing here.
        for (const each of [late, early, embl.attest(first), crick.attest(crick.publisher)]) {
          catalogue.appendRecord(each, {})
        }
        const by = crick.publisher
        assert.deepEqual(catalogue.mentions(embl.publisher, embl.key()), [
          { by, record: early.id, epoch: 0, seq: 0 },
          { by, record: late.id, epoch: 0, seq: 1 },
        ])
        assert.deepEqual(catalogue.mentions(embl.publisher, embl.key('serve')), [])
        catalogue.retract(by, crick.key('serve'), null)
        assert.deepEqual(catalogue.mentions(embl.publisher, embl.key()), [])
      })

      it('takes the parents of a model for named', () => {
        const parent = add(embl, { name: 'a' })
        const { signed, card } = crick.model({ name: 'b', parents: [parent] })
        catalogue.appendRecord(signed, { card, description: describeModel({ name: 'b' }) })
        const [mention] = catalogue.mentions(embl.publisher, embl.key())
        assert.equal(mention?.record, signed.id)
      })
    })

    describe('evidence', () => {
      const idOf = ({ id }: { readonly id: Cid }): Cid => id

      it('takes back records with all that was derived from them', () => {
        const one = add(embl, { name: 'a', version: '1' })
        const label = embl.profile('embl', 'EMBL')
        catalogue.appendRecord(label, {})
        const tag = embl.tag('a', 'stable', one)
        catalogue.appendRecord(tag, {})
        const before = {
          log: catalogue.log(embl.publisher, embl.key()),
          model: catalogue.model(one),
          profile: catalogue.profile(embl.publisher),
          counts: catalogue.counts(),
        }
        const yank = embl.withdraw(one)
        catalogue.appendRecord(yank, {})
        const two = add(embl, { name: 'a', version: '2' })
        const moved = embl.tag('a', 'stable', two, [tag.id])
        catalogue.appendRecord(moved, {})
        const renamed = embl.profile('other', 'Other', [label.id])
        catalogue.appendRecord(renamed, {})
        catalogue.putHead(embl.publisher, embl.key(), embl.head(renamed), 5)
        const gone = catalogue.recordsAfter(embl.publisher, embl.key(), tag.record, 10)
        assert.deepEqual(found({}), ['a@2'])

        catalogue.retract(embl.publisher, embl.key(), tag.record)
        assert.deepEqual(catalogue.log(embl.publisher, embl.key()), before.log)
        assert.deepEqual(catalogue.model(one), before.model)
        assert.deepEqual(catalogue.profile(embl.publisher), before.profile)
        assert.deepEqual(catalogue.counts(), before.counts)
        assert.equal(catalogue.tags(embl.publisher, 'a', 'stable')[0]?.target, one)
        assert.equal(catalogue.model(two), null)
        assert.equal(catalogue.record(idOf(yank)), null)
        assert.deepEqual(catalogue.heads(embl.publisher), [])
        assert.deepEqual(found({ text: 'a' }), ['a@1'])
        assert.deepEqual(found({ text: 'other' }), [])
        assert.deepEqual(found({ text: 'embl' }), ['a@1'])
        assert.deepEqual(
          catalogue.evidence(embl.publisher),
          gone.map(({ envelope }) => envelope),
        )
      })

      it('lets a log go on where it was taken back', () => {
        const one = embl.model({ name: 'a' }).signed
        catalogue.appendRecord(one, { description: describeModel({ name: 'a' }) })
        add(embl, { name: 'b' })
        catalogue.retract(embl.publisher, embl.key(), one.record)
        embl.rewind(one)
        add(embl, { name: 'c' })
        add(crick, { name: 'd' })
        assert.deepEqual(found({ sort: 'name' }), ['a@1.0.0', 'c@1.0.0', 'd@1.0.0'])
      })

      it('takes back a whole log, and leaves others alone', () => {
        add(embl, { name: 'a' })
        const other = add(crick, { name: 'b' })
        catalogue.retract(embl.publisher, embl.key(), null)
        assert.equal(catalogue.log(embl.publisher, embl.key()), null)
        assert.deepEqual(catalogue.modelIds(embl.publisher), [])
        assert.deepEqual(catalogue.modelIds(crick.publisher), [other])
        assert.equal(catalogue.evidence(embl.publisher).length, 1)
        catalogue.dropPublisher(embl.publisher)
        assert.deepEqual(catalogue.evidence(embl.publisher), [])
      })

      it('keeps the proof of a settled fork, and takes another one', () => {
        add(embl, { name: 'a' })
        const place = [embl.publisher, embl.key()] as const
        catalogue.putProof(...place, utf8('a'), utf8('b'))
        catalogue.settle(...place)
        assert.equal(catalogue.log(...place)?.proof, null)
        catalogue.settle(...place)
        catalogue.putEvidence(...place, [utf8('b'), utf8('c')])
        assert.deepEqual(catalogue.evidence(embl.publisher), ['a', 'b', 'c'].map(utf8))
        catalogue.putProof(...place, utf8('d'), utf8('e'))
        assert.deepEqual(catalogue.log(...place)?.proof, [utf8('d'), utf8('e')])
        catalogue.dropEvidence(embl.publisher, utf8('b'))
        assert.deepEqual(catalogue.evidence(embl.publisher), ['a', 'c'].map(utf8))
      })

      it('keeps the other branch of an identity chain', () => {
        const { publisher } = embl
        embl.operations.forEach((each, n) => {
          catalogue.putIdentityOp(publisher, n, each)
        })
        assert.equal(catalogue.rival(publisher), null)
        const branch = { from: 1, operations: [utf8('x'), utf8('y')] }
        catalogue.putRival(publisher, { from: 2, operations: [utf8('z')] })
        catalogue.putRival(publisher, branch)
        assert.deepEqual(catalogue.rival(publisher), branch)
        catalogue.dropIdentityOps(publisher, 1)
        assert.deepEqual(catalogue.identityOps(publisher), embl.operations.slice(0, 1))
        catalogue.putIdentityOp(publisher, 1, utf8('x'))
        catalogue.dropPublisher(publisher)
        assert.equal(catalogue.rival(publisher), null)
      })
    })

    describe('profiles', () => {
      it('keeps the greatest of those that none replaces, in any order of coming', () => {
        const first = profileRow(embl, 'embl')
        const second = profileRow(embl, 'embl-hd')
        const third = profileRow(embl, 'embl-heidelberg', 'EMBL', [first.record, second.record])
        const rows = [first, second].sort((a, b) => (a.record < b.record ? -1 : 1))
        for (const row of rows) catalogue.putProfile(row)
        assert.deepEqual(catalogue.profile(embl.publisher), rows[1])
        catalogue.putProfile(third)
        assert.deepEqual(catalogue.profile(embl.publisher), third)

        catalogue.dropPublisher(embl.publisher)
        for (const row of [third, second, first]) catalogue.putProfile(row)
        assert.deepEqual(catalogue.profile(embl.publisher), third)
      })

      it('finds standing profiles by label', () => {
        const old = profileRow(embl, 'imaging')
        catalogue.putProfile(old)
        catalogue.putProfile(profileRow(embl, 'embl', 'EMBL', [old.record]))
        catalogue.putProfile(profileRow(crick, 'imaging'))
        const publishers = catalogue.profilesByLabel('imaging').map(({ publisher }) => publisher)
        assert.deepEqual(publishers, [crick.publisher])
        assert.deepEqual(catalogue.profilesByLabel('nobody'), [])
      })

      it('takes a profile from its record', () => {
        const signed = embl.profile('embl', 'EMBL')
        catalogue.appendRecord(signed, {})
        assert.equal(catalogue.profile(embl.publisher)?.displayName, 'EMBL')
      })
    })

    describe('models', () => {
      it('gives back what the record and the description say', () => {
        const { signed, card } = embl.model({ name: 'nuclei', aliases: ['10.5281/zenodo.1'] })
        const description = describeModel({ name: 'Nuclei', tags: ['2D'], channels: 1 })
        catalogue.appendRecord(signed, { card, description })
        const { record } = signed
        assert(record.kind === 'model')
        assert.deepEqual(catalogue.model(signed.id), {
          record: signed.id,
          publisher: embl.publisher,
          name: 'nuclei',
          version: '1.0.0',
          root: record.body.root,
          card: record.body.card,
          ts: record.ts,
          description,
          files: record.body.files,
          aliases: ['10.5281/zenodo.1'],
          tested: 'untested',
          withdrawn: null,
          unreadable: null,
        })
      })

      it('says why a card could not be read', () => {
        const { signed, card } = embl.model({ name: 'old' })
        const unreadable = { code: 'FORMAT_VERSION', message: 'format 0.4' } as const
        catalogue.appendRecord(signed, {
          card,
          description: describeModel({ name: 'old' }),
          unreadable,
        })
        assert.deepEqual(catalogue.model(signed.id)?.unreadable, unreadable)
      })

      it('orders versions by position, not by the clock', () => {
        add(embl, { name: 'a', version: '1.0.0' })
        add(embl, { name: 'a', version: '2.0.0', header: { ts: 1000 } })
        add(embl, { name: 'b' })
        add(embl, { name: 'a', version: '1.5.0' })
        const versions = catalogue.modelVersions(embl.publisher, 'a').map((each) => each.version)
        assert.deepEqual(versions, ['1.5.0', '2.0.0', '1.0.0'])
        assert.deepEqual(catalogue.modelVersions(crick.publisher, 'a'), [])
      })

      it('finds models by alias, root, file and publisher', () => {
        const weights = utf8('the same weights')
        const card = utf8('the same card')
        const first = add(embl, { name: 'a', weights, card, aliases: ['affable-shark'] })
        const second = add(crick, { name: 'b', weights, card })
        const third = add(embl, { name: 'c' })
        const root = catalogue.model(first)?.root ?? assert.fail()
        const ids = (models: readonly { record: Cid }[]): Cid[] =>
          models.map(({ record }) => record)
        assert.deepEqual(ids(catalogue.modelsByAlias('affable-shark')), [first])
        assert.deepEqual(ids(catalogue.modelsByAlias('shark')), [])
        assert.deepEqual(ids(catalogue.modelsByRoot(root)), [first, second].sort())
        assert.deepEqual(catalogue.recordsWithFile(cidOf('raw', weights)), [first, second].sort())
        assert.deepEqual(catalogue.recordsWithFile(cidOf('raw', utf8('none'))), [])
        assert.deepEqual(catalogue.modelIds(embl.publisher), [first, third])
      })

      it('marks what its own publisher withdrew, by the strongest verb', () => {
        const target = add(embl, { name: 'a' })
        catalogue.appendRecord(crick.withdraw(target, 'recall'), {})
        assert.equal(catalogue.model(target)?.withdrawn, null)
        catalogue.appendRecord(embl.withdraw(target, 'recall'), {})
        catalogue.appendRecord(embl.withdraw(target, 'yank'), {})
        assert.equal(catalogue.model(target)?.withdrawn, 'recall')
      })

      it('lists the models of a publisher, but not those that were taken back', () => {
        const [yanked, recalled, third] = ['a', 'b', 'c'].map((name) => add(embl, { name }))
        add(crick, { name: 'a' })
        catalogue.appendRecord(embl.withdraw(yanked as Cid, 'yank'), {})
        catalogue.appendRecord(embl.withdraw(recalled as Cid, 'recall'), {})
        assert.deepEqual(catalogue.modelIds(embl.publisher), [yanked, third])
      })

      it('marks a model whose withdrawal came first', () => {
        const { signed } = embl.model({ name: 'a', seed: embl.seeds.serve })
        catalogue.appendRecord(embl.withdraw(signed.id, 'yank'), {})
        catalogue.appendRecord(signed, { description: describeModel({ name: 'a' }) })
        assert.equal(catalogue.model(signed.id)?.withdrawn, 'yank')
        assert.deepEqual(found({}), [])
      })

      it('restores what its publisher took back, in any order of coming', () => {
        embl.letErase()
        const { signed, card } = embl.model({ name: 'a' })
        const erase = embl.withdraw(signed.id, 'erase')
        const restore = embl.withdraw(erase.id, 'restore')
        const others = [embl.withdraw(signed.id, 'yank'), embl.withdraw(erase.id, 'restore')]
        // Of others, neither a restore nor a tag that says to replace it is one.
        const foreign = crick.record({
          kind: 'withdraw',
          body: { target: erase.id, verb: 'restore', reason: 'a', note: '' },
        })
        const tag = embl.tag('a', 'stable', signed.id, [erase.id])
        const index = { card, description: describeModel({ name: 'a' }) }
        const orders = [
          [signed, erase, restore],
          [signed, restore, erase],
          [erase, signed, restore],
          [erase, restore, signed],
          [restore, erase, signed],
          [restore, signed, erase],
        ]
        for (const order of orders) {
          const fresh = open()
          const verb = () => fresh.model(signed.id)?.withdrawn
          for (const each of order) fresh.appendRecord(each, index)
          assert.equal(verb(), null)
          assert.equal(fresh.search({}).total, 1)
          assert.deepEqual(fresh.withdrawals(embl.publisher, signed.id), [
            { record: erase.id, verb: 'erase', isRestored: true },
          ])
          for (const each of others) fresh.appendRecord(each, index)
          assert.equal(verb(), 'yank')
          fresh.close()
        }
        for (const each of [signed, erase, foreign, tag]) catalogue.appendRecord(each, index)
        assert.equal(catalogue.model(signed.id)?.withdrawn, 'erase')
        assert.equal(catalogue.withdrawal(embl.publisher, signed.id), 'erase')
        assert.equal(catalogue.withdrawal(crick.publisher, signed.id), null)
        catalogue.appendRecord(restore, {})
        assert.equal(catalogue.model(signed.id)?.withdrawn, null)
        // A cut of the key that restored, and then of the one that erased, takes either back.
        catalogue.retract(embl.publisher, embl.key('erase'), lastOf(erase))
        assert.equal(catalogue.model(signed.id)?.withdrawn, 'erase')
        catalogue.retract(embl.publisher, embl.key('erase'), null)
        assert.equal(catalogue.model(signed.id)?.withdrawn, null)
      })

      it('follows tags that replace each other', () => {
        const first = add(embl, { name: 'a', version: '1' })
        const second = add(embl, { name: 'a', version: '2' })
        const tag = embl.tag('a', 'stable', first)
        catalogue.appendRecord(tag, {})
        assert.equal(catalogue.tags(embl.publisher, 'a', 'stable')[0]?.target, first)
        catalogue.appendRecord(embl.tag('a', 'stable', second, [tag.id]), {})
        assert.equal(catalogue.tags(embl.publisher, 'a', 'stable')[0]?.target, second)
        assert.deepEqual(catalogue.tags(embl.publisher, 'a', 'beta'), [])
        assert.deepEqual(catalogue.tags(crick.publisher, 'a', 'stable'), [])
      })

      it('takes the greatest of tags that none replaces', () => {
        const targets = ['1', '2'].map((version) => add(embl, { name: 'a', version }))
        const tags = targets.map((target) => embl.tag('a', 'stable', target))
        for (const tag of tags) catalogue.appendRecord(tag, {})
        const [first, second] = tags.map(({ id }) => id)
        const winner = (first ?? '') > (second ?? '') ? targets[0] : targets[1]
        assert.equal(catalogue.tags(embl.publisher, 'a', 'stable')[0]?.target, winner)
      })
    })

    describe('rosters', () => {
      const shown = () =>
        catalogue
          .rosters(embl.publisher)
          .map(({ name, record, isWithdrawn }) => [name, record, isWithdrawn])
      const rosterOf = ({ id: record, envelope, record: payload }: SignedRecord) => {
        assert(payload.kind === 'roster')
        return { record, publisher: payload.publisher, envelope, body: payload.body }
      }

      it('are kept as they were signed, with or without their log', () => {
        const signed = embl.roster('imaging', [crick.publisher, embl.publisher], { right: 'run' })
        const row = rosterOf(signed)
        catalogue.putRoster(row)
        catalogue.putRoster(row)
        assert.deepEqual(catalogue.roster(signed.id), row)
        catalogue.appendRecord(signed, {})
        assert.deepEqual(catalogue.roster(signed.id), row)
        assert.deepEqual(shown(), [['imaging', signed.id, false]])
        assert.deepEqual(catalogue.rosters(crick.publisher), [])
        assert.equal(catalogue.roster(crick.publisher), null)
      })

      it('stand by name where none replaces them, the greatest id first', () => {
        const first = embl.roster('b', [])
        const second = embl.roster('b', [crick.publisher])
        const other = embl.roster('a', [])
        const third = embl.roster('b', [embl.publisher], { replaces: [first.id] })
        for (const each of [third, second, first, other]) catalogue.appendRecord(each, {})
        const [low, high] = [second.id, third.id].sort()
        assert.deepEqual(shown(), [
          ['a', other.id, false],
          ['b', high, false],
          ['b', low, false],
        ])
        const replaced = [first, second].map(({ id }) => catalogue.isReplaced(embl.publisher, id))
        assert.deepEqual(replaced, [true, false])
        assert.equal(catalogue.isReplaced(crick.publisher, first.id), false)
      })

      it('are withdrawn by their publisher, whichever comes first', () => {
        const signed = embl.roster('imaging', [])
        const withdrawal = embl.withdraw(signed.id)
        catalogue.putRoster(rosterOf(signed))
        catalogue.appendRecord(crick.withdraw(signed.id), {})
        assert.deepEqual(shown(), [['imaging', signed.id, false]])
        catalogue.appendRecord(signed, {})
        catalogue.appendRecord(withdrawal, {})
        assert.deepEqual(shown(), [['imaging', signed.id, true]])
        catalogue.retract(embl.publisher, embl.key(), signed.record)
        assert.deepEqual(shown(), [['imaging', signed.id, false]])
      })

      it('are taken back, and what they replaced stands again', () => {
        const first = embl.roster('a', [])
        const second = embl.roster('a', [crick.publisher], { replaces: [first.id] })
        for (const each of [first, second]) catalogue.putRoster(rosterOf(each))
        catalogue.dropRoster(embl.publisher, second.id)
        assert.deepEqual(shown(), [['a', first.id, false]])
        catalogue.dropRoster(embl.publisher, second.id)
        assert.deepEqual(shown(), [['a', first.id, false]])
      })

      it('go with their log, and with their publisher', () => {
        const first = embl.roster('a', [])
        const second = embl.roster('a', [crick.publisher], { replaces: [first.id] })
        for (const each of [first, second]) catalogue.appendRecord(each, {})
        catalogue.retract(embl.publisher, embl.key(), first.record)
        assert.deepEqual(shown(), [['a', first.id, false]])
        catalogue.dropPublisher(embl.publisher)
        assert.deepEqual(shown(), [])
      })
    })

    describe('attestations', () => {
      it('are found by root, also where the model is not here', () => {
        const model = embl.model({ name: 'a' }).signed
        assert(model.record.kind === 'model')
        const { root } = model.record.body
        const other = embl.model({ name: 'b' }).signed
        const rows = [
          crick.vouch(model),
          crick.vouch(model, 'measured'),
          embl.vouch(model, 'reviewed'),
          crick.vouch(other),
        ]
        for (const each of rows) catalogue.appendRecord(each, {})
        const expected = rows.slice(0, 3).map(({ id: record, record: payload }) => {
          assert(payload.kind === 'attest')
          const { publisher, body } = payload
          return { record, publisher, ...body, isWithdrawn: false }
        })
        const byRecord = expected.sort((a, b) => (a.record < b.record ? -1 : 1))
        assert.deepEqual(catalogue.attestations(root), byRecord)
        assert.deepEqual(catalogue.attestations(cidOf('dag-pb', utf8('none'))), [])
        const roots = [model, other].map(
          ({ record }) => record.kind === 'model' && record.body.root,
        )
        const attested = (least: number, ...by: readonly TestPublisher[]) =>
          catalogue.attestedRoots(
            by.map(({ publisher }) => publisher),
            least,
          )
        assert.deepEqual(attested(1, crick), roots.sort())
        assert.deepEqual(attested(1, embl), [root])
        assert.deepEqual(attested(2, embl, crick), [root])
        assert.deepEqual(attested(2, crick), [])
        assert.deepEqual(attested(1), [])
      })

      it('are withdrawn by who signed them, and go with their log', () => {
        const model = embl.model({ name: 'a' }).signed
        assert(model.record.kind === 'model')
        const { root } = model.record.body
        const states = () => catalogue.attestations(root).map(({ isWithdrawn }) => isWithdrawn)
        const reviewed = crick.vouch(model, 'reviewed')
        catalogue.appendRecord(reviewed, {})
        catalogue.appendRecord(embl.withdraw(reviewed.id), {})
        assert.deepEqual(states(), [false])
        catalogue.appendRecord(crick.withdraw(reviewed.id), {})
        assert.deepEqual(states(), [true])
        catalogue.retract(crick.publisher, crick.key(), reviewed.record)
        assert.deepEqual(states(), [false])
        catalogue.retract(crick.publisher, crick.key(), null)
        assert.deepEqual(states(), [])
        assert.deepEqual(catalogue.attestedRoots([crick.publisher], 1), [])
      })
    })

    describe('erasures', () => {
      const shared = utf8('shared weights')
      let first: Cid
      let second: Cid
      beforeEach(() => {
        embl.letErase()
        const words = { description: 'secret', tags: ['secret'], authors: ['Ann Onymous'] }
        first = add(embl, { name: 'a', weights: shared, aliases: ['shark'], description: words })
        second = add(embl, { name: 'b', weights: shared })
      })
      const erase = (target: Cid): Cid => {
        const signed = embl.withdraw(target, 'erase')
        catalogue.appendRecord(signed, {})
        return signed.id
      }
      const cids = (record: Cid) => (catalogue.model(record)?.files ?? []).map(({ cid }) => cid)

      it('notes since when each model is erased, and forgets what stands again', () => {
        catalogue.noteErasures(1)
        assert.deepEqual(catalogue.erasures(), [])
        const record = erase(first)
        catalogue.noteErasures(2)
        catalogue.noteErasures(3)
        assert.deepEqual(catalogue.erasures(), [{ record: first, since: 2, isHere: false }])
        assert.deepEqual(catalogue.unstripped(), catalogue.erasures())
        catalogue.appendRecord(embl.withdraw(record, 'restore'), {})
        catalogue.noteErasures(4)
        assert.deepEqual([catalogue.erasures(), catalogue.unstripped()], [[], []])
        erase(first)
        catalogue.noteErasures(5)
        assert.equal(catalogue.erasures()[0]?.since, 5)
      })

      it('is told by the operator too, until he takes it back', () => {
        catalogue.eraseHere(first, 7)
        assert.equal(catalogue.model(first)?.withdrawn, 'erase')
        catalogue.noteErasures(8)
        assert.deepEqual(catalogue.erasures(), [{ record: first, since: 7, isHere: true }])
        assert.deepEqual(found({}), ['b@1.0.0'])
        catalogue.restoreHere(first)
        catalogue.noteErasures(9)
        assert.deepEqual(catalogue.erasures(), [])
        assert.deepEqual(found({}), ['b@1.0.0', 'a@1.0.0'])
      })

      it('strips a model of all that its card said, and of its claim on blobs', () => {
        erase(first)
        catalogue.noteErasures(1)
        const [card, weights] = cids(first)
        catalogue.strip(first)
        assert.deepEqual(catalogue.unstripped(), [])
        assert.deepEqual(catalogue.doomed(), [card])
        assert.equal(catalogue.card(card ?? assert.fail()), null)
        const model = catalogue.model(first)
        assert.deepEqual(
          [model?.name, model?.withdrawn, model?.unreadable?.code, model?.files.length],
          ['a', 'erase', 'BLOB_MISSING', 2],
        )
        assert(!JSON.stringify(model?.description).includes('secret'))
        assert.deepEqual(catalogue.modelsByAlias('shark'), [])
        assert.deepEqual(catalogue.recordsWithFile(weights ?? assert.fail()), [second])
        assert.deepEqual(found({ text: 'secret' }), [])
        // The last one that names a blob dooms it.
        erase(second)
        catalogue.noteErasures(2)
        catalogue.strip(second)
        assert(catalogue.doomed().includes(weights ?? assert.fail()))
      })

      it('indexes a stripped model anew once it stands again and its card is here', () => {
        const record = erase(first)
        catalogue.noteErasures(1)
        catalogue.strip(first)
        assert.deepEqual(catalogue.modelsWithoutCard(), [])
        catalogue.appendRecord(embl.withdraw(record, 'restore'), {})
        assert.deepEqual(catalogue.modelsWithoutCard(), [first])
        assert.deepEqual(catalogue.recordsWithFile(cids(first)[1] ?? assert.fail()).length, 2)
        assert.deepEqual(found({ text: 'shark' }), ['a@1.0.0'])
        const card = utf8('name: a\nversion: 1.0.0\n')
        catalogue.reindex(first, { card, description: describeModel({ name: 'a' }) })
        assert.deepEqual(catalogue.modelsWithoutCard(), [])
        assert.deepEqual(catalogue.card(catalogue.model(first)?.card ?? assert.fail()), card)
        assert.deepEqual(found({ axes: 'yx', text: 'shark' }), ['a@1.0.0'])
      })

      it('keeps the card that another model has too', () => {
        const card = utf8('the same card')
        const [one, two] = ['1', '2'].map((version) => add(embl, { name: 'c', version, card }))
        erase(one as Cid)
        catalogue.strip(one as Cid)
        const cid = catalogue.model(two as Cid)?.card ?? assert.fail()
        assert.deepEqual(catalogue.card(cid), card)
        assert.deepEqual(catalogue.doomed().includes(cid), false)
        catalogue.strip(two as Cid)
        assert.equal(catalogue.card(cid), null)
      })

      it('counts what each publisher has here', () => {
        add(crick, { name: 'a', weights: shared })
        assert.deepEqual(
          [embl, crick].map((each) => catalogue.modelCount(each.publisher)),
          [2, 1],
        )
        const all = new Set([...cids(first), ...cids(second)])
        assert.deepEqual(catalogue.blobsOf(embl.publisher), [...all].sort())
        erase(first)
        catalogue.strip(first)
        assert.deepEqual(catalogue.blobsOf(embl.publisher), [...cids(second)].sort())
        assert.equal(catalogue.modelCount(embl.publisher), 2)
      })

      it('counts what came in on a day, and forgets the days before', () => {
        const { publisher } = embl
        for (const day of [4, 4, 5]) catalogue.countIntake(publisher, 'records', day)
        catalogue.countIntake(publisher, 'profiles', 6)
        const counted = (day: number) => catalogue.intake(publisher, 'records', day)
        assert.deepEqual([4, 5, 6].map(counted), [0, 1, 0])
        assert.equal(catalogue.intake(crick.publisher, 'records', 5), 0)
        assert.throws(() =>
          catalogue.transaction(() => {
            catalogue.countIntake(publisher, 'records', 5)
            throw new Error('undone')
          }),
        )
        assert.deepEqual([counted(5), catalogue.intake(publisher, 'profiles', 6)], [1, 1])
      })

      it('keeps marks of blobs until they are gone or spared', () => {
        const [card, weights] = cids(first) as [Cid, Cid]
        for (const cid of [card, weights, card]) catalogue.doom(cid)
        catalogue.putTree(weights, [utf8('node')])
        assert.deepEqual(catalogue.doomed(), [card, weights].sort())
        catalogue.dropBlob(weights)
        assert.deepEqual([catalogue.doomed(), catalogue.tree(weights)], [[card], null])
        catalogue.spare(card)
        assert.deepEqual(catalogue.doomed(), [])
      })

      it('remembers since when no model names a blob', () => {
        const [card, weights] = [...cids(first)].sort() as [Cid, Cid]
        const note = (now: number, ...them: Cid[]) =>
          catalogue.noteUnnamed(them, now).map(({ cid, since }) => [cid, since])
        assert.deepEqual(note(5, card), [[card, 5]])
        assert.deepEqual(note(8, weights, card), [
          [card, 5],
          [weights, 8],
        ])
        assert.deepEqual(note(9, weights), [[weights, 8]])
        // One that was named meanwhile begins anew; no clock makes it last for ever.
        assert.deepEqual(note(7, card, weights), [
          [card, 7],
          [weights, 7],
        ])
      })
    })

    describe('search', () => {
      it('lists the newest version of each name that stands, newest first', () => {
        add(embl, { name: 'a', version: '1' })
        const second = add(embl, { name: 'a', version: '2' })
        crick.now = embl.now
        add(crick, { name: 'a', version: '7' })
        assert.deepEqual(found({}), ['a@7', 'a@2'])
        catalogue.appendRecord(embl.withdraw(second), {})
        assert.deepEqual(found({}), ['a@7', 'a@1'])
      })

      it('finds words in name, description, tags, authors, aliases and the publisher', () => {
        catalogue.appendRecord(embl.profile('embl', 'European Laboratory'), {})
        add(embl, {
          name: 'nuclei-unet',
          aliases: ['affable-shark'],
          description: {
            name: 'Nuclei U-Net',
            description: 'Segments nuclei in fluorescence images',
            tags: ['DAPI'],
            authors: ['Žofia Müller'],
          },
        })
        const texts = [
          'nuclei',
          'fluorescence',
          'dapi',
          'muller',
          'ŽOFIA',
          'shark',
          'embl',
          'european',
        ]
        for (const text of texts) assert.deepEqual(found({ text }), ['nuclei-unet@1.0.0'], text)
      })

      it('wants all words, and takes the last one as a beginning', () => {
        add(embl, { name: 'a', description: { description: 'mitochondria segmentation' } })
        add(embl, { name: 'b', description: { description: 'nuclei segmentation' } })
        assert.deepEqual(found({ text: 'segmentation nuclei' }), ['b@1.0.0'])
        assert.deepEqual(found({ text: 'nuclei segm' }), ['b@1.0.0'])
        assert.deepEqual(found({ text: 'nuc segmentation' }), [])
        assert.deepEqual(found({ text: 'mitochondria nuclei' }), [])
      })

      it('ranks a name above a description', () => {
        add(embl, { name: 'membrane', description: { name: 'Membrane' } })
        add(embl, { name: 'cells', description: { name: 'Cells', description: 'like membrane' } })
        assert.deepEqual(found({ text: 'membrane' }), ['membrane@1.0.0', 'cells@1.0.0'])
      })

      it('takes every text as words, never as a language of queries', () => {
        add(embl, { name: 'a', description: { name: 'U-Net' } })
        const texts = [
          '"',
          'u-net',
          'NEAR(',
          'a AND',
          '* OR',
          'name:',
          "u'net",
          '^',
          '{}',
          'NOT',
          '(',
        ]
        for (const text of texts) catalogue.search({ text })
        assert.deepEqual(found({ text: 'u-net' }), ['a@1.0.0'])
        assert.deepEqual(found({ text: '"u" net*' }), ['a@1.0.0'])
        assert.deepEqual(found({ text: '  ' }), ['a@1.0.0'])
        assert.deepEqual(found({ text: '***' }), [])
      })

      it('bounds the text', () => {
        const words = Array.from({ length: 17 }, (_, n) => `w${n}`)
        catalogue.search({ text: words.slice(1).join(' ') })
        assert.throws(() => catalogue.search({ text: words.join(' ') }), { code: 'PARAMETER' })
        catalogue.search({ text: 'a'.repeat(64) })
        assert.throws(() => catalogue.search({ text: 'a'.repeat(65) }), { code: 'PARAMETER' })
      })

      it('follows a publisher that is renamed', () => {
        add(embl, { name: 'a' })
        const first = embl.profile('embl')
        catalogue.appendRecord(first, {})
        assert.deepEqual(found({ text: 'embl' }), ['a@1.0.0'])
        catalogue.appendRecord(embl.profile('heidelberg', 'Heidelberg', [first.id]), {})
        assert.deepEqual(found({ text: 'embl' }), [])
        assert.deepEqual(found({ text: 'heidelberg' }), ['a@1.0.0'])
      })

      it('filters by axes, channels and dtype of one input', () => {
        add(embl, { name: 'plane', description: { axes: 'yx', channels: 1 } })
        add(embl, { name: 'rgb', description: { axes: 'xy', channels: 3, dtype: 'uint8' } })
        add(embl, { name: 'volume', description: { axes: 'zyx' } })
        add(embl, { name: 'any', description: { axes: 'tyx', channels: { min: 2, step: 2 } } })
        const names = (query: ModelQuery): string[] =>
          catalogue.search({ ...query, sort: 'name' }).items.map((model) => model.name)
        assert.deepEqual(names({ axes: 'yx' }), ['plane', 'rgb'])
        assert.deepEqual(names({ axes: 'bcxy' }), ['plane', 'rgb'])
        assert.deepEqual(names({ axes: 'XYZ' }), ['volume'])
        assert.deepEqual(names({ channels: 1 }), ['plane', 'volume'])
        assert.deepEqual(names({ channels: 4 }), ['any'])
        assert.deepEqual(names({ channels: 3 }), ['rgb'])
        assert.deepEqual(names({ dtype: 'uint8' }), ['rgb'])
        assert.deepEqual(names({ dtype: 'uint8', channels: 1 }), [])
      })

      it('filters by tag, licence and publisher, and leaves out the hidden', () => {
        add(embl, { name: 'a', description: { tags: ['Nuclei'], license: 'MIT' } })
        add(crick, { name: 'b', description: { tags: ['nuclei'], license: 'CC-BY-4.0' } })
        assert.equal(catalogue.search({ tag: 'NUCLEI' }).total, 2)
        assert.deepEqual(found({ license: 'mit' }), ['a@1.0.0'])
        assert.deepEqual(found({ publisher: crick.publisher }), ['b@1.0.0'])
        assert.deepEqual(found({ tag: 'nuclei', license: 'MIT', publisher: crick.publisher }), [])
        assert.deepEqual(found({ hidden: [crick.publisher] }), ['a@1.0.0'])
        assert.equal(catalogue.search({ hidden: [crick.publisher, embl.publisher] }).total, 0)
        assert.deepEqual(found({ text: 'b', hidden: [crick.publisher] }), [])
      })

      for (const sort of ['newest', 'name', 'relevance'] as const) {
        it(`pages by ${sort} without gap or repeat`, () => {
          const names = ['d', 'a', 'c', 'e', 'b']
          for (const name of names) add(embl, { name, description: { description: 'cell' } })
          const query = { text: 'cell', sort, limit: 2 } as const
          const seen: string[] = []
          let page = catalogue.search(query)
          assert.equal(page.total, 5, 'all hits are counted')
          for (;;) {
            seen.push(...page.items.map((model) => model.name))
            if (page.next === null) break
            // Ranks change with what is there; the other orders must stand.
            if (sort !== 'relevance')
              add(embl, { name: `0${seen.length}`, description: { tags: ['cell'] } })
            page = catalogue.search({ ...query, cursor: page.next })
          }
          const order = { newest: ['b', 'e', 'c', 'a', 'd'], name: ['a', 'b', 'c', 'd', 'e'] }
          if (sort === 'relevance') assert.deepEqual([...seen].sort(), order.name)
          else assert.deepEqual(seen, order[sort])
        })
      }

      it('refuses cursors and limits that are none', () => {
        for (const name of ['a', 'b']) add(embl, { name })
        const { next } = catalogue.search({ limit: 1, sort: 'name' })
        assert(next !== null)
        const cursors = ['', 'x', '!!!', next.slice(3), btoa('["name",7,1]'), btoa('null')]
        for (const cursor of cursors) {
          assert.throws(() => catalogue.search({ cursor, sort: 'name' }), { code: 'PARAMETER' })
        }
        assert.throws(() => catalogue.search({ cursor: next, sort: 'newest' }), {
          code: 'PARAMETER',
        })
        for (const limit of [0, -1, 1.5, 101, Number.NaN]) {
          assert.throws(() => catalogue.search({ limit }), { code: 'PARAMETER' })
        }
        assert.equal(catalogue.search({ limit: 100 }).items.length, 2)
      })
    })

    describe('transactions', () => {
      it('undo everything when the work throws', () => {
        add(embl, { name: 'a' })
        const work = (): void => {
          add(embl, { name: 'b' })
          catalogue.putSetting('k', 'v')
          throw new Error('changed my mind')
        }
        assert.throws(() => catalogue.transaction(work), /changed my mind/)
        assert.deepEqual(found({}), ['a@1.0.0'])
        assert.equal(catalogue.setting('k'), null)
        assert.equal(catalogue.counts().records, 1)
      })

      it('may be nested, and give back the value of the work', () => {
        const value = catalogue.transaction(() => {
          catalogue.putSetting('outer', '1')
          const inner = (): void => {
            catalogue.putSetting('inner', '1')
            throw new Error('only this one')
          }
          assert.throws(() => catalogue.transaction(inner), /only this one/)
          return 7
        })
        assert.equal(value, 7)
        assert.deepEqual([catalogue.setting('outer'), catalogue.setting('inner')], ['1', null])
      })
    })

    it('keeps the inner nodes of trees', () => {
      const cid = cidOf('dag-pb', utf8('root'))
      assert.equal(catalogue.tree(cid), null)
      catalogue.putTree(cid, [utf8('root'), utf8('left'), utf8('right')])
      catalogue.putTree(cid, [utf8('root'), utf8('left'), utf8('right')])
      assert.deepEqual(catalogue.tree(cid), [utf8('root'), utf8('left'), utf8('right')])
      const leaf = cidOf('raw', utf8('leaf'))
      catalogue.putTree(leaf, [])
      assert.equal(catalogue.tree(leaf), null)
    })

    it('keeps the newest statement of holdings of each key, by publisher and key', () => {
      const [publisher, key] = [embl.publisher, embl.key('serve')]
      const first = { publisher, key, current: utf8('all'), base: null }
      const other = { publisher: crick.publisher, key, current: utf8('crick'), base: null }
      const more = { ...first, key: embl.key('publish') }
      for (const row of [first, other, more]) catalogue.putHoldings(row)
      const changed = { ...first, current: utf8('change'), base: utf8('all') }
      catalogue.putHoldings(changed)
      const inOrder = [changed, other, more].sort((a, b) =>
        `${a.publisher} ${a.key}` < `${b.publisher} ${b.key}` ? -1 : 1,
      )
      assert.deepEqual(catalogue.holdings(), inOrder)
      catalogue.dropHoldings(more.publisher, more.key)
      catalogue.dropHoldings(more.publisher, more.key)
      assert.deepEqual(
        catalogue.holdings(),
        inOrder.filter((row) => row !== more),
      )
      catalogue.putIdentityOp(crick.publisher, 0, utf8('op'))
      catalogue.dropPublisher(crick.publisher)
      assert.deepEqual(catalogue.holdings(), [changed])
    })

    it('keeps when models were last used, the one used longest ago first', () => {
      const [a, b, c] = ['a', 'b', 'c'].map((each) => cidOf('dag-cbor', utf8(each))) as [
        Cid,
        Cid,
        Cid,
      ]
      catalogue.putUse({ record: a, used: 2 })
      catalogue.putUse({ record: b, used: 2 })
      catalogue.putUse({ record: c, used: 1 })
      const [first, second] = a < b ? [a, b] : [b, a]
      const order = (): readonly Cid[] => catalogue.uses().map(({ record }) => record)
      assert.deepEqual(order(), [c, first, second])
      catalogue.putUse({ record: c, used: 3 })
      assert.deepEqual(catalogue.uses().at(-1), { record: c, used: 3 })
      catalogue.dropUse(first)
      assert.deepEqual(order(), [second, c])
    })

    it('keeps peers, the last seen first', () => {
      const peer = { addresses: ['/ip4/127.0.0.1/tcp/1'], publisher: null, binding: null }
      catalogue.putPeer({ ...peer, peer: 'a', seen: 1 })
      catalogue.putPeer({ ...peer, peer: 'b', seen: 2 })
      const again = {
        ...peer,
        peer: 'a',
        seen: 3,
        publisher: embl.publisher,
        binding: utf8('binding'),
      }
      catalogue.putPeer(again)
      assert.deepEqual(catalogue.peers(), [again, { ...peer, peer: 'b', seen: 2 }])
      catalogue.removePeer('a')
      catalogue.removePeer('c')
      assert.deepEqual(catalogue.peers(), [{ ...peer, peer: 'b', seen: 2 }])
    })

    it('keeps tokens and settings', () => {
      const token = {
        id: 't1',
        label: 'fiji',
        hash: 'ab',
        scopes: ['read', 'infer'],
        created: 1,
        expires: null,
      }
      catalogue.putToken(token)
      assert.deepEqual(catalogue.tokens(), [token])
      assert.equal(catalogue.removeToken('t1'), true)
      assert.equal(catalogue.removeToken('t1'), false)
      catalogue.putSetting('k', '1')
      catalogue.putSetting('k', '2')
      assert.equal(catalogue.setting('k'), '2')
      assert.equal(catalogue.setting('none'), null)
    })

    it('counts', () => {
      catalogue.putIdentityOp(embl.publisher, 0, utf8('op'))
      add(embl, { name: 'a' })
      catalogue.appendRecord(embl.profile('embl'), {})
      assert.deepEqual(catalogue.counts(), { records: 2, models: 1, publishers: 1 })
    })

    it('does not keep hold of the memory that it is given', () => {
      const envelope = utf8('head')
      catalogue.putHead(embl.publisher, embl.key(), envelope, 1)
      envelope.fill(0)
      assert.deepEqual(catalogue.heads(embl.publisher)[0]?.envelope, utf8('head'))
      const [current, base] = [utf8('current'), utf8('base')]
      catalogue.putHoldings({ publisher: embl.publisher, key: embl.key(), current, base })
      for (const bytes of [current, base]) bytes.fill(0)
      const kept = catalogue.holdings()[0]
      assert.deepEqual([kept?.current, kept?.base], [utf8('current'), utf8('base')])
    })
  })
}

import assert from 'node:assert/strict'
import { archiveOf } from '../../daemon/net/archive.ts'
import { type Cid, cidOf } from '../../protocol/cid.ts'
import type { Code, Verdict } from '../../protocol/errors.ts'
import { expectOk } from '../../protocol/errors.ts'
import { signHead } from '../../protocol/head.ts'
import { MAX_CARD_BYTES, MAX_CLOCK_AHEAD_MS, MAX_RECORD_BYTES } from '../../protocol/limits.ts'
import { MAX_STRANGERS } from '../../registry/identities.ts'
import { MAX_PROFILES_PER_DAY } from '../../registry/quotas.ts'
import type { Registry } from '../../registry/registry.ts'
import { exampleFiles } from '../helpers/package.ts'
import { lastOf, seedOf, type TestModel, TestPublisher, utf8 } from '../helpers/publisher.ts'
import { admit, introduce, type TestClock, testRegistry } from '../helpers/test-registry.ts'

const DAY_MS = 24 * 3600 * 1000

const refused = (verdict: Verdict<unknown>, code: Code): void => {
  assert(!verdict.ok, `expected ${code}`)
  assert.equal(verdict.code, code)
}

describe('registry/admission', () => {
  let registry: Registry
  let clock: TestClock
  let embl: TestPublisher
  beforeEach(async () => {
    ;({ registry, clock } = await testRegistry())
    embl = new TestPublisher('embl')
  })

  const offer = ({ signed, card }: TestModel): Verdict<unknown> =>
    registry.admitRecord(signed.envelope, card)

  describe('of records', () => {
    it('takes in a log in order, and tells of each record once', () => {
      introduce(registry, embl)
      const seen: string[] = []
      registry.on('record', ({ id }) => seen.push(id))
      const models = ['a', 'b', 'c'].map((name) => embl.model({ name }))
      for (const model of models) assert.equal(admit(registry, model), model.signed.id)
      assert.deepEqual(
        seen,
        models.map(({ signed }) => signed.id),
      )
      const log = registry.catalogue.log(embl.publisher, embl.key())
      assert.deepEqual([log?.seq, log?.tip], [2, models[2]?.signed.id])
    })

    it('knows a record that is here, whoever brings it', () => {
      introduce(registry, embl)
      const { signed, card } = embl.model({ name: 'a' })
      expectOk(registry.admitRecord(signed.envelope, card))
      const again = expectOk(registry.admitRecord(signed.envelope, null))
      assert.deepEqual(again, { status: 'known', id: signed.id })
    })

    it('wants a rule that lists the publisher', () => {
      introduce(registry, embl, 'see')
      const model = embl.model({ name: 'a' })
      const verdict = offer(model)
      refused(verdict, 'TRUST')
      assert(!verdict.ok && verdict.hint?.includes(`zoarium trust add ${embl.publisher} list`))
      registry.setTrust({ publisher: embl.publisher, right: 'list' })
      admit(registry, model)
    })

    it('wants the identity first', () => {
      registry.setTrust({ publisher: embl.publisher, right: 'list' })
      refused(offer(embl.model({ name: 'a' })), 'GAP')
    })

    it('refuses any record with a flipped bit', () => {
      introduce(registry, embl)
      const { signed, card } = embl.model({ name: 'a' })
      const { length } = signed.envelope
      for (let bit = 0; bit < length * 8; bit += 37) {
        const flipped = signed.envelope.slice()
        flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
        assert(!registry.admitRecord(flipped, card).ok, `bit ${bit}`)
      }
      assert.equal(registry.counts().records, 0)
      // Nothing is held against the id: the right bytes pass.
      expectOk(registry.admitRecord(signed.envelope, card))
    })

    it('refuses what is too long, too short or nothing', () => {
      for (const bytes of [0, 10, 64]) {
        assert(!registry.admitRecord(new Uint8Array(bytes), null).ok)
      }
      refused(registry.admitRecord(new Uint8Array(MAX_RECORD_BYTES + 65), null), 'LIMIT')
    })

    it('refuses a key that was never delegated', () => {
      introduce(registry, embl)
      refused(offer(embl.model({ name: 'a', seed: seedOf('a thief') })), 'KEY_NOT_DELEGATED')
    })

    it('refuses a key out of its scope', () => {
      introduce(registry, embl)
      refused(offer(embl.model({ name: 'a', seed: embl.seeds.serve })), 'SCOPE')
    })

    it('refuses a record signed after its delegation ran out', () => {
      introduce(registry, embl)
      clock.time += 2 * 365 * DAY_MS
      refused(offer(embl.model({ name: 'a', header: { ts: clock.time } })), 'KEY_EXPIRED')
    })

    it('asks for identity operations that the signer knew', () => {
      introduce(registry, embl)
      embl.delegate('publish', seedOf('a new machine'))
      const model = embl.model({ name: 'a', seed: seedOf('a new machine') })
      refused(offer(model), 'KEY_NOT_DELEGATED')
      refused(offer(embl.model({ name: 'b' })), 'GAP')
      introduce(registry, embl)
      admit(registry, model)
    })

    it('wants the next position, and says what is missing', () => {
      introduce(registry, embl)
      const [first, second, third] = ['a', 'b', 'c'].map((name) => embl.model({ name }))
      assert(first && second && third)
      refused(offer(second), 'GAP')
      admit(registry, first)
      const verdict = offer(third)
      refused(verdict, 'GAP')
      assert(!verdict.ok && verdict.limit === 1 && verdict.got === 2)
      admit(registry, second)
      admit(registry, third)
    })

    it('refuses a record that follows another one', () => {
      introduce(registry, embl)
      admit(registry, embl.model({ name: 'a' }))
      const prev = cidOf('dag-cbor', utf8('elsewhere'))
      refused(offer(embl.model({ name: 'b', header: { prev } })), 'PREV_UNKNOWN')
    })

    it('holds back what is dated ahead of the clock, until then', () => {
      introduce(registry, embl)
      const ts = clock.time + MAX_CLOCK_AHEAD_MS + 1
      const model = embl.model({ name: 'a', header: { ts } })
      refused(offer(model), 'HELD')
      clock.time += 1
      admit(registry, model)
    })

    it('makes many durable together, each with its own verdict', () => {
      introduce(registry, embl)
      const models = ['a', 'b', 'c'].map((name) => embl.model({ name }))
      const stranger = new TestPublisher('stranger').model({ name: 'x' })
      const records = [...models.slice(0, 2), stranger, ...models.slice(2)].map(
        ({ signed, card }) => ({ envelope: signed.envelope, card }),
      )
      const verdicts = registry.admitRecords(records)
      assert.deepEqual(
        verdicts.map((verdict) => (verdict.ok ? verdict.value.status : verdict.code)),
        ['admitted', 'admitted', 'TRUST', 'admitted'],
      )
    })
  })

  describe('of forks', () => {
    it('keeps the proof of two records at one position, and ends the log there', () => {
      introduce(registry, embl)
      const first = embl.model({ name: 'a' })
      admit(registry, first)
      const branch = embl.model({ name: 'b' })
      embl.rewind(first.signed)
      const other = embl.model({ name: 'c' })
      const after = embl.model({ name: 'd' })
      admit(registry, branch)
      refused(offer(other), 'EQUIVOCATION')
      const { proof } = registry.catalogue.log(embl.publisher, embl.key()) ?? {}
      assert.deepEqual(proof, [branch.signed.envelope, other.signed.envelope])
      refused(offer(after), 'CONTESTED')
      assert.equal(registry.counts().records, 2)
      assert(registry.resolve(first.signed.id).ok, 'what came before stays')
      assert.equal(registry.isContested(first.signed.id), false)
      assert.equal(registry.isContested(branch.signed.id), true)
    })

    it('does not take the newest record once more for a fork', () => {
      introduce(registry, embl)
      const { signed, card } = embl.model({ name: 'a' })
      expectOk(registry.admitRecord(signed.envelope, card))
      assert.equal(expectOk(registry.admitRecord(signed.envelope, card)).status, 'known')
      assert.equal(registry.catalogue.log(embl.publisher, embl.key())?.proof, null)
    })

    it('takes in a proof that others found; what came before the fork may follow', () => {
      introduce(registry, embl)
      const [first, second] = [embl.model({ name: 'a' }), embl.model({ name: 'b' })]
      const branch = embl.model({ name: 'c' })
      embl.rewind(second.signed)
      const other = embl.model({ name: 'd' })
      admit(registry, first)
      expectOk(registry.admitProof(branch.signed.envelope, other.signed.envelope))
      admit(registry, second)
      refused(offer(branch), 'CONTESTED')
    })

    it('refuses what proves nothing', () => {
      introduce(registry, embl)
      const [first, second] = ['a', 'b'].map((name) => embl.model({ name }).signed.envelope)
      assert(first && second)
      refused(registry.admitProof(first, second), 'EQUIVOCATION')
      refused(registry.admitProof(first, first), 'EQUIVOCATION')
    })
  })

  describe('of cards', () => {
    const card = (): Uint8Array => exampleFiles({ name: 'Nuclei' }).get('rdf.yaml') ?? assert.fail()

    it('indexes a card that can be read', () => {
      introduce(registry, embl)
      const id = admit(registry, embl.model({ name: 'nuclei', card: card() }))
      const model = expectOk(registry.resolve(id))
      assert.equal(model.description.name, 'Nuclei')
      assert.equal(model.unreadable, null)
      assert.deepEqual(registry.catalogue.card(model.card), card())
    })

    it('wants the card with the record', () => {
      introduce(registry, embl)
      const { signed } = embl.model({ name: 'a' })
      refused(registry.admitRecord(signed.envelope, null), 'BLOB_MISSING')
      refused(registry.admitRecord(signed.envelope, utf8('another card')), 'CONTENT_MISMATCH')
      const large = new Uint8Array(MAX_CARD_BYTES + 1)
      refused(registry.admitRecord(signed.envelope, large), 'LIMIT')
      assert.equal(registry.counts().records, 0)
    })

    it('has a card that came with an earlier record', () => {
      introduce(registry, embl)
      admit(registry, embl.model({ name: 'a', version: '1', card: card() }))
      const { signed } = embl.model({ name: 'a', version: '2', card: card() })
      expectOk(registry.admitRecord(signed.envelope, null))
    })

    it('lists a model whose card cannot be read here, and lets the log go on', () => {
      introduce(registry, embl)
      const old = utf8('type: model\nformat_version: 0.9.0\nname: Old\n')
      const id = admit(registry, embl.model({ name: 'old', card: old }))
      const model = expectOk(registry.resolve(id))
      assert.deepEqual([model.unreadable?.code, model.description.name], ['FORMAT_VERSION', 'old'])
      admit(registry, embl.model({ name: 'bomb', card: utf8('a: &a [1]\nb: [*a, *a]\n') }))
      admit(registry, embl.model({ name: 'next', card: card() }))
      assert.equal(registry.search({}).total, 3)
    })
  })

  describe('of identities', () => {
    it('takes in operations page by page, and passes over those that are here', () => {
      const seen: string[] = []
      registry.on('identity', ({ publisher }) => seen.push(publisher))
      const { publisher, operations } = embl
      refused(registry.admitIdentity(publisher, operations.slice(1), 1), 'GAP')
      expectOk(registry.admitIdentity(publisher, operations.slice(0, 1), 0))
      const { identity } = expectOk(registry.admitIdentity(publisher, operations, 0))
      assert.deepEqual(identity, embl.identity)
      assert.equal(expectOk(registry.admitIdentity(publisher, operations, 0)).isNew, false)
      assert.deepEqual(seen, [publisher, publisher])
      assert.deepEqual(registry.identityOps(publisher, 1), operations.slice(1))
    })

    it('refuses the chain of another publisher, and wrong operations', () => {
      const { publisher, operations } = embl
      const other = new TestPublisher('crick')
      refused(registry.admitIdentity(other.publisher, operations, 0), 'IDENTITY_INVALID')
      refused(registry.admitIdentity(publisher, [], 0), 'IDENTITY_INVALID')
      const wrong = operations[1]?.slice() ?? assert.fail()
      wrong[wrong.length - 1] = (wrong.at(-1) ?? 0) ^ 1
      const verdict = registry.admitIdentity(publisher, [operations[0] ?? wrong, wrong], 0)
      assert(!verdict.ok)
      assert.equal(registry.identity(publisher)?.length, 1, 'what stood before is kept')
    })

    it('freezes a publisher with two operations of one number', () => {
      introduce(registry, embl)
      admit(registry, embl.model({ name: 'a' }))
      const twin = new TestPublisher('embl')
      embl.delegate('publish', seedOf('one'))
      twin.delegate('publish', seedOf('two'))
      introduce(registry, embl)
      refused(registry.admitIdentity(twin.publisher, twin.operations, 0), 'CONTESTED')
      refused(offer(embl.model({ name: 'b' })), 'CONTESTED')
      refused(registry.admitHead(embl.head(embl.profile('x'))), 'CONTESTED')
    })

    it('keeps a bounded number of strangers, the newest', function () {
      this.timeout(60_000)
      introduce(registry, embl)
      admit(registry, embl.model({ name: 'a' }))
      const { catalogue } = registry
      const strangers = Array.from({ length: MAX_STRANGERS + 1 }, (_, n) => `s${n}`)
      const first = new TestPublisher('s0')
      expectOk(registry.admitIdentity(first.publisher, first.operations, 0))
      for (const name of strangers.slice(1, -1)) {
        catalogue.putIdentityOp(cidOf('dag-cbor', utf8(name)), 0, utf8(name))
      }
      assert.equal(registry.publishers().length, MAX_STRANGERS + 2)
      const last = new TestPublisher('last')
      expectOk(registry.admitIdentity(last.publisher, last.operations, 0))
      assert.equal(registry.publishers().length, MAX_STRANGERS + 2)
      assert.equal(registry.identity(first.publisher), null)
      assert(registry.identity(last.publisher) !== null)
      assert(registry.identity(embl.publisher) !== null)
    })
  })

  describe('of profiles without their log', () => {
    it('takes them in from strangers', () => {
      introduce(registry, embl, 'see')
      const { envelope } = embl.profile('embl', 'EMBL Heidelberg')
      expectOk(registry.admitProfile(envelope))
      assert.equal(registry.profile(embl.publisher)?.displayName, 'EMBL Heidelberg')
      assert.equal(registry.counts().records, 0)
    })

    it('takes few a day, and the one that stands any number of times', () => {
      introduce(registry, embl, 'see')
      const names = Array.from({ length: MAX_PROFILES_PER_DAY + 1 }, (_, n) => `embl-${n}`)
      let replaces: Cid[] = []
      const profiles = names.map((name) => {
        const profile = embl.profile(name, name, replaces)
        replaces = [profile.id]
        return profile.envelope
      })
      const last = profiles.pop() ?? assert.fail()
      for (const each of profiles) expectOk(registry.admitProfile(each))
      refused(registry.admitProfile(last), 'QUOTA')
      expectOk(registry.admitProfile(profiles.at(-1) ?? assert.fail()))
      clock.time += DAY_MS
      expectOk(registry.admitProfile(last))
    })

    it('refuses other kinds, unknown publishers and spoilt bytes', () => {
      const { envelope } = embl.profile('embl')
      refused(registry.admitProfile(envelope), 'GAP')
      introduce(registry, embl, 'see')
      refused(registry.admitProfile(embl.model({ name: 'a' }).signed.envelope), 'RECORD_INVALID')
      const spoilt = envelope.slice()
      spoilt[spoilt.length - 5] = (spoilt.at(-5) ?? 0) ^ 1
      assert(!registry.admitProfile(spoilt).ok)
    })
  })

  describe('of a fork at the first record', () => {
    const forked = () => {
      introduce(registry, embl)
      const first = embl.tag('m', 'a', embl.publisher)
      const twin = embl.tag('m', 'b', embl.publisher, [])
      const other = embl.record(
        { kind: 'tag', body: { name: 'm', tag: 'c', target: embl.publisher, replaces: [] } },
        { epoch: 0, seq: 0, prev: null },
      )
      return { first, twin, other }
    }

    it('keeps the proof without any record of the log, and takes none in', () => {
      const { first, other } = forked()
      const events: unknown[] = []
      registry.on('fork', (fork) => events.push(fork))
      expectOk(registry.admitProof(first.envelope, other.envelope))
      expectOk(registry.admitProof(other.envelope, first.envelope))
      assert.equal(events.length, 1, 'told once')
      refused(registry.admitRecord(first.envelope, null), 'CONTESTED')
      refused(registry.admitRecord(other.envelope, null), 'CONTESTED')
      assert.equal(registry.logStatuses()[0]?.state, 'CONTESTED')
      assert.equal(archiveOf(registry).logs(embl.publisher)[0]?.isForked, true)
    })

    it('takes in the branch that the root names', () => {
      const { first, twin, other } = forked()
      expectOk(registry.admitProof(first.envelope, other.envelope))
      embl.sign({ op: 'heal', key: embl.key(), last: lastOf(first), ts: embl.now })
      expectOk(registry.admitIdentity(embl.publisher, embl.operations, 0))
      expectOk(registry.admitRecord(first.envelope, null))
      refused(registry.admitRecord(twin.envelope, null), 'SEQ')
      assert.equal(registry.isContested(first.id), false)
    })
  })

  describe('of heads', () => {
    it('tells whether the log has more than is here', () => {
      introduce(registry, embl)
      const [first, second] = ['a', 'b'].map((name) => embl.model({ name }))
      assert(first && second)
      assert.equal(expectOk(registry.admitHead(embl.head(first.signed))).ahead, true)
      admit(registry, first)
      assert.equal(expectOk(registry.admitHead(embl.head(first.signed))).ahead, false)
      assert.equal(expectOk(registry.admitHead(embl.head(second.signed))).ahead, true)
    })

    it('never lets a position fall', () => {
      introduce(registry, embl)
      const [first, second] = ['a', 'b'].map((name) => embl.model({ name }))
      assert(first && second)
      admit(registry, first)
      const newest = embl.head(second.signed, clock.time - 1000)
      const events: Uint8Array[] = []
      registry.on('head', ({ envelope }) => events.push(envelope))
      assert.equal(expectOk(registry.admitHead(newest)).isNew, true)
      // Older by position, though dated later.
      const old = embl.head(first.signed, clock.time)
      assert.equal(expectOk(registry.admitHead(old)).isNew, false)
      assert.deepEqual(registry.catalogue.log(embl.publisher, embl.key())?.head, newest)
      const renewed = embl.head(second.signed, clock.time)
      assert.equal(expectOk(registry.admitHead(renewed)).isNew, true)
      assert.deepEqual(events, [newest, renewed])
    })

    it('sees another tip at its own position as news', () => {
      introduce(registry, embl)
      const first = embl.model({ name: 'a' })
      admit(registry, first)
      const branch = embl.model({ name: 'b' })
      admit(registry, branch)
      embl.rewind(first.signed)
      const other = embl.model({ name: 'c' })
      assert.equal(expectOk(registry.admitHead(embl.head(other.signed))).ahead, true)
    })

    it('takes in a head that has run out, for its position', () => {
      introduce(registry, embl)
      const head = embl.head(embl.model({ name: 'a' }).signed, clock.time - 5 * DAY_MS)
      assert.equal(expectOk(registry.admitHead(head)).ahead, true)
    })

    it('lets go of a date that it took in while its own clock was ahead', () => {
      introduce(registry, embl)
      const first = embl.model({ name: 'a' })
      const year = 365 * DAY_MS
      clock.time += year
      expectOk(registry.admitHead(embl.head(first.signed, clock.time)))
      clock.time -= year
      const due = embl.head(first.signed, clock.time)
      assert.equal(expectOk(registry.admitHead(due)).isNew, true)
      assert.deepEqual(registry.catalogue.heads(embl.publisher)[0]?.envelope, due)
      const older = embl.head(first.signed, clock.time - 1000)
      assert.equal(expectOk(registry.admitHead(older)).isNew, false)
    })

    it('keeps the position of a head whose date is ahead', () => {
      introduce(registry, embl)
      const [first, second] = [embl.model({ name: 'a' }), embl.model({ name: 'b' })]
      clock.time += DAY_MS
      const newest = embl.head(second.signed, clock.time)
      expectOk(registry.admitHead(newest))
      clock.time -= DAY_MS
      assert.equal(expectOk(registry.admitHead(embl.head(first.signed, clock.time))).isNew, false)
      assert.deepEqual(registry.catalogue.heads(embl.publisher)[0]?.envelope, newest)
    })

    it('refuses heads from the future, of unknown keys and publishers', () => {
      const { signed } = embl.model({ name: 'a' })
      refused(registry.admitHead(embl.head(signed, clock.time)), 'GAP')
      introduce(registry, embl, 'see')
      const late = clock.time + MAX_CLOCK_AHEAD_MS + 1
      refused(registry.admitHead(embl.head(signed, late)), 'HELD')
      const thief = embl.model({ name: 'b', seed: seedOf('a thief') }).signed
      const { publisher, key, epoch, seq } = thief.record
      const head = {
        publisher,
        key,
        epoch,
        seq,
        tip: thief.id,
        issued: clock.time,
        expires: clock.time + 1,
      }
      refused(registry.admitHead(signHead(head, seedOf('a thief'))), 'KEY_NOT_DELEGATED')
    })
  })
})

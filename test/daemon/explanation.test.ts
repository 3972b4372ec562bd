import assert from 'node:assert/strict'
import { Explanation } from '../../daemon/explanation.ts'
import type { RightView } from '../../protocol/api.ts'
import { expectOk } from '../../protocol/errors.ts'
import { writeRosterCar } from '../../protocol/roster-car.ts'
import { memoryTrust, TrustBook } from '../../registry/trust-file.ts'
import { cardModel, type DaemonParts, daemonParts, hold } from '../helpers/daemon-parts.ts'
import { TestPublisher } from '../helpers/publisher.ts'
import { introduce } from '../helpers/test-registry.ts'

describe('daemon/explanation', () => {
  let parts: DaemonParts
  let explanation: Explanation
  let embl: TestPublisher
  let crick: TestPublisher
  const file = memoryTrust()
  beforeEach(async () => {
    file.write('version: 1\nrules: []\n')
    const own = new TestPublisher('here').publisher
    parts = await daemonParts(undefined, { trust: new TrustBook(file, own) })
    explanation = new Explanation(parts.registry, parts.views)
    embl = new TestPublisher('embl')
    crick = new TestPublisher('crick')
    introduce(parts.registry, embl, 'list')
    introduce(parts.registry, crick, 'see')
    expectOk(parts.registry.admitRecord(embl.profile('embl').envelope, null))
  })
  afterEach(() => parts.inference.close())

  const right = (ref: string, name: RightView['right']): RightView =>
    explanation.of(ref).rights.find((each) => each.right === name) ?? assert.fail()
  const addRule = (text: string): void => {
    file.write(`${file.read()}${text}`)
    parts.registry.reloadTrust()
    assert.equal(parts.registry.trustFault, null)
  }

  it('names the rule of a publisher, its line, and the command that turns each right', () => {
    assert.deepEqual(right('embl', 'list'), {
      right: 'list',
      granted: true,
      because: 'a rule gives it "list" (line 3 of trust.yaml)',
      line: 3,
      change: 'zoarium trust add embl see',
    })
    assert.deepEqual(right('embl', 'run'), {
      right: 'run',
      granted: false,
      because: 'a rule gives it "list" (line 3 of trust.yaml)',
      line: 3,
      change: 'zoarium trust add embl run',
    })
    const send = right('embl', 'send')
    assert.deepEqual([send.granted, send.change], [false, 'zoarium trust add embl list --send'])
  })

  it('tells which mirror rule decides whether files are fetched', async () => {
    const { record } = await hold(parts, cardModel(embl, 'nuclei'), false)
    const fetched = () => {
      const { fetch, floor, fetchBecause } = explanation.of(record).model ?? assert.fail()
      return [fetch, floor, fetchBecause]
    }
    assert.deepEqual(fetched(), ['always', 2, 'no mirror rule fits it'])
    addRule('mirror:\n  rules:\n    - { fetch: demand, floor: 3 }\n')
    const text = file.read()?.split('\n') ?? []
    const line = text.findIndex((each) => each.includes('fetch: demand')) + 1
    assert.deepEqual(fetched(), ['demand', 3, `a mirror rule says so (line ${line} of trust.yaml)`])
    const model = parts.registry.catalogue.model(record) ?? assert.fail()
    parts.registry.pin(model, 'embl/nuclei')
    assert.deepEqual(fetched(), ['always', 3, `it is pinned; zoarium unpin ${record}`])
  })

  it('says of strangers that no rule names them, and of the own publisher that none need', () => {
    const stranger = right(crick.publisher, 'list')
    assert.deepEqual([stranger.granted, stranger.line], [false, null])
    assert.match(stranger.because, /no rule names it/)
    assert.equal(stranger.change, `zoarium trust add ${crick.publisher} list`)
    assert.equal(right(crick.publisher, 'see').change, null)
    const own = explanation.of(parts.own.publisher)
    assert(own.rights.every(({ granted, change }) => granted && change === null))
  })

  it('names the roster that a right comes from, and its issuer', () => {
    const issuer = new TestPublisher('issuer')
    issuer.now = parts.clock.time
    const signed = issuer.roster('imaging', [crick.publisher])
    const { operations } = issuer
    const head = issuer.head(signed)
    const car = expectOk(writeRosterCar({ operations, head, roster: signed.envelope }))
    parts.registry.join(expectOk(parts.registry.planJoin(car, false)))
    const { because, line } = right(crick.publisher, 'mirror')
    const name = `roster imaging of ${issuer.publisher}`
    assert.equal(because, `the ${name} gives its members "mirror" (line ${line} of trust.yaml)`)
    assert.match(file.read()?.split('\n')[(line ?? 0) - 1] ?? '', /publisher: /)
    const listed = right(issuer.publisher, 'list')
    assert.match(listed.because, /it issues the roster imaging/)
    assert.equal(listed.change, 'zoarium leave imaging')
    assert.match(right(issuer.publisher, 'run').change ?? '', /^zoarium trust add \S+ run$/)
  })

  it('counts who vouches for a model, and says why others do not count', async () => {
    const model = cardModel(embl, 'nuclei')
    const { record } = await hold(parts, model)
    const others = ['a', 'b', 'c'].map((name) => new TestPublisher(name))
    for (const each of others) introduce(parts.registry, each, 'list')
    const [a, b, c] = others as [TestPublisher, TestPublisher, TestPublisher]
    addRule(`run:\n  - attested: 2\n    of: [${a.publisher}, ${b.publisher}]\n`)
    const line = file
      .read()
      ?.split('\n')
      .findIndex((each) => each.includes('attested'))
    const claims = [a.vouch(model.signed), b.vouch(model.signed, 'usage'), c.vouch(model.signed)]
    for (const { envelope } of claims) expectOk(parts.registry.admitRecord(envelope, null))
    const before = right('embl/nuclei', 'run')
    assert.equal(before.granted, false)
    assert.equal(
      before.because,
      `a rule gives it "list" (line 3 of trust.yaml); 1 (${a.publisher}) of 2 publishers vouch for it, 2 needed (line ${(line ?? 0) + 1} of trust.yaml)`,
    )
    const { model: about, attestations } = explanation.of(record)
    assert.deepEqual([about?.record, about?.withdrawn, about?.contested], [record, null, false])
    const told = new Map(attestations.map((each) => [each.publisher.id, each]))
    assert.deepEqual(
      [a, b, c].map(({ publisher }) => [told.get(publisher)?.counts, told.get(publisher)?.because]),
      [
        [true, 'a run rule names its publisher'],
        [false, 'the claim informs and does not vouch'],
        [false, 'no run rule names its publisher'],
      ],
    )
    expectOk(parts.registry.admitRecord(b.vouch(model.signed, 'reviewed').envelope, null))
    const after = right('embl/nuclei', 'run')
    assert.deepEqual([after.granted, after.line, after.change], [true, (line ?? 0) + 1, null])
  })

  it('tells what keeps a model from running whatever the rules say', async () => {
    const model = cardModel(embl, 'nuclei')
    const { record } = await hold(parts, model)
    parts.registry.setTrust({ publisher: embl.publisher, right: 'run' })
    assert.equal(right('embl/nuclei', 'run').granted, true)
    expectOk(parts.registry.admitRecord(embl.withdraw(record, 'recall').envelope, null))
    const { because, granted, change } = right(record, 'run')
    assert.deepEqual([granted, change], [false, null])
    assert.match(because, /RECALLED/)
    assert.equal(explanation.of(record).model?.withdrawn, 'recall')
  })

  it('is given for models of publishers that are not listed, and for records of any kind', async () => {
    const model = cardModel(embl, 'nuclei')
    const { record } = await hold(parts, model)
    parts.registry.removeTrust(embl.publisher)
    const view = explanation.of('embl/nuclei')
    assert.deepEqual([view.model, view.publisher.id], [null, embl.publisher])
    assert.equal(explanation.of(record).model?.record, record)
    const roster = parts.registry.rosters.set('mine', {}).record
    assert.equal(explanation.of(roster).publisher.id, parts.own.publisher)
    assert.throws(() => explanation.of('nobody'), { code: 'NOT_FOUND' })
    assert.throws(() => explanation.of('embl/'), { code: 'REF' })
  })
})

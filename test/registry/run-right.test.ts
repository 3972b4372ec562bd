import assert from 'node:assert/strict'
import { whyForbidden } from '../../daemon/runnable.ts'
import type { Cid } from '../../protocol/cid.ts'
import { expectOk } from '../../protocol/errors.ts'
import type { SignedRecord } from '../../protocol/record.ts'
import { memoryTrust, TrustBook } from '../../registry/trust-file.ts'
import { lastOf, START, TestPublisher, utf8 } from '../helpers/publisher.ts'
import { keepFiles } from '../helpers/registry.ts'
import { admit, introduce, type TestRegistry, testRegistry } from '../helpers/test-registry.ts'

const DAY_MS = 24 * 3600 * 1000
const own = new TestPublisher('here').publisher

describe('registry/run-right', () => {
  let here: TestRegistry
  let embl: TestPublisher
  let others: readonly [TestPublisher, TestPublisher, TestPublisher]
  const file = memoryTrust()

  /** Rules: embl and the others are listed; then what is given. */
  const policy = (run: string): void => {
    const listed = [embl, ...others].map(
      ({ publisher, name }) => `  - {publisher: ${publisher}, right: list, petname: ${name}}\n`,
    )
    file.write(`version: 1\nrules:\n${listed.join('')}run:\n${run}`)
    assert(here.registry.reloadTrust())
    assert.equal(here.registry.trustFault, null)
  }
  beforeEach(async () => {
    file.write('version: 1\nrules: []\n')
    here = await testRegistry('here', { trust: new TrustBook(file, own) })
    embl = new TestPublisher('embl')
    others = [new TestPublisher('a'), new TestPublisher('b'), new TestPublisher('c')]
    for (const each of [embl, ...others]) introduce(here.registry, each, 'see')
    policy('  - {attested: 2, of: [a, b, c]}\n')
  })

  const take = (...records: readonly SignedRecord[]): void => {
    for (const { envelope } of records) expectOk(here.registry.admitRecord(envelope, null))
  }
  /** `ok`, or the code with how many publishers vouch for it of how many. */
  const outcome = (record: Cid): string => {
    const model = here.registry.catalogue.model(record) ?? assert.fail()
    const verdict = here.registry.mayRun(model)
    assert.equal(whyForbidden(here.registry, model)?.code ?? 'ok', verdict.ok ? 'ok' : verdict.code)
    if (verdict.ok) return 'ok'
    const counts = /: (\d+) of the (\d+) /.exec(verdict.message)?.slice(1, 3) ?? ['no', 'rule']
    return `${verdict.code} ${counts.join(' of ')}`
  }

  it('comes from the publisher, or from enough others that vouch for the model', () => {
    const model = embl.model({ name: 'nuclei' })
    const id = admit(here.registry, model)
    assert.equal(outcome(id), 'TRUST 0 of 2')
    take(others[0].vouch(model.signed))
    assert.equal(outcome(id), 'TRUST 1 of 2')
    take(others[2].vouch(model.signed, 'reviewed'))
    assert.equal(outcome(id), 'ok')
    const row = here.registry.catalogue.model(id) ?? assert.fail()
    const right = expectOk(here.registry.mayRun(row))
    assert(right.because === 'attested')
    assert.deepEqual(right.by, [others[0].publisher, others[2].publisher])
    assert.equal(right.rule.line, 8)
    here.registry.setTrust({ publisher: embl.publisher, right: 'run' })
    assert.equal(expectOk(here.registry.mayRun(row)).because, 'publisher')
  })

  it('says what would let it run', () => {
    const id = admit(here.registry, embl.model({ name: 'nuclei' }))
    const model = here.registry.catalogue.model(id) ?? assert.fail()
    const verdict = here.registry.mayRun(model)
    assert(!verdict.ok)
    assert.match(verdict.hint ?? '', new RegExp(`explain ${id}.*trust add ${embl.publisher} run`))
  })

  it('counts each publisher once, and only claims that vouch', () => {
    const { signed, ...rest } = embl.model({ name: 'nuclei' })
    const id = admit(here.registry, { signed, ...rest })
    const [a, b] = others
    take(a.vouch(signed), a.vouch(signed, 'reviewed'))
    assert.equal(outcome(id), 'TRUST 1 of 2')
    for (const claim of ['measured', 'scored', 'advisory', 'usage', 'blessed']) {
      take(b.vouch(signed, claim))
      assert.equal(outcome(id), 'TRUST 1 of 2', claim)
    }
    take(b.vouch(signed))
    assert.equal(outcome(id), 'ok')
  })

  it('takes models of equal root for one, whoever published them', () => {
    const content = { card: utf8('name: x\n'), weights: utf8('weights') }
    const [a, b, c] = others
    const first = embl.model({ name: 'nuclei', ...content })
    const second = c.model({ name: 'copy', ...content })
    const [id, copy] = [admit(here.registry, first), admit(here.registry, second)]
    take(a.vouch(first.signed), b.vouch(second.signed))
    assert.deepEqual([outcome(id), outcome(copy)], ['ok', 'ok'])
  })

  it('counts nobody who attests other files under the same root', () => {
    const model = embl.model({ name: 'nuclei' })
    const other = embl.model({ name: 'other' })
    const [id] = [admit(here.registry, model), admit(here.registry, other)]
    assert(model.signed.record.kind === 'model')
    const { root } = model.signed.record.body
    const [a, b] = others
    take(a.attest(other.signed.id, 'reproduced', {}, root), b.vouch(model.signed))
    assert.equal(outcome(id), 'TRUST 1 of 2')
  })

  it('counts nothing that is withdrawn, forked, late, or of publishers that are not listed', () => {
    const model = embl.model({ name: 'nuclei' })
    const id = admit(here.registry, model)
    const [a, b, c] = others
    const reviews = others.map((each) => each.vouch(model.signed, 'reviewed'))
    take(...reviews)
    assert.equal(outcome(id), 'ok')
    const [ofA, ofB] = reviews as [SignedRecord, SignedRecord]

    take(a.withdraw(ofA.id))
    assert.equal(outcome(id), 'ok')
    const { seq, prev } = ofB.record
    const fork = b.record(
      { kind: 'attest', body: b.attest(id, 'scored').record.body as never },
      {
        seq,
        prev,
      },
    )
    expectOk(here.registry.admitProof(ofB.envelope, fork.envelope))
    assert.equal(outcome(id), 'TRUST 1 of 2')

    policy('  - {attested: 1, of: [c]}\n')
    assert.equal(outcome(id), 'ok')
    here.registry.setTrust({ publisher: c.publisher, right: 'see' })
    assert.equal(outcome(id), 'TRUST 0 of 1')
    here.registry.setTrust({ publisher: c.publisher, right: 'list' })

    const late = new TestPublisher('late')
    introduce(here.registry, late)
    file.write(`${file.read()}  - {attested: 1, of: [${late.publisher}]}\n`)
    here.registry.reloadTrust()
    take(c.withdraw(reviews[2]?.id ?? assert.fail()))
    assert.equal(outcome(id), 'TRUST 0 of 1')
    here.clock.time = START + 366 * DAY_MS
    const vouched = late.vouch(model.signed)
    take(vouched)
    assert.equal(outcome(id), 'TRUST 0 of 1')
    const key = late.key('serve')
    late.sign({ op: 'revoke', key, last: lastOf(vouched), ts: START, reason: 'superseded' })
    expectOk(here.registry.admitIdentity(late.publisher, late.operations, 0))
    assert.equal(outcome(id), 'ok')
  })

  it("takes the model's own publisher at its word only where a rule names it", () => {
    const model = embl.model({ name: 'nuclei' })
    const id = admit(here.registry, model)
    take(embl.vouch(model.signed), others[0].vouch(model.signed))
    assert.equal(outcome(id), 'TRUST 1 of 2')
    policy('  - {attested: 2, of: [a, embl]}\n')
    assert.equal(outcome(id), 'ok')
  })

  it('keeps a rule to its publishers, and takes any rule that is met', () => {
    const model = embl.model({ name: 'nuclei' })
    const foreign = others[1].model({ name: 'cells' })
    const [id, other] = [admit(here.registry, model), admit(here.registry, foreign)]
    take(others[0].vouch(model.signed), others[0].vouch(foreign.signed))
    policy('  - {attested: 1, of: [a], publishers: [embl]}\n  - {attested: 2, of: [a, b, c]}\n')
    assert.deepEqual([outcome(id), outcome(other)], ['ok', 'TRUST 1 of 2'])
    policy('  - {attested: 1, of: [a], publishers: [embl]}\n')
    assert.equal(outcome(other), 'TRUST no of rule')
  })

  it('runs nothing of a publisher that is not listed, nor what was recalled', () => {
    const model = embl.model({ name: 'nuclei' })
    const id = admit(here.registry, model)
    take(...others.map((each) => each.vouch(model.signed)))
    here.registry.setTrust({ publisher: embl.publisher, right: 'see' })
    assert.equal(outcome(id), 'TRUST no of rule')
    here.registry.setTrust({ publisher: embl.publisher, right: 'list' })
    take(embl.withdraw(id, 'recall'))
    const row = here.registry.catalogue.model(id) ?? assert.fail()
    assert.equal(whyForbidden(here.registry, row)?.code, 'RECALLED')
    assert.deepEqual(here.registry.mirroredModels(), [])
  })

  it('fetches, shares and offers what runs for that reason', async () => {
    const model = embl.model({ name: 'nuclei' })
    const id = admit(here.registry, model)
    const { files } = here.registry.catalogue.model(id) ?? assert.fail()
    const [weights] = files
    assert(weights !== undefined)
    assert.deepEqual(here.registry.incompleteModels(), [])
    assert.equal(here.registry.isShared(weights.cid, embl.publisher), false)
    take(others[0].vouch(model.signed), others[1].vouch(model.signed))
    assert.deepEqual(here.registry.incompleteModels(), [id])
    assert.equal(here.registry.isShared(weights.cid, embl.publisher), true)
    await keepFiles(here.registry, model)
    assert.deepEqual([...here.registry.runnableModels()], [id])
    here.registry.setTrust({ publisher: embl.publisher, right: 'run' })
    assert.deepEqual([...here.registry.runnableModels()], [id])
  })
})

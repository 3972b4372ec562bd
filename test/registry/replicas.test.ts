/** Replicas: whose word counts, how often, and for how long. */
import assert from 'node:assert/strict'
import { type Cid, cidOf } from '../../protocol/cid.ts'
import { expectOk, type Verdict } from '../../protocol/errors.ts'
import { inOrder } from '../../protocol/holdings.ts'
import { MAX_HOLDINGS_MODELS, MAX_HOLDINGS_NODES } from '../../protocol/limits.ts'
import { MemoryCatalogue } from '../../registry/memory-catalogue.ts'
import { DOUBT_MS, MAX_DOUBTS, MAX_KNOWN_HOLDINGS, Replicas } from '../../registry/replicas.ts'
import { TrustPolicy } from '../../registry/trust.ts'
import { HOLDINGS_LIFE_MS, Holder } from '../helpers/holdings.ts'
import { START, seedOf, TestPublisher, utf8 } from '../helpers/publisher.ts'

const [a, b] = ['a', 'b'].map((name) => new TestPublisher(name)) as [TestPublisher, TestPublisher]
const models = Array.from({ length: 10 }, (_, n) => cidOf('dag-cbor', utf8(`model ${n}`)))
const model = models[0] as Cid

/** Replicas where some publishers are listed. */
function setUp(...known: readonly TestPublisher[]) {
  const clock = { time: START, now: () => clock.time }
  const catalogue = new MemoryCatalogue()
  const listed = new Set(known.map(({ publisher }) => publisher))
  const policy = (): TrustPolicy =>
    new TrustPolicy(null, {
      rules: [...listed].map((publisher) => ({
        publisher,
        right: 'list',
        petname: null,
        send: false,
        line: null,
      })),
    })
  const identity = (publisher: Cid) =>
    known.find((each) => each.publisher === publisher)?.identity ?? null
  const parts = { catalogue, identity, policy, clock }
  return { clock, catalogue, listed, parts, replicas: new Replicas(parts) }
}
const codeOf = (verdict: Verdict<unknown>): string => (verdict.ok ? 'ok' : verdict.code)
const say = (
  replicas: Replicas,
  holder: Holder,
  held: readonly Cid[],
  issued: number,
): ReturnType<Replicas['admit']> => {
  const { current, base } = holder.says(held, issued)
  return replicas.admit(current, base)
}

describe('registry/replicas', () => {
  it('counts each publisher once, however many nodes it runs', () => {
    const many = new TestPublisher('many')
    const { replicas } = setUp(a, many)
    expectOk(say(replicas, new Holder(a), [model], START))
    for (const name of ['second', 'third']) {
      const holder = new Holder(many)
      many.delegate('serve', seedOf(name))
      const own = Object.assign(Object.create(many), {
        seeds: { ...many.seeds, serve: seedOf(name) },
      }) as TestPublisher
      expectOk(say(replicas, new Holder(own, holder.peer), [model], START))
    }
    assert.equal(replicas.nodes(many.publisher).length, 2)
    assert.deepEqual(replicas.holders(model), [a.publisher, many.publisher].toSorted())
    assert.deepEqual(replicas.holders(model, a.publisher), [many.publisher])
  })

  it('follows what comes and goes', () => {
    const { replicas } = setUp(a, b)
    const holder = new Holder(a)
    expectOk(say(replicas, holder, models.slice(0, 8), START))
    expectOk(say(replicas, new Holder(b), [model], START))
    assert.equal(replicas.holders(model).length, 2)
    expectOk(say(replicas, holder, models.slice(1, 9), START + 1))
    assert.deepEqual(replicas.holders(model), [b.publisher])
    assert.deepEqual(replicas.holders(models[8] as Cid), [a.publisher])
    assert.ok(replicas.isSaidBy(holder.peer, models[8] as Cid))
    assert.ok(!replicas.isSaidBy('nobody', model))
    expectOk(say(replicas, holder, [], START + 2))
    assert.deepEqual(replicas.holders(models[8] as Cid), [])
  })

  it('takes nothing older again, and a change only with what it changes', () => {
    const { replicas } = setUp(a)
    const holder = new Holder(a)
    const first = holder.says(models.slice(0, 8), START)
    const second = holder.says(models.slice(0, 9), START + 1)
    assert.equal(codeOf(replicas.admit(second.current, null)), 'GAP')
    assert.deepEqual(replicas.admit(second.current, second.base), {
      ok: true,
      value: { publisher: a.publisher, isNew: true },
    })
    for (const { current, base } of [first, second]) {
      const again = expectOk(replicas.admit(current, base))
      assert.equal(again.isNew, false)
    }
    const third = holder.says(models.slice(0, 7), START + 2)
    assert.ok(expectOk(replicas.admit(third.current, null)).isNew)
    assert.deepEqual(inOrder(replicas.nodes()[0]?.models ?? []), inOrder(models.slice(0, 7)))
  })

  it('counts nobody who is not listed, unknown, or whose key was revoked', () => {
    const { replicas, listed } = setUp(a, b)
    const stranger = new TestPublisher('stranger')
    assert.equal(codeOf(say(replicas, new Holder(stranger), [model], START)), 'TRUST')
    listed.add(stranger.publisher)
    assert.equal(codeOf(say(replicas, new Holder(stranger), [model], START)), 'NOT_FOUND')
    for (const each of [a, b]) expectOk(say(replicas, new Holder(each), [model], START))
    listed.delete(b.publisher)
    assert.deepEqual(replicas.review(), [b.publisher])
    assert.deepEqual(replicas.holders(model), [a.publisher])

    const left = new TestPublisher('left')
    const own = setUp(left)
    expectOk(say(own.replicas, new Holder(left), [model], START))
    assert.deepEqual(own.replicas.review(left.publisher), [])
    left.sign({
      op: 'revoke',
      key: left.key('serve'),
      reason: 'stolen',
      last: null,
      ts: START + 1,
    } as Parameters<TestPublisher['sign']>[0])
    assert.deepEqual(own.replicas.review(left.publisher), [left.publisher])
    assert.deepEqual(own.replicas.holders(model), [])
    assert.deepEqual(own.catalogue.holdings(), [])
  })

  it('forgets what has run out, and no sooner', () => {
    const { replicas, clock, catalogue } = setUp(a)
    expectOk(say(replicas, new Holder(a), [model], START))
    clock.time = START + HOLDINGS_LIFE_MS
    assert.deepEqual(replicas.review(), [])
    assert.equal(replicas.states(a.publisher).length, 1)
    clock.time++
    assert.deepEqual(replicas.review(), [a.publisher])
    assert.deepEqual([replicas.holders(model), replicas.nodes()], [[], []])
    assert.deepEqual(catalogue.holdings(), [])
  })

  it('is the same after a restart, but for what has run out', () => {
    const { replicas, parts, clock, catalogue } = setUp(a, b)
    const holder = new Holder(a)
    expectOk(say(replicas, holder, models.slice(0, 8), START))
    expectOk(say(replicas, holder, models.slice(1, 9), START + 1000))
    const { current } = new Holder(b).says(models, START, { expires: START + 500 })
    expectOk(replicas.admit(current, null))
    clock.time = START + 600
    const again = new Replicas(parts)
    again.load()
    assert.deepEqual(again.nodes(), replicas.nodes(a.publisher))
    assert.deepEqual(again.states(a.publisher), replicas.states(a.publisher))
    assert.equal(catalogue.holdings().length, 1)
  })

  it('keeps so many nodes of a publisher and no more', () => {
    const many = new TestPublisher('a great institute')
    const { replicas } = setUp(many)
    const nodes = Array.from({ length: MAX_HOLDINGS_NODES + 1 }, (_, n) => {
      const serve = seedOf(`machine ${n}`)
      many.delegate('serve', serve)
      const own = Object.create(many, {
        seeds: { value: { ...many.seeds, serve } },
      }) as TestPublisher
      return new Holder(own)
    })
    const last = nodes.pop() ?? assert.fail()
    for (const each of nodes) expectOk(say(replicas, each, [], START))
    assert.equal(codeOf(say(replicas, last, [], START)), 'QUOTA')
    expectOk(say(replicas, nodes[0] ?? assert.fail(), [], START + 1))
  })

  it('keeps so many holdings and no more', () => {
    // What all may say together fits several times what one may.
    assert.ok(MAX_KNOWN_HOLDINGS >= 10 * MAX_HOLDINGS_MODELS * MAX_HOLDINGS_NODES)
    const { parts } = setUp(a, b)
    const replicas = new Replicas({ ...parts, maxKnown: 12 })
    const [one, other] = [new Holder(a), new Holder(b)]
    expectOk(say(replicas, one, models, START))
    assert.equal(codeOf(say(replicas, other, models.slice(0, 3), START)), 'QUOTA')
    expectOk(say(replicas, other, models.slice(0, 2), START + 1))
    // What goes makes room.
    expectOk(say(replicas, one, models.slice(0, 1), START + 2))
    expectOk(say(replicas, other, models, START + 2))
    assert.equal(replicas.holders(model).length, 2)
  })

  it('remembers so many doubts and no more, each for a while', () => {
    const { replicas, clock } = setUp(a, b)
    for (const each of [a, b]) expectOk(say(replicas, new Holder(each), [model], START))
    replicas.doubt(a.publisher, model)
    assert.deepEqual(replicas.holders(model), [b.publisher])
    for (let n = 0; n < MAX_DOUBTS; n++) replicas.doubt(b.publisher, `${n}` as Cid)
    assert.deepEqual(replicas.holders(model), [a.publisher, b.publisher].toSorted())
    replicas.doubt(b.publisher, model)
    clock.time += DOUBT_MS - 1
    assert.deepEqual(replicas.holders(model), [a.publisher])
    clock.time += 1
    replicas.doubt(a.publisher, models[1] as Cid)
    assert.equal(replicas.holders(model).length, 2)
  })
})

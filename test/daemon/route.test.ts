import assert from 'node:assert/strict'
import fc from 'fast-check'
import {
  type Candidate,
  COLD_START_MS,
  costOf,
  DEFAULT_BYTES_PER_MS,
  DEFAULT_RTT_MS,
  DEFAULT_US_PER_MEGAPIXEL,
  EWMA_WEIGHT,
  ewma,
  rank,
} from '../../daemon/route.ts'

const known: Candidate = {
  node: 'a',
  publisher: null,
  excluded: null,
  bytesPerMs: 1000,
  rttMs: 10,
  queue: 0,
  warm: true,
  usPerMegapixel: 100_000,
}
const order = (candidates: readonly Candidate[], bytes = 1e6, megapixels = 1): string[] =>
  rank(candidates, bytes, megapixels).map(({ candidate }) => candidate.node)

describe('daemon/route', () => {
  it('adds up the upload, the round trip, the queue, the cold start and the work itself', () => {
    assert.deepEqual(costOf({ ...known, queue: 3, warm: false }, 5e6, 2, null), {
      uploadMs: 5000,
      rttMs: 10,
      queueMs: 600,
      coldMs: COLD_START_MS,
      computeMs: 200,
      totalMs: 5000 + 10 + 600 + COLD_START_MS + 200,
    })
  })

  it('takes stated defaults for what nobody has measured', () => {
    const unknown = { ...known, bytesPerMs: null, rttMs: null, usPerMegapixel: null }
    const cost = costOf(unknown, DEFAULT_BYTES_PER_MS * 7, 1, null)
    assert.deepEqual(
      [cost.uploadMs, cost.rttMs, cost.computeMs],
      [7, DEFAULT_RTT_MS, DEFAULT_US_PER_MEGAPIXEL / 1000],
    )
    assert.equal(costOf(unknown, 1, 1, 50_000).computeMs, 50)
  })

  it('sends nothing to this node itself', () => {
    const here = { ...known, bytesPerMs: Number.POSITIVE_INFINITY, rttMs: 0 }
    assert.deepEqual(costOf(here, 1e9, 0, null).totalMs, 0)
  })

  it('puts the node that will finish first in front', () => {
    const far = { ...known, node: 'far', rttMs: 300 }
    const slow = { ...known, node: 'slow', usPerMegapixel: 900_000 }
    assert.deepEqual(order([slow, far, known]), ['a', 'far', 'slow'])
    // A larger image makes the better machine worth the way.
    const near = { ...known, node: 'near', rttMs: 0, bytesPerMs: 1e5, usPerMegapixel: 200_000 }
    assert.deepEqual(order([far, near], 1e3, 0.001), ['near', 'far'])
    assert.deepEqual(order([far, near], 1e3, 10), ['far', 'near'])
  })

  it('breaks ties by the name of the node, whatever the order of coming', () => {
    const nodes = ['c', 'a', 'b'].map((node) => ({ ...known, node }))
    assert.deepEqual(order(nodes), ['a', 'b', 'c'])
    assert.deepEqual(order(nodes.toReversed()), ['a', 'b', 'c'])
  })

  it('keeps the excluded ones last, without a cost', () => {
    const out = ['y', 'x'].map((node) => ({ ...known, node, excluded: 'no rule' }))
    const slow = { ...known, node: 'z', rttMs: 1e6 }
    const routes = rank([...out, slow], 1, 1)
    assert.deepEqual(
      routes.map(({ candidate, cost }) => [candidate.node, cost === null]),
      [
        ['z', false],
        ['x', true],
        ['y', true],
      ],
    )
  })

  it('takes an unknown node to be as fast as the others in the middle', () => {
    const others = [90_000, 300_000, 100_000].map((usPerMegapixel, i) => ({
      ...known,
      node: `n${i}`,
      usPerMegapixel,
    }))
    const unknown = { ...known, node: 'new', usPerMegapixel: null }
    const found = rank([...others, unknown], 0, 1).find(({ candidate }) => candidate.node === 'new')
    assert.equal(found?.cost?.computeMs, 100)
    // Also where those others may not be asked.
    const excluded = others.map((other) => ({ ...other, excluded: 'busy elsewhere' }))
    assert.equal(rank([...excluded, unknown], 0, 1)[0]?.cost?.computeMs, 100)
  })

  const candidate: fc.Arbitrary<Omit<Candidate, 'node'>> = fc.record({
    publisher: fc.constant(null),
    excluded: fc.constantFrom(null, null, null, 'no rule'),
    bytesPerMs: fc.option(fc.double({ min: 0.01, max: 1e6, noNaN: true })),
    rttMs: fc.option(fc.double({ min: 0, max: 1e4, noNaN: true })),
    queue: fc.nat(100),
    warm: fc.boolean(),
    usPerMegapixel: fc.option(fc.integer({ min: 1, max: 1e9 })),
  })
  const field = fc.nat(30)
  const candidates = fc
    .array(candidate, { minLength: 1, maxLength: 30 })
    .map((each) => each.map((rest, i) => ({ ...rest, node: `n${i}` })))
  const worse: Readonly<Record<string, (candidate: Candidate) => Candidate>> = {
    upload: (each) => ({ ...each, bytesPerMs: (each.bytesPerMs ?? DEFAULT_BYTES_PER_MS) / 2 }),
    'round trip': (each) => ({ ...each, rttMs: (each.rttMs ?? DEFAULT_RTT_MS) + 50 }),
    queue: (each) => ({ ...each, queue: each.queue + 5 }),
    'cold start': (each) => ({ ...each, warm: false }),
    exclusion: (each) => ({ ...each, excluded: 'out' }),
  }
  for (const [term, worsen] of Object.entries(worse)) {
    it(`never ranks a node better for a worse ${term}`, () => {
      fc.assert(
        fc.property(candidates, field, fc.nat(1e8), fc.nat(1000), (all, n, bytes, megapixels) => {
          const which = n % all.length
          const changed = all.map((each, i) => (i === which ? worsen(each) : each))
          const node = `n${which}`
          const before = order(all, bytes, megapixels).indexOf(node)
          assert.ok(order(changed, bytes, megapixels).indexOf(node) >= before)
        }),
        { seed: 1, numRuns: 200 },
      )
    })
  }

  it('never ranks a node better for slower work', () => {
    // Where all are known: one more measurement may well tell more of the unknown ones.
    const measured = candidates.map((all) =>
      all.map((each, i) => ({ ...each, usPerMegapixel: each.usPerMegapixel ?? 1000 + i })),
    )
    fc.assert(
      fc.property(measured, field, fc.nat(1e8), (all, n, bytes) => {
        const which = n % all.length
        const changed = all.map((each, i) =>
          i === which ? { ...each, usPerMegapixel: each.usPerMegapixel * 2 } : each,
        )
        const node = `n${which}`
        assert.ok(order(changed, bytes).indexOf(node) >= order(all, bytes).indexOf(node))
      }),
      { seed: 1, numRuns: 200 },
    )
  })

  it('ranks every candidate once, the eligible ones by their total', () => {
    fc.assert(
      fc.property(candidates, fc.nat(1e8), fc.nat(1000), (all, bytes, megapixels) => {
        const routes = rank(all, bytes, megapixels)
        assert.deepEqual(
          routes.map(({ candidate: { node } }) => node).sort(),
          all.map(({ node }) => node).sort(),
        )
        const totals = routes.map(({ cost }) => cost?.totalMs ?? Number.POSITIVE_INFINITY)
        assert.deepEqual(
          totals,
          totals.toSorted((a, b) => a - b),
        )
      }),
      { seed: 1, numRuns: 100 },
    )
  })

  it('averages with more weight on what is new', () => {
    assert.equal(ewma(null, 8), 8)
    assert.equal(ewma(10, 20), 10 + EWMA_WEIGHT * 10)
    let average = 0
    for (let i = 0; i < 50; i++) average = ewma(average, 100)
    assert.ok(Math.abs(average - 100) < 1e-3)
  })
})

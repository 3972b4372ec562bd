import assert from 'node:assert/strict'
import { type CborMap, decode, encode } from '../../protocol/cbor.ts'
import { expectOk, type Verdict } from '../../protocol/errors.ts'
import { commitmentOf, extendIdentity, keySetOf } from '../../protocol/identity.ts'
import { type Draft, draftOperation, readDraft, signDraft } from '../../protocol/identity-draft.ts'
import { encodeBundle, readBundle } from '../../protocol/key-bundle.ts'
import { MAX_BUNDLE_BYTES, MAX_BUNDLE_HEADS, MAX_DRAFTS } from '../../protocol/limits.ts'
import { lastOf, START, seedOf, TestPublisher } from '../helpers/publisher.ts'

const three = ['a', 'b', 'c'].map(seedOf)

/** A publisher of which 2 of 3 root keys sign. */
function publisherOf2(): TestPublisher {
  const embl = new TestPublisher('embl')
  embl.rotate(keySetOf(three, 2))
  const after = commitmentOf(keySetOf([seedOf('after')], 1))
  const next = [seedOf('embl next')]
  embl.sign({ op: 'rotate', ts: START, ...keySetOf(three, 2), next: after }, [...next, ...three])
  return embl
}

const fieldOf = (verdict: Verdict<unknown>): string | undefined =>
  verdict.ok ? assert.fail('accepted') : verdict.field

describe('protocol/key-bundle', () => {
  let embl: TestPublisher
  let first: Draft
  let head: Uint8Array
  beforeEach(() => {
    embl = publisherOf2()
    const profile = embl.profile('embl')
    head = embl.head(profile)
    const { key } = profile.record
    const operation = {
      op: 'revoke',
      key,
      last: lastOf(profile),
      reason: 'lost',
      ts: START,
    } as const
    first = draftOperation(embl.identity, operation, three.slice(0, 1))
  })
  const bundle = (drafts: readonly Draft[], heads: readonly Uint8Array[] = [head]) =>
    encodeBundle({
      publisher: embl.publisher,
      operations: embl.operations,
      drafts: drafts.map(({ envelope }) => envelope),
      heads,
    })

  it('collects signatures until an operation is whole', () => {
    assert.deepEqual([first.missing, first.signers.length, first.open.length], [1, 1, 2])
    assert.equal(extendIdentity(embl.identity, first.envelope).ok, false)
    const { open, identity } = expectOk(readBundle(bundle([first])))
    assert.deepEqual(open, [first])
    const [draft] = open as [Draft]
    assert.deepEqual(signDraft(identity, draft, [seedOf('stranger'), ...three.slice(0, 1)]), draft)
    const second = signDraft(identity, draft, three.slice(1, 2))
    assert.deepEqual([second.missing, second.signers.length], [0, 2])
    assert.deepEqual(expectOk(extendIdentity(identity, second.envelope)), second.after)
    // One more than is needed holds as well.
    const third = signDraft(identity, second, three)
    assert.equal(third.signers.length, 3)
    expectOk(extendIdentity(identity, third.envelope))
  })

  it('signs in any order to the same bytes', () => {
    const [a, b, c] = three as [Uint8Array, Uint8Array, Uint8Array]
    const ways = [
      [a, b, c],
      [c, b, a],
      [b, c, a],
    ]
    const made = ways.map((seeds) =>
      seeds.reduce((draft, seed) => signDraft(embl.identity, draft, [seed]), first),
    )
    for (const draft of made) assert.deepEqual(draft.envelope, made[0]?.envelope)
  })

  it('counts the signatures of both sets of a rotation', () => {
    const to = keySetOf([seedOf('after')], 1)
    const next = commitmentOf(keySetOf(three, 2))
    const rotation = { op: 'rotate', ts: START, ...to, next } as const
    const steps = [[], [three[0]], [three[1]], [seedOf('after')]] as const
    let draft = draftOperation(embl.identity, rotation, [])
    assert.deepEqual(
      steps.map((seeds) => {
        draft = signDraft(embl.identity, draft, seeds as never)
        return draft.missing
      }),
      [3, 2, 1, 0],
    )
    expectOk(extendIdentity(embl.identity, draft.envelope))
  })

  it('names the place of what is wrong', () => {
    const bent = first.envelope.slice()
    bent[bent.length - 1] = (bent[bent.length - 1] ?? 0) ^ 1
    const { publisher, operations } = embl
    const parts = { publisher, operations, drafts: [], heads: [] }
    assert.equal(fieldOf(readDraft(embl.identity, bent)), 's[0]')
    const cases = [
      [{ drafts: [bent] }, 'drafts[0].s[0]'],
      [{ operations: [...operations.slice(0, 2), bent] }, 'operations[2].n'],
      [{ operations: [] }, 'operations'],
      [{ heads: [head, head.subarray(1)] }, 'heads[1]'],
      [{ publisher: new TestPublisher('other').publisher }, 'publisher'],
    ] as const
    for (const [change, field] of cases) {
      assert.equal(fieldOf(readBundle(encodeBundle({ ...parts, ...change }))), field)
    }
  })

  it('is of version 1', () => {
    const whole = expectOk(decode(bundle([]))) as CborMap
    for (const [change, code] of [
      [{ v: 2 }, 'UNKNOWN_VERSION'],
      [{ v: 'one' }, 'UNKNOWN_VERSION'],
      [{ v: null }, 'UNKNOWN_VERSION'],
      [{ t: 'bundle' }, 'RECORD_INVALID'],
    ] as const) {
      const verdict = readBundle(encode({ ...whole, ...change }))
      assert.equal(verdict.ok || verdict.code, code, JSON.stringify(change))
    }
    const list = readBundle(encode([]))
    assert.equal(list.ok || list.code, 'RECORD_INVALID')
  })

  it('is bounded', () => {
    let before = embl.identity
    const drafts = Array.from({ length: MAX_DRAFTS + 1 }, () => {
      const draft = draftOperation(before, { op: 'succeed', steward: null, ts: START }, [])
      before = draft.after
      return draft
    })
    assert.equal(expectOk(readBundle(bundle(drafts.slice(0, MAX_DRAFTS)))).open.length, MAX_DRAFTS)
    assert.equal(fieldOf(readBundle(bundle(drafts))), 'drafts')
    const heads = Array.from({ length: MAX_BUNDLE_HEADS }, () => head)
    expectOk(readBundle(bundle([], heads)))
    assert.equal(fieldOf(readBundle(bundle([], [...heads, head]))), 'heads')
    const whole = readBundle(new Uint8Array(MAX_BUNDLE_BYTES))
    assert.equal(whole.ok || whole.code, 'TRAILING')
    const long = readBundle(new Uint8Array(MAX_BUNDLE_BYTES + 1))
    assert.deepEqual(long.ok || [long.code, long.limit], ['LIMIT', MAX_BUNDLE_BYTES])
  })
})

import assert from 'node:assert/strict'
import fc from 'fast-check'
import { compareBytes, fromHex, toHex } from '../../protocol/bytes.ts'
import { type CborMap, type CborValue, decode, encode } from '../../protocol/cbor.ts'
import { cidOf, linkOf } from '../../protocol/cid.ts'
import { publicKeyOf, sha256 } from '../../protocol/crypto.ts'
import { expectOk, type Verdict } from '../../protocol/errors.ts'
import {
  commitmentOf,
  createGenesis,
  extendIdentity,
  findDevice,
  type Identity,
  keySetOf,
  readIdentity,
  servingDevice,
  signDelegation,
} from '../../protocol/identity.ts'
import {
  MAX_DELEGATION_MS,
  MAX_IDENTITY_OP_BYTES,
  MAX_IDENTITY_OPS,
} from '../../protocol/limits.ts'
import { sign } from '../../protocol/signature.ts'
import { START, seedOf, TestPublisher } from '../helpers/publisher.ts'

const roots = ['root 1', 'root 2', 'root 3'].map(seedOf)
const next = keySetOf([seedOf('next')], 1)
const device = (name: string) => ({
  key: toHex(publicKeyOf(seedOf(name))),
  scope: 'publish' as const,
  notBefore: START,
  notAfter: START + 1000,
  ts: START,
})
const codeOf = (verdict: Verdict<unknown>): string => (verdict.ok ? 'ok' : verdict.code)
const fieldOf = (verdict: Verdict<unknown>) => (verdict.ok ? undefined : verdict.field)

/** An operation that signRecord and its like would never sign. */
function operation(fields: CborMap, seeds = roots): Uint8Array {
  const payload = encode({ t: 'identity', v: 1, ts: START, ...fields })
  return wrap(
    payload,
    seeds.map((seed) => [publicKeyOf(seed), sign('identity', payload, seed)]),
  )
}
const wrap = (payload: Uint8Array, signatures: Uint8Array[][]): Uint8Array =>
  encode({
    p: payload,
    s: signatures.toSorted(([a], [b]) => compareBytes(a ?? payload, b ?? payload)),
  })
const payloadOf = (envelope: Uint8Array): Uint8Array => {
  const { p } = expectOk(decode(envelope)) as { p: Uint8Array }
  return p
}
const keysOf = (seeds: readonly Uint8Array[]) => seeds.map(publicKeyOf).sort(compareBytes)

const genesisFields = (changes: Record<string, CborValue> = {}): CborMap => ({
  op: 'genesis',
  n: 0,
  prev: null,
  keys: keysOf(roots),
  threshold: 2,
  next: fromHex(commitmentOf(next)),
  ...changes,
})
const founded = (): Identity => createGenesis({ roots, threshold: 2, next, ts: START }).identity
const delegateFields = (identity: Identity, changes: Record<string, CborValue> = {}): CborMap => ({
  op: 'delegate',
  n: identity.length,
  prev: linkOf(identity.tip),
  key: publicKeyOf(seedOf('device')),
  scope: 'publish',
  notBefore: START,
  notAfter: START + 1000,
  ...changes,
})

describe('protocol/identity', () => {
  it('founds a publisher whose id is its first payload', () => {
    const { envelope, identity } = createGenesis({ roots, threshold: 2, next, ts: START })
    assert.equal(identity.publisher, cidOf('dag-cbor', payloadOf(envelope)))
    assert.equal(identity.tip, identity.publisher)
    assert.deepEqual(identity.roots, keysOf(roots).map(toHex))
    assert.deepEqual([identity.length, identity.threshold, identity.devices], [1, 2, []])
    assert.deepEqual(readIdentity([envelope]), { ok: true, value: identity })
  })

  it('commits to the next key set by the hash of its encoding', () => {
    const encoded = encode({ keys: keysOf([seedOf('next')]), threshold: 1 })
    assert.equal(founded().next, toHex(sha256(encoded)))
  })

  it('delegates device keys, one operation each', () => {
    const { envelope, identity } = createGenesis({ roots, threshold: 2, next, ts: START })
    const first = signDelegation(identity, device('one'), roots.slice(0, 2))
    const after = expectOk(extendIdentity(identity, first))
    const second = signDelegation(after, { ...device('two'), scope: 'serve' }, roots)
    const chain = expectOk(readIdentity([envelope, first, second]))
    assert.deepEqual(
      chain.devices.map(({ scope, since }) => [scope, since]),
      [
        ['publish', 1],
        ['serve', 2],
      ],
    )
    assert.equal(chain.tip, cidOf('dag-cbor', payloadOf(second)))
    assert.equal(chain.publisher, identity.publisher)
  })

  it('wants a threshold of 1 to n over distinct, strong, ordered keys', () => {
    const found = (changes: Record<string, CborValue>) =>
      extendIdentity(null, operation(genesisFields(changes)))
    assert.equal(codeOf(found({ threshold: 3 })), 'ok')
    for (const threshold of [0, -1, 4, 2 ** 40]) {
      assert.equal(codeOf(found({ threshold })), 'THRESHOLD', `${threshold}`)
    }
    const [a, b, c] = keysOf(roots) as [Uint8Array, Uint8Array, Uint8Array]
    assert.equal(codeOf(found({ keys: [a, a, b, c] })), 'THRESHOLD')
    assert.equal(codeOf(found({ keys: [] })), 'THRESHOLD')
    assert.equal(codeOf(found({ keys: [b, a, c] })), 'IDENTITY_INVALID')
    assert.equal(codeOf(found({ keys: [new Uint8Array(32), a, b, c] })), 'KEY_WEAK')
    assert.equal(fieldOf(found({ keys: [new Uint8Array(32), a, b, c] })), 'keys[0]')
    assert.equal(
      codeOf(found({ keys: [a, b, c, new Uint8Array(32).fill(255)] })),
      'KEY_NONCANONICAL',
    )
    assert.equal(codeOf(found({ keys: [new Uint8Array(31)] })), 'RECORD_INVALID')
  })

  it('takes 16 root keys and no more', () => {
    const many = (count: number) => Array.from({ length: count }, (_, i) => seedOf(`many ${i}`))
    const { envelope } = createGenesis({ roots: many(16), threshold: 16, next, ts: START })
    assert(envelope.length < MAX_IDENTITY_OP_BYTES)
    assert.throws(() => createGenesis({ roots: many(17), threshold: 1, next, ts: START }))
  })

  it('counts each root once, and nobody else', () => {
    const payload = encode({ t: 'identity', v: 1, ts: START, ...genesisFields() })
    const by = (seed: Uint8Array) => [publicKeyOf(seed), sign('identity', payload, seed)]
    const [a, b] = roots.map(by) as [Uint8Array[], Uint8Array[]]
    const found = (...signatures: Uint8Array[][]) =>
      codeOf(extendIdentity(null, wrap(payload, signatures)))
    assert.equal(found(a, b), 'ok')
    assert.equal(found(a), 'THRESHOLD_NOT_MET')
    assert.equal(found(), 'THRESHOLD_NOT_MET')
    assert.equal(found(a, a), 'THRESHOLD_NOT_MET')
    assert.equal(found(a, b, by(seedOf('stranger'))), 'IDENTITY_INVALID')
    const unordered = encode({
      p: payload,
      s: [a, b].toSorted((x, y) => compareBytes(y[0] ?? payload, x[0] ?? payload)),
    })
    assert.equal(codeOf(extendIdentity(null, unordered)), 'IDENTITY_INVALID')
  })

  it('refuses a wrong signature even where enough others are good', () => {
    const payload = encode({ t: 'identity', v: 1, ts: START, ...genesisFields() })
    const signatures = roots.map((seed) => [publicKeyOf(seed), sign('identity', payload, seed)])
    signatures[0] = [
      publicKeyOf(roots[0] as Uint8Array),
      sign('record', payload, roots[0] as Uint8Array),
    ]
    assert.equal(codeOf(extendIdentity(null, wrap(payload, signatures))), 'SIG_INVALID')
  })

  it('refuses an operation with any bit flipped', () => {
    const identity = founded()
    const envelope = signDelegation(identity, device('flipped'), roots.slice(0, 2))
    fc.assert(
      fc.property(fc.nat(8 * envelope.length - 1), (bit) => {
        const copy = Uint8Array.from(envelope)
        copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit & 7))
        assert.notEqual(codeOf(extendIdentity(identity, copy)), 'ok')
      }),
    )
  })

  it('takes operations in their order only', () => {
    const identity = founded()
    const extend = (changes: Record<string, CborValue>) =>
      extendIdentity(identity, operation(delegateFields(identity, changes)))
    assert.equal(codeOf(extend({})), 'ok')
    const ahead = extend({ n: 3 })
    assert.deepEqual(ahead.ok || [ahead.code, ahead.limit, ahead.got], ['GAP', 1, 3])
    assert.equal(codeOf(extend({ n: 0 })), 'SEQ')
    assert.equal(
      codeOf(extend({ prev: linkOf(cidOf('dag-cbor', new Uint8Array(1))) })),
      'PREV_UNKNOWN',
    )
    assert.equal(codeOf(extend({ prev: null })), 'PREV_UNKNOWN')
    assert.equal(codeOf(extendIdentity(null, operation(delegateFields(identity)))), 'GAP')
    const again = operation(genesisFields({ n: 1, prev: linkOf(identity.tip) }))
    assert.equal(codeOf(extendIdentity(identity, again)), 'IDENTITY_INVALID')
    assert.equal(
      codeOf(extendIdentity(null, operation(delegateFields(identity, { n: 0 })))),
      'IDENTITY_INVALID',
    )
    assert.equal(codeOf(readIdentity([])), 'IDENTITY_INVALID')
  })

  it('refuses operations, versions and fields that it does not know', () => {
    const identity = founded()
    const extend = (changes: Record<string, CborValue>) =>
      extendIdentity(identity, operation(delegateFields(identity, changes)))
    assert.equal(codeOf(extend({ op: 'revoke' })), 'UNKNOWN_VERSION')
    assert.equal(codeOf(extend({ op: 7 })), 'UNKNOWN_VERSION')
    assert.equal(codeOf(extend({ v: 2 })), 'UNKNOWN_VERSION')
    assert.equal(codeOf(extend({ t: 'record' })), 'RECORD_INVALID')
    assert.equal(codeOf(extend({ comment: 'hello' })), 'UNKNOWN_FIELD')
    assert.equal(fieldOf(extend({ comment: 'hello' })), 'comment')
    assert.equal(codeOf(extend({ scope: 'everything' })), 'RECORD_INVALID')
  })

  it('bounds delegations, at the limit and one past it', () => {
    const identity = founded()
    const extend = (changes: Record<string, CborValue>) =>
      codeOf(extendIdentity(identity, operation(delegateFields(identity, changes))))
    assert.equal(extend({ notAfter: START + MAX_DELEGATION_MS }), 'ok')
    assert.equal(extend({ notAfter: START + MAX_DELEGATION_MS + 1 }), 'IDENTITY_INVALID')
    assert.equal(extend({ notAfter: START }), 'IDENTITY_INVALID')
    assert.equal(extend({ key: new Uint8Array(32) }), 'KEY_WEAK')
    assert.equal(extend({ key: publicKeyOf(roots[0] as Uint8Array) }), 'IDENTITY_INVALID')
  })

  it('delegates a key once', () => {
    const identity = founded()
    const after = expectOk(extendIdentity(identity, operation(delegateFields(identity))))
    assert.equal(
      codeOf(extendIdentity(after, operation(delegateFields(after)))),
      'IDENTITY_INVALID',
    )
  })

  it('follows 1,024 operations and not one more', () => {
    const last: Identity = { ...founded(), length: MAX_IDENTITY_OPS - 1 }
    assert.equal(codeOf(extendIdentity(last, operation(delegateFields(last)))), 'ok')
    const full: Identity = { ...founded(), length: MAX_IDENTITY_OPS }
    assert.equal(codeOf(extendIdentity(full, operation(delegateFields(full)))), 'IDENTITY_TOO_LONG')
  })

  it('refuses an operation over the limit before reading it', () => {
    const verdict = extendIdentity(null, new Uint8Array(MAX_IDENTITY_OP_BYTES + 1))
    assert.equal(codeOf(verdict), 'LIMIT')
    assert.notEqual(codeOf(extendIdentity(null, new Uint8Array(MAX_IDENTITY_OP_BYTES))), 'LIMIT')
  })

  it('never throws on foreign bytes', () => {
    const identity = founded()
    const fields = fc.dictionary(
      fc.constantFrom(
        't',
        'v',
        'op',
        'n',
        'prev',
        'ts',
        'keys',
        'key',
        'threshold',
        'next',
        'scope',
      ),
      fc.constantFrom<CborValue>(
        'identity',
        'genesis',
        'delegate',
        0,
        1,
        -1,
        null,
        [],
        new Uint8Array(32),
      ),
      { noNullPrototype: true },
    )
    fc.assert(
      fc.property(fields, fc.boolean(), (changes, known) => {
        const envelope = operation({ ...delegateFields(identity), ...changes })
        assert.equal(typeof extendIdentity(known ? identity : null, envelope).ok, 'boolean')
      }),
      { numRuns: 50 },
    )
  })

  it('throws when it is to sign what others refuse', () => {
    const identity = founded()
    assert.throws(() => signDelegation(identity, device('x'), roots.slice(0, 1)), {
      code: 'THRESHOLD_NOT_MET',
    })
    assert.throws(() => signDelegation(identity, device('x'), [seedOf('stranger')]), {
      code: 'IDENTITY_INVALID',
    })
    assert.throws(() => createGenesis({ roots, threshold: 4, next, ts: START }), {
      code: 'THRESHOLD',
    })
  })

  describe('findDevice', () => {
    const publisher = new TestPublisher('institute')
    const profile = publisher.profile('institute')
    const { identity } = publisher
    const find = (changes: Partial<typeof profile.record>) =>
      codeOf(findDevice(identity, { ...profile.record, ...changes } as typeof profile.record))

    it('finds the delegation of a record', () => {
      const found = expectOk(findDevice(identity, profile.record))
      assert.deepEqual([found.key, found.scope], [profile.record.key, 'publish'])
    })

    it('refuses a key that was never delegated', () => {
      assert.equal(find({ key: toHex(publicKeyOf(seedOf('stranger'))) }), 'KEY_NOT_DELEGATED')
    })

    it('refuses records of before the delegation, and asks for operations that are missing', () => {
      assert.equal(find({ idv: 2 }), 'ok')
      assert.equal(find({ idv: 1 }), 'KEY_NOT_DELEGATED')
      assert.equal(find({ idv: 4 }), 'GAP')
    })

    it('holds a record to the time of its delegation by its own date', () => {
      const { notBefore, notAfter } = expectOk(findDevice(identity, profile.record))
      assert.equal(find({ ts: notBefore }), 'ok')
      assert.equal(find({ ts: notAfter }), 'ok')
      assert.equal(find({ ts: notBefore - 1 }), 'KEY_EXPIRED')
      assert.equal(find({ ts: notAfter + 1 }), 'KEY_EXPIRED')
    })

    it('keeps keys to their scope', () => {
      const signed = (scope: 'publish' | 'serve', kind: string, body: object) => {
        const record = { ...profile.record, key: publisher.key(scope), idv: 3, kind, body }
        return codeOf(findDevice(identity, record as typeof profile.record))
      }
      for (const kind of ['model', 'tag', 'profile', 'roster', 'attest']) {
        assert.equal(signed('publish', kind, {}), 'ok', kind)
      }
      assert.equal(signed('publish', 'withdraw', { verb: 'recall' }), 'ok')
      assert.equal(signed('publish', 'withdraw', { verb: 'erase' }), 'SCOPE')
      assert.equal(signed('serve', 'attest', { claim: 'reproduced' }), 'ok')
      assert.equal(signed('serve', 'attest', { claim: 'reviewed' }), 'SCOPE')
      assert.equal(signed('serve', 'attest', { claim: 'advisory' }), 'SCOPE')
      for (const kind of ['model', 'tag', 'profile', 'roster', 'withdraw']) {
        assert.equal(signed('serve', kind, {}), 'SCOPE', kind)
      }
    })

    it('lets only serve keys speak for nodes, while they last', () => {
      const { notAfter } = expectOk(findDevice(identity, profile.record))
      const serving = (scope: 'publish' | 'serve', issued: number, now: number) =>
        codeOf(servingDevice(identity, { key: publisher.key(scope), issued }, now))
      assert.equal(serving('serve', START, START), 'ok')
      assert.equal(serving('serve', START, START - 1000), 'ok')
      assert.equal(serving('serve', START - 1, START), 'KEY_EXPIRED')
      assert.equal(serving('serve', START, notAfter + 1), 'KEY_EXPIRED')
      assert.equal(serving('publish', START, START), 'SCOPE')
    })
  })
})

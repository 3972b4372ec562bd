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
  type Identity,
  keySetOf,
  type NewOperation,
  readIdentity,
  signOperation,
} from '../../protocol/identity.ts'
import type { KeySet } from '../../protocol/identity-operation.ts'
import { isSameOperation } from '../../protocol/identity-operation.ts'
import {
  MAX_DELEGATION_MS,
  MAX_IDENTITY_OP_BYTES,
  MAX_IDENTITY_OPS,
} from '../../protocol/limits.ts'
import { sign } from '../../protocol/signature.ts'
import { lastOf, START, seedOf, TestPublisher } from '../helpers/publisher.ts'

const roots = ['root 1', 'root 2', 'root 3'].map(seedOf)
const next = keySetOf([seedOf('next')], 1)
const device = (name: string) => ({
  op: 'delegate' as const,
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
    const first = signOperation(identity, device('one'), roots.slice(0, 2))
    const after = expectOk(extendIdentity(identity, first))
    const second = signOperation(after, { ...device('two'), scope: 'serve' }, roots)
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

  it('wants a key and a signature in each pair', () => {
    const payload = encode({ t: 'identity', v: 1, ts: START, ...genesisFields() })
    for (const pair of [[], [publicKeyOf(roots[0] as Uint8Array)]]) {
      const verdict = extendIdentity(null, encode({ p: payload, s: [pair] }))
      assert.deepEqual([codeOf(verdict), fieldOf(verdict)], ['RECORD_INVALID', 's[0]'])
    }
  })

  it('tells whether two operations say the same, whoever signed them', () => {
    const payload = encode({ t: 'identity', v: 1, ts: START, ...genesisFields() })
    const signedBy = (seed: Uint8Array) =>
      wrap(payload, [[publicKeyOf(seed), sign('identity', payload, seed)]])
    const [one, two] = roots.map(signedBy) as [Uint8Array, Uint8Array]
    const other = operation(genesisFields({ threshold: 1 }))
    const spoilt = new Uint8Array(3)
    assert.equal(isSameOperation(one, one), true)
    assert.equal(isSameOperation(one, two), true)
    assert.equal(isSameOperation(one, other), false)
    assert.equal(isSameOperation(one, spoilt), false)
    assert.equal(isSameOperation(spoilt, one), false)
  })

  it('refuses an operation with any bit flipped', () => {
    const identity = founded()
    const envelope = signOperation(identity, device('flipped'), roots.slice(0, 2))
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
    const orphan = extendIdentity(null, operation(genesisFields({ prev: linkOf(identity.tip) })))
    assert.deepEqual(orphan.ok || [orphan.code, orphan.limit], ['PREV_UNKNOWN', 'null'])
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
    assert.equal(codeOf(extend({ op: 'anoint' })), 'UNKNOWN_VERSION')
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
    assert.throws(() => signOperation(identity, device('x'), roots.slice(0, 1)), {
      code: 'THRESHOLD_NOT_MET',
    })
    assert.throws(() => signOperation(identity, device('x'), [seedOf('stranger')]), {
      code: 'IDENTITY_INVALID',
    })
    assert.throws(() => createGenesis({ roots, threshold: 4, next, ts: START }), {
      code: 'THRESHOLD',
    })
  })

  describe('rotation', () => {
    const [alice, bob, carol, dave] = ['alice', 'bob', 'carol', 'dave'].map(seedOf) as [
      Uint8Array,
      Uint8Array,
      Uint8Array,
      Uint8Array,
    ]
    const board = keySetOf([alice, bob, carol], 2)
    const rotate = (keys: KeySet, next: KeySet) =>
      ({ op: 'rotate', ts: START, ...keys, next: commitmentOf(next) }) as const
    const extended = (identity: Identity, ...rest: [NewOperation, readonly Uint8Array[]]) =>
      expectOk(extendIdentity(identity, signOperation(identity, ...rest)))

    it('moves one key to 2 of 3 in two steps', () => {
      const one = keySetOf([alice], 1)
      const committed = keySetOf([dave], 1)
      const { identity } = createGenesis({
        roots: [alice],
        threshold: one.threshold,
        next: committed,
        ts: START,
      })
      const revealed = extended(identity, rotate(committed, board), [alice, dave])
      assert.deepEqual([revealed.roots, revealed.threshold], [committed.keys, 1])
      const after = extended(revealed, rotate(board, one), [alice, bob, dave])
      assert.deepEqual([after.roots, after.threshold, after.rotations], [board.keys, 2, 2])
      assert.equal(after.publisher, identity.publisher)
      assert.throws(() => signOperation(after, device('x'), [alice]), { code: 'THRESHOLD_NOT_MET' })
      assert.equal(extended(after, device('x'), [alice, carol]).devices.length, 1)
    })

    it('counts a key that stands in both sets for both', () => {
      const { identity } = createGenesis({ roots: [alice], threshold: 1, next: board, ts: START })
      const after = extended(identity, rotate(board, board), [alice, bob])
      assert.deepEqual(after.roots, board.keys)
      assert.throws(() => signOperation(identity, rotate(board, board), [bob, carol]), {
        code: 'THRESHOLD_NOT_MET',
      })
    })

    it('takes 16 keys that are followed by 16 others, all of them signing', () => {
      const many = (name: string) => Array.from({ length: 16 }, (_, n) => seedOf(`${name} ${n}`))
      const [old, young] = [many('old'), many('young')]
      const next = keySetOf(young, 16)
      const { identity } = createGenesis({ roots: old, threshold: 16, next, ts: START })
      const envelope = signOperation(identity, rotate(next, next), [...old, ...young])
      assert(envelope.length <= MAX_IDENTITY_OP_BYTES)
    })

    it('is not for a thief of the roots, whatever keys he names', () => {
      const { identity } = createGenesis({ roots: [alice], threshold: 1, next: board, ts: START })
      const seeds = fc.uniqueArray(fc.uint8Array({ minLength: 32, maxLength: 32 }), {
        minLength: 1,
        maxLength: 4,
        selector: (seed) => toHex(seed),
      })
      fc.assert(
        fc.property(seeds, fc.nat(3), (mine, more) => {
          const threshold = 1 + (more % mine.length)
          const fields = { op: 'rotate', n: 1, prev: linkOf(identity.tip), threshold }
          const sign = (keys: readonly Uint8Array[], next: CborValue, signers: Uint8Array[]) =>
            codeOf(extendIdentity(identity, operation({ ...fields, keys, next }, signers)))
          const next = fromHex(commitmentOf(board))
          assert.equal(sign(keysOf(mine), next, [alice, ...mine]), 'PREROTATION')
          // He may have learned the public keys that were committed to, but not their seeds.
          const committed = { keys: board.keys.map(fromHex), threshold: 2 }
          const known = operation({ ...fields, ...committed, next }, [alice])
          assert.equal(codeOf(extendIdentity(identity, known)), 'THRESHOLD_NOT_MET')
        }),
        { numRuns: 25 },
      )
    })

    it('takes no device key as a root, and ends the old roots', () => {
      const next = keySetOf([seedOf('device')], 1)
      const { identity } = createGenesis({ roots: [alice], threshold: 1, next, ts: START })
      const withDevice = expectOk(
        extendIdentity(identity, operation(delegateFields(identity), [alice])),
      )
      assert.throws(
        () => signOperation(withDevice, rotate(next, board), [alice, seedOf('device')]),
        { code: 'IDENTITY_INVALID' },
      )
      const rotated = extended(identity, rotate(next, board), [alice, seedOf('device')])
      assert.throws(() => signOperation(rotated, device('x'), [alice]), {
        code: 'IDENTITY_INVALID',
      })
    })

    it('is refused with any bit flipped, as the operations on devices are', () => {
      const embl = new TestPublisher('embl')
      const last = lastOf(embl.profile('embl'))
      const key = embl.key()
      const notAfter = START + 500 * 24 * 3600 * 1000
      const third = seedOf('embl third')
      const operations: NewOperation[] = [
        { op: 'renew', key, last, notAfter, ts: START },
        { op: 'revoke', key, last, reason: 'staff-left', ts: START },
        { op: 'epoch', key, last, ts: START },
        { op: 'heal', key, last, ts: START },
        rotate(keySetOf([seedOf('embl next')], 1), keySetOf([third], 1)),
      ]
      for (const each of operations) {
        const signers = each.op === 'rotate' ? [...embl.roots, seedOf('embl next')] : embl.roots
        const envelope = signOperation(embl.identity, each, signers)
        fc.assert(
          fc.property(fc.nat(8 * envelope.length - 1), (bit) => {
            const copy = Uint8Array.from(envelope)
            copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit & 7))
            assert.notEqual(codeOf(extendIdentity(embl.identity, copy)), 'ok', each.op)
          }),
          { numRuns: 60 },
        )
      }
    })
  })
})

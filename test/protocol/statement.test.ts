/** Heads, bindings and heartbeats: the small statements of a device key. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { type Binding, peekBinding, readBinding, signBinding } from '../../protocol/binding.ts'
import { decode, encode } from '../../protocol/cbor.ts'
import { cidOf } from '../../protocol/cid.ts'
import { seal } from '../../protocol/envelope.ts'
import type { Verdict } from '../../protocol/errors.ts'
import { type Head, readHead, signHead } from '../../protocol/head.ts'
import { type Heartbeat, readHeartbeat, signHeartbeat } from '../../protocol/heartbeat.ts'
import {
  HEAD_LIFE_MS,
  MAX_BINDING_MS,
  MAX_CLOCK_AHEAD_MS,
  MAX_HEARTBEAT_MS,
  MAX_HEARTBEAT_SERVES,
  MAX_HEARTBEAT_WARM,
} from '../../protocol/limits.ts'
import { START, TestPublisher, utf8 } from '../helpers/publisher.ts'

const publisher = new TestPublisher('institute')
const { identity } = publisher
const other = new TestPublisher('other')
const { signed } = publisher.model({ name: 'nuclei' })
const peer = '12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN'

const head: Head = {
  publisher: publisher.publisher,
  key: publisher.key('publish'),
  epoch: 0,
  seq: 0,
  tip: signed.id,
  issued: START,
  expires: START + HEAD_LIFE_MS,
}
const binding: Binding = {
  publisher: publisher.publisher,
  key: publisher.key('serve'),
  peer,
  roles: ['serve', 'sync'],
  issued: START,
  expires: START + MAX_BINDING_MS,
}
const heartbeat: Heartbeat = {
  publisher: publisher.publisher,
  key: publisher.key('serve'),
  peer,
  issued: START,
  expires: START + MAX_HEARTBEAT_MS,
  engines: [{ name: 'onnx', provider: 'CPUExecutionProvider', device: 'x86_64, 16 cores' }],
  queue: 2,
  warm: [signed.id],
  serves: [signed.id],
  speed: [{ model: signed.id, usPerMegapixel: 250_000 }],
  freeMemory: 8 * 2 ** 30,
  residency: ['DE', 'institute'],
  acceptsInput: true,
}
const seeds = publisher.seeds

const codeOf = (verdict: Verdict<unknown>): string => (verdict.ok ? 'ok' : verdict.code)
const fieldOf = (verdict: Verdict<unknown>) => (verdict.ok ? undefined : verdict.field)
/** The same statement with other fields, signed without a check. */
function forged(
  type: 'head' | 'binding' | 'heartbeat',
  envelope: Uint8Array,
  changes: object,
): Uint8Array {
  const decoded = decode(envelope.subarray(0, -64))
  assert(decoded.ok)
  const seed = type === 'head' ? seeds.publish : seeds.serve
  return seal(type, encode({ ...(decoded.value as object), ...changes }), seed)
}

describe('protocol/statement', () => {
  const all = [
    { type: 'head', envelope: signHead(head, seeds.publish), read: readHead },
    {
      type: 'binding',
      envelope: signBinding(binding, seeds.serve),
      read: (envelope: Uint8Array) => readBinding(envelope, identity, START),
    },
    {
      type: 'heartbeat',
      envelope: signHeartbeat(heartbeat, seeds.serve),
      read: (envelope: Uint8Array) => readHeartbeat(envelope, identity, START),
    },
  ] as const

  it('reads back what was signed', () => {
    const [a, b, c] = all
    assert.deepEqual(a.read(a.envelope), { ok: true, value: { head, envelope: a.envelope } })
    assert.deepEqual(b.read(b.envelope), { ok: true, value: binding })
    assert.deepEqual(c.read(c.envelope), { ok: true, value: heartbeat })
  })

  for (const { type, envelope, read } of all) {
    describe(type, () => {
      it('is refused with any bit flipped', () => {
        fc.assert(
          fc.property(fc.nat(8 * envelope.length - 1), (bit) => {
            const copy = Uint8Array.from(envelope)
            copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit & 7))
            assert.notEqual(codeOf(read(copy)), 'ok')
          }),
        )
      })

      it('is no statement of another type', () => {
        for (const each of all) {
          if (each.type !== type) assert.equal(codeOf(each.read(envelope)), 'RECORD_INVALID')
        }
        assert.equal(codeOf(read(forged(type, envelope, { t: 'record' }))), 'RECORD_INVALID')
        const payload = envelope.subarray(0, -64)
        const mistyped = seal('record', payload, type === 'head' ? seeds.publish : seeds.serve)
        assert.equal(codeOf(read(mistyped)), 'SIG_INVALID')
      })

      it('is refused with unknown fields and versions', () => {
        assert.equal(codeOf(read(forged(type, envelope, {}))), 'ok')
        assert.equal(codeOf(read(forged(type, envelope, { v: 2 }))), 'UNKNOWN_VERSION')
        assert.equal(codeOf(read(forged(type, envelope, { extra: 1 }))), 'UNKNOWN_FIELD')
        assert.equal(codeOf(read(forged(type, envelope, { publisher: 'me' }))), 'RECORD_INVALID')
      })

      it('lives no longer than its kind may', () => {
        const longest = {
          head: HEAD_LIFE_MS,
          binding: MAX_BINDING_MS,
          heartbeat: MAX_HEARTBEAT_MS,
        }[type]
        const lasting = (ms: number) =>
          codeOf(read(forged(type, envelope, { expires: START + ms })))
        assert.deepEqual([1, longest].map(lasting), ['ok', 'ok'])
        assert.deepEqual([0, -1, longest + 1].map(lasting), new Array(3).fill('RECORD_INVALID'))
      })
    })
  }

  it('reads a head whenever it was issued, and leaves its key to the caller', () => {
    const old = signHead({ ...head, issued: 0, expires: 1 }, seeds.publish)
    assert.equal(codeOf(readHead(old)), 'ok')
  })

  it('bounds statements at the limit and one past it', () => {
    const huge = seal(
      'head',
      encode({ t: 'head', v: 1, extra: 'x'.repeat(16 * 1024) }),
      seeds.publish,
    )
    assert.equal(codeOf(readHead(huge)), 'LIMIT')
  })

  it('throws when it is to sign what others refuse', () => {
    const late = { ...head, expires: START + HEAD_LIFE_MS + 1 }
    assert.throws(() => signHead(late, seeds.publish), { code: 'RECORD_INVALID' })
    assert.throws(() => signHead(head, seeds.serve), TypeError)
  })

  for (const { type, sign, read } of [
    {
      type: 'binding',
      sign: (changes: Partial<Binding>, seed = seeds.serve) =>
        signBinding({ ...binding, ...changes }, seed),
      read: readBinding,
    },
    {
      type: 'heartbeat',
      sign: (changes: Partial<Heartbeat>, seed = seeds.serve) =>
        signHeartbeat({ ...heartbeat, ...changes }, seed),
      read: readHeartbeat,
    },
  ] as const) {
    describe(`${type} of a publisher`, () => {
      const at = (now: number, envelope = sign({})) => codeOf(read(envelope, identity, now))

      it('holds from a little before it was issued until it expires', () => {
        const { expires } = type === 'binding' ? binding : heartbeat
        assert.equal(at(expires), 'ok')
        assert.equal(at(expires + 1), 'BINDING_INVALID')
        // Issued later than the delegation begins, so that only the clocks differ.
        const later = sign({
          issued: START + MAX_CLOCK_AHEAD_MS,
          expires: START + MAX_CLOCK_AHEAD_MS + 1000,
        })
        assert.equal(at(START, later), 'ok')
        const ahead = sign({
          issued: START + MAX_CLOCK_AHEAD_MS + 1,
          expires: START + MAX_CLOCK_AHEAD_MS + 1000,
        })
        assert.equal(at(START, ahead), 'BINDING_INVALID')
      })

      it('is signed by a serve key of that publisher', () => {
        assert.equal(at(START, sign({ key: publisher.key('publish') }, seeds.publish)), 'SCOPE')
        assert.equal(
          at(START, sign({ key: other.key('serve') }, other.seeds.serve)),
          'KEY_NOT_DELEGATED',
        )
        const stranger = read(sign({ publisher: other.publisher }), identity, START)
        assert.deepEqual([codeOf(stranger), fieldOf(stranger)], ['BINDING_INVALID', 'publisher'])
      })

      it('ends with the delegation of its key', () => {
        const { notAfter } = identity.devices[1] ?? { notAfter: 0 }
        const last = sign({ issued: notAfter, expires: notAfter + 1000 })
        assert.equal(at(notAfter, last), 'ok')
        assert.equal(at(notAfter + 1, last), 'KEY_EXPIRED')
      })
    })
  }

  it('tells whose chain a binding needs', () => {
    const peeked = peekBinding(signBinding(binding, seeds.serve))
    assert.equal(peeked.ok && peeked.value.publisher, publisher.publisher)
  })

  it('takes only peers and roles that there are', () => {
    const envelope = signBinding(binding, seeds.serve)
    const changed = (changes: object) => fieldOf(peekBinding(forged('binding', envelope, changes)))
    assert.equal(changed({ peer: 'somebody' }), 'peer')
    assert.equal(changed({ roles: ['admin'] }), 'roles[0]')
    assert.equal(changed({ roles: [] }), undefined)
  })

  it('bounds what a heartbeat lists, at the limit and one past it', () => {
    const links = (count: number) =>
      Array.from({ length: count }, (_, i) => cidOf('dag-cbor', utf8(`${i}`)))
    const speeds = (count: number) => links(count).map((model) => ({ model, usPerMegapixel: 1e12 }))
    const full = {
      ...heartbeat,
      serves: links(MAX_HEARTBEAT_SERVES),
      warm: links(MAX_HEARTBEAT_WARM),
      speed: speeds(MAX_HEARTBEAT_WARM),
    }
    const envelope = signHeartbeat(full, seeds.serve)
    assert.equal(codeOf(readHeartbeat(envelope, identity, START)), 'ok')
    for (const over of [
      { serves: links(MAX_HEARTBEAT_SERVES + 1) },
      { warm: links(MAX_HEARTBEAT_WARM + 1) },
      { speed: speeds(MAX_HEARTBEAT_WARM + 1) },
    ]) {
      assert.throws(() => signHeartbeat({ ...heartbeat, ...over }, seeds.serve), { code: 'LIMIT' })
    }
  })

  it('carries no text that a terminal would obey', () => {
    for (const residency of ['\u001b[2J', 'Köln', '', 'x'.repeat(65)]) {
      assert.throws(() => signHeartbeat({ ...heartbeat, residency: [residency] }, seeds.serve), {
        code: 'RECORD_INVALID',
      })
    }
  })
})

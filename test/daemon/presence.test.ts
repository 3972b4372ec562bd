import assert from 'node:assert/strict'
import {
  BINDING_RENEWAL_MS,
  HEARTBEAT_LIFE_MS,
  Presence,
  type PresenceOptions,
} from '../../daemon/presence.ts'
import { readBinding } from '../../protocol/binding.ts'
import { expectOk } from '../../protocol/errors.ts'
import { readHeartbeat } from '../../protocol/heartbeat.ts'
import { MAX_BINDING_MS } from '../../protocol/limits.ts'
import { memoryLedger } from '../../registry/ledger.ts'
import { Signer } from '../../registry/signer.ts'
import { START, seedOf } from '../helpers/publisher.ts'
import { type TestRegistry, testRegistry } from '../helpers/test-registry.ts'

const PEER = '12D3KooWGC6TvWhfagifX6L4gNJgjHtgMgUFTVDpHbT4Ho4WKYHB'

describe('daemon/presence', () => {
  let test: TestRegistry
  let queue: number
  let presence: Presence
  let logged: string[]
  beforeEach(async () => {
    test = await testRegistry()
    queue = 0
    logged = []
    presence = new Presence(options())
  })
  const options = (): PresenceOptions => {
    const note = (level: string) => (fields: unknown) => {
      const { code = 'OK' } = fields as { code?: string }
      logged.push(`${level} ${code}`)
    }
    return {
      registry: test.registry,
      peer: PEER,
      clock: test.clock,
      log: { info: note('info'), warn: note('warn') },
      roles: ['sync', 'serve'],
      offer: () => ({
        engines: [],
        queue,
        warm: [],
        serves: [],
        speed: [],
        freeMemory: 1,
        residency: ['country:DE'],
        acceptsInput: true,
      }),
    }
  }

  const binding = () => presence.binding() ?? assert.fail('no binding')
  const heartbeat = () => presence.heartbeat() ?? assert.fail('no heartbeat')

  it('binds anew once the clock was set back', () => {
    const { clock } = test
    clock.time += 200 * BINDING_RENEWAL_MS
    binding()
    clock.time -= 200 * BINDING_RENEWAL_MS
    const said = expectOk(readBinding(binding(), test.own.identity, clock.now()))
    assert.equal(said.issued, clock.now())
  })

  it('binds the PeerId to the publisher by the serving key', () => {
    const { identity } = test.own
    const { clock } = test
    const said = expectOk(readBinding(binding(), identity, clock.now()))
    assert.deepEqual(said, {
      publisher: test.own.publisher,
      key: test.own.key('serve'),
      peer: PEER,
      roles: ['sync', 'serve'],
      issued: clock.time,
      expires: clock.time + MAX_BINDING_MS,
    })
    assert.equal(readBinding(binding(), identity, clock.time + MAX_BINDING_MS + 1).ok, false)
  })

  it('shows one binding for a day, then the next', () => {
    const first = binding()
    test.clock.time += BINDING_RENEWAL_MS - 1
    assert.equal(binding(), first)
    test.clock.time += 1
    const next = binding()
    assert.notDeepEqual(next, first)
    assert.equal(
      expectOk(readBinding(next, test.own.identity, test.clock.now())).issued,
      test.clock.time,
    )
  })

  it('says what the node offers at each moment, and falls silent by itself', () => {
    const { identity } = test.own
    const read = (envelope: Uint8Array) => readHeartbeat(envelope, identity, test.clock.now())
    const first = heartbeat()
    queue = 3
    test.clock.time += 1000
    const { peer, issued, expires, ...said } = expectOk(read(heartbeat()))
    assert.deepEqual(
      [peer, issued, expires - issued, said.queue, said.residency],
      [PEER, test.clock.time, HEARTBEAT_LIFE_MS, 3, ['country:DE']],
    )
    assert.equal(expectOk(read(first)).queue, 0)
    test.clock.time += HEARTBEAT_LIFE_MS
    assert.equal(read(first).ok, false)
  })
  const isSilent = (code: string): void => {
    assert.deepEqual([presence.binding(), presence.heartbeat()], [null, null])
    assert.equal(presence.silence()?.code, code)
    assert.match(presence.silence()?.hint ?? '', /zoarium keys (renew|delegate) serve/)
  }

  it('is silent once the serve key has run out, and speaks again when it is renewed', () => {
    const { own, registry, clock } = test
    const key = own.key('serve')
    const { notAfter } = own.identity.devices.find((each) => each.key === key) ?? assert.fail()
    binding()
    clock.time = notAfter
    assert.equal(presence.silence(), null)
    clock.time += 1
    isSilent('KEY_EXPIRED')
    isSilent('KEY_EXPIRED')
    own.sign({ op: 'renew', key, notAfter: notAfter + 1000, last: null, ts: START })
    expectOk(registry.admitIdentity(own.publisher, own.operations, 0))
    binding()
    assert.deepEqual(logged, ['warn KEY_EXPIRED', 'info OK'])
  })

  it('is silent once the serve key was revoked, also with a binding of today', () => {
    const { own, registry } = test
    binding()
    own.sign({ op: 'revoke', key: own.key('serve'), last: null, reason: 'lost', ts: START })
    expectOk(registry.admitIdentity(own.publisher, own.operations, 0))
    isSilent('KEY_REVOKED')
  })

  it('is silent with a key that was not delegated yet, or none', async () => {
    const { publisher, seeds } = test.own
    for (const [serve, code] of [
      [seedOf('drafted'), 'KEY_NOT_DELEGATED'],
      [null, 'SCOPE'],
    ] as const) {
      const own = { publisher, seeds: { publish: seeds.publish, serve }, ledger: memoryLedger() }
      test = await testRegistry('here', { signer: new Signer(own) })
      presence = new Presence({ ...options(), registry: test.registry })
      isSilent(code)
    }
  })
})

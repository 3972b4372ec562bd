import assert from 'node:assert/strict'
import { BINDING_RENEWAL_MS, HEARTBEAT_LIFE_MS, Presence } from '../../daemon/presence.ts'
import { readBinding } from '../../protocol/binding.ts'
import { expectOk } from '../../protocol/errors.ts'
import { readHeartbeat } from '../../protocol/heartbeat.ts'
import { MAX_BINDING_MS } from '../../protocol/limits.ts'
import { type TestRegistry, testRegistry } from '../helpers/test-registry.ts'

const PEER = '12D3KooWGC6TvWhfagifX6L4gNJgjHtgMgUFTVDpHbT4Ho4WKYHB'

describe('daemon/presence', () => {
  let test: TestRegistry
  let queue: number
  let presence: Presence
  beforeEach(async () => {
    test = await testRegistry()
    queue = 0
    presence = new Presence({
      signer: test.registry.signer,
      publisher: test.registry.publisher,
      peer: PEER,
      clock: test.clock,
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
    })
  })

  it('binds the PeerId to the publisher by the serving key', () => {
    const { identity } = test.own
    const { clock } = test
    const binding = expectOk(readBinding(presence.binding(), identity, clock.now()))
    assert.deepEqual(binding, {
      publisher: test.own.publisher,
      key: test.own.key('serve'),
      peer: PEER,
      roles: ['sync', 'serve'],
      issued: clock.time,
      expires: clock.time + MAX_BINDING_MS,
    })
    assert.equal(
      readBinding(presence.binding(), identity, clock.time + MAX_BINDING_MS + 1).ok,
      false,
    )
  })

  it('shows one binding for a day, then the next', () => {
    const first = presence.binding()
    test.clock.time += BINDING_RENEWAL_MS - 1
    assert.equal(presence.binding(), first)
    test.clock.time += 1
    const next = presence.binding()
    assert.notDeepEqual(next, first)
    assert.equal(
      expectOk(readBinding(next, test.own.identity, test.clock.now())).issued,
      test.clock.time,
    )
  })

  it('says what the node offers at each moment, and falls silent by itself', () => {
    const { identity } = test.own
    const read = (envelope: Uint8Array) => readHeartbeat(envelope, identity, test.clock.now())
    const first = presence.heartbeat()
    queue = 3
    test.clock.time += 1000
    const { peer, issued, expires, ...said } = expectOk(read(presence.heartbeat()))
    assert.deepEqual(
      [peer, issued, expires - issued, said.queue, said.residency],
      [PEER, test.clock.time, HEARTBEAT_LIFE_MS, 3, ['country:DE']],
    )
    assert.equal(expectOk(read(first)).queue, 0)
    test.clock.time += HEARTBEAT_LIFE_MS
    assert.equal(read(first).ok, false)
  })
})

import assert from 'node:assert/strict'
import { LOCAL, MIN_MEASURED_BYTES } from '../../daemon/nearest.ts'
import type { NetworkPeer } from '../../daemon/net/network.ts'
import { COLD_START_MS, EWMA_WEIGHT } from '../../daemon/route.ts'
import { expectOk } from '../../protocol/errors.ts'
import type { ModelRow } from '../../registry/catalogue.ts'
import { cardModel, type DaemonParts, daemonParts, hold, peerOf } from '../helpers/daemon-parts.ts'
import { TestPublisher } from '../helpers/publisher.ts'
import { introduce } from '../helpers/test-registry.ts'

describe('daemon/nearest', () => {
  let parts: DaemonParts
  let embl: TestPublisher
  let crick: TestPublisher
  let model: ModelRow
  beforeEach(async () => {
    parts = await daemonParts()
    embl = new TestPublisher('embl')
    crick = new TestPublisher('crick')
    for (const each of [embl, crick]) {
      introduce(parts.registry, each)
      parts.registry.setTrust({ publisher: each.publisher, right: 'run', send: true })
    }
    model = await hold(parts, cardModel(embl, 'nuclei'))
  })

  const routes = (bytes = 4e6) => parts.nearest.routes(model, bytes)
  const nodes = (bytes?: number): string[] => routes(bytes).map(({ candidate }) => candidate.node)
  const reasonFor = (peer: NetworkPeer): string | null => {
    parts.network.known = [peer]
    const found = parts.nearest.views(model, 1).find(({ node }) => node === peer.peer)
    return found?.reason ?? null
  }

  it('takes this node for a candidate, without a way to it', () => {
    const [here] = routes()
    assert.equal(here?.candidate.node, LOCAL)
    assert.equal(here?.candidate.publisher, parts.own.publisher)
    assert.deepEqual([here?.cost?.uploadMs, here?.cost?.rttMs], [0, 0])
    assert.equal(here?.cost?.coldMs, COLD_START_MS)
  })

  it('knows what this node has measured, and what is warm', () => {
    const status = {
      queued: 2,
      running: 1,
      warm: [model.record],
      speed: [{ model: model.record, usPerMegapixel: 5000 }],
    }
    parts.inference.status = () => status
    const [here] = routes(4e6)
    // 4 MB of float32 are a megapixel.
    assert.deepEqual(here?.cost, {
      uploadMs: 0,
      rttMs: 0,
      queueMs: 15,
      coldMs: 0,
      computeMs: 5,
      totalMs: 20,
    })
  })

  it('takes what a peer says of itself', () => {
    const speed = [{ model: model.record, usPerMegapixel: 2000 }]
    parts.network.known = [peerOf(crick, [model.record], { rttMs: 7, said: { queue: 4, speed } })]
    const found = routes(4e6).find(({ candidate }) => candidate.node === 'crick-peer')
    const { uploadMs: _, totalMs: __, ...cost } = found?.cost ?? assert.fail()
    assert.deepEqual(cost, { rttMs: 7, queueMs: 8, coldMs: 0, computeMs: 2 })
  })

  it('says why a peer is left out, by the first rule against it', () => {
    const none = { connected: false, publisher: null, roles: [], heartbeat: null }
    const peer = (changes: Parameters<typeof peerOf>[2]) => peerOf(crick, [model.record], changes)
    assert.equal(reasonFor(peer({})), null)
    assert.equal(reasonFor(peer(none)), 'not connected')
    assert.match(reasonFor(peer({ ...none, connected: true })) ?? '', /bound to no publisher/)
    parts.registry.setTrust({ publisher: crick.publisher, right: 'list', send: false })
    const unsent = reasonFor(peer({ roles: [], heartbeat: null }))
    assert.match(unsent ?? '', new RegExp(`zoarium trust add ${crick.publisher} list --send`))
    parts.registry.setTrust({ publisher: crick.publisher, right: 'list', send: true })
    assert.equal(reasonFor(peer({ roles: ['sync'], heartbeat: null })), 'the peer does not serve')
    assert.equal(reasonFor(peer({ heartbeat: null })), 'no heartbeat lately')
    const closed = { said: { acceptsInput: false, serves: [] } }
    assert.equal(reasonFor(peer(closed)), 'it takes no images from others')
    assert.equal(reasonFor(peerOf(crick, [])), 'it does not offer this model')
  })

  it('leaves out every node for a model that may not run', () => {
    parts.registry.setTrust({ publisher: embl.publisher, right: 'list', send: true })
    parts.network.known = [peerOf(crick, [model.record])]
    const views = parts.nearest.views(model, 1)
    assert.deepEqual(
      views.map(({ eligible, reason }) => [eligible, /no rule lets models/.test(reason ?? '')]),
      [
        [false, true],
        [false, true],
      ],
    )
    expectOk(parts.registry.admitRecord(embl.withdraw(model.record, 'recall').envelope, null))
    model = expectOk(parts.registry.resolve(model.record))
    assert.match(parts.nearest.views(model, 1)[1]?.reason ?? '', /took the model back/)
  })

  it('lets a peer run what is not here', async () => {
    model = await hold(parts, cardModel(embl, 'cells'), false)
    parts.network.known = [peerOf(crick, [model.record])]
    const [first, second] = parts.nearest.views(model, 1)
    assert.deepEqual([first?.node, first?.publisher?.id], ['crick-peer', crick.publisher])
    assert.deepEqual(
      [second?.node, second?.eligible, second?.cost, second?.publisher?.id],
      [LOCAL, false, null, parts.own.publisher],
    )
    assert.match(second?.reason ?? '', /not on this node/)
  })

  it('names peers without a publisher, too', () => {
    parts.network.known = [peerOf(crick, [], { publisher: null })]
    assert.equal(parts.nearest.views(model, 1).at(-1)?.publisher, null)
  })

  it('learns from uploads which line is fast', () => {
    parts.network.known = [embl, crick].map((each) => peerOf(each, [model.record]))
    parts.inference.status = () => ({ queued: 500, running: 0, warm: [], speed: [] })
    const bytes = 50e6
    assert.deepEqual(nodes(bytes), ['crick-peer', 'embl-peer', LOCAL])
    parts.nearest.measured('embl-peer', bytes, 100)
    assert.deepEqual(nodes(bytes), ['embl-peer', 'crick-peer', LOCAL])
    parts.nearest.measured('crick-peer', bytes, 50)
    assert.deepEqual(nodes(bytes), ['crick-peer', 'embl-peer', LOCAL])
    parts.nearest.measured('crick-peer', bytes, 500_000)
    const { uploadMs = 0 } = routes(bytes)[0]?.cost ?? {}
    const average = 1e6 + EWMA_WEIGHT * (100 - 1e6)
    assert.ok(Math.abs(uploadMs - bytes / average) < 1e-9)
  })

  it('learns nothing from small uploads, nor from a clock that stood still', () => {
    parts.network.known = [peerOf(crick, [model.record])]
    const before = routes(1e6)
    parts.nearest.measured('crick-peer', MIN_MEASURED_BYTES - 1, 1000)
    parts.nearest.measured('crick-peer', 1e6, 0)
    assert.deepEqual(routes(1e6), before)
    parts.nearest.measured('crick-peer', MIN_MEASURED_BYTES, 1000)
    assert.notDeepEqual(routes(1e6), before)
  })
})

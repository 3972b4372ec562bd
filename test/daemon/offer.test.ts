import assert from 'node:assert/strict'
import type { InferenceStatus } from '../../daemon/inference/inference.ts'
import { Offer } from '../../daemon/offer.ts'
import { cidOf } from '../../protocol/cid.ts'
import { expectOk } from '../../protocol/errors.ts'
import { readHeartbeat, signHeartbeat } from '../../protocol/heartbeat.ts'
import { MAX_HEARTBEAT_SERVES, MAX_HEARTBEAT_WARM } from '../../protocol/limits.ts'
import { cardModel, type DaemonParts, daemonParts, hold } from '../helpers/daemon-parts.ts'
import { TestPublisher } from '../helpers/publisher.ts'
import { introduce } from '../helpers/test-registry.ts'

describe('daemon/offer', () => {
  let parts: DaemonParts
  let embl: TestPublisher
  let status: InferenceStatus
  let offer: Offer
  beforeEach(async () => {
    parts = await daemonParts()
    embl = new TestPublisher('embl')
    introduce(parts.registry, embl, 'run')
    status = { queued: 0, running: 0, warm: [], speed: [] }
    const { registry, engine } = parts
    const inference = { status: () => status }
    offer = new Offer({
      registry,
      engine,
      inference,
      residency: ['country:DE'],
      acceptsInput: true,
    })
  })

  it('offers what it holds, may run and can run', async () => {
    const model = await hold(parts, cardModel(embl, 'nuclei'))
    await hold(parts, cardModel(embl, 'missing'), false)
    await hold(parts, embl.model({ name: 'unreadable' }))
    const crick = new TestPublisher('crick')
    introduce(parts.registry, crick, 'mirror')
    await hold(parts, cardModel(crick, 'cells'))
    assert.deepEqual(offer.body().serves, [model.record])
    parts.registry.setTrust({ publisher: embl.publisher, right: 'mirror' })
    assert.deepEqual(offer.body().serves, [])
    parts.registry.setTrust({ publisher: embl.publisher, right: 'run' })
    assert.deepEqual(offer.body().serves, [model.record])
    await parts.registry.blobs.remove(model.files[1]?.cid ?? assert.fail())
    assert.deepEqual(offer.body().serves, [])
  })

  it('takes back what was recalled, not what was yanked', async () => {
    const [yanked, recalled] = [
      await hold(parts, cardModel(embl, 'yanked')),
      await hold(parts, cardModel(embl, 'recalled')),
    ]
    assert.equal(offer.body().serves.length, 2)
    expectOk(parts.registry.admitRecord(embl.withdraw(yanked.record, 'yank').envelope, null))
    expectOk(parts.registry.admitRecord(embl.withdraw(recalled.record, 'recall').envelope, null))
    assert.deepEqual(offer.body().serves, [yanked.record])
  })

  it('reads each model once, however often it is asked', async () => {
    await hold(parts, cardModel(embl, 'nuclei'))
    offer.body()
    const { catalogue } = parts.registry
    catalogue.model = () => assert.fail('was read again')
    assert.equal(offer.body().serves.length, 1)
  })

  it('says what is warm and how fast, of the models that it offers', async () => {
    const { record } = await hold(parts, cardModel(embl, 'nuclei'))
    const other = parts.own.publisher
    status = {
      queued: 2,
      running: 1,
      warm: [other, record],
      speed: [
        { model: other, usPerMegapixel: 1 },
        { model: record, usPerMegapixel: 450_000 },
      ],
    }
    const body = offer.body()
    assert.deepEqual([body.queue, body.warm], [3, [record]])
    assert.deepEqual(body.speed, [{ model: record, usPerMegapixel: 450_000 }])
    assert.deepEqual([body.residency, body.acceptsInput], [['country:DE'], true])
    assert.deepEqual(
      body.engines.map(({ name, provider }) => [name, provider]),
      [['memory', 'cpu']],
    )
  })

  it('fits a heartbeat however much there is, with the newest speeds', async () => {
    const model = await hold(parts, cardModel(embl, 'nuclei'))
    const all = Array.from({ length: MAX_HEARTBEAT_SERVES + 1 }, (_, n) =>
      cidOf('dag-cbor', Uint8Array.of(n >> 8, n & 255)),
    )
    parts.registry.runnableModels = function* () {
      yield* all
    }
    parts.registry.catalogue.model = () => model
    const records = all.slice(0, MAX_HEARTBEAT_WARM + 1)
    // A tiny input and an endless one: what is measured need not fit.
    status = {
      queued: 0,
      running: 0,
      warm: records,
      speed: records.map((model, n) => ({ model, usPerMegapixel: n % 2 === 0 ? 0 : 1e15 })),
    }
    const body = offer.body()
    assert.equal(body.serves.length, MAX_HEARTBEAT_SERVES)
    assert.equal(body.warm.length, MAX_HEARTBEAT_WARM)
    assert.deepEqual(
      body.speed.map(({ model }) => model),
      records.slice(1),
    )
    const { publisher, seeds, identity } = parts.own
    const now = parts.clock.now()
    const who = {
      publisher,
      key: parts.own.key('serve'),
      peer: PEER,
      issued: now,
      expires: now + 1,
    }
    const envelope = signHeartbeat({ ...who, ...body }, seeds.serve)
    assert.deepEqual(expectOk(readHeartbeat(envelope, identity, now)), { ...who, ...body })
  })
})

const PEER = '12D3KooWGC6TvWhfagifX6L4gNJgjHtgMgUFTVDpHbT4Ho4WKYHB'

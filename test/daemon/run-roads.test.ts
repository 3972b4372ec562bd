/** One rule decides on every road to running a model. */
import assert from 'node:assert/strict'
import { encodeNpy } from '../../daemon/inference/image/npy.ts'
import { LOCAL } from '../../daemon/nearest.ts'
import { Offer } from '../../daemon/offer.ts'
import { expectOk, type ZoariumError } from '../../protocol/errors.ts'
import { memoryTrust, TrustBook } from '../../registry/trust-file.ts'
import { cardModel, type DaemonParts, daemonParts, hold, peerOf } from '../helpers/daemon-parts.ts'
import { TestPublisher } from '../helpers/publisher.ts'
import { introduce } from '../helpers/test-registry.ts'

const data = new Float32Array(64)
const npy = encodeNpy({ dtype: 'float32', axes: [], shape: [1, 1, 8, 8], data })

describe('daemon/run-roads', () => {
  let parts: DaemonParts
  afterEach(() => parts.inference.close())

  it('run a model by the word of others, and none when it is taken back', async () => {
    const own = new TestPublisher('here').publisher
    const [embl, crick] = ['embl', 'crick'].map((name) => new TestPublisher(name)) as [
      TestPublisher,
      TestPublisher,
    ]
    const rules = [embl, crick].map(
      ({ publisher, name }) =>
        `  - {publisher: ${publisher}, right: list, petname: ${name}, send: true}\n`,
    )
    const run = 'run:\n  - {attested: 1, of: [crick]}\n'
    const file = memoryTrust(`version: 1\nrules:\n${rules.join('')}${run}`)
    parts = await daemonParts(undefined, { trust: new TrustBook(file, own) })
    const { registry, engine, inference, inferring, nearest, network, views } = parts
    for (const each of [embl, crick]) introduce(registry, each, 'see')
    const made = cardModel(embl, 'nuclei')
    const model = await hold(parts, made)
    network.known = [peerOf(crick, [model.record])]
    const offer = new Offer({ registry, engine, inference, residency: [], acceptsInput: true })

    const { signal } = new AbortController()
    const inputs = [{ name: null, mediaType: null, bytes: npy }]
    const options = { output: null, accept: null, deadlineMs: null }
    const codeOf = (work: Promise<unknown>) =>
      work.then(
        () => 'ok',
        (error: ZoariumError) => error.code,
      )
    const { record } = model
    const request = {
      ...{ record, inputs, output: null, accept: null, salt: null },
      ...{ deadlineMs: 10_000, signal },
    }
    const roads = async () => ({
      local: await codeOf(inferring.infer(model, inputs, { ...options, on: LOCAL }, signal)),
      nearest: await codeOf(inferring.infer(model, inputs, { ...options, on: 'nearest' }, signal)),
      named: await codeOf(
        inferring.infer(model, inputs, { ...options, on: crick.publisher }, signal),
      ),
      served: await codeOf(inferring.serve({ ...request, peer: 'x', publisher: embl.publisher })),
      candidates: nearest.routes(model, 100).filter(({ cost }) => cost !== null).length,
      shown: views.summary(model).runnable.here,
      offered: offer.body().serves.length,
    })
    const none = { candidates: 0, shown: false, offered: 0 }
    const refused = { local: 'TRUST', nearest: 'TRUST', named: 'TRUST', served: 'TRUST', ...none }
    assert.deepEqual(await roads(), refused)
    const vouched = crick.vouch(made.signed, 'reviewed')
    expectOk(registry.admitRecord(vouched.envelope, null))
    assert.deepEqual(await roads(), {
      local: 'ok',
      nearest: 'ok',
      named: 'ok',
      served: 'ok',
      candidates: 2,
      shown: true,
      offered: 1,
    })
    expectOk(registry.admitRecord(crick.withdraw(vouched.id).envelope, null))
    assert.deepEqual(await roads(), refused)
  })
})

import assert from 'node:assert/strict'
import { Attesting } from '../../daemon/attesting.ts'
import type { MemoryModel } from '../../daemon/inference/memory-engine.ts'
import { ZoariumError } from '../../protocol/errors.ts'
import type { ModelRow } from '../../registry/catalogue.ts'
import { type DaemonParts, daemonParts, hold } from '../helpers/daemon-parts.ts'
import { exampleFiles } from '../helpers/package.ts'
import { TestPublisher } from '../helpers/publisher.ts'
import { introduce } from '../helpers/test-registry.ts'

const never = new AbortController().signal

describe('daemon/attesting', () => {
  let parts: DaemonParts
  let attesting: Attesting
  let embl: TestPublisher
  let run: MemoryModel['run']
  beforeEach(async () => {
    run = (inputs) => inputs
    parts = await daemonParts((inputs) => run(inputs))
    attesting = new Attesting(parts)
    embl = new TestPublisher('embl')
    introduce(parts.registry, embl, 'mirror')
  })
  afterEach(() => parts.inference.close())

  /** A model of another publisher with all that its own test needs. */
  function made(name: string, seed = embl.seeds.publish) {
    const files = exampleFiles({ name })
    const bytesOf = (path: string) => files.get(path) ?? assert.fail(path)
    const tests = new Map(
      ['test_input.npy', 'test_output.npy'].map((path) => [path, bytesOf(path)]),
    )
    const [card, weights] = [bytesOf('rdf.yaml'), bytesOf('weights.onnx')]
    return embl.model({ name: name.toLowerCase(), card, weights, tests, seed })
  }
  const model = (): Promise<ModelRow> => hold(parts, made('Nuclei'))
  const signed = () => parts.registry.logs(parts.registry.publisher).length

  it('signs that the own test gave its result here, though no rule lets the model run', async () => {
    const { record, root } = await model()
    const row = parts.registry.catalogue.model(record)
    assert(row !== null)
    const attested = await attesting.attest(row, 'reproduced', '', never)
    assert(attested.record.kind === 'attest')
    const { program, ms, ...body } = attested.record.body
    assert.deepEqual(body, {
      target: record,
      root,
      claim: 'reproduced',
      mismatchedPerMillion: 0,
      engine: 'memory 1',
      provider: 'cpu',
    })
    assert.match(String(program), /^zoarium\//)
    assert.ok(Number.isSafeInteger(ms))
    assert.equal(attested.record.key, parts.own.key('serve'))
  })

  it('signs nothing where the test gives another result, or cannot run', async () => {
    const row = await model()
    run = (inputs) =>
      inputs.map((each) => ({ ...each, data: new Float32Array(each.data.length).fill(7) }))
    await assert.rejects(attesting.attest(row, 'reproduced', '', never), { code: 'TEST_FAILED' })
    const listed = await hold(parts, made('Other'), false)
    await assert.rejects(attesting.attest(listed, 'reproduced', '', never), {
      code: 'BLOB_MISSING',
    })
    const { envelope } = embl.withdraw(row.record, 'recall')
    assert(parts.registry.admitRecord(envelope, null).ok)
    const recalled = parts.registry.catalogue.model(row.record)
    assert(recalled !== null)
    await assert.rejects(attesting.attest(recalled, 'reproduced', '', never), { code: 'RECALLED' })
    assert.equal(signed(), 0)
  })

  it('signs words of the institution with the key to publish, and runs nothing for them', async () => {
    run = () => {
      throw new ZoariumError('INTERNAL', 'nothing is run')
    }
    const row = await model()
    const keys = { reviewed: 'publish', advisory: 'publish', usage: 'serve' } as const
    for (const claim of ['reviewed', 'advisory', 'usage'] as const) {
      const { record } = await attesting.attest(row, claim, 'Fine for DAPI.', never)
      assert(record.kind === 'attest')
      assert.deepEqual([record.body.claim, record.body.note], [claim, 'Fine for DAPI.'])
      assert.equal(record.key, parts.own.key(keys[claim]))
    }
  })

  it('says nothing of a private model to others', async () => {
    const seed = embl.confide([parts.registry.publisher])
    assert(parts.registry.admitIdentity(embl.publisher, embl.operations, 0).ok)
    const row = await hold(parts, made('Secret', seed))
    await assert.rejects(attesting.attest(row, 'reproduced', '', never), { code: 'AUDIENCE' })
    assert.equal(signed(), 0)
  })
})

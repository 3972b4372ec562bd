import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { PublishOptions } from '../../daemon/http/node-api.ts'
import type { MemoryModel } from '../../daemon/inference/memory-engine.ts'
import { Publishing } from '../../daemon/publishing.ts'
import { expectOk, ZoariumError } from '../../protocol/errors.ts'
import { type DaemonParts, daemonParts, failing } from '../helpers/daemon-parts.ts'
import { temporaryFolder } from '../helpers/folder.ts'
import { type ExampleOptions, exampleFiles, zipOf } from '../helpers/package.ts'

const PLAIN: PublishOptions = {
  name: null,
  version: null,
  weights: null,
  dryRun: false,
  untested: false,
  private: false,
}

describe('daemon/publishing', () => {
  let parts: DaemonParts
  let publishing: Publishing
  let runs: number
  let run: MemoryModel['run']
  beforeEach(async () => {
    runs = 0
    run = (inputs) => inputs
    parts = await daemonParts((inputs) => {
      runs++
      return run(inputs)
    })
    publishing = new Publishing(parts)
  })
  afterEach(() => parts.inference.close())

  const publish = async (
    example: ExampleOptions = {},
    options: Partial<PublishOptions> = {},
    signal = new AbortController().signal,
  ) => {
    const path = join(temporaryFolder(), 'upload.zip')
    writeFileSync(path, await zipOf(exampleFiles(example)))
    return publishing.publish(path, { ...PLAIN, ...options }, signal)
  }
  const counts = () => ({ ...parts.registry.counts(), ...parts.registry.blobs.held })
  /** Both weights in one package: ONNX and another file that nothing runs. */
  const twoWeights: ExampleOptions = {
    files: { 'weights.pt': 'torch' },
    card: (card) => {
      const sha256 = createHash('sha256').update('torch').digest('hex')
      const source = { source: 'weights.pt', sha256, pytorch_version: '2.0' }
      card.weights.torchscript = source
    },
  }

  it('publishes what reproduces its own test', async () => {
    const view = await publish()
    const { record, root } = view
    const row = expectOk(parts.registry.resolve(record ?? ''))
    assert.deepEqual(
      [view.name, view.version, view.tested, view.dryRun, root],
      ['example-model', '1.0.0', 'reproduced', false, row.root],
    )
    assert.equal(view.ref, `${parts.own.publisher}/example-model@1.0.0`)
    assert.deepEqual([row.tested, row.record], ['reproduced', record])
    assert.deepEqual(
      { worst: view.test?.worstAbsolute, wrong: view.test?.mismatchedPerMillion },
      { worst: 0, wrong: 0 },
    )
    assert.deepEqual(view.files.map(({ path }) => path).sort(), [
      'README.md',
      'rdf.yaml',
      'test_input.npy',
      'test_output.npy',
      'weights.onnx',
    ])
    assert.equal(
      view.bytes,
      view.files.reduce((sum, { size }) => sum + size, 0),
    )
    assert.equal(parts.registry.holding(row.record).complete, true)
    assert.equal(runs, 1)
  })

  it('takes name and version as asked, and names them as people will', async () => {
    expectOk(parts.registry.admitRecord(parts.own.profile('home').envelope, null))
    const view = await publish({}, { name: 'nuclei', version: '2.1.0' })
    assert.deepEqual([view.ref, view.name, view.version], ['home/nuclei@2.1.0', 'nuclei', '2.1.0'])
    assert.equal(expectOk(parts.registry.resolve(view.ref)).record, view.record)
  })

  it('keeps nothing of a dry run, and answers as if', async () => {
    const before = counts()
    const dry = await publish({}, { dryRun: true })
    assert.deepEqual(counts(), before)
    assert.deepEqual([dry.dryRun, dry.record, dry.root], [true, null, null])
    assert.equal(runs, 1)
    const { dryRun: _, record: __, root: ___, test: ____, ...rest } = await publish()
    for (const [name, value] of Object.entries(rest)) {
      assert.deepEqual(dry[name as keyof typeof dry], value, name)
    }
  })

  it('refuses what does not reproduce its test, with the worst place, and keeps nothing', async () => {
    const before = counts()
    const error = await publish({ compute: (x) => x + 1 }).catch((thrown: unknown) => thrown)
    assert(error instanceof ZoariumError)
    assert.equal(error.code, 'TEST_FAILED')
    assert.match(error.data.field ?? '', /^result\[0, 0, \d+, \d+\]$/)
    assert.match(String(error.data.got), /per million beyond the tolerance, worst 1/)
    assert.match(error.data.hint ?? '', /--untested/)
    assert.deepEqual(counts(), before)
  })

  it('passes on what the engine says, and keeps nothing', async () => {
    const before = counts()
    for (const code of ['MODEL_CRASH', 'MODEL_MEMORY', 'MODEL_UNSUPPORTED'] as const) {
      run = failing(code)
      await assert.rejects(publish(), { code })
    }
    assert.deepEqual(counts(), before)
  })

  it('runs nothing that is published untested, and says so', async () => {
    const view = await publish({ compute: (x) => x + 1 }, { untested: true })
    assert.deepEqual([view.tested, view.test, runs], ['untested', null, 0])
    assert.equal(expectOk(parts.registry.resolve(view.record ?? '')).tested, 'untested')
  })

  it('keeps the weights that were chosen', async () => {
    const all = await publish(twoWeights, { name: 'both', dryRun: true })
    assert.ok(all.files.some(({ path }) => path === 'weights.pt'))
    const one = await publish(twoWeights, { name: 'one', weights: ['onnx'] })
    assert.ok(!one.files.some(({ path }) => path === 'weights.pt'))
    const row = expectOk(parts.registry.resolve(one.record ?? ''))
    assert.ok(!row.files.some(({ path }) => path === 'weights.pt'))
    const other = await publish(twoWeights, { name: 'other', weights: ['torchscript'] })
    assert.deepEqual([other.tested, other.test], ['untested', null])
    await assert.rejects(publish({}, { weights: ['torchscript'] }), { code: 'WEIGHTS' })
  })

  it('refuses a version that is there before anything is run', async () => {
    await publish()
    const before = counts()
    assert.equal(runs, 1)
    await assert.rejects(publish({ compute: (x) => x + 1 }), { code: 'VERSION_EXISTS' })
    await assert.rejects(publish({}, { dryRun: true }), { code: 'VERSION_EXISTS' })
    await assert.rejects(publish({}, { name: 'No name!' }), { code: 'NAME' })
    assert.equal(runs, 1)
    assert.deepEqual(counts(), before)
    assert.equal((await publish({}, { version: '1.0.1' })).version, '1.0.1')
  })

  it('lists every finding about a package that is not whole', async () => {
    const files = { 'README.md': null, 'test_output.npy': null }
    const error = await publish({ files }).catch((thrown: unknown) => thrown)
    assert(error instanceof ZoariumError)
    assert.deepEqual(
      error.data.issues?.map(({ code, got, field }) => [code, got ?? field]).length,
      2,
    )
    assert.equal(runs, 0)
  })

  it('refuses what is no zip', async () => {
    const path = join(temporaryFolder(), 'upload.zip')
    writeFileSync(path, 'not a zip')
    const { signal } = new AbortController()
    await assert.rejects(publishing.publish(path, PLAIN, signal), { code: 'ZIP' })
  })

  it('publishes nothing for a client that has left', async () => {
    const client = new AbortController()
    run = (inputs) => {
      client.abort(new ZoariumError('CANCELLED', 'the client went away'))
      return inputs
    }
    const before = counts()
    await assert.rejects(publish({}, {}, client.signal), { code: 'CANCELLED' })
    await assert.rejects(publish({}, { untested: true }, client.signal), { code: 'CANCELLED' })
    assert.deepEqual(counts(), before)
  })
})

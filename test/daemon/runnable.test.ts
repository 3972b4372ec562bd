import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { bareName, runnableOf, whyForbidden, whyNotRunnable } from '../../daemon/runnable.ts'
import { expectOk, type ZoariumError } from '../../protocol/errors.ts'
import type { ModelRow } from '../../registry/catalogue.ts'
import { cardModel, type DaemonParts, daemonParts, hold } from '../helpers/daemon-parts.ts'
import { temporaryFolder } from '../helpers/folder.ts'
import type { CardData } from '../helpers/package.ts'
import { TestPublisher } from '../helpers/publisher.ts'
import { introduce } from '../helpers/test-registry.ts'

describe('daemon/runnable', () => {
  let parts: DaemonParts
  let embl: TestPublisher
  beforeEach(async () => {
    parts = await daemonParts()
    embl = new TestPublisher('embl')
    introduce(parts.registry, embl, 'run')
  })
  const why = (model: ModelRow) => whyNotRunnable(parts.registry, model)

  it('runs what is trusted, read, complete and of ONNX weights', async () => {
    const model = await hold(parts, cardModel(embl, 'nuclei'))
    assert.equal(why(model), null)
    const { record, engineModel } = runnableOf(parts.registry, model)
    assert.deepEqual([record, engineModel.id], [model.record, model.record])
    assert.equal(engineModel.main, 'weights.onnx')
    const [file] = engineModel.files
    const target = join(temporaryFolder(), 'copy')
    await file?.copyTo(target)
    assert.equal(readFileSync(target).length, file?.size)
  })

  it('names the first rule against it, in this order', async () => {
    const model = await hold(parts, cardModel(embl, 'nuclei'), false)
    assert.deepEqual(
      [why(model)?.code, why(model)?.hint],
      ['BLOB_MISSING', `zoarium pull ${model.record}`],
    )
    parts.registry.setTrust({ publisher: embl.publisher, right: 'mirror' })
    assert.deepEqual(
      [why(model)?.code, why(model)?.hint],
      ['TRUST', `zoarium trust add ${embl.publisher} run`],
    )
    for (const [verb, code] of [
      ['yank', 'TRUST'],
      ['recall', 'RECALLED'],
    ] as const) {
      expectOk(parts.registry.admitRecord(embl.withdraw(model.record, verb).envelope, null))
      const now = expectOk(parts.registry.resolve(model.record))
      assert.equal(why(now)?.code, code)
      assert.equal(whyForbidden(parts.registry, now)?.code, code)
    }
    assert.throws(() => runnableOf(parts.registry, model), { code: 'TRUST' })
  })

  it('runs a yanked version that is asked for', async () => {
    const { record } = await hold(parts, cardModel(embl, 'nuclei'))
    expectOk(parts.registry.admitRecord(embl.withdraw(record, 'yank').envelope, null))
    assert.equal(why(expectOk(parts.registry.resolve(record))), null)
  })

  it('runs no card that it cannot read, no weights that it lacks, no step that it cannot compute', async () => {
    const unreadable = await hold(parts, embl.model({ name: 'unreadable' }))
    assert.match(why(unreadable)?.message ?? '', /the card cannot be read here/)
    const change = (card: (data: CardData) => void) => ({ card })
    const torch = cardModel(
      embl,
      'torch',
      change((card) => {
        card.weights = { torchscript: { source: 'weights.pt', pytorch_version: '2.0' } }
      }),
    )
    const other = why(await hold(parts, torch))
    assert.deepEqual(
      [other?.code, other?.got, other?.limit],
      ['MODEL_UNSUPPORTED', 'torchscript', 'onnx'],
    )
    const absent = cardModel(
      embl,
      'absent',
      change((card) => {
        card.weights.onnx.source = 'elsewhere.onnx'
      }),
    )
    assert.equal(why(await hold(parts, absent))?.code, 'MODEL_UNSUPPORTED')
    const step = await hold(parts, cardModel(embl, 'step'))
    const odd = {
      ...step,
      description: {
        ...step.description,
        outputs: step.description.outputs.map((output) => ({
          ...output,
          operations: [{ op: 'unsupported' as const, name: 'stardist', parameters: {} }],
        })),
      },
    } as ModelRow
    assert.deepEqual([why(odd)?.code, why(odd)?.field], ['MODEL_UNSUPPORTED', 'stardist'])
    assert.throws(
      () => runnableOf(parts.registry, odd),
      (error: ZoariumError) => error.data.field === 'stardist',
    )
  })

  it('gives the engine bare names', () => {
    assert.equal(bareName('a/b/weights.onnx'), 'weights.onnx')
    assert.equal(bareName('weights.onnx'), 'weights.onnx')
  })
})

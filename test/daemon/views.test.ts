import assert from 'node:assert/strict'
import { expectOk } from '../../protocol/errors.ts'
import { cardModel, type DaemonParts, daemonParts, hold } from '../helpers/daemon-parts.ts'
import type { CardData } from '../helpers/package.ts'
import { TestPublisher } from '../helpers/publisher.ts'
import { introduce } from '../helpers/test-registry.ts'

describe('daemon/views', () => {
  let parts: DaemonParts
  let embl: TestPublisher
  beforeEach(async () => {
    parts = await daemonParts()
    embl = new TestPublisher('embl')
    introduce(parts.registry, embl, 'run')
  })
  const label = (publisher: TestPublisher, name: string) =>
    expectOk(parts.registry.admitRecord(publisher.profile(name, name.toUpperCase()).envelope, null))

  it('shows what is known of a publisher, and its rights', () => {
    const id = embl.publisher
    const unknown = {
      id,
      label: null,
      displayName: null,
      petname: null,
      handle: null,
      handleVerified: false,
      handleProblem: null,
      right: 'run',
      send: false,
    }
    assert.deepEqual(parts.views.publisher(id), unknown)
    label(embl, 'embl')
    parts.registry.setTrust({ publisher: id, right: 'list', send: true, petname: 'heidelberg' })
    assert.deepEqual(parts.views.publisher(id), {
      id,
      label: 'embl',
      displayName: 'EMBL',
      petname: 'heidelberg',
      handle: null,
      handleVerified: false,
      handleProblem: null,
      right: 'list',
      send: true,
    })
    const own = parts.views.publisher(parts.own.publisher)
    assert.deepEqual([own.right, own.send], ['run', true])
  })

  it('refers by petname, else by label, else by id, so that it is found again', async () => {
    const model = await hold(parts, cardModel(embl, 'nuclei'))
    const isFound = () => {
      const ref = parts.views.ref(model)
      assert.equal(expectOk(parts.registry.resolve(ref)).record, model.record, ref)
      return ref
    }
    assert.equal(isFound(), `${embl.publisher}/nuclei@1.0.0`)
    label(embl, 'embl')
    assert.equal(isFound(), 'embl/nuclei@1.0.0')
    const other = new TestPublisher('other')
    introduce(parts.registry, other)
    label(other, 'embl')
    assert.equal(isFound(), `${embl.publisher}/nuclei@1.0.0`)
    parts.registry.setTrust({ publisher: embl.publisher, right: 'run', petname: 'heidelberg' })
    assert.equal(isFound(), 'heidelberg/nuclei@1.0.0')
    // A petname goes before a label: the label alone would name the other one.
    parts.registry.setTrust({ publisher: embl.publisher, right: 'run', petname: null })
    parts.registry.setTrust({ publisher: other.publisher, right: 'list', petname: 'embl' })
    assert.equal(isFound(), `${embl.publisher}/nuclei@1.0.0`)
  })

  it('sums a model up', async () => {
    const made = cardModel(embl, 'nuclei', {
      card: (card: CardData) => {
        card.description = 'Finds nuclei.'
        card.tags = ['nuclei', '2d']
        card.weights.torchscript = { source: 'weights.pt', pytorch_version: '2.0' }
        card.inputs[0].axes[1].channel_names = ['a', 'b', 'c']
      },
    })
    const model = await hold(parts, made)
    label(embl, 'embl')
    assert.deepEqual(parts.views.summary(model), {
      ref: 'embl/nuclei@1.0.0',
      record: model.record,
      root: model.root,
      publisher: parts.views.publisher(embl.publisher),
      name: 'nuclei',
      version: '1.0.0',
      title: 'Model nuclei',
      description: 'Finds nuclei.',
      license: 'MIT',
      tags: ['nuclei', '2d'],
      published: new Date(made.signed.record.ts).toISOString(),
      // The record has no file for the other ones that the card names.
      weights: ['onnx'],
      inputs: ['batch,channel:3,y,x'],
      tested: 'untested',
      withdrawn: null,
      audience: null,
      held: true,
      replicas: 1,
      floor: 2,
      runnable: { here: true, reason: null },
    })
  })

  it('says why a model does not run here', async () => {
    const model = await hold(parts, cardModel(embl, 'nuclei'), false)
    const reason = () => {
      const { runnable, held, withdrawn } = parts.views.summary(
        expectOk(parts.registry.resolve(model.record)),
      )
      assert.equal(runnable.here, false)
      return [held, withdrawn, runnable.reason]
    }
    assert.deepEqual(reason(), [false, null, 'the files of the model are not on this node'])
    expectOk(parts.registry.admitRecord(embl.withdraw(model.record, 'recall').envelope, null))
    assert.deepEqual(reason(), [false, 'recall', 'the publisher took the model back'])
  })

  it('shows how a model was taken back, and that others have the same files', async () => {
    const made = cardModel(embl, 'nuclei')
    const model = await hold(parts, made)
    const other = new TestPublisher('other')
    introduce(parts.registry, other)
    assert(made.signed.record.kind === 'model')
    const copy = other.record({ kind: 'model', body: { ...made.signed.record.body, name: 'copy' } })
    expectOk(parts.registry.admitRecord(copy.envelope, made.card))
    const recall = other.withdraw(copy.id, 'recall')
    expectOk(parts.registry.admitRecord(recall.envelope, null))
    const view = parts.views.model(model)
    assert.deepEqual(view.withdrawals, [])
    // A withdrawal is of one record; the other one still runs, and says so.
    assert.deepEqual(
      view.sameFiles.map(({ record: id, withdrawn }) => [id, withdrawn]),
      [[copy.id, 'recall']],
    )
    assert.equal(view.runnable.here, true)
    const recalled = parts.views.model(expectOk(parts.registry.resolve(copy.id)))
    assert.deepEqual(recalled.withdrawals, [
      {
        record: recall.id,
        verb: 'recall',
        reason: 'wrong-output',
        note: '',
        published: new Date(recall.record.ts).toISOString(),
        restored: false,
      },
    ])
  })

  it('shows a model whose card it cannot read', async () => {
    const model = await hold(parts, embl.model({ name: 'odd' }))
    const view = parts.views.model(model)
    assert.deepEqual([view.title, view.inputs, view.weights, view.held], ['odd', [], [], true])
    assert.match(view.runnable.reason ?? '', /^the card cannot be read here: /)
  })

  it('shows all of a model: its position, files, versions and card', async () => {
    const first = await hold(parts, cardModel(embl, 'nuclei'))
    const made = embl.model({ name: 'nuclei', version: '2.0.0', aliases: ['10.5281/zenodo.7'] })
    const second = await hold(parts, made, false)
    await parts.registry.blobs.put(
      (async function* () {
        yield made.card
      })(),
      1e6,
    )
    const view = parts.views.model(second)
    assert.deepEqual([view.key, view.position], [embl.key(), { epoch: 0, seq: 1 }])
    assert.deepEqual(
      view.files.map(({ path, held }) => [path, held]),
      [
        ['rdf.yaml', true],
        ['weights.onnx', false],
      ],
    )
    assert.equal(
      view.bytes,
      second.files.reduce((sum, { size }) => sum + size, 0),
    )
    assert.deepEqual(view.aliases, ['10.5281/zenodo.7'])
    assert.deepEqual(view.versions, [
      { version: '2.0.0', record: second.record },
      { version: '1.0.0', record: first.record },
    ])
    assert.deepEqual(view.card, second.description)
  })
})

import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import fc from 'fast-check'
import { stringify } from 'yaml'
import { type Card, readCard } from '../../protocol/card.ts'
import { fixturePath, needsFixtures } from '../helpers/fixtures.ts'
import { type CardData, replacedIn } from '../helpers/package.ts'

const HASH = 'cd'.repeat(32)

const example = (): CardData => ({
  format_version: '0.4.10',
  type: 'model',
  name: 'Old model',
  description: 'An old model for tests.',
  authors: [{ name: 'Ada Example' }],
  cite: [{ text: 'Example et al.', doi: '' }],
  license: 'MIT',
  documentation: 'README.md',
  timestamp: '2020-01-01T00:00:00',
  attachments: { files: ['notes.txt'] },
  config: { bioimageio: { nickname: 'old-ant' } },
  inputs: [
    {
      name: 'Raw image',
      axes: 'bcyx',
      data_type: 'uint8',
      data_range: [0, 255],
      shape: { min: [1, 3, 64, 64], step: [0, 0, 16, 16] },
      preprocessing: [
        { name: 'zero_mean_unit_variance', kwargs: { mode: 'per_sample', axes: 'yx' } },
      ],
    },
  ],
  outputs: [
    {
      name: 'result',
      axes: 'bcyx',
      data_type: 'float32',
      shape: { reference_tensor: 'Raw image', scale: [1, 2, 0.5, 1], offset: [0, 0, -4, 0] },
      halo: [0, 0, 8, 8],
      postprocessing: [{ name: 'sigmoid' }],
    },
  ],
  test_inputs: ['in.npy'],
  test_outputs: ['out.npy'],
  weights: {
    pytorch_state_dict: {
      source: 'weights.pt',
      sha256: HASH,
      architecture: 'net.py:Net',
      architecture_sha256: HASH,
      dependencies: 'conda:environment.yaml',
    },
    onnx: { source: './weights.onnx', sha256: HASH.toUpperCase() },
  },
})

function readChanged(change: (card: CardData) => void): ReturnType<typeof readCard> {
  const card = example()
  change(card)
  return readCard(new TextEncoder().encode(stringify(card)))
}

function accepted(change: (card: CardData) => void): Card {
  const result = readChanged(change)
  assert.ok(result.ok, JSON.stringify(result))
  return result.value
}

const refusedFields = (change: (card: CardData) => void): (string | undefined)[] => {
  const result = readChanged(change)
  return result.ok ? [] : (result.issues ?? []).map((issue) => issue.field)
}

describe('protocol/card-v0-4', () => {
  it('reads a card into the normal form', () => {
    const { description } = accepted(() => {})
    assert.equal(description.id, 'old-ant')
    const [input] = description.inputs
    assert.equal(input?.id, 'Raw image')
    assert.deepEqual(
      input?.axes.map(({ id, size }) => [id, size]),
      [
        ['batch', { kind: 'fixed', size: 1 }],
        ['channel', { kind: 'fixed', size: 3 }],
        ['y', { kind: 'stepped', min: 64, step: 16 }],
        ['x', { kind: 'stepped', min: 64, step: 16 }],
      ],
    )
    assert.deepEqual(input?.operations, [
      { op: 'ensure_dtype', dtype: 'uint8' },
      { op: 'zero_mean_unit_variance', axes: ['y', 'x'], eps: 1e-6 },
      { op: 'ensure_dtype', dtype: 'float32' },
    ])
    const [output] = description.outputs
    assert.deepEqual(
      output?.axes.map(({ id, size, scale, halo }) => [id, size, scale, halo]),
      [
        ['batch', { kind: 'fixed', size: 1 }, 1, 0],
        ['channel', { kind: 'fixed', size: 6 }, 1, 0],
        ['y', { kind: 'reference', tensor: 'Raw image', axis: 'y', offset: -8 }, 2, 8],
        ['x', { kind: 'reference', tensor: 'Raw image', axis: 'x', offset: 0 }, 1, 8],
      ],
    )
    assert.deepEqual(
      output?.operations.map(({ op }) => op),
      ['ensure_dtype', 'sigmoid'],
    )
    assert.equal(description.tolerances[0]?.mismatchedPerMillion, 0)
  })

  it('keeps files and hashes that a conversion would lose', () => {
    const { description } = accepted(() => {})
    assert.deepEqual(
      description.files.map(({ role, source, weights, sha256 }) => [role, source, weights, sha256]),
      [
        ['documentation', 'README.md', null, null],
        ['attachment', 'notes.txt', null, null],
        ['weights', 'weights.onnx', 'onnx', HASH],
        ['weights', 'weights.pt', 'pytorch_state_dict', HASH],
        ['environment', 'environment.yaml', 'pytorch_state_dict', null],
        ['architecture', 'net.py', 'pytorch_state_dict', HASH],
        ['test-input', 'in.npy', null, null],
        ['test-output', 'out.npy', null, null],
      ],
    )
  })

  it('reads new axes and halos of fixed sizes', () => {
    const { description } = accepted((card) => {
      card.outputs[0].axes = 'bczyx'
      card.outputs[0].shape = {
        reference_tensor: 'Raw image',
        scale: [1, 0, null, 1, 1],
        offset: [0, 16.5, 0.5, 0, 0],
      }
      card.outputs[0].halo = [0, 0, 0, 4, 4]
    })
    assert.deepEqual(
      description.outputs[0]?.axes.slice(1, 3).map(({ size }) => size),
      [
        { kind: 'fixed', size: 33 },
        { kind: 'fixed', size: 1 },
      ],
    )
  })

  it('gives operations the names of 0.5', () => {
    const steps = [
      { name: 'scale_linear', kwargs: { axes: 'yx', gain: [1, 2, 3], offset: 1 } },
      { name: 'scale_linear', kwargs: { gain: 2 } },
      {
        name: 'zero_mean_unit_variance',
        kwargs: { mode: 'fixed', axes: 'yx', mean: [1, 2, 3], std: [1, 1, 1] },
      },
      { name: 'zero_mean_unit_variance', kwargs: { mode: 'per_dataset', axes: 'cyx', eps: 1e-10 } },
      { name: 'scale_range', kwargs: { mode: 'per_sample', axes: 'yx', max_percentile: 99.8 } },
      { name: 'clip', kwargs: { min: 0, max: 1 } },
      { name: 'binarize', kwargs: { threshold: 0.5 } },
    ]
    const { description } = accepted((card) => {
      card.inputs[0].preprocessing = steps
    })
    assert.deepEqual(description.inputs[0]?.operations.slice(1, -1), [
      { op: 'scale_linear', gain: [1, 2, 3], offset: [1, 1, 1], axis: 'channel' },
      { op: 'scale_linear', gain: [2], offset: [0], axis: null },
      { op: 'fixed_zero_mean_unit_variance', mean: [1, 2, 3], std: [1, 1, 1], axis: 'channel' },
      { op: 'zero_mean_unit_variance', axes: ['batch', 'channel', 'y', 'x'], eps: 1e-10 },
      {
        op: 'scale_range',
        axes: ['y', 'x'],
        minPercentile: 0,
        maxPercentile: 99.8,
        eps: 1e-6,
        referenceTensor: null,
      },
      { op: 'clip', min: 0, max: 1, minPercentile: null, maxPercentile: null, axes: null },
      { op: 'binarize', thresholds: [0.5], axis: null },
    ])
  })

  it('refuses contradictions, with their field', () => {
    const cases: Record<string, (card: CardData) => void> = {
      'outputs[0].name': (card) => {
        card.outputs[0].name = 'Raw image'
      },
      'inputs[0].axes': (card) => {
        card.inputs[0].axes = 'bcyy'
      },
      'inputs[0].shape.step': (card) => {
        card.inputs[0].shape.step = [0, 0, 16]
      },
      'outputs[0].shape.reference_tensor': (card) => {
        card.outputs[0].shape.reference_tensor = 'x'
      },
      'outputs[0].shape': (card) => {
        card.outputs[0].shape.offset = [1, 0, 0, 0]
      },
      'outputs[0].halo': (card) => {
        card.outputs[0].halo = [0, 0, 1]
      },
      test_outputs: (card) => {
        card.test_outputs = []
      },
      'inputs[0].preprocessing[0].kwargs': (card) => {
        card.inputs[0].preprocessing = [{ name: 'scale_linear', kwargs: { gain: [1, 2] } }]
      },
    }
    for (const [field, change] of Object.entries(cases)) {
      assert.ok(refusedFields(change).includes(field), `${field}: ${refusedFields(change)}`)
    }
  })

  it('passes over fields that the format does not have', () => {
    const { warnings } = accepted((card) => {
      card.colour = 'red'
    })
    assert.deepEqual(
      warnings.map((warning) => warning.field),
      ['colour', 'cite[0]'],
    )
  })

  it('never throws on a card with a value of another kind anywhere', () => {
    fc.assert(
      fc.property(replacedIn(example()), (card) => {
        const result = readCard(new TextEncoder().encode(JSON.stringify(card)))
        if (!result.ok) assert.ok(result.message.length > 0)
      }),
      { numRuns: 500 },
    )
  })

  describe('published cards', () => {
    needsFixtures()
    const examples = (name: string) => fixturePath('bioimageio/examples/models', name)

    it('of the zoo of 2026 are read without an error', () => {
      const folder = fixturePath('bioimageio/zoo-2026')
      const refused = readdirSync(folder)
        .filter((name) => name.endsWith('.rdf.json'))
        .map((name) => [name, readCard(readFileSync(`${folder}/${name}`))] as const)
        .filter(([, result]) => !result.ok)
      assert.deepEqual(refused, [])
    })

    it('of the zoo of 2024 are read, but those of format 0.3', () => {
      const folder = fixturePath('bioimageio/zoo-2024')
      const codes = new Set<string>()
      for (const name of readdirSync(folder)) {
        const result = readCard(readFileSync(`${folder}/${name}`))
        if (!result.ok) codes.add(result.code)
      }
      assert.deepEqual([...codes], ['FORMAT_VERSION'])
    })

    it('are refused where two tensors have one name', () => {
      const name = 'unet2d_nuclei_broad/invalid_v0_4_0_duplicate_tensor_names.bioimageio.yaml'
      const result = readCard(readFileSync(examples(name)))
      assert.ok(!result.ok)
      assert.deepEqual([result.code, result.field], ['CARD_INVALID', 'outputs[0].name'])
    })

    it('are refused where the batch grows, or where YAML anchors are used', () => {
      const wrong = readCard(
        readFileSync(examples('stardist_example_model/rdf_wrong_shape_v0_4.yaml')),
      )
      assert.ok(!wrong.ok && wrong.field === 'outputs[0].shape')
      const anchors = readCard(readFileSync(examples('unet2d_fixed_shape/v0_4.bioimageio.yaml')))
      assert.ok(!anchors.ok && anchors.code === 'YAML_ALIAS')
    })

    it('say the same in 0.4 and 0.5', () => {
      const read = (name: string) => {
        const result = readCard(readFileSync(examples(`unet2d_nuclei_broad/${name}`)))
        assert.ok(result.ok)
        return result.value.description
      }
      const [old, own] = [read('v0_4_9.bioimageio.yaml'), read('bioimageio.yaml')]
      const outline = ({ inputs, outputs }: typeof old) =>
        [...inputs, ...outputs].map(({ id, axes }) => [
          id,
          axes.map((axis) => [axis.id, axis.halo]),
        ])
      assert.deepEqual(outline(old), outline(own))
    })
  })
})

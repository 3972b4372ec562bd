import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import fc from 'fast-check'
import { stringify } from 'yaml'
import { type Card, readCard } from '../../protocol/card.ts'
import type { Issue } from '../../protocol/errors.ts'
import { MAX_CARD_BYTES } from '../../protocol/limits.ts'
import { fixturePath, needsFixtures } from '../helpers/fixtures.ts'
import { type CardData, exampleCard, replacedIn } from '../helpers/package.ts'

const HASH = 'ab'.repeat(32)
const example = (): CardData => exampleCard({ onnx: HASH, input: HASH, output: HASH })
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

/** The example card after a change. */
function changed(change: (card: CardData) => void): Uint8Array {
  const card = example()
  change(card)
  return bytes(stringify(card))
}

function read(card: Uint8Array): Card {
  const result = readCard(card)
  assert.ok(result.ok, JSON.stringify(result))
  return result.value
}

/** Every finding as `CODE field`. */
function findings(card: Uint8Array): string[] {
  const result = readCard(card)
  if (result.ok) return []
  const issues: readonly Pick<Issue, 'code' | 'field'>[] = result.issues ?? [result]
  return issues.map(({ code, field }) => (field === undefined ? code : `${code} ${field}`))
}

const refusals = (change: (card: CardData) => void): string[] => findings(changed(change))

describe('protocol/card', () => {
  it('reads a minimal card into the normal form', () => {
    const { description, warnings } = read(changed(() => {}))
    assert.deepEqual(warnings, [])
    assert.equal(description.name, 'Example model')
    assert.equal(description.version, '1.0.0')
    const [input] = description.inputs
    assert.deepEqual(
      input?.axes.map((axis) => [axis.type, axis.id, axis.size]),
      [
        ['batch', 'batch', { kind: 'stepped', min: 1, step: 1 }],
        ['channel', 'channel', { kind: 'fixed', size: 1 }],
        ['space', 'y', { kind: 'stepped', min: 8, step: 8 }],
        ['space', 'x', { kind: 'stepped', min: 8, step: 8 }],
      ],
    )
    assert.equal(input?.dtype, 'float32')
    assert.deepEqual(description.outputs[0]?.axes[3]?.size, {
      kind: 'reference',
      tensor: 'raw',
      axis: 'x',
      offset: 0,
    })
    assert.deepEqual(
      description.files.map((file) => [file.role, file.source, file.field]),
      [
        ['documentation', 'README.md', 'documentation'],
        ['test-input', 'test_input.npy', 'inputs[0].test_tensor.source'],
        ['test-output', 'test_output.npy', 'outputs[0].test_tensor.source'],
        ['weights', 'weights.onnx', 'weights.onnx.source'],
      ],
    )
  })

  it('names the line of every file', () => {
    const text = stringify(example())
    const line = text.split('\n').findIndex((each) => each.includes('weights.onnx')) + 1
    const { description } = read(bytes(text))
    assert.equal(description.files.at(-1)?.line, line)
  })

  it('reads JSON, as every YAML reader does', () => {
    assert.deepEqual(read(bytes(JSON.stringify(example()))).description.name, 'Example model')
  })

  it('completes operations as the reference library does', () => {
    const { description } = read(
      changed((card) => {
        card.inputs[0].data = { type: 'uint8' }
        card.inputs[0].preprocessing = [
          { id: 'zero_mean_unit_variance', kwargs: { axes: ['c', 'y', 'x'] } },
        ]
        card.outputs[0].postprocessing = [
          { id: 'sigmoid' },
          { id: 'binarize', kwargs: { threshold: 0.5 } },
        ]
      }),
    )
    assert.deepEqual(description.inputs[0]?.operations, [
      { op: 'ensure_dtype', dtype: 'uint8' },
      { op: 'zero_mean_unit_variance', axes: ['channel', 'y', 'x'], eps: 1e-6 },
      { op: 'ensure_dtype', dtype: 'uint8' },
    ])
    assert.deepEqual(description.outputs[0]?.operations, [
      { op: 'sigmoid' },
      { op: 'binarize', thresholds: [0.5], axis: null },
    ])
  })

  it('reads all standard operations', () => {
    const steps = [
      { id: 'ensure_dtype', kwargs: { dtype: 'float64' } },
      { id: 'clip', kwargs: { min_percentile: 1, max: 10, axes: ['y', 'x'] } },
      { id: 'scale_linear', kwargs: { axis: 'channel', gain: [2], offset: 1 } },
      { id: 'scale_linear', kwargs: { gain: 2 } },
      { id: 'fixed_zero_mean_unit_variance', kwargs: { mean: 1, std: 2 } },
      { id: 'fixed_zero_mean_unit_variance', kwargs: { mean: [1], std: [2], axis: 'c' } },
      { id: 'scale_range', kwargs: { min_percentile: 1, max_percentile: 99.8, eps: 1e-3 } },
      { id: 'scale_mean_variance', kwargs: { reference_tensor: 'raw' } },
      { id: 'softmax' },
      { id: 'stardist_postprocessing', kwargs: { grid: [1, 1] } },
    ]
    const { description, warnings } = read(
      changed((card) => {
        card.outputs[0].postprocessing = steps
      }),
    )
    assert.deepEqual(description.outputs[0]?.operations, [
      { op: 'ensure_dtype', dtype: 'float64' },
      { op: 'clip', min: null, max: 10, minPercentile: 1, maxPercentile: null, axes: ['y', 'x'] },
      { op: 'scale_linear', gain: [2], offset: [1], axis: 'channel' },
      { op: 'scale_linear', gain: [2], offset: [0], axis: null },
      { op: 'fixed_zero_mean_unit_variance', mean: [1], std: [2], axis: null },
      { op: 'fixed_zero_mean_unit_variance', mean: [1], std: [2], axis: 'channel' },
      {
        op: 'scale_range',
        axes: null,
        minPercentile: 1,
        maxPercentile: 99.8,
        eps: 1e-3,
        referenceTensor: null,
      },
      { op: 'scale_mean_variance', referenceTensor: 'raw', axes: null, eps: 1e-6 },
      { op: 'softmax', axis: 'channel' },
      { op: 'unsupported', name: 'stardist_postprocessing' },
      { op: 'ensure_dtype', dtype: 'float32' },
    ])
    assert.deepEqual(
      warnings.map((warning) => warning.code),
      ['MODEL_UNSUPPORTED'],
    )
  })

  it('refuses arguments of operations outside their bounds', () => {
    const wrong = (id: string, kwargs: unknown) =>
      refusals((card) => {
        card.inputs[0].preprocessing = [{ id, kwargs }]
      })
    const at = (name: string) => [`CARD_INVALID inputs[0].preprocessing[0].kwargs.${name}`]
    const all = ['CARD_INVALID inputs[0].preprocessing[0].kwargs']
    assert.deepEqual(wrong('zero_mean_unit_variance', { eps: 0.1 }), [])
    assert.deepEqual(wrong('zero_mean_unit_variance', { eps: 0.11 }), at('eps'))
    assert.deepEqual(wrong('zero_mean_unit_variance', { eps: 0 }), at('eps'))
    assert.deepEqual(wrong('zero_mean_unit_variance', { axes: ['z'] }), at('axes[0]'))
    assert.deepEqual(wrong('zero_mean_unit_variance', { mode: 'fixed' }), at('mode'))
    assert.deepEqual(wrong('scale_range', { min_percentile: 100 }), at('min_percentile'))
    assert.deepEqual(wrong('scale_range', { max_percentile: 1 }), at('max_percentile'))
    assert.deepEqual(
      wrong('scale_range', { min_percentile: 50, max_percentile: 50 }),
      at('min_percentile'),
    )
    assert.deepEqual(wrong('scale_range', { reference_tensor: 'other' }), at('reference_tensor'))
    assert.deepEqual(wrong('clip', {}), all)
    assert.deepEqual(wrong('clip', { min: 2, max: 1 }), at('min'))
    assert.deepEqual(wrong('clip', { min: 1, min_percentile: 1 }), all)
    assert.deepEqual(wrong('binarize', {}), at('threshold'))
    assert.deepEqual(wrong('binarize', { threshold: [0.5] }), all)
    assert.deepEqual(wrong('binarize', { threshold: [0.5, 1], axis: 'channel' }), at('threshold'))
    assert.deepEqual(wrong('scale_linear', { gain: [1], axis: 'y' }), at('axis'))
    assert.deepEqual(wrong('fixed_zero_mean_unit_variance', { mean: 0, std: 0 }), at('std'))
    assert.deepEqual(wrong('ensure_dtype', { dtype: 'float16' }), at('dtype'))
    assert.deepEqual(wrong('softmax', { axis: 'z' }), at('axis'))
    assert.deepEqual(wrong('scale_mean_variance', { reference_tensor: 'raw' }), all)
  })

  it('repairs what old cards have and says so', () => {
    const card = changed((data) => {
      delete data.version
      data.version_number = 3
      data.cite[0].doi = 'https://doi.org/10.1234/example'
      data.weights.torchscript = null
    })
    const { description, warnings } = read(card)
    assert.equal(description.version, '3')
    assert.equal(description.cite[0]?.doi, '10.1234/example')
    assert.deepEqual(
      warnings.map((warning) => warning.field),
      ['version_number', 'cite[0].doi'],
    )
  })

  it('keeps a version as it was written', () => {
    const text = stringify(example()).replace('version: 1.0.0', 'version: 1.10')
    assert.equal(read(bytes(text)).description.version, '1.10')
  })

  it('gives tolerances in the order that they count', () => {
    const { description } = read(
      changed((card) => {
        card.config = {
          bioimageio: {
            reproducibility_tolerance: [{ absolute_tolerance: 0.05, weights_formats: ['onnx'] }],
            test_kwargs: { torchscript: { relative_tolerance: 0.01 } },
          },
        }
      }),
    )
    assert.deepEqual(description.tolerances, [
      {
        relative: 1e-3,
        absolute: 0.05,
        mismatchedPerMillion: 100,
        weightFormats: ['onnx'],
        outputIds: [],
      },
      {
        relative: 0.01,
        absolute: 1e-3,
        mismatchedPerMillion: 100,
        weightFormats: ['torchscript'],
        outputIds: [],
      },
      {
        relative: 1e-3,
        absolute: 1e-3,
        mismatchedPerMillion: 100,
        weightFormats: [],
        outputIds: [],
      },
    ])
  })

  it('lists every finding of a card, not only the first', () => {
    const found = refusals((card) => {
      card.name = 'abc'
      card.colour = 'red'
      card.inputs[0].id = 'Raw!'
      card.outputs[0].axes[2].size.axis_id = 'z'
      delete card.weights.onnx.opset_version
      card.weights.onnx.opset_version = 6
      card.weights.onnx.sha256 = 'abc'
      card.authors[0].orcid = '0000-0001-2345-6780'
    })
    assert.deepEqual(found.sort(), [
      'CARD_INVALID authors[0].orcid',
      'CARD_INVALID colour',
      'CARD_INVALID inputs[0].id',
      'CARD_INVALID name',
      'CARD_INVALID outputs[0].axes[2].size',
      'CARD_INVALID outputs[0].axes[3].size',
      'CARD_INVALID weights.onnx.opset_version',
      'CARD_INVALID weights.onnx.sha256',
    ])
  })

  it('refuses tensors and axes that contradict each other', () => {
    const cases: Record<string, (card: CardData) => void> = {
      'outputs[0].axes[2].halo': (card) => {
        card.outputs[0].axes[2].halo = 4
      },
      'outputs[0].axes[3].size': (card) => {
        card.outputs[0].axes[3].size.offset = -8
      },
      'outputs[0].axes[3].halo': (card) => {
        card.outputs[0].axes[3] = { type: 'space', id: 'x', size: 8, halo: 1 }
      },
      'inputs[0].axes[3]': (card) => {
        card.inputs[0].axes[3].id = 'y'
      },
      'inputs[0].axes[1].channel_names': (card) => void delete card.inputs[0].axes[1].channel_names,
      'inputs[0].axes[0].size': (card) => {
        card.inputs[0].axes[0].size = 2
      },
      'inputs[0].data': (card) => {
        card.inputs[0].data = [{ type: 'uint8' }, { type: 'float32' }]
      },
      'inputs[0].data.type': (card) => {
        card.inputs[0].data = { type: 'float16' }
      },
      weights: (card) => {
        card.weights = { onnx: null }
      },
      'weights.onnx.source': (card) => void delete card.weights.onnx.source,
      inputs: (card) => {
        card.inputs = []
      },
    }
    for (const [field, change] of Object.entries(cases)) {
      assert.ok(refusals(change).includes(`CARD_INVALID ${field}`), `${field}: ${refusals(change)}`)
    }
  })

  it('refuses two inputs of one id, and warns of an output named like an input', () => {
    assert.deepEqual(
      refusals((card) => void card.inputs.push(structuredClone(card.inputs[0]))),
      ['CARD_INVALID inputs[1].id'],
    )
    const { warnings } = read(
      changed((card) => {
        card.outputs[0].id = 'raw'
      }),
    )
    assert.deepEqual(
      warnings.map((warning) => warning.field),
      ['outputs[0].id'],
    )
  })

  it('reads a newer patch with a warning, and refuses other formats', () => {
    const newer = read(
      changed((card) => {
        card.format_version = '0.5.99'
        card.novelty = 1
      }),
    )
    assert.deepEqual(
      newer.warnings.map((w) => w.code),
      ['CARD_INVALID', 'FORMAT_VERSION'].toReversed(),
    )
    for (const version of ['0.3.6', '0.6.0', '1.0', 'x', 5]) {
      assert.deepEqual(
        refusals((card) => {
          card.format_version = version
        }),
        ['FORMAT_VERSION format_version'],
      )
    }
  })

  it('refuses what is no model card', () => {
    assert.deepEqual(findings(bytes('hello')), ['NOT_A_PACKAGE'])
    assert.deepEqual(findings(bytes('- a\n- b')), ['NOT_A_PACKAGE'])
    assert.deepEqual(findings(bytes('name: x')), ['NOT_A_PACKAGE type'])
    assert.deepEqual(findings(bytes('type: dataset\nformat_version: 0.3.0')), [
      'NOT_A_PACKAGE type',
    ])
    assert.deepEqual(findings(bytes('')), ['YAML'])
    assert.deepEqual(findings(new Uint8Array([0xc3, 0x28])), ['UTF8'])
  })

  describe('YAML', () => {
    it('refuses aliases, anchors, tags and duplicate keys, with their line', () => {
      const cases: [string, string, number][] = [
        ['a: 1\nb: &x 2\n', 'YAML_ALIAS', 2],
        ['a: *x\n', 'YAML_ALIAS', 1],
        ['a: 1\nb: !!python/object x\n', 'YAML', 2],
        ['a: 1\nb: 2\na: 3\n', 'YAML', 3],
        ['a: [1,\nb: 2\n', 'YAML', 2],
        ['a: 1\n---\nb: 2\n', 'YAML', 2],
      ]
      for (const [text, code, line] of cases) {
        const result = readCard(bytes(text))
        assert.ok(!result.ok)
        assert.deepEqual([result.code, result.issues?.[0]?.line], [code, line], text)
      }
    })

    it('takes text that only looks like an alias', () => {
      const { description } = read(
        changed((card) => {
          card.description = '*bold* & <b>'
        }),
      )
      assert.equal(description.description, '*bold* & <b>')
    })

    it('answers bombs at once', () => {
      const laughs = Array.from(
        { length: 9 },
        (_, i) => `a${i + 1}: &a${i + 1} [${`*a${i},`.repeat(9)}]`,
      )
      const bombs: [string, string][] = [
        [['a0: &a0 lol', ...laughs].join('\n'), 'YAML_ALIAS'],
        ['['.repeat(100_000), 'DEPTH'],
        ['- '.repeat(100_000), 'DEPTH'],
        ['{a: '.repeat(100_000), 'DEPTH'],
        [`[${'1,'.repeat(200_000)}]`, 'LIMIT'],
        [' '.repeat(MAX_CARD_BYTES + 1), 'LIMIT'],
      ]
      for (const [text, code] of bombs) {
        const result = readCard(bytes(text))
        assert.ok(!result.ok)
        assert.equal(result.issues?.[0]?.code ?? result.code, code)
      }
    })

    it('leaves prototypes alone', () => {
      assert.deepEqual(
        refusals(
          (card) =>
            void Object.defineProperty(card, '__proto__', { value: { a: 1 }, enumerable: true }),
        ),
        ['CARD_INVALID __proto__'],
      )
    })
  })

  describe('fuzz', () => {
    const text = stringify(example())
    const cut = fc.tuple(
      fc.nat(text.length),
      fc.nat(40),
      fc.string({ unit: 'binary', maxLength: 8 }),
    )

    it('never throws on a card with text cut out and put in', () => {
      fc.assert(
        fc.property(fc.array(cut, { minLength: 1, maxLength: 3 }), (cuts) => {
          let mutated = text
          for (const [at, length, insert] of cuts) {
            mutated = mutated.slice(0, at) + insert + mutated.slice(at + length)
          }
          readCard(bytes(mutated))
        }),
        { numRuns: 300 },
      )
    })

    it('never throws on a card with a value of another kind anywhere', () => {
      fc.assert(
        fc.property(replacedIn(example()), (card) => {
          const result = readCard(bytes(JSON.stringify(card)))
          if (!result.ok) assert.ok(result.message.length > 0)
        }),
        { numRuns: 500 },
      )
    })
  })

  describe('published cards', () => {
    needsFixtures()
    const folder = (...names: string[]) => fixturePath('bioimageio', ...names)

    /** Cards that are refused, with the reason. None at present. */
    const REFUSED: Readonly<Record<string, string>> = {}

    it('of format 0.5 are read without an error', () => {
      const refused: Record<string, string> = {}
      let count = 0
      for (const name of readdirSync(folder('zoo-2026')).filter((each) =>
        each.endsWith('.rdf.json'),
      )) {
        const card = readFileSync(folder('zoo-2026', name))
        if (!JSON.parse(card.toString()).format_version.startsWith('0.5.')) continue
        count += 1
        const result = readCard(card)
        if (!result.ok) refused[name] = result.message
      }
      assert.deepEqual(refused, REFUSED)
      assert.ok(count > 50)
    })

    it('of a real U-Net is read', () => {
      const card = readFileSync(folder('examples/models/unet2d_nuclei_broad/bioimageio.yaml'))
      const { description } = read(card)
      assert.deepEqual(
        description.weights.map((entry) => entry.format),
        ['onnx', 'torchscript', 'pytorch_state_dict'],
      )
      assert.equal(description.outputs[0]?.axes[2]?.halo, 32)
    })
  })
})

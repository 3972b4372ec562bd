import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import fc from 'fast-check'
import { checkOnnx, scanOnnx } from '../../protocol/onnx-model.ts'
import type { OnnxSummary } from '../../protocol/onnx-outline.ts'
import { fixturePath, needsFixtures } from '../helpers/fixtures.ts'
import { identityModel, makeGraph, makeOnnx, type OnnxParts } from '../helpers/onnx-model.ts'

const x = { name: 'x', shape: ['n'] }
const y = { name: 'y', shape: ['n'] }
const relu = { op: 'Relu', inputs: ['x'], outputs: ['y'] }

function scan(bytes: Uint8Array): OnnxSummary {
  const scanned = scanOnnx(bytes)
  assert.ok(scanned.ok, JSON.stringify(scanned))
  return scanned.value
}

/** `ok`, or the code of the first refusal. */
function verdictOn(bytes: Uint8Array, allowed: readonly string[] = []): string {
  const scanned = scanOnnx(bytes)
  if (!scanned.ok) return scanned.code
  const checked = checkOnnx(scanned.value, allowed)
  return checked.ok ? 'ok' : checked.code
}

const verdictOf = (parts: Partial<OnnxParts>, allowed: readonly string[] = []): string =>
  verdictOn(makeOnnx({ nodes: [relu], inputs: [x], outputs: [y], ...parts }), allowed)

describe('protocol/onnx-model', () => {
  it('tells what goes in and out', () => {
    const summary = scan(identityModel('Sigmoid', 3))
    assert.deepEqual(summary.inputs, [{ name: 'x', dtype: 'float32', shape: ['n', 3, 'h', 'w'] }])
    assert.deepEqual(summary.outputs, [{ name: 'y', dtype: 'float32', shape: ['n', 3, 'h', 'w'] }])
    assert.deepEqual(summary.opsets, { 'ai.onnx': 17 })
    assert.deepEqual(summary.ops, { Sigmoid: 1 })
    assert.deepEqual(summary.domains, ['ai.onnx'])
    assert.equal(summary.irVersion, 9)
    assert.equal(summary.nodes, 1)
  })

  it('does not count initialisers among the inputs', () => {
    const w = { name: 'w', shape: [2], data: new Uint8Array(8) }
    const summary = scan(
      makeOnnx({
        nodes: [relu],
        inputs: [x, { name: 'w', shape: [2] }],
        outputs: [y],
        constants: [w],
      }),
    )
    assert.deepEqual(
      summary.inputs.map((input) => input.name),
      ['x'],
    )
  })

  it('refuses every cut of a model', () => {
    const whole = identityModel()
    for (let end = 0; end < whole.length; end++) {
      const scanned = scanOnnx(whole.subarray(0, end))
      // A cut between two fields of the model may leave the graph whole; nothing else is accepted.
      if (scanned.ok) assert.deepEqual(scanned.value.inputs, scan(whole).inputs)
      else assert.equal(scanned.code, 'MODEL_PARSE')
    }
  })

  it('says what a file is that is no model', () => {
    const lfs = scanOnnx(
      new TextEncoder().encode('version https://git-lfs.github.com/spec/v1\noid sha256:00\n'),
    )
    assert.ok(!lfs.ok && lfs.message.includes('git-lfs') && lfs.hint?.includes('git lfs pull'))
    const page = scanOnnx(new TextEncoder().encode('<!DOCTYPE html><html></html>'))
    assert.ok(!page.ok && page.message.includes('web page'))
  })

  it('allows external data in named files of the same folder only', () => {
    const weights = (external: Record<string, string>) => ({
      constants: [{ name: 'w', shape: [4], external }],
    })
    assert.equal(verdictOf(weights({ location: 'w.bin' }), ['w.bin']), 'ok')
    for (const location of [
      'w.bin',
      '../w.bin',
      '/etc/passwd',
      './w.bin',
      '*/_ORT_MEM_ADDR_/*',
      '',
    ]) {
      assert.equal(verdictOf(weights({ location }), ['other.bin']), 'EXTERNAL_DATA', location)
    }
    assert.equal(verdictOf(weights({ location: '\ufeffw.bin' }), ['w.bin']), 'EXTERNAL_DATA')
    assert.equal(verdictOf(weights({ offset: '0' }), ['w.bin']), 'EXTERNAL_DATA')
  })

  it('finds external data in attributes, subgraphs and functions', () => {
    const inner = makeGraph({
      nodes: [],
      constants: [{ name: 'w', shape: [1], external: { location: '../a' } }],
    })
    const branch = { op: 'If', inputs: ['x'], outputs: ['y'], attributes: { then_branch: inner } }
    assert.equal(verdictOf({ nodes: [branch] }), 'EXTERNAL_DATA')
    const functions = [{ domain: 'local', name: 'F', nodes: [branch] }]
    assert.equal(verdictOf({ functions }), 'EXTERNAL_DATA')
  })

  it('refuses operators that no runtime brings', () => {
    assert.equal(verdictOf({ nodes: [{ ...relu, domain: 'com.evil' }] }), 'MODEL_UNSUPPORTED')
    assert.equal(verdictOf({ nodes: [{ ...relu, domain: 'com.microsoft' }] }), 'ok')
    assert.equal(
      verdictOf({ nodes: [{ ...relu, op: 'EPContext', domain: 'com.microsoft' }] }),
      'MODEL_UNSUPPORTED',
    )
  })

  it('refuses versions beyond the runtime, at the limit and one past it', () => {
    assert.equal(verdictOf({ opsets: { '': 26 } }), 'ok')
    assert.equal(verdictOf({ opsets: { '': 27 } }), 'MODEL_UNSUPPORTED')
    assert.equal(verdictOf({ opsets: { '': 17, 'ai.onnx.ml': 6 } }), 'MODEL_UNSUPPORTED')
    assert.equal(verdictOf({ irVersion: 13 }), 'ok')
    assert.equal(verdictOf({ irVersion: 14 }), 'MODEL_UNSUPPORTED')
  })

  it('accepts functions of the model itself, but none that grow without end', () => {
    const call = (name: string) => ({ op: name, domain: 'local', inputs: ['x'], outputs: ['y'] })
    const twice = (name: string, inner: string) => ({
      domain: 'local',
      name,
      nodes: [call(inner), call(inner)],
    })
    const chain = (n: number) => [
      { domain: 'local', name: 'F0', nodes: [relu] },
      ...Array.from({ length: n }, (_, i) => twice(`F${i + 1}`, `F${i}`)),
    ]
    assert.equal(verdictOf({ nodes: [call('F3')], functions: chain(3) }), 'ok')
    assert.equal(verdictOf({ nodes: [call('F60')], functions: chain(60) }), 'LIMIT')
    assert.equal(verdictOf({ nodes: [call('F')], functions: [twice('F', 'F')] }), 'LIMIT')
    assert.equal(verdictOf({ nodes: [call('G')], functions: chain(1) }), 'MODEL_UNSUPPORTED')
  })

  it('bounds nodes and nesting at the limit and one past it', () => {
    const nodes = (n: number) => Array.from({ length: n }, () => relu)
    assert.equal(verdictOf({ nodes: nodes(50_000) }), 'ok')
    assert.equal(verdictOf({ nodes: nodes(50_001) }), 'LIMIT')
    const nest = (depth: number): OnnxParts['nodes'] =>
      depth === 0
        ? [relu]
        : [
            {
              op: 'If',
              inputs: ['x'],
              outputs: ['y'],
              attributes: { b: makeGraph({ nodes: nest(depth - 1) }) },
            },
          ]
    assert.equal(verdictOf({ nodes: nest(16) }), 'ok')
    assert.equal(verdictOf({ nodes: nest(17) }), 'LIMIT')
  })

  it('refuses tensors whose bytes do not fit their shape', () => {
    const constant = (shape: number[], bytes: number) => ({
      constants: [{ name: 'w', shape, data: new Uint8Array(bytes) }],
    })
    assert.equal(verdictOf(constant([2, 3], 24)), 'ok')
    assert.equal(verdictOf(constant([1000], 8)), 'MODEL_PARSE')
    assert.equal(verdictOf(constant([2 ** 40, 2 ** 40], 8)), 'MODEL_PARSE')
    assert.equal(verdictOf(constant([-1], 4)), 'MODEL_PARSE')
  })

  it('never throws on mutated or random bytes, and answers at once', () => {
    const real = makeOnnx({
      nodes: [relu, { op: 'F', domain: 'local', inputs: ['x'], outputs: ['y'] }],
      inputs: [x],
      outputs: [y],
      constants: [{ name: 'w', shape: [2], data: new Uint8Array(8) }],
      functions: [{ domain: 'local', name: 'F', nodes: [relu] }],
    })
    const mutated = fc
      .array(fc.tuple(fc.nat(real.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 })
      .map((changes) => {
        const copy = real.slice()
        for (const [at, byte] of changes) copy[at] = byte
        return copy
      })
    const bytes = fc.oneof(fc.uint8Array({ maxLength: 200 }), mutated)
    fc.assert(
      fc.property(bytes, (input) => void verdictOn(input)),
      { numRuns: 2000 },
    )
  })

  describe('hostile models', () => {
    needsFixtures()

    /** What the scan says. `ok`: a legal model, whose harm only shows when it is loaded or run. */
    const expected: Readonly<Record<string, string>> = {
      'ok.onnx': 'ok',
      // Reads beyond a tensor; the runtime's own check refuses it when it runs.
      'gather.onnx': 'ok',
      'nan.onnx': 'ok',
      // Ask for 2 and 12 GB when they run: the memory limit of the child process.
      'alloc_2GB.onnx': 'ok',
      'bomb_tile_12GB.onnx': 'ok',
      'bomb_shape_overflow.onnx': 'MODEL_MEMORY',
      'custom_op.onnx': 'MODEL_UNSUPPORTED',
      'opset_9999.onnx': 'MODEL_UNSUPPORTED',
      'empty.onnx': 'MODEL_PARSE',
      'html.onnx': 'MODEL_PARSE',
      'lfs.onnx': 'MODEL_PARSE',
      'ortm.onnx': 'MODEL_PARSE',
      'raw_mismatch.onnx': 'MODEL_PARSE',
      'trunc.onnx': 'MODEL_PARSE',
      'ext_abs.onnx': 'EXTERNAL_DATA',
      'ext_dotdot.onnx': 'EXTERNAL_DATA',
      'ext_etc.onnx': 'EXTERNAL_DATA',
      'ext_hardlink.onnx': 'EXTERNAL_DATA',
      'ext_huge_len.onnx': 'EXTERNAL_DATA',
      'ext_memaddr.onnx': 'EXTERNAL_DATA',
      'steal_cwd_key.onnx': 'EXTERNAL_DATA',
      'steal_proc.onnx': 'EXTERNAL_DATA',
    }

    it('are judged one by one', () => {
      const folder = fixturePath('hostile-onnx')
      const found = readdirSync(folder).map((name) => [
        name,
        verdictOn(readFileSync(path.join(folder, name))),
      ])
      assert.deepEqual(
        Object.fromEntries(found),
        Object.fromEntries(Object.entries(expected).sort()),
      )
    })

    it('real networks pass', () => {
      const folder = fixturePath('bioimageio/examples/models/unet2d_nuclei_broad')
      for (const name of ['weights.onnx', 'derived_dynamic_hw.onnx']) {
        assert.equal(verdictOn(readFileSync(path.join(folder, name))), 'ok', name)
      }
    })
  })
})

/** Cards: text near valid YAML of both formats. */
import { stringify } from 'yaml'
import { readCard } from '../../../protocol/card.ts'
import { exampleCard } from '../../helpers/package.ts'
import { mutateBytes } from '../byte-mutants.ts'
import { Breach, settle, type Target } from '../fuzzer.ts'
import type { Random } from '../random.ts'
import { mutateText } from '../text-mutants.ts'

const hash = 'ab'.repeat(32)
const example = exampleCard({ onnx: hash, input: hash, output: hash })
const OLD = `format_version: 0.4.10
type: model
name: Old model
description: A model of the older format.
authors: [{name: Ada Example}]
cite: [{text: Example et al., doi: 10.1234/example}]
license: MIT
tags: [example]
documentation: README.md
timestamp: '2024-01-01T00:00:00'
test_inputs: [test_input.npy]
test_outputs: [test_output.npy]
inputs:
  - name: raw
    axes: bcyx
    data_type: float32
    shape: {min: [1, 1, 8, 8], step: [0, 0, 8, 8]}
    preprocessing:
      - name: zero_mean_unit_variance
        kwargs: {mode: per_sample, axes: yx}
outputs:
  - name: result
    axes: bcyx
    data_type: float32
    shape: {reference_tensor: raw, scale: [1, 1, 1, 1], offset: [0, 0, 0, 0]}
    halo: [0, 0, 4, 4]
weights:
  onnx: {source: weights.onnx, sha256: ${hash}, opset_version: 17}
`
const SAMPLES = [stringify(example), JSON.stringify(example), OLD]
const TRICKS = [
  'a: &a [1]\nb: *a\n',
  '<<: {a: 1}\n',
  '? {a: 1}\n: 2\n',
  '!!js/function x\n',
  '%YAML 1.1\n---\n',
  '---\na: 1\n---\nb: 2\n',
  '- '.repeat(40),
  '{'.repeat(40),
  '\t',
  '"\\ud800"',
  '0o17',
  '.nan',
  '1e999',
  '__proto__: {x: 1}\n',
]

function bend(text: string, random: Random): string {
  const lines = text.split('\n')
  const at = random.below(lines.length)
  switch (random.below(5)) {
    case 0:
      lines.splice(at, 1)
      break
    case 1:
      lines.splice(at, 0, lines[random.below(lines.length)] ?? '')
      break
    case 2:
      lines.splice(at, 0, random.pick(TRICKS))
      break
    case 3:
      lines[at] = `${random.once(2) ? '  ' : ''}${mutateText(lines[at] ?? '', random)}`
      break
    default:
      // Another value behind the same key.
      lines[at] = (lines[at] ?? '').replace(/: .*$/, `: ${random.pick(TRICKS).split('\n')[0]}`)
  }
  return lines.join('\n')
}

export const cardTarget: Target = {
  name: 'card',
  share: 25,
  mutant: (random) => {
    let text = random.pick(SAMPLES)
    for (let n = random.below(3); n >= 0; n--) text = bend(text, random)
    const bytes = new Uint8Array(Buffer.from(text))
    return {
      raw: random.once(4) ? mutateBytes(bytes, random) : bytes,
      finish: (raw) => raw,
      isSigned: false,
    }
  },
  judge(input) {
    const verdict = readCard(input)
    if (verdict.ok) {
      const text = Buffer.from(input).toString('utf8')
      // What a card means must not hang on anchors, tags or the prototype of objects.
      if (/^[^"'#]*(: |- )[&*!]\w/m.test(text))
        throw new Breach('accepted with an anchor, alias or tag')
      if (typeof verdict.value.description.name !== 'string')
        throw new Breach('a card without a name')
    }
    if (Object.hasOwn(Object.prototype, 'x'))
      throw new Breach('the prototype of all objects was changed')
    return settle(verdict)
  },
}

import assert from 'node:assert/strict'
import fc from 'fast-check'
import { WEIGHT_FORMATS } from '../../protocol/model-description.ts'
import { checkWeights, guessContent } from '../../protocol/weights-content.ts'
import { identityModel } from '../helpers/onnx-model.ts'
import { npy, zipOf } from '../helpers/package.ts'

const text = (content: string): Uint8Array => new TextEncoder().encode(content)
const bytes = (...content: number[]): Uint8Array => Uint8Array.from(content)

describe('protocol/weights-content', () => {
  it('knows what weights files turn out to be', async () => {
    const torch = await zipOf(new Map([['archive/data.pkl', bytes(0x80, 2)]]))
    const cases: [Uint8Array, string][] = [
      [bytes(), 'empty'],
      [new Uint8Array(100), 'zeros'],
      [
        text('version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 12\n'),
        'git-lfs-pointer',
      ],
      [text('<!DOCTYPE html>\n<html><body>404'), 'html'],
      [text('\n<html lang="en">'), 'html'],
      [text('<?xml version="1.0"?><Error><Code>NoSuchKey</Code></Error>'), 'xml'],
      [text('{"detail": "not found"}'), 'json'],
      [bytes(0x80, 2, 0x7d, 0x71), 'pickle'],
      [bytes(0x80, 4, 0x95, 0), 'pickle'],
      [torch, 'torch-zip'],
      [await zipOf(new Map([['a', bytes(1)]])), 'zip'],
      [bytes(0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a), 'hdf5'],
      [bytes(0x1f, 0x8b, 8), 'gzip'],
      [npy('|u1', [1], bytes(1)), 'npy'],
      [bytes(0x18, 0, 0, 0, 0x4f, 0x52, 0x54, 0x4d), 'ort'],
      [identityModel(), 'onnx'],
      [text('Not Found'), 'text'],
      [bytes(0xff, 0x01, 0x02), 'unknown'],
    ]
    for (const [head, content] of cases) assert.equal(guessContent(head), content)
  })

  it('refuses what cannot be the format, with a sentence that helps', () => {
    const pointer = text('version https://git-lfs.github.com/spec/v1\n')
    for (const format of WEIGHT_FORMATS) {
      const checked = checkWeights(format, pointer)
      assert.ok(!checked.ok)
      assert.equal(checked.code, 'WEIGHTS_CONTENT')
      assert.match(checked.hint ?? '', /git lfs pull/)
    }
    const pickle = checkWeights('onnx', bytes(0x80, 2))
    assert.ok(!pickle.ok && pickle.message.includes('executes code'))
    assert.ok(checkWeights('pytorch_state_dict', bytes(0x80, 2)).ok)
    assert.ok(checkWeights('onnx', identityModel()).ok)
  })

  it('never throws', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (head) => void checkWeights('onnx', head)),
    )
  })
})

import assert from 'node:assert/strict'
import { fitInputs, fitOutput } from '../../../daemon/inference/fit.ts'
import { allocate, countOf, type Tensor } from '../../../daemon/inference/tensor.ts'
import { expectOk } from '../../../protocol/errors.ts'
import type { ModelDescription } from '../../../protocol/model-description.ts'
import {
  axis,
  descriptionOf,
  fixed,
  imageModel,
  like,
  stepped,
} from '../../helpers/model-description.ts'

const sized = (...shape: number[]): Tensor => ({
  dtype: 'uint8',
  axes: [],
  shape,
  data: allocate('uint8', countOf(shape)),
})
const fitOf = ({ inputs }: ModelDescription, ...shape: number[]) =>
  fitInputs(inputs, new Map([['raw', sized(...shape)]]))

describe('daemon/inference/fit', () => {
  it('pads to the next size of the rule and cuts back', () => {
    const model = imageModel({ size: stepped(32, 16) })
    const fit = expectOk(fitOf(model, 1, 1, 33, 20))
    assert.deepEqual(fit.padded.get('raw'), [1, 1, 48, 32])
    assert.equal(fit.notes.length, 2)
    const [output] = model.outputs
    assert.ok(output)
    assert.deepEqual(expectOk(fitOutput(output, [1, 1, 48, 32], model.inputs, fit)), [1, 1, 33, 20])
  })

  it('leaves a size alone that fits', () => {
    const fit = expectOk(fitOf(imageModel({ size: stepped(32, 16) }), 2, 1, 48, 32))
    assert.deepEqual(fit.padded.get('raw'), [2, 1, 48, 32])
    assert.deepEqual(fit.notes, [])
  })

  it('pads up to a fixed size, and says that more would need tiles', () => {
    const model = imageModel({ size: fixed(512) })
    assert.deepEqual(expectOk(fitOf(model, 1, 1, 300, 300)).padded.get('raw'), [1, 1, 512, 512])
    const refused = fitOf(model, 1, 1, 300, 1024)
    assert.equal(refused.ok, false)
    assert.ok(!refused.ok)
    assert.equal(refused.code, 'TILING_NEEDED')
    assert.deepEqual([refused.field, refused.limit, refused.got], ['raw.x', 512, 1024])
  })

  it('never pads channels or batches', () => {
    const model = imageModel({ channels: 3 })
    const refused = fitOf(model, 1, 2, 8, 8)
    assert.ok(!refused.ok)
    assert.deepEqual([refused.code, refused.field, refused.got], ['INPUT', 'raw.channel', 2])
  })

  it('follows scale and offset of outputs', () => {
    const size = stepped(8, 8)
    const model = descriptionOf(
      { axes: [axis('y', size), axis('x', size)] },
      // Twice the size along y; a border of 4 lost along x.
      { axes: [axis('y', like('y'), 0.5), axis('x', like('x', 'raw', -4))] },
    )
    const fit = expectOk(fitOf(model, 9, 10))
    assert.deepEqual(fit.padded.get('raw'), [16, 16])
    const [output] = model.outputs
    assert.ok(output)
    assert.deepEqual(expectOk(fitOutput(output, [32, 12], model.inputs, fit)), [18, 6])
    const wrong = fitOutput(output, [32, 16], model.inputs, fit)
    assert.ok(!wrong.ok)
    assert.deepEqual([wrong.code, wrong.field, wrong.limit], ['OUTPUT_SHAPE', 'result.x', 12])
    const other = fitOutput(output, [1, 32, 12], model.inputs, fit)
    assert.ok(!other.ok)
    assert.equal(other.code, 'OUTPUT_SHAPE')
  })

  it('cuts outputs of fixed size in proportion', () => {
    const model = descriptionOf(
      { axes: [axis('y', fixed(64)), axis('x', fixed(64))] },
      { axes: [axis('y', fixed(32)), axis('x', fixed(64))] },
    )
    const fit = expectOk(fitOf(model, 40, 64))
    const [output] = model.outputs
    assert.ok(output)
    assert.deepEqual(expectOk(fitOutput(output, [32, 64], model.inputs, fit)), [20, 64])
  })

  it('takes sizes of one input from another', () => {
    const size = stepped(8, 8)
    const one = descriptionOf({ axes: [axis('y', size)] })
    const two = descriptionOf({ id: 'mask', axes: [axis('y', like('y'))] })
    const inputs = [...one.inputs, ...two.inputs]
    const fit = expectOk(
      fitInputs(
        inputs,
        new Map([
          ['raw', sized(9)],
          ['mask', sized(9)],
        ]),
      ),
    )
    assert.deepEqual(fit.padded.get('mask'), [16])
    const refused = fitInputs(
      inputs,
      new Map([
        ['raw', sized(9)],
        ['mask', sized(10)],
      ]),
    )
    assert.ok(!refused.ok)
    assert.deepEqual([refused.code, refused.field, refused.limit], ['INPUT', 'mask.y', 9])
  })

  it('accepts what the card leaves open, within its bounds', () => {
    const model = descriptionOf(
      { axes: [axis('y', stepped(1, 1))] },
      { axes: [axis('index', { kind: 'dependent', min: 1, max: 10 })] },
    )
    const fit = expectOk(fitOf(model, 5))
    const [output] = model.outputs
    assert.ok(output)
    assert.deepEqual(expectOk(fitOutput(output, [7], model.inputs, fit)), [7])
    assert.equal(fitOutput(output, [11], model.inputs, fit).ok, false)
  })
})

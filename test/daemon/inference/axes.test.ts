import assert from 'node:assert/strict'
import { mapAxes } from '../../../daemon/inference/axes.ts'
import type { Image } from '../../../daemon/inference/image/image.ts'
import { expectOk } from '../../../protocol/errors.ts'
import type { TensorDescription } from '../../../protocol/model-description.ts'
import { axis, descriptionOf, fixed, imageModel, stepped } from '../../helpers/model-description.ts'

const image = (
  axes: readonly string[],
  shape: readonly number[],
  options: Partial<Image> & { values?: readonly number[] } = {},
): Image => {
  const count = shape.reduce((n, d) => n * d, 1)
  const data = Uint8Array.from({ length: count }, (_, i) => options.values?.[i] ?? i)
  return {
    format: axes.length === 0 ? 'npy' : 'png',
    tensor: { dtype: 'uint8', axes, shape, data },
    hasAlpha: options.hasAlpha ?? false,
    isStackGuessed: options.isStackGuessed ?? false,
  }
}

function inputOf(description: ReturnType<typeof imageModel>): TensorDescription {
  const [input] = description.inputs
  assert.ok(input)
  return input
}
const gray = inputOf(imageModel())
const rgb = inputOf(imageModel({ channels: 3 }))
const volume = inputOf(
  descriptionOf({
    axes: [
      axis('batch', stepped(1, 1)),
      axis('channel', fixed(1)),
      axis('z', stepped(2, 1)),
      axis('y', stepped(1, 1)),
      axis('x', stepped(1, 1)),
    ],
  }),
)

const refusedBy = (given: Image, input: TensorDescription) => {
  const verdict = mapAxes(given, input)
  assert.ok(!verdict.ok)
  assert.equal(verdict.code, 'INPUT')
  return verdict
}

describe('daemon/inference/axes', () => {
  it('adds batch and channel to a plane', () => {
    const { tensor } = expectOk(mapAxes(image(['y', 'x'], [2, 3]), gray))
    assert.deepEqual(tensor.axes, ['batch', 'channel', 'y', 'x'])
    assert.deepEqual(tensor.shape, [1, 1, 2, 3])
  })

  it('brings colour to the front', () => {
    const { tensor } = expectOk(mapAxes(image(['y', 'x', 'channel'], [1, 2, 3]), rgb))
    assert.deepEqual(tensor.shape, [1, 3, 1, 2])
    assert.deepEqual([...tensor.data], [0, 3, 1, 4, 2, 5])
  })

  it('drops opacity with a note', () => {
    const given = image(['y', 'x', 'channel'], [1, 2, 4], { hasAlpha: true })
    const { tensor, notes } = expectOk(mapAxes(given, rgb))
    assert.deepEqual([...tensor.data], [0, 4, 1, 5, 2, 6])
    assert.equal(notes.length, 1)
    const pair = image(['y', 'x', 'channel'], [1, 2, 2], { hasAlpha: true })
    assert.deepEqual([...expectOk(mapAxes(pair, gray)).tensor.data], [0, 2])
  })

  it('takes one channel of gray stored as RGB, and refuses colour', () => {
    const values = [5, 5, 5, 9, 9, 9]
    const { tensor, notes } = expectOk(
      mapAxes(image(['y', 'x', 'channel'], [1, 2, 3], { values }), gray),
    )
    assert.deepEqual([...tensor.data], [5, 9])
    assert.equal(notes.length, 1)
    const refused = refusedBy(image(['y', 'x', 'channel'], [1, 2, 3]), gray)
    assert.deepEqual([refused.field, refused.limit, refused.got], ['raw.channel', '1', 3])
    assert.match(refused.hint ?? '', /gray/)
  })

  it('refuses gray for a model of colour', () => {
    const refused = refusedBy(image(['y', 'x'], [2, 3]), rgb)
    assert.deepEqual([refused.field, refused.limit, refused.got], ['raw.channel', '3', 1])
  })

  it('takes pages as z, or as the channels that the model has', () => {
    const pages = image(['z', 'y', 'x'], [3, 2, 2], { isStackGuessed: true })
    assert.deepEqual(expectOk(mapAxes(pages, volume)).tensor.shape, [1, 1, 3, 2, 2])
    const { tensor, notes } = expectOk(mapAxes(pages, rgb))
    assert.deepEqual(tensor.shape, [1, 3, 2, 2])
    assert.equal(notes.length, 1)
    const named = image(['z', 'y', 'x'], [3, 2, 2])
    assert.equal(refusedBy(named, rgb).field, 'raw.channel')
  })

  it('refuses a stack for a plane and a plane for a stack', () => {
    assert.equal(refusedBy(image(['z', 'y', 'x'], [3, 2, 2]), gray).field, 'raw.z')
    assert.equal(refusedBy(image(['y', 'x'], [2, 2]), volume).field, 'raw.z')
    assert.deepEqual(
      expectOk(mapAxes(image(['z', 'y', 'x'], [1, 2, 2]), inputOf(imageModel({})))).tensor.shape,
      [1, 1, 2, 2],
    )
  })

  it('takes arrays in the order of the card', () => {
    assert.deepEqual(expectOk(mapAxes(image([], [1, 1, 2, 3]), gray)).tensor.shape, [1, 1, 2, 3])
    assert.deepEqual(expectOk(mapAxes(image([], [2, 3]), gray)).tensor.shape, [1, 1, 2, 3])
    assert.deepEqual(expectOk(mapAxes(image([], [3, 2, 2]), rgb)).tensor.shape, [1, 3, 2, 2])
    assert.deepEqual(expectOk(mapAxes(image([], [1, 1, 1, 2, 2]), gray)).tensor.shape, [1, 1, 2, 2])
  })

  it('says what is wrong with an array', () => {
    assert.match(refusedBy(image([], [2, 2, 3]), rgb).hint ?? '', /last axis/)
    const refused = refusedBy(image([], [2, 2, 2, 2, 2]), gray)
    assert.match(String(refused.limit), /batch.*channel 1.*y 8 \+ n \* 8/)
    assert.match(String(refused.got), /uint8 \[2, 2, 2, 2, 2\]/)
  })

  it('takes space axes of other names in order', () => {
    const input = inputOf(
      descriptionOf({ axes: [axis('row', stepped(1, 1)), axis('col', stepped(1, 1))] }),
    )
    const { tensor } = expectOk(mapAxes(image(['y', 'x'], [2, 3]), input))
    assert.deepEqual(tensor.axes, ['row', 'col'])
  })
})

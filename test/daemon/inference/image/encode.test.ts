import assert from 'node:assert/strict'
import { ImageCodec } from '../../../../daemon/inference/image/codec.ts'
import { type EncodeRequest, encodeOutputs } from '../../../../daemon/inference/image/encode.ts'
import type { Tensor, TypedArray } from '../../../../daemon/inference/tensor.ts'
import { expectOk } from '../../../../protocol/errors.ts'
import type { Dtype, ModelDescription } from '../../../../protocol/model-description.ts'
import { axis, descriptionOf, fixed, imageModel } from '../../../helpers/model-description.ts'

const LIMITS = { deadlineMs: 10_000 }

describe('daemon/inference/image/encode', () => {
  let codec: ImageCodec
  before(() => {
    codec = new ImageCodec()
  })
  after(() => codec.close())

  const plane = (dtype: Dtype, data: TypedArray, channels = 1): Tensor => ({
    dtype,
    axes: ['batch', 'channel', 'y', 'x'],
    shape: [1, channels, 1, data.length / channels],
    data,
  })
  const encode = (
    outputs: readonly Tensor[],
    options: Partial<EncodeRequest> & { model?: ModelDescription } = {},
  ) => {
    const descriptions = (options.model ?? imageModel()).outputs
    return encodeOutputs(
      { descriptions, outputs, wanted: null, given: 'npy', ...options },
      codec,
      LIMITS,
    )
  }
  const decode = async (body: Uint8Array): Promise<Tensor> =>
    expectOk(await codec.decode(body, LIMITS)).tensor
  const throughPng = async (tensor: Tensor) => {
    const { body, mediaType, notes } = expectOk(await encode([tensor], { wanted: 'png' }))
    assert.equal(mediaType, 'image/png')
    return { tensor: await decode(body), notes }
  }

  it("answers in the input's format unless asked", async () => {
    const tensor = plane('float32', Float32Array.of(0, 0.5, 1))
    for (const [given, mediaType] of [
      ['npy', 'application/x-npy'],
      ['tiff', 'image/tiff'],
      ['png', 'image/png'],
    ] as const) {
      assert.equal(expectOk(await encode([tensor], { given })).mediaType, mediaType)
    }
  })

  it('writes floats between 0 and 1 to 16 bits of a PNG', async () => {
    const { tensor, notes } = await throughPng(plane('float32', Float32Array.of(0, 0.25, 1)))
    assert.deepEqual(tensor.data, Uint16Array.of(0, 16384, 65535))
    assert.deepEqual(notes, [])
  })

  it('spreads other floats, and says so', async () => {
    const { tensor, notes } = await throughPng(plane('float32', Float32Array.of(-1, 0, 3, NaN)))
    assert.deepEqual(tensor.data, Uint16Array.of(0, 16384, 65535, 0))
    assert.match(notes[0] ?? '', /-1 to 3/)
    const constant = await throughPng(plane('float32', Float32Array.of(7, 7)))
    assert.deepEqual(constant.tensor.data, Uint16Array.of(0, 0))
  })

  it('keeps integers and masks', async () => {
    const mask = await throughPng(plane('bool', Uint8Array.of(0, 1)))
    assert.deepEqual(mask.tensor.data, Uint8Array.of(0, 255))
    const labels = await throughPng(plane('int32', Int32Array.of(0, 300)))
    assert.deepEqual(labels.tensor.data, Uint16Array.of(0, 300))
    const small = await throughPng(plane('int64', BigInt64Array.of(0n, 255n)))
    assert.deepEqual(small.tensor.data, Uint8Array.of(0, 255))
    const large = await encode([plane('int32', Int32Array.of(0, 65_536))], { wanted: 'png' })
    assert.ok(!large.ok)
    assert.deepEqual([large.code, large.got], ['FORMAT', 65_536])
  })

  it('writes two and three channels as colour, and no more', async () => {
    const two = await throughPng(plane('uint8', Uint8Array.of(1, 2, 3, 4), 2))
    assert.deepEqual([...two.tensor.data], [1, 3, 0, 2, 4, 0])
    assert.match(two.notes[0] ?? '', /red/)
    const four = await encode([plane('uint8', new Uint8Array(8), 4)], { wanted: 'png' })
    assert.ok(!four.ok)
    assert.deepEqual([four.code, four.got], ['FORMAT', 4])
    assert.match(four.hint ?? '', /tiff/)
    // Without being asked it takes the next format, and says why.
    const other = expectOk(await encode([plane('uint8', new Uint8Array(8), 4)], { given: 'png' }))
    assert.equal(other.mediaType, 'image/tiff')
    assert.match(other.notes[0] ?? '', /tiff, since PNG/)
  })

  it('writes 64-bit labels to TIFF where they fit', async () => {
    const body = async (values: BigInt64Array) =>
      encode([plane('int64', values)], { wanted: 'tiff' })
    const tensor = await decode(expectOk(await body(BigInt64Array.of(1n, 70_000n))).body)
    assert.deepEqual(tensor.data, Int32Array.of(1, 70_000))
    assert.equal((await body(BigInt64Array.of(2n ** 40n))).ok, false)
  })

  it('writes what is no picture as npy', async () => {
    const model = descriptionOf(
      { axes: [] },
      { axes: [axis('batch', fixed(1)), axis('index', fixed(3))] },
    )
    const scores: Tensor = {
      dtype: 'float32',
      axes: ['batch', 'index'],
      shape: [1, 3],
      data: new Float32Array(3),
    }
    const result = expectOk(await encode([scores], { model, given: 'png' }))
    assert.equal(result.mediaType, 'application/x-npy')
    const asked = await encode([scores], { model, wanted: 'tiff' })
    assert.ok(!asked.ok)
    assert.equal(asked.code, 'FORMAT')
  })

  it('puts several results into a zip', async () => {
    const model = imageModel()
    const [output] = model.outputs
    assert.ok(output)
    const descriptions = [output, { ...output, id: 'other' }]
    const tensor = plane('float32', Float32Array.of(0, 1))
    const zip = expectOk(await encode([tensor, tensor], { descriptions }))
    assert.equal(zip.mediaType, 'application/zip')
    const text = Buffer.from(zip.body).toString('latin1')
    assert.ok(text.includes('result.npy') && text.includes('other.npy'))
    const one = await encode([tensor, tensor], { descriptions, wanted: 'npy' })
    assert.ok(!one.ok)
    assert.deepEqual([one.code, one.limit], ['PARAMETER', 'zip'])
  })
})

import assert from 'node:assert/strict'
import {
  decodeNpy,
  encodeNpy,
  MAX_NPY_HEADER_BYTES,
} from '../../../../daemon/inference/image/npy.ts'
import { allocate, type Tensor } from '../../../../daemon/inference/tensor.ts'
import { expectOk } from '../../../../protocol/errors.ts'
import { DTYPES } from '../../../../protocol/model-description.ts'

/** A .npy with any header text. */
function npyOf(header: string, content: Uint8Array, version = 1): Uint8Array {
  const text = new TextEncoder().encode(header)
  const length = Buffer.alloc(version === 1 ? 2 : 4)
  if (version === 1) length.writeUInt16LE(text.length)
  else length.writeUInt32LE(text.length)
  const magic = Uint8Array.of(0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, version, 0)
  return Buffer.concat([magic, length, text, content])
}
const header = (descr: string, shape: string, fortran = 'False'): string =>
  `{'descr': '${descr}', 'fortran_order': ${fortran}, 'shape': ${shape}, }\n`

const refusal = (bytes: Uint8Array) => {
  const verdict = decodeNpy(bytes)
  assert.ok(!verdict.ok)
  return verdict
}

describe('daemon/inference/image/npy', () => {
  for (const dtype of DTYPES) {
    it(`gives back ${dtype}`, () => {
      const data = allocate(dtype, 6)
      for (let i = 0; i < 6; i++)
        data[i] = (typeof data[0] === 'bigint' ? BigInt(i % 2) : i % 2) as never
      const tensor: Tensor = { dtype, axes: [], shape: [2, 3], data }
      const bytes = encodeNpy(tensor)
      assert.equal((bytes.length - data.byteLength) % 64, 0)
      assert.deepEqual(expectOk(decodeNpy(bytes)).tensor, tensor)
    })
  }

  it('reads big-endian, and Fortran order', () => {
    const bytes = Uint8Array.of(0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6)
    const big = expectOk(decodeNpy(npyOf(header('>u2', '(2, 3)'), bytes))).tensor
    assert.deepEqual([...big.data], [1, 2, 3, 4, 5, 6])
    const fortran = expectOk(decodeNpy(npyOf(header('>u2', '(2, 3)', 'True'), bytes))).tensor
    assert.deepEqual(fortran.shape, [2, 3])
    assert.deepEqual([...fortran.data], [1, 3, 5, 2, 4, 6])
  })

  it('reads version 2, one axis and no axis', () => {
    const one = expectOk(decodeNpy(npyOf(header('|u1', '(3,)'), Uint8Array.of(1, 2, 3), 2))).tensor
    assert.deepEqual(one.shape, [3])
    assert.deepEqual(
      expectOk(decodeNpy(npyOf(header('|u1', '()'), Uint8Array.of(7)))).tensor.shape,
      [],
    )
  })

  it('views elements where they lie', () => {
    const bytes = encodeNpy({ dtype: 'float32', axes: [], shape: [2], data: Float32Array.of(1, 2) })
    assert.equal(expectOk(decodeNpy(bytes)).tensor.data.buffer, bytes.buffer)
    // At an odd place they must be copied.
    const odd = Buffer.concat([Uint8Array.of(0), bytes]).subarray(1)
    assert.deepEqual([...expectOk(decodeNpy(odd)).tensor.data], [1, 2])
  })

  it('refuses what is not an array of numbers', () => {
    const three = new Uint8Array(3)
    assert.equal(refusal(npyOf(header('|u1', '(4,)'), three)).code, 'INPUT_LENGTH')
    assert.equal(refusal(npyOf(header('|u1', '(2,)'), three)).code, 'INPUT_LENGTH')
    assert.equal(refusal(npyOf(header('|O', '(3,)'), three)).code, 'FORMAT')
    assert.equal(refusal(npyOf(header('|u1', '(3, 0)'), three)).code, 'INPUT_EMPTY')
    assert.equal(refusal(npyOf(header('<f2', '(3,)'), three)).code, 'FORMAT')
    assert.equal(refusal(npyOf(header('<U3', '(3,)'), three)).code, 'FORMAT')
    assert.equal(refusal(npyOf("{'descr': [('a', '<f4')]}", three)).code, 'FORMAT')
    assert.equal(refusal(npyOf(header('|u1', '(3,)'), three, 4)).code, 'FORMAT')
    assert.equal(refusal(npyOf(header('|b1', '(3,)'), Uint8Array.of(0, 1, 2))).code, 'INPUT')
    assert.equal(refusal(npyOf(header('|u1', '(999999999, 999999999)'), three)).code, 'INPUT')
    const ranks = `(${'1, '.repeat(17)})`
    assert.equal(refusal(npyOf(header('|u1', ranks), Uint8Array.of(0))).code, 'INPUT')
  })

  it('bounds the header', () => {
    const pad = (length: number): string => header('|u1', '(1,)').padEnd(length)
    assert.equal(decodeNpy(npyOf(pad(MAX_NPY_HEADER_BYTES), new Uint8Array(1))).ok, true)
    assert.equal(refusal(npyOf(pad(MAX_NPY_HEADER_BYTES + 1), new Uint8Array(1))).code, 'LIMIT')
    assert.equal(
      refusal(npyOf(header('|u1', '(1,)'), new Uint8Array(1)).subarray(0, 30)).code,
      'IMAGE',
    )
  })
})

import assert from 'node:assert/strict'
import { checkDtype } from '../../../daemon/inference/element-types.ts'
import { allocate, type Tensor } from '../../../daemon/inference/tensor.ts'
import type { Dtype } from '../../../protocol/model-description.ts'

function holding(dtype: Dtype, ...values: number[]): Tensor {
  const data = allocate(dtype, values.length)
  values.forEach((value, i) => {
    data[i] = (dtype === 'int64' || dtype === 'uint64' ? BigInt(value) : value) as never
  })
  return { dtype, axes: [], shape: [values.length], data }
}

describe('daemon/inference/element-types', () => {
  const allowed: [Tensor, Dtype][] = [
    [holding('uint8', 255), 'float32'],
    [holding('uint8', 255), 'uint16'],
    [holding('int64', -5), 'float32'],
    [holding('float64', 0.1), 'float32'],
    [holding('bool', 1), 'uint8'],
    [holding('uint16', 255), 'uint8'],
    [holding('int64', 0, 1), 'bool'],
  ]
  for (const [tensor, dtype] of allowed) {
    it(`lets ${tensor.dtype} go where a model takes ${dtype}`, () => {
      assert.equal(checkDtype(tensor, dtype, 'raw').ok, true)
    })
  }

  const refused: [Tensor, Dtype][] = [
    [holding('float32', 1), 'uint8'],
    [holding('float64', 1), 'int64'],
    [holding('uint16', 0, 256), 'uint8'],
    [holding('int8', -1), 'uint16'],
    [holding('uint8', 2), 'bool'],
  ]
  for (const [tensor, dtype] of refused) {
    it(`refuses ${tensor.dtype} where a model takes ${dtype}, and names both`, () => {
      const verdict = checkDtype(tensor, dtype, 'raw')
      assert.ok(!verdict.ok)
      assert.deepEqual([verdict.code, verdict.field, verdict.limit], ['INPUT', 'raw', dtype])
      assert.ok(String(verdict.got).startsWith(tensor.dtype))
    })
  }
})

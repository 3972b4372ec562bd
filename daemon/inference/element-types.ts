/** Which element types may stand for which: nothing of an image is lost without a word. Pure. */
import { accept, refuse, type Verdict } from '../../protocol/errors.ts'
import type { Dtype } from '../../protocol/model-description.ts'
import type { Tensor } from './tensor.ts'

/** Smallest and largest value of the integers, as numbers: exact enough to compare ranges. */
const RANGES: Readonly<Partial<Record<Dtype, readonly [number, number]>>> = {
  bool: [0, 1],
  uint8: [0, 2 ** 8 - 1],
  int8: [-(2 ** 7), 2 ** 7 - 1],
  uint16: [0, 2 ** 16 - 1],
  int16: [-(2 ** 15), 2 ** 15 - 1],
  uint32: [0, 2 ** 32 - 1],
  int32: [-(2 ** 31), 2 ** 31 - 1],
  uint64: [0, 2 ** 64],
  int64: [-(2 ** 63), 2 ** 63],
}

/**
 * Whether an image of `tensor`'s elements may go where the model takes `dtype`. Integers go into
 * floats and into wider integers, and into narrower ones where every value fits; doubles go into
 * floats. Floats never go into integers.
 */
export function checkDtype(tensor: Tensor, dtype: Dtype, field: string): Verdict<true> {
  const target = RANGES[dtype]
  if (target === undefined || tensor.dtype === dtype) return accept(true)
  const source = RANGES[tensor.dtype]
  if (source === undefined) {
    return refuse('INPUT', `the model takes ${dtype} and the image is ${tensor.dtype}`, {
      field,
      limit: dtype,
      got: tensor.dtype,
      hint: `convert the image to ${dtype}`,
    })
  }
  if (source[0] >= target[0] && source[1] <= target[1]) return accept(true)
  const wrong = firstOutside(tensor, target)
  if (wrong === null) return accept(true)
  return refuse(
    'INPUT',
    `the model takes ${dtype} and the image holds ${wrong} as ${tensor.dtype}`,
    {
      field,
      limit: dtype,
      got: `${tensor.dtype} ${wrong}`,
      hint: `scale the image to ${target[0]} to ${target[1]}`,
    },
  )
}

function firstOutside({ data }: Tensor, [low, high]: readonly [number, number]): number | null {
  for (let i = 0; i < data.length; i++) {
    const value = Number(data[i])
    if (value < low || value > high) return value
  }
  return null
}

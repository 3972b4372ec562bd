/** Moves elements: transposition, padding and cropping of tensors of any rank. Pure. */
import { allocate, countOf, type Tensor, type TypedArray } from './tensor.ts'

/** The tensor with its axes in another order; no copy where elements stay in place. */
export function transpose(tensor: Tensor, axes: readonly string[]): Tensor {
  const order = axes.map((axis) => tensor.axes.indexOf(axis))
  if (order.includes(-1) || order.length !== tensor.axes.length) {
    throw new TypeError(`cannot order ${tensor.axes} as ${axes}`)
  }
  const shape = order.map((from) => tensor.shape[from] ?? 1)
  // Axes of size 1 may go anywhere.
  const moved = order.filter((from) => tensor.shape[from] !== 1)
  if (moved.every((from, i) => i === 0 || from > (moved[i - 1] ?? 0))) {
    return { ...tensor, axes, shape }
  }
  const strides = stridesOf(tensor.shape)
  const data = gather(
    tensor,
    shape,
    order.map((from) => strides[from] ?? 0),
  )
  return { ...tensor, axes, shape, data }
}

/** Elements to step over to advance by one along each axis. */
export function stridesOf(shape: readonly number[]): number[] {
  const strides = new Array<number>(shape.length).fill(1)
  for (let d = shape.length - 2; d >= 0; d--) {
    strides[d] = (strides[d + 1] ?? 1) * (shape[d + 1] ?? 1)
  }
  return strides
}

/** Copies so that step i of axis d reads at `i * strides[d]`. */
function gather(tensor: Tensor, shape: readonly number[], strides: readonly number[]): TypedArray {
  const out = allocate(tensor.dtype, countOf(shape))
  const source = tensor.data
  const last = shape.length - 1
  const width = shape[last] ?? 1
  const step = strides[last] ?? 1
  const index = new Array<number>(shape.length).fill(0)
  let from = 0
  for (let to = 0; to < out.length; ) {
    let at = from
    for (let x = 0; x < width; x++, at += step) out[to++] = source[at] as never
    for (let d = last - 1; d >= 0; d--) {
      from += strides[d] ?? 0
      index[d] = (index[d] ?? 0) + 1
      if ((index[d] ?? 0) < (shape[d] ?? 1)) break
      from -= (strides[d] ?? 0) * (shape[d] ?? 1)
      index[d] = 0
    }
  }
  return out
}

/** Keeps the first elements along each axis; no copy where nothing goes. */
export function crop(tensor: Tensor, shape: readonly number[]): Tensor {
  return resize(tensor, shape, (i) => i)
}

/**
 * Grows each axis at its far end by reflection about the last element, as numpy's `reflect`
 * (the last element is not repeated); bioimageio.core pads the same way. A single element is
 * repeated.
 */
export function padByReflection(tensor: Tensor, shape: readonly number[]): Tensor {
  return resize(tensor, shape, reflect)
}

/** Where index `i` beyond the end of an axis of `size` elements reads. */
export function reflect(i: number, size: number): number {
  if (i < size) return i
  if (size === 1) return 0
  const period = 2 * (size - 1)
  const k = i % period
  return k < size ? k : period - k
}

function resize(
  tensor: Tensor,
  shape: readonly number[],
  source: (i: number, size: number) => number,
): Tensor {
  if (shape.every((size, d) => size === tensor.shape[d])) return tensor
  const last = shape.length - 1
  const width = shape[last] ?? 1
  const given = tensor.shape[last] ?? 1
  const kept = Math.min(width, given)
  const strides = stridesOf(tensor.shape)
  const data = allocate(tensor.dtype, countOf(shape))
  const index = new Array<number>(shape.length).fill(0)
  for (let to = 0; to < data.length; to += width) {
    let from = 0
    for (let d = 0; d < last; d++) {
      from += source(index[d] ?? 0, tensor.shape[d] ?? 1) * (strides[d] ?? 0)
    }
    data.set(tensor.data.subarray(from, from + kept) as never, to)
    for (let x = kept; x < width; x++) data[to + x] = tensor.data[from + source(x, given)] as never
    for (let d = last - 1; d >= 0; d--) {
      index[d] = (index[d] ?? 0) + 1
      if ((index[d] ?? 0) < (shape[d] ?? 1)) break
      index[d] = 0
    }
  }
  return { ...tensor, shape, data }
}

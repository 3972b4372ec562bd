/** Dense tensors with named axes, C order. Pure. */
import type { Dtype } from '../../protocol/model-description.ts'

export type TypedArray =
  | Float32Array
  | Float64Array
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | BigUint64Array
  | BigInt64Array

export interface Tensor {
  readonly dtype: Dtype
  /** Axis ids, e.g. `['batch', 'channel', 'y', 'x']`; empty where no card named them. */
  readonly axes: readonly string[]
  readonly shape: readonly number[]
  /** C order; `bool` is a Uint8Array of 0 and 1. */
  readonly data: TypedArray
}

const ARRAYS = {
  float32: Float32Array,
  float64: Float64Array,
  uint8: Uint8Array,
  int8: Int8Array,
  uint16: Uint16Array,
  int16: Int16Array,
  uint32: Uint32Array,
  int32: Int32Array,
  uint64: BigUint64Array,
  int64: BigInt64Array,
  bool: Uint8Array,
} as const

/** Bytes of one element. */
export const bytesOf = (dtype: Dtype): number => ARRAYS[dtype].BYTES_PER_ELEMENT

/** An array of zeros. */
export const allocate = (dtype: Dtype, length: number): TypedArray => new ARRAYS[dtype](length)

/** Number of elements. */
export const countOf = (shape: readonly number[]): number => shape.reduce((n, d) => n * d, 1)

/** A view of `bytes` as elements; copies only where the alignment demands it. */
export function elementsOf(dtype: Dtype, bytes: Uint8Array): TypedArray {
  const width = bytesOf(dtype)
  // Not bytes.slice(): a Buffer's shares memory.
  const aligned = bytes.byteOffset % width === 0 ? bytes : new Uint8Array(bytes)
  return new ARRAYS[dtype](
    aligned.buffer as ArrayBuffer,
    aligned.byteOffset,
    aligned.byteLength / width,
  )
}

/** The elements as bytes, little-endian, without a copy. */
export const bytesOfTensor = (tensor: Tensor): Uint8Array =>
  new Uint8Array(tensor.data.buffer, tensor.data.byteOffset, tensor.data.byteLength)

/** Size along an axis; 1 where the tensor has no such axis. */
export const sizeAlong = (tensor: Tensor, axis: string): number =>
  tensor.shape[tensor.axes.indexOf(axis)] ?? 1

/** For people: `float32 [batch 1, y 512, x 512]`. */
export const describe = ({ dtype, axes, shape }: Tensor): string =>
  `${dtype} [${shape.map((size, i) => (axes[i] === undefined ? size : `${axes[i]} ${size}`)).join(', ')}]`

export const isBig = (data: TypedArray): data is BigUint64Array | BigInt64Array =>
  data instanceof BigUint64Array || data instanceof BigInt64Array

/**
 * A copy with another element type, as numpy's `astype` makes it: floats lose their fraction,
 * integers wrap, anything but 0 is true. NaN becomes 0.
 */
export function convert(tensor: Tensor, dtype: Dtype): Tensor {
  const { data } = tensor
  const out = allocate(dtype, data.length)
  if (dtype === 'bool') {
    for (let i = 0; i < data.length; i++) out[i] = Number(data[i]) === 0 ? 0 : 1
  } else if (isBig(out)) {
    if (isBig(data)) out.set(data)
    else for (let i = 0; i < data.length; i++) out[i] = toBig(data[i] ?? 0)
  } else if (isBig(data)) {
    for (let i = 0; i < data.length; i++) out[i] = Number(data[i])
  } else {
    out.set(data)
  }
  return { ...tensor, dtype, data: out }
}

const toBig = (value: number): bigint => (Number.isFinite(value) ? BigInt(Math.trunc(value)) : 0n)

/**
 * NumPy's .npy, versions 1 to 3: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
 * Elements that lie as this machine wants them are viewed, not copied. Pure.
 */
import { accept, refuse, type Verdict } from '../../../protocol/errors.ts'
import type { Dtype } from '../../../protocol/model-description.ts'
import { transpose } from '../layout.ts'
import { bytesOf, bytesOfTensor, countOf, elementsOf, type Tensor } from '../tensor.ts'
import type { Image } from './image.ts'

const MAGIC = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59]
/** Longest header: numpy's own readers stop at 10,000 characters. */
export const MAX_NPY_HEADER_BYTES = 10_000
/** numpy itself ends at 64; no model comes near. */
const MAX_RANK = 16
const ALIGNMENT = 64

/** Kind and bytes of numpy's type text -> element type. */
const DTYPE_OF: Readonly<Record<string, Dtype>> = {
  b1: 'bool',
  u1: 'uint8',
  i1: 'int8',
  u2: 'uint16',
  i2: 'int16',
  u4: 'uint32',
  i4: 'int32',
  u8: 'uint64',
  i8: 'int64',
  f4: 'float32',
  f8: 'float64',
}
const TEXT_OF = new Map(Object.entries(DTYPE_OF).map(([text, dtype]) => [dtype, text]))

export const isNpy = (bytes: Uint8Array): boolean => MAGIC.every((byte, i) => bytes[i] === byte)

/** Reads a .npy file; the tensor may share the memory of `bytes`. Axes are not named. */
export function decodeNpy(bytes: Uint8Array): Verdict<Image> {
  const header = readHeader(bytes)
  if (!header.ok) return header
  const { dtype, shape, isBigEndian, isFortran, start } = header.value
  const expected = countOf(shape) * bytesOf(dtype)
  const content = bytes.subarray(start)
  if (content.length !== expected) {
    return refuse('INPUT_LENGTH', 'the .npy holds other bytes than its shape says', {
      limit: expected,
      got: content.length,
    })
  }
  const ordered = isBigEndian ? swapped(content, bytesOf(dtype)) : content
  const data = elementsOf(dtype, ordered)
  if (dtype === 'bool' && data.some((value: number | bigint) => value > 1)) {
    return refuse('INPUT', 'a bool of the .npy is neither 0 nor 1')
  }
  const ids = shape.map((_, i) => String(i))
  const tensor: Tensor = isFortran
    ? transpose({ dtype, axes: ids.toReversed(), shape: shape.toReversed(), data }, ids)
    : { dtype, axes: ids, shape, data }
  return accept({
    format: 'npy',
    tensor: { ...tensor, axes: [] },
    hasAlpha: false,
    isStackGuessed: false,
  })
}

interface NpyHeader {
  readonly dtype: Dtype
  readonly shape: readonly number[]
  readonly isBigEndian: boolean
  readonly isFortran: boolean
  readonly start: number
}

function readHeader(bytes: Uint8Array): Verdict<NpyHeader> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const version = bytes[6] ?? 0
  const isLong = version >= 2
  const first = isLong ? 12 : 10
  if (!isNpy(bytes) || bytes.length < first) return refuse('IMAGE', 'the .npy ends in its header')
  if (version < 1 || version > 3) {
    return refuse('FORMAT', 'a .npy version that is not known', { limit: '1 to 3', got: version })
  }
  const length = isLong ? view.getUint32(8, true) : view.getUint16(8, true)
  if (length > MAX_NPY_HEADER_BYTES) {
    return refuse('LIMIT', 'the header of the .npy is too long', {
      limit: MAX_NPY_HEADER_BYTES,
      got: length,
    })
  }
  const start = first + length
  if (bytes.length < start) return refuse('IMAGE', 'the .npy ends in its header')
  const text = new TextDecoder().decode(bytes.subarray(first, start))
  const descr = /'descr':\s*'([^']*)'/.exec(text)?.[1]
  const order = /'fortran_order':\s*(True|False)/.exec(text)?.[1]
  const shapeText = /'shape':\s*\(([\d,\sL]*)\)/.exec(text)?.[1]
  if (descr === undefined || order === undefined || shapeText === undefined) {
    return refuse('FORMAT', 'a .npy of structured or unknown elements', { got: text.slice(0, 80) })
  }
  const dtype = DTYPE_OF[descr.slice(1)]
  if (dtype === undefined || !'<>|='.includes(descr[0] ?? '')) {
    return refuse('FORMAT', `elements of type ${descr.slice(0, 20)} are not read`, {
      field: 'dtype',
      got: descr.slice(0, 20),
      limit: [...TEXT_OF.keys()].join(', '),
      hint: 'convert the array with astype before it is saved',
    })
  }
  const shape = shapeText
    .split(',')
    .map((part) => part.replace('L', '').trim())
    .filter((part) => part !== '')
    .map(Number)
  if (shape.length > MAX_RANK || !Number.isSafeInteger(countOf(shape) * bytesOf(dtype))) {
    return refuse('INPUT', 'a shape that no image has', {
      field: 'shape',
      got: shapeText.slice(0, 80),
    })
  }
  if (countOf(shape) === 0) {
    return refuse('INPUT_EMPTY', 'the array has no elements', { field: 'shape', got: shapeText })
  }
  const isBigEndian = descr[0] === '>' && bytesOf(dtype) > 1
  return accept({ dtype, shape, isBigEndian, isFortran: order === 'True', start })
}

function swapped(bytes: Uint8Array, width: number): Uint8Array {
  const out = new Uint8Array(bytes.length)
  for (let i = 0; i < bytes.length; i += width) {
    for (let k = 0; k < width; k++) out[i + k] = bytes[i + width - 1 - k] ?? 0
  }
  return out
}

/** Writes version 1.0, little-endian, C order. */
export function encodeNpy(tensor: Tensor): Uint8Array {
  const kind = TEXT_OF.get(tensor.dtype) ?? ''
  const prefix = bytesOf(tensor.dtype) > 1 ? '<' : '|'
  const shape = tensor.shape.length === 1 ? `${tensor.shape[0]},` : tensor.shape.join(', ')
  const text = `{'descr': '${prefix}${kind}', 'fortran_order': False, 'shape': (${shape}), }`
  const length = Math.ceil((10 + text.length + 1) / ALIGNMENT) * ALIGNMENT
  const content = bytesOfTensor(tensor)
  const bytes = new Uint8Array(length + content.length)
  bytes.set([...MAGIC, 1, 0])
  new DataView(bytes.buffer).setUint16(8, length - 10, true)
  bytes.set(new TextEncoder().encode(`${text.padEnd(length - 11)}\n`), 10)
  bytes.set(content, length)
  return bytes
}

/**
 * TIFF out: little-endian, one uncompressed strip a page, pages side by side, with ImageJ's
 * description, so that ImageJ, QuPath, napari and tifffile agree on the axes. Pure.
 */
import { accept, refuse, type Verdict } from '../../../protocol/errors.ts'
import type { Dtype } from '../../../protocol/model-description.ts'
import { bytesOf, bytesOfTensor, type Tensor } from '../tensor.ts'

/** Offsets of a classic TIFF have 32 bits. */
const MAX_TIFF_BYTES = 2 ** 32 - 1
const HEADER_BYTES = 8
const ENTRY_BYTES = 12
const [ASCII, SHORT, LONG] = [2, 3, 4]

/** Element type -> SampleFormat. 64-bit integers are read by few programs. */
const SAMPLE_FORMAT: Readonly<Partial<Record<Dtype, number>>> = {
  uint8: 1,
  uint16: 1,
  uint32: 1,
  int8: 2,
  int16: 2,
  int32: 2,
  float32: 3,
  float64: 3,
}

/** @param tensor axes time, z, channel, y, x, in that order */
export function encodeTiff(tensor: Tensor): Verdict<Uint8Array> {
  const [frames = 1, slices = 1, channels = 1, height = 1, width = 1] = tensor.shape
  const format = SAMPLE_FORMAT[tensor.dtype]
  if (format === undefined) {
    return refuse('FORMAT', `TIFF holds no ${tensor.dtype}`, { hint: 'ask for npy' })
  }
  const pages = frames * slices * channels
  const pageBytes = width * height * bytesOf(tensor.dtype)
  const text = description(tensor, { frames, slices, channels })
  const ascii = new TextEncoder().encode(`${text}\0`)
  const textAt = HEADER_BYTES + pages * pageBytes
  // Directories begin on a word.
  const firstAt = textAt + ascii.length + (ascii.length % 2)
  const entries = 10
  const directoryBytes = 2 + (entries + 1) * ENTRY_BYTES + 4
  const total = firstAt + pages * directoryBytes
  if (total > MAX_TIFF_BYTES) {
    return refuse('FORMAT', 'the result is too large for a TIFF', {
      limit: MAX_TIFF_BYTES,
      got: total,
      hint: 'ask for npy',
    })
  }
  const bytes = new Uint8Array(total)
  const view = new DataView(bytes.buffer)
  bytes.set([0x49, 0x49, 42, 0])
  view.setUint32(4, firstAt, true)
  bytes.set(bytesOfTensor(tensor), HEADER_BYTES)
  bytes.set(ascii, textAt)
  let at = firstAt
  for (let page = 0; page < pages; page++) {
    const tags: [number, number, number, number][] = [
      [256, LONG, 1, width],
      [257, LONG, 1, height],
      [258, SHORT, 1, bytesOf(tensor.dtype) * 8],
      [259, SHORT, 1, 1],
      // BlackIsZero
      [262, SHORT, 1, 1],
      ...(page === 0
        ? [[270, ASCII, ascii.length, textAt] as [number, number, number, number]]
        : []),
      [273, LONG, 1, HEADER_BYTES + page * pageBytes],
      [277, SHORT, 1, 1],
      [278, LONG, 1, height],
      [279, LONG, 1, pageBytes],
      [339, SHORT, 1, format],
    ]
    view.setUint16(at, tags.length, true)
    let entry = at + 2
    for (const [tag, type, count, value] of tags) {
      view.setUint16(entry, tag, true)
      view.setUint16(entry + 2, type, true)
      view.setUint32(entry + 4, count, true)
      view.setUint32(entry + 8, value, true)
      entry += ENTRY_BYTES
    }
    const next = page === pages - 1 ? 0 : at + directoryBytes
    view.setUint32(entry, next, true)
    at += directoryBytes
  }
  return accept(bytes)
}

function description(
  tensor: Tensor,
  { frames, slices, channels }: { frames: number; slices: number; channels: number },
): string {
  const images = frames * slices * channels
  return [
    'ImageJ=1.54f',
    `images=${images}`,
    `channels=${channels}`,
    `slices=${slices}`,
    `frames=${frames}`,
    ...(images > 1 ? ['hyperstack=true', 'mode=grayscale'] : []),
    ...(tensor.dtype === 'float32' ? extremes(tensor) : []),
    '',
  ].join('\n')
}

/** ImageJ shows floats between these; without them a probability map is black. */
function extremes({ data }: Tensor): string[] {
  let min = Infinity
  let max = -Infinity
  for (let i = 0; i < data.length; i++) {
    const value = Number(data[i])
    if (value < min) min = value
    if (value > max) max = value
  }
  return Number.isFinite(min) && Number.isFinite(max) ? [`min=${min}`, `max=${max}`] : []
}

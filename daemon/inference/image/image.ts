/** What decoders give and encoders take. Pure. */
import { refuse, type Verdict } from '../../../protocol/errors.ts'
import type { Tensor } from '../tensor.ts'

export const IMAGE_FORMATS = ['png', 'tiff', 'npy'] as const
export type ImageFormat = (typeof IMAGE_FORMATS)[number]

export interface Image {
  readonly format: ImageFormat
  /** Axes by id, e.g. `['y', 'x', 'channel']`; empty where the format names none. */
  readonly tensor: Tensor
  /** The last channel is opacity. */
  readonly hasAlpha: boolean
  /** No metadata says what the first axis of a stack is; it is called `z`. */
  readonly isStackGuessed: boolean
}

/** Largest image that is decoded whole: 400 MB as float32, a 10,000 x 10,000 slide region. */
export const MAX_PIXELS = 100_000_000
/** Largest decoded image in bytes, whatever its channels and element type. */
export const MAX_DECODED_BYTES = 1024 ** 3

/** The bounds that every decoder checks before it takes memory for the elements. */
export function checkPixels(pixels: number, bytes: number): Verdict<true> {
  if (pixels > MAX_PIXELS) {
    return refuse('PIXELS', 'more pixels than are decoded at once', {
      limit: MAX_PIXELS,
      got: pixels,
      hint: 'crop the image or send it in parts',
    })
  }
  if (bytes > MAX_DECODED_BYTES) {
    return refuse('PIXELS', 'more bytes than are decoded at once', {
      limit: MAX_DECODED_BYTES,
      got: bytes,
      hint: 'crop the image or send it in parts',
    })
  }
  return { ok: true, value: true }
}

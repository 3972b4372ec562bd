/** Which format bytes are, by their content, and the media types of formats. Pure. */
import { accept, refuse, type Verdict } from '../../../protocol/errors.ts'
import type { ImageFormat } from './image.ts'
import { isNpy } from './npy.ts'

export type OutputFormat = ImageFormat | 'zip'

export const MEDIA_TYPES: Readonly<Record<OutputFormat, string>> = {
  png: 'image/png',
  tiff: 'image/tiff',
  npy: 'application/x-npy',
  zip: 'application/zip',
}

export const EXTENSIONS: Readonly<Record<ImageFormat, string>> = {
  png: 'png',
  tiff: 'tif',
  npy: 'npy',
}

const text = (...codes: number[]): string => String.fromCharCode(...codes)

/** First bytes -> format. */
const READ: readonly (readonly [string, ImageFormat])[] = [
  [text(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a), 'png'],
  ['II*\0', 'tiff'],
  ['MM\0*', 'tiff'],
  ['II+\0', 'tiff'],
  ['MM\0+', 'tiff'],
]

/** What people send by mistake, to be told so. */
const KNOWN: readonly (readonly [string, string])[] = [
  [text(0xff, 0xd8, 0xff), 'a JPEG, whose losses show in results'],
  ['GIF8', 'a GIF'],
  ['BM', 'a BMP'],
  ['RIFF', 'a WebP or another RIFF file'],
  ['PK\x03\x04', 'a zip archive'],
  [text(0x89, 0x48, 0x44, 0x46), 'an HDF5 file'],
  ['%PDF', 'a PDF'],
  ['<', 'text, perhaps a web page'],
  ['{', 'JSON'],
]

/** The format of `bytes` by their content; a stated media type or file name is not believed. */
export function sniffFormat(bytes: Uint8Array): Verdict<ImageFormat> {
  if (bytes.length === 0) return refuse('INPUT_EMPTY', 'no input')
  const head = text(...bytes.subarray(0, 8))
  if (isNpy(bytes)) return accept('npy')
  const format = READ.find(([magic]) => head.startsWith(magic))?.[1]
  if (format !== undefined) return accept(format)
  const known = KNOWN.find(([magic]) => head.startsWith(magic))?.[1]
  return refuse('FORMAT', 'not a PNG, TIFF or npy', {
    limit: 'PNG, TIFF, npy',
    got: known ?? 'unknown bytes',
    hint: 'save the image as TIFF or PNG, or the array with numpy.save',
  })
}

/** The first format that an Accept header names; null where it takes anything. */
export function formatOfAccept(header: string | null | undefined): OutputFormat | null {
  for (const part of (header ?? '').toLowerCase().split(',')) {
    const type = part.split(';')[0]?.trim() ?? ''
    const format = ACCEPTED.get(type)
    if (format !== undefined) return format
  }
  return null
}

const ACCEPTED: ReadonlyMap<string, OutputFormat> = new Map([
  ['image/png', 'png'],
  ['image/tiff', 'tiff'],
  ['image/tif', 'tiff'],
  ['application/x-npy', 'npy'],
  ['application/npy', 'npy'],
  ['application/zip', 'zip'],
])

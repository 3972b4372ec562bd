/** Image files by their names: media types and the formats of results. */
import { extname } from 'node:path'
import { ZoariumError } from '../protocol/errors.ts'

export const OUTPUT_FORMATS = ['png', 'tiff', 'npy', 'zip'] as const
export type OutputFormat = (typeof OUTPUT_FORMATS)[number]

const MEDIA_TYPES: Readonly<Record<string, string>> = {
  '.png': 'image/png',
  '.tif': 'image/tiff',
  '.tiff': 'image/tiff',
  '.npy': 'application/x-npy',
}
const FORMATS: Readonly<Record<string, OutputFormat>> = {
  '.png': 'png',
  '.tif': 'tiff',
  '.tiff': 'tiff',
  '.npy': 'npy',
  '.zip': 'zip',
}
const EXTENSIONS: Readonly<Record<string, string>> = {
  'image/png': '.png',
  'image/tiff': '.tif',
  'application/x-npy': '.npy',
  'application/zip': '.zip',
}

/** The daemon looks at the bytes where the name says nothing. */
export const mediaTypeOfImage = (path: string): string =>
  MEDIA_TYPES[extname(path).toLowerCase()] ?? 'application/octet-stream'

/** @throws ZoariumError USAGE */
export function formatOf(path: string): OutputFormat {
  const format = FORMATS[extname(path).toLowerCase()]
  if (format !== undefined) return format
  throw new ZoariumError('USAGE', 'the name of the result does not tell its format', {
    field: path,
    limit: Object.keys(FORMATS).join(', '),
    hint: 'end it with one of these, or give --output',
  })
}

/** `nuclei.png` -> `nuclei.result.png`, with the extension of the result's type. */
export const resultPath = (image: string, mediaType: string): string =>
  `${image.slice(0, image.length - extname(image).length)}.result${EXTENSIONS[mediaType] ?? '.bin'}`

/**
 * TIFF and BigTIFF in: 8 to 64 bits, stripped or tiled, uncompressed, LZW, deflate, PackBits or
 * Zstandard. geotiff reads the structure; sizes are checked before it decodes, and blocks go
 * through bounded decoders. Pages form one stack, its axes named by OME-XML or ImageJ's
 * description where one is there.
 *
 * Palettes are not applied: microscopes and ImageJ use them as lookup tables of intensities.
 */
import { addDecoder, BaseDecoder, fromArrayBuffer, type GeoTIFFImage } from 'geotiff'
import { accept, refuse, type Verdict } from '../../../protocol/errors.ts'
import type { Dtype } from '../../../protocol/model-description.ts'
import { allocate, bytesOf, type TypedArray } from '../tensor.ts'
import { checkPixels, type Image, MAX_DECODED_BYTES } from './image.ts'
import { TIFF_CODECS } from './tiff-codecs.ts'

/** Most pages: a time series of a day at one a minute, of seven channels. */
export const MAX_PAGES = 10_000
/** Most strips or tiles of a page; writers make thousands at most. */
export const MAX_BLOCKS = 65_536
/** ExtraSamples: associated and unassociated alpha. */
const ALPHA = [1, 2]

const BYTE_ORDERS = ['II*\0', 'MM\0*', 'II+\0', 'MM\0+']

export const isTiff = (bytes: Uint8Array): boolean =>
  BYTE_ORDERS.includes(String.fromCharCode(...bytes.subarray(0, 4)))

/** SampleFormat and BitsPerSample -> element type; half precision is read as float32. */
const DTYPE_OF: Readonly<Record<string, Dtype>> = {
  '1/8': 'uint8',
  '1/16': 'uint16',
  '1/32': 'uint32',
  '2/8': 'int8',
  '2/16': 'int16',
  '2/32': 'int32',
  '3/16': 'float32',
  '3/32': 'float32',
  '3/64': 'float64',
}

for (const [compression, decodeWithin] of TIFF_CODECS) {
  class BoundedDecoder extends BaseDecoder {
    override decodeBlock(block: ArrayBuffer): ArrayBuffer {
      const { tileWidth, tileHeight, planarConfiguration, bitsPerSample } = this.parameters
      const bits = typeof bitsPerSample === 'number' ? [bitsPerSample] : Array.from(bitsPerSample)
      const bitsPerPixel = planarConfiguration === 2 ? (bits[0] ?? 8) : sum(bits)
      const limit = tileHeight * Math.ceil((tileWidth * bitsPerPixel) / 8)
      const decoded = decodeWithin(new Uint8Array(block), limit)
      if (decoded.buffer.byteLength === decoded.length) return decoded.buffer as ArrayBuffer
      return new Uint8Array(decoded).buffer
    }
  }
  addDecoder([compression], () => Promise.resolve(BoundedDecoder as never))
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0)

/** What all pages of a stack share. */
interface Page {
  readonly width: number
  readonly height: number
  readonly samples: number
  readonly dtype: Dtype
}

/** Reads a TIFF: `yx`, `zyx` and so on, with `channel` last where a pixel has several samples. */
export async function decodeTiff(bytes: Uint8Array): Promise<Verdict<Image>> {
  try {
    const content = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength)
    return await readStack(content as ArrayBuffer)
  } catch (error) {
    // The library throws plain errors of many kinds for files that are damaged.
    return refuse('IMAGE', 'the TIFF is damaged or of an unknown kind', {
      got: (error as Error).message.slice(0, 200),
      hint: 'the file may be cut short; compare its size with the original',
    })
  }
}

async function readStack(content: ArrayBuffer): Promise<Verdict<Image>> {
  const tiff = await fromArrayBuffer(content)
  const images: GeoTIFFImage[] = []
  let page: Page | null = null
  let hasMore = true
  for (let i = 0; hasMore; i++) {
    if (i === MAX_PAGES) {
      return refuse('LIMIT', 'the TIFF has too many pages', { limit: MAX_PAGES })
    }
    const image = await tiff.getImage(i)
    hasMore = image.fileDirectory.nextIFDByteOffset !== 0
    const checked = await checkPage(image)
    if (!checked.ok) return { ...checked, field: `page ${i + 1}` }
    page ??= checked.value
    // Thumbnails and pyramid levels are pages of another size.
    if (!isSame(checked.value, page)) continue
    images.push(image)
    const pixels = page.width * page.height * images.length
    const fits = checkPixels(pixels, pixels * page.samples * bytesOf(page.dtype))
    if (!fits.ok) return fits
  }
  const [first] = images
  if (page === null || first === undefined) return refuse('IMAGE', 'the TIFF has no page')
  const { width, height, samples, dtype } = page
  const data = await readPages(images, page)
  const description = await first.fileDirectory.loadValue('ImageDescription')
  const stack = stackAxes(typeof description === 'string' ? description : '', images.length)
  const axes = [...stack.map(({ axis }) => axis), 'y', 'x', ...(samples > 1 ? ['channel'] : [])]
  const shape = [...stack.map(({ size }) => size), height, width, ...(samples > 1 ? [samples] : [])]
  if (new Set(axes).size < axes.length) {
    return refuse('FORMAT', 'the TIFF has channels both as pages and as samples')
  }
  const extra = await first.fileDirectory.loadValue('ExtraSamples')
  const hasAlpha =
    samples > 1 && Array.from(extra ?? []).some((kind) => ALPHA.includes(Number(kind)))
  return accept({
    format: 'tiff',
    tensor: { dtype, axes, shape, data },
    hasAlpha,
    isStackGuessed: stack.some(({ isGuessed }) => isGuessed),
  })
}

const isSame = (a: Page, b: Page): boolean =>
  a.width === b.width && a.height === b.height && a.samples === b.samples && a.dtype === b.dtype

/** Everything that bounds the decoding of a page, before it is decoded. */
async function checkPage(image: GeoTIFFImage): Promise<Verdict<Page>> {
  const directory = image.fileDirectory
  const compression = Number((await directory.loadValue('Compression')) ?? 1)
  if (!TIFF_CODECS.has(compression)) {
    return refuse('FORMAT', 'a TIFF compression that is not read', {
      got: `compression ${compression}`,
      limit: 'none, LZW, deflate, PackBits, Zstandard',
      hint: 'save it uncompressed or with deflate',
    })
  }
  const predictor = Number((await directory.loadValue('Predictor')) ?? 1)
  if (predictor !== 1 && !image.littleEndian) {
    // geotiff 3.0 undoes predictors in the byte order of the machine: wrong values, no error.
    return refuse('FORMAT', 'big-endian TIFF with a predictor is not read', {
      got: `predictor ${predictor}`,
      hint: 'save it little-endian or without a predictor',
    })
  }
  const width = image.getWidth()
  const height = image.getHeight()
  const samples = image.getSamplesPerPixel()
  const bits = Array.from((await directory.loadValue('BitsPerSample')) ?? [1], Number)
  const formats = Array.from((await directory.loadValue('SampleFormat')) ?? [1], Number)
  const kinds = new Set(bits.map((b, i) => `${formats[i] ?? formats[0]}/${b}`))
  const dtype = DTYPE_OF[[...kinds].join()]
  if (dtype === undefined || bits.length !== samples) {
    return refuse('FORMAT', 'TIFF samples that are not read', {
      got: `sample format ${formats}, ${bits} bits`,
      limit: 'unsigned and signed integers of 8, 16, 32 bits, floats of 16, 32, 64',
    })
  }
  const tile = { width: image.getTileWidth(), height: image.getTileHeight() }
  const sizes = [width, height, samples, tile.width, tile.height]
  if (!sizes.every((size) => Number.isSafeInteger(size) && size > 0)) {
    return refuse('IMAGE', 'a size in the TIFF is not valid', { got: sizes.join(' ') })
  }
  const pixels = width * height
  const fits = checkPixels(pixels, pixels * samples * bytesOf(dtype))
  if (!fits.ok) return fits
  const blocks = Math.ceil(width / tile.width) * Math.ceil(height / tile.height) * samples
  const blockBytes = blocks * tile.width * tile.height * bytesOf(dtype)
  if (blocks > MAX_BLOCKS || blockBytes > 2 * MAX_DECODED_BYTES) {
    return refuse('LIMIT', 'the TIFF has too many or too large strips or tiles', {
      limit: MAX_BLOCKS,
      got: blocks,
    })
  }
  return accept({ width, height, samples, dtype })
}

async function readPages(images: readonly GeoTIFFImage[], page: Page): Promise<TypedArray> {
  const size = page.width * page.height * page.samples
  const [only] = images
  if (images.length === 1 && only !== undefined) return elements(only)
  const data = allocate(page.dtype, size * images.length)
  for (const [i, image] of images.entries()) data.set((await elements(image)) as never, i * size)
  return data
}

async function elements(image: GeoTIFFImage): Promise<TypedArray> {
  // SAFE: with `interleave` it is one array of the page's element type, checked above.
  const raster = (await image.readRasters({ interleave: true })) as unknown as TypedArray
  // A view without the properties that the library hangs on its arrays.
  return raster.subarray()
}

interface StackAxis {
  readonly axis: string
  readonly size: number
  readonly isGuessed: boolean
}

const AXIS_OF: Readonly<Record<string, string>> = { Z: 'z', C: 'channel', T: 'time' }

/** What the pages are, slowest first. Axes of one page are left out. */
export function stackAxes(description: string, pages: number): readonly StackAxis[] {
  if (pages === 1) return []
  const named = omeAxes(description) ?? imageJAxes(description) ?? []
  const stack = named.filter(({ size }) => size > 1)
  const total = stack.reduce((product, { size }) => product * size, 1)
  if (total === pages) return stack.map((entry) => ({ ...entry, isGuessed: false }))
  return [{ axis: 'z', size: pages, isGuessed: true }]
}

type NamedAxis = Omit<StackAxis, 'isGuessed'>

/** https://docs.openmicroscopy.org/ome-model: DimensionOrder names the fastest axis first. */
function omeAxes(description: string): readonly NamedAxis[] | null {
  const pixels = /<(?:\w+:)?Pixels\b([^>]*)>/.exec(description)?.[1]
  const order = pixels === undefined ? undefined : /DimensionOrder="XY([ZCT]{3})"/.exec(pixels)?.[1]
  if (pixels === undefined || order === undefined) return null
  return [...order].reverse().map((letter) => ({
    axis: AXIS_OF[letter] ?? letter,
    size: Number(new RegExp(`Size${letter}="(\\d+)"`).exec(pixels)?.[1] ?? 1),
  }))
}

/** ImageJ: time slowest, then z, then channel. */
function imageJAxes(description: string): readonly NamedAxis[] | null {
  if (!description.startsWith('ImageJ=')) return null
  const size = (name: string): number =>
    Number(new RegExp(`^${name}=(\\d+)`, 'm').exec(description)?.[1] ?? 1)
  return [
    { axis: 'time', size: size('frames') },
    { axis: 'z', size: size('slices') },
    { axis: 'channel', size: size('channels') },
  ]
}

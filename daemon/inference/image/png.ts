/**
 * PNG. fast-png undoes filters and interlacing, but inflates without a bound and keeps every chunk,
 * so this file reads the chunks itself: sizes from IHDR are checked first, the pixels are inflated
 * to exactly the length that IHDR implies, and only the chunks that matter are passed on.
 */
import { promisify } from 'node:util'
import { crc32, deflateSync, inflate } from 'node:zlib'
import { decode, encode } from 'fast-png'
import { accept, refuse, type Verdict } from '../../../protocol/errors.ts'
import type { Tensor } from '../tensor.ts'
import { checkPixels, type Image } from './image.ts'

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]
/** Colour type -> samples of a pixel. */
const SAMPLES: Readonly<Record<number, number>> = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 }
const PALETTE = 3
/** Colour type -> bit depths that it may have. */
const DEPTHS: Readonly<Record<number, readonly number[]>> = {
  0: [1, 2, 4, 8, 16],
  2: [8, 16],
  3: [1, 2, 4, 8],
  4: [8, 16],
  6: [8, 16],
}
/** First column, first row, column step and row step of Adam7's passes. */
const ADAM7 = [
  [0, 0, 8, 8],
  [4, 0, 8, 8],
  [0, 4, 4, 8],
  [2, 0, 4, 4],
  [0, 2, 2, 4],
  [1, 0, 2, 2],
  [0, 1, 1, 2],
] as const

export const isPng = (bytes: Uint8Array): boolean => SIGNATURE.every((byte, i) => bytes[i] === byte)

interface PngHeader {
  readonly width: number
  readonly height: number
  readonly depth: number
  readonly colour: number
  readonly samples: number
  /** Bytes of the filtered pixels. */
  readonly rawBytes: number
}

/**
 * Reads a PNG: `yx` for gray, `yxc` otherwise; palettes become RGB, gray of 1, 2 and 4 bits is
 * spread over 0 to 255. Colour profiles and gamma are left alone.
 */
export async function decodePng(bytes: Uint8Array): Promise<Verdict<Image>> {
  const chunks = readChunks(bytes)
  if (!chunks.ok) return chunks
  const header = readHeader(chunks.value)
  if (!header.ok) return header
  const { width, height, depth, colour, samples, rawBytes } = header.value
  const fits = checkPixels(width * height, rawBytes)
  if (!fits.ok) return fits
  const raw = await inflatePixels(chunks.value, rawBytes)
  if (!raw.ok) return raw
  let image: ReturnType<typeof decode>
  try {
    image = decode(repack(chunks.value, raw.value))
  } catch (error) {
    return refuse('IMAGE', 'the PNG cannot be decoded', { got: (error as Error).message })
  }
  const data = depth < 8 ? unpack(image.data, width, height, depth) : image.data
  if (colour === PALETTE) return fromPalette(data, image.palette ?? [], width, height)
  if (depth < 8)
    for (let i = 0; i < data.length; i++) data[i] = ((data[i] ?? 0) * 255) / (2 ** depth - 1)
  return accept(imageOf(data, width, height, samples))
}

function imageOf(
  data: Uint8Array | Uint8ClampedArray | Uint16Array,
  width: number,
  height: number,
  samples: number,
): Image {
  const elements = data instanceof Uint8ClampedArray ? new Uint8Array(data.buffer) : data
  const tensor: Tensor = {
    dtype: elements instanceof Uint16Array ? 'uint16' : 'uint8',
    axes: samples === 1 ? ['y', 'x'] : ['y', 'x', 'channel'],
    shape: samples === 1 ? [height, width] : [height, width, samples],
    data: elements,
  }
  return { format: 'png', tensor, hasAlpha: samples === 2 || samples === 4, isStackGuessed: false }
}

interface Chunk {
  readonly type: string
  readonly content: Uint8Array
}

/** Every chunk up to IEND, checksums verified for those that are used. */
function readChunks(bytes: Uint8Array): Verdict<readonly Chunk[]> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const chunks: Chunk[] = []
  for (let at = SIGNATURE.length; at + 12 <= bytes.length; ) {
    const length = view.getUint32(at)
    if (at + 12 + length > bytes.length) break
    const type = String.fromCharCode(...bytes.subarray(at + 4, at + 8))
    const content = bytes.subarray(at + 8, at + 8 + length)
    if (USED.has(type)) {
      if (crc32(bytes.subarray(at + 4, at + 8 + length)) !== view.getUint32(at + 8 + length)) {
        return refuse('IMAGE', 'the PNG is damaged', { field: type, got: 'wrong checksum' })
      }
      chunks.push({ type, content })
    }
    if (type === 'IEND') return accept(chunks)
    at += 12 + length
  }
  return refuse('IMAGE', 'the PNG ends too early', { got: bytes.length })
}

const USED: ReadonlySet<string> = new Set(['IHDR', 'PLTE', 'IDAT', 'IEND'])

function readHeader(chunks: readonly Chunk[]): Verdict<PngHeader> {
  const [first] = chunks
  if (first?.type !== 'IHDR' || first.content.length !== 13) {
    return refuse('IMAGE', 'the PNG does not begin with its header')
  }
  const { content } = first
  const view = new DataView(content.buffer, content.byteOffset, content.byteLength)
  const width = view.getUint32(0)
  const height = view.getUint32(4)
  const [depth = 0, colour = 0, compression, filter, interlace = 0] = content.subarray(8)
  const samples = SAMPLES[colour]
  const isKnown =
    samples !== undefined &&
    DEPTHS[colour]?.includes(depth) &&
    compression === 0 &&
    filter === 0 &&
    interlace <= 1
  if (depth < 8 && interlace === 1) {
    return refuse('FORMAT', 'interlaced PNG of less than 8 bits is not read', { got: depth })
  }
  if (!isKnown || width === 0 || height === 0) {
    return refuse('IMAGE', 'the PNG header is not valid', {
      got: `${width} x ${height}, depth ${depth}, colour type ${colour}`,
    })
  }
  const line = (pixels: number): number => 1 + Math.ceil((pixels * depth * samples) / 8)
  const passes = interlace === 0 ? [[0, 0, 1, 1] as const] : ADAM7
  const rawBytes = passes.reduce((sum, [left, top, columns, rows]) => {
    const across = Math.ceil((width - left) / columns)
    const down = Math.ceil((height - top) / rows)
    return across > 0 && down > 0 ? sum + down * line(across) : sum
  }, 0)
  return accept({ width, height, depth, colour, samples, rawBytes })
}

async function inflatePixels(
  chunks: readonly Chunk[],
  rawBytes: number,
): Promise<Verdict<Uint8Array>> {
  const deflated = Buffer.concat(chunks.filter(({ type }) => type === 'IDAT').map((c) => c.content))
  let raw: Uint8Array
  try {
    raw = await promisify(inflate)(deflated, { maxOutputLength: rawBytes })
  } catch (error) {
    const isLonger = (error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE'
    return refuse(
      'IMAGE',
      isLonger ? 'the PNG holds more than its size says' : 'the PNG is damaged',
      {
        field: 'IDAT',
        limit: rawBytes,
      },
    )
  }
  if (raw.length === rawBytes) return accept(raw)
  return refuse('IMAGE', 'the PNG holds less than its size says', {
    field: 'IDAT',
    limit: rawBytes,
    got: raw.length,
  })
}

/** The same picture with its pixels stored uncompressed, for the library. */
function repack(chunks: readonly Chunk[], raw: Uint8Array): Uint8Array {
  const stored = deflateSync(raw, { level: 0 })
  const parts: Uint8Array[] = [Uint8Array.from(SIGNATURE)]
  const write = (type: string, content: Uint8Array): void => {
    const head = Buffer.alloc(8)
    head.writeUInt32BE(content.length)
    head.write(type, 4, 'latin1')
    // The library does not look at checksums.
    parts.push(head, content, Buffer.alloc(4))
  }
  for (const { type, content } of chunks) {
    if (type === 'IHDR' || type === 'PLTE') write(type, content)
  }
  write('IDAT', stored)
  write('IEND', new Uint8Array(0))
  return Buffer.concat(parts)
}

/** Samples of less than a byte, one element each; rows begin on a byte. */
function unpack(
  packed: Uint8Array | Uint8ClampedArray | Uint16Array,
  width: number,
  height: number,
  depth: number,
): Uint8Array {
  const line = Math.ceil((width * depth) / 8)
  const mask = 2 ** depth - 1
  const out = new Uint8Array(width * height)
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const bit = x * depth
      const byte = packed[y * line + (bit >> 3)] ?? 0
      out[y * width + x] = (byte >> (8 - depth - (bit & 7))) & mask
    }
  }
  return out
}

function fromPalette(
  indices: Uint8Array | Uint8ClampedArray | Uint16Array,
  palette: readonly (readonly number[])[],
  width: number,
  height: number,
): Verdict<Image> {
  const data = new Uint8Array(width * height * 3)
  for (let i = 0; i < width * height; i++) {
    const colour = palette[indices[i] ?? 0]
    if (colour === undefined) {
      return refuse('IMAGE', 'a pixel beyond the palette of the PNG', { field: 'PLTE' })
    }
    data.set(colour.slice(0, 3), i * 3)
  }
  return accept(imageOf(data, width, height, 3))
}

export interface PngPixels {
  readonly width: number
  readonly height: number
  /** 1 gray, 3 RGB; interleaved. */
  readonly channels: 1 | 3
  readonly data: Uint8Array | Uint16Array
}

export const encodePng = ({ width, height, channels, data }: PngPixels): Uint8Array =>
  encode({ width, height, channels, data, depth: data instanceof Uint16Array ? 16 : 8 })

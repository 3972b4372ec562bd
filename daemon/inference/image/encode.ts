/**
 * Results as files. What each format can hold of a tensor:
 *
 * - npy: everything, as it is.
 * - tiff: time, z, channel, y, x as ImageJ orders them; true and false become 255 and 0; 64-bit
 *   integers become 32-bit ones where every value fits.
 * - png: one plane of one, two or three channels (two become red and green). True and false are 255
 *   and 0. Integers keep their values, in 8 bits if all are below 256, otherwise in 16. Floats
 *   between 0 and 1 are spread over 0 to 65535; others are spread from their smallest to their
 *   largest value, and a note gives both.
 * - zip: several results, each as a file of its own.
 *
 * Where nobody asked for a format it is the input's, or the next of png, tiff, npy that holds it.
 */
import { buffer } from 'node:stream/consumers'
import { ZipFile } from 'yazl'
import { accept, type Failure, refuse, type Verdict } from '../../../protocol/errors.ts'
import type { TensorDescription } from '../../../protocol/model-description.ts'
import type { RunLimits } from '../engine.ts'
import { transpose } from '../layout.ts'
import { convert, type Tensor } from '../tensor.ts'
import type { ImageCodec } from './codec.ts'
import { EXTENSIONS, MEDIA_TYPES, type OutputFormat } from './formats.ts'
import type { ImageFormat } from './image.ts'
import { encodeNpy } from './npy.ts'
import type { PngPixels } from './png.ts'
import { encodeTiff } from './tiff-writer.ts'

export interface Encoded {
  readonly body: Uint8Array
  readonly mediaType: string
  readonly notes: readonly string[]
}

export interface EncodeRequest {
  readonly descriptions: readonly TensorDescription[]
  /** In the same order. */
  readonly outputs: readonly Tensor[]
  /** What the client asked for. */
  readonly wanted: OutputFormat | null
  /** What the client sent. */
  readonly given: ImageFormat
}

/** @returns FORMAT or PARAMETER where the format that was asked for cannot hold the result */
export async function encodeOutputs(
  { descriptions, outputs, wanted, given }: EncodeRequest,
  codec: ImageCodec,
  limits: RunLimits,
): Promise<Verdict<Encoded>> {
  if (outputs.length === 1 && wanted !== 'zip') {
    const [output] = outputs
    const [description] = descriptions
    if (output === undefined || description === undefined) throw new TypeError('no output')
    const one = await encodeOne(
      output,
      description,
      wanted ?? given,
      wanted !== null,
      codec,
      limits,
    )
    if (!one.ok) return one
    const { bytes, format, notes } = one.value
    return accept({ body: bytes, mediaType: MEDIA_TYPES[format], notes })
  }
  if (wanted !== null && wanted !== 'zip') {
    return refuse('PARAMETER', `the model has ${outputs.length} results, and ${wanted} holds one`, {
      field: 'output',
      got: wanted,
      limit: 'zip',
      hint: 'ask for zip',
    })
  }
  const zip = new ZipFile()
  const notes: string[] = []
  for (const [i, output] of outputs.entries()) {
    const description = descriptions[i]
    if (description === undefined) throw new TypeError('an output without a description')
    const inner = given === 'png' ? 'tiff' : given
    const one = await encodeOne(output, description, inner, false, codec, limits)
    if (!one.ok) return one
    const { bytes, format } = one.value
    notes.push(...one.value.notes)
    // Floats hardly shrink; a stored file opens at once.
    const content = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    zip.addBuffer(content, `${description.id}.${EXTENSIONS[format]}`, { compress: false })
  }
  zip.end()
  return accept({ body: await buffer(zip.outputStream), mediaType: MEDIA_TYPES.zip, notes })
}

interface EncodedOne {
  readonly bytes: Uint8Array
  readonly format: ImageFormat
  readonly notes: readonly string[]
}

/** Formats to fall back to, in order. */
const FALLBACKS: Readonly<Record<ImageFormat, readonly ImageFormat[]>> = {
  png: ['png', 'tiff', 'npy'],
  tiff: ['tiff', 'npy'],
  npy: ['npy'],
}

async function encodeOne(
  output: Tensor,
  description: TensorDescription,
  first: ImageFormat,
  isAsked: boolean,
  codec: ImageCodec,
  limits: RunLimits,
): Promise<Verdict<EncodedOne>> {
  let failure: Failure | null = null
  for (const format of isAsked ? [first] : FALLBACKS[first]) {
    const encoded = await encodeAs(format, output, description, codec, limits)
    if (encoded.ok) {
      const why = failure === null ? [] : [`${description.id}: ${format}, since ${failure.message}`]
      return accept({ ...encoded.value, format, notes: [...why, ...encoded.value.notes] })
    }
    failure = encoded
  }
  if (failure === null) throw new TypeError('no format')
  return failure
}

async function encodeAs(
  format: ImageFormat,
  output: Tensor,
  description: TensorDescription,
  codec: ImageCodec,
  limits: RunLimits,
): Promise<Verdict<{ bytes: Uint8Array; notes: readonly string[] }>> {
  if (format === 'npy') return accept({ bytes: encodeNpy(output), notes: [] })
  const planes = toPlanes(output, description)
  if (!planes.ok) return planes
  if (format === 'tiff') {
    const held = forTiff(planes.value)
    const tiff = encodeTiff(held)
    if (!tiff.ok) return tiff
    return accept({ bytes: tiff.value, notes: [] })
  }
  const picture = toPicture(planes.value, description.id)
  if (!picture.ok) return picture
  const png = await codec.encodePng(picture.value.pixels, limits)
  if (!png.ok) return png
  return accept({ bytes: png.value, notes: picture.value.notes })
}

const PLANE_AXES = ['time', 'z', 'channel', 'y', 'x']

/** The tensor with exactly the axes time, z, channel, y, x. */
function toPlanes(tensor: Tensor, description: TensorDescription): Verdict<Tensor> {
  const space = description.axes.filter(({ type }) => type === 'space').map(({ id }) => id)
  const names = new Map(space.toReversed().map((id, i) => [id, ['x', 'y', 'z'][i] ?? id]))
  const axes: string[] = []
  const shape: number[] = []
  for (const [d, axis] of description.axes.entries()) {
    const size = tensor.shape[d] ?? 1
    if (size === 1 && (axis.type === 'batch' || axis.type === 'index')) continue
    // Several samples of a batch stand one after another, as time does.
    const isTime = axis.type === 'time' || axis.type === 'batch'
    const name = isTime ? 'time' : axis.type === 'channel' ? 'channel' : names.get(axis.id)
    if (name === undefined || !PLANE_AXES.includes(name) || axes.includes(name)) {
      return noPicture(tensor, description)
    }
    axes.push(name)
    shape.push(size)
  }
  if (!axes.includes('y') || !axes.includes('x')) return noPicture(tensor, description)
  const missing = PLANE_AXES.filter((axis) => !axes.includes(axis))
  const whole = {
    ...tensor,
    axes: [...missing, ...axes],
    shape: [...missing.map(() => 1), ...shape],
  }
  return accept(transpose(whole, PLANE_AXES))
}

const noPicture = (tensor: Tensor, { id }: TensorDescription): Failure =>
  refuse('FORMAT', 'the result is not a picture', {
    field: id,
    got: tensor.axes.join(', '),
    hint: 'ask for npy',
  })

function forTiff(tensor: Tensor): Tensor {
  if (tensor.dtype === 'bool') return masked(tensor)
  if (tensor.dtype !== 'int64' && tensor.dtype !== 'uint64') return tensor
  const narrow = convert(tensor, 'int32')
  const { data } = tensor
  for (let i = 0; i < data.length; i++) if (narrow.data[i] !== Number(data[i])) return tensor
  return narrow
}

/** ImageJ's masks are 0 and 255. */
function masked(tensor: Tensor): Tensor {
  const data = new Uint8Array(tensor.data.length)
  for (let i = 0; i < data.length; i++) data[i] = tensor.data[i] ? 255 : 0
  return { ...tensor, dtype: 'uint8', data }
}

interface Picture {
  readonly pixels: PngPixels
  readonly notes: readonly string[]
}

function toPicture(planes: Tensor, id: string): Verdict<Picture> {
  const [time = 1, z = 1, channels = 1, height = 1, width = 1] = planes.shape
  if (time * z > 1) {
    return refuse('FORMAT', 'PNG holds one plane', {
      field: id,
      got: time * z,
      hint: 'ask for tiff',
    })
  }
  if (channels > 3) {
    return refuse('FORMAT', 'PNG holds at most three channels', {
      field: id,
      limit: 3,
      got: channels,
      hint: 'ask for tiff or npy',
    })
  }
  const levels = toLevels(planes, id)
  if (!levels.ok) return levels
  const { data, notes } = levels.value
  if (channels === 1) return accept({ pixels: { width, height, channels: 1, data }, notes })
  const pixels = width * height
  const mixed =
    data instanceof Uint16Array ? new Uint16Array(pixels * 3) : new Uint8Array(pixels * 3)
  for (let c = 0; c < channels; c++) {
    for (let i = 0; i < pixels; i++) mixed[i * 3 + c] = data[c * pixels + i] ?? 0
  }
  const colours = channels === 2 ? [`${id}: channel 0 is red and channel 1 green`] : []
  return accept({
    pixels: { width, height, channels: 3, data: mixed },
    notes: [...notes, ...colours],
  })
}

interface Levels {
  readonly data: Uint8Array | Uint16Array
  readonly notes: readonly string[]
}

const MAX_LEVEL = 65535

function toLevels(tensor: Tensor, id: string): Verdict<Levels> {
  const { data, dtype } = tensor
  if (dtype === 'bool') return accept({ data: masked(tensor).data as Uint8Array, notes: [] })
  if (data instanceof Uint8Array || data instanceof Uint16Array) return accept({ data, notes: [] })
  if (data instanceof Float32Array || data instanceof Float64Array) return accept(spread(data, id))
  let max = 0
  for (let i = 0; i < data.length; i++) {
    const value = Number(data[i])
    if (value < 0 || value > MAX_LEVEL) {
      return refuse('FORMAT', `PNG holds values from 0 to ${MAX_LEVEL}`, {
        field: id,
        got: value,
        hint: 'ask for tiff or npy',
      })
    }
    if (value > max) max = value
  }
  const levels = max < 256 ? new Uint8Array(data.length) : new Uint16Array(data.length)
  for (let i = 0; i < data.length; i++) levels[i] = Number(data[i])
  return accept({ data: levels, notes: [] })
}

function spread(data: Float32Array | Float64Array, id: string): Levels {
  let min = Infinity
  let max = -Infinity
  for (let i = 0; i < data.length; i++) {
    const value = data[i] as number
    if (value < min && value > -Infinity) min = value
    if (value > max && value < Infinity) max = value
  }
  const isShare = min >= 0 && max <= 1
  const low = isShare ? 0 : min
  const high = isShare ? 1 : max
  const factor = high > low ? MAX_LEVEL / (high - low) : 0
  const levels = new Uint16Array(data.length)
  for (let i = 0; i < data.length; i++) {
    const level = ((data[i] as number) - low) * factor
    // Infinities at the ends, NaN at 0.
    levels[i] = level >= MAX_LEVEL ? MAX_LEVEL : level > 0 ? level + 0.5 : 0
  }
  const notes =
    isShare || !(max > -Infinity)
      ? []
      : [
          `${id}: values ${low} to ${high} are spread over 0 to ${MAX_LEVEL}; tiff and npy keep them`,
        ]
  return { data: levels, notes }
}

/**
 * An image's axes onto those that a card names for an input. What is dropped or reinterpreted is
 * said in a note; what would be a guess is refused. Pure.
 */
import { fits } from '../../protocol/axis-size.ts'
import { accept, type Detail, type Failure, refuse, type Verdict } from '../../protocol/errors.ts'
import type { Axis, TensorDescription } from '../../protocol/model-description.ts'
import { describeSize } from './fit.ts'
import type { Image } from './image/image.ts'
import { transpose } from './layout.ts'
import { allocate, describe, sizeAlong, type Tensor } from './tensor.ts'

export interface Mapped {
  /** Axes in the card's order, by the card's ids. */
  readonly tensor: Tensor
  readonly notes: readonly string[]
}

/** @returns INPUT where the image has other axes than the input takes */
export function mapAxes(image: Image, input: TensorDescription): Verdict<Mapped> {
  return image.tensor.axes.length === 0 ? mapByRank(image.tensor, input) : mapByName(image, input)
}

/** Axes that an array without names may lack, in the order in which they are taken as missing. */
const OMITTED = ['batch', 'channel', 'index', 'time', 'space'] as const

/** Arrays: the card's order; singleton axes may be left out or stand in front. */
function mapByRank(tensor: Tensor, input: TensorDescription): Verdict<Mapped> {
  let { shape } = tensor
  while (shape.length > input.axes.length && shape[0] === 1) shape = shape.slice(1)
  const omitted = new Set<string>()
  for (const type of OMITTED) {
    for (const axis of input.axes) {
      const isMissing = input.axes.length - omitted.size > shape.length
      if (isMissing && axis.type === type && (type === 'batch' || fits(axis.size, 1))) {
        omitted.add(axis.id)
      }
    }
  }
  if (input.axes.length - omitted.size !== shape.length) {
    return refuseAxes(tensor, input, { hint: `send an array of axes ${idsOf(input).join(', ')}` })
  }
  const sizes = shape.values()
  const full = input.axes.map(({ id }) => (omitted.has(id) ? 1 : (sizes.next().value ?? 1)))
  const mapped = { ...tensor, axes: idsOf(input), shape: full }
  const channel = input.axes.find(({ type }) => type === 'channel')
  const channels = channel === undefined ? 1 : sizeAlong(mapped, channel.id)
  if (channel !== undefined && !fits(channel.size, channels)) {
    const isLast = fits(channel.size, shape.at(-1) ?? 0)
    return refuseChannels(input, channel, channels, {
      hint: isLast
        ? `the channels seem to be the last axis; the model takes ${idsOf(input).join(', ')}`
        : `send an array of axes ${idsOf(input).join(', ')}`,
    })
  }
  return accept({ tensor: mapped, notes: [] })
}

/** Images: by axis name. */
function mapByName(image: Image, input: TensorDescription): Verdict<Mapped> {
  const notes: string[] = []
  const stacked = nameStack(image, input, notes)
  const channelled = fitChannels(stacked, image.hasAlpha, input, notes)
  if (!channelled.ok) return channelled
  const tensor = renameSpace(squeeze(channelled.value, input), input)
  const surplus = tensor.axes.filter((axis) => !idsOf(input).includes(axis))
  if (surplus.length > 0) {
    return refuseAxes(image.tensor, input, { field: `${input.id}.${surplus[0]}` })
  }
  const missing = input.axes.filter(({ id }) => !tensor.axes.includes(id))
  const needed = missing.find((axis) => axis.type !== 'batch' && !fits(axis.size, 1))
  if (needed?.type === 'channel') return refuseChannels(input, needed, 1, {})
  if (needed !== undefined) {
    return refuseAxes(image.tensor, input, { field: `${input.id}.${needed.id}` })
  }
  const whole: Tensor = {
    ...tensor,
    axes: [...missing.map(({ id }) => id), ...tensor.axes],
    shape: [...missing.map(() => 1), ...tensor.shape],
  }
  return accept({ tensor: transpose(whole, idsOf(input)), notes })
}

const idsOf = (input: TensorDescription): string[] => input.axes.map(({ id }) => id)

const typeOf = (input: TensorDescription, type: Axis['type']): Axis | undefined =>
  input.axes.find((axis) => axis.type === type)

/** Pages without a name are `z`; where the card has no z, the axis that they fit. */
function nameStack(image: Image, input: TensorDescription, notes: string[]): Tensor {
  const { tensor } = image
  if (!image.isStackGuessed || idsOf(input).includes('z')) return tensor
  const pages = sizeAlong(tensor, 'z')
  const channel = typeOf(input, 'channel')
  const target =
    channel !== undefined && !tensor.axes.includes('channel') && fits(channel.size, pages)
      ? channel
      : typeOf(input, 'time')
  if (target === undefined) return tensor
  notes.push(`${input.id}: the ${pages} pages of the image are taken as ${target.id}`)
  return { ...tensor, axes: tensor.axes.map((axis) => (axis === 'z' ? target.id : axis)) }
}

/** Drops opacity, and takes one channel of gray images stored as colour. */
function fitChannels(
  tensor: Tensor,
  hasAlpha: boolean,
  input: TensorDescription,
  notes: string[],
): Verdict<Tensor> {
  const axis = typeOf(input, 'channel')
  const takes = (n: number): boolean => (axis === undefined ? n === 1 : fits(axis.size, n))
  let current = tensor
  let channels = sizeAlong(current, 'channel')
  if (takes(channels)) return accept(current)
  if (hasAlpha) {
    current = firstChannels(current, --channels)
    notes.push(`${input.id}: the opacity channel is dropped`)
    if (takes(channels)) return accept(current)
  }
  if (channels === 3 && takes(1) && isGray(current)) {
    notes.push(`${input.id}: the image is gray stored as RGB; one channel is used`)
    return accept(firstChannels(current, 1))
  }
  return refuseChannels(input, axis, channels, {
    ...(channels === 3 && takes(1) ? { hint: 'convert the image to gray scale first' } : {}),
  })
}

/** Of interleaved pixels: `channel` is the last axis of every image with several samples. */
function firstChannels(tensor: Tensor, keep: number): Tensor {
  const place = tensor.axes.indexOf('channel')
  const moved = transpose(tensor, [...tensor.axes.toSpliced(place, 1), 'channel'])
  const total = moved.shape.at(-1) ?? 1
  const pixels = moved.data.length / total
  const data = allocate(tensor.dtype, pixels * keep)
  for (let i = 0; i < pixels; i++) {
    for (let c = 0; c < keep; c++) data[i * keep + c] = moved.data[i * total + c] as never
  }
  return { ...moved, shape: [...moved.shape.slice(0, -1), keep], data }
}

function isGray(tensor: Tensor): boolean {
  const place = tensor.axes.indexOf('channel')
  if (place !== tensor.axes.length - 1) return false
  const { data } = tensor
  for (let i = 0; i < data.length; i += 3) {
    if (data[i] !== data[i + 1] || data[i] !== data[i + 2]) return false
  }
  return true
}

/** Without axes of size 1 that the input does not have; a plane stays one. */
function squeeze(tensor: Tensor, input: TensorDescription): Tensor {
  const isKept = tensor.axes.map(
    (axis, d) => idsOf(input).includes(axis) || tensor.shape[d] !== 1 || PLANE.includes(axis),
  )
  return {
    ...tensor,
    axes: tensor.axes.filter((_, d) => isKept[d]),
    shape: tensor.shape.filter((_, d) => isKept[d]),
  }
}

const PLANE = ['y', 'x']
const SPACE = ['z', ...PLANE]

/** Cards may name their space axes freely; then they are z, y, x in order. */
function renameSpace(tensor: Tensor, input: TensorDescription): Tensor {
  const space = input.axes.filter(({ type }) => type === 'space').map(({ id }) => id)
  if (space.length > SPACE.length || space.every((id) => SPACE.includes(id))) return tensor
  const names = SPACE.slice(SPACE.length - space.length)
  return { ...tensor, axes: tensor.axes.map((axis) => space[names.indexOf(axis)] ?? axis) }
}

function refuseAxes(tensor: Tensor, input: TensorDescription, detail: Detail): Failure {
  return refuse('INPUT', 'the image has other axes than the model takes', {
    field: input.id,
    limit: describeAxes(input),
    got: describe(tensor),
    ...detail,
  })
}

function refuseChannels(
  input: TensorDescription,
  axis: Axis | undefined,
  channels: number,
  detail: Detail,
): Failure {
  const limit = axis === undefined ? '1' : describeSize(axis)
  return refuse('INPUT', `the model takes ${limit} channels and the image has ${channels}`, {
    field: `${input.id}.${axis?.id ?? 'channel'}`,
    limit,
    got: channels,
    ...detail,
  })
}

const describeAxes = (input: TensorDescription): string =>
  input.axes.map((axis) => `${axis.id} ${describeSize(axis)}`).join(', ')

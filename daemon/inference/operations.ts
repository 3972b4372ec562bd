/**
 * Pre- and postprocessing as bioimageio.core 0.9 computes it, since published test outputs were
 * made with it. Pure. Where core differs from the format's own text, core is followed:
 *
 * - Statistics are of the raw tensor, before any op, whatever ops precede.
 * - `eps` of zero_mean_unit_variance and scale_range is always 1e-6; the card's is ignored.
 * - fixed_zero_mean_unit_variance divides by std + 1e-6.
 * - clip's percentiles are `inverted_cdf`, those of scale_range `linear`; scale_range does not clip.
 * - Statistics over the batch (or over all axes: `axes` null) are, with one sample, that sample's.
 *   A node never mixes the samples of different requests.
 * Core is not followed in one place: `binarize` with an axis applies its thresholds along that
 * axis, where core lets them broadcast along the last one.
 *
 * Elements are float32 between ops; float64 for what float32 cannot hold (32- and 64-bit integers,
 * float64), until an `ensure_dtype` says otherwise.
 */
import { ZoariumError } from '../../protocol/errors.ts'
import type { Dtype, Operation } from '../../protocol/model-description.ts'
import { forEachRun, type Groups, groupsBy, groupsWithout } from './groups.ts'
import {
  type Accumulator,
  accumulate,
  type FloatArray,
  type Moments,
  momentsOf,
  type PercentileMethod,
  percentiles,
} from './statistics.ts'
import { convert, countOf, sizeAlong, type Tensor } from './tensor.ts'

/** What core adds to every deviation or range that it divides by. */
export const EPSILON = 1e-6

/** The raw tensor whose statistics an op takes: `null`, the one that it works on. */
export type RawTensor = (reference: string | null) => Tensor

type FloatTensor = Tensor & { readonly data: FloatArray }

/** Element types that float32 holds exactly. */
const EXACT: ReadonlySet<Dtype> = new Set(['float32', 'uint8', 'int8', 'uint16', 'int16', 'bool'])

const isFloat = (tensor: Tensor): tensor is FloatTensor =>
  tensor.data instanceof Float32Array || tensor.data instanceof Float64Array

/** The elements as floats; the tensor itself where they are. */
function asFloats(tensor: Tensor): FloatTensor {
  const floats = isFloat(tensor)
    ? tensor
    : convert(tensor, EXACT.has(tensor.dtype) ? 'float32' : 'float64')
  // SAFE: convert to float32 or float64 gives these arrays.
  return floats as FloatTensor
}

/** Applies `operations` in order. `tensor` is left as it is. */
export function applyOperations(
  tensor: Tensor,
  operations: readonly Operation[],
  raw: RawTensor,
): Tensor {
  // Statistics read the raw tensor after ops have begun, so the first op that writes copies.
  let current = tensor
  let isOwn = false
  for (const [i, operation] of operations.entries()) {
    if (operation.op === 'ensure_dtype') {
      if (
        operation.dtype === current.dtype ||
        yieldsFloat32(current, operation, operations[i + 1])
      ) {
        continue
      }
      current = convert(current, operation.dtype)
      isOwn = true
      continue
    }
    const floats = asFloats(current)
    if (operation.op === 'binarize') {
      current = binarize(floats, operation)
      isOwn = true
      continue
    }
    const writable: FloatTensor =
      isOwn || floats !== current ? floats : { ...floats, data: floats.data.slice() }
    write(writable, operation, raw)
    current = writable
    isOwn = true
  }
  return current
}

/** A cast to float32 that the next op makes anyway, without a pass of its own. */
const yieldsFloat32 = (
  current: Tensor,
  operation: Operation & { readonly op: 'ensure_dtype' },
  next: Operation | undefined,
): boolean =>
  operation.dtype === 'float32' &&
  EXACT.has(current.dtype) &&
  next !== undefined &&
  next.op !== 'ensure_dtype'

type WritingOperation = Exclude<Operation, { readonly op: 'ensure_dtype' | 'binarize' }>

/** Applies one op in place. */
function write(tensor: FloatTensor, operation: WritingOperation, raw: RawTensor): void {
  switch (operation.op) {
    case 'clip':
      clip(tensor, operation, raw)
      break
    case 'scale_linear': {
      const { axis, gain, offset } = operation
      scale(tensor, along(tensor, axis), gain, offset)
      break
    }
    case 'fixed_zero_mean_unit_variance': {
      const { axis, mean, std } = operation
      const gain = std.map((value) => 1 / (value + EPSILON))
      scale(tensor, along(tensor, axis), gain, centred(mean, gain))
      break
    }
    case 'zero_mean_unit_variance': {
      const { groups, moments } = momentsPerGroup(raw(null), operation.axes)
      const gain = moments.map(({ std }) => 1 / (std + EPSILON))
      const means = moments.map(({ mean }) => mean)
      scale(tensor, groups, gain, centred(means, gain))
      break
    }
    case 'scale_range': {
      const { axes, minPercentile, maxPercentile, referenceTensor } = operation
      const percents = [minPercentile, maxPercentile]
      const { groups, values } = percentilesOf(raw(referenceTensor), axes, percents, 'linear')
      const gain = values.map(([low = NaN, high = NaN]) => 1 / (high - low + EPSILON))
      const lows = values.map(([low = NaN]) => low)
      scale(tensor, groups, gain, centred(lows, gain))
      break
    }
    case 'scale_mean_variance':
      scaleMeanVariance(tensor, operation, raw)
      break
    case 'sigmoid':
      sigmoid(tensor.data)
      break
    case 'softmax':
      softmax(tensor, operation.axis)
      break
    case 'unsupported':
      throw new TypeError(`the step ${operation.name} was not refused`)
  }
}

/** One group for each index of `axis`; null: one for all. */
const along = (tensor: Tensor, axis: string | null): Groups =>
  groupsBy(tensor, axis === null ? [] : [axis])

function clip(
  tensor: FloatTensor,
  { axes, min, max, minPercentile, maxPercentile }: Operation & { readonly op: 'clip' },
  raw: RawTensor,
): void {
  const of = (percent: number | null, bound: number | null): Bounds => {
    if (percent === null) {
      return { groups: along(tensor, null), values: bound === null ? [] : [bound] }
    }
    const { groups, values } = percentilesOf(raw(null), axes, [percent], 'inverted_cdf')
    return { groups, values: values.map(([value = NaN]) => value) }
  }
  const low = of(minPercentile, min)
  const high = of(maxPercentile, max)
  if (low.values.length > 0) clipBelow(tensor, low)
  if (high.values.length > 0) clipAbove(tensor, high)
}

/** The only op whose eps core honours. */
function scaleMeanVariance(
  tensor: FloatTensor,
  { axes, eps, referenceTensor }: Operation & { readonly op: 'scale_mean_variance' },
  raw: RawTensor,
): void {
  const own = momentsPerGroup(raw(null), axes)
  const other = momentsPerGroup(raw(referenceTensor), axes)
  const gain = own.moments.map(
    ({ std }, group) => (at(other.moments, group).std + eps) / (std + eps),
  )
  const offset = own.moments.map(
    ({ mean }, group) => at(other.moments, group).mean - mean * at(gain, group),
  )
  scale(tensor, own.groups, gain, offset)
}

interface Bounds {
  readonly groups: Groups
  /** Per group; empty: no bound. */
  readonly values: readonly number[]
}

/** The element for a group; lists of one element are for every group. */
function at<T>(list: readonly T[], group: number): T {
  const value = list.length === 1 ? list[0] : list[group]
  if (value === undefined) throw new TypeError(`no value for group ${group} of ${list.length}`)
  return value
}

/** @throws ZoariumError where a card's lists or statistics do not go with the tensor's sizes */
function checkGroups(tensor: Tensor, groups: Groups, values: readonly number[]): void {
  const fit = groups.axes.every((axis, i) => sizeAlong(tensor, axis) === groups.sizes[i])
  if (fit && (values.length === 1 || values.length === groups.count)) return
  throw new ZoariumError('MODEL_UNSUPPORTED', 'a step has other values than its axis has indices', {
    limit: groups.count,
    got: values.length,
    ...(groups.axes[0] === undefined ? {} : { field: groups.axes[0] }),
  })
}

const centred = (means: readonly number[], gain: readonly number[]): number[] =>
  means.map((mean, group) => -mean * at(gain, group))

function momentsPerGroup(
  raw: Tensor,
  axes: readonly string[] | null,
): { groups: Groups; moments: Moments[] } {
  const tensor = asFloats(raw)
  const groups = groupsWithout(tensor, axes)
  const sums = new Array<Accumulator | undefined>(groups.count).fill(undefined)
  forEachRun(tensor, groups, (start, end, group) => {
    sums[group] = accumulate(sums[group], tensor.data, start, end)
  })
  return { groups, moments: sums.map((sum) => (sum ? momentsOf(sum) : { mean: NaN, std: NaN })) }
}

function percentilesOf(
  raw: Tensor,
  axes: readonly string[] | null,
  percents: readonly number[],
  method: PercentileMethod,
): { groups: Groups; values: number[][] } {
  const tensor = asFloats(raw)
  const groups = groupsWithout(tensor, axes)
  const values = collect(tensor, groups).map((elements) => percentiles(elements, percents, method))
  return { groups, values }
}

/** The elements of each group side by side; a view where they already are. */
function collect(tensor: FloatTensor, groups: Groups): FloatArray[] {
  const size = countOf(tensor.shape) / groups.count
  const parts: FloatArray[] = []
  const filled = new Array<number>(groups.count).fill(0)
  forEachRun(tensor, groups, (start, end, group) => {
    const run = tensor.data.subarray(start, end)
    if (run.length === size) {
      parts[group] = run
      return
    }
    const part = parts[group] ?? tensor.data.slice(0, size)
    parts[group] = part
    part.set(run, filled[group] ?? 0)
    filled[group] = (filled[group] ?? 0) + run.length
  })
  return parts
}

/** x * gain + offset, in float64, rounded once. */
function scale(
  tensor: FloatTensor,
  groups: Groups,
  gain: readonly number[],
  offset: readonly number[],
): void {
  checkGroups(tensor, groups, gain)
  checkGroups(tensor, groups, offset)
  const { data } = tensor
  forEachRun(tensor, groups, (start, end, group) => {
    const factor = at(gain, group)
    const add = at(offset, group)
    for (let i = start; i < end; i++) data[i] = (data[i] as number) * factor + add
  })
}

// NaN passes both: every comparison with it is false.
function clipBelow(tensor: FloatTensor, { groups, values }: Bounds): void {
  const { data } = tensor
  forEachRun(tensor, groups, (start, end, group) => {
    const low = at(values, group)
    for (let i = start; i < end; i++) if ((data[i] as number) < low) data[i] = low
  })
}

function clipAbove(tensor: FloatTensor, { groups, values }: Bounds): void {
  const { data } = tensor
  forEachRun(tensor, groups, (start, end, group) => {
    const high = at(values, group)
    for (let i = start; i < end; i++) if ((data[i] as number) > high) data[i] = high
  })
}

function binarize(
  tensor: FloatTensor,
  { thresholds, axis }: Operation & { readonly op: 'binarize' },
): Tensor {
  const { data } = tensor
  const out = new Uint8Array(data.length)
  const groups = along(tensor, axis)
  checkGroups(tensor, groups, thresholds)
  forEachRun(tensor, groups, (start, end, group) => {
    const threshold = at(thresholds, group)
    for (let i = start; i < end; i++) out[i] = (data[i] as number) > threshold ? 1 : 0
  })
  return { ...tensor, dtype: 'bool', data: out }
}

/** Steps of the table between powers of two: the rest is at most ln(2)/512. */
const STEPS = 256
/** Half the table: the place of 2^0. */
const ORIGIN = 128 * STEPS
/** 2^(i / STEPS) from 2^-128 to 2^128. */
const POWERS = Float64Array.from({ length: 2 * ORIGIN }, (_, i) => 2 ** ((i - ORIGIN) / STEPS))
/** Beyond, e^x leaves the table; 1 / (1 + e^x) is 0 or 1 in float32 long before. */
const MAX_EXPONENT = 88
const STEPS_PER_UNIT = STEPS * Math.LOG2E
const UNITS_PER_STEP = Math.LN2 / STEPS

/**
 * 1 / (1 + e^-x). The exponential comes from a table and a cubic, to 1e-12 of its value: a third
 * faster than Math.exp, and this is the most costly step of most models.
 */
function sigmoid(data: FloatArray): void {
  for (let i = 0; i < data.length; i++) {
    const x = data[i] as number
    if (!(x < MAX_EXPONENT && x > -MAX_EXPONENT)) {
      data[i] = 1 / (1 + Math.exp(-x))
      continue
    }
    // Rounds: the sum is never negative.
    const place = (ORIGIN + 0.5 - x * STEPS_PER_UNIT) | 0
    const rest = (ORIGIN - place) * UNITS_PER_STEP - x
    const power = POWERS[place] as number
    data[i] = 1 / (1 + power * (1 + rest * (1 + rest * (0.5 + rest * (1 / 6)))))
  }
}

/** e^x / sum of e^x along `axis`, about the largest x. */
function softmax(tensor: FloatTensor, axis: string): void {
  const { data, axes, shape } = tensor
  const place = axes.indexOf(axis)
  if (place < 0) throw new TypeError(`no axis ${axis}`)
  const size = shape[place] ?? 1
  const step = countOf(shape.slice(place + 1))
  for (let block = 0; block < data.length; block += size * step) {
    for (let first = block; first < block + step; first++) {
      const end = first + size * step
      let max = -Infinity
      for (let i = first; i < end; i += step) max = Math.max(max, data[i] as number)
      let sum = 0
      for (let i = first; i < end; i += step) {
        const power = Math.exp((data[i] as number) - max)
        data[i] = power
        sum += power
      }
      for (let i = first; i < end; i += step) data[i] = (data[i] as number) / sum
    }
  }
}

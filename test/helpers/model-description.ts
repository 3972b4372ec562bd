/** Model descriptions for tests of the pipeline. */
import type {
  Axis,
  AxisSize,
  Dtype,
  ModelDescription,
  Operation,
  TensorDescription,
} from '../../protocol/model-description.ts'

export const fixed = (size: number): AxisSize => ({ kind: 'fixed', size })
export const stepped = (min: number, step: number): AxisSize => ({ kind: 'stepped', min, step })
export const like = (axis: string, tensor = 'raw', offset = 0): AxisSize => ({
  kind: 'reference',
  tensor,
  axis,
  offset,
})

const TYPES: Readonly<Record<string, Axis['type']>> = {
  batch: 'batch',
  channel: 'channel',
  index: 'index',
  time: 'time',
}

export const axis = (id: string, size: AxisSize, scale = 1): Axis => ({
  type: TYPES[id] ?? 'space',
  id,
  size,
  scale,
  unit: null,
  halo: 0,
  channelNames: [],
})

export interface TensorParts {
  readonly id?: string
  readonly axes: readonly Axis[]
  readonly dtype?: Dtype
  readonly operations?: readonly Operation[]
}

const tensor = (id: string, parts: TensorParts): TensorDescription => ({
  id: parts.id ?? id,
  description: '',
  axes: parts.axes,
  dtype: parts.dtype ?? 'float32',
  optional: false,
  testTensor: null,
  sampleTensor: null,
  operations: parts.operations ?? [],
})

/** A description with one input `raw` and outputs `result`, `result2`, ... */
export function descriptionOf(
  input: TensorParts,
  ...outputs: readonly TensorParts[]
): ModelDescription {
  return {
    formatVersion: '0.5.4',
    name: 'Example',
    description: '',
    id: null,
    version: null,
    license: null,
    tags: [],
    authors: [],
    cite: [],
    documentation: null,
    covers: [],
    inputs: [tensor('raw', input)],
    outputs: outputs.map((parts, i) => tensor(i === 0 ? 'result' : `result${i + 1}`, parts)),
    weights: [],
    tolerances: [],
    files: [],
  }
}

/** batch, channel, y, x in and out; sizes 8 + n * 8 unless given. */
export function imageModel(
  parts: {
    readonly size?: AxisSize
    readonly channels?: number
    readonly dtype?: Dtype
    readonly pre?: readonly Operation[]
    readonly post?: readonly Operation[]
  } = {},
): ModelDescription {
  const { size = stepped(8, 8), channels = 1, dtype = 'float32', pre = [], post = [] } = parts
  const batch = axis('batch', stepped(1, 1))
  const channel = axis('channel', fixed(channels))
  return descriptionOf(
    { axes: [batch, channel, axis('y', size), axis('x', size)], dtype, operations: pre },
    { axes: [batch, channel, axis('y', like('y')), axis('x', like('x'))], operations: post },
  )
}

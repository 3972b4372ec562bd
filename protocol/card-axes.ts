/** Axes and sizes of tensors in cards of format 0.5, and the rules that tie them together. */
import { scaledSize } from './axis-size.ts'
import type { Field } from './card-field.ts'
import type { Axis, AxisSize, AxisType } from './model-description.ts'

const AXIS_TYPES = ['batch', 'channel', 'index', 'time', 'space'] as const
const SHORT_IDS: Readonly<Record<string, string>> = {
  b: 'batch',
  c: 'channel',
  t: 'time',
  i: 'index',
}
const DEFAULT_IDS: Record<AxisType, string> = {
  batch: 'batch',
  channel: 'channel',
  index: 'index',
  time: 'time',
  space: 'x',
}
const AXIS_ID = {
  min: 1,
  max: 16,
  pattern: /^[a-z_][a-z0-9_]*$/,
  says: 'not a lower-case identifier',
}
/** Largest size of one axis; a card that says more is a mistake or an attack. */
const MAX_AXIS_SIZE = 2 ** 31

const KEYS: Record<AxisType, readonly string[]> = {
  batch: ['size'],
  channel: ['channel_names'],
  index: ['size', 'concatenable'],
  time: ['size', 'unit', 'scale', 'concatenable', 'halo'],
  space: ['size', 'unit', 'scale', 'concatenable', 'halo'],
}

/** An axis with the field that it was read from. */
export interface PlacedAxis {
  readonly axis: Axis
  readonly field: Field
}
export interface PlacedTensor {
  readonly id: string
  readonly axes: readonly PlacedAxis[]
}

export function normaliseAxisId(id: string): string {
  return SHORT_IDS[id] ?? id
}

/** The id of an axis, as a card writes it in a reference. */
export function readAxisId(field: Field): string | null {
  const id = field.text(AXIS_ID)
  return id === null ? null : normaliseAxisId(id)
}

export function readAxes(list: Field, side: 'input' | 'output'): readonly PlacedAxis[] {
  const axes: PlacedAxis[] = []
  for (const field of list.required().items()) {
    const axis = readAxis(field, side)
    if (axis === null) continue
    if (axes.some((other) => other.axis.id === axis.id)) {
      field.error('two axes of a tensor have one id', { got: axis.id })
    } else if (axis.type === 'batch' && axes.some((other) => other.axis.type === 'batch')) {
      field.error('a tensor has at most one batch axis')
    }
    axes.push({ axis, field })
  }
  if (list.isList && axes.length === 0) list.error('a tensor needs at least one axis')
  return axes
}

function readAxis(field: Field, side: 'input' | 'output'): Axis | null {
  const type = field.at('type').required().oneOf(AXIS_TYPES)
  if (type === null) return null
  field.closed(['type', 'id', 'description', ...KEYS[type]])
  const id = readAxisId(field.at('id')) ?? DEFAULT_IDS[type]
  const names = field.at('channel_names')
  const channelNames = names.items().map((name) => name.text({ min: 1, max: 256 }) ?? '')
  const size = readSizeOf(type, field, channelNames.length, side)
  const halo = field.at('halo').integer({ min: 1 }) ?? 0
  if (halo > 0 && (side === 'input' || size?.kind !== 'reference')) {
    field.at('halo').error('only output axes whose size is a reference may have a halo')
  }
  if (size === null) return null
  const scale = field.at('scale').number({ min: 0, isAbove: true, max: 1e12 }) ?? 1
  return { type, id, size, scale, unit: field.at('unit').text({ max: 64 }), halo, channelNames }
}

function readSizeOf(
  type: AxisType,
  field: Field,
  channels: number,
  side: 'input' | 'output',
): AxisSize | null {
  const given = field.at('size')
  if (type === 'channel') {
    if (channels > 0) return { kind: 'fixed', size: channels }
    field.at('channel_names').required()
    return null
  }
  if (type === 'batch') {
    const size = given.integer({ min: 1, max: 1 })
    return size === 1 ? { kind: 'fixed', size } : { kind: 'stepped', min: 1, step: 1 }
  }
  if (!given.isMap) {
    const size = given.required().integer({ min: 1, max: MAX_AXIS_SIZE })
    return size === null ? null : { kind: 'fixed', size }
  }
  if (given.has('tensor_id') || given.has('axis_id')) return readReference(given)
  if (given.has('step')) {
    given.closed(['min', 'step'])
    const min = given.at('min').required().integer({ min: 1, max: MAX_AXIS_SIZE })
    const step = given.at('step').required().integer({ min: 1, max: MAX_AXIS_SIZE })
    if (side === 'output') given.error('an output has no free size; refer to an input')
    return min === null || step === null ? null : { kind: 'stepped', min, step }
  }
  given.closed(['min', 'max'])
  const min = given.at('min').integer({ min: 1, max: MAX_AXIS_SIZE }) ?? 1
  const max = given.at('max').integer({ min: 1, isAbove: true, max: MAX_AXIS_SIZE })
  if (side === 'input' || type !== 'index') {
    given.error('only index axes of outputs may have a size that depends on the data')
  }
  if (max !== null && max < min) given.at('max').error('lies below min', { limit: min, got: max })
  return { kind: 'dependent', min, max }
}

function readReference(field: Field): AxisSize | null {
  field.closed(['tensor_id', 'axis_id', 'offset'])
  const tensor = field.at('tensor_id').required().text({ max: 32 })
  const axis = readAxisId(field.at('axis_id').required())
  const offset = field.at('offset').integer({ min: -MAX_AXIS_SIZE, max: MAX_AXIS_SIZE }) ?? 0
  return tensor === null || axis === null ? null : { kind: 'reference', tensor, axis, offset }
}

/**
 * Checks that sizes that refer to other axes do, and that what they give is usable.
 * @param tensors inputs, then outputs
 */
export function checkSizes(tensors: readonly PlacedTensor[]): void {
  const axes = new Map<string, Axis>()
  for (const { id, axes: own } of tensors) {
    for (const { axis } of own) {
      const name = `${id}.${axis.id}`
      // Inputs come first and win over an output of the same id.
      if (!axes.has(name)) axes.set(name, axis)
    }
  }
  for (const { axes: own } of tensors) {
    for (const { axis, field } of own) {
      if (axis.size.kind !== 'reference') continue
      const name = `${axis.size.tensor}.${axis.size.axis}`
      checkReference(axis, axis.size.offset, axes.get(name), field, name)
    }
  }
}

function checkReference(
  axis: Axis,
  offset: number,
  target: Axis | undefined,
  field: Field,
  name: string,
): void {
  const size = field.at('size')
  const least = target === undefined ? null : leastOf(target)
  if (target === undefined || target === axis || least === null) {
    size.error('refers to itself, or to an axis that does not exist or whose size is not stated', {
      got: name,
    })
    return
  }
  if (target.unit !== axis.unit) {
    size.error('refers to an axis of another unit', {
      limit: target.unit ?? 'no unit',
      got: axis.unit ?? 'no unit',
    })
  }
  const result = scaledSize({ size: least, scale: target.scale }, axis.scale, offset)
  if (result < 1) size.error('gives a size below 1', { got: result })
  else if (axis.halo > 0) checkHalo(axis.halo, result, axis.scale / target.scale, field.at('halo'))
}

/** The smallest size of an axis that others may refer to; null where none may. */
function leastOf({ type, size }: Axis): number | null {
  if (type === 'batch') return null
  if (size.kind === 'fixed') return size.size
  return size.kind === 'stepped' ? size.min : null
}

/** @param ratio elements of the input for one of the output */
function checkHalo(halo: number, least: number, ratio: number, field: Field): void {
  if (least - 2 * halo < 1) {
    field.error('the halo leaves nothing of the smallest size', {
      limit: Math.floor((least - 1) / 2),
      got: halo,
    })
  }
  if (!Number.isInteger(halo * ratio)) {
    field.error("the halo is not a whole number of the input's elements", { got: halo * ratio })
  }
}

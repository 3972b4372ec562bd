/** Pre- and postprocessing of format 0.4, by the names and arguments of 0.5. */
import type { Field } from './card-field.ts'
import type { Axis, Dtype, Operation } from './model-description.ts'

export interface OldOperationScope {
  readonly axes: readonly Axis[]
  readonly tensorIds: ReadonlySet<string>
  readonly side: 'input' | 'output'
}

const MAX_OPERATIONS = 64
const AXIS_IDS: Readonly<Record<string, string>> = {
  b: 'batch',
  i: 'index',
  t: 'time',
  c: 'channel',
}
const MODES = ['fixed', 'per_sample', 'per_dataset'] as const

/** In 0.4 an input is cast to its type first and to float32 last, an output to its type first. */
export function readOldOperations(
  list: Field,
  dtype: Dtype,
  scope: OldOperationScope,
): readonly Operation[] {
  const steps = list.items()
  if (steps.length > MAX_OPERATIONS) {
    list.error('has too many steps', { limit: MAX_OPERATIONS, got: steps.length })
  }
  const operations = steps
    .slice(0, MAX_OPERATIONS)
    .map((step) => readOperation(step, scope))
    .filter((operation) => operation !== null)
  const cast: Operation = { op: 'ensure_dtype', dtype }
  return scope.side === 'input'
    ? [cast, ...operations, { op: 'ensure_dtype', dtype: 'float32' }]
    : [cast, ...operations]
}

function readOperation(step: Field, scope: OldOperationScope): Operation | null {
  const name = step.at('name').required().text({ min: 1, max: 64 })
  const kwargs = step.at('kwargs')
  switch (name) {
    case null:
      return null
    case 'sigmoid':
      return { op: 'sigmoid' }
    case 'binarize': {
      const threshold = kwargs.at('threshold').required().number()
      return threshold === null ? null : { op: 'binarize', thresholds: [threshold], axis: null }
    }
    case 'clip': {
      const min = kwargs.at('min').required().number()
      const max = kwargs.at('max').required().number()
      if (min !== null && max !== null && min >= max) kwargs.error('min must lie below max')
      return { op: 'clip', min, max, minPercentile: null, maxPercentile: null, axes: null }
    }
    case 'scale_linear': {
      const along = readAlong(kwargs, ['gain', 'offset'], [1, 0], scope)
      return (
        along && { op: 'scale_linear', gain: along.first, offset: along.second, axis: along.axis }
      )
    }
    case 'zero_mean_unit_variance': {
      const mode = kwargs.at('mode').oneOf(MODES) ?? 'fixed'
      if (mode !== 'fixed') {
        return {
          op: 'zero_mean_unit_variance',
          axes: readAxes(kwargs, mode, scope),
          eps: readEps(kwargs),
        }
      }
      const along = readAlong(kwargs, ['mean', 'std'], [null, null], scope)
      return (
        along && {
          op: 'fixed_zero_mean_unit_variance',
          mean: along.first,
          std: along.second,
          axis: along.axis,
        }
      )
    }
    case 'scale_range': {
      const minPercentile =
        kwargs.at('min_percentile').number({ min: 0, max: 100, isBelow: true }) ?? 0
      const maxPercentile =
        kwargs.at('max_percentile').number({ min: 1, isAbove: true, max: 100 }) ?? 100
      if (minPercentile >= maxPercentile)
        kwargs.error('min_percentile must lie below max_percentile')
      return {
        op: 'scale_range',
        axes: readAxes(kwargs, kwargs.at('mode').required().oneOf(MODES), scope),
        minPercentile,
        maxPercentile,
        eps: readEps(kwargs),
        referenceTensor: readTensor(kwargs.at('reference_tensor'), scope),
      }
    }
    case 'scale_mean_variance': {
      const referenceTensor = readTensor(kwargs.at('reference_tensor').required(), scope)
      const axes = readAxes(kwargs, kwargs.at('mode').required().oneOf(MODES), scope)
      return referenceTensor === null
        ? null
        : { op: 'scale_mean_variance', referenceTensor, axes, eps: readEps(kwargs) }
    }
    default:
      step.warn(
        'an op that nodes do not compute',
        { got: name, hint: 'the model can be published and shared, but not run' },
        'MODEL_UNSUPPORTED',
      )
      return { op: 'unsupported', name }
  }
}

const readEps = (kwargs: Field): number =>
  kwargs.at('eps').number({ min: 0, isAbove: true, max: 0.1 }) ?? 1e-6

function readTensor(field: Field, { tensorIds }: OldOperationScope): string | null {
  const id = field.text()
  if (id !== null && !tensorIds.has(id))
    field.error('names no tensor of the card', { got: id.slice(0, 80) })
  return id
}

/** Letters of axes that a statistic is taken over, as ids; `per_dataset` takes the batch too. */
function readAxes(
  kwargs: Field,
  mode: (typeof MODES)[number] | null,
  scope: OldOperationScope,
): readonly string[] | null {
  if (!kwargs.at('axes').isGiven) return null
  const ids = readLetters(kwargs.at('axes'), scope)
  return mode === 'per_dataset' ? ['batch', ...ids.filter((id) => id !== 'batch')] : ids
}

function readLetters(field: Field, { axes }: OldOperationScope): readonly string[] {
  const letters = field.isList
    ? field.items().map((item) => item.text() ?? '')
    : [...(field.text() ?? '')]
  const ids = letters.map((letter) => AXIS_IDS[letter] ?? letter)
  const foreign = ids.find((id) => !axes.some((axis) => axis.id === id))
  if (foreign !== undefined)
    field.error('names an axis that the tensor does not have', { got: foreign })
  return ids
}

interface Along {
  readonly first: readonly number[]
  readonly second: readonly number[]
  readonly axis: string | null
}

/**
 * Two arguments, each a number or a list: lists run along the one axis that is not among `axes`
 * and not the batch.
 * @param fallbacks null: required
 */
function readAlong(
  kwargs: Field,
  names: readonly [string, string],
  fallbacks: readonly [number | null, number | null],
  scope: OldOperationScope,
): Along | null {
  const [first, second] = names.map((name, i) => {
    const field = kwargs.at(name)
    if (field.isList) return field.items().map((item) => item.required().number() ?? 0)
    if (!field.isGiven && fallbacks[i] === null) field.required()
    return [field.number() ?? fallbacks[i] ?? 0]
  })
  // SAFE: there are two names.
  const values = { first: first as number[], second: second as number[] }
  const length = Math.max(values.first.length, values.second.length)
  const joint = kwargs.at('axes').isGiven ? readLetters(kwargs.at('axes'), scope) : []
  if (length === 1) return { ...values, axis: null }
  const rest = scope.axes.filter((axis) => axis.type !== 'batch' && !joint.includes(axis.id))
  const [axis] = rest
  if (axis === undefined || rest.length > 1 || axis.size.kind !== 'fixed') {
    kwargs.error('lists of numbers need exactly one axis of fixed size that is not in axes')
    return null
  }
  const { size } = axis.size
  const spread = (numbers: readonly number[]) =>
    numbers.length === 1 ? Array<number>(Math.min(size, length)).fill(numbers[0] ?? 0) : numbers
  const along = { first: spread(values.first), second: spread(values.second), axis: axis.id }
  if (along.first.length === size && along.second.length === size) return along
  kwargs.error('needs one number for each index of the axis', { limit: size, got: length })
  return null
}

/** Pre- and postprocessing in cards of format 0.5: the ten standard ops with their bounds. */
import { readAxisId } from './card-axes.ts'
import type { Field } from './card-field.ts'
import type { CardFiles } from './card-files.ts'
import { type Axis, DTYPES, type Dtype, type Operation } from './model-description.ts'

/** What an op's arguments may refer to. */
export interface OperationScope {
  readonly axes: readonly Axis[]
  readonly tensorIds: ReadonlySet<string>
  readonly side: 'input' | 'output'
  readonly files: CardFiles
}

const MAX_OPERATIONS = 64
const DEFAULT_EPS = 1e-6
const MAX_EPS = 0.1
const MIN_STD = 1e-6

type Reader = (kwargs: Field, scope: OperationScope) => Operation | null

const READERS: Readonly<Record<string, Reader>> = {
  ensure_dtype(kwargs) {
    kwargs.required().closed(['dtype'])
    const dtype = kwargs.at('dtype').required().oneOf(DTYPES)
    return dtype && { op: 'ensure_dtype', dtype }
  },

  binarize(kwargs, scope) {
    kwargs.required().closed(['threshold', 'axis'])
    const list = readAlongAxis(kwargs, scope, { threshold: null })
    return list && { op: 'binarize', thresholds: list.values.threshold, axis: list.axis }
  },

  clip(kwargs, scope) {
    kwargs.required().closed(['min', 'max', 'min_percentile', 'max_percentile', 'axes'])
    const min = kwargs.at('min').number()
    const max = kwargs.at('max').number()
    const minPercentile = kwargs.at('min_percentile').number({ min: 0, max: 100, isBelow: true })
    const maxPercentile = kwargs.at('max_percentile').number({ min: 1, isAbove: true, max: 100 })
    if (kwargs.at('min').isGiven && kwargs.at('min_percentile').isGiven) {
      kwargs.error('gives both min and min_percentile')
    }
    if (kwargs.at('max').isGiven && kwargs.at('max_percentile').isGiven) {
      kwargs.error('gives both max and max_percentile')
    }
    if ([min, max, minPercentile, maxPercentile].every((bound) => bound === null)) {
      kwargs.error('needs at least one bound')
    }
    checkOrder(kwargs, 'min', min, max)
    checkOrder(kwargs, 'min_percentile', minPercentile, maxPercentile)
    return { op: 'clip', min, max, minPercentile, maxPercentile, axes: readAxes(kwargs, scope) }
  },

  scale_linear(kwargs, scope) {
    kwargs.required().closed(['gain', 'offset', 'axis'])
    const list = readAlongAxis(kwargs, scope, { gain: 1, offset: 0 })
    if (list === null) return null
    const { gain, offset } = list.values
    if (gain.every((g) => g === 1) && offset.every((o) => o === 0)) kwargs.warn('changes nothing')
    return { op: 'scale_linear', gain, offset, axis: list.axis }
  },

  sigmoid(kwargs) {
    kwargs.closed([])
    return { op: 'sigmoid' }
  },

  softmax(kwargs, scope) {
    kwargs.closed(['axis'])
    return { op: 'softmax', axis: readAxis(kwargs, scope) ?? requireAxis(kwargs, 'channel', scope) }
  },

  fixed_zero_mean_unit_variance(kwargs, scope) {
    kwargs.required().closed(['mean', 'std', 'axis'])
    const list = readAlongAxis(kwargs, scope, { mean: null, std: null })
    if (list === null) return null
    const { mean, std } = list.values
    if (std.some((value) => value < MIN_STD)) {
      kwargs.at('std').error('is too small', { limit: `>= ${MIN_STD}`, got: Math.min(...std) })
    }
    return { op: 'fixed_zero_mean_unit_variance', mean, std, axis: list.axis }
  },

  zero_mean_unit_variance(kwargs, scope) {
    kwargs.closed(['axes', 'eps'])
    return { op: 'zero_mean_unit_variance', axes: readAxes(kwargs, scope), eps: readEps(kwargs) }
  },

  scale_range(kwargs, scope) {
    kwargs.closed(['axes', 'min_percentile', 'max_percentile', 'eps', 'reference_tensor'])
    const minPercentile =
      kwargs.at('min_percentile').number({ min: 0, max: 100, isBelow: true }) ?? 0
    const maxPercentile =
      kwargs.at('max_percentile').number({ min: 1, isAbove: true, max: 100 }) ?? 100
    checkOrder(kwargs, 'min_percentile', minPercentile, maxPercentile)
    return {
      op: 'scale_range',
      axes: readAxes(kwargs, scope),
      minPercentile,
      maxPercentile,
      eps: readEps(kwargs),
      referenceTensor: readTensor(kwargs.at('reference_tensor'), scope),
    }
  },

  scale_mean_variance(kwargs, scope) {
    kwargs.required().closed(['reference_tensor', 'axes', 'eps'])
    if (scope.side === 'input') kwargs.error('scale_mean_variance is for outputs only')
    const referenceTensor = readTensor(kwargs.at('reference_tensor').required(), scope)
    const axes = readAxes(kwargs, scope)
    const eps = readEps(kwargs)
    return referenceTensor === null
      ? null
      : { op: 'scale_mean_variance', referenceTensor, axes, eps }
  },
}

/** Reads the list and completes it as the reference implementation does: casts first and last. */
export function readOperations(
  list: Field,
  dtype: Dtype,
  scope: OperationScope,
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
  if (scope.side === 'input' && operations[0]?.op !== 'ensure_dtype') operations.unshift(cast)
  const last = operations.at(-1)?.op
  if (last !== 'ensure_dtype' && last !== 'binarize') operations.push(cast)
  return operations
}

function readOperation(step: Field, scope: OperationScope): Operation | null {
  const name = step.at('id').required().text({ min: 1, max: 64 })
  if (name === null) return null
  const reader = Object.hasOwn(READERS, name) ? READERS[name] : undefined
  if (reader !== undefined) {
    step.closed(['id', 'kwargs'])
    return reader(step.at('kwargs'), scope)
  }
  // `custom` names a file of code; it travels with the package and is never run.
  if (step.at('source').isGiven) scope.files.readIn(step, 'other')
  if (step.at('kwargs').at('source').isGiven) scope.files.readIn(step.at('kwargs'), 'other')
  step.warn(
    'an op that nodes do not compute',
    { got: name, hint: 'the model can be published and shared, but not run' },
    'MODEL_UNSUPPORTED',
  )
  return { op: 'unsupported', name }
}

interface AlongAxis<K extends string> {
  readonly axis: string | null
  readonly values: Readonly<Record<K, readonly number[]>>
}

/**
 * Numbers without an axis, or lists with one element for each index of an axis. Single numbers
 * are repeated where another argument is a list.
 * @param fallbacks the arguments with their defaults; null: required
 */
function readAlongAxis<K extends string>(
  kwargs: Field,
  scope: OperationScope,
  fallbacks: Readonly<Record<K, number | null>>,
): AlongAxis<K> | null {
  const axis = readAxis(kwargs, scope)
  const given = Object.entries<number | null>(fallbacks).map(
    ([name, fallback]) => [name, readNumbers(kwargs.at(name), fallback)] as const,
  )
  if (given.some(([, numbers]) => numbers === null)) return null
  const lists = given.filter(([name]) => kwargs.at(name).isList)
  if (axis === null && lists.length > 0) {
    if (!kwargs.at('axis').isGiven) kwargs.error('lists of numbers need an axis')
    return null
  }
  const length = axis === null ? 1 : lengthOf(axis, scope)
  if (length === null) {
    kwargs.at('axis').error('must be an axis of fixed size', { got: axis ?? '' })
    return null
  }
  for (const [name, numbers] of lists) {
    if (numbers?.length === length) continue
    kwargs.at(name).error('needs one number for each index of the axis', {
      limit: length,
      got: numbers?.length ?? 0,
    })
    return null
  }
  // Without a list there is nothing to spread: one number serves all.
  const count = lists.length === 0 ? 1 : length
  const values = Object.fromEntries(
    given.map(([name, numbers]) => [
      name,
      kwargs.at(name).isList ? numbers : Array<number>(count).fill(numbers?.[0] ?? 0),
    ]),
  )
  // SAFE: the keys are those of `fallbacks`, and no list is null here.
  return { axis: lists.length === 0 ? null : axis, values: values as AlongAxis<K>['values'] }
}

function readNumbers(field: Field, fallback: number | null): readonly number[] | null {
  if (!field.isGiven && fallback !== null) return [fallback]
  field.required()
  if (!field.isGiven) return null
  const numbers = field.isList
    ? field.items().map((item) => item.required().number())
    : [field.number()]
  const valid = numbers.filter((number) => number !== null)
  return valid.length === numbers.length && valid.length > 0 ? valid : null
}

const lengthOf = (id: string, { axes }: OperationScope): number | null => {
  const size = axes.find((axis) => axis.id === id)?.size
  return size?.kind === 'fixed' ? size.size : null
}

function readAxis(kwargs: Field, scope: OperationScope): string | null {
  const id = readAxisId(kwargs.at('axis'))
  return id === null ? null : requireAxis(kwargs.at('axis'), id, scope)
}

function requireAxis(field: Field, id: string, scope: OperationScope): string {
  if (!scope.axes.some((axis) => axis.id === id)) {
    field.error('names an axis that the tensor does not have', {
      limit: scope.axes.map((axis) => axis.id).join(', '),
      got: id,
    })
  }
  return id
}

function readAxes(kwargs: Field, scope: OperationScope): readonly string[] | null {
  const field = kwargs.at('axes')
  if (!field.isGiven) return null
  return field
    .items()
    .map((item) => {
      const id = readAxisId(item)
      return id === null ? null : requireAxis(item, id, scope)
    })
    .filter((id) => id !== null)
}

function readTensor(field: Field, scope: OperationScope): string | null {
  const id = field.text()
  if (id !== null && !scope.tensorIds.has(id)) {
    field.error('names a tensor that the card does not have', { got: id.slice(0, 80) })
  }
  return id
}

const readEps = (kwargs: Field): number =>
  kwargs.at('eps').number({ min: 0, isAbove: true, max: MAX_EPS }) ?? DEFAULT_EPS

function checkOrder(kwargs: Field, name: string, low: number | null, high: number | null): void {
  if (low === null || high === null || low < high) return
  kwargs.at(name).error('must lie below the upper bound', { limit: `< ${high}`, got: low })
}

/**
 * Sizes of whole-image runs: each axis grows to the next size that the card allows, and results are
 * cut back to what the card promises for the given size. Pure.
 */
import { fits, nextSize, outputSize, type ReferencedAxis } from '../../protocol/axis-size.ts'
import { accept, type Failure, refuse, type Verdict } from '../../protocol/errors.ts'
import type { Axis, TensorDescription } from '../../protocol/model-description.ts'
import type { Tensor } from './tensor.ts'

/** Tensor id -> sizes, in the order of the card's axes. */
export type Shapes = ReadonlyMap<string, readonly number[]>

export interface Fit {
  readonly given: Shapes
  readonly padded: Shapes
  readonly notes: readonly string[]
}

/** Axes along which more of the same picture may be added. */
const isPaddable = ({ type }: Axis): boolean => type === 'space' || type === 'time'

/**
 * The sizes that the inputs need. @param tensors by input id, axes in the card's order
 * @returns INPUT or TILING_NEEDED where a size cannot be had
 */
export function fitInputs(
  inputs: readonly TensorDescription[],
  tensors: ReadonlyMap<string, Tensor>,
): Verdict<Fit> {
  const given = new Map([...tensors].map(([id, tensor]) => [id, tensor.shape]))
  const padded = new Map<string, number[]>()
  const notes: string[] = []
  for (const input of inputs) {
    const shape = given.get(input.id) ?? []
    const sizes: number[] = []
    for (const [d, axis] of input.axes.entries()) {
      const size = shape[d] ?? 1
      const next = isPaddable(axis) ? nextSize(axis.size, size) : size
      if (next === null) return tooLarge(input, axis, size)
      if (!isPaddable(axis) && axis.size.kind !== 'reference' && !fits(axis.size, size)) {
        return wrongSize(input, axis, size)
      }
      sizes.push(next)
    }
    padded.set(input.id, sizes)
  }
  // Sizes that follow another tensor's, once those are known.
  for (const input of inputs) {
    for (const [d, axis] of input.axes.entries()) {
      if (axis.size.kind !== 'reference') continue
      const sizes = padded.get(input.id) ?? []
      const size = given.get(input.id)?.[d] ?? 1
      const due = outputSize(axis, finder(inputs, given))
      const next = outputSize(axis, finder(inputs, padded))
      if (due === null || next === null || size !== due) return wrongSize(input, axis, size, due)
      sizes[d] = next
    }
  }
  for (const input of inputs) {
    for (const [d, axis] of input.axes.entries()) {
      const from = given.get(input.id)?.[d]
      const to = padded.get(input.id)?.[d]
      if (from !== to) {
        notes.push(`${input.id}: ${axis.id} padded from ${from} to ${to} by reflection`)
      }
    }
  }
  return accept({ given, padded, notes })
}

function tooLarge(input: TensorDescription, axis: Axis, size: number): Failure {
  const limit = axis.size.kind === 'fixed' ? axis.size.size : 0
  return refuse(
    'TILING_NEEDED',
    `the model takes ${limit} along ${axis.id} and the image has ${size}: it would have to be run in tiles`,
    {
      field: `${input.id}.${axis.id}`,
      limit,
      got: size,
      hint: `crop the image to at most ${limit} along ${axis.id}`,
    },
  )
}

function wrongSize(
  input: TensorDescription,
  axis: Axis,
  size: number,
  due: number | null = null,
): Failure {
  const limit = due ?? describeSize(axis)
  return refuse('INPUT', `${input.id} has ${size} along ${axis.id}, the model takes ${limit}`, {
    field: `${input.id}.${axis.id}`,
    limit,
    got: size,
  })
}

/** For people: `512`, `32 + n * 16`, `1 to 10`. */
export function describeSize({ size }: Axis): string {
  switch (size.kind) {
    case 'fixed':
      return String(size.size)
    case 'stepped':
      return `${size.min} + n * ${size.step}`
    case 'reference':
      return `as ${size.tensor}.${size.axis}`
    case 'dependent':
      return size.max === null ? `${size.min} or more` : `${size.min} to ${size.max}`
  }
}

const finder =
  (tensors: readonly TensorDescription[], shapes: Shapes) =>
  (id: string, axisId: string): ReferencedAxis | null => {
    const tensor = tensors.find((candidate) => candidate.id === id)
    const d = tensor?.axes.findIndex((axis) => axis.id === axisId) ?? -1
    const size = shapes.get(id)?.[d]
    const scale = tensor?.axes[d]?.scale
    return size === undefined || scale === undefined ? null : { size, scale }
  }

/**
 * Checks what the model returned against the card, and says what to keep of it: padding is cut off
 * at the far end again. @returns OUTPUT_SHAPE where the card promised otherwise
 */
export function fitOutput(
  output: TensorDescription,
  shape: readonly number[],
  inputs: readonly TensorDescription[],
  fit: Fit,
): Verdict<readonly number[]> {
  if (shape.length !== output.axes.length) {
    return refuse('OUTPUT_SHAPE', `the model returned another rank for ${output.id}`, {
      field: output.id,
      limit: output.axes.map((axis) => axis.id).join(', '),
      got: shape.join(' x '),
    })
  }
  const kept: number[] = []
  for (const [d, axis] of output.axes.entries()) {
    const size = shape[d] ?? 1
    const due = dueSize(axis, inputs, fit.padded)
    if (due === null ? !fits(axis.size, size) : size !== due) {
      return refuse('OUTPUT_SHAPE', `the model returned another size for ${output.id}`, {
        field: `${output.id}.${axis.id}`,
        limit: due ?? describeSize(axis),
        got: size,
      })
    }
    kept.push(Math.min(size, keptSize(axis, size, inputs, fit)))
  }
  const empty = kept.findIndex((size, d) => size < 1 && (shape[d] ?? 0) > 0)
  if (empty >= 0) {
    return refuse('INPUT', 'the image is too small: nothing of the result is left', {
      field: output.axes[empty]?.id ?? '',
      got: kept[empty] ?? 0,
    })
  }
  return accept(kept)
}

/** The size that the card promises, or null where it leaves it open. */
function dueSize(axis: Axis, inputs: readonly TensorDescription[], shapes: Shapes): number | null {
  if (axis.type !== 'batch') return outputSize(axis, finder(inputs, shapes))
  for (const input of inputs) {
    const d = input.axes.findIndex(({ type }) => type === 'batch')
    const size = shapes.get(input.id)?.[d]
    if (size !== undefined) return size
  }
  return 1
}

function keptSize(
  axis: Axis,
  size: number,
  inputs: readonly TensorDescription[],
  { given, padded }: Fit,
): number {
  if (axis.size.kind === 'reference') return outputSize(axis, finder(inputs, given)) ?? size
  // A card with fixed sizes does not say which input axis an output axis follows: the one of the
  // same id, in the same proportion.
  if (axis.size.kind !== 'fixed' || !isPaddable(axis)) return size
  for (const input of inputs) {
    const d = input.axes.findIndex(({ id }) => id === axis.id)
    const from = given.get(input.id)?.[d]
    const to = padded.get(input.id)?.[d]
    if (from !== undefined && to !== undefined) return Math.round((size * from) / to)
  }
  return size
}

/** Arithmetic on the sizes that a card allows. Sizes are in elements. */
import type { Axis, AxisSize } from './model-description.ts'

/** Whether an input may have `n` elements along an axis of this size. */
export function fits(size: AxisSize, n: number): boolean {
  return nextSize(size, n) === n
}

/** The smallest size of at least `n` that is allowed, or null where there is none. */
export function nextSize(size: AxisSize, n: number): number | null {
  switch (size.kind) {
    case 'fixed':
      return n <= size.size ? size.size : null
    case 'stepped':
      return size.min + Math.max(0, Math.ceil((n - size.min) / size.step)) * size.step
    case 'dependent': {
      const least = Math.max(n, size.min)
      return size.max === null || least <= size.max ? least : null
    }
    // Only the tensor that it refers to decides; see `outputSize`.
    case 'reference':
      return n
  }
}

/** What an axis refers to: its actual size and its scale. */
export interface ReferencedAxis {
  readonly size: number
  readonly scale: number
}

/**
 * The size that an axis must have, given the actual sizes of others; null where the card leaves
 * it open (stepped, dependent on the data, or the axis referred to is not known).
 */
export function outputSize(
  axis: Pick<Axis, 'size' | 'scale'>,
  find: (tensor: string, axis: string) => ReferencedAxis | null,
): number | null {
  const { size } = axis
  if (size.kind === 'fixed') return size.size
  if (size.kind !== 'reference') return null
  const target = find(size.tensor, size.axis)
  if (target === null) return null
  return scaledSize(target, axis.scale, size.offset)
}

/** `int(size * reference scale / scale + offset)`, as the reference library computes it. */
export function scaledSize(target: ReferencedAxis, scale: number, offset: number): number {
  return Math.trunc((target.size * target.scale) / scale + offset)
}

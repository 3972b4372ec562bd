/**
 * Groups of elements that share an index on some axes: what a statistic is taken over, and what
 * its value is applied to. Pure.
 */
import type { Tensor } from './tensor.ts'

export interface Groups {
  /** Axes that are told apart, in the tensor's order, without those of size 1. */
  readonly axes: readonly string[]
  readonly sizes: readonly number[]
  readonly count: number
}

/** One group for each combination of indices on `axes`. */
export function groupsBy(tensor: Tensor, axes: readonly string[]): Groups {
  const kept = tensor.axes.filter((axis, d) => axes.includes(axis) && tensor.shape[d] !== 1)
  const sizes = kept.map((axis) => tensor.shape[tensor.axes.indexOf(axis)] ?? 1)
  return { axes: kept, sizes, count: sizes.reduce((n, size) => n * size, 1) }
}

/** Groups that remain when `reduced` (null: every axis) are reduced over. */
export const groupsWithout = (tensor: Tensor, reduced: readonly string[] | null): Groups =>
  groupsBy(tensor, reduced === null ? [] : tensor.axes.filter((axis) => !reduced.includes(axis)))

/**
 * Calls `visit` for each longest run of neighbouring elements of one group, in order. Groups are
 * numbered in C order of their axes.
 */
export function forEachRun(
  tensor: Tensor,
  groups: Groups,
  visit: (start: number, end: number, group: number) => void,
): void {
  const { axes, shape } = tensor
  let length = 1
  let split = shape.length
  while (split > 0 && !groups.axes.includes(axes[split - 1] ?? '')) length *= shape[--split] ?? 1
  const steps = axes.slice(0, split).map((axis) => {
    const place = groups.axes.indexOf(axis)
    return place < 0 ? 0 : groups.sizes.slice(place + 1).reduce((n, size) => n * size, 1)
  })
  const index = new Array<number>(split).fill(0)
  const total = tensor.data.length
  let group = 0
  for (let start = 0; start < total; start += length) {
    visit(start, start + length, group)
    for (let d = split - 1; d >= 0; d--) {
      group += steps[d] ?? 0
      index[d] = (index[d] ?? 0) + 1
      if ((index[d] ?? 0) < (shape[d] ?? 1)) break
      group -= (steps[d] ?? 0) * (shape[d] ?? 1)
      index[d] = 0
    }
  }
}

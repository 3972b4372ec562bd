/** One measured figure with its baseline of the same run; a line of JSON on stdout. */
export interface Figure {
  readonly name: string
  readonly value: number
  readonly unit: string
  readonly baseline?: { readonly name: string; readonly value: number }
  /** value / baseline */
  readonly ratio?: number
  /** The goal, e.g. `ratio <= 1.05`. */
  readonly goal: string
}

/** @param digits significant ones, of value and ratio */
export function figure(
  name: string,
  value: number,
  unit: string,
  goal: string,
  baseline?: { readonly name: string; readonly value: number },
): Figure {
  const round = (number: number): number => Number(number.toPrecision(4))
  return {
    name,
    value: round(value),
    unit,
    goal,
    ...(baseline === undefined
      ? {}
      : {
          baseline: { name: baseline.name, value: round(baseline.value) },
          ratio: round(value / baseline.value),
        }),
  }
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[sorted.length >> 1] ?? Number.NaN
}

/**
 * Whether two results are equal within a card's tolerance, by the rule of `bioimageio test`:
 * an element is mismatched if |a - e| > absolute + relative * |e|, both as float32. NaN is never
 * mismatched there, since every comparison with it is false. Pure.
 */
import type { ModelDescription, Tolerance } from '../../protocol/model-description.ts'
import { convert, type Tensor } from './tensor.ts'

export interface Comparison {
  readonly ok: boolean
  /** Largest |a - e|. */
  readonly worstAbsolute: number
  /** Largest |a - e| / |e|, where e is not 0. */
  readonly worstRelative: number
  readonly mismatchedPerMillion: number
  /** Index of the largest absolute difference, per axis; null where there is none. */
  readonly at: readonly number[] | null
}

/** What reproducing a card's own test gave. */
export interface Reproduction {
  readonly ok: boolean
  readonly worstAbsolute: number
  readonly worstRelative: number
  readonly mismatchedPerMillion: number
  /** Output and index of the largest difference. */
  readonly at: { readonly output: string; readonly index: readonly number[] } | null
  readonly outputs: readonly (Comparison & { readonly id: string })[]
  readonly computeMs: number
}

/** What the reference implementation allows where a card says nothing. */
const DEFAULT_TOLERANCE: Tolerance = {
  relative: 1e-3,
  absolute: 1e-3,
  mismatchedPerMillion: 100,
  weightFormats: [],
  outputIds: [],
}

/** The first tolerance that is for ONNX weights and that output. */
export function toleranceFor(description: ModelDescription, output: string): Tolerance {
  const found = description.tolerances.find(
    ({ weightFormats, outputIds }) =>
      (weightFormats.length === 0 || weightFormats.includes('onnx')) &&
      (outputIds.length === 0 || outputIds.includes(output)),
  )
  if (found !== undefined) return found
  // Format 0.4 allows no mismatch at all.
  const isOld = description.formatVersion.startsWith('0.4')
  return isOld ? { ...DEFAULT_TOLERANCE, mismatchedPerMillion: 0 } : DEFAULT_TOLERANCE
}

/** Compares elements; the shapes must be equal. */
export function compareTensors(actual: Tensor, expected: Tensor, tolerance: Tolerance): Comparison {
  const a = convert(actual, 'float32').data as Float32Array
  const e = convert(expected, 'float32').data as Float32Array
  let worstAbsolute = 0
  let worstRelative = 0
  let mismatched = 0
  let place = -1
  for (let i = 0; i < e.length; i++) {
    const due = Math.abs(e[i] as number)
    const difference = Math.abs((a[i] as number) - (e[i] as number))
    if (difference > tolerance.absolute + tolerance.relative * due) mismatched++
    if (difference > worstAbsolute) {
      worstAbsolute = difference
      place = i
    }
    if (due > 0 && difference / due > worstRelative) worstRelative = difference / due
  }
  const mismatchedPerMillion = e.length === 0 ? 0 : (mismatched / e.length) * 1e6
  return {
    ok: mismatchedPerMillion <= tolerance.mismatchedPerMillion,
    worstAbsolute,
    worstRelative,
    mismatchedPerMillion,
    at: place < 0 ? null : indexOf(place, expected.shape),
  }
}

function indexOf(place: number, shape: readonly number[]): number[] {
  let rest = place
  return shape
    .toReversed()
    .map((size) => {
      const index = rest % size
      rest = Math.floor(rest / size)
      return index
    })
    .reverse()
}

/** The results of one test together. */
export function summarise(
  outputs: readonly (Comparison & { readonly id: string })[],
  computeMs: number,
): Reproduction {
  const worst = outputs.reduce((a, b) => (b.worstAbsolute > a.worstAbsolute ? b : a), {
    id: '',
    worstAbsolute: -1,
    at: null as readonly number[] | null,
  })
  return {
    ok: outputs.every(({ ok }) => ok),
    worstAbsolute: Math.max(0, worst.worstAbsolute),
    worstRelative: Math.max(0, ...outputs.map(({ worstRelative }) => worstRelative)),
    mismatchedPerMillion: Math.max(0, ...outputs.map((output) => output.mismatchedPerMillion)),
    at: worst.at === null ? null : { output: worst.id, index: worst.at },
    outputs,
    computeMs,
  }
}

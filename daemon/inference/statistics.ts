/**
 * Mean, standard deviation and percentiles as bioimageio.core computes them (docs/architecture.md,
 * "Pipeline"). Pure.
 *
 * - Standard deviations are of the population (divided by n).
 * - Sums are kept in float64. numpy keeps float32 sums for float32 images, which differs from this
 *   by about 1e-6 of the value.
 * - Percentiles are exact order statistics, found by counting the digits of ordered keys: time
 *   grows with the number of elements whatever they are, and nothing is sorted or moved.
 * - A percentile of elements with a NaN among them is NaN, as in numpy.
 */

export type FloatArray = Float32Array | Float64Array

export interface Moments {
  readonly mean: number
  readonly std: number
}

/** Sums about a value near the data, so that a large offset costs no precision. */
export interface Accumulator {
  readonly shift: number
  count: number
  sum: number
  squares: number
}

export function accumulate(
  accumulator: Accumulator | undefined,
  values: FloatArray,
  start: number,
  end: number,
): Accumulator {
  const into = accumulator ?? { shift: values[start] ?? 0, count: 0, sum: 0, squares: 0 }
  const { shift } = into
  // Four chains of additions run side by side in the processor.
  let a = 0
  let b = 0
  let c = 0
  let d = 0
  let aa = 0
  let bb = 0
  let cc = 0
  let dd = 0
  let i = start
  for (; i + 3 < end; i += 4) {
    const p = (values[i] as number) - shift
    const q = (values[i + 1] as number) - shift
    const r = (values[i + 2] as number) - shift
    const s = (values[i + 3] as number) - shift
    a += p
    b += q
    c += r
    d += s
    aa += p * p
    bb += q * q
    cc += r * r
    dd += s * s
  }
  for (; i < end; i++) {
    const p = (values[i] as number) - shift
    a += p
    aa += p * p
  }
  into.count += end - start
  into.sum += a + b + c + d
  into.squares += aa + bb + cc + dd
  return into
}

export function momentsOf({ shift, count, sum, squares }: Accumulator): Moments {
  const variance = (squares - (sum * sum) / count) / count
  return { mean: shift + sum / count, std: Math.sqrt(Math.max(0, variance)) }
}

/**
 * `linear`: numpy's default, between the two nearest elements. `inverted_cdf`: the smallest element
 * with at least that share at or below it.
 */
export type PercentileMethod = 'linear' | 'inverted_cdf'

/** Percentiles (0 to 100) of `values`. */
export function percentiles(
  values: FloatArray,
  percents: readonly number[],
  method: PercentileMethod,
): number[] {
  const last = values.length - 1
  if (last < 0) return percents.map(() => Number.NaN)
  const places = percents.map((percent) => {
    const share = percent / 100
    if (method === 'linear') return share * last
    return Math.min(last, Math.max(0, Math.ceil(share * values.length) - 1))
  })
  const ranks = places.flatMap((place) => [
    Math.floor(place),
    Math.min(last, Math.floor(place) + 1),
  ])
  const found = orderStatistics(values, new Set(ranks))
  return places.map((place) => {
    const low = found.get(Math.floor(place)) ?? Number.NaN
    const high = found.get(Math.min(last, Math.floor(place) + 1)) ?? Number.NaN
    const part = place - Math.floor(place)
    // numpy's interpolation; equal neighbours must not make NaN of infinity.
    return part === 0 || low === high ? low : low + (high - low) * part
  })
}

const DIGITS = 65536
/** First digits of the keys of -Infinity and Infinity; beyond them are quiet NaNs. */
const INFINITIES = { 4: [0x007f, 0xff80], 8: [0x000f, 0xfff0] } as const

/** The elements at `ranks` (0-based) of the ascending order. */
function orderStatistics(values: FloatArray, ranks: ReadonlySet<number>): Map<number, number> {
  const width = values.BYTES_PER_ELEMENT === 4 ? 4 : 8
  const words = new Uint32Array(values.buffer, values.byteOffset, values.byteLength / 4)
  const levels = width / 2
  const found = new Map<number, number>()
  /** Elements whose first `level` digits are `prefix` begin at rank `before`. */
  const descend = (prefix: readonly number[], before: number, wanted: readonly number[]): void => {
    const counts = new Uint32Array(DIGITS)
    countDigits(words, width, prefix, counts)
    if (prefix.length === 0 && hasOutside(counts, INFINITIES[width])) {
      for (const rank of wanted) found.set(rank, Number.NaN)
      return
    }
    let reached = before
    let next = 0
    for (let digit = 0; digit < DIGITS && next < wanted.length; digit++) {
      const count = counts[digit] as number
      const inside: number[] = []
      while (next < wanted.length && (wanted[next] as number) < reached + count) {
        inside.push(wanted[next++] as number)
      }
      const path = [...prefix, digit]
      if (inside.length > 0) {
        if (path.length < levels) descend(path, reached, inside)
        else for (const rank of inside) found.set(rank, valueOfKey(path))
      }
      reached += count
    }
  }
  descend(
    [],
    0,
    [...ranks].sort((a, b) => a - b),
  )
  return found
}

const hasOutside = (counts: Uint32Array, [low, high]: readonly [number, number]): boolean =>
  counts.subarray(0, low).some((count) => count > 0) ||
  counts.subarray(high + 1).some((count) => count > 0)

/**
 * Counts the digit that follows `prefix` over all keys. A key is the element's bits, with the sign
 * flipped for positives and all bits flipped for negatives, so that keys order as numbers do; its
 * digits are its 16-bit parts from the top.
 */
function countDigits(
  words: Uint32Array,
  width: 4 | 8,
  prefix: readonly number[],
  counts: Uint32Array,
): void {
  const step = width / 4
  const level = prefix.length
  const first = prefix[0] ?? 0
  const high = ((first << 16) | (prefix[1] ?? 0)) >>> 0
  const third = prefix[2] ?? 0
  // Little-endian: the last word of an element is its highest.
  for (let i = step - 1; i < words.length; i += step) {
    const word = words[i] as number
    const flip = word >> 31
    const key = (word ^ (flip | 0x80000000)) >>> 0
    if (level === 0) {
      const digit = key >>> 16
      counts[digit] = (counts[digit] as number) + 1
    } else if (level === 1) {
      if (key >>> 16 === first) {
        const digit = key & 0xffff
        counts[digit] = (counts[digit] as number) + 1
      }
    } else if (key === high) {
      const low = ((words[i - 1] as number) ^ flip) >>> 0
      if (level === 2) {
        const digit = low >>> 16
        counts[digit] = (counts[digit] as number) + 1
      } else if (low >>> 16 === third) {
        const digit = low & 0xffff
        counts[digit] = (counts[digit] as number) + 1
      }
    }
  }
}

function valueOfKey(digits: readonly number[]): number {
  const isPositive = ((digits[0] ?? 0) & 0x8000) !== 0
  const flipped = digits.map((digit, i) =>
    isPositive ? (i === 0 ? digit ^ 0x8000 : digit) : digit ^ 0xffff,
  )
  const view = new DataView(new ArrayBuffer(8))
  for (const [i, digit] of flipped.entries()) view.setUint16(i * 2, digit)
  return digits.length === 2 ? view.getFloat32(0) : view.getFloat64(0)
}

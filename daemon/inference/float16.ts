/**
 * Half precision for graphs whose inputs or outputs are float16: the rest of the program knows
 * float32 only. IEEE 754 binary16, round to nearest even. Pure.
 */
const float = new Float32Array(1)
const bits = new Uint32Array(float.buffer)

export function toFloat16(values: Float32Array): Uint16Array {
  const out = new Uint16Array(values.length)
  for (let i = 0; i < values.length; i++) {
    float[0] = values[i] ?? 0
    out[i] = halfOf(bits[0] ?? 0)
  }
  return out
}

function halfOf(word: number): number {
  const sign = (word >>> 16) & 0x8000
  const magnitude = word & 0x7fffffff
  if (magnitude >= 0x7f800000) return sign | 0x7c00 | (magnitude > 0x7f800000 ? 0x200 : 0)
  // 65520 and more round to infinity.
  if (magnitude >= 0x477ff000) return sign | 0x7c00
  if (magnitude >= 0x38800000) {
    const rebased = magnitude - 0x38000000
    return sign | ((rebased + 0xfff + ((rebased >>> 13) & 1)) >>> 13)
  }
  // Subnormal: count units of 2^-24; below half a unit it is zero.
  if (magnitude < 0x33000000) return sign
  const shift = 126 - (magnitude >>> 23)
  const mantissa = (magnitude & 0x7fffff) | 0x800000
  const half = mantissa >>> shift
  const rest = mantissa & ((1 << shift) - 1)
  const middle = 1 << (shift - 1)
  return sign | (half + (rest > middle || (rest === middle && (half & 1) === 1) ? 1 : 0))
}

export function fromFloat16(values: Uint16Array): Float32Array {
  const out = new Float32Array(values.length)
  for (let i = 0; i < values.length; i++) {
    const half = values[i] ?? 0
    const exponent = (half >>> 10) & 31
    const mantissa = half & 0x3ff
    const magnitude =
      exponent === 31
        ? mantissa === 0
          ? Infinity
          : NaN
        : exponent === 0
          ? mantissa * 2 ** -24
          : (1 + mantissa / 1024) * 2 ** (exponent - 15)
    out[i] = half & 0x8000 ? -magnitude : magnitude
  }
  return out
}

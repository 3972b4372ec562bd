/** A picture for eyes: outlines of the foreground over the image. */

const OUTLINE = [255, 196, 0] as const
/** Probability from which a pixel counts as foreground. */
export const FOREGROUND = 0.5

/**
 * RGB, 8 bits, of the image stretched to its own range, with the border pixels of the foreground
 * coloured.
 * @param gray `height * width` samples, row by row
 * @param foreground probabilities of the same shape
 */
export function drawOverlay(
  gray: ArrayLike<number>,
  foreground: ArrayLike<number>,
  width: number,
  height: number,
): Uint8Array {
  const picture = new Uint8Array(width * height * 3)
  const { low, high } = rangeOf(gray)
  const isInside = (x: number, y: number): boolean =>
    x >= 0 && y >= 0 && x < width && y < height && (foreground[y * width + x] ?? 0) > FOREGROUND
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const at = y * width + x
      const isOutline =
        isInside(x, y) &&
        !(isInside(x - 1, y) && isInside(x + 1, y) && isInside(x, y - 1) && isInside(x, y + 1))
      const level = Math.round((255 * ((gray[at] ?? 0) - low)) / (high - low || 1))
      picture.set(isOutline ? OUTLINE : [level, level, level], 3 * at)
    }
  }
  return picture
}

function rangeOf(values: ArrayLike<number>): { low: number; high: number } {
  let low = Number.POSITIVE_INFINITY
  let high = Number.NEGATIVE_INFINITY
  for (let i = 0; i < values.length; i++) {
    const value = values[i] ?? 0
    if (value < low) low = value
    if (value > high) high = value
  }
  return { low, high }
}

/** The image of the inference benches. */

export const SIZE = 1024

/** Row by row, the same at every call. */
export const benchPixels = (): Float32Array<ArrayBuffer> =>
  Float32Array.from({ length: SIZE * SIZE }, (_, i) => Math.sin(i / 50) * 100 + 300)

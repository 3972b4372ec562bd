/**
 * Decompression of TIFF strips and tiles with a bound: a block never grows beyond the size that its
 * page states. geotiff's own decoders have no bound, and a few kilobytes can hold gigabytes.
 */
import { inflateSync, zstdDecompressSync } from 'node:zlib'

/** Compression tag -> decoder of one block to at most `limit` bytes; throws on anything else. */
export const TIFF_CODECS: ReadonlyMap<number, (block: Uint8Array, limit: number) => Uint8Array> =
  new Map([
    [1, (block) => block],
    [5, decodeLzw],
    [8, decodeDeflate],
    [32946, decodeDeflate],
    [32773, decodePackBits],
    [50000, (block, limit) => zstdDecompressSync(block, { maxOutputLength: limit })],
  ])

function decodeDeflate(block: Uint8Array, limit: number): Uint8Array {
  return inflateSync(block, { maxOutputLength: limit })
}

/** Apple's run-length coding, TIFF 6.0 section 9. */
function decodePackBits(block: Uint8Array, limit: number): Uint8Array {
  const out = new Uint8Array(limit)
  let to = 0
  for (let from = 0; from < block.length && to < limit; ) {
    const head = block[from++] ?? 0
    if (head < 128) {
      const run = block.subarray(from, from + Math.min(head + 1, limit - to))
      out.set(run, to)
      to += run.length
      from += head + 1
    } else if (head > 128) {
      const end = Math.min(limit, to + 257 - head)
      out.fill(block[from++] ?? 0, to, end)
      to = end
    }
  }
  return out.subarray(0, to)
}

const CLEAR = 256
const END = 257
const FIRST = 258
const MAX_CODES = 4096

/** TIFF 6.0 section 13: most significant bit first, codes of 9 to 12 bits, early change. */
function decodeLzw(block: Uint8Array, limit: number): Uint8Array {
  const out = new Uint8Array(limit)
  /** Each string is an earlier one and a byte; kept as where it last was written. */
  const start = new Uint32Array(MAX_CODES)
  const length = new Uint32Array(MAX_CODES)
  let to = 0
  let next = FIRST
  let width = 9
  let previous = -1
  let bits = 0
  let held = 0
  for (let from = 0; to < limit; ) {
    while (held < width) {
      if (from >= block.length) return out.subarray(0, to)
      bits = ((bits << 8) | (block[from++] ?? 0)) & 0xffffff
      held += 8
    }
    const code = (bits >> (held - width)) & ((1 << width) - 1)
    held -= width
    if (code === END) break
    if (code === CLEAR) {
      next = FIRST
      width = 9
      previous = -1
      continue
    }
    const begin = to
    const isNew = code >= next
    if (isNew && (code > next || previous < 0)) throw new Error('not an LZW code')
    const known = isNew ? previous : code
    if (known < CLEAR) out[to++] = known
    else {
      const at = start[known] ?? 0
      const end = Math.min(limit, to + (length[known] ?? 0))
      for (let i = at; to < end; i++) out[to++] = out[i] ?? 0
    }
    // A code that is just being made: the last string and its own first byte.
    if (isNew && to < limit) out[to++] = out[begin] ?? 0
    if (previous >= 0 && next < MAX_CODES) {
      const size = previous < CLEAR ? 1 : (length[previous] ?? 0)
      // The last string was written right before this one, so it and this one's first byte lie
      // side by side.
      start[next] = begin - size
      length[next] = size + 1
      next++
    }
    if (next >= (1 << width) - 1 && width < 12) width++
    previous = code
  }
  return out.subarray(0, to)
}

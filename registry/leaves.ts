/** Cutting a stream of bytes into the leaves of a file's tree. */
import { LEAF_BYTES } from '../protocol/limits.ts'

/** Leaves that are alive at once: one being filled, one being written. */
const RING = 2

/**
 * The bytes of a stream in leaves of 1 MiB, the last one shorter; none for no bytes.
 * A leaf's memory is used again two leaves later, so nobody may keep it.
 *
 * @param maxBytes most that the caller takes: of a stream with more, one byte more comes at least.
 * Most files are small, and so are their leaves then.
 */
export async function* cutLeaves(
  bytes: AsyncIterable<Uint8Array>,
  maxBytes = Number.POSITIVE_INFINITY,
): AsyncGenerator<Uint8Array> {
  const leafBytes = Math.min(LEAF_BYTES, maxBytes + 1)
  const ring = Array.from({ length: RING }, () => new Uint8Array(leafBytes))
  let turn = 0
  let filled = 0
  for await (const chunk of bytes) {
    let taken = 0
    while (taken < chunk.length) {
      // SAFE: `turn` stays below RING.
      const leaf = ring[turn] as Uint8Array
      const part = chunk.subarray(taken, taken + leafBytes - filled)
      leaf.set(part, filled)
      taken += part.length
      filled += part.length
      if (filled < leafBytes) continue
      yield leaf
      turn = (turn + 1) % RING
      filled = 0
    }
  }
  if (filled > 0) yield (ring[turn] as Uint8Array).subarray(0, filled)
}

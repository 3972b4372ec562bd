/** Cutting a stream of bytes into the leaves of a file's tree. */
import { LEAF_BYTES } from '../protocol/limits.ts'

/** Leaves that are alive at once: one being filled, one being written. */
const RING = 2

/**
 * The bytes of a stream in leaves of 1 MiB, the last one shorter; none for no bytes.
 * A leaf's memory is used again two leaves later, so nobody may keep it.
 */
export async function* cutLeaves(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const ring = Array.from({ length: RING }, () => new Uint8Array(LEAF_BYTES))
  let turn = 0
  let filled = 0
  for await (const chunk of bytes) {
    let taken = 0
    while (taken < chunk.length) {
      // SAFE: `turn` stays below RING.
      const leaf = ring[turn] as Uint8Array
      const part = chunk.subarray(taken, taken + LEAF_BYTES - filled)
      leaf.set(part, filled)
      taken += part.length
      filled += part.length
      if (filled < LEAF_BYTES) continue
      yield leaf
      turn = (turn + 1) % RING
      filled = 0
    }
  }
  if (filled > 0) yield (ring[turn] as Uint8Array).subarray(0, filled)
}

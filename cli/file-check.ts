/** Holds a file's bytes against its record in one pass: size, content id and plain SHA-256. */
import type { ModelFileView } from '../protocol/api.ts'
import { createTreeHasher } from '../protocol/content-tree.ts'
import { accept, refuse, type Verdict } from '../protocol/errors.ts'
import { LEAF_BYTES } from '../protocol/limits.ts'

export interface FileCheck {
  update(chunk: Uint8Array): void
  /** Fails with CONTENT_MISMATCH. */
  finish(): Verdict<true>
}

type Expected = Pick<ModelFileView, 'path' | 'size' | 'cid' | 'sha256'>

export function createFileCheck(expected: Expected): FileCheck {
  const hasher = createTreeHasher()
  const leaf = new Uint8Array(LEAF_BYTES)
  let filled = 0
  return {
    update(chunk) {
      for (let taken = 0; taken < chunk.length; ) {
        const part = chunk.subarray(taken, taken + LEAF_BYTES - filled)
        leaf.set(part, filled)
        filled += part.length
        taken += part.length
        if (filled === LEAF_BYTES) {
          hasher.leaf(leaf)
          filled = 0
        }
      }
    },
    finish() {
      if (filled > 0) hasher.leaf(leaf.subarray(0, filled))
      const found = hasher.finish()
      for (const field of ['size', 'cid', 'sha256'] as const) {
        if (found[field] === expected[field]) continue
        return refuse('CONTENT_MISMATCH', `a file has another ${field} than its record`, {
          field: expected.path,
          limit: expected[field],
          got: found[field],
        })
      }
      return accept(true)
    },
  }
}

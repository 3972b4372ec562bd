/**
 * The manifest of a CAR file of models: what stands in it, in what order. docs/protocol.md,
 * "Files of models".
 */
import { type CborMap, decode, encode } from './cbor.ts'
import { type Cid, cidOf, linkOf } from './cid.ts'
import type { Verdict } from './errors.ts'
import { accept } from './errors.ts'
import { MAX_IDENTITY_OPS, MAX_MODELS_CAR_MODELS, MAX_MODELS_CAR_STATEMENTS } from './limits.ts'
import { int, linkTo, list, map, type ShapeOf, word } from './shape.ts'

const block = linkTo('raw')

/** Ids of blocks: statements as their signers made them, and original cards. */
const manifest = map({
  t: word('models'),
  v: int(1, 1),
  publishers: list(
    map({
      /** The identity operations, all of them, in order. */
      operations: list(block, MAX_IDENTITY_OPS),
      /** Records of its public logs, log by log in order, those of keys to erase first. */
      records: list(block, MAX_MODELS_CAR_STATEMENTS),
      /** The newest heads of these logs. */
      heads: list(block, MAX_IDENTITY_OPS),
    }),
    MAX_MODELS_CAR_MODELS,
  ),
  /** Cards of these records that are not erased. */
  cards: list(block, MAX_MODELS_CAR_STATEMENTS),
})
export type ModelsManifest = Omit<ShapeOf<typeof manifest>, 't' | 'v'>

/** The manifest as a block. */
export function writeManifest({ publishers, cards }: ModelsManifest): {
  readonly cid: Cid
  readonly content: Uint8Array
} {
  const content = encode({
    t: 'models',
    v: 1,
    publishers: publishers.map(({ operations, records, heads }) => ({
      operations: operations.map(linkOf),
      records: records.map(linkOf),
      heads: heads.map(linkOf),
    })),
    cards: cards.map(linkOf),
  } satisfies CborMap)
  return { cid: cidOf('dag-cbor', content), content }
}

/** Fails with RECORD_INVALID, UNKNOWN_FIELD, LIMIT, and like cbor.ts. */
export function readManifest(content: Uint8Array): Verdict<ModelsManifest> {
  const decoded = decode(content)
  if (!decoded.ok) return decoded
  const read = manifest.read(decoded.value, '')
  return read.ok ? accept(read.value) : read
}

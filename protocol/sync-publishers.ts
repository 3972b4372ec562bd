/** The publishers that two nodes list, by which they agree on what to compare. */
import type { Cid } from './cid.ts'
import { sha256 } from './crypto.ts'
import { MAX_SYNC_PUBLISHERS } from './limits.ts'

const utf8 = new TextEncoder()

/** What one connection remembers of the other node between exchanges. */
export interface SyncMemory {
  /** The other node's publishers as it last named them. */
  theirs: readonly Cid[] | null
  /** Digest of our publishers as we last named them there. */
  told: string | null
  /** Records for whose cards it was asked. */
  readonly asked: Set<Cid>
}

export const createSyncMemory = (): SyncMemory => ({ theirs: null, told: null, asked: new Set() })

/** Publishers as they are named to others, in order. */
export const named = (publishers: readonly Cid[]): readonly Cid[] =>
  [...publishers].sort().slice(0, MAX_SYNC_PUBLISHERS)

/** SHA-256 over a publisher set: its ids in order, each with a line feed. */
export const digestOfPublishers = (publishers: readonly Cid[]): Uint8Array =>
  sha256(
    utf8.encode(
      [...publishers]
        .sort()
        .map((each) => `${each}\n`)
        .join(''),
    ),
  )

/** A digest as text, for comparing. */
export const textOf = (digest: Uint8Array): string => digest.join()

/** Those of ours that the other node lists, too; all of ours where it has named none yet. */
export function commonOf(own: readonly Cid[], { theirs }: SyncMemory): readonly Cid[] {
  if (theirs === null) return own
  const set = new Set(theirs)
  return own.filter((each) => set.has(each))
}

/**
 * Whether a peer that says it holds a file gives it: one leaf, verified against the file's content id.
 * Which one the peer cannot foresee, so that who holds little of a file is found out sooner or later.
 */
import { equalBytes } from '../../protocol/bytes.ts'
import type { Cid } from '../../protocol/cid.ts'
import { leafCount, readTree } from '../../protocol/content-tree.ts'
import { sha256 } from '../../protocol/crypto.ts'
import { type Code, expectOk, ZoariumError } from '../../protocol/errors.ts'
import { PROTOCOLS } from '../../protocol/message.ts'
import { StreamLane, TRANSFER_LIMITS } from './leaf-lane.ts'
import type { Links } from './links.ts'
import type { Peer } from './peers.ts'

/** What of a peer's own failures says that it does not have the bytes. */
const LACKING: ReadonlySet<Code> = new Set<Code>(['BLOB_MISSING', 'CONTENT_MISMATCH'])

/** `unknown`: nothing was learned, as of a peer that is busy or out of reach. */
export type Probed = 'gives' | 'lacks' | 'unknown'

/** @param random from 0 to below 1 */
export async function probe(
  links: Pick<Links, 'open' | 'blame'>,
  peer: Peer,
  blob: { readonly cid: Cid; readonly size: number },
  random: () => number,
): Promise<Probed> {
  const { cid, size } = blob
  let lane: StreamLane | null = null
  try {
    lane = new StreamLane(await links.open(peer, PROTOCOLS.blob), blob, TRANSFER_LIMITS)
    const tree = await lane.tree()
    if (tree.size !== size || tree.have !== null) {
      throw new ZoariumError('BLOB_MISSING', 'the peer has another file, or not all of it')
    }
    const leaves = expectOk(readTree(cid, size, tree.nodes))
    const index = Math.floor(random() * leafCount(size))
    await lane.ask({ index, insist: true })
    const answer = await lane.answer()
    const digest = 'bytes' in answer ? sha256(answer.bytes) : new Uint8Array()
    if (!equalBytes(digest, leaves[index] ?? new Uint8Array())) {
      throw new ZoariumError('CONTENT_MISMATCH', 'the peer sent wrong bytes')
    }
    await lane.close()
    return 'gives'
  } catch (error) {
    if (!(error instanceof ZoariumError)) throw error
    lane?.abort(error)
    links.blame(peer, error.code)
    return LACKING.has(error.code) ? 'lacks' : 'unknown'
  }
}

/**
 * Whether a peer that says it holds a file gives it: one leaf, verified against the file's content id.
 * Which one the peer cannot foresee, so that who holds little of a file is found out sooner or later.
 */

import { equalBytes } from '../../protocol/bytes.ts'
import type { Cid } from '../../protocol/cid.ts'
import { leafCount, leafSize, readTree } from '../../protocol/content-tree.ts'
import { sha256 } from '../../protocol/crypto.ts'
import { type Code, ZoariumError } from '../../protocol/errors.ts'
import { MAX_FRAME_BYTES } from '../../protocol/limits.ts'
import {
  type BlobReply,
  type BlobRequest,
  blobReplies,
  blobRequests,
  expectReply,
  PROTOCOLS,
  readFailure,
} from '../../protocol/message.ts'
import type { Links } from './links.ts'
import type { Peer } from './peers.ts'
import type { FrameStream } from './stream.ts'

/** How long each answer may take. */
const ANSWER_MS = 15_000
/** What of a peer's own failures says that it does not have the bytes. */
const LACKING: ReadonlySet<Code> = new Set<Code>(['BLOB_MISSING', 'CONTENT_MISMATCH'])

/** `unknown`: nothing was learned, as of a peer that is busy or out of reach. */
export type Probed = 'gives' | 'lacks' | 'unknown'

/** @param random from 0 to below 1 */
export async function probe(
  links: Pick<Links, 'open' | 'blame'>,
  peer: Peer,
  { cid, size }: { readonly cid: Cid; readonly size: number },
  random: () => number,
): Promise<Probed> {
  let frames: FrameStream | null = null
  try {
    frames = await links.open(peer, PROTOCOLS.blob)
    const tree = await ask(frames, { t: 'get-tree', cid }, 'tree')
    if (tree.size !== size || tree.have !== null) return 'lacks'
    const leaves = readTree(cid, size, tree.nodes)
    if (!leaves.ok) throw ZoariumError.of(leaves)
    const index = Math.floor(random() * leafCount(size))
    await ask(frames, { t: 'get-leaf', cid, index, insist: true }, 'leaf')
    const bytes = await frames.expect(leafSize(size, index), ANSWER_MS)
    const isRight = equalBytes(sha256(bytes), leaves.value[index] ?? new Uint8Array())
    if (!isRight) throw new ZoariumError('CONTENT_MISMATCH', 'the peer sent wrong bytes')
    await frames.close(ANSWER_MS)
    return 'gives'
  } catch (error) {
    if (!(error instanceof ZoariumError)) throw error
    frames?.abort(error)
    links.blame(peer, error.code)
    return LACKING.has(error.code) ? 'lacks' : 'unknown'
  }
}

async function ask<T extends BlobReply['t']>(
  frames: FrameStream,
  request: BlobRequest,
  type: T,
): Promise<Extract<BlobReply, { readonly t: T }>> {
  await frames.write(blobRequests.encode(request), ANSWER_MS)
  const read = blobReplies.decode(await frames.expect(MAX_FRAME_BYTES, ANSWER_MS))
  if (!read.ok) throw ZoariumError.of(read)
  if (read.value.t === 'error') throw ZoariumError.of(readFailure(read.value))
  const reply = expectReply<BlobReply, T>(read.value, type)
  if (!reply.ok) throw ZoariumError.of(reply)
  return reply.value
}

/**
 * Trees over files: the content id of a file under the profile `unixfs-v1-2025`, and the inner
 * nodes that let each leaf of 1 MiB be verified on its own. docs/protocol.md, "Trees".
 *
 * Leaves are the file's bytes, cut at every MiB. A file of one leaf is that leaf. Above it, each
 * node links to up to 1,024 nodes of the level below, filled from the left, all leaves being
 * equally deep. So the size of a file fixes the shape of its tree, and only hashes are to be
 * learnt from strangers.
 */
import { decode } from '@ipld/dag-pb'
import { equalBytes, toHex } from './bytes.ts'
import { bytesOf, type Cid, cidFromDigest, cidOf, codecOf, codecOfBytes, digestOf } from './cid.ts'
import { createSha256, sha256 } from './crypto.ts'
import { accept, assert, type Failure, refuse, type Verdict } from './errors.ts'
import { LEAF_BYTES, MAX_BLOB_BYTES, TREE_WIDTH } from './limits.ts'
import {
  dataLength,
  encodeNode,
  fileData,
  linkLength,
  type NodeLink,
  varintLength,
} from './unixfs-node.ts'

export interface ContentTree {
  readonly cid: Cid
  /** Bytes of the file. */
  readonly size: number
  /** SHA-256 of the whole file, 64 hex digits. */
  readonly sha256: string
  /** Inner nodes, each before its children; none for a file of one leaf. */
  readonly nodes: readonly Uint8Array[]
}

/** Takes a file's leaves in order. */
export interface TreeHasher {
  /** The next leaf: 1 MiB, the last one 1 byte to 1 MiB. An empty file has none. */
  leaf(bytes: Uint8Array): void
  finish(): ContentTree
}

export function createTreeHasher(): TreeHasher {
  const whole = createSha256()
  const digests: Uint8Array[] = []
  let size = 0
  return {
    leaf(bytes) {
      assert(size % LEAF_BYTES === 0, 'a leaf after the last one')
      assert(bytes.length > 0 && bytes.length <= LEAF_BYTES, 'a leaf has 1 byte to 1 MiB')
      whole.update(bytes)
      digests.push(sha256(bytes))
      size += bytes.length
    },
    finish() {
      if (size === 0) digests.push(sha256(new Uint8Array(0)))
      return { ...buildTree(digests, size), size, sha256: toHex(whole.digest()) }
    },
  }
}

/** Number of leaves of a file; an empty file has one empty leaf. */
export const leafCount = (size: number): number => Math.max(1, Math.ceil(size / LEAF_BYTES))

/** Bytes of the leaf at an index. */
export const leafSize = (size: number, index: number): number =>
  Math.min(LEAF_BYTES, size - index * LEAF_BYTES)

/** Number of inner nodes of a file. */
export function nodeCount(size: number): number {
  let count = 0
  for (let width = leafCount(size); width > 1; ) {
    width = Math.ceil(width / TREE_WIDTH)
    count += width
  }
  return count
}

/**
 * Reads the inner nodes of a file as a stranger sent them: the digest of each leaf, 32 bytes.
 *
 * Fails with CONTENT_MISMATCH where the nodes are not exactly those of `cid` and `size`, which also
 * refuses trees of other shapes; with LIMIT where the size is.
 */
export function readTree(
  cid: Cid,
  size: number,
  nodes: readonly Uint8Array[],
): Verdict<readonly Uint8Array[]> {
  if (size > MAX_BLOB_BYTES) {
    return refuse('LIMIT', 'the file is too large', { limit: MAX_BLOB_BYTES, got: size })
  }
  const count = nodeCount(size)
  if (nodes.length !== count) return mismatch('another number of nodes', count, nodes.length)
  if (count === 0) {
    return codecOf(cid) === 'raw' ? accept([digestOf(cid)]) : mismatch('a leaf is raw')
  }
  const digests: Uint8Array[] = []
  for (const node of nodes) {
    const links = leavesOf(node)
    if (links === null) return mismatch('not a node of a file')
    digests.push(...links)
  }
  const leaves = leafCount(size)
  if (digests.length !== leaves) return mismatch('another number of leaves', leaves, digests.length)
  // Equal ids prove the digests; equal nodes follow, but for the order in which they came.
  const tree = buildTree(digests, size)
  if (tree.cid !== cid) return mismatch('not the nodes of this file', cid, tree.cid)
  return tree.nodes.every((node, index) => equalBytes(node, nodes[index] as Uint8Array))
    ? accept(digests)
    : mismatch('nodes in another order')
}

/** Bytes of a file as blocks: its own and those of its inner nodes. */
export const treeBytesOf = (size: number): number => treeBytes(size, heightOf(size))

/** Levels above the leaves. */
function heightOf(size: number): number {
  let height = 0
  while (capacityOf(height) < size) height++
  return height
}

/** Bytes of a file that a node of some height covers at most. */
const capacityOf = (height: number): number => LEAF_BYTES * TREE_WIDTH ** height

/** Children of a node that covers `size` bytes: so many full ones, then perhaps a smaller one. */
function childrenOf(size: number, height: number) {
  const capacity = capacityOf(height - 1)
  return { capacity, full: Math.floor(size / capacity), rest: size % capacity }
}

/** Computed from one full child and the last one, so that large files cost no more than small. */
function treeBytes(size: number, height: number): number {
  if (height === 0) return size
  const { capacity, full, rest } = childrenOf(size, height)
  const groups = [
    { count: full, size: capacity },
    { count: rest > 0 ? 1 : 0, size: rest },
  ]
  let data = 3 + varintLength(size)
  let total = 0
  for (const group of groups) {
    if (group.count === 0) continue
    const below = treeBytes(group.size, height - 1)
    data += group.count * (1 + varintLength(group.size))
    total += group.count * (below + linkLength(0, below))
  }
  return total + dataLength(data)
}

const NO_NAME = new Uint8Array(0)

/** The tree over the digests of a file's leaves. */
function buildTree(
  digests: readonly Uint8Array[],
  size: number,
): { readonly cid: Cid; readonly nodes: readonly Uint8Array[] } {
  const nodes: Uint8Array[] = []
  let leaf = 0
  const build = (size: number, height: number): Cid => {
    // SAFE: there is a digest for each leaf that the size asks for.
    if (height === 0) return cidFromDigest('raw', digests[leaf++] as Uint8Array)
    const index = nodes.push(NO_NAME) - 1
    const { capacity, full, rest } = childrenOf(size, height)
    const sizes = Array.from({ length: full }, () => capacity)
    if (rest > 0) sizes.push(rest)
    const links = sizes.map(
      (childSize): NodeLink => ({
        cid: bytesOf(build(childSize, height - 1)),
        name: NO_NAME,
        treeBytes: treeBytes(childSize, height - 1),
      }),
    )
    const node = encodeNode(links, fileData(size, sizes))
    nodes[index] = node
    return cidOf('dag-pb', node)
  }
  return { cid: build(size, heightOf(size)), nodes }
}

/** The leaf digests that a node names, null where it is no node. */
function leavesOf(node: Uint8Array): Uint8Array[] | null {
  try {
    return decode(node)
      .Links.filter(({ Hash }) => codecOfBytes(Hash.bytes) === 'raw')
      .map(({ Hash }) => Hash.multihash.digest)
  } catch {
    return null
  }
}

const mismatch = (message: string, limit?: number | string, got?: number | string): Failure =>
  refuse('CONTENT_MISMATCH', message, {
    ...(limit === undefined ? {} : { limit }),
    ...(got === undefined ? {} : { got }),
  })

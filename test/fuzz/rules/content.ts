/** Content ids of folders, by `@ipld/dag-pb` and the profile's numbers. */
import { createHash } from 'node:crypto'
import * as dagPb from '@ipld/dag-pb'
import { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'

const LEAF = 2 ** 20
const WIDTH = 1024
const FOLDER_NODE = 256 * 1024

export interface Entry {
  readonly path: string
  readonly size: number
  readonly cid: CID
}

interface Block {
  readonly cid: CID
  readonly bytes: number
}
type Folder = Map<string, Folder | Block>

/** The folder of files, or null where there is none: a path stands for two things, or too many. */
export function folderOf(entries: readonly Entry[]): CID | null {
  const root: Folder = new Map()
  for (const { path, size, cid } of entries) {
    const names = path.split('/')
    const last = names.pop() ?? ''
    let folder = root
    for (const name of names) {
      const inner = folder.get(name) ?? new Map()
      if (!(inner instanceof Map)) return null
      folder.set(name, inner)
      folder = inner
    }
    if (folder.has(last)) return null
    folder.set(last, { cid, bytes: blocksOf(size) })
  }
  return nodeOf(root)?.cid ?? null
}

function nodeOf(folder: Folder): Block | null {
  const links: dagPb.PBLink[] = []
  let bytes = 0
  for (const [Name, child] of folder) {
    const block = child instanceof Map ? nodeOf(child) : child
    if (block === null) return null
    links.push({ Hash: block.cid, Name, Tsize: block.bytes })
    bytes += block.bytes
  }
  links.sort((a, b) => Buffer.compare(Buffer.from(a.Name ?? ''), Buffer.from(b.Name ?? '')))
  const node = dagPb.encode({ Links: links, Data: Uint8Array.of(8, 1) })
  if (node.length > FOLDER_NODE) return null
  const digest = createHash('sha256').update(node).digest()
  return { cid: CID.createV1(dagPb.code, Digest.create(0x12, digest)), bytes: bytes + node.length }
}

const varint = (value: number): number => (value < 128 ? 1 : 1 + varint(Math.floor(value / 128)))

/** Bytes of a file as blocks: level by level, as the tree is built. */
function blocksOf(size: number): number {
  let level: { file: number; blocks: number }[] = []
  for (let at = 0; at < size || at === 0; at += LEAF) {
    const leaf = Math.min(LEAF, size - at)
    level.push({ file: leaf, blocks: leaf })
  }
  while (level.length > 1) {
    const above: typeof level = []
    for (let at = 0; at < level.length; at += WIDTH)
      above.push(parentOf(level.slice(at, at + WIDTH)))
    level = above
  }
  return level[0]?.blocks ?? 0
}

function parentOf(children: readonly { file: number; blocks: number }[]) {
  const file = children.reduce((sum, each) => sum + each.file, 0)
  let links = 0
  let data = 2 + 1 + varint(file)
  let below = 0
  for (const child of children) {
    const link = 2 + 36 + 2 + 1 + varint(child.blocks)
    links += 1 + varint(link) + link
    data += 1 + varint(child.file)
    below += child.blocks
  }
  return { file, blocks: below + links + 1 + varint(data) + data }
}

/**
 * The folder of a model's files: one content id for all of them under their paths, what `ipfs add`
 * gives for the folder under the profile `unixfs-v1-2025`. docs/protocol.md, "Folders".
 */
import { compareBytes } from './bytes.ts'
import { bytesOf, type Cid, cidOf } from './cid.ts'
import { treeBytesOf } from './content-tree.ts'
import { accept, refuse, type Verdict } from './errors.ts'
import { MAX_FOLDER_NODE_BYTES } from './limits.ts'
import { encodeNode, FOLDER_DATA, type NodeLink } from './unixfs-node.ts'

export interface FolderFile {
  /** Relative, `/` between folders; checked by file-path.ts. */
  readonly path: string
  readonly cid: Cid
  /** Bytes of the file. */
  readonly size: number
}

/** Subfolders and files by name. */
type Folder = Map<string, Folder | FolderFile>

const utf8 = new TextEncoder()

/**
 * The content id of a folder of files; their order does not matter.
 * Fails with LIMIT where a folder is so full that the profile would shard it, with NAME_CLASH where
 * a path stands for two things.
 */
export function folderCid(files: readonly FolderFile[]): Verdict<Cid> {
  const built = folderNodes(files)
  // SAFE: the folder itself has a node.
  return built.ok ? accept(cidOf('dag-pb', built.value[0] as Uint8Array)) : built
}

/** The nodes of a folder and of those in it, each before its children. Fails like {@link folderCid}. */
export function folderNodes(files: readonly FolderFile[]): Verdict<readonly Uint8Array[]> {
  const root: Folder = new Map()
  for (const file of files) {
    const names = file.path.split('/')
    // SAFE: split gives at least one part.
    const last = names.pop() as string
    let folder = root
    for (const name of names) {
      const inner = folder.get(name) ?? new Map()
      if (!(inner instanceof Map)) return clash(file.path)
      folder.set(name, inner)
      folder = inner
    }
    if (folder.has(last)) return clash(file.path)
    folder.set(last, file)
  }
  const nodes: Uint8Array[] = []
  const built = build(root, nodes)
  return built.ok ? accept(nodes) : built
}

/** The id of a folder and its bytes as blocks. */
function build(
  folder: Folder,
  nodes: Uint8Array[],
): Verdict<{ readonly cid: Cid; readonly treeBytes: number }> {
  const links: NodeLink[] = []
  const index = nodes.push(new Uint8Array(0)) - 1
  for (const [name, child] of folder) {
    const built = child instanceof Map ? build(child, nodes) : accept(blockOf(child))
    if (!built.ok) return built
    const { cid, treeBytes } = built.value
    links.push({ cid: bytesOf(cid), name: utf8.encode(name), treeBytes })
  }
  links.sort((a, b) => compareBytes(a.name, b.name))
  const node = encodeNode(links, FOLDER_DATA)
  if (node.length > MAX_FOLDER_NODE_BYTES) {
    return refuse('LIMIT', 'too many files in one folder', {
      limit: MAX_FOLDER_NODE_BYTES,
      got: node.length,
    })
  }
  nodes[index] = node
  const below = links.reduce((sum, { treeBytes }) => sum + treeBytes, 0)
  return accept({ cid: cidOf('dag-pb', node), treeBytes: node.length + below })
}

const blockOf = ({ cid, size }: FolderFile) => ({ cid, treeBytes: treeBytesOf(size) })

const clash = (path: string) =>
  refuse('NAME_CLASH', 'a path stands for two things', { field: path.slice(0, 255) })

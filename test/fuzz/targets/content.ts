/** Trees of files and folders. */
import { cidOf, codecOf, digestOf, parseCid } from '../../../protocol/cid.ts'
import { readTree } from '../../../protocol/content-tree.ts'
import { refuse, type Verdict } from '../../../protocol/errors.ts'
import { folderCid } from '../../../protocol/folder.ts'
import { LEAF_BYTES } from '../../../protocol/limits.ts'
import { Breach, settle, type Target } from '../fuzzer.ts'
import type { Value } from '../loose-cbor.ts'
import { type Entry, folderOf } from '../rules/content.ts'
import { readEncoded } from '../rules/encoding.ts'
import * as is from '../rules/grammar.ts'
import { pathsFault } from '../rules/path.ts'
import { linkOfText, pool, treeOf } from '../samples.ts'
import { mutateValue } from '../value-mutants.ts'

/** Trees of one, two and six leaves. */
const trees = [1, LEAF_BYTES + 1, 5 * LEAF_BYTES + 3].map(treeOf)

const treeInput = is.fields({
  cid: is.anyLink,
  size: is.time,
  nodes: is.list(is.bytes(0, 2e5), 100),
})

/** Refuses what does not have the form in which inputs travel here. */
const misformed: Verdict<never> = refuse('RECORD_INVALID', 'not an input of the fuzzer')

const treeTarget: Target = {
  name: 'tree',
  share: 15,
  mutant: (random) => {
    const { cid, size, nodes } = random.pick(trees)
    const value = { cid: linkOfText(cid), size, nodes: [...nodes] }
    return { raw: mutateValue(value, pool, random), finish: (bytes) => bytes, isSigned: false }
  },
  judge(input) {
    const read = readEncoded(input)
    if ('fault' in read || treeInput(read.value) !== null) return settle(misformed)
    const { cid: link, size, nodes } = read.value as unknown as Entry & { nodes: Uint8Array[] }
    const cid = parseCid(link.toString())
    if (!cid.ok) return settle(cid)
    const verdict = readTree(cid.value, size, nodes)
    const known = trees.find((tree) => tree.cid === cid.value && tree.size === size)
    const same =
      known?.nodes.length === nodes.length &&
      nodes.every((node, n) => Buffer.compare(node, known.nodes[n] ?? new Uint8Array(0)) === 0)
    // A leaf needs no nodes, and its digest stands in its id.
    const isLeaf = codecOf(cid.value) === 'raw' && size <= LEAF_BYTES && nodes.length === 0
    if (
      verdict.ok &&
      isLeaf &&
      Buffer.compare(verdict.value[0] ?? input, digestOf(cid.value)) !== 0
    ) {
      throw new Breach('a leaf with another digest')
    }
    return settle(verdict, () => (same || isLeaf ? null : 'not the nodes of that file'))
  },
}

const folderInput = is.list(
  is.fields({ path: is.text(255), size: is.int(0, 2e10), cid: is.anyLink }),
  1000,
)
const file = (path: string, size: number): { [key: string]: Value } => ({
  path,
  size,
  cid: linkOfText(cidOf(size > LEAF_BYTES ? 'dag-pb' : 'raw', Buffer.from(path))),
})
const folders: readonly Value[] = [
  [],
  [file('rdf.yaml', 7)],
  [file('a/b', 0), file('a/c', 2 ** 21), file('b', 1023 * 2 ** 20 + 1), file('é/ü/x', 5e9)],
]

const folderTarget: Target = {
  name: 'folder',
  share: 20,
  mutant: (random) => ({
    raw: mutateValue(random.pick(folders), pool, random),
    finish: (bytes) => bytes,
    isSigned: false,
  }),
  judge(input) {
    const read = readEncoded(input)
    if ('fault' in read || folderInput(read.value) !== null) return settle(misformed)
    const entries = read.value as unknown as Entry[]
    // Paths are checked before a folder is made of them.
    if (pathsFault(entries.map(({ path }) => path)) !== null) return settle(misformed)
    const verdict = folderCid(
      entries.map((each) => ({ ...each, cid: each.cid.toString() as never })),
    )
    const ruled = folderOf(entries)
    if (verdict.ok && verdict.value !== ruled?.toString())
      throw new Breach(`another folder: ${ruled}`)
    return settle(verdict, () => (ruled === null ? 'no folder' : null))
  },
}

export const contentTargets: readonly Target[] = [treeTarget, folderTarget]

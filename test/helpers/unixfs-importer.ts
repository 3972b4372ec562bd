/** The importer that other tools use, as the measure for our own trees. */
import { importer } from 'ipfs-unixfs-importer'

const LEAF = new Uint8Array(2 ** 20)

/** Content of a size: zeros, so that a large file costs no memory. */
export async function* zeros(size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < size; at += LEAF.length) yield LEAF.subarray(0, size - at)
}

/** What the importer says of the folder or file at the root, under `unixfs-v1-2025`. */
export async function importAll(
  files: readonly { readonly path: string; readonly content: AsyncIterable<Uint8Array> }[],
): Promise<{
  readonly cid: string
  readonly treeBytes: number
  readonly nodes: readonly Uint8Array[]
}> {
  const nodes: Uint8Array[] = []
  const store = {
    async put(cid: { readonly code: number }, block: Uint8Array) {
      if (cid.code === 0x70) nodes.push(block)
      return cid
    },
  }
  let last: { readonly cid: { toString(): string }; readonly size: bigint } | null = null
  // SAFE: the importer only writes.
  for await (const entry of importer([...files], store as never, { profile: 'unixfs-v1-2025' })) {
    last = entry
  }
  if (last === null) throw new Error('nothing was imported')
  return { cid: last.cid.toString(), treeBytes: Number(last.size), nodes }
}

/** Blobs that are being fetched, for others who fetch them too: what has come is passed on. */
import type { Cid } from '../../protocol/cid.ts'
import { leafCount } from '../../protocol/content-tree.ts'
import { LeafSet } from '../../protocol/leaf-set.ts'
import type { Download } from '../../registry/blob-store.ts'

export class PartialBlob {
  readonly size: number
  /** Inner nodes of the tree, verified. */
  readonly nodes: readonly Uint8Array[]
  /** Leaves that are here, verified. */
  readonly have: LeafSet
  readonly #download: Download
  readonly #waiting = new Set<() => void>()

  constructor(download: Download, nodes: readonly Uint8Array[]) {
    this.#download = download
    this.size = download.size
    this.nodes = nodes
    this.have = new LeafSet(leafCount(download.size))
    const missing = new Set(download.missing())
    for (let index = 0; index < this.have.count; index++) {
      if (!missing.has(index)) this.have.add(index)
    }
  }

  /** The bytes of a leaf that is here. @throws ZoariumError STORE */
  read(index: number): Promise<Uint8Array> {
    return this.#download.read(index)
  }

  /** A leaf has come. */
  kept(index: number): void {
    this.have.add(index)
    this.#wake()
  }

  /** The download is over, one way or the other. */
  end(): void {
    this.#wake()
  }

  #wake(): void {
    for (const wake of this.#waiting) wake()
    this.#waiting.clear()
  }

  /** Resolves when more leaves have come, or after a time. */
  async more(withinMs: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const done = () => {
        clearTimeout(timer)
        this.#waiting.delete(done)
        resolve()
      }
      const timer = setTimeout(done, withinMs)
      this.#waiting.add(done)
    })
  }
}

export class PartialBlobs {
  readonly #blobs = new Map<Cid, PartialBlob>()

  get(cid: Cid): PartialBlob | null {
    return this.#blobs.get(cid) ?? null
  }

  add(cid: Cid, blob: PartialBlob): void {
    this.#blobs.set(cid, blob)
  }

  delete(cid: Cid): void {
    this.#blobs.get(cid)?.end()
    this.#blobs.delete(cid)
  }
}

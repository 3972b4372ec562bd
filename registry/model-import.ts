/**
 * Takes in a CAR file of models: all that it states is verified before anything is kept, and each
 * leaf of a file before it is written. docs/protocol.md, "Files of models".
 */
import { decode as decodeNode } from '@ipld/dag-pb'
import type { CarBlock } from '../protocol/car.ts'
import { CarReader } from '../protocol/car-stream.ts'
import { type Cid, cidFromDigest, cidOf, codecOf } from '../protocol/cid.ts'
import { nodeCount, readTree } from '../protocol/content-tree.ts'
import { findDevice } from '../protocol/delegation.ts'
import { expectOk, refuse, type Verdict, ZoariumError } from '../protocol/errors.ts'
import { folderNodes } from '../protocol/folder.ts'
import { type Identity, readIdentity } from '../protocol/identity.ts'
import { MAX_MODELS_CAR_STATEMENT_BYTES, MAX_MODELS_CAR_STATEMENTS } from '../protocol/limits.ts'
import { type ModelsManifest, readManifest } from '../protocol/models-car.ts'
import { type ModelFile, readRecord, type SignedRecord } from '../protocol/record.ts'
import type { Download } from './blob-store.ts'
import { failpoint } from './failpoint.ts'
import type { Registry } from './registry.ts'

/** Records that are made durable together. */
const BATCH = 200
/** Files that are under way at once: a file comes whole but for what it shares with others. */
const MAX_OPEN_FILES = 64

/** What was taken in. */
export interface Imported {
  /** The models for which the file was made, by record id. */
  readonly models: readonly Cid[]
  /** Records that are new here. */
  readonly records: number
  /** Files that are new here, and their bytes. */
  readonly files: number
  readonly bytes: number
}

/**
 * @throws ZoariumError TRUST where a publisher may not be mirrored here, ERASED, QUOTA, DISK_FULL,
 * STORE, BUSY where one of the files is being fetched, RECORD_INVALID for blocks that are missing, too
 * many or out of order, and like `readCar`, `readIdentity`, `readRecord`, `readTree`, `findDevice` and
 * {@link Registry.admitRecords}; files that were whole by then are kept until the next `gc`
 */
export async function importModels(
  registry: Registry,
  bytes: AsyncIterable<Uint8Array>,
): Promise<Imported> {
  const reader = new CarReader(bytes)
  const roots = expectOk(await reader.roots())
  const manifestId = roots.at(-1)
  const first = await nextOf(reader)
  if (first === null || manifestId === undefined || first.cid !== manifestId) {
    throw invalid('the CAR file does not begin with a manifest of models')
  }
  const manifest = expectOk(readManifest(first.content))
  const statements = await readStatements(reader, manifest)
  const stated = manifest.publishers.map((each) => verify(each, statements))
  const models = wantedModels(registry, roots.slice(0, -1), stated)
  const files = new Files(registry, models)
  await files.read(reader, statements)
  failpoint('import.after-files')
  const records = stated.reduce((sum, each) => sum + admit(registry, each, manifest, statements), 0)
  for (const { cid, size } of files.came) registry.blobKept(cid, size)
  return {
    models: models.map(({ id }) => id),
    records,
    files: files.came.length,
    bytes: files.came.reduce((sum, { size }) => sum + size, 0),
  }
}

type Blocks = ReadonlyMap<Cid, Uint8Array>

/** All that a publisher says, as far as the file goes. */
interface Stated {
  readonly identity: Identity
  readonly operations: readonly Uint8Array[]
  readonly records: readonly SignedRecord[]
  readonly heads: readonly Uint8Array[]
}

type ModelRecord = SignedRecord & { readonly record: { readonly kind: 'model' } }

async function nextOf(reader: CarReader): Promise<CarBlock | null> {
  return expectOk(await reader.block())
}

/** The statements and cards, in the order in which the manifest names them. */
async function readStatements(reader: CarReader, manifest: ModelsManifest): Promise<Blocks> {
  const { publishers, cards } = manifest
  const named = publishers.flatMap((each) => [...each.operations, ...each.records, ...each.heads])
  const wanted = [...new Set([...named, ...cards])]
  if (wanted.length > MAX_MODELS_CAR_STATEMENTS) {
    throw new ZoariumError('LIMIT', 'the file has too many statements', {
      limit: MAX_MODELS_CAR_STATEMENTS,
      got: wanted.length,
    })
  }
  const blocks = new Map<Cid, Uint8Array>()
  let size = 0
  for (const cid of wanted) {
    const block = await nextOf(reader)
    if (block?.cid !== cid) throw invalid('a block is missing, or not in its place', cid)
    size += block.content.length
    if (size > MAX_MODELS_CAR_STATEMENT_BYTES) {
      throw new ZoariumError('LIMIT', 'the statements of the file are too large', {
        limit: MAX_MODELS_CAR_STATEMENT_BYTES,
      })
    }
    blocks.set(cid, block.content.slice())
  }
  return blocks
}

function verify(
  { operations, records, heads }: ModelsManifest['publishers'][number],
  blocks: Blocks,
): Stated {
  // SAFE: all that the manifest names was read.
  const bytesOf = (cid: Cid) => blocks.get(cid) as Uint8Array
  const chain = operations.map(bytesOf)
  const identity = expectOk(readIdentity(chain))
  const signed = records.map((cid) => expectOk(readRecord(bytesOf(cid))))
  for (const { record } of signed) {
    if (record.publisher !== identity.publisher) {
      throw invalid('a record of another publisher', record.publisher)
    }
    expectOk(findDevice(identity, record))
  }
  return { identity, operations: chain, records: signed, heads: heads.map(bytesOf) }
}

/** One model record for each root; where several publishers share one, all of them. */
function wantedModels(
  registry: Registry,
  roots: readonly Cid[],
  stated: readonly Stated[],
): readonly ModelRecord[] {
  const isModel = (each: SignedRecord): each is ModelRecord => each.record.kind === 'model'
  const all = stated.flatMap(({ records }) => records.filter(isModel))
  return roots.flatMap((root) => {
    const found = all.filter(({ record }) => record.body.root === root)
    if (found.length === 0) throw invalid('no record names that root', root)
    for (const { id, record } of found) {
      if (!registry.trust.may(record.publisher, 'mirror')) {
        throw new ZoariumError('TRUST', 'no rule lets this node hold files of that publisher', {
          field: record.publisher,
          hint: `zoarium trust add ${record.publisher} mirror`,
        })
      }
      if (registry.catalogue.model(id)?.withdrawn === 'erase') {
        throw new ZoariumError('ERASED', 'the model was erased', { got: id })
      }
    }
    return found
  })
}

/** @returns how many records are new */
function admit(
  registry: Registry,
  { identity, operations, records, heads }: Stated,
  manifest: ModelsManifest,
  blocks: Blocks,
): number {
  expectOk(registry.admitIdentity(identity.publisher, operations, 0))
  const cards = new Set(manifest.cards)
  let fresh = 0
  for (let at = 0; at < records.length; at += BATCH) {
    const batch = records.slice(at, at + BATCH).map(({ envelope, record }) => {
      const card = record.kind === 'model' ? record.body.card : null
      const isHere = card !== null && cards.has(card)
      return { envelope, card: isHere ? (blocks.get(card) ?? null) : null }
    })
    const admitted = registry.admitRecords(batch).map(expectOk)
    fresh += admitted.filter(({ status }) => status === 'admitted').length
  }
  for (const head of heads) expectOk(registry.admitHead(head))
  return fresh
}

interface Came {
  readonly cid: Cid
  readonly size: number
}

/** A file that is not here yet. */
interface Coming {
  readonly file: ModelFile
  readonly digests: readonly Uint8Array[]
  /** Leaves that have not come. */
  left: number
  download: Download | null
}

/** The trees and bytes of the models' files, which come behind the statements. */
class Files {
  readonly came: Came[] = []
  readonly #registry: Registry
  readonly #files: ReadonlyMap<Cid, ModelFile>
  readonly #folders: ReadonlySet<Cid>
  /** Files by each leaf that they have, with its places; those that are here already have none. */
  readonly #leaves = new Map<Cid, { readonly coming: Coming; readonly index: number }[]>()
  readonly #coming = new Set<Coming>()

  constructor(registry: Registry, models: readonly ModelRecord[]) {
    this.#registry = registry
    const bodies = models.map(({ record }) => record.body)
    this.#files = new Map(bodies.flatMap(({ files }) => files.map((file) => [file.cid, file])))
    this.#folders = new Set(
      bodies.flatMap(({ files }) =>
        expectOk(folderNodes(files)).map((node) => cidOf('dag-pb', node)),
      ),
    )
    for (const { publisher } of models.map(({ record }) => record)) {
      const missing = [...this.#files.values()].filter(({ cid }) => !this.#isHere(cid))
      registry.quotas.requireRoom(
        publisher,
        missing.reduce((sum, { size }) => sum + size, 0),
      )
    }
  }

  #isHere(cid: Cid): boolean {
    return this.#registry.blobs.stat(cid) !== null
  }

  async read(reader: CarReader, statements: Blocks): Promise<void> {
    try {
      const first = await this.#readTrees(reader)
      // A card is a file, too.
      for (const [cid, content] of statements) await this.#leaf(cid, content, true)
      for (let block = first; block !== null; block = await nextOf(reader)) {
        await this.#leaf(block.cid, block.content, false)
      }
      const [lacking] = this.#coming
      if (lacking !== undefined) throw invalid('blocks of a file are missing', lacking.file.cid)
    } finally {
      for (const { download } of this.#coming) await download?.close()
    }
  }

  /** @returns the first block that is no node */
  async #readTrees(reader: CarReader): Promise<CarBlock | null> {
    const nodes = new Map<Cid, Uint8Array>()
    const most = [...this.#files.values()].reduce(
      (sum, { size }) => sum + nodeCount(size),
      this.#folders.size,
    )
    let block = await nextOf(reader)
    for (; block !== null && codecOf(block.cid) === 'dag-pb'; block = await nextOf(reader)) {
      if (nodes.size === most) throw invalid('a block that nothing names', block.cid)
      nodes.set(block.cid, block.content.slice())
    }
    const used = new Set<Cid>()
    for (const folder of this.#folders) {
      if (!nodes.has(folder)) throw invalid('the node of a folder is missing', folder)
      used.add(folder)
    }
    for (const file of this.#files.values()) {
      const tree = treeOf(file, nodes, used)
      this.#expect(file, tree, expectOk(readTree(file.cid, file.size, tree)))
    }
    const surplus = [...nodes.keys()].find((cid) => !used.has(cid))
    if (surplus !== undefined) throw invalid('a block that nothing names', surplus)
    return block
  }

  #expect(file: ModelFile, tree: readonly Uint8Array[], digests: readonly Uint8Array[]): void {
    const isHere = this.#isHere(file.cid)
    const coming: Coming = { file, digests, left: digests.length, download: null }
    if (!isHere) {
      this.#coming.add(coming)
      this.#registry.keepTree(file.cid, tree)
    }
    digests.forEach((digest, index) => {
      const cid = cidFromDigest('raw', digest)
      const places = this.#leaves.get(cid) ?? []
      if (!isHere) places.push({ coming, index })
      this.#leaves.set(cid, places)
    })
  }

  async #leaf(cid: Cid, content: Uint8Array, isStatement: boolean): Promise<void> {
    const places = this.#leaves.get(cid)
    if (places === undefined) {
      if (isStatement) return
      throw invalid('a block that nothing names', cid)
    }
    for (const { coming, index } of places) {
      const download = await this.#open(coming)
      const isRight = await download.write(index, content)
      if (!isRight)
        throw new ZoariumError('CONTENT_MISMATCH', 'a leaf of another size', { got: cid })
      coming.left -= 1
      if (coming.left > 0) continue
      await download.finish(coming.file.sha256)
      this.#coming.delete(coming)
      this.came.push({ cid: coming.file.cid, size: coming.file.size })
    }
  }

  async #open(coming: Coming): Promise<Download> {
    if (coming.download !== null) return coming.download
    const open = [...this.#coming].filter(({ download }) => download !== null).length
    if (open === MAX_OPEN_FILES) throw invalid('files are interleaved in the CAR file')
    const { cid, size } = coming.file
    coming.download = await this.#registry.blobs.download(cid, size, coming.digests)
    return coming.download
  }
}

/** The nodes of a file, each before its children. */
function treeOf({ cid: root, size }: ModelFile, nodes: Blocks, used: Set<Cid>) {
  const most = nodeCount(size)
  const tree: Uint8Array[] = []
  const walk = (cid: Cid): void => {
    const node = nodes.get(cid)
    if (node === undefined) throw invalid('the node of a file is missing', cid)
    // Few blocks can make an endless tree.
    if (tree.push(node) > most) throw invalid('the tree of a file is too large', root)
    used.add(cid)
    for (const child of expectOk(linksOf(cid, node))) walk(child)
  }
  if (codecOf(root) === 'dag-pb') walk(root)
  return tree
}

/** Children of a node that are nodes themselves. */
function linksOf(cid: Cid, node: Uint8Array): Verdict<readonly Cid[]> {
  try {
    const links = decodeNode(node).Links.map(({ Hash }) => Hash.toString() as Cid)
    return { ok: true, value: links.filter((link) => codecOf(link) === 'dag-pb') }
  } catch {
    return refuse('CONTENT_MISMATCH', 'not a node of a file', { got: cid })
  }
}

const invalid = (message: string, cid?: Cid): ZoariumError =>
  new ZoariumError('RECORD_INVALID', message, cid === undefined ? {} : { got: cid })

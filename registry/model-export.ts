/**
 * Models as one CAR file: their folders, as `ipfs add` would have made them, with all that proves
 * them. docs/protocol.md, "Files of models".
 */
import { carBlock, carHeader } from '../protocol/car.ts'
import { type Cid, cidFromDigest, cidOf } from '../protocol/cid.ts'
import { readTree } from '../protocol/content-tree.ts'
import { deviceOf } from '../protocol/device.ts'
import { expectOk, ZoariumError } from '../protocol/errors.ts'
import { folderNodes } from '../protocol/folder.ts'
import {
  MAX_MODELS_CAR_MODELS,
  MAX_MODELS_CAR_STATEMENT_BYTES,
  MAX_MODELS_CAR_STATEMENTS,
} from '../protocol/limits.ts'
import { type ModelsManifest, writeManifest } from '../protocol/models-car.ts'
import { type Position, readRecord } from '../protocol/record.ts'
import type { LogRow, ModelFileRow, ModelRow } from './catalogue.ts'
import { cutLeaves } from './leaves.ts'
import type { Registry } from './registry.ts'

/** Records that are read at once. */
const PAGE = 200

/**
 * @returns the file in chunks
 * @throws ZoariumError AUDIENCE for private models, ERASED, CONTESTED, BLOB_MISSING where files or
 * cards are not here, LIMIT; while it is read also CONTENT_MISMATCH, STORE
 */
export function exportModels(
  registry: Registry,
  models: readonly ModelRow[],
): AsyncIterable<Uint8Array> {
  if (models.length > MAX_MODELS_CAR_MODELS) {
    throw limit('too many models for one file', MAX_MODELS_CAR_MODELS)
  }
  for (const model of models) requireWhole(registry, model)
  const statements = new Statements()
  const publishers = [...new Set(models.map(({ publisher }) => publisher))].map((publisher) =>
    statements.publisher(registry, publisher),
  )
  const manifest = writeManifest({ publishers, cards: [...statements.cards.keys()] })
  const roots = [...new Set(models.map(({ root }) => root))]
  return blocks(registry, models, roots, manifest, statements)
}

function requireWhole(registry: Registry, { record, withdrawn }: ModelRow): void {
  const fail = (code: ConstructorParameters<typeof ZoariumError>[0], message: string): never => {
    throw new ZoariumError(code, message, { got: record })
  }
  if (registry.audiences.ofRecord(record) !== null) fail('AUDIENCE', 'the model is private')
  if (withdrawn === 'erase') fail('ERASED', 'the model was erased')
  if (registry.isContested(record)) fail('CONTESTED', 'the log of the model has forked')
  if (!registry.holding(record).complete) {
    throw new ZoariumError('BLOB_MISSING', 'files of the model are not on this node', {
      got: record,
      hint: `zoarium pull ${record}`,
    })
  }
}

class Statements {
  readonly blocks = new Map<Cid, Uint8Array>()
  readonly cards = new Map<Cid, Uint8Array>()
  #bytes = 0

  publisher(registry: Registry, publisher: Cid): ModelsManifest['publishers'][number] {
    const identity = registry.identity(publisher)
    const isErasing = ({ key }: LogRow): boolean => {
      const device = identity === null ? null : deviceOf(identity, key)
      return device?.ok === true && device.value.scope === 'erase'
    }
    const logs = registry
      .logs(publisher)
      .filter(({ key }) => registry.audiences.of(publisher, key) === null)
      // Without its card a model is taken in by those only who know that it is erased.
      .toSorted((a, b) => Number(isErasing(b)) - Number(isErasing(a)))
    return {
      operations: registry.identityOps(publisher).map((each) => this.#add(each)),
      records: logs.flatMap((log) => this.#log(registry, log)),
      heads: logs.flatMap(({ head }) => (head === null ? [] : [this.#add(head)])),
    }
  }

  #log({ catalogue }: Registry, { publisher, key }: LogRow): readonly Cid[] {
    const ids: Cid[] = []
    let last: Position | null = null
    for (;;) {
      const page = catalogue.recordsAfter(publisher, key, last, PAGE)
      for (const { envelope } of page) {
        const { record } = expectOk(readRecord(envelope))
        ids.push(this.#add(envelope))
        last = { epoch: record.epoch, seq: record.seq }
        if (record.kind !== 'model') continue
        const { card } = record.body
        const bytes = catalogue.card(card)
        if (bytes !== null && !this.cards.has(card)) {
          this.cards.set(card, bytes)
          this.#count(bytes)
        }
      }
      if (page.length < PAGE) return ids
    }
  }

  #add(statement: Uint8Array): Cid {
    const cid = cidOf('raw', statement)
    this.blocks.set(cid, statement)
    this.#count(statement)
    return cid
  }

  #count({ length }: Uint8Array): void {
    this.#bytes += length
    if (this.blocks.size + this.cards.size > MAX_MODELS_CAR_STATEMENTS) {
      throw limit('the logs are too long for one file', MAX_MODELS_CAR_STATEMENTS)
    }
    if (this.#bytes > MAX_MODELS_CAR_STATEMENT_BYTES) {
      throw limit('the logs are too large for one file', MAX_MODELS_CAR_STATEMENT_BYTES)
    }
  }
}

async function* blocks(
  registry: Registry,
  models: readonly ModelRow[],
  roots: readonly Cid[],
  manifest: { readonly cid: Cid; readonly content: Uint8Array },
  statements: Statements,
): AsyncGenerator<Uint8Array> {
  const seen = new Set<Cid>()
  function* block(cid: Cid, content: Uint8Array): Generator<Uint8Array> {
    if (seen.has(cid)) return
    seen.add(cid)
    yield carBlock(cid, content)
  }
  yield carHeader([...roots, manifest.cid])
  yield* block(manifest.cid, manifest.content)
  for (const [cid, content] of statements.blocks) yield* block(cid, content)
  for (const [cid, content] of statements.cards) yield* block(cid, content)
  const files = new Map<Cid, ModelFileRow>()
  for (const model of models) {
    for (const node of expectOk(folderNodes(model.files))) yield* block(cidOf('dag-pb', node), node)
    for (const file of model.files) {
      files.set(file.cid, file)
      for (const node of registry.tree(file.cid) ?? []) yield* block(cidOf('dag-pb', node), node)
    }
  }
  for (const { cid, size } of files.values()) {
    const leaves = expectOk(readTree(cid, size, registry.tree(cid) ?? []))
    const idOf = (index: number): Cid => cidFromDigest('raw', leaves[index] as Uint8Array)
    if (size === 0) yield* block(idOf(0), new Uint8Array(0))
    let index = 0
    for await (const leaf of cutLeaves(await registry.blobs.open(cid)))
      yield* block(idOf(index++), leaf)
  }
}

const limit = (message: string, most: number): ZoariumError =>
  new ZoariumError('LIMIT', message, { limit: most })

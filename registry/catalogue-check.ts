/**
 * Proves a catalogue from its own bytes: every chain, log, head, proof and card that is here, as if
 * a stranger had sent it. What is derived from them can be built again; they cannot.
 */
import { setImmediate } from 'node:timers/promises'
import { type Cid, isContentOf } from '../protocol/cid.ts'
import { nodeCount, readTree } from '../protocol/content-tree.ts'
import { findDevice } from '../protocol/delegation.ts'
import { deviceOf } from '../protocol/device.ts'
import { type Failure, type Issue, issueOf, refuse } from '../protocol/errors.ts'
import { readHead } from '../protocol/head.ts'
import { type Identity, readIdentity } from '../protocol/identity.ts'
import { checkEquivocation, checkNext } from '../protocol/log.ts'
import { type LogPosition, readRecord, type SignedRecord } from '../protocol/record.ts'
import type { Catalogue, LogRow, ModelFileRow, ModelRow } from './catalogue.ts'

/** Records that are read at once. */
const PAGE = 200

export interface CatalogueCheck {
  readonly publishers: number
  readonly logs: number
  readonly records: number
  readonly models: number
  readonly faults: readonly Issue[]
  /** Files that models name which are not erased, with one of these models; each blob once. */
  readonly files: ReadonlyMap<Cid, { readonly file: ModelFileRow; readonly model: ModelRow }>
  /** Models whose card is not here though its place says so. */
  readonly cardless: readonly ModelRow[]
}

/** @throws ZoariumError STORE where rows cannot be read */
export async function checkCatalogue(catalogue: Catalogue): Promise<CatalogueCheck> {
  const checking = new Checking(catalogue)
  for (const publisher of catalogue.publishers()) await checking.publisher(publisher)
  return checking
}

/** Why the tree of a file cannot be served or fetched by; null: it can. */
export function whyTreeless(catalogue: Catalogue, { cid, size }: ModelFileRow): Failure | null {
  if (nodeCount(size) === 0) return null
  const nodes = catalogue.tree(cid)
  if (nodes === null) return refuse('CONTENT_MISMATCH', 'the tree of the file is missing')
  const read = readTree(cid, size, nodes)
  return read.ok ? null : read
}

class Checking implements CatalogueCheck {
  readonly faults: Issue[] = []
  readonly files = new Map<Cid, { readonly file: ModelFileRow; readonly model: ModelRow }>()
  readonly cardless: ModelRow[] = []
  publishers = 0
  logs = 0
  records = 0
  models = 0
  readonly #catalogue: Catalogue
  readonly #withoutCard: ReadonlySet<Cid>

  constructor(catalogue: Catalogue) {
    this.#catalogue = catalogue
    this.#withoutCard = new Set(catalogue.modelsWithoutCard())
  }

  #fault(field: string, failure: Failure): void {
    this.faults.push({ ...issueOf(failure), field })
  }

  async publisher(publisher: Cid): Promise<void> {
    this.publishers += 1
    const read = readIdentity(this.#catalogue.identityOps(publisher))
    if (!read.ok) {
      this.#fault(publisher, read)
      return
    }
    const identity = read.value
    if (identity.publisher !== publisher) {
      this.#fault(publisher, refuse('IDENTITY_INVALID', 'the chain is that of another publisher'))
      return
    }
    for (const log of this.#catalogue.logs(publisher)) await this.#log(identity, log)
    this.#heads(publisher)
    for (const { key, proof } of this.#catalogue.proofs(publisher)) {
      const proven = checkEquivocation(...proof)
      if (!proven.ok) this.#fault(`${publisher} ${key} proof`, proven)
    }
  }

  #heads(publisher: Cid): void {
    for (const { key, envelope } of this.#catalogue.heads(publisher)) {
      const read = readHead(envelope)
      const isOf = read.ok && read.value.head.publisher === publisher && read.value.head.key === key
      if (!read.ok) this.#fault(`${publisher} ${key} head`, read)
      else if (!isOf) {
        this.#fault(`${publisher} ${key} head`, refuse('RECORD_INVALID', 'a head of another log'))
      }
    }
  }

  async #log(identity: Identity, log: LogRow): Promise<void> {
    this.logs += 1
    const { publisher, key } = log
    const name = `${publisher} ${key}`
    const device = deviceOf(identity, key)
    if (!device.ok) {
      this.#fault(name, device)
      return
    }
    let last: LogPosition | null = null
    for (;;) {
      const page = this.#catalogue.recordsAfter(publisher, key, last, PAGE)
      for (const { envelope } of page) {
        this.records += 1
        const read = readRecord(envelope)
        const place = last === null ? 'first record' : `record after ${last.epoch}.${last.seq}`
        const why = read.ok ? this.#whyMisplaced(identity, log, last, read.value) : read
        if (why !== null) {
          // Nothing after it can be told to be in its place.
          this.#fault(`${name} ${place}`, why)
          return
        }
        // SAFE: what cannot be read was found above.
        const { id, record } = (read as { value: SignedRecord }).value
        last = { epoch: record.epoch, seq: record.seq, tip: id }
        if (record.kind === 'model') this.#model(id, record.body.card)
      }
      if (page.length < PAGE) break
      await setImmediate()
    }
    if (last?.tip !== log.tip) {
      this.#fault(name, refuse('GAP', 'the log ends before its newest record', { got: log.tip }))
    }
  }

  #whyMisplaced(
    identity: Identity,
    { publisher, key }: LogRow,
    last: LogPosition | null,
    signed: SignedRecord,
  ): Failure | null {
    const { record, id } = signed
    if (record.publisher !== publisher || record.key !== key) {
      return refuse('RECORD_INVALID', 'a record of another log', { got: id })
    }
    const delegated = findDevice(identity, record)
    if (!delegated.ok) return delegated
    const next = checkNext(last, signed, delegated.value.cuts)
    if (!next.ok) return next
    if (this.#catalogue.record(id) !== null) return null
    return refuse('RECORD_INVALID', 'the record is not found by its id', { got: id })
  }

  #model(id: Cid, card: Cid): void {
    this.models += 1
    const model = this.#catalogue.model(id)
    if (model === null) {
      this.#fault(id, refuse('RECORD_INVALID', 'the index does not have the model'))
      return
    }
    if (model.withdrawn === 'erase') return
    for (const file of model.files) this.files.set(file.cid, { file, model })
    if (this.#withoutCard.has(id)) return
    const bytes = this.#catalogue.card(card)
    if (bytes === null) {
      this.cardless.push(model)
      this.#fault(id, refuse('BLOB_MISSING', 'the card is missing', { got: card }))
    } else if (!isContentOf(card, bytes)) {
      this.#fault(id, refuse('CONTENT_MISMATCH', 'the card has changed', { got: card }))
    }
  }
}

/** What lies around the node that is killed: other publishers with their models, and files to import. */
import fs from 'node:fs'
import path from 'node:path'
import type { Cid } from '../../protocol/cid.ts'
import { expectOk } from '../../protocol/errors.ts'
import { LEAF_BYTES } from '../../protocol/limits.ts'
import { systemClock } from '../../registry/clock.ts'
import { type DataFolder, dataFolder } from '../../registry/data-folder.ts'
import { exportModels } from '../../registry/model-export.ts'
import { initialise, openRegistry } from '../../registry/open-registry.ts'
import { TestPublisher, utf8 } from '../helpers/publisher.ts'
import { admit, keepFiles, openTestRegistry } from '../helpers/registry.ts'
import { type Base64, bytesOf, toBase64 } from './command.ts'

const HOUR_MS = 3600 * 1000
/** Models of the publisher whose records come from a peer. */
const MODELS = 12
/** Each fourth of them is erased by its publisher, some records later. */
const ERASED_EACH = 4
const CARS = 3
/** Of files of two leaves, and of one. */
const SIZES = [LEAF_BYTES + 3000, 5000] as const
/** So that files of peers are never those of the node. */
const PEER_SEED = 100_000

/** A model of a peer. */
export interface PeerModel {
  readonly record: Cid
  /** Of its largest file, as `bytesOf` makes it. */
  readonly seed: number
  readonly bytes: number
  readonly weights: Cid
  readonly files: readonly Cid[]
}

/** What a peer gives at once. */
export interface Batch {
  readonly records: readonly { readonly envelope: Base64; readonly card: Base64 | null }[]
  readonly head: Base64
  readonly position: { readonly key: string; readonly seq: number }
  readonly ids: readonly Cid[]
  /** Models that are known or erased from then on. */
  readonly models: readonly PeerModel[]
  readonly erases: Cid | null
}

/** A file for `zoarium import`. */
export interface Car {
  readonly file: string
  readonly records: readonly Cid[]
  readonly files: readonly Cid[]
}

export interface World {
  /** A node with its rules, to be copied. */
  readonly template: DataFolder
  /** When its publishers were founded, milliseconds. */
  readonly start: number
  readonly own: Cid
  readonly peer: Cid
  /** In order. */
  readonly batches: readonly Batch[]
  readonly cars: readonly Car[]
  /** A publisher of whom nothing comes, for rules. */
  readonly stranger: Cid
}

/** @param base an empty folder that is the caller's to delete */
export async function createWorld(base: string): Promise<World> {
  const template = dataFolder(path.join(base, 'template'))
  const start = systemClock.now() - 24 * HOUR_MS
  const { publisher: own } = await initialise(template, { displayName: 'Crash test' }, systemClock)
  const peer = new TestPublisher('peer', start)
  peer.letErase()
  const third = new TestPublisher('third', start)
  const opened = await openRegistry(template, systemClock)
  expectOk(opened.registry.admitIdentity(peer.publisher, peer.operations, 0))
  opened.registry.setTrust({ publisher: peer.publisher, right: 'mirror' })
  opened.registry.setTrust({ publisher: third.publisher, right: 'mirror' })
  await opened.close()
  return {
    template,
    start,
    own,
    peer: peer.publisher,
    batches: batchesOf(peer),
    cars: await carsOf(third, base),
    stranger: new TestPublisher('stranger', start).publisher,
  }
}

function batchesOf(peer: TestPublisher): Batch[] {
  const batches: Batch[] = []
  const models: PeerModel[] = []
  const issued = systemClock.now() - HOUR_MS
  for (let n = 0; n < MODELS; n += 1) {
    const bytes = SIZES[n % SIZES.length] ?? 1
    const weights = bytesOf(PEER_SEED + n * 10, bytes)
    const { signed, card } = peer.model({ name: `m${n}`, weights })
    const files = signed.record.kind === 'model' ? signed.record.body.files : []
    const model: PeerModel = {
      record: signed.id,
      seed: PEER_SEED + n * 10,
      bytes,
      weights: files.find(({ role }) => role === 'weights')?.cid ?? ('' as Cid),
      files: files.map(({ cid }) => cid),
    }
    models.push(model)
    batches.push({
      records: [{ envelope: toBase64(signed.envelope), card: toBase64(card) }],
      head: toBase64(peer.head(signed, issued + batches.length, 7 * 24 * HOUR_MS)),
      position: signed.record,
      ids: [signed.id],
      models: [model],
      erases: null,
    })
    const doomed = n % ERASED_EACH === ERASED_EACH - 1 ? models[n - 1] : undefined
    if (doomed === undefined) continue
    const withdrawal = peer.withdraw(doomed.record, 'erase')
    batches.push({
      records: [{ envelope: toBase64(withdrawal.envelope), card: null }],
      head: toBase64(peer.head(withdrawal, issued + batches.length, 7 * 24 * HOUR_MS)),
      position: withdrawal.record,
      ids: [withdrawal.id],
      models: [],
      erases: doomed.record,
    })
  }
  return batches
}

async function carsOf(third: TestPublisher, base: string): Promise<Car[]> {
  const registry = await openTestRegistry(third, systemClock)
  const cars: Car[] = []
  const before: Cid[] = []
  for (let n = 0; n < CARS; n += 1) {
    const weights = bytesOf(2 * PEER_SEED + n * 10, SIZES[n % SIZES.length] ?? 1)
    const model = third.model({ name: `car${n}`, weights, card: utf8(`name: car${n}\n`) })
    admit(registry, model)
    await keepFiles(registry, model)
    registry.heads()
    before.push(model.signed.id)
    const row = expectOk(registry.resolve(model.signed.id))
    const parts: Uint8Array[] = []
    for await (const part of exportModels(registry, [row])) parts.push(part)
    const file = path.join(base, `models-${n}.car`)
    fs.writeFileSync(file, Buffer.concat(parts))
    cars.push({ file, records: [...before], files: row.files.map(({ cid }) => cid) })
  }
  await registry.close()
  return cars
}

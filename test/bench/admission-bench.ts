/**
 * Admission: how many foreign records a second one core takes in, from bytes to a durable row:
 * decode, signature, delegation, sequence, store. Model records carry a card, which is read and
 * indexed; the rest of the records show the cost without it.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { projectPath } from '../../cli/colony.ts'
import { expectOk } from '../../protocol/errors.ts'
import { dataFolder } from '../../registry/data-folder.ts'
import { initialise, openRegistry } from '../../registry/open-registry.ts'
import { TestPublisher, utf8 } from '../helpers/publisher.ts'
import { type Figure, figure } from './figure.ts'

const RECORDS = 10_000
const MODELS = 1_000
/** A page of a sync answer. */
const PAGE = 500
/** Cards that a sync admits in one go. */
const BATCH = 32

export async function benchAdmission(): Promise<Figure[]> {
  const path = await mkdtemp(join(tmpdir(), 'zoarium-bench-'))
  const folder = dataFolder(path)
  const publisher = new TestPublisher('bench')
  const clock = { now: () => publisher.now + 60_000 }
  await initialise(folder, { displayName: 'Bench' }, clock)
  const opened = await openRegistry(folder, clock)
  try {
    const { registry } = opened
    expectOk(registry.admitIdentity(publisher.publisher, publisher.operations, 0))
    registry.setTrust({ publisher: publisher.publisher, right: 'list' })
    const target = publisher.model({ name: 'target' })
    expectOk(registry.admitRecord(target.signed.envelope, target.card))

    const tags: { envelope: Uint8Array; card: null }[] = []
    for (let n = 0; n < RECORDS; n++) {
      tags.push({
        envelope: publisher.tag('target', `t${n}`, target.signed.id).envelope,
        card: null,
      })
    }
    const perTag = measure(tags, (page) => registry.admitRecords(page).map(expectOk))

    const example = projectPath('docs', 'examples', 'nuclei-unet', 'rdf.yaml')
    const card = await readFile(example, 'utf8')
    const models = Array.from({ length: MODELS }, (_, n) => {
      const { signed, card: bytes } = publisher.model({
        name: `model-${n}`,
        card: utf8(card.replace('Nuclei U-Net example', `Model ${n}`)),
      })
      return { envelope: signed.envelope, card: bytes }
    })
    // As of a sync: the cards of the next batch are read while one is admitted.
    const batches = Array.from({ length: Math.ceil(MODELS / BATCH) }, (_, n) =>
      models.slice(n * BATCH, (n + 1) * BATCH),
    )
    const started = performance.now()
    const ahead = batches.map((batch) => registry.readAhead(batch.map(({ card }) => card)))
    let blocked = 0
    for (const [n, batch] of batches.entries()) {
      await ahead[n]
      const began = performance.now()
      registry.admitRecords(batch).map(expectOk)
      blocked += performance.now() - began
    }
    const perModel = (performance.now() - started) / MODELS
    return [
      figure('admission', 1000 / perTag, 'records/s', '>= 5000'),
      figure('admission with card and index', 1000 / perModel, 'records/s', '>= 800'),
      figure('the same, as far as the event loop waits', blocked / MODELS, 'ms a record', '< 1.25'),
    ]
  } finally {
    await opened.close()
    await rm(path, { recursive: true })
  }
}

/** @returns milliseconds for one item */
function measure<T>(items: readonly T[], admit: (page: readonly T[]) => unknown): number {
  const started = performance.now()
  for (let at = 0; at < items.length; at += PAGE) admit(items.slice(at, at + PAGE))
  return (performance.now() - started) / items.length
}

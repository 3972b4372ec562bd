/**
 * Swarm: one node publishes a file, and many that know each other fetch it at once. What the origin
 * sends, against the size of the file; without passing on it would be as many times the size.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expectOk } from '../../protocol/errors.ts'
import { FileBlobs } from '../../registry/file-blobs.ts'
import { startNode, stopAll } from '../helpers/network.ts'
import { TestPublisher } from '../helpers/publisher.ts'
import { admit, keepFiles } from '../helpers/registry.ts'
import { type Figure, figure } from './figure.ts'
import { contents, foldersIn } from './transfer-provider.ts'

const MIB = 1024 * 1024
const FILE_BYTES = 64 * MIB
const FETCHERS = 20

export async function benchSwarm(): Promise<Figure[]> {
  const folder = await mkdtemp(join(tmpdir(), 'zoarium-bench-'))
  try {
    return await measure(folder)
  } finally {
    await stopAll()
    await rm(folder, { recursive: true, force: true })
  }
}

async function measure(folder: string): Promise<Figure[]> {
  const origin = new TestPublisher('origin')
  const fetchers = Array.from({ length: FETCHERS }, (_, n) => new TestPublisher(`fetcher ${n}`))
  const all = [origin, ...fetchers]
  const model = origin.model({ name: 'bulk', weights: contents(FILE_BYTES) })
  const start = async (own: TestPublisher) => {
    const trusts = all.filter((each) => each !== own)
    const blobs = new FileBlobs(foldersIn(join(folder, own.name)))
    const node = await startNode(own, { trusts, blobs })
    if (own !== origin) {
      expectOk(node.registry.admitIdentity(origin.publisher, origin.operations, 0))
    }
    admit(node.registry, model)
    return node
  }
  const source = await start(origin)
  await keepFiles(source.registry, model)
  const nodes = []
  for (const own of fetchers) {
    const node = await start(own)
    for (const other of [source, ...nodes]) await node.network.connect(other.address)
    nodes.push(node)
  }
  const { record, id } = model.signed
  const file = record.kind === 'model' && record.body.files.find(({ role }) => role === 'weights')
  if (!file) throw new TypeError('the model has weights')
  const signal = AbortSignal.timeout(300_000)
  const started = performance.now()
  await Promise.all(nodes.map(({ network }) => network.fetchBlob(file, { record: id, signal })))
  const seconds = (performance.now() - started) / 1000
  const size = { name: 'size of the file', value: FILE_BYTES / MIB }
  return [
    figure(
      `sent by the origin to ${FETCHERS} fetchers at once`,
      source.network.blobBytesSent / MIB,
      'MiB',
      'ratio <= 1.1',
      size,
    ),
    figure(
      'taken in by all of them together',
      (FETCHERS * FILE_BYTES) / MIB / seconds,
      'MiB/s',
      'informative',
    ),
  ]
}

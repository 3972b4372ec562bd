/**
 * What `publish` sends: the card, and of the files that it names those that are there and wanted.
 * A folder may hold gigabytes that no card names; they stay. The node judges; what is missing or
 * wrong is its to say.
 */
import { createReadStream } from 'node:fs'
import { readdir, readFile, realpath, stat } from 'node:fs/promises'
import { basename, dirname, extname, join, resolve, sep } from 'node:path'
import type { PassThrough } from 'node:stream'
import { ZipFile } from 'yazl'
import { readCard } from '../protocol/card.ts'
import { findCard, isCardName } from '../protocol/card-name.ts'
import { expectOk, ZoariumError } from '../protocol/errors.ts'
import { checkPath } from '../protocol/file-path.ts'
import { MAX_CARD_BYTES } from '../protocol/limits.ts'
import type { WeightFormat } from '../protocol/model-description.ts'

/** What a card is called that has a name of its own; its bytes stay. */
const COMMON_NAME = 'rdf.yaml'

export interface Upload {
  readonly body: AsyncIterable<Uint8Array>
  /** Bytes. */
  readonly size: number
}

/**
 * @param path a folder, a zip, or a card
 * @param weights only these; null: all that the card names
 * @throws ZoariumError NOT_A_PACKAGE, LIMIT, PATH
 */
export async function prepareUpload(
  path: string,
  weights: readonly WeightFormat[] | null,
): Promise<Upload> {
  const found = await stat(path).catch(() => null)
  if (found === null) {
    throw new ZoariumError('NOT_A_PACKAGE', 'there is nothing at that path', { field: path })
  }
  if (found.isFile() && extname(path).toLowerCase() === '.zip') {
    return { body: createReadStream(path), size: found.size }
  }
  const card = found.isDirectory() ? join(path, expectOk(findCard(await readdir(path)))) : path
  return zipPackage(card, weights)
}

async function zipPackage(
  cardPath: string,
  weights: readonly WeightFormat[] | null,
): Promise<Upload> {
  const { size } = await stat(cardPath)
  if (size > MAX_CARD_BYTES) {
    throw new ZoariumError('LIMIT', 'too large for a card', {
      field: cardPath,
      limit: MAX_CARD_BYTES,
      got: size,
      hint: 'publish takes a folder, a .zip or an rdf.yaml',
    })
  }
  const card = await readFile(cardPath)
  const zip = new ZipFile()
  const name = basename(cardPath)
  zip.addBuffer(card, isCardName(name) ? name : COMMON_NAME, { compress: false })
  const folder = await realpath(dirname(resolve(cardPath)))
  for (const path of pathsOf(card, weights)) {
    const file = await fileIn(folder, path)
    if (file !== null && path !== name) zip.addFile(file, path, { compress: false })
  }
  // SAFE: the stream is a PassThrough of bytes.
  return { size: await endZip(zip), body: zip.outputStream as AsyncIterable<Uint8Array> }
}

/** The size is known beforehand, since nothing is compressed: weights hardly shrink. */
function endZip(zip: ZipFile): Promise<number> {
  return new Promise((done, fail) => {
    zip.on('error', (error) => {
      fail(error)
      // A file that changes while it is sent would otherwise leave the reader waiting for ever.
      ;(zip.outputStream as PassThrough).destroy(error)
    })
    // SAFE: the typings leave out the argument that the documentation promises.
    zip.end(undefined, done as unknown as () => void)
  })
}

/** Local files that the card names; none where it cannot be read, which the node will explain. */
function pathsOf(card: Uint8Array, weights: readonly WeightFormat[] | null): ReadonlySet<string> {
  const read = readCard(card)
  if (!read.ok) return new Set()
  const wanted = read.value.description.files.filter(
    (file) => weights === null || file.weights === null || weights.includes(file.weights),
  )
  return new Set(wanted.map((file) => file.source).filter((source) => checkPath(source).ok))
}

/** @throws ZoariumError PATH where a link leads out of the folder: such a file was not meant to go */
async function fileIn(folder: string, path: string): Promise<string | null> {
  const file = await realpath(join(folder, path)).catch(() => null)
  if (file === null || !(await stat(file)).isFile()) return null
  if (file.startsWith(folder + sep)) return file
  throw new ZoariumError('PATH', 'a link leads out of the package', {
    field: path,
    hint: 'copy the file into the folder',
  })
}

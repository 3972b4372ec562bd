/**
 * Zip archives from strangers, read in place and never unpacked to disk.
 *
 * All entries are checked before one is opened: names, kinds, sizes, and that no two share bytes.
 * While one is read its size and checksum are enforced, so headers that lie end in an error.
 */
import { crc32 } from 'node:zlib'
import yauzl, { type Entry, type ZipFile } from 'yauzl'
import { accept, type Failure, refuse, type Verdict, ZoariumError } from '../protocol/errors.ts'
import { checkPath, checkPaths } from '../protocol/file-path.ts'
import { MAX_BLOB_BYTES } from '../protocol/limits.ts'

/** Packages hold tens of files; a thousand of them and folders are generous. */
const MAX_ENTRIES = 10_000
/** Unpacked bytes that are never too many, however well they were packed: masks pack 1,000 fold. */
const FREE_BYTES = 1024 ** 3
/** Beyond those, unpacked bytes for each packed one; weights and images stay below 10. */
const MAX_RATIO = 100
/** A local header without name and extra field. */
const LOCAL_HEADER_BYTES = 30
const DEFLATE = 8
const STORED = 0

export interface ZipArchive {
  /** Files only, by path. */
  readonly files: readonly { readonly path: string; readonly size: number }[]
  /** @throws ZoariumError ZIP, while reading too */
  open(path: string): Promise<AsyncIterable<Uint8Array>>
  close(): Promise<void>
}

/** Fails with ZIP, PATH, NFC, NAME_CLASH or LIMIT. */
export async function openZipArchive(path: string): Promise<Verdict<ZipArchive>> {
  let zip: ZipFile
  try {
    zip = await yauzl.openPromise(path, { autoClose: false, decodeStrings: false })
  } catch (error) {
    return refuse('ZIP', `not a zip archive: ${reasonOf(error)}`)
  }
  const entries = await readEntries(zip)
  if (!entries.ok) {
    zip.close()
    return entries
  }
  const found = entries.value
  return accept({
    files: [...found].map(([name, entry]) => ({ path: name, size: entry.uncompressedSize })),
    open: async (name) => {
      const entry = found.get(name)
      if (entry === undefined) throw new TypeError(`not in the archive: ${name}`)
      return readEntry(zip, entry, name)
    },
    close: async () => zip.close(),
  })
}

/** The files by path, all checked. */
async function readEntries(zip: ZipFile): Promise<Verdict<Map<string, Entry>>> {
  if (zip.entryCount > MAX_ENTRIES) {
    return refuse('LIMIT', 'the archive has too many entries', {
      limit: MAX_ENTRIES,
      got: zip.entryCount,
    })
  }
  const entries: { readonly name: string; readonly entry: Entry }[] = []
  try {
    for await (const entry of zip.eachEntry()) {
      const name = nameOf(entry)
      const fault = faultOf(entry, name)
      if (fault !== null) return fault
      entries.push({ name, entry })
    }
  } catch (error) {
    return refuse('ZIP', `the archive cannot be read: ${reasonOf(error)}`)
  }
  const files = entries.filter(({ name }) => !name.endsWith('/'))
  const clash = checkPaths(files.map(({ name }) => name))
  if (!clash.ok) return clash
  const fault = checkExtents(
    entries.map(({ entry }) => entry),
    zip.fileSize,
  )
  if (fault !== null) return fault
  files.sort((a, b) => (a.name < b.name ? -1 : 1))
  return accept(new Map(files.map(({ name, entry }) => [name, entry])))
}

/** UTF-8 or CP437, whichever the entry says. */
const nameOf = (entry: Entry): string =>
  yauzl.getFileNameLowLevel(
    entry.generalPurposeBitFlag,
    entry.fileNameRaw,
    yauzl.parseExtraFields(entry.extraFieldRaw),
    true,
  )

function faultOf(entry: Entry, name: string): Failure | null {
  const path = checkPath(name.endsWith('/') ? name.slice(0, -1) : name)
  if (!path.ok) return path
  // The upper half holds the mode that a Unix archiver stored; links and devices are kinds there.
  const kind = (entry.externalFileAttributes >>> 16) & 0o170000
  if (kind !== 0 && kind !== 0o100000 && kind !== 0o040000) {
    return refuse('PATH', 'the archive holds a link or a device', {
      field: name,
      hint: 'replace the link by the file that it points at',
    })
  }
  if (entry.isEncrypted()) return refuse('ZIP', 'the archive is encrypted', { field: name })
  if (entry.compressionMethod !== DEFLATE && entry.compressionMethod !== STORED) {
    return refuse('ZIP', 'the archive uses a compression that is not supported', {
      field: name,
      limit: 'stored or deflated',
      got: entry.compressionMethod,
    })
  }
  if (entry.uncompressedSize > MAX_BLOB_BYTES) {
    return refuse('LIMIT', 'a file is too large', {
      field: name,
      limit: MAX_BLOB_BYTES,
      got: entry.uncompressedSize,
    })
  }
  return null
}

/** No two entries share bytes, and together they do not grow out of proportion. */
function checkExtents(entries: readonly Entry[], archiveBytes: number): Failure | null {
  const byOffset = entries.toSorted(
    (a, b) => a.relativeOffsetOfLocalHeader - b.relativeOffsetOfLocalHeader,
  )
  let end = 0
  let unpacked = 0
  for (const entry of byOffset) {
    if (entry.relativeOffsetOfLocalHeader < end) {
      return refuse('ZIP', 'two entries of the archive overlap', { field: nameOf(entry) })
    }
    end =
      entry.relativeOffsetOfLocalHeader +
      LOCAL_HEADER_BYTES +
      entry.fileNameLength +
      entry.compressedSize
    unpacked += entry.uncompressedSize
  }
  if (end > archiveBytes) return refuse('ZIP', 'the archive is cut short')
  const limit = Math.max(FREE_BYTES, MAX_RATIO * archiveBytes)
  return unpacked > limit
    ? refuse('LIMIT', 'the archive unpacks to too much for its size', { limit, got: unpacked })
    : null
}

/** The bytes of an entry; the library ends the stream where the stated size is passed. */
async function* readEntry(zip: ZipFile, entry: Entry, name: string): AsyncIterable<Uint8Array> {
  let checksum = 0
  try {
    // Other tools may go by the local header; it must not name another file.
    const local = await zip.readLocalFileHeaderPromise(entry)
    if (!local.fileName.equals(entry.fileNameRaw)) throw new Error('its two headers differ')
    for await (const chunk of await zip.openReadStreamPromise(entry)) {
      checksum = crc32(chunk, checksum)
      yield chunk
    }
    if (checksum !== entry.crc32) throw new Error('its checksum is wrong')
  } catch (error) {
    throw new ZoariumError('ZIP', `${name} cannot be read from the archive: ${reasonOf(error)}`, {
      field: name,
    })
  }
}

const reasonOf = (error: unknown): string =>
  error instanceof Error ? error.message.slice(0, 200) : 'unknown'

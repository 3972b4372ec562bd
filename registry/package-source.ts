/**
 * Where a package's files are read from: a folder, a zip archive, or a card in a folder. Nothing
 * is written, no link is followed, and no name outside the grammar of file-path.ts is opened.
 */
import { constants, type Dirent } from 'node:fs'
import { lstat, open, readdir, stat } from 'node:fs/promises'
import path from 'node:path'
import { accept, refuse, type Verdict, ZoariumError } from '../protocol/errors.ts'
import { checkPath } from '../protocol/file-path.ts'
import { MAX_PATH_DEPTH } from '../protocol/limits.ts'
import { openZipArchive } from './zip-archive.ts'

/** A folder with more is no package but somebody's home. */
const MAX_LISTED = 10_000
const READ_BYTES = 1024 ** 2

export interface PackageSource {
  /** By path, `/` between folders, relative to the package's top. Sizes in bytes. */
  readonly files: readonly { readonly path: string; readonly size: number }[]
  /** Symbolic links and other things that are no files; never opened. */
  readonly links: ReadonlySet<string>
  /** The card that was named, or null where it is to be found. */
  readonly card: string | null
  /** @throws ZoariumError STORE, PATH, ZIP, while reading too */
  open(path: string): Promise<AsyncIterable<Uint8Array>>
  close(): Promise<void>
}

/** A folder, a .zip, or a card. Fails with NOT_A_PACKAGE, ZIP, PATH, NAME_CLASH or LIMIT. */
export async function openSource(name: string): Promise<Verdict<PackageSource>> {
  const found = await stat(name).catch(() => null)
  if (found === null) {
    return refuse('NOT_A_PACKAGE', 'there is no such file or folder', { field: name })
  }
  if (found.isDirectory()) return openFolder(name)
  if (/\.zip$/i.test(name)) return openZip(name)
  if (/\.(ya?ml|json)$/i.test(name)) return openFolder(path.dirname(name), path.basename(name))
  return refuse('NOT_A_PACKAGE', 'neither a folder, a .zip nor a card', {
    field: name,
    hint: 'give the folder that holds rdf.yaml, a zip of it, or the card itself',
  })
}

/**
 * @param card the card's name in the folder, where there may be several
 * @throws ZoariumError STORE where the folder cannot be listed
 */
export async function openFolder(
  folder: string,
  card: string | null = null,
): Promise<Verdict<PackageSource>> {
  const files: { path: string; size: number }[] = []
  const links = new Set<string>()
  const pending = ['']
  for (let dir = pending.pop(); dir !== undefined; dir = pending.pop()) {
    const entries = await list(path.join(folder, dir))
    if (files.length + links.size + pending.length + entries.length > MAX_LISTED) {
      return refuse('LIMIT', 'the folder holds too many files', {
        field: folder,
        limit: MAX_LISTED,
        hint: 'give a folder that holds the package only, or the card itself in such a folder',
      })
    }
    for (const entry of entries) {
      const name = dir === '' ? entry.name : `${dir}/${entry.name}`
      // A name that no package may hold is not listed; a card that asks for it is refused.
      if (!checkPath(name).ok) continue
      if (entry.isDirectory()) {
        // Version control and caches; packages have no hidden folders.
        const isHidden = entry.name.startsWith('.')
        if (!isHidden && name.split('/').length < MAX_PATH_DEPTH) pending.push(name)
      } else if (entry.isFile()) {
        files.push({ path: name, size: (await lstat(path.join(folder, name))).size })
      } else links.add(name)
    }
  }
  files.sort((a, b) => (a.path < b.path ? -1 : 1))
  return accept({
    files,
    links,
    card,
    open: async (name) => readFile(path.join(folder, name), name),
    close: async () => {},
  })
}

/** A zip archive; one folder that holds everything is taken for the package's top. */
export async function openZip(name: string): Promise<Verdict<PackageSource>> {
  const archive = await openZipArchive(name)
  if (!archive.ok) return archive
  const { files, open: openEntry, close } = archive.value
  // What macOS adds beside the files.
  const own = files.filter((file) => !file.path.startsWith('__MACOSX/'))
  const [top = ''] = own[0]?.path.split('/') ?? []
  const isWrapped = own.length > 0 && own.every((file) => file.path.startsWith(`${top}/`))
  const prefix = isWrapped ? `${top}/` : ''
  return accept({
    files: own.map(({ path: name, size }) => ({ path: name.slice(prefix.length), size })),
    links: new Set(),
    card: null,
    open: (path) => openEntry(prefix + path),
    close,
  })
}

async function list(folder: string): Promise<Dirent[]> {
  try {
    return await readdir(folder, { withFileTypes: true })
  } catch (error) {
    throw new ZoariumError('STORE', `couldn't list ${folder}`, { field: folder }, error)
  }
}

async function* readFile(file: string, name: string): AsyncIterable<Uint8Array> {
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW
  try {
    await using handle = await open(file, flags)
    if (!(await handle.stat()).isFile())
      throw new ZoariumError('PATH', `${name} is no file`, { field: name })
    yield* handle.createReadStream({ highWaterMark: READ_BYTES, autoClose: false })
  } catch (error) {
    if (error instanceof ZoariumError) throw error
    throw new ZoariumError('STORE', `couldn't read ${name}`, { field: name }, error)
  }
}

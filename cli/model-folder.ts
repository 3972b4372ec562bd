/** Writes a model's files to a folder of the user's: verified, and never outside that folder. */
import { lstat, mkdir, open, realpath, rename, rm } from 'node:fs/promises'
import { dirname, join, sep } from 'node:path'
import type { ModelFileView, ModelView } from '../protocol/api.ts'
import { expectOk, ZoariumError } from '../protocol/errors.ts'
import { checkPaths } from '../protocol/file-path.ts'
import { createFileCheck } from './file-check.ts'
import { startProgress } from './progress.ts'
import type { Session } from './session.ts'

/**
 * @returns the paths written, relative to the folder
 * @throws ZoariumError PATH, NAME_CLASH, CONTENT_MISMATCH, BLOB_MISSING, USAGE where a file exists
 */
export async function saveModel(
  { client, output }: Session,
  model: ModelView,
  folder: string,
): Promise<readonly string[]> {
  // The node checked these names; the bytes that this program writes it checks itself.
  expectOk(checkPaths(model.files.map((file) => file.path)))
  await mkdir(folder, { recursive: true })
  const root = await realpath(folder)
  for (const file of model.files) await refuseExisting(root, file.path)
  const progress = startProgress(output, 'writing', model.bytes)
  try {
    for (const file of model.files) {
      const bytes = await client.file(model.record, file.path)
      await save(root, file, bytes, (n) => progress.add(n))
    }
  } finally {
    progress.stop()
  }
  return model.files.map((file) => file.path)
}

async function refuseExisting(root: string, path: string): Promise<void> {
  const found = await lstat(join(root, path)).catch(() => null)
  if (found === null) return
  throw new ZoariumError('USAGE', 'a file is there already', {
    field: join(root, path),
    hint: 'choose an empty folder',
  })
}

async function save(
  root: string,
  file: ModelFileView,
  bytes: AsyncIterable<Uint8Array>,
  onBytes: (count: number) => void,
): Promise<void> {
  const target = join(root, file.path)
  await mkdir(dirname(target), { recursive: true })
  // A link that lies in the folder must not lead out of it.
  const parent = await realpath(dirname(target))
  if (parent !== root && !parent.startsWith(root + sep)) {
    throw new ZoariumError('PATH', 'a link leads out of the folder', { field: file.path })
  }
  const partial = `${target}.part`
  const check = createFileCheck(file)
  const handle = await open(partial, 'wx')
  try {
    for await (const chunk of bytes) {
      check.update(chunk)
      await handle.writeFile(chunk)
      onBytes(chunk.length)
    }
    await handle.close()
    expectOk(check.finish())
    await rename(partial, target)
  } catch (error) {
    await handle.close().catch(() => {})
    await rm(partial, { force: true })
    throw error
  }
}

/**
 * A disk that loses what was not made durable: a file system of its own on a loop device. Its kernel
 * keeps writes in memory until somebody asks for them on the disk; a cut takes a copy of what the
 * device has then, and mounts that. So the losses are real, SQLite's own files among them, and
 * whoever forgets an fsync is found out.
 *
 * What it can't show: one fsync makes ext4 write its journal, and with it names that were changed in
 * other folders before, so that a folder's missing fsync is hidden by the next file's; and the device
 * itself never loses, tears or reorders what it was given.
 *
 * Needs root, loop devices and mkfs.ext4; `whyNoPowerDisk` says what is missing.
 */
import { execFile, spawnSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import process from 'node:process'
import { promisify } from 'node:util'
import type { CrashDisk } from './generation.ts'

/** MiB; sparse. */
const SIZE = 256
/**
 * As forgetful as ext4 can be: bytes may come after the names of their files, no file is flushed
 * because it replaces another one, and nothing is written for ten minutes unless it is asked for.
 */
const OPTIONS = 'loop,noatime,data=writeback,noauto_da_alloc,commit=600'

const run = promisify(execFile)

/** Why this machine can't have such a disk; null: it can. */
export function whyNoPowerDisk(): string | null {
  if (process.getuid?.() !== 0) return 'not root'
  if (process.platform !== 'linux') return 'not Linux'
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'zoarium-probe-'))
  const attempt = (file: string, ...args: string[]): string | null => {
    const { status, error, stderr } = spawnSync(file, args, { encoding: 'utf8' })
    return status === 0 ? null : `${file}: ${error?.message ?? stderr.trim()}`
  }
  try {
    const [image, mount] = [path.join(folder, 'image'), path.join(folder, 'mount')]
    fs.mkdirSync(mount)
    fs.writeFileSync(image, '')
    fs.truncateSync(image, SIZE * 1024 * 1024)
    const why =
      attempt('mkfs.ext4', '-q', '-F', image) ??
      attempt('mount', '-o', OPTIONS, image, mount) ??
      attempt('umount', mount)
    return why
  } finally {
    fs.rmSync(folder, { recursive: true, force: true })
  }
}

/** @param folder where the image and the mount point go */
export async function powerDisk(folder: string): Promise<CrashDisk> {
  const image = path.join(folder, 'image')
  const mount = path.join(folder, 'mount')
  fs.mkdirSync(mount, { recursive: true })
  fs.writeFileSync(image, '')
  fs.truncateSync(image, SIZE * 1024 * 1024)
  await run('mkfs.ext4', ['-q', '-F', image])
  await run('mount', ['-o', OPTIONS, image, mount])
  const unmount = () => run('umount', [mount])
  return {
    path: mount,
    async cut() {
      const after = path.join(folder, 'after')
      await run('cp', ['--sparse=always', image, after])
      // Writes the rest into the old image, which nobody looks at again.
      await unmount()
      fs.renameSync(after, image)
      await run('mount', ['-o', OPTIONS, image, mount])
    },
    async settle() {
      await run('sync', ['-f', mount])
    },
    async remove() {
      await unmount().catch(() => run('umount', ['-l', mount]))
      fs.rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** File paths, as docs/protocol.md has them under "File paths". */
import type { Fault } from './encoding.ts'

const DEVICES = ['con', 'prn', 'aux', 'nul', 'conin$', 'conout$'].concat(
  [...'0123456789¹²³'].flatMap((n) => [`com${n}`, `lpt${n}`]),
)

export function pathFault(path: string): Fault {
  const length = Buffer.byteLength(path)
  if (!path.isWellFormed() || length < 1 || length > 255) return 'not 1 to 255 bytes'
  const parts = path.split('/')
  if (parts.length > 8) return 'more than 8 parts'
  for (const part of parts) {
    if (part === '' || part === '.' || part === '..') return 'an empty part or a dot'
    if (part.endsWith('.') || part.endsWith(' ')) return 'ends in a dot or a blank'
    if ([...'\\:*?"<>|'].some((each) => part.includes(each))) return 'a character of Windows'
    if (/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(part)) return 'an invisible character'
    const [stem = ''] = part.split('.')
    if (DEVICES.includes(stem.trimEnd().toLowerCase())) return 'a device'
  }
  return path.normalize('NFC') === path ? null : 'not in normal form C'
}

const fold = (path: string): string =>
  path.normalize('NFC').toUpperCase().toLowerCase().normalize('NFC')

/** Faults of single paths, and pairs that some file system takes for one. */
export function pathsFault(paths: readonly string[]): Fault {
  for (const path of paths) {
    const fault = pathFault(path)
    if (fault !== null) return fault
  }
  const files = paths.map(fold)
  if (new Set(files).size < files.length) return 'two paths clash'
  const folders = new Map<string, string>()
  for (const path of paths) {
    const parts = path.split('/')
    for (let n = 1; n < parts.length; n++) {
      const folder = parts.slice(0, n).join('/')
      const folded = fold(folder)
      if (files.includes(folded)) return 'a file is a folder'
      if ((folders.get(folded) ?? folder) !== folder) return 'a folder is spelled twice'
      folders.set(folded, folder)
    }
  }
  return null
}

/**
 * Names of files in a package: relative paths that every file system can hold and tell apart, and
 * that stay inside their folder. docs/protocol.md, "File paths".
 *
 * Paths come from strangers and end up on disks, in URLs and on terminals, so the grammar is
 * narrow: what one system cannot hold, no package may hold.
 */
import {
  accept,
  type Failure,
  type Issue,
  issueOf,
  refuse,
  refuseAll,
  type Verdict,
} from './errors.ts'
import { MAX_PATH_BYTES, MAX_PATH_DEPTH } from './limits.ts'

/** Characters that Windows refuses in names; `:` also makes drives and alternate streams. */
const FORBIDDEN = /[\\:*?"<>|]/
/** Controls, and formatting marks that make a name print as another (bidi, zero width). */
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u
/** Devices on Windows, with any extension. */
const RESERVED = /^(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])\s*(\.|$)/i

/**
 * Checks one path: relative, `/` between folders, in Unicode normal form C.
 * Fails with PATH, or NFC where only the normal form is wrong.
 */
export function checkPath(path: string): Verdict<string> {
  if (path === '') return bad(path, 'a file name is empty')
  if (!path.isWellFormed()) return bad(path, 'a file name is not valid Unicode')
  const bytes = utf8Length(path)
  if (bytes > MAX_PATH_BYTES) {
    return refuse('PATH', 'a file name is too long', {
      field: path.slice(0, 80),
      limit: MAX_PATH_BYTES,
      got: bytes,
    })
  }
  const segments = path.split('/')
  if (segments.length > MAX_PATH_DEPTH) {
    return refuse('PATH', 'a file lies too deep', {
      field: path,
      limit: MAX_PATH_DEPTH,
      got: segments.length,
    })
  }
  for (const segment of segments) {
    const reason = faultOf(segment)
    if (reason !== null) return bad(path, reason)
  }
  if (path.normalize('NFC') !== path) {
    return refuse('NFC', 'a file name is not in Unicode normal form C', {
      field: path,
      hint: 'rename the file; macOS writes accents in another form',
    })
  }
  return accept(path)
}

/**
 * Checks all paths of a package: each by itself, and no two that some file system takes for one
 * (other case, other normal form, a file that is also a folder). Lists every finding.
 */
export function checkPaths(paths: readonly string[]): Verdict<true> {
  const issues: Issue[] = []
  /** Folded file or folder -> the spelling seen first. */
  const files = new Map<string, string>()
  const folders = new Map<string, string>()
  const clash = (path: string, other: string) =>
    issues.push({
      code: 'NAME_CLASH',
      message: `"${path}" and "${other}" are one name on some file systems`,
      field: path,
      got: other,
      hint: 'rename one of the two',
    })

  for (const path of paths) {
    const checked = checkPath(path)
    // The normal form is reported as a clash where there is one; the file is still compared.
    if (!checked.ok) issues.push(issueOf(checked))
    if (!checked.ok && checked.code !== 'NFC') continue
    const key = fold(path)
    const twin = files.get(key) ?? folders.get(key)
    if (twin !== undefined) clash(path, twin)
    else files.set(key, path)

    for (let end = path.indexOf('/'); end !== -1; end = path.indexOf('/', end + 1)) {
      const folder = path.slice(0, end)
      const folderKey = fold(folder)
      const other = files.get(folderKey) ?? folders.get(folderKey)
      if (other === undefined) folders.set(folderKey, folder)
      else if (other !== folder || files.has(folderKey)) clash(path, other)
    }
  }
  // A clash weighs more: the other findings may only be its spellings.
  const [first, ...rest] = issues.sort((a, b) => weightOf(a) - weightOf(b))
  return first === undefined ? accept(true) : refuseAll([first, ...rest])
}

const weightOf = (issue: Issue): number => (issue.code === 'NAME_CLASH' ? 0 : 1)

/** One spelling for all names that a file system without case or normal forms takes for one. */
const fold = (path: string): string =>
  path.normalize('NFC').toUpperCase().toLowerCase().normalize('NFC')

function faultOf(segment: string): string | null {
  if (segment === '') return 'a file name is absolute or has an empty part'
  if (segment === '.' || segment === '..') return 'a file name leaves its folder'
  if (INVISIBLE.test(segment)) return 'a file name has invisible characters'
  if (FORBIDDEN.test(segment)) return 'a file name has one of \\ : * ? " < > |'
  if (/[. ]$/.test(segment)) return 'a file name ends in a dot or a space'
  if (RESERVED.test(segment)) return 'a file name is a device on Windows'
  return null
}

const bad = (path: string, reason: string): Failure =>
  refuse('PATH', reason, {
    field: path.slice(0, MAX_PATH_BYTES),
    hint: 'rename the file; a plain relative name like weights/model.onnx fits every system',
  })

/** Length of a well-formed text in UTF-8 bytes. */
function utf8Length(text: string): number {
  let bytes = 0
  for (const character of text) {
    // SAFE: a character of a string iterator is not empty.
    const code = character.codePointAt(0) as number
    bytes += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4
  }
  return bytes
}

/** Reads and checks the files that a card names, each once, and collects every finding. */
import { toHex } from '../protocol/bytes.ts'
import { createSha256 } from '../protocol/crypto.ts'
import {
  accept,
  type Issue,
  issueOf,
  refuse,
  type Verdict,
  ZoariumError,
} from '../protocol/errors.ts'
import { checkPath, checkPaths } from '../protocol/file-path.ts'
import { MAX_BLOB_BYTES, MAX_FILES } from '../protocol/limits.ts'
import { mediaTypeOf } from '../protocol/media-type.ts'
import { FILE_ROLES, type FileReference, type FileRole } from '../protocol/model-description.ts'
import { checkOnnx, MAX_ONNX_BYTES, scanOnnx } from '../protocol/onnx-model.ts'
import { CONTENT_HEAD_BYTES, checkWeights } from '../protocol/weights-content.ts'
import type { PackageSource } from './package-source.ts'

const ADDRESS = /^[a-z][a-z0-9+.-]*:\/\//i

export interface PackageFile {
  readonly path: string
  /** Bytes. */
  readonly size: number
  readonly role: FileRole
  readonly mediaType: string
  /** 64 lower-case hex digits. */
  readonly sha256: string
}

/** One reading of the files that a card names. */
export class PackageCheck {
  readonly issues: Issue[] = []
  readonly files: PackageFile[] = []
  /** References with a finding. */
  readonly broken = new Set<FileReference>()
  /** False where a finding is about the package as a whole. */
  isWhole = true
  readonly #source: PackageSource
  readonly #references: readonly FileReference[]
  readonly #sizes: ReadonlyMap<string, number>

  constructor(source: PackageSource, references: readonly FileReference[]) {
    this.#source = source
    this.#references = references
    this.#sizes = new Map(source.files.map((file) => [file.path, file.size]))
  }

  async run(cardPath: string): Promise<void> {
    const paths = new Map<string, FileReference[]>([[cardPath, []]])
    for (const reference of this.#references) {
      if (!this.#isHere(reference)) continue
      const others = paths.get(reference.source)
      if (others === undefined) paths.set(reference.source, [reference])
      else others.push(reference)
    }
    if (paths.size > MAX_FILES) {
      this.isWhole = false
      this.issues.push({
        code: 'LIMIT',
        message: 'the package has too many files',
        limit: MAX_FILES,
        got: paths.size,
      })
      return
    }
    const clash = checkPaths([...paths.keys()])
    if (!clash.ok) {
      this.isWhole = false
      this.issues.push(...(clash.issues ?? [issueOf(clash)]))
    }
    for (const [path, references] of paths) {
      // SAFE: a path stands here only where the source has it.
      await this.#readFile(path, this.#sizes.get(path) as number, references, path === cardPath)
    }
  }

  /** Whether the file of a reference can be read at all. */
  #isHere(reference: FileReference): boolean {
    const { source } = reference
    if (ADDRESS.test(source)) {
      this.#report([reference], {
        code: 'FILE_REMOTE',
        message: `${source} is a remote file; a package carries its files`,
        hint: 'download it beside the card and name it there',
      })
      return false
    }
    const path = checkPath(source)
    if (!path.ok) {
      this.#report([reference], { ...issueOf(path), message: `${source}: ${path.message}` })
      return false
    }
    if (this.#sizes.has(source)) return true
    if (this.#source.links.has(source)) {
      this.#report([reference], {
        code: 'PATH',
        message: `${source} is a link; a package carries its files`,
        hint: 'replace the link by the file that it points at',
      })
      return false
    }
    const like = [...this.#sizes.keys()].find((name) => name.toLowerCase() === source.toLowerCase())
    this.#report([reference], {
      code: 'FILE_MISSING',
      message: `${source} is not in the package`,
      ...(like === undefined ? {} : { hint: `there is ${like}; upper and lower case count` }),
    })
    return false
  }

  async #readFile(
    path: string,
    size: number,
    references: readonly FileReference[],
    isCard: boolean,
  ): Promise<void> {
    if (size > MAX_BLOB_BYTES) {
      this.#report(references, {
        code: 'LIMIT',
        message: `${path} is too large`,
        limit: MAX_BLOB_BYTES,
        got: size,
      })
      return
    }
    const isOnnx = references.some((each) => each.role === 'weights' && each.weights === 'onnx')
    const keep = isOnnx && size <= MAX_ONNX_BYTES ? size : CONTENT_HEAD_BYTES
    const read = await readFile(this.#source, path, keep)
    if (!read.ok) {
      this.#report(references, issueOf(read))
      return
    }
    const { sha256, kept } = read.value
    for (const reference of references) {
      this.#checkHash(reference, sha256)
      const checked = this.#checkContent(reference, kept, size)
      if (!checked.ok) {
        this.#report([reference], { ...issueOf(checked), message: `${path}: ${checked.message}` })
      }
    }
    const roles = references.map((reference) => reference.role)
    this.files.push({
      path,
      size: read.value.size,
      role: isCard ? 'card' : (FILE_ROLES.find((role) => roles.includes(role)) ?? 'other'),
      mediaType: mediaTypeOf(path),
      sha256,
    })
  }

  #checkHash(reference: FileReference, sha256: string): void {
    if (reference.sha256 === null || reference.sha256 === sha256) return
    this.#report([reference], {
      code: 'FILE_HASH',
      message: `${reference.source} does not have the sha256 that the card states`,
      limit: reference.sha256,
      got: sha256,
      hint: 'either the file or the card is not the one that belongs here',
    })
  }

  /** What weights files hold; other files are not looked into. */
  #checkContent(reference: FileReference, kept: Uint8Array, size: number): Verdict<unknown> {
    const { role, weights } = reference
    if (role !== 'weights' || weights === null) return accept(true)
    const content = checkWeights(weights, kept.subarray(0, CONTENT_HEAD_BYTES))
    if (!content.ok || weights !== 'onnx') return content
    if (size > MAX_ONNX_BYTES) {
      return refuse('LIMIT', 'an ONNX file is too large', {
        limit: MAX_ONNX_BYTES,
        got: size,
        hint: 'export the model with external data',
      })
    }
    const summary = scanOnnx(kept)
    return summary.ok ? checkOnnx(summary.value, this.#externalOf(reference)) : summary
  }

  /** Names, in the weights' own folder, of the external data that the card states. */
  #externalOf(weights: FileReference): readonly string[] {
    const folder = weights.source.slice(0, weights.source.lastIndexOf('/') + 1)
    return this.#references
      .filter((file) => file.role === 'external-data' && file.source.startsWith(folder))
      .map((file) => file.source.slice(folder.length))
      .filter((name) => !name.includes('/'))
  }

  #report(references: readonly FileReference[], issue: Issue): void {
    if (references.length === 0) {
      this.isWhole = false
      this.issues.push(issue)
    }
    for (const reference of references) {
      this.broken.add(reference)
      this.issues.push({ ...issue, field: reference.field, line: reference.line })
    }
  }
}

export interface FileDigest {
  readonly sha256: string
  /** Bytes that were read. */
  readonly size: number
  /** The first of them, as many as were asked for. */
  readonly kept: Uint8Array
}

/** Reads a file once. Fails with what the source says of its bytes, e.g. ZIP. */
export async function readFile(
  source: PackageSource,
  path: string,
  keep: number,
): Promise<Verdict<FileDigest>> {
  const hash = createSha256()
  const kept = new Uint8Array(keep)
  let size = 0
  try {
    for await (const chunk of await source.open(path)) {
      hash.update(chunk)
      if (size < keep) kept.set(chunk.subarray(0, keep - size), size)
      size += chunk.length
    }
  } catch (error) {
    if (error instanceof ZoariumError && error.code !== 'STORE') {
      return refuse(error.code, error.message, error.data)
    }
    throw error
  }
  return accept({
    sha256: toHex(hash.digest()),
    size,
    kept: kept.subarray(0, Math.min(size, keep)),
  })
}

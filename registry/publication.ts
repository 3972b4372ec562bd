/**
 * Publishing a package: all files first, each verified and durable, then one transaction with the
 * record, its index and the trees. What fails on the way leaves no row and no file behind.
 */
import { compareText } from '../protocol/bytes.ts'
import { type Cid, cidOf } from '../protocol/cid.ts'
import {
  accept,
  expectOk,
  type Failure,
  refuse,
  type Verdict,
  ZoariumError,
} from '../protocol/errors.ts'
import { folderCid } from '../protocol/folder.ts'
import { MAX_BLOB_BYTES } from '../protocol/limits.ts'
import type { ModelBody, ModelFile, SignedRecord } from '../protocol/record.ts'
import { checkAlias, parseName, parseVersion, slugOf } from '../protocol/reference.ts'
import type { BlobInfo, BlobStore } from './blob-store.ts'
import type { Catalogue, ModelRow } from './catalogue.ts'
import { failpoint } from './failpoint.ts'
import type { OwnLog } from './own-log.ts'
import type { Package } from './package.ts'
import type { PackageSource } from './package-source.ts'

/** What a package is published as. */
export interface PublicationPlan {
  readonly name: string
  readonly version: string
  readonly tested: ModelBody['tested']
  readonly aliases: readonly string[]
  /** Whether it is for the audience of the private log alone. */
  readonly isPrivate: boolean
}

export interface PublicationOptions {
  /** Default: the slug of the card's name. */
  readonly name?: string | null | undefined
  /** Default: the card's version, else {@link FIRST_VERSION}. */
  readonly version?: string | null | undefined
  readonly tested: ModelBody['tested']
  /** Default: for everybody. */
  readonly isPrivate?: boolean
}

/** The version of a package whose card states none. */
export const FIRST_VERSION = '0.1.0'
/** Set while files may lie in the blob store that no record names. */
const UNDER_WAY = 'publication/under-way'

export class Publication {
  readonly #catalogue: Catalogue
  readonly #blobs: BlobStore
  readonly #log: OwnLog
  readonly #publisher: Cid
  readonly #isPrivate: (record: Cid) => boolean
  /** One at a time, so that a failing one never deletes files of another. */
  #last: Promise<unknown> = Promise.resolve()

  constructor(parts: {
    readonly catalogue: Catalogue
    readonly blobs: BlobStore
    readonly log: OwnLog
    readonly publisher: Cid
    /** Whether a record is for an audience alone. */
    readonly isPrivate: (record: Cid) => boolean
  }) {
    this.#catalogue = parts.catalogue
    this.#blobs = parts.blobs
    this.#log = parts.log
    this.#publisher = parts.publisher
    this.#isPrivate = parts.isPrivate
  }

  /** Name and version for a package. Fails with NAME or VERSION_EXISTS. */
  plan(pkg: Package, options: PublicationOptions): Verdict<PublicationPlan> {
    const { description } = pkg
    const name = parseName(options.name ?? slugOf(description.name))
    if (!name.ok) {
      const hint = 'choose one with --name, e.g. --name nuclei-unet'
      return { ...name, field: 'name', hint }
    }
    const version = parseVersion(options.version ?? description.version ?? FIRST_VERSION)
    if (!version.ok) {
      const hint = 'choose one with --version, e.g. --version 1.0.0'
      return { ...version, field: 'version', hint }
    }
    const { tested, isPrivate = false } = options
    // What its audience has seen may be published openly, if it is the same.
    const isTaken = this.#records(name.value, version.value).some(
      ({ record }) => isPrivate || !this.#isPrivate(record),
    )
    if (isTaken) return taken(name.value, version.value)
    const nickname = description.id
    const aliases = nickname !== null && checkAlias(nickname).ok ? [nickname] : []
    return accept({ name: name.value, version: version.value, tested, aliases, isPrivate })
  }

  #records(name: string, version: string): readonly ModelRow[] {
    return this.#catalogue
      .modelVersions(this.#publisher, name)
      .filter((each) => each.version === version)
  }

  /**
   * @throws ZoariumError VERSION_EXISTS, FILE_HASH where a file is not what it was when the package
   * was read, LIMIT, DISK_FULL, STORE, and like {@link OwnLog.append}
   */
  publish(pkg: Package, source: PackageSource, plan: PublicationPlan): Promise<SignedRecord> {
    return this.exclusively(() => this.#publish(pkg, source, plan))
  }

  /** Runs work while nothing is published. */
  exclusively<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work)
    this.#last = done.catch(() => {})
    return done
  }

  async #publish(
    pkg: Package,
    source: PackageSource,
    plan: PublicationPlan,
  ): Promise<SignedRecord> {
    // Again, now that it is this one's turn.
    expectOk(this.plan(pkg, plan))
    this.#catalogue.putSetting(UNDER_WAY, '1')
    const put: BlobInfo[] = []
    try {
      const files: ModelFile[] = []
      for (const file of pkg.files) {
        const bytes = await source.open(file.path)
        const info = await this.#blobs.put(bytes, Math.min(file.size, MAX_BLOB_BYTES))
        put.push(info)
        checkUnchanged(pkg, file, info)
        const { path, size, role, mediaType } = file
        files.push({ path, size, cid: info.cid, sha256: info.sha256, role, mediaType })
        failpoint('publish.after-file')
      }
      files.sort((a, b) => compareText(a.path, b.path))
      return this.#sign(pkg, plan, files, put)
    } catch (error) {
      await this.#drop(put.map(({ cid }) => cid))
      throw error
    } finally {
      this.#catalogue.putSetting(UNDER_WAY, '')
    }
  }

  #sign(
    pkg: Package,
    plan: PublicationPlan,
    files: readonly ModelFile[],
    put: readonly BlobInfo[],
  ): SignedRecord {
    const { isPrivate, ...names } = plan
    const body: ModelBody = {
      ...names,
      card: cidOf('raw', pkg.card),
      files,
      root: expectOk(folderCid(files)),
      parents: [],
      origin: null,
    }
    const { name, version } = plan
    if (this.#records(name, version).some(({ root }) => root !== body.root)) {
      throw ZoariumError.of(taken(name, version))
    }
    const index = { card: pkg.card, description: pkg.description }
    const keepTrees = (): void => {
      for (const { cid, nodes } of put) this.#catalogue.putTree(cid, nodes)
    }
    return this.#log.append({ kind: 'model', body }, index, keepTrees, isPrivate)
  }

  /** Removes what a process that was killed while publishing has left. */
  async recover(): Promise<void> {
    if ((this.#catalogue.setting(UNDER_WAY) ?? '') === '') return
    await this.#drop([...this.#blobs.list()].map(({ cid }) => cid))
    this.#catalogue.putSetting(UNDER_WAY, '')
  }

  /** Removes those blobs that no record names. */
  async #drop(cids: readonly Cid[]): Promise<void> {
    for (const cid of cids) {
      if (this.#catalogue.recordsWithFile(cid).length === 0) await this.#blobs.remove(cid)
    }
  }
}

const taken = (name: string, version: string): Failure =>
  refuse('VERSION_EXISTS', `${name}@${version} is published already`, {
    field: 'version',
    got: version,
    hint: 'versions never change; choose another with --version',
  })

function checkUnchanged(pkg: Package, file: Package['files'][number], info: BlobInfo): void {
  const isCard = file.path === pkg.cardPath
  const isSame =
    info.size === file.size &&
    info.sha256 === file.sha256 &&
    (!isCard || info.cid === cidOf('raw', pkg.card))
  if (isSame) return
  throw new ZoariumError('FILE_HASH', 'a file has changed while it was published', {
    field: file.path,
    limit: file.sha256,
    got: info.sha256,
    hint: 'publish again when nothing writes to the package',
  })
}

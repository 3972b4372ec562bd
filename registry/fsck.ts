/**
 * Checks a data folder that no daemon uses: that its catalogue proves itself, that files and
 * catalogue know of each other, and what a crash left behind. It repairs only what can lose nothing.
 */
import { Buffer } from 'node:buffer'
import fs from 'node:fs'
import path from 'node:path'
import type { Cid } from '../protocol/cid.ts'
import { createTreeHasher } from '../protocol/content-tree.ts'
import { type Issue, issueOf, ZoariumError } from '../protocol/errors.ts'
import { comparePositions } from '../protocol/record.ts'
import { indexCard } from './card-index.ts'
import { readOne } from './card-reader.ts'
import type { Catalogue, ModelFileRow } from './catalogue.ts'
import { type CatalogueCheck, checkCatalogue, whyTreeless } from './catalogue-check.ts'
import { type DataFolder, requireInitialised } from './data-folder.ts'
import { FileBlobs } from './file-blobs.ts'
import { fileLedger, readIdentityFile } from './key-files.ts'
import { cutLeaves } from './leaves.ts'
import { dropLeftover, findLeftovers, type Leftover } from './leftovers.ts'
import { SqliteCatalogue } from './sqlite-catalogue.ts'
import { findDamage } from './sqlite-copy.ts'
import { lockFolder } from './sqlite-lock.ts'

export interface FsckOptions {
  /** Hash the bytes of every file, too. */
  readonly deep: boolean
  /** Drop leftovers, set rotten files aside, and build again what follows from what is here. */
  readonly repair: boolean
}

export interface Amount {
  readonly count: number
  readonly bytes: number
}

export interface FsckReport {
  readonly publishers: number
  readonly logs: number
  readonly records: number
  readonly models: number
  readonly files: Amount
  /** What is wrong and was not repaired; field: what it concerns. */
  readonly faults: readonly Issue[]
  /** What was wrong and is repaired. */
  readonly repaired: readonly Issue[]
  /** Files that models of others name and that are not here: nobody needs to have them. */
  readonly absent: Amount
  /** Files that no model names: `zoarium gc` deletes them. */
  readonly unnamed: Amount
  readonly leftovers: readonly (Leftover & { readonly isDropped: boolean })[]
}

/**
 * @throws ZoariumError NOT_INITIALISED, LOCKED, NEWER_STORE, STORE where something cannot be read at
 * all, DISK_FULL
 */
export async function checkFolder(folder: DataFolder, options: FsckOptions): Promise<FsckReport> {
  requireInitialised(folder)
  const lock = lockFolder(folder)
  try {
    const leftovers = findLeftovers(folder)
    const damage = findDamage(folder.catalogue, 'integrity_check(100)')
    if (damage.length > 0) return { ...NOTHING, faults: damage.map(damagedAt), leftovers: [] }
    const catalogue = new SqliteCatalogue(folder.catalogue)
    const blobs = new FileBlobs(folder, { keepsLeftovers: true })
    try {
      const checked = await checkCatalogue(catalogue)
      const fsck = new Fsck(folder, options, catalogue, blobs, checked)
      await fsck.run()
      return { ...fsck.report(), leftovers: leftovers.map((each) => fsck.leftover(each)) }
    } finally {
      await blobs.close()
      catalogue.close()
    }
  } finally {
    lock.release()
  }
}

const NONE: Amount = { count: 0, bytes: 0 }
const NOTHING = {
  publishers: 0,
  logs: 0,
  records: 0,
  models: 0,
  files: NONE,
  repaired: [],
  absent: NONE,
  unnamed: NONE,
} as const

const damagedAt = (message: string): Issue => ({
  code: 'STORE',
  field: 'catalogue.sqlite',
  message: `the catalogue is damaged: ${message}`,
  hint: 'restore the folder from a backup; the daemon then takes back from peers what came after it',
})

class Fsck {
  readonly #folder: DataFolder
  readonly #options: FsckOptions
  readonly #catalogue: Catalogue
  readonly #blobs: FileBlobs
  readonly #checked: CatalogueCheck
  readonly #faults: Issue[]
  readonly #repaired: Issue[] = []
  readonly #held: ReadonlyMap<Cid, number>
  #absent = NONE
  #unnamed = NONE

  constructor(
    folder: DataFolder,
    options: FsckOptions,
    catalogue: Catalogue,
    blobs: FileBlobs,
    checked: CatalogueCheck,
  ) {
    this.#folder = folder
    this.#options = options
    this.#catalogue = catalogue
    this.#blobs = blobs
    this.#checked = checked
    this.#faults = [...checked.faults]
    this.#held = new Map([...blobs.list()].map(({ cid, size }) => [cid, size]))
  }

  async run(): Promise<void> {
    this.#own()
    for (const { file, model } of this.#checked.files.values()) {
      if (this.#held.has(file.cid)) await this.#here(file)
      else if (model.publisher === readIdentityFile(this.#folder).publisher) {
        this.#found(false, {
          code: 'BLOB_MISSING',
          field: file.cid,
          message: 'a file of an own model is missing',
          hint: 'the daemon fetches it from a peer that mirrors you',
        })
      } else this.#absent = add(this.#absent, file.size)
    }
    for (const [cid, size] of this.#held) {
      if (this.#checked.files.has(cid)) continue
      this.#unnamed = add(this.#unnamed, size)
    }
    await this.#cards()
  }

  report(): Omit<FsckReport, 'leftovers'> {
    const { publishers, logs, records, models } = this.#checked
    const files = [...this.#held.values()].reduce(add, NONE)
    return {
      publishers,
      logs,
      records,
      models,
      files,
      faults: this.#faults,
      repaired: this.#repaired,
      absent: this.#absent,
      unnamed: this.#unnamed,
    }
  }

  /** Drops what is of no more use; a download goes on, and rotten bytes may be the last ones. */
  leftover(found: Leftover): Leftover & { readonly isDropped: boolean } {
    const { kind, cid } = found
    const isUseless =
      kind === 'temporary' ||
      cid === null ||
      this.#blobs.stat(cid) !== null ||
      (kind === 'download' && !this.#checked.files.has(cid))
    const isDropped = this.#options.repair && isUseless
    if (isDropped) dropLeftover(this.#folder, found)
    return { ...found, isDropped }
  }

  #found(isRepaired: boolean, issue: Issue): void {
    const list = isRepaired ? this.#repaired : this.#faults
    list.push(issue)
  }

  /** Whether the catalogue has what was last signed. */
  #own(): void {
    const { publisher } = readIdentityFile(this.#folder)
    const signed = fileLedger(this.#folder.lastSigned).read()?.positions ?? []
    for (const [key, at] of signed) {
      const log = this.#catalogue.log(publisher, key)
      const order = log === null ? -1 : comparePositions(log, at)
      if (order > 0 || (order === 0 && log?.tip === at.id)) continue
      this.#found(false, {
        code: 'SELF_UNSURE',
        field: `${publisher} ${key}`,
        message: `signed up to ${at.epoch}.${at.seq}, which the catalogue does not have`,
        hint: 'the daemon takes it back from peers before it signs again',
      })
    }
  }

  async #here(file: ModelFileRow): Promise<void> {
    const { cid, size } = file
    const { deep, repair } = this.#options
    const isWhole = this.#held.get(cid) === size && (!deep || (await this.#isSound(cid)))
    if (!isWhole) {
      // Hashes it again, and sets it aside.
      if (repair) await this.#blobs.open(cid).catch(ignoreMismatch)
      this.#found(repair, {
        code: 'CONTENT_MISMATCH',
        field: cid,
        message: repair ? 'a rotten file is set aside' : 'the bytes on disk have changed',
        hint: 'the daemon fetches it from other nodes; check the disk for errors',
      })
      return
    }
    const why = whyTreeless(this.#catalogue, file)
    if (why === null) return
    if (repair) await this.#plantTree(cid)
    this.#found(repair, { ...issueOf(why), field: cid })
  }

  async #isSound(cid: Cid): Promise<boolean> {
    const file = path.join(this.#folder.blobs, cid.slice(-3, -1), cid)
    const hasher = createTreeHasher()
    try {
      for await (const leaf of cutLeaves(fs.createReadStream(file))) hasher.leaf(leaf)
    } catch {
      return false
    }
    return hasher.finish().cid === cid
  }

  async #plantTree(cid: Cid): Promise<void> {
    const hasher = createTreeHasher()
    for await (const leaf of cutLeaves(await this.#blobs.open(cid))) hasher.leaf(leaf)
    const { nodes } = hasher.finish()
    this.#catalogue.transaction(() => {
      this.#catalogue.dropBlob(cid)
      this.#catalogue.putTree(cid, nodes)
    })
  }

  /** A card that the catalogue has lost may lie among the files. */
  async #cards(): Promise<void> {
    if (!this.#options.repair) return
    for (const model of this.#checked.cardless) {
      if (this.#blobs.stat(model.card) === null) continue
      const parts: Uint8Array[] = []
      for await (const part of await this.#blobs.open(model.card)) parts.push(part)
      const index = indexCard(model, Buffer.concat(parts), readOne)
      if (!index.ok) continue
      this.#catalogue.reindex(model.record, index.value)
      const at = this.#faults.findIndex(
        ({ field, code }) => field === model.record && code === 'BLOB_MISSING',
      )
      this.#repaired.push(...this.#faults.splice(at, 1))
    }
  }
}

const add = ({ count, bytes }: Amount, size: number): Amount => ({
  count: count + 1,
  bytes: bytes + size,
})

function ignoreMismatch(error: unknown): void {
  if (!(error instanceof ZoariumError) || error.code !== 'CONTENT_MISMATCH') throw error
}

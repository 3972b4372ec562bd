/**
 * Quotas: how much one publisher may bring to this node, and how full its disk may become. What is
 * over is left out, said, and taken in later; withdrawals and what this node signs are never over.
 */
import type { Cid } from '../protocol/cid.ts'
import { accept, refuse, type Verdict, ZoariumError } from '../protocol/errors.ts'
import type { SignedRecord } from '../protocol/record.ts'
import type { BlobStore } from './blob-store.ts'
import type { Catalogue, Intake } from './catalogue.ts'
import type { Clock } from './clock.ts'
import type { DiskSpace } from './disk-space.ts'

/** Most records of one publisher that are taken in on one day (UTC). */
export const MAX_RECORDS_PER_DAY = 20_000
/** Most profiles that are taken on one day without their log: names change rarely. */
export const MAX_PROFILES_PER_DAY = 16
/** Most models of one publisher that are indexed: as many as the search of a node is made for. */
export const MAX_MODELS_PER_PUBLISHER = 100_000
/** Most bytes of files that one publisher's models have here: 200 GiB. */
export const MAX_BYTES_PER_PUBLISHER = 200 * 1024 ** 3
/** Per cent of the disk that stay free: deleting and signing need some, and so do others. */
export const MIN_DISK_FREE_PERCENT = 5
const DAY_MS = 24 * 3600 * 1000

export interface QuotaLimits {
  readonly recordsPerDay: number
  readonly modelsPerPublisher: number
  readonly bytesPerPublisher: number
  readonly diskFreePercent: number
}

export const DEFAULT_QUOTAS: QuotaLimits = {
  recordsPerDay: MAX_RECORDS_PER_DAY,
  modelsPerPublisher: MAX_MODELS_PER_PUBLISHER,
  bytesPerPublisher: MAX_BYTES_PER_PUBLISHER,
  diskFreePercent: MIN_DISK_FREE_PERCENT,
}

/** `mirror`: all files here together. */
export type QuotaKind = 'records' | 'profiles' | 'models' | 'bytes' | 'mirror' | 'disk'

/** A limit that is met, so that something is left out now. */
export interface QuotaState {
  /** Null: the whole node. */
  readonly publisher: Cid | null
  readonly kind: QuotaKind
  /** The limit: records, models or bytes. */
  readonly limit: number
  /** Milliseconds. */
  readonly since: number
  /** When it goes on by itself, milliseconds; null: once there is room. */
  readonly until: number | null
}

export class Quotas {
  readonly limits: QuotaLimits
  readonly #own: Cid
  readonly #catalogue: Catalogue
  readonly #blobs: BlobStore
  readonly #clock: Clock
  readonly #disk: DiskSpace
  readonly #met = new Map<string, QuotaState>()
  /** Bytes for which the disk had no room last. */
  #needed = 0
  /** Models here by publisher, counted when first asked for. */
  readonly #models = new Map<Cid, number>()
  /** Bytes of files here by publisher, likewise, until one goes. */
  #bytes = { losses: 0, of: new Map<Cid, number>() }

  constructor(parts: {
    readonly own: Cid
    readonly catalogue: Catalogue
    readonly blobs: BlobStore
    readonly clock: Clock
    readonly disk: DiskSpace
    readonly limits: Partial<QuotaLimits>
  }) {
    this.#own = parts.own
    this.#catalogue = parts.catalogue
    this.#blobs = parts.blobs
    this.#clock = parts.clock
    this.#disk = parts.disk
    this.limits = { ...DEFAULT_QUOTAS, ...parts.limits }
  }

  /** Whether a record may be taken in now. Fails with QUOTA or DISK_FULL. */
  record({ record }: SignedRecord): Verdict<true> {
    const { publisher, kind } = record
    if (kind === 'withdraw') return accept(true)
    const room = this.room()
    if (!room.ok || publisher === this.#own) return room
    const { recordsPerDay, modelsPerPublisher } = this.limits
    const today = this.#intake(publisher, 'records', recordsPerDay)
    if (!today.ok || kind !== 'model' || this.#modelsOf(publisher) < modelsPerPublisher) {
      return today
    }
    this.meet('models', publisher, modelsPerPublisher)
    return refuse('QUOTA', 'more models of one publisher than are indexed', {
      field: publisher,
      limit: modelsPerPublisher,
      hint: 'raise quotas.modelsPerPublisher in config.yaml',
    })
  }

  /** Whether a profile may be taken without its log. Fails with QUOTA. */
  profile(publisher: Cid): Verdict<true> {
    return this.#intake(publisher, 'profiles', MAX_PROFILES_PER_DAY)
  }

  #intake(publisher: Cid, kind: Intake, limit: number): Verdict<true> {
    const day = this.#day()
    if (this.#catalogue.intake(publisher, kind, day) < limit) return accept(true)
    this.meet(kind, publisher, limit, (day + 1) * DAY_MS)
    return refuse('QUOTA', 'more records of one publisher than are taken in on one day', {
      field: publisher,
      limit,
      hint: 'the rest follows tomorrow',
    })
  }

  /** A profile was taken in without its log. */
  countProfile(publisher: Cid): void {
    this.#catalogue.countIntake(publisher, 'profiles', this.#day())
  }

  /** A record was taken in. */
  count({ record }: SignedRecord): void {
    const { publisher, kind } = record
    if (kind === 'withdraw' || publisher === this.#own) return
    this.#catalogue.countIntake(publisher, 'records', this.#day())
    const models = this.#models.get(publisher)
    if (kind === 'model' && models !== undefined) this.#models.set(publisher, models + 1)
    this.clear('records', publisher)
    if (kind === 'model') this.clear('models', publisher)
  }

  /** What was counted may be wrong: records were taken back. */
  forget(): void {
    this.#models.clear()
    this.#bytes.of.clear()
  }

  #day(): number {
    return Math.floor(this.#clock.now() / DAY_MS)
  }

  #modelsOf(publisher: Cid): number {
    const known = this.#models.get(publisher) ?? this.#catalogue.modelCount(publisher)
    this.#models.set(publisher, known)
    return known
  }

  /** A file has come. */
  kept(cid: Cid, size: number): void {
    const publishers = new Set(
      this.#catalogue
        .recordsWithFile(cid)
        .flatMap((record) => this.#catalogue.model(record)?.publisher ?? []),
    )
    for (const publisher of publishers) {
      const bytes = this.#bytes.of.get(publisher)
      if (bytes !== undefined) this.#bytes.of.set(publisher, bytes + size)
    }
  }

  /**
   * Wants room for files of a publisher beside those that are here and coming.
   * @throws ZoariumError QUOTA, DISK_FULL
   */
  requireRoom(publisher: Cid, bytes: number): void {
    const room = this.room(bytes)
    if (!room.ok) throw ZoariumError.of(room)
    if (publisher === this.#own) return
    const limit = this.limits.bytesPerPublisher
    const got = this.#bytesOf(publisher) + bytes
    if (got <= limit) {
      this.clear('bytes', publisher)
      return
    }
    this.meet('bytes', publisher, limit)
    throw new ZoariumError('QUOTA', 'more bytes of one publisher than are held', {
      field: publisher,
      limit,
      got,
      hint: 'raise quotas.bytesPerPublisher in config.yaml',
    })
  }

  #bytesOf(publisher: Cid): number {
    const { losses } = this.#blobs
    if (losses !== this.#bytes.losses) this.#bytes = { losses, of: new Map() }
    const known =
      this.#bytes.of.get(publisher) ??
      this.#catalogue
        .blobsOf(publisher)
        .reduce((sum, cid) => sum + (this.#blobs.stat(cid)?.size ?? 0), 0)
    this.#bytes.of.set(publisher, known)
    return known
  }

  /** Whether enough of the disk stays free with so many bytes more. Fails with DISK_FULL. */
  room(bytes = 0): Verdict<true> {
    const { free, total } = this.#disk.read()
    const limit = Math.ceil((total * this.limits.diskFreePercent) / 100)
    if (free - bytes >= limit) {
      if (bytes >= this.#needed) this.clear('disk')
      return accept(true)
    }
    this.#needed = bytes
    this.meet('disk', null, limit)
    return refuse('DISK_FULL', 'too little of the disk would stay free', {
      limit,
      got: Math.max(0, free - bytes),
      hint: `free some space: ${this.limits.diskFreePercent} % stay free (quotas.diskFreePercent)`,
    })
  }

  /** Bytes that may come before too little of the disk stays free. */
  spare(): number {
    const { free, total } = this.#disk.read()
    return Math.max(0, free - Math.ceil((total * this.limits.diskFreePercent) / 100))
  }

  /** A limit is met: something is left out. */
  meet(kind: QuotaKind, publisher: Cid | null, limit: number, until: number | null = null): void {
    const key = `${kind} ${publisher}`
    const since = this.#met.get(key)?.since ?? this.#clock.now()
    this.#met.set(key, { publisher, kind, limit, since, until })
  }

  /** There is room again. */
  clear(kind: QuotaKind, publisher: Cid | null = null): void {
    this.#met.delete(`${kind} ${publisher}`)
  }

  /** The limits that are met now, the oldest first. */
  states(): readonly QuotaState[] {
    const now = this.#clock.now()
    if (this.#met.has('disk null')) this.room(this.#needed)
    for (const { kind, publisher, until } of this.#met.values()) {
      if (until !== null && until <= now) this.clear(kind, publisher)
    }
    return [...this.#met.values()].sort((a, b) => a.since - b.since)
  }
}

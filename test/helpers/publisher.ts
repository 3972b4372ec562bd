/** A publisher with its keys, for tests: makes identities, records and heads that repeat. */
import type { Audience } from '../../protocol/audience.ts'
import { toHex } from '../../protocol/bytes.ts'
import { type Cid, cidOf } from '../../protocol/cid.ts'
import { createTreeHasher } from '../../protocol/content-tree.ts'
import { publicKeyOf, sha256 } from '../../protocol/crypto.ts'
import { expectOk } from '../../protocol/errors.ts'
import { folderCid } from '../../protocol/folder.ts'
import { signHead } from '../../protocol/head.ts'
import {
  commitmentOf,
  createGenesis,
  extendIdentity,
  type Identity,
  keySetOf,
  type NewOperation,
  signOperation,
} from '../../protocol/identity.ts'
import type { KeySet } from '../../protocol/identity-operation.ts'
import { LEAF_BYTES } from '../../protocol/limits.ts'
import { nextPlace } from '../../protocol/log.ts'
import type { ModelDescription } from '../../protocol/model-description.ts'
import {
  type LogPosition,
  type LogRecord,
  type ModelFile,
  type RecordBody,
  type RosterBody,
  type SignedRecord,
  signRecord,
  type WithdrawBody,
} from '../../protocol/record.ts'
import type { Scope } from '../../protocol/scope.ts'
import { needsErase } from '../../protocol/scope.ts'

/** The moment at which test publishers are founded, milliseconds. */
export const START = Date.UTC(2026, 0, 1)
const YEAR_MS = 365 * 24 * 3600 * 1000

export const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)
/** 32 bytes that a text stands for. */
export const seedOf = (text: string): Uint8Array => sha256(utf8(text))

/** The place of a record, as cuts name it. */
export const lastOf = ({ id, record: { epoch, seq } }: SignedRecord): LogPosition => ({
  epoch,
  seq,
  tip: id,
})

/** A signed model with what belongs to it. */
export interface TestModel {
  readonly signed: SignedRecord
  readonly card: Uint8Array
  readonly files: ReadonlyMap<string, Uint8Array>
}

export class TestPublisher {
  readonly name: string
  readonly roots: readonly Uint8Array[]
  /** Those that `init` delegates. */
  readonly seeds: Readonly<Record<Exclude<Scope, 'erase'>, Uint8Array>>
  readonly eraseSeed: Uint8Array
  readonly operations: Uint8Array[]
  identity: Identity
  /** Time of the next record; grows by a second each. */
  now: number
  readonly #start: number
  readonly #tips = new Map<string, LogPosition>()

  /** @param start when it is founded, and its keys begin to hold; they end a year later */
  constructor(name: string, start = START) {
    this.name = name
    this.#start = start
    this.now = start + 1000
    this.roots = [seedOf(`${name} root`)]
    this.seeds = { publish: seedOf(`${name} publish`), serve: seedOf(`${name} serve`) }
    this.eraseSeed = seedOf(`${name} erase`)
    const next = keySetOf([seedOf(`${name} next`)], 1)
    const genesis = createGenesis({ roots: this.roots, threshold: 1, next, ts: start })
    this.identity = genesis.identity
    this.operations = [genesis.envelope]
    for (const scope of ['publish', 'serve'] as const) this.delegate(scope, this.seeds[scope])
  }

  get publisher(): Cid {
    return this.identity.publisher
  }

  key(scope: Scope = 'publish'): string {
    return toHex(publicKeyOf(this.seedOf(scope)))
  }

  seedOf(scope: Scope): Uint8Array {
    return scope === 'erase' ? this.eraseSeed : this.seeds[scope]
  }

  delegate(scope: Scope, seed: Uint8Array): void {
    const key = toHex(publicKeyOf(seed))
    const start = this.#start
    const times = { notBefore: start, notAfter: start + YEAR_MS, ts: start }
    this.sign({ op: 'delegate', key, scope, ...times })
  }

  /** A key whose log is for some publishers. @returns its seed */
  confide(
    publishers: readonly Cid[],
    rosters: Audience['rosters'] = [],
    name = 'private',
  ): Uint8Array {
    const seed = seedOf(`${this.name} ${name}`)
    const start = this.#start
    this.sign({
      op: 'confide',
      key: toHex(publicKeyOf(seed)),
      notBefore: start,
      notAfter: start + YEAR_MS,
      audience: { publishers: publishers.toSorted(), rosters },
      ts: start,
    })
    return seed
  }

  /** Signs an operation, by default with the first roots, and applies it. */
  sign(operation: NewOperation, roots = this.roots): void {
    this.take(signOperation(this.identity, operation, roots))
  }

  /** Applies an operation that was signed elsewhere. */
  take(envelope: Uint8Array): void {
    this.identity = expectOk(extendIdentity(this.identity, envelope))
    this.operations.push(envelope)
  }

  /** Reveals the root key set that the genesis commits to; the next one is that of `after`. */
  rotate(after: KeySet = keySetOf([seedOf(`${this.name} third`)], 1)): void {
    const next = [seedOf(`${this.name} next`)]
    const operation = { op: 'rotate', ts: this.#start, ...keySetOf(next, 1) } as const
    this.sign({ ...operation, next: commitmentOf(after) }, [...this.roots, ...next])
  }

  /** The next record of a log, or one with another header for a test that wants it wrong. */
  record(
    statement: RecordBody,
    header: Partial<LogRecord> = {},
    seed = this.seeds.publish,
  ): SignedRecord {
    const key = toHex(publicKeyOf(seed))
    const device = this.identity.devices.find((each) => each.key === key)
    const record = {
      publisher: this.publisher,
      key,
      ...nextPlace(this.#tips.get(key) ?? null, device?.cuts ?? []),
      idv: this.identity.length,
      ts: this.now,
      ...statement,
      ...header,
      // SAFE: a header never changes the kind here.
    } as LogRecord
    const signed = signRecord(record, seed)
    this.#tips.set(key, lastOf(signed))
    this.now += 1000
    return signed
  }

  /** Forgets the newest record of the publishing log, as a node restored from a backup would. */
  rewind(signed: SignedRecord): void {
    this.#tips.set(signed.record.key, lastOf(signed))
  }

  /** A model record with a card and one more file; the card need not be readable. */
  model(options: {
    readonly name: string
    readonly version?: string
    readonly card?: Uint8Array
    readonly weights?: Uint8Array
    readonly aliases?: readonly string[]
    /** Models that it is converted from. */
    readonly parents?: readonly Cid[]
    /** Tensors of the card's own test, by path. */
    readonly tests?: ReadonlyMap<string, Uint8Array>
    readonly header?: Partial<LogRecord>
    readonly seed?: Uint8Array
  }): TestModel {
    const { name, version = '1.0.0', aliases = [], parents = [] } = options
    const card = options.card ?? utf8(`name: ${name}\nversion: ${version}\n`)
    const weights = options.weights ?? utf8(`weights of ${this.name} ${name} ${version}`)
    const tests = [...(options.tests ?? [])]
    const files = [
      fileOf('rdf.yaml', card, 'card', 'application/yaml'),
      ...tests.map(([path, bytes]) => fileOf(path, bytes, 'test-input', 'application/x-npy')),
      fileOf('weights.onnx', weights, 'weights', 'application/octet-stream'),
    ].sort((a, b) => (a.path < b.path ? -1 : 1))
    const body = {
      name,
      version,
      card: cidOf('raw', card),
      files,
      root: expectOk(folderCid(files)),
      parents: parents.map((record) => ({ record, relation: 'converted' as const })),
      origin: null,
      aliases,
      tested: 'untested',
    } as const
    return {
      signed: this.record({ kind: 'model', body }, options.header, options.seed),
      card,
      files: new Map([['rdf.yaml', card], ['weights.onnx', weights], ...tests]),
    }
  }

  profile(
    label: string,
    displayName = label,
    replaces: readonly Cid[] = [],
    handle: string | null = null,
    url: string | null = null,
  ): SignedRecord {
    const body = { label, displayName, handle, url, ror: null, replaces }
    return this.record({ kind: 'profile', body })
  }

  /** Erasing takes a publisher that {@link letErase} gave the key. */
  withdraw(target: Cid, verb: WithdrawBody['verb'] = 'yank'): SignedRecord {
    const body = { target, verb, reason: 'wrong-output', note: '' }
    return this.record(
      { kind: 'withdraw', body },
      {},
      this.seedOf(needsErase(verb) ? 'erase' : 'publish'),
    )
  }

  /** Delegates the key that may erase. */
  letErase(): void {
    this.delegate('erase', this.eraseSeed)
  }

  /** An attestation of a record, by the key that its claim needs. */
  attest(
    target: Cid,
    claim = 'reproduced',
    header: Partial<LogRecord> = {},
    root = cidOf('dag-pb', utf8('files')),
  ): SignedRecord {
    const seed = ['reviewed', 'advisory'].includes(claim) ? this.seeds.publish : this.seeds.serve
    return this.record({ kind: 'attest', body: { target, root, claim } }, header, seed)
  }

  /** An attestation of a model and its files. */
  vouch({ id, record }: SignedRecord, claim = 'reproduced'): SignedRecord {
    if (record.kind !== 'model') throw new TypeError('only models have files')
    return this.attest(id, claim, {}, record.body.root)
  }

  tag(name: string, tag: string, target: Cid, replaces: readonly Cid[] = []): SignedRecord {
    return this.record({ kind: 'tag', body: { name, tag, target, replaces } })
  }

  /** A roster of members in any order. */
  roster(
    name: string,
    members: readonly Cid[],
    changes: Partial<Omit<RosterBody, 'name' | 'members'>> = {},
  ): SignedRecord {
    const body = { name, members: [...members].sort(), right: 'mirror', bootstrap: [] } as const
    return this.record({ kind: 'roster', body: { ...body, replaces: [], ...changes } })
  }

  head(
    signed: SignedRecord,
    issued = this.now,
    lifeMs = 24 * 3600 * 1000,
    seeds: readonly Uint8Array[] = [...Object.values(this.seeds), this.eraseSeed],
  ): Uint8Array {
    const { publisher, key, epoch, seq } = signed.record
    const seed = seeds.find((each) => toHex(publicKeyOf(each)) === key)
    const head = { publisher, key, epoch, seq, tip: signed.id, issued, expires: issued + lifeMs }
    return signHead(head, seed ?? this.seeds.publish)
  }
}

export function fileOf(
  path: string,
  bytes: Uint8Array,
  role: ModelFile['role'],
  mediaType: string,
): ModelFile {
  const hasher = createTreeHasher()
  for (let at = 0; at < bytes.length; at += LEAF_BYTES) {
    hasher.leaf(bytes.subarray(at, at + LEAF_BYTES))
  }
  const { cid, size, sha256: hash } = hasher.finish()
  return { path, size, cid, sha256: hash, role, mediaType }
}

/** A description with one image input; for catalogues, which do not read cards. */
export function describeModel(options: {
  readonly name: string
  readonly description?: string
  readonly tags?: readonly string[]
  readonly authors?: readonly string[]
  readonly license?: string
  /** Space axes of the input, default `yx`. */
  readonly axes?: string
  /** Default: no channel axis. */
  readonly channels?: number | { readonly min: number; readonly step: number }
  readonly dtype?: 'float32' | 'uint8' | 'uint16'
}): ModelDescription {
  const { name, axes = 'yx', channels, dtype = 'float32' } = options
  const common = { scale: 1, unit: null, halo: 0, channelNames: [] }
  const space = [...axes].map((id) => ({
    ...common,
    type: id === 't' ? ('time' as const) : ('space' as const),
    id: id === 't' ? 'time' : id,
    size: { kind: 'stepped', min: 64, step: 8 } as const,
  }))
  const channelSize =
    typeof channels === 'number'
      ? ({ kind: 'fixed', size: channels } as const)
      : ({ kind: 'stepped', ...(channels ?? { min: 1, step: 1 }) } as const)
  const channel = { ...common, type: 'channel' as const, id: 'channel', size: channelSize }
  return {
    formatVersion: '0.5.4',
    name,
    description: options.description ?? '',
    id: null,
    version: null,
    license: options.license ?? null,
    tags: options.tags ?? [],
    authors: (options.authors ?? []).map((each) => ({
      name: each,
      affiliation: null,
      orcid: null,
    })),
    cite: [],
    documentation: null,
    covers: [],
    inputs: [
      {
        id: 'raw',
        description: '',
        axes: channels === undefined ? space : [channel, ...space],
        dtype,
        optional: false,
        testTensor: null,
        sampleTensor: null,
        operations: [],
      },
    ],
    outputs: [],
    weights: [],
    tolerances: [],
    files: [],
  }
}

/**
 * The people of an institute: they publish, take back, change rules, and use the root keys. What
 * the node acknowledged to them is written down, and must stay.
 */

import { toHex } from '../../protocol/bytes.ts'
import type { Cid } from '../../protocol/cid.ts'
import { sha256 } from '../../protocol/crypto.ts'
import { type Device, deviceOf } from '../../protocol/device.ts'
import { type Code, expectOk, ZoariumError } from '../../protocol/errors.ts'
import type { Identity, NewOperation } from '../../protocol/identity.ts'
import { MAX_CLOCK_AHEAD_MS } from '../../protocol/limits.ts'
import { nextPlace } from '../../protocol/log.ts'
import {
  comparePositions,
  type LogPosition,
  type SignedRecord,
  type WithdrawBody,
} from '../../protocol/record.ts'
import type { LogRow, ModelRow } from '../../registry/catalogue.ts'
import { lastGood } from '../../registry/last-good.ts'
import type { Package } from '../../registry/package.ts'
import type { PackageSource } from '../../registry/package-source.ts'
import { PURPOSES, type Purpose } from '../../registry/purpose.ts'
import { describeModel, utf8 } from '../helpers/publisher.ts'
import { failpoint } from './failpoint.ts'
import type { SimulatedNode } from './node.ts'
import type { Random } from './random.ts'
import { headerOf } from './reading.ts'
import type { MachineScope, Root } from './root.ts'

export type Statement =
  | 'model'
  | 'private model'
  | 'tag'
  | 'withdraw'
  | 'erase'
  | 'restore'
  | 'profile'
  | 'attest'
export type RootDeed = 'renew' | 'replace' | 'rotate' | 'epoch'

/** More records of one log than any run makes. */
const ALL = 1_000_000
/** Steps in which a key that ran out long ago is brought up: ten years. */
const MAX_RENEWALS = 12
/** Why a node may decline to sign. Anything else is a defect. */
const HONEST_REFUSALS: ReadonlySet<Code> = new Set([
  'SELF_UNSURE',
  'CONTESTED',
  'KEY_REVOKED',
  'KEY_EXPIRED',
  'DISK_FULL',
  'STORE',
  'GAP',
  // What is to be restored was deleted here in the meantime.
  'BLOB_MISSING',
  // A clock that was set back makes an empty life.
  'IDENTITY_INVALID',
])

export interface OperatorParts {
  readonly node: SimulatedNode
  readonly root: Root
  /** Told of each record that the node acknowledged. */
  readonly onAcknowledged: (node: SimulatedNode, signed: SignedRecord) => void
  /** Whether the operator knows that a record is a thief's. */
  readonly isStolen: (record: string) => boolean
}

export class Operator {
  readonly node: SimulatedNode
  readonly root: Root
  readonly #parts: OperatorParts
  #versions = 0

  constructor(parts: OperatorParts) {
    this.node = parts.node
    this.root = parts.root
    this.#parts = parts
  }

  /** Signs a statement, if there is anything to say. */
  async say(statement: Statement, random: Random): Promise<void> {
    const { node } = this
    const { registry } = node
    const signed = await this.#tolerant(() => this.#say(statement, random))
    if (signed === null || !node.isUp || node.registry !== registry) return
    node.tally.add('record signed')
    this.#parts.onAcknowledged(node, signed)
  }

  async #say(statement: Statement, random: Random): Promise<SignedRecord | null> {
    const { registry, publisher } = this.node
    switch (statement) {
      case 'model':
        return this.#publish(random)
      case 'private model':
        return this.#publish(random, this.#has('private'))
      case 'profile': {
        const label = `${this.node.name}-${random.int(0, 9)}`
        const body = { label, displayName: label, handle: null, url: null, ror: null }
        return registry.publishProfile(body)
      }
      case 'attest': {
        const model = this.#aModel(registry.trust.with('list'), random)
        if (model === null) return this.#publish(random)
        const claim = random.pick(['usage', 'reproduced'])
        const body = { target: model.record, root: model.root, claim, n: random.int(1, 999) }
        return registry.append({ kind: 'attest', body })
      }
      case 'restore': {
        const erased = this.#has('erase') ? this.#erased() : []
        if (erased.length === 0) return this.#publish(random)
        return this.#withdraw(random.pick(erased), 'restore')
      }
    }
    const model = this.#aModel([publisher], random)
    if (model === null) return this.#publish(random)
    switch (statement) {
      case 'tag':
        return registry.tag(model, random.pick(['stable', 'best']))
      case 'withdraw':
        return this.#withdraw(model, random.pick(['yank', 'recall']))
      case 'erase':
        return this.#has('erase') ? this.#withdraw(model, 'erase') : this.#publish(random)
    }
  }

  #aModel(publishers: readonly Cid[], random: Random): ModelRow | null {
    const { catalogue } = this.node.registry
    const ids = publishers.flatMap((publisher) => catalogue.modelIds(publisher))
    return ids.length === 0 ? null : catalogue.model(random.pick(ids))
  }

  #withdraw(model: ModelRow, verb: WithdrawBody['verb']): SignedRecord {
    return this.node.registry.withdraw(model, { verb, reason: 'wrong-output', note: '' })
  }

  #has(purpose: Purpose): boolean {
    return this.node.registry.signer.purposes().includes(purpose)
  }

  #erased(): readonly ModelRow[] {
    const { catalogue } = this.node.registry
    return catalogue
      .erasures()
      .flatMap(({ record }) => catalogue.model(record) ?? [])
      .filter(({ publisher }) => publisher === this.node.publisher)
  }

  async #publish(random: Random, isPrivate = false): Promise<SignedRecord> {
    const { registry, name } = this.node
    const version = `${++this.#versions}.0.0`
    const { pkg, source } = packageOf(`${name}-${random.int(0, 3)}`, version, random)
    const plan = expectOk(registry.planPublication(pkg, { version, tested: 'untested', isPrivate }))
    return registry.publish(pkg, source, plan)
  }

  /** Does something with the root keys, with the daemon stopped where its keys change. */
  async govern(deed: RootDeed, scope: MachineScope): Promise<void> {
    await this.#tolerant(async () => {
      const identity = this.#identity()
      const ts = this.node.clock.now()
      const device = this.#device(identity, scope)
      switch (deed) {
        case 'rotate':
          return this.#apply([this.root.rotation(identity, ts)])
        case 'renew':
          return this.#apply([this.root.renewal(device, this.#newest(device), ts)])
        case 'epoch': {
          const { key } = device
          return this.#apply([{ op: 'epoch', key, last: this.#newest(device), ts }])
        }
        case 'replace': {
          const revocation = this.#revocation(device, this.#newest(device), 'superseded')
          return this.#apply([revocation, this.root.delegation(scope, ts)])
        }
      }
    })
  }

  /**
   * Settles what is wrong with the own identity and logs: a thief's branch of the chain, a log
   * that has forked, a key that somebody else has used.
   */
  async settle(): Promise<void> {
    await this.#tolerant(async () => {
      const { registry, publisher } = this.node
      const ts = this.node.clock.now()
      if (registry.isFrozen(publisher))
        await this.#apply([this.root.rotation(this.#identity(), ts)])
    })
    for (const { key } of this.#identity().devices) await this.#tolerant(() => this.#settleLog(key))
    await this.#tolerant(() => this.#replaceStrangers())
    // One key after the other: that one cannot be renewed now says nothing of the next.
    for (const scope of ['publish', 'serve'] as const) {
      await this.#tolerant(() => this.#freshKey(scope))
    }
  }

  async #settleLog(key: string): Promise<void> {
    const { registry, publisher, clock } = this.node
    const device = expectOk(deviceOf(this.#identity(), key))
    const log = registry.catalogue.log(publisher, key)
    if (device.revoked !== null || log === null) return
    const ours = this.#lastOurs(device)
    const isAbused = this.#isAbused(device, log)
    if (isAbused) {
      await this.#apply([
        this.#revocation(device, ours, 'stolen'),
        this.root.successor(device, clock.now()),
      ])
    } else if (log.proof !== null && ours !== null) {
      await this.#apply([{ op: 'heal', key, last: ours, ts: clock.now() }])
    } else if (this.#isAhead(device)) {
      await this.#apply([{ op: 'epoch', key, last: ours, ts: clock.now() }])
    }
  }

  /** Whether a thief has signed in a log, or beside it. */
  #isAbused({ key }: Device, { publisher, proof }: LogRow): boolean {
    const records = this.node.registry.catalogue.recordsAfter(publisher, key, null, ALL)
    const envelopes = [...records.map(({ envelope }) => envelope), ...(proof ?? [])]
    return envelopes.some((envelope) => this.#isStolen(envelope))
  }

  /** A thief of the root keys may have delegated keys of his own; a rotation keeps them out. */
  async #replaceStrangers(): Promise<void> {
    const ts = this.node.clock.now()
    const foreign = this.#identity().devices.filter(
      ({ key, revoked }) => revoked === null && !this.root.made(key),
    )
    if (foreign.length === 0) return
    const operations = foreign.map((device) => this.#revocation(device, null, 'stolen'))
    await this.#apply([this.root.rotation(this.#identity(), ts), ...operations])
  }

  /** A machine without a key that may sign gets one; one that has run out is renewed, in steps. */
  async #freshKey(scope: MachineScope): Promise<void> {
    const { clock } = this.node
    const present = this.#device(this.#identity(), scope)
    // Delegated while the clock was ahead.
    const isEarly = present.revoked === null && clock.now() < present.notBefore
    const end = isEarly ? [this.#revocation(present, this.#newest(present), 'superseded')] : []
    if (isEarly || present.revoked !== null) {
      await this.#apply([...end, this.root.delegation(scope, clock.now())])
    }
    for (let step = 0; step < MAX_RENEWALS; step++) {
      const device = this.#device(this.#identity(), scope)
      if (clock.now() <= device.notAfter) break
      await this.#apply([this.root.renewal(device, this.#newest(device), clock.now())])
    }
  }

  /** Whether the own machine can sign now; where records are lost for good, in a new epoch. */
  async moveOn(): Promise<void> {
    const { registry, publisher, clock } = this.node
    for (const purpose of registry.signer.purposes()) {
      const device = this.#device(this.#identity(), purpose)
      const log = registry.catalogue.log(publisher, device.key)
      const named = device.cuts.at(-1)?.last ?? null
      if (named !== null && (log === null || comparePositions(log, named) < 0)) {
        // The root has named a record that is lost for good: that key signs no more.
        const end = this.#revocation(device, named, 'superseded')
        await this.#tolerant(() => this.#apply([end, this.root.successor(device, clock.now())]))
        continue
      }
      const next = nextPlace(log, device.cuts)
      if (registry.signer.whyBehind(registry.catalogue, device.key, next) === null) continue
      const last = this.#lastOurs(device)
      await this.#tolerant(() =>
        this.#apply([{ op: 'epoch', key: device.key, last, ts: clock.now() }]),
      )
      // A key that has run out could not be renewed while records of it were missing.
      if (purpose === 'publish' || purpose === 'serve') {
        await this.#tolerant(() => this.#freshKey(purpose))
      }
    }
  }

  #revocation(
    { key }: Device,
    last: LogPosition | null,
    reason: 'stolen' | 'superseded',
  ): NewOperation {
    return { op: 'revoke', key, last, reason, ts: this.node.clock.now() }
  }

  /** The order of writes of own-keys.ts. */
  async #apply(operations: readonly NewOperation[]): Promise<null> {
    const { node, root } = this
    const { registry, publisher, disk } = node
    const from = this.#identity().length
    const signed = root.sign(this.#identity(), operations)
    failpoint('keys.before-identity')
    disk.identity = [...registry.identityOps(publisher), ...signed]
    failpoint('keys.after-identity')
    expectOk(registry.admitIdentity(publisher, signed, from))
    failpoint('keys.after-catalogue')
    node.tally.add('identity operation', signed.length)
    await this.takeUpKeys()
    return null
  }

  /** A daemon that has other device keys now is started anew. */
  async takeUpKeys(): Promise<void> {
    const { node, root } = this
    if (!node.isUp) return
    const seeds = root.seeds(this.#identity())
    if (PURPOSES.every((purpose) => seeds[purpose] === node.seeds[purpose])) return
    node.stop()
    node.seeds = seeds
    await node.start()
  }

  #identity(): Identity {
    const { registry, publisher } = this.node
    const identity = registry.identity(publisher)
    if (identity === null) throw new TypeError('the own identity is in the catalogue')
    return identity
  }

  #device(identity: Identity, purpose: Purpose): Device {
    const { key } = this.node.registry.signer.device(purpose)
    return expectOk(deviceOf(identity, key))
  }

  /** The newest record of a log that is known here, be it from the head that names it. */
  #newest(device: Device): LogPosition | null {
    const { registry, publisher } = this.node
    // A log without records yet is cut before its first.
    const isBlank = registry.catalogue.log(publisher, device.key) === null
    return lastGood(registry, device, isBlank ? 'none' : 'newest', true)
  }

  /** Whether the own clock was ahead once: others would hold the log until then. */
  #isAhead(device: Device): boolean {
    const { registry, publisher, clock } = this.node
    return registry.catalogue
      .recordsAfter(publisher, device.key, device.cuts.at(-1)?.last ?? null, ALL)
      .some(({ envelope }) => headerOf(envelope).ts > clock.now() + MAX_CLOCK_AHEAD_MS)
  }

  /**
   * The newest record of a log before anything of a thief or from the future, at or after what the
   * root has named.
   */
  #lastOurs(device: Device): LogPosition | null {
    const { registry, publisher, clock } = this.node
    const { catalogue } = registry
    let last: LogPosition | null = null
    for (const { envelope } of catalogue.recordsAfter(publisher, device.key, null, ALL)) {
      const { id, epoch, seq, ts } = headerOf(envelope)
      if (this.#parts.isStolen(id) || ts > clock.now() + MAX_CLOCK_AHEAD_MS) break
      last = { epoch, seq, tip: id }
    }
    const named = device.cuts.at(-1)?.last ?? null
    const isBefore = named !== null && (last === null || comparePositions(last, named) < 0)
    return isBefore ? named : last
  }

  #isStolen(envelope: Uint8Array): boolean {
    return this.#parts.isStolen(headerOf(envelope).id)
  }

  /** A node may decline; what it says must then be among the reasons that it may have. */
  async #tolerant<T>(work: () => T | Promise<T>): Promise<T | null> {
    try {
      return await work()
    } catch (error) {
      if (!(error instanceof ZoariumError) || this.node.disk.isDead) throw error
      this.node.tally.add(`declined: ${error.code}`)
      if (HONEST_REFUSALS.has(error.code)) return null
      throw error
    }
  }
}

/** A package in memory, with a card and weights. */
function packageOf(
  name: string,
  version: string,
  random: Random,
): { readonly pkg: Package; readonly source: PackageSource } {
  const card = utf8(`name: ${name}\nversion: ${version}\n`)
  const weights = random.bytes(random.int(1, 64))
  const contents = new Map([
    ['rdf.yaml', card],
    ['weights.onnx', weights],
  ])
  const file = (path: string, bytes: Uint8Array, role: 'card' | 'weights') => ({
    path,
    size: bytes.length,
    role,
    mediaType: 'application/octet-stream',
    sha256: toHex(sha256(bytes)),
  })
  const files = [file('rdf.yaml', card, 'card'), file('weights.onnx', weights, 'weights')]
  const description = describeModel({ name })
  return {
    pkg: { cardPath: 'rdf.yaml', card, description, files, warnings: [] },
    source: {
      files,
      links: new Set(),
      card: null,
      open: async (path) =>
        (async function* () {
          yield contents.get(path) ?? new Uint8Array()
        })(),
      close: async () => {},
    },
  }
}

/**
 * The own keys: operations on the identity, signed with the root keys of the data folder. Works on
 * an open data folder, for whoever holds its lock: a command while no daemon runs, or the daemon.
 */
import type { Audience, RosterName } from '../protocol/audience.ts'
import { compareText, toHex } from '../protocol/bytes.ts'
import type { Cid } from '../protocol/cid.ts'
import { publicKeyOf, randomBytes } from '../protocol/crypto.ts'
import { byDigits, type Device, deviceOf, type Reason } from '../protocol/device.ts'
import { assert, expectOk, refuse, ZoariumError } from '../protocol/errors.ts'
import { commitmentOf, type Identity, type NewOperation } from '../protocol/identity.ts'
import { MAX_CLOCK_AHEAD_MS, MAX_DELEGATION_MS, MAX_ROOT_KEYS } from '../protocol/limits.ts'
import type { Scope } from '../protocol/scope.ts'
import type { Clock } from './clock.ts'
import { type DeviceKey, deviceKeys } from './device-key.ts'
import { draftAll, writeDrafts, writeOperations } from './identity-writer.ts'
import {
  countSealed,
  type RootSet,
  readSeed,
  resealKeys,
  rootSetOf,
  writeSeed,
} from './key-files.ts'
import { type CutAt, lastGood } from './last-good.ts'
import type { OpenRegistry } from './open-registry.ts'
import { PURPOSES, type Purpose } from './purpose.ts'
import { RootSets } from './root-sets.ts'
import { SEAL_COST, Seal, type SealSecret } from './seal.ts'

export interface KeyOverview {
  readonly identity: Identity
  /** Those of the root keys in force whose seeds are on this machine. */
  readonly rootsHere: readonly string[]
  /** Whether the seeds that the next rotation needs are on this machine. */
  readonly isNextHere: boolean
  /** How many seeds of that set are on this machine. */
  readonly nextHere: number
  /** Whether all private keys on this machine are sealed. */
  readonly isSealed: boolean
  readonly devices: readonly DeviceKey[]
}

export interface OwnKeysOptions {
  /** 32 bytes at each call; tests pass their own. */
  readonly randomSeed?: () => Uint8Array
  /** Where operations are laid by to be signed on other machines too, rather than kept at once. */
  readonly draftTo?: string | null
}

export class OwnKeys {
  readonly #opened: OpenRegistry
  readonly #clock: Clock
  readonly #randomSeed: () => Uint8Array
  readonly #draftTo: string | null
  #seal: Seal | null

  constructor(opened: OpenRegistry, clock: Clock, options: OwnKeysOptions = {}) {
    const { randomSeed = () => randomBytes(32), draftTo = null } = options
    this.#opened = opened
    this.#clock = clock
    this.#randomSeed = randomSeed
    this.#draftTo = draftTo
    this.#seal = opened.seal
  }

  get #publisher(): Cid {
    return this.#opened.registry.publisher
  }

  get #identity(): Identity {
    const identity = this.#opened.registry.identity(this.#publisher)
    assert(identity !== null, 'the own identity is in the catalogue')
    return identity
  }

  get #roots(): RootSets {
    return new RootSets(this.#opened.folder, this.#publisher, this.#seal)
  }

  /** @throws ZoariumError STORE */
  overview(): KeyOverview {
    const identity = this.#identity
    const next = this.#roots.committed(identity)
    const { all, sealed } = countSealed(this.#opened.folder)
    return {
      identity,
      rootsHere: keysOf(this.#roots.inForce(identity)?.seeds ?? []),
      isSealed: all > 0 && all === sealed,
      isNextHere: next !== null && next.seeds.length >= next.threshold,
      nextHere: next?.seeds.length ?? 0,
      devices: this.#devices(),
    }
  }

  /**
   * A device key by its hex digits, or the first of them.
   * @throws ZoariumError NOT_FOUND, AMBIGUOUS, USAGE where they are too few
   */
  device(text: string): DeviceKey {
    return expectOk(byDigits(this.#devices(), text))
  }

  /** The keys of this machine that may be renewed, or those of one scope. */
  renewable(scope: Scope | null): readonly DeviceKey[] {
    return this.#devices().filter(
      (device) =>
        device.isHere && device.revoked === null && (scope === null || device.scope === scope),
    )
  }

  /**
   * Lets device keys sign for another 400 days from now, their logs cut at the newest record.
   * @throws ZoariumError KEY_REVOKED, GAP, SELF_UNSURE, and like {@link delegate}
   */
  renew(keys: readonly string[]): void {
    const now = this.#clock.now()
    const operations = keys.map((key): NewOperation => {
      const device = this.#live(key)
      // A key that has been out of use for long is brought up in steps.
      const notAfter = Math.min(now, device.notAfter) + MAX_DELEGATION_MS
      return { op: 'renew', key, notAfter, last: this.#lastGood(device, 'newest'), ts: now }
    })
    this.#signAll(operations)
  }

  /**
   * Ends a device key; records after the cut are void.
   * @throws ZoariumError KEY_REVOKED, GAP, SELF_UNSURE, NOT_FOUND where no record is at the place,
   * IDENTITY_INVALID where an earlier operation has vouched for later records, and like
   * {@link delegate}
   */
  revoke(key: string, reason: Reason, at: CutAt = 'newest'): void {
    const device = this.#live(key)
    const last = this.#lastGood(device, at)
    this.#signAll([{ op: 'revoke', key, last, reason, ts: this.#clock.now() }])
  }

  /**
   * Raises the epoch of a log: what somebody else signed after the cut is void, and the key goes
   * on from there.
   * @throws ZoariumError like {@link revoke}
   */
  raiseEpoch(key: string, at: CutAt): void {
    const device = this.#live(key)
    const last = this.#lastGood(device, at)
    this.#signAll([{ op: 'epoch', key, last, ts: this.#clock.now() }])
  }

  /**
   * Heals a log that this publisher's own machines have forked: the branch of the cut stands, what
   * follows it is void, and the key goes on from there.
   * @throws ZoariumError USAGE where no fork is known here, and like {@link revoke}
   */
  heal(key: string, at: Exclude<CutAt, 'newest' | 'none'>): void {
    const device = this.#live(key)
    if (this.#opened.registry.catalogue.proof(this.#publisher, key) === null) {
      throw new ZoariumError(
        'USAGE',
        'the log of that key has not forked, as far as is known here',
        {
          got: key,
          hint: 'where somebody else has signed more than you: zoarium keys epoch',
        },
      )
    }
    const last = this.#lastGood(device, at)
    assert(last !== null, 'a place names a record')
    this.#signAll([{ op: 'heal', key, last, ts: this.#clock.now() }])
  }

  /**
   * Delegates a key of another machine, or one that is made for this machine.
   * @param other 64 hex digits; null: make one
   * @returns the key
   * @throws ZoariumError USAGE where this machine has a key of that scope, or a draft is there, THRESHOLD_NOT_MET where
   * too few root keys are here, CONTESTED,
   * IDENTITY_INVALID, KEY_WEAK, KEY_NONCANONICAL, DISK_FULL, STORE
   */
  delegate(scope: Scope, other: string | null = null): string {
    const life = this.#newLife()
    const delegationOf = (key: string): NewOperation => ({ op: 'delegate', key, scope, ...life })
    if (other !== null) {
      this.#signAll([delegationOf(other)])
      return other
    }
    return this.#signForHere(scope, delegationOf)
  }

  /**
   * Delegates a key that is made for this machine, whose log is for an audience alone.
   * @returns the key
   * @throws ZoariumError like {@link delegate}
   */
  confide({ publishers, rosters }: Audience): string {
    const life = this.#newLife()
    const audience = {
      publishers: [...new Set(publishers)].sort(),
      rosters: rosters.toSorted((a, b) => compareText(nameOf(a), nameOf(b))),
    }
    return this.#signForHere('private', (key) => {
      return { op: 'confide', key, ...life, audience }
    })
  }

  /**
   * Names the publisher that vouches for the records of this one when it can no longer; null: none.
   * @throws ZoariumError IDENTITY_INVALID for the own publisher, and like {@link delegate}
   */
  succeed(steward: Cid | null): void {
    this.#signAll([{ op: 'succeed', steward, ts: this.#clock.now() }])
  }

  /** When a key that is delegated now begins and ends. */
  #newLife() {
    const ts = this.#clock.now()
    // A clock that is set back a little must not put the first records before the delegation.
    const notBefore = Math.max(0, ts - MAX_CLOCK_AHEAD_MS)
    return { notBefore, notAfter: notBefore + MAX_DELEGATION_MS, ts }
  }

  /** Signs the delegation of a key that is made for this machine. */
  #signForHere(purpose: Purpose, delegationOf: (key: string) => NewOperation): string {
    const { seed, isNew } = this.#newSeed(purpose)
    const key = toHex(publicKeyOf(seed))
    this.#signAll([delegationOf(key)], () => {
      if (isNew) writeSeed(this.#opened.folder, this.#publisher, purpose, seed, this.#seal)
    })
    return key
  }

  /**
   * Seals the private keys on disk. To change the secret, unseal them first: of two secrets a kill
   * in between would leave both in use.
   * @param ask for the secret, where none is in use
   * @throws ZoariumError USAGE where all are sealed, KEY_SEALED, DISK_FULL, STORE
   */
  async seal(ask: () => Promise<SealSecret>, cost = SEAL_COST): Promise<void> {
    const { folder } = this.#opened
    const { all, sealed } = countSealed(folder)
    if (sealed === all) {
      throw new ZoariumError('USAGE', 'the private keys are sealed already', {
        hint: 'for another passphrase or key file: zoarium keys unseal, then zoarium keys seal',
      })
    }
    // Some are sealed where a kill came in between.
    const seal = this.#seal ?? new Seal(await ask(), cost)
    resealKeys(folder, this.#seal, seal)
    this.#seal = seal
  }

  /** Leaves the private keys open on disk. @throws ZoariumError DISK_FULL, STORE */
  unseal(): void {
    resealKeys(this.#opened.folder, this.#seal, null)
    this.#seal = null
  }

  /** A seed that is not delegated: one that an interrupted delegation has left, or a new one. */
  #newSeed(purpose: Purpose): { readonly seed: Uint8Array; readonly isNew: boolean } {
    const seed = readSeed(this.#opened.folder, purpose, this.#seal)
    if (seed === null) return { seed: this.#randomSeed(), isNew: true }
    const key = toHex(publicKeyOf(seed))
    const device = this.#identity.devices.find((each) => each.key === key)
    if (device === undefined) return { seed, isNew: false }
    if (device.revoked !== null) return { seed: this.#randomSeed(), isNew: true }
    throw new ZoariumError('USAGE', `this machine has a ${purpose} key already`, {
      got: key,
      hint: `renew it, or revoke it first: zoarium keys revoke ${key.slice(0, 16)} --reason superseded`,
    })
  }

  /**
   * Replaces the root keys by those that were committed to, and commits to new ones of the same
   * number and threshold. It also ends a fork of the identity that a thief has made.
   * @throws ZoariumError SCOPE where the next set is elsewhere, and like {@link delegate}
   */
  rotate(): void {
    const next = this.#nextSet()
    this.#rotateTo([next, this.#newSet(next.threshold, next.keys.length)])
  }

  /**
   * Sets how many of how many root keys sign, in two rotations: the set that was committed to
   * comes first, as no other can.
   * @throws ZoariumError THRESHOLD, and like {@link rotate}
   */
  threshold(threshold: number, count: number): void {
    if (threshold < 1 || threshold > count || count > MAX_ROOT_KEYS) {
      throw ZoariumError.of(
        refuse('THRESHOLD', `1 <= k <= n <= ${MAX_ROOT_KEYS} root keys`, {
          got: `${threshold}-of-${count}`,
        }),
      )
    }
    const [first, second] = [this.#newSet(threshold, count), this.#newSet(threshold, count)]
    this.#rotateTo([this.#nextSet(), first, second])
  }

  /** Rotates through sets, the last of which is only committed to. */
  #rotateTo(sets: readonly RootSet[]): void {
    const ts = this.#clock.now()
    const operations = sets.slice(1).map((after, index): NewOperation => {
      // SAFE: `sets` is one longer than what is mapped here.
      const { keys, threshold } = sets[index] as RootSet
      return { op: 'rotate', keys, threshold, next: commitmentOf(after), ts }
    })
    const made = sets.slice(1)
    this.#sign(operations, () => this.#roots.add(made), made)
    if (this.#draftTo === null) this.#roots.forget(this.#identity)
  }

  #newSet(threshold: number, count: number): RootSet {
    const seeds = Array.from({ length: count }, () => this.#randomSeed())
    return rootSetOf(seeds, threshold)
  }

  /** The keys that were committed to. @throws ZoariumError SCOPE where nothing of them is here */
  #nextSet(): RootSet {
    const found = this.#roots.committed(this.#identity)
    if (found !== null) return found
    throw elsewhere('the root keys that were committed to are not on this machine')
  }

  /** Signs operations on devices. */
  #signAll(operations: readonly NewOperation[], before: () => void = () => {}): void {
    if (this.#opened.registry.isFrozen(this.#publisher)) {
      throw new ZoariumError('CONTESTED', 'the identity has forked: somebody else has root keys', {
        hint: 'zoarium keys rotate settles it with the keys that were committed to',
      })
    }
    this.#sign(operations, before)
  }

  #sign(
    operations: readonly NewOperation[],
    before: () => void,
    sets: readonly RootSet[] = [],
  ): void {
    const seeds = [...this.#roots.seeds(), ...sets.flatMap((set) => set.seeds)]
    const drafts = draftAll(this.#identity, operations, seeds)
    if (this.#draftTo === null) writeOperations(this.#opened, drafts, before)
    else writeDrafts(this.#opened, drafts, before, this.#draftTo)
  }

  #devices(): readonly DeviceKey[] {
    const { registry } = this.#opened
    return deviceKeys(registry, this.#identity, this.#here(), this.#clock.now())
  }

  /** The device keys whose seeds are on this machine. */
  #here(): readonly string[] {
    return keysOf(PURPOSES.flatMap((each) => readSeed(this.#opened.folder, each, this.#seal) ?? []))
  }

  /** A device key that may still be changed. */
  #live(key: string): Device {
    const device = expectOk(deviceOf(this.#identity, key))
    if (device.revoked === null) return device
    throw new ZoariumError('KEY_REVOKED', 'the key is revoked, and that is final', {
      got: key,
      hint: `for a new one: zoarium keys delegate ${device.scope}`,
    })
  }

  #lastGood(device: Device, at: CutAt) {
    return lastGood(this.#opened.registry, device, at, this.#here().includes(device.key))
  }
}

const keysOf = (seeds: readonly Uint8Array[]): readonly string[] =>
  seeds.map((seed) => toHex(publicKeyOf(seed))).sort()

const elsewhere = (message: string): ZoariumError =>
  new ZoariumError('SCOPE', message, {
    field: 'keys/root.json',
    hint: 'do this on a machine that has one of them, with --draft FILE where one is not enough',
  })

const nameOf = ({ publisher, name }: RosterName): string => `${publisher}/${name}`

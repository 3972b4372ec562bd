/**
 * The audit: everything that a node stores, read and verified anew from its bytes, and all that is
 * derived from records derived once more, by other code than the catalogue's.
 */

import { whyForbidden } from '../../daemon/runnable.ts'
import { type Cid, isContentOf } from '../../protocol/cid.ts'
import { findDevice } from '../../protocol/delegation.ts'
import { checkPosition, deviceOf } from '../../protocol/device.ts'
import { expectOk } from '../../protocol/errors.ts'
import { readHead } from '../../protocol/head.ts'
import { type Identity, readIdentity } from '../../protocol/identity.ts'
import { checkEquivocation } from '../../protocol/log.ts'
import { peekRecord, readRecord, type SignedRecord } from '../../protocol/record.ts'
import { type LogRow, WITHDRAWALS } from '../../registry/catalogue.ts'
import type { SimulatedNode } from './node.ts'
import { isSignedAs, textOf } from './oracle.ts'
import { recordOf } from './reading.ts'
import type { Tally } from './tally.ts'
import { Violation } from './violation.ts'

/** More records of one log than any run makes. */
const ALL = 1_000_000

export function audit(node: SimulatedNode, tally: Tally): void {
  new Audit(node, tally).run()
}

class Audit {
  readonly #node: SimulatedNode
  readonly #tally: Tally

  constructor(node: SimulatedNode, tally: Tally) {
    this.#node = node
    this.#tally = tally
  }

  run(): void {
    const { registry } = this.#node
    this.#tally.add('audit')
    for (const publisher of registry.publishers()) {
      const identity = this.#identity(publisher)
      const records = registry.catalogue.logs(publisher).flatMap((log) => this.#log(identity, log))
      this.#heads(identity)
      this.#evidence(publisher)
      this.#profile(publisher, records)
      this.#models(publisher, identity, records)
    }
  }

  #require(condition: boolean, invariant: string, details: () => string): void {
    this.#tally.add('invariant checks')
    if (!condition) throw new Violation(invariant, this.#node.name, details())
  }

  #identity(publisher: Cid): Identity {
    const { registry } = this.#node
    const read = readIdentity(registry.identityOps(publisher))
    this.#require(read.ok, 'everything stored verifies', () => `chain of ${publisher}`)
    const identity = expectOk(read)
    this.#require(
      identity.publisher === publisher && registry.identity(publisher)?.tip === identity.tip,
      'everything stored verifies',
      () => `chain of ${publisher} is another one's or not the one in use`,
    )
    const rival = registry.catalogue.rival(publisher)
    if (rival !== null) {
      const common = registry.identityOps(publisher).slice(0, rival.from)
      const branch = readIdentity([...common, ...rival.operations])
      this.#require(branch.ok, 'everything stored verifies', () => `rival of ${publisher}`)
    }
    return identity
  }

  /** Records follow each other without a gap, each signed under a delegation that allows it. */
  #log(identity: Identity, log: LogRow): readonly SignedRecord[] {
    const { catalogue } = this.#node.registry
    const { publisher, key } = log
    let before: SignedRecord | null = null
    const records: SignedRecord[] = []
    for (const row of catalogue.recordsAfter(publisher, key, null, ALL)) {
      const { envelope } = row
      const read = recordOf(envelope)
      this.#require(read.ok, 'everything stored verifies', () => `a record of ${key}`)
      const signed = expectOk(read)
      const { id, record } = signed
      const what = () => `${id} of ${key} at ${textOf(record)}`
      this.#require(isSignedAs('record', envelope, key), 'everything stored verifies', what)
      const isNamed = row.id === id && row.kind === record.kind
      this.#require(isNamed, 'what is derived is true', what)
      this.#require(
        record.publisher === publisher && record.key === key,
        'everything stored verifies',
        what,
      )
      const allowed = findDevice(identity, record)
      this.#require(
        allowed.ok,
        'nothing stands that no delegation allows',
        () => `${what()}: ${allowed.ok ? '' : allowed.code}`,
      )
      const follows =
        record.prev === (before?.id ?? null) &&
        (before === null || record.epoch === before.record.epoch
          ? record.seq === (before === null ? 0 : before.record.seq + 1)
          : record.epoch > before.record.epoch && record.seq === 0)
      this.#require(follows, 'logs have no gaps', what)
      if (record.kind === 'model') {
        const card = catalogue.card(record.body.card)
        // Erased, or restored since and not brought by anybody yet.
        const isErased = catalogue.model(id)?.withdrawn === 'erase'
        const isGone = isErased || catalogue.modelsWithoutCard().includes(id)
        const isTrue = card === null ? isGone : isContentOf(record.body.card, card)
        this.#require(isTrue, 'everything stored verifies', () => `card of ${what()}`)
      }
      before = signed
      records.push(signed)
    }
    const tip = before as SignedRecord | null
    this.#require(
      tip !== null &&
        tip.id === log.tip &&
        tip.record.epoch === log.epoch &&
        tip.record.seq === log.seq,
      'logs have no gaps',
      () => `the end of ${key}`,
    )
    if (log.proof !== null) {
      const fork = checkEquivocation(...log.proof)
      const isTrue = fork.ok && fork.value.publisher === publisher && fork.value.key === key
      this.#require(isTrue, 'everything stored verifies', () => `the proof of ${key}`)
    }
    return records
  }

  #heads(identity: Identity): void {
    for (const { key, envelope } of this.#node.registry.catalogue.heads(identity.publisher)) {
      const read = readHead(envelope)
      const device = deviceOf(identity, key)
      const isTrue =
        read.ok &&
        device.ok &&
        isSignedAs('head', envelope, key) &&
        checkPosition(device.value, read.value.head).ok
      this.#require(isTrue, 'everything stored verifies', () => `head of ${key}`)
    }
  }

  #evidence(publisher: Cid): void {
    for (const envelope of this.#node.registry.catalogue.evidence(publisher)) {
      const header = peekRecord(envelope)
      const isTrue = header.ok && isSignedAs('record', envelope, header.value.key)
      this.#require(isTrue, 'everything stored verifies', () => `evidence about ${publisher}`)
    }
  }

  #profile(publisher: Cid, records: readonly SignedRecord[]): void {
    const row = this.#node.registry.profile(publisher)
    const bodies = records.flatMap(({ id, record }) =>
      record.kind === 'profile' ? [{ id, replaces: record.body.replaces }] : [],
    )
    const replaced = new Set(bodies.flatMap(({ replaces }) => replaces))
    const standing = bodies.map(({ id }) => id).filter((id) => !replaced.has(id))
    // One that came without its log, as of a stranger, counts too, and may replace those in it.
    const isOfLog = row !== null && bodies.some(({ id }) => id === row.record)
    const isTrue = row === null ? standing.length === 0 : !isOfLog || standing.includes(row.record)
    this.#require(isTrue, 'what is derived is true', () => `profile of ${publisher}`)
    if (row === null) return
    const read = readRecord(row.envelope)
    const isSigned = read.ok && isSignedAs('record', row.envelope, read.value.record.key)
    this.#require(isSigned, 'everything stored verifies', () => `profile of ${publisher}`)
  }

  /** Withdrawals and tags as the records have them; and nothing runs that may not. */
  #models(publisher: Cid, identity: Identity, records: readonly SignedRecord[]): void {
    const { registry } = this.#node
    const strongest = new Map<Cid, number>()
    const restored = new Set(
      records.flatMap(({ record }) =>
        record.kind === 'withdraw' && record.body.verb === 'restore' ? [record.body.target] : [],
      ),
    )
    const tags = new Map<string, Cid[]>()
    const replaced = new Set<Cid>()
    for (const { id, record } of records) {
      if (record.kind === 'withdraw') {
        const { target, verb } = record.body
        if (verb === 'restore' || restored.has(id)) continue
        const level = WITHDRAWALS.indexOf(verb)
        strongest.set(target, Math.max(strongest.get(target) ?? -1, level))
      } else if (record.kind === 'tag') {
        const name = `${record.body.name} ${record.body.tag}`
        tags.set(name, [...(tags.get(name) ?? []), id])
        for (const each of record.body.replaces) replaced.add(each)
      }
    }
    for (const [name, ids] of tags) {
      const [model = '', tag = ''] = name.split(' ')
      const standing = ids
        .filter((id) => !replaced.has(id))
        .sort()
        .reverse()
      const rows = registry.catalogue.tags(publisher, model, tag).map(({ record }) => record)
      this.#require(rows.join() === standing.join(), 'what is derived is true', () => `tag ${name}`)
    }
    for (const { id, record } of records) {
      if (record.kind !== 'model') continue
      const model = registry.catalogue.model(id)
      const level = strongest.get(id) ?? -1
      const isTrue = model !== null && (model.withdrawn ?? undefined) === WITHDRAWALS[level]
      this.#require(isTrue, 'what is derived is true', () => `withdrawal of ${id}`)
      if (model === null || whyForbidden(registry, model) !== null) continue
      const log = registry.catalogue.log(publisher, record.key)
      const fork = log?.proof ? expectOk(checkEquivocation(...log.proof)) : null
      const isAfterFork = fork !== null && (record.epoch - fork.epoch || record.seq - fork.seq) >= 0
      const mayRun =
        registry.trust.may(publisher, 'run') &&
        level < 1 &&
        !isAfterFork &&
        !this.#isFrozen(publisher, identity)
      this.#require(mayRun, 'nothing contested, recalled or unpermitted runs', () => id)
    }
  }

  /** Two branches of the chain, of which both or neither reveal the keys that were committed to. */
  #isFrozen(publisher: Cid, identity: Identity): boolean {
    const { catalogue } = this.#node.registry
    const rival = catalogue.rival(publisher)
    if (rival === null) return false
    const common = catalogue.identityOps(publisher).slice(0, rival.from)
    const before = expectOk(readIdentity(common)).rotations
    const other = expectOk(readIdentity([...common, ...rival.operations])).rotations
    return identity.rotations > before === other > before
  }
}

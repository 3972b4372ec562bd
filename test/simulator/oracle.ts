/**
 * The oracle knows what really happened, watches every honest node, and speaks up where one breaks
 * a promise. What it knows comes from the statements themselves and from the book of signatures
 * (crypto.ts), not from what a node says of itself.
 */
import { equalBytes, fromHex } from '../../protocol/bytes.ts'
import type { Cid } from '../../protocol/cid.ts'
import { split } from '../../protocol/envelope.ts'
import { expectOk, ZoariumError } from '../../protocol/errors.ts'
import { readHead } from '../../protocol/head.ts'
import {
  comparePositions,
  type Position,
  peekRecord,
  type SignedRecord,
} from '../../protocol/record.ts'
import { entriesOf, lineOf, type SetEntry } from '../../protocol/sync-item.ts'
import type { SyncReply, SyncRequest } from '../../protocol/sync-message.ts'
import type { LogRow } from '../../registry/catalogue.ts'
import { MAX_RECORDS_PER_DAY } from '../../registry/quotas.ts'
import { wasSigned } from './crypto.ts'
import type { SimulatedNode, Watcher } from './node.ts'
import type { Tally } from './tally.ts'
import { Violation } from './violation.ts'

interface LogFloor extends Position {
  readonly tip: Cid
}

interface HeadFloor extends Position {
  readonly issued: number
  readonly envelope: Uint8Array
}

/** What a node has once known of a publisher, and may not forget. */
interface Floor {
  length: number
  readonly logs: Map<string, LogFloor>
  readonly heads: Map<string, HeadFloor>
}

/** What a node acknowledged, or held of an own log: a promise. */
interface Acknowledged extends Position {
  readonly key: string
}

const DAY_MS = 24 * 3600 * 1000
/** What stands before a payload when it is signed. */
const TAGS = {
  record: Buffer.from('zoarium/v1/record\0'),
  head: Buffer.from('zoarium/v1/head\0'),
}

export class Oracle implements Watcher {
  readonly #tally: Tally
  readonly #honest = new Set<SimulatedNode>()
  /** Floors of the present life by node and publisher. */
  readonly #floors = new Map<SimulatedNode, Map<Cid, Floor>>()
  readonly #dirty = new Map<SimulatedNode, Set<Cid>>()
  readonly #acknowledged = new Map<SimulatedNode, Map<Cid, Acknowledged>>()
  /** Records of honest nodes by their place, as others have seen them. */
  readonly #places = new Map<string, Cid>()
  readonly #stolen = new Set<string>()
  /** Publishers of honest nodes. */
  readonly #publishers = new Map<Cid, SimulatedNode>()
  /** Records that a node took in on the last day of its clock on which it took any, by publisher. */
  readonly #intake = new Map<string, { readonly day: number; readonly count: number }>()
  /** Publishers of all nodes, by PeerId. */
  readonly #peers = new Map<string, Cid>()
  /** For whom private logs are, by key. */
  readonly #audiences = new Map<string, ReadonlySet<Cid>>()
  /** Nodes whose disk was put back: they may lack what they knew. */
  readonly #restored = new Set<SimulatedNode>()
  #failure: Violation | null = null

  constructor(tally: Tally) {
    this.#tally = tally
  }

  /** The first promise that was broken. */
  get failure(): Violation | null {
    return this.#failure
  }

  fail(error: unknown): void {
    if (this.#failure !== null) return
    this.#failure =
      error instanceof Violation
        ? error
        : new Violation('defect', '-', error instanceof Error ? (error.stack ?? '') : String(error))
  }

  #require(
    condition: boolean,
    invariant: string,
    node: SimulatedNode,
    details: () => string,
  ): void {
    this.#tally.add('invariant checks')
    if (!condition) this.fail(new Violation(invariant, node.name, details()))
  }

  // What happened

  watch(node: SimulatedNode): void {
    this.#honest.add(node)
    this.#publishers.set(node.publisher, node)
  }

  /** Whom a PeerId belongs to, whatever it says. */
  meet(peer: string, publisher: Cid): void {
    this.#peers.set(peer, publisher)
  }

  /** The log of a key is for some alone. */
  confided(key: string, audience: readonly Cid[]): void {
    this.#audiences.set(key, new Set(audience))
  }

  /** Whether nodes of a publisher may know of a log. */
  mayKnow(publisher: Cid, key: string): boolean {
    return this.#audiences.get(key)?.has(publisher) ?? true
  }

  /** A thief has signed a record with a key of an honest publisher. */
  stole(record: Cid): void {
    this.#stolen.add(record)
  }

  isStolen(record: string): boolean {
    return this.#stolen.has(record)
  }

  acknowledged(node: SimulatedNode, signed: SignedRecord): void {
    const { key, epoch, seq } = signed.record
    const journal = this.#acknowledged.get(node) ?? new Map<Cid, Acknowledged>()
    journal.set(signed.id, { key, epoch, seq })
    this.#acknowledged.set(node, journal)
  }

  /** A node's disk was put back to an old state. */
  restored(node: SimulatedNode): void {
    this.#restored.add(node)
    for (const name of this.#intake.keys()) {
      if (name.startsWith(`${node.id} `)) this.#intake.delete(name)
    }
    this.#floors.delete(node)
  }

  // Watcher

  defect(node: SimulatedNode, error: unknown): void {
    const details =
      error instanceof ZoariumError
        ? `${error.code} ${JSON.stringify(error.data)} ${error.stack ?? ''}`
        : error instanceof Error
          ? (error.stack ?? error.message)
          : String(error)
    this.fail(error instanceof Violation ? error : new Violation('defect', node.name, details))
  }

  started(node: SimulatedNode): void {
    const { registry } = node
    if (!this.#honest.has(node)) {
      registry.on('record', (signed) => this.#checkPlace(node, signed))
      return
    }
    const dirty = new Set<Cid>()
    this.#dirty.set(node, dirty)
    registry.on('record', (signed) => {
      dirty.add(signed.record.publisher)
      this.#onRecord(node, signed)
    })
    registry.on('identity', ({ publisher }) => dirty.add(publisher))
    registry.on('head', ({ publisher }) => dirty.add(publisher))
    this.sweep(node)
  }

  answers(node: SimulatedNode, peer: string, request: SyncRequest, reply: SyncReply): void {
    const reader = this.#peers.get(peer)
    if (!this.#honest.has(node) || reader === undefined) return
    const { publisher } = node
    for (const key of keysIn(node, request, reply)) {
      const isKept = this.mayKnow(reader, key) && this.mayKnow(publisher, key)
      this.#require(
        isKept,
        'what is private stays with its audience',
        node,
        () => `${key}: ${peer}`,
      )
    }
  }

  tellsAll(node: SimulatedNode, message: Uint8Array): void {
    if (!this.#honest.has(node)) return
    const { key } = expectOk(readHead(message)).head
    const isPublic = !this.#audiences.has(key)
    this.#require(isPublic, 'what is private stays with its audience', node, () => `head of ${key}`)
  }

  changed(node: SimulatedNode): void {
    const dirty = this.#dirty.get(node)
    if (dirty === undefined || dirty.size === 0) return
    for (const publisher of dirty) this.#checkFloor(node, publisher)
    dirty.clear()
  }

  /** All that can be looked at without reading every record. */
  sweep(node: SimulatedNode): void {
    if (!node.isUp || !this.#honest.has(node)) return
    for (const publisher of node.registry.publishers()) this.#checkFloor(node, publisher)
    this.#checkAcknowledged(node)
    this.#checkTable(node)
  }

  // Promises

  #onRecord(node: SimulatedNode, signed: SignedRecord): void {
    const { id, envelope, record } = signed
    this.#tally.add('record kept')
    this.#require(
      isSignedRecord(envelope, record.key),
      'everything stored verifies',
      node,
      () => `record ${id} was never signed by ${record.key}`,
    )
    const right = node.registry.trust.may(record.publisher, 'list')
    this.#require(right, 'only what a rule lists is kept', node, () => `record ${id}`)
    const mayKnow = this.mayKnow(node.publisher, record.key)
    this.#require(mayKnow, 'what is private stays with its audience', node, () => `record ${id}`)
    this.#checkQuota(node, signed)
    this.#checkPlace(node, signed)
  }

  #checkQuota(node: SimulatedNode, { record: { publisher, kind } }: SignedRecord): void {
    const { recordsPerDay = MAX_RECORDS_PER_DAY } = node
    if (publisher === node.publisher || kind === 'withdraw') return
    const name = `${node.id} ${publisher}`
    const day = Math.floor(node.clock.now() / DAY_MS)
    const before = this.#intake.get(name)
    // As the catalogue states it, other days are forgotten: a clock that goes ahead and comes back
    // begins its day anew.
    const count = before?.day === day ? before.count + 1 : 1
    this.#intake.set(name, { day, count })
    this.#require(
      count <= recordsPerDay,
      'bounds hold',
      node,
      () => `${count} records: ${name} ${day}`,
    )
  }

  /** What was once seen outside its own node stands there for ever. */
  #checkPlace(node: SimulatedNode, { id, record }: SignedRecord): void {
    const signer = this.#publishers.get(record.publisher)
    if (signer === undefined || this.#stolen.has(id)) return
    const place = `${record.publisher} ${record.key} ${record.epoch}.${record.seq}`
    const other = this.#places.get(place) ?? id
    this.#require(other === id, 'no honest self-fork', signer, () => `${place}: ${other}, ${id}`)
    if (node !== signer) this.#places.set(place, id)
  }

  /** Positions that were seen never fall, unless the root has taken back what stood there. */
  #checkFloor(node: SimulatedNode, publisher: Cid): void {
    const { registry } = node
    const floors = this.#floors.get(node) ?? new Map<Cid, Floor>()
    this.#floors.set(node, floors)
    const floor = floors.get(publisher) ?? { length: 0, logs: new Map(), heads: new Map() }
    floors.set(publisher, floor)

    const identity = registry.identity(publisher)
    const length = identity?.length ?? 0
    const rival = registry.catalogue.rival(publisher)
    const isSwitched = rival !== null && rival.from < floor.length
    this.#require(
      length >= floor.length || isSwitched,
      'max-seen never falls',
      node,
      () => `chain of ${publisher}: ${floor.length} -> ${length}`,
    )
    floor.length = length

    const logs = new Map(registry.catalogue.logs(publisher).map((log) => [log.key, log]))
    for (const key of new Set([...floor.logs.keys(), ...logs.keys()])) {
      const before = floor.logs.get(key)
      const log = logs.get(key)
      if (before !== undefined && isBelow(log, before)) {
        const gone = this.#isEvidence(node, publisher, before.tip)
        this.#require(
          gone,
          'max-seen never falls',
          node,
          () =>
            `log ${publisher} ${key}: ${textOf(before)} -> ${log === undefined ? 'none' : textOf(log)}`,
        )
        floor.heads.delete(key)
      }
      if (log === undefined) floor.logs.delete(key)
      else floor.logs.set(key, { epoch: log.epoch, seq: log.seq, tip: log.tip })
    }
    this.#checkHeads(node, publisher, floor)
  }

  #checkHeads(node: SimulatedNode, publisher: Cid, floor: Floor): void {
    const { registry } = node
    const identity = registry.identity(publisher)
    const heads = registry.catalogue.heads(publisher)
    for (const { key, envelope } of heads) {
      const before = floor.heads.get(key)
      if (before !== undefined && equalBytes(before.envelope, envelope)) {
        this.#tally.add('invariant checks')
        continue
      }
      const { head } = expectOk(readHead(envelope))
      // Once the own clock is set back, a date that was ahead of it counts for nothing.
      const isDated = publisher !== node.publisher && !registry.isAhead(before?.issued ?? 0)
      const later = isDated ? head.issued - (before?.issued ?? 0) : 0
      const isFallen = before !== undefined && (comparePositions(head, before) || later) < 0
      // A head beyond a cut goes; one below it may then come.
      const device = identity?.devices.find((each) => each.key === key)
      const isCut = (device?.cuts.length ?? 0) > 0
      this.#require(
        !isFallen || isCut,
        'max-seen never falls',
        node,
        () =>
          `head ${publisher} ${key}: ${before === undefined ? '' : textOf(before)} -> ${textOf(head)}`,
      )
      const { epoch, seq, issued } = head
      floor.heads.set(key, { epoch, seq, issued, envelope })
    }
  }

  /** What peers are compared with is what is kept. */
  #checkTable(node: SimulatedNode): void {
    const { archive } = node
    const publishers = archive.publishers()
    const lines = (entries: readonly SetEntry[]): string =>
      entries
        .map(({ item }) => lineOf(item))
        .sort()
        .join('')
    const kept = lines(publishers.flatMap((each) => entriesOf(archive, each)))
    const shown = lines(archive.set(publishers).entries)
    this.#require(
      kept === shown,
      'peers are shown what is kept',
      node,
      () => `${kept}\nbut\n${shown}`,
    )
  }

  #isEvidence(node: SimulatedNode, publisher: Cid, id: Cid): boolean {
    return node.registry.catalogue
      .evidence(publisher)
      .some((envelope) => expectOk(peekRecord(envelope)).id === id)
  }

  #checkAcknowledged(node: SimulatedNode): void {
    const { catalogue } = node.registry
    let evidence: Set<Cid> | null = null
    for (const [id, { key, ...place }] of this.#acknowledged.get(node) ?? []) {
      if (catalogue.record(id) !== null) {
        this.#tally.add('invariant checks')
        continue
      }
      evidence ??= new Set(
        catalogue.evidence(node.publisher).map((each) => expectOk(peekRecord(each)).id),
      )
      const isExcused = evidence.has(id) || this.#restored.has(node)
      this.#require(
        isExcused,
        'acknowledged stays',
        node,
        () => `record ${id} of ${key} at ${textOf(place)} is gone`,
      )
    }
  }

  /** Acknowledged records of a node, for the look at the end. */
  acknowledgedOf(node: SimulatedNode): ReadonlyMap<Cid, Acknowledged> {
    return this.#acknowledged.get(node) ?? new Map()
  }
}

/** The logs that an answer tells of. */
function keysIn(node: SimulatedNode, request: SyncRequest, reply: SyncReply): readonly string[] {
  switch (reply.t) {
    case 'items':
      return reply.items.flatMap(({ key }) => key ?? [])
    case 'records': {
      if (request.t !== 'get-records') return []
      return reply.logs.flatMap(({ records, head }, n) => {
        const isTold = records.length > 0 || head !== null
        const log = isTold ? node.archive.logOf(request.logs[n]?.id ?? '') : null
        return log?.key ?? []
      })
    }
    case 'proof':
      return request.t === 'get-proof' && reply.first !== null ? [request.key] : []
    default:
      return []
  }
}

/** Whether the holder of the key has signed those bytes as a record. */
export function isSignedRecord(envelope: Uint8Array, key: string): boolean {
  return isSignedAs('record', envelope, key)
}

export function isSignedAs(type: keyof typeof TAGS, envelope: Uint8Array, key: string): boolean {
  const { payload, signature } = expectOk(split(envelope))
  const message = Buffer.concat([TAGS[type], payload])
  return wasSigned(message, signature, fromHex(key))
}

const isBelow = (log: LogRow | undefined, before: Position): boolean =>
  log === undefined || comparePositions(log, before) < 0

export const textOf = ({ epoch, seq }: Position): string => `${epoch}.${seq}`

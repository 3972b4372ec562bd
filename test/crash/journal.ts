/** What the outside knows of the node that is killed: what it was asked, what it said. */
import type { Cid } from '../../protocol/cid.ts'
import { expectOk } from '../../protocol/errors.ts'
import { headOf } from '../../protocol/head.ts'
import { readRecord } from '../../protocol/record.ts'
import { type Base64, type Command, fromBase64, type Told } from './command.ts'
import type { Batch, Car, PeerModel, World } from './world.ts'

/** A log, as `publisher key`. */
const logOf = (publisher: string, key: string): string => `${publisher} ${key}`

export class Journal {
  readonly world: World
  /** Records that must be here: signed or admitted, and acknowledged, or sent to somebody. */
  readonly records = new Set<Cid>()
  /** Files that must be here, with why. */
  readonly files = new Map<Cid, string>()
  /** Files that must not be here. */
  readonly gone = new Map<Cid, string>()
  /** Models of peers that must not be given to anybody any more. */
  readonly erased = new Set<Cid>()
  /** What was seen at each position of an own log: `key epoch.seq` -> record. */
  readonly seen = new Map<string, Cid>()
  /** Records that have left the node. */
  readonly sent = new Map<Cid, Base64>()
  /** The newest position that a head was seen to state of each log. */
  readonly heads = new Map<string, number>()
  /** What went wrong in what the node said. */
  readonly faults: string[] = []
  /** What the policy may say of the stranger. */
  rights = new Set<string | null>([null])
  operations = 0
  /** How many batches of the peer are here for certain. */
  batches = 0
  acknowledged = 0
  readonly #models: Cid[] = []
  readonly #peerModels = new Map<Cid, PeerModel>()
  readonly #erasedHere = new Set<Cid>()
  /** Erased by the publisher; of one whose withdrawal is on its way nothing is certain. */
  readonly #erasures = new Map<Cid, 'asked' | 'known'>()
  /** Those that were known when the collection under way was asked for. */
  #due: readonly Cid[] = []
  readonly #strays = new Set<Cid>()

  constructor(world: World) {
    this.world = world
  }

  /** Own models. */
  get models(): readonly Cid[] {
    return this.#models
  }

  /** Models of the peer whose files may come. */
  get wanted(): readonly PeerModel[] {
    return [...this.#peerModels.values()].filter(
      ({ record }) => !this.#erasedHere.has(record) && !this.#erasures.has(record),
    )
  }

  /** Models of the peer that were erased here, and by nobody else. */
  get restorable(): readonly Cid[] {
    return [...this.#erasedHere].filter((record) => !this.#erasures.has(record))
  }

  get nextBatch(): Batch | undefined {
    return this.world.batches[this.batches]
  }

  carOf(file: string): Car {
    const car = this.world.cars.find((each) => each.file === file)
    if (car === undefined) throw new TypeError('a file of the world')
    return car
  }

  /** Something left the node. */
  left(kind: 'record' | 'head', envelope: Base64): void {
    const bytes = fromBase64(envelope)
    if (kind === 'head') {
      const { publisher, key, seq } = headOf(bytes)
      this.#raise(publisher, key, seq)
      return
    }
    const { id } = expectOk(readRecord(bytes))
    this.sent.set(id, envelope)
    this.records.add(id)
    this.see(envelope)
  }

  /** A record was seen in an own log, wherever. */
  see(envelope: Base64): void {
    const { id, record } = expectOk(readRecord(fromBase64(envelope)))
    const place = `${record.key} ${record.epoch}.${record.seq}`
    const before = this.seen.get(place) ?? id
    if (before !== id) this.faults.push(`forked itself at ${place}: ${before} and ${id}`)
    this.seen.set(place, id)
  }

  #raise(publisher: string, key: string, seq: number): void {
    const log = logOf(publisher, key)
    this.heads.set(log, Math.max(seq, this.heads.get(log) ?? 0))
  }

  /** A command is about to be given: from now on nobody knows, until it is acknowledged. */
  asked(command: Command): void {
    if (command.do === 'trust') this.rights.add(command.right)
    if (command.do === 'erase') {
      this.#erasedHere.add(command.record)
      this.#uncertain(command.record)
    }
    if (command.do === 'restore') {
      for (const cid of this.#filesOf(command.record)) this.gone.delete(cid)
      if (this.#erasures.get(command.record) !== 'known') this.erased.delete(command.record)
    }
    if (command.do === 'admit' && this.nextBatch?.erases) {
      this.#erasures.set(this.nextBatch.erases, 'asked')
    }
    if (command.do === 'collect') {
      for (const each of this.#erasures.keys()) this.#uncertain(each)
      this.#due = [...this.#erasures].filter(([, state]) => state === 'known').map(([id]) => id)
    }
  }

  #filesOf(record: Cid): readonly Cid[] {
    return this.#peerModels.get(record)?.files ?? []
  }

  #uncertain(record: Cid): void {
    for (const cid of this.#filesOf(record)) this.files.delete(cid)
  }

  /** A command was acknowledged. */
  acked(command: Command, told: Told): void {
    this.acknowledged += 1
    const { envelope, files = [], operations = 0 } = told
    if (envelope !== undefined) this.#signed(command, envelope)
    this.operations = Math.max(this.operations, operations)
    switch (command.do) {
      case 'publish':
      case 'fetch':
        for (const cid of files) this.files.set(cid, command.do)
        break
      case 'stray':
        for (const cid of files) {
          this.gone.delete(cid)
          this.#strays.add(cid)
        }
        break
      case 'admit':
        this.#admitted()
        break
      case 'import': {
        const car = this.carOf(command.file)
        for (const id of car.records) this.records.add(id)
        for (const cid of car.files) this.files.set(cid, 'import')
        break
      }
      case 'erase':
        this.#isGone(command.record, 'erased here')
        this.erased.add(command.record)
        break
      case 'restore':
        this.#erasedHere.delete(command.record)
        break
      case 'collect':
        for (const record of this.#due) this.#isGone(record, 'erased by its publisher')
        break
      case 'gc':
        for (const cid of this.#strays) this.gone.set(cid, 'named by no model')
        this.#strays.clear()
        break
      case 'trust':
        this.rights = new Set([command.right])
        break
      case 'confirm':
        if (told.count !== 0) this.faults.push(`${told.count} records were sent and lost`)
    }
  }

  #signed(command: Command, envelope: Base64): void {
    const { id, record } = expectOk(readRecord(fromBase64(envelope)))
    this.records.add(id)
    this.see(envelope)
    if (record.kind !== 'model') return
    this.#models.push(id)
    for (const { cid } of record.body.files) this.files.set(cid, command.do)
  }

  #admitted(): void {
    const batch = this.nextBatch
    if (batch === undefined) return
    this.batches += 1
    for (const id of batch.ids) this.records.add(id)
    for (const model of batch.models) this.#peerModels.set(model.record, model)
    this.#raise(this.world.peer, batch.position.key, batch.position.seq)
    if (batch.erases === null) return
    this.#erasures.set(batch.erases, 'known')
    this.erased.add(batch.erases)
  }

  #isGone(record: Cid, why: string): void {
    for (const cid of this.#filesOf(record)) this.gone.set(cid, why)
  }
}

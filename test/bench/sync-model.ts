/**
 * Nodes that hold a million records in name only: what each knows of its logs is in memory, so that
 * what reconciliation costs can be measured apart from storing and verifying. Table, pull, answers and
 * messages are the program's own.
 */
import { toHex } from '../../protocol/bytes.ts'
import { type Cid, cidFromDigest } from '../../protocol/cid.ts'
import { publicKeyOf } from '../../protocol/crypto.ts'
import { accept, expectOk } from '../../protocol/errors.ts'
import {
  comparePositions,
  peekRecord,
  type SignedRecord,
  signRecord,
} from '../../protocol/record.ts'
import { pull } from '../../protocol/sync.ts'
import { answer } from '../../protocol/sync-answer.ts'
import { idOf, type LogState } from '../../protocol/sync-item.ts'
import {
  type SyncReply,
  type SyncRequest,
  syncReplies,
  syncRequests,
} from '../../protocol/sync-message.ts'
import { createSyncMemory, type SyncMemory } from '../../protocol/sync-publishers.ts'
import type { SyncSource } from '../../protocol/sync-source.ts'
import type { SyncEffect, SyncInput } from '../../protocol/sync-step.ts'
import { SyncTable } from '../../protocol/sync-table.ts'
import { START, seedOf } from '../helpers/publisher.ts'

/** Bytes before each message. */
const LENGTH_BYTES = 4
const LOGS_OF_ONE = 10

interface ModelLog extends LogState {
  readonly seed: Uint8Array
}

type ModelLogs = ReadonlyMap<Cid, readonly ModelLog[]>

/** Publishers with ten logs each, as they are before the news. */
export function modelLogs(logs: number, records: number): ModelLogs {
  const states = new Map<Cid, readonly ModelLog[]>()
  const seq = Math.max(1, Math.round(records / logs)) - 1
  for (let n = 0; n * LOGS_OF_ONE < logs; n++) {
    const of = Math.min(LOGS_OF_ONE, logs - n * LOGS_OF_ONE)
    const publisher = cidFromDigest('dag-cbor', seedOf(`publisher ${n}`))
    const made = Array.from({ length: of }, (_, key): ModelLog => {
      const seed = seedOf(`publisher ${n} key ${key}`)
      const tip = cidFromDigest('dag-cbor', seedOf(`publisher ${n} tip ${key}`))
      const common = { epoch: 0, seq, tip, isForked: false, isPrivate: false, seed }
      return { ...common, key: toHex(publicKeyOf(seed)), headIssued: START }
    })
    states.set(publisher, made)
  }
  return states
}

/** New records at the ends of logs that lie far apart, by the id of the log. */
export function modelNews(
  logs: ModelLogs,
  count: number,
  changed: number,
): ReadonlyMap<string, readonly SignedRecord[]> {
  const all = [...logs].flatMap(([publisher, states]) =>
    states.map((log) => ({ publisher, ...log })),
  )
  const news = new Map<string, readonly SignedRecord[]>()
  for (let n = 0; n < changed; n++) {
    const log = all[Math.floor((n * all.length) / changed)]
    if (log === undefined) throw new TypeError('fewer logs than are to change')
    const { publisher, key, seed } = log
    const records: SignedRecord[] = []
    let prev = log.tip
    for (let at = 1; at <= count / changed; at++) {
      const place = { publisher, key, epoch: 0, seq: log.seq + at, prev, idv: 3, ts: START + at }
      const body = { name: 'nuclei', tag: `v${at}`, target: publisher, replaces: [] }
      const signed = signRecord({ ...place, kind: 'tag', body }, seed)
      records.push(signed)
      prev = signed.id
    }
    news.set(idOf({ publisher, key }), records)
  }
  return news
}

/** What one pull cost. */
export interface PullCost {
  /** Of messages both ways, records in their framing aside. */
  readonly bytes: number
  /** Records as they are framed. */
  readonly recordBytes: number
  readonly records: number
  readonly roundTrips: number
  /** Before the first record came. */
  readonly roundTripsBefore: number
  readonly ms: number
}

export class ModelNode {
  readonly #logs: Map<Cid, readonly LogState[]>
  readonly #records = new Map<string, SignedRecord[]>()
  readonly #table: SyncTable
  readonly #source: SyncSource
  readonly #memories = new Map<ModelNode, SyncMemory>()

  constructor(logs: ModelLogs) {
    this.#logs = new Map(logs)
    const none = (): null => null
    const state = {
      chain: (publisher: Cid) =>
        this.#logs.has(publisher) ? { length: 3, tip: publisher, isContested: false } : null,
      logs: (publisher: Cid) => this.#logs.get(publisher) ?? [],
      holdings: () => [],
      horizon: () => Number.MAX_SAFE_INTEGER,
    }
    this.#table = new SyncTable(state)
    const publishers = [...this.#logs.keys()]
    this.#source = {
      ...state,
      publishers: () => publishers,
      set: (some) => this.#table.set(some, () => true),
      logOf: (id) => this.#table.log(id),
      recordsAfter: (publisher, key, after, limit) =>
        (this.#records.get(idOf({ publisher, key })) ?? [])
          .filter(({ record }) => after === null || comparePositions(record, after) > 0)
          .slice(0, limit)
          .map(({ envelope }) => ({ envelope, card: null })),
      rival: none,
      identityOps: () => [],
      profile: none,
      rosters: () => ({ records: [], car: null }),
      recordAt: none,
      cardless: () => [],
      head: none,
      stated: none,
      proof: none,
    }
  }

  /** The fingerprint of all that it holds. */
  get fingerprint(): string {
    return this.#source.set(this.#source.publishers()).fingerprint.join()
  }

  /** Takes in records that follow. */
  take(records: readonly SignedRecord[]): void {
    for (const signed of records) {
      const { publisher, key, epoch, seq } = signed.record
      const logs = this.#logs.get(publisher) ?? []
      const place = { epoch, seq, tip: signed.id }
      this.#logs.set(
        publisher,
        logs.map((log) => (log.key === key ? { ...log, ...place } : log)),
      )
      const id = idOf({ publisher, key })
      const kept = this.#records.get(id) ?? []
      kept.push(signed)
      this.#records.set(id, kept)
      this.#table.changed(publisher)
    }
  }

  /** Pulls from another node. */
  pull(other: ModelNode, known: ReadonlyMap<string, SignedRecord>): PullCost {
    const cost = { bytes: 0, recordBytes: 0, records: 0, roundTrips: 0, roundTripsBefore: 0 }
    const ahead: SyncReply[] = []
    const ask = (asked: SyncRequest): SyncReply => {
      const frame = syncRequests.encode(asked)
      const request = expectOk(syncRequests.decode(frame))
      const reply = answer(other.#source, other.#memory(this), request)
      if (reply === null) throw new TypeError('there is an answer to each question')
      const answered = syncReplies.encode(reply)
      const records = reply.t === 'records' ? reply.logs.flatMap((page) => page.records) : []
      const framed = records.reduce((sum, { envelope }) => sum + framedLength(envelope), 0)
      if (cost.records === 0 && records.length === 0) cost.roundTripsBefore++
      cost.roundTrips++
      cost.records += records.length
      cost.recordBytes += framed
      cost.bytes += frame.length + answered.length + 2 * LENGTH_BYTES - framed
      return expectOk(syncReplies.decode(answered))
    }
    const perform = (effect: SyncEffect): SyncInput => {
      switch (effect.do) {
        case 'ask':
          return ask(effect.request)
        case 'send':
          ahead.push(ask(effect.request))
          return undefined
        case 'receive':
          return ahead.shift()
        case 'tell':
          cost.bytes += syncRequests.encode(effect.request).length + LENGTH_BYTES
          return undefined
        case 'admit-records': {
          const signed = effect.records.map(({ envelope }) => {
            const found = known.get(expectOk(peekRecord(envelope)).id)
            if (found === undefined) throw new TypeError('nothing else is passed on')
            return found
          })
          this.take(signed)
          return signed.map(() => accept(null))
        }
        default:
          throw new TypeError(`no ${effect.do} among models`)
      }
    }
    const started = performance.now()
    const steps = pull(this.#source, this.#memory(other))
    let step = steps.next(undefined)
    while (!step.done) step = steps.next(perform(step.value))
    const ms = performance.now() - started
    const { failure, refused, more } = step.value
    if (failure !== null || refused.length > 0 || more) throw new TypeError('a pull that fails')
    return { ...cost, ms }
  }

  #memory(other: ModelNode): SyncMemory {
    const memory = this.#memories.get(other) ?? createSyncMemory()
    this.#memories.set(other, memory)
    return memory
  }
}

/** Bytes that an envelope takes with its length before it. */
const framedLength = ({ length }: Uint8Array): number => length + (length < 256 ? 2 : 3)

/**
 * Whole exchanges with a peer that answers what it likes, in the right form: the pull ends, nothing is
 * thrown, and what is kept afterwards stands as if it had come in order. And the other side: any
 * request has an answer that fits a frame.
 */
import { archiveOf } from '../../../daemon/net/archive.ts'
import type { Cid } from '../../../protocol/cid.ts'
import { expectOk } from '../../../protocol/errors.ts'
import { MAX_FRAME_BYTES } from '../../../protocol/limits.ts'
import { failureMessage } from '../../../protocol/message.ts'
import { readRecord } from '../../../protocol/record.ts'
import { pull } from '../../../protocol/sync.ts'
import { answer } from '../../../protocol/sync-answer.ts'
import { idOf, idOfHoldings, idOfItem } from '../../../protocol/sync-item.ts'
import {
  type AnyItem,
  type SyncReply,
  type SyncRequest,
  syncReplies,
  syncRequests,
} from '../../../protocol/sync-message.ts'
import { createSyncMemory, digestOfPublishers } from '../../../protocol/sync-publishers.ts'
import type { SyncEffect, SyncInput } from '../../../protocol/sync-step.ts'
import type { Registry } from '../../../registry/registry.ts'
import { Breach, type Outcome, type Target } from '../fuzzer.ts'
import { type History, historyOf, openNode } from '../history.ts'
import { Random } from '../random.ts'
import { HOLDINGS_ISSUED, holdings } from '../samples.ts'

const HISTORY_BYTES = 12
/** Questions that the peer answers; after that it fails. */
const MAX_ANSWERS = 60
/** Questions of one pull, the failing ones included. */
const MAX_QUESTIONS = 200

/** Exchanges one after the other. */
const PULLS = 3

type Question = Exclude<SyncRequest, { t: 'done' }>

/** A peer with everything of a history, and no shame. */
class Liar {
  readonly #random: Random
  readonly #history: History
  #left = MAX_ANSWERS

  constructor(history: History, random: Random) {
    this.#history = history
    this.#random = random
  }

  reply(request: Question): SyncReply {
    const random = this.#random
    if (this.#left-- <= 0 || random.once(40)) {
      return failureMessage({ code: 'BUSY', message: 'not now' })
    }
    const made = random.once(12)
      ? this.#of({ ...request, t: random.pick(TYPES) } as Question)
      : this.#of(request)
    // As it would come over the wire.
    return expectOk(syncReplies.decode(syncReplies.encode(made)))
  }

  /** @param request of a type that may have been put in the place of another one */
  #of(request: Question): SyncReply {
    const random = this.#random
    const { publisher: id } = this.#history.publisher
    switch (request.t) {
      case 'open': {
        const parts = random.once(8) ? null : random.bytes(96)
        return { t: 'state', publishers: random.once(2) ? null : [id], parts }
      }
      case 'split': {
        const asked = random.once(8) ? 3 : (request.ranges?.length ?? 1)
        return { t: 'parts', parts: Array.from({ length: asked }, () => random.bytes(96)) }
      }
      case 'compare':
        return {
          t: 'items',
          items: this.#items(random.once(8) ? null : (request.after ?? '')),
          lacks: random.once(3) ? [random.below(20)] : [],
          more: random.once(3),
        }
      case 'get-identity':
        return { t: 'identity', operations: this.#operations(), more: random.once(3) }
      case 'get-rival':
        return { t: 'rival', from: random.below(8), operations: this.#operations() }
      case 'get-profile':
        return { t: 'profile', envelope: this.#envelope() }
      case 'get-proof':
        return { t: 'proof', first: this.#envelope(), second: this.#envelope() }
      case 'get-roster':
        return { t: 'roster', records: [this.#tip()], car: null }
      case 'get-holdings': {
        const asked = request.nodes ?? []
        return { t: 'holdings', nodes: asked.slice(random.below(2)).map(() => this.#stated()) }
      }
      case 'get-records':
        return {
          t: 'records',
          logs: (request.logs ?? []).slice(random.below(2)).map(({ after }) => ({
            records: this.#records(after?.tip ?? null),
            head: this.#head(),
            more: random.once(3),
          })),
        }
    }
  }

  #stated(): { readonly current: Uint8Array | null; readonly base: Uint8Array | null } {
    const random = this.#random
    const some = (): Uint8Array | null => (random.once(4) ? null : random.pick(holdings))
    return { current: some(), base: some() }
  }

  /** @param after in order, and behind that one; null: in any order */
  #items(after: string | null): AnyItem[] {
    const items = Array.from({ length: 1 + this.#random.below(6) }, () => this.#item())
    if (after === null) return items
    const byId = new Map(items.map((item) => [idOfItem(item), item]))
    return [...byId]
      .filter(([id]) => id > after)
      .sort(([one], [other]) => (one < other ? -1 : 1))
      .map(([, item]) => item)
  }

  #item(): AnyItem {
    const random = this.#random
    const { publisher: own } = this.#history
    const { publisher } = own
    const keys = [own.key(), own.key(), own.key(), own.key('serve'), 'ab'.repeat(32)]
    const key = random.once(3) ? null : random.pick(keys)
    if (random.once(5)) {
      const issued = HOLDINGS_ISSUED - random.below(2)
      return { publisher, key: own.key('serve'), issued, expires: issued + 1000, tip: this.#tip() }
    }
    const tip = random.once(8) ? null : this.#tip()
    const [epoch, seq] = [random.below(3), random.below(14)]
    return { publisher, key, epoch, seq, tip, day: random.below(3), forked: random.once(4) }
  }

  #tip(): Cid {
    const { records, publisher } = this.#history
    return this.#random.pick([publisher.identity.tip, ...records.map(({ signed }) => signed.id)])
  }

  /** A piece of the chain; now and then in another order, or one of them twice. */
  #operations(): Uint8Array[] {
    const random = this.#random
    const { operations } = this.#history.publisher
    const piece = operations.slice(random.below(operations.length))
    if (random.once(3)) return piece.slice(0, random.below(3))
    return random.once(4) ? piece.toReversed() : piece
  }

  #envelope(): Uint8Array | null {
    const { records } = this.#history
    if (records.length === 0 || this.#random.once(4)) return null
    return this.#random.pick(records).signed.envelope
  }

  /** Those that follow, on one branch or the other; or any, in any order. */
  #records(after: Cid | null): { envelope: Uint8Array; card: Uint8Array | null }[] {
    const random = this.#random
    const { records } = this.#history
    let piece: History['records'][number][] = records
      .slice(random.below(records.length + 1))
      .slice(0, random.below(6))
    if (!random.once(4)) {
      piece = []
      for (let tip = after; piece.length < 4; ) {
        const next = records.filter(({ signed }) => signed.record.prev === tip)
        if (next.length === 0) break
        const chosen = random.pick(next)
        piece.push(chosen)
        tip = chosen.signed.id
      }
    } else if (random.once(3)) piece = piece.toReversed()
    return piece.map(({ signed, card }) => ({
      envelope: signed.envelope,
      card: random.once(12) ? null : card,
    }))
  }

  #head(): Uint8Array | null {
    const { records, publisher } = this.#history
    if (records.length === 0 || this.#random.once(2)) return null
    return publisher.head(this.#random.pick(records).signed)
  }
}

const TYPES: readonly Question['t'][] = [
  ...([
    'open',
    'split',
    'compare',
    'get-identity',
    'get-rival',
    'get-profile',
    'get-proof',
    'get-records',
  ] as const),
  'get-roster',
]

type Source = ReturnType<typeof archiveOf>

function perform(source: Source, liar: Liar, ahead: SyncReply[], effect: SyncEffect): SyncInput {
  switch (effect.do) {
    case 'ask':
    case 'send': {
      syncRequests.encode(effect.request)
      const reply = liar.reply(effect.request)
      if (effect.do === 'ask') return reply
      ahead.push(reply)
      return undefined
    }
    case 'receive':
      return ahead.shift()
    case 'tell':
      return undefined
    case 'admit-identity':
      return source.admitIdentity(effect.publisher, effect.operations, effect.from)
    case 'admit-records':
      return source.admitRecords(effect.records)
    case 'admit-head':
      return source.admitHead(effect.envelope)
    case 'admit-proof':
      return source.admitProof(effect.first, effect.second)
    case 'admit-profile':
      return source.admitProfile(effect.envelope)
    case 'admit-holdings':
      return source.admitHoldings(effect.current, effect.base)
  }
}

/** Every log is whole, from its first record or from the one that a cut names, and verifies. */
function checkLogs(registry: Registry, publisher: Cid): void {
  for (const { key } of registry.catalogue.logs(publisher)) {
    let prev: Cid | null = null
    let place = { epoch: 0, seq: -1 }
    for (const { envelope } of registry.catalogue.recordsAfter(publisher, key, null, 1000)) {
      const { id, record } = expectOk(readRecord(envelope))
      const follows = record.epoch === place.epoch ? record.seq === place.seq + 1 : record.seq === 0
      if (record.prev !== prev || !follows) throw new Breach(`a log with a hole before ${id}`)
      prev = id
      place = record
    }
  }
}

export const exchangeTarget: Target = {
  name: 'exchange',
  share: 1,
  mutant: (random) => ({
    raw: random.bytes(HISTORY_BYTES + random.below(12)),
    finish: (bytes) => bytes,
    isSigned: true,
  }),
  async judge(script): Promise<Outcome> {
    const history = historyOf(script.subarray(0, HISTORY_BYTES))
    const random = new Random('exchange', ...script)
    const registry = await openNode(history.publisher)
    const source = archiveOf(registry)
    const memory = createSyncMemory()
    for (let n = 0; n < PULLS; n++) {
      const liar = new Liar(history, random)
      const steps = pull(source, memory)
      let input: SyncInput
      let questions = 0
      const ahead: SyncReply[] = []
      for (let step = steps.next(input); !step.done; step = steps.next(input)) {
        const isQuestion = step.value.do === 'ask' || step.value.do === 'send'
        if (isQuestion && questions++ > MAX_QUESTIONS) throw new Breach('never ends')
        input = perform(source, liar, ahead, step.value)
      }
      checkLogs(registry, history.publisher.publisher)
    }
    for (const t of TYPES) {
      const reply = answer(source, memory, requestOf(t, history, random))
      if (reply !== null && syncReplies.encode(reply).length > MAX_FRAME_BYTES) {
        throw new Breach('an answer that fits no frame')
      }
    }
    await registry.close()
    return 'accepted'
  },
}

function requestOf(t: Question['t'], { publisher: own }: History, random: Random): Question {
  const { publisher } = own
  const key = random.pick([own.key(), own.key('serve'), 'ab'.repeat(32)])
  const tip = own.identity.tip
  switch (t) {
    case 'open': {
      const publishers = random.once(2) ? null : [publisher]
      const mine = random.once(2) ? random.bytes(32) : digestOfPublishers([publisher])
      return { t, mine, yours: null, publishers, fingerprint: random.bytes(32) }
    }
    case 'split':
      return { t, salt: random.bytes(16), ranges: ['0', '1a', 'f'] }
    case 'compare': {
      const ranges = [{ range: random.once(2) ? '' : '7', marks: random.bytes(12) }]
      return { t, salt: random.bytes(16), ranges, after: null }
    }
    case 'get-identity':
      return { t, publisher, from: random.below(1025) }
    case 'get-records': {
      const after = { epoch: random.below(3), seq: random.below(2 ** 32), tip }
      return {
        t,
        logs: [
          { id: idOf({ publisher, key }), after: random.once(2) ? null : after },
          { id: idOf({ publisher, key: own.key() }), after: null },
        ],
        limit: 1 + random.below(1000),
      }
    }
    case 'get-proof':
      return { t, publisher, key }
    case 'get-roster':
      return { t, of: publisher }
    case 'get-holdings': {
      const node = idOfHoldings({ publisher, key: own.key('serve') })
      const base = random.once(2) ? null : tip
      return {
        t,
        nodes: [
          { id: node, base },
          { id: idOf({ publisher, key }), base: null },
        ],
      }
    }
    case 'get-rival':
    case 'get-profile':
      return { t, publisher }
  }
}

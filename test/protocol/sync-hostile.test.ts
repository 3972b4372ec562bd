/** Peers that lie in an exchange: it ends, after questions and bytes that are known beforehand. */
import assert from 'node:assert/strict'
import { type Cid, cidFromDigest } from '../../protocol/cid.ts'
import { refuse } from '../../protocol/errors.ts'
import { MAX_IDENTITY_OPS, MAX_SYNC_ITEMS, MAX_SYNC_LOGS } from '../../protocol/limits.ts'
import { pull } from '../../protocol/sync.ts'
import { answer } from '../../protocol/sync-answer.ts'
import { MAX_ITEM_PAGES } from '../../protocol/sync-compare.ts'
import { idOf, type LogState } from '../../protocol/sync-item.ts'
import {
  type SyncItem,
  type SyncReply,
  type SyncRequest,
  syncReplies,
  syncRequests,
} from '../../protocol/sync-message.ts'
import { createSyncMemory, digestOfPublishers } from '../../protocol/sync-publishers.ts'
import type { SyncSource } from '../../protocol/sync-source.ts'
import type { Question, SyncInput, SyncOutcome } from '../../protocol/sync-step.ts'
import { SyncTable } from '../../protocol/sync-table.ts'
import { START, seedOf, TestPublisher } from '../helpers/publisher.ts'

const digit = (n: number): string => n.toString(16).padStart(64, '0')
const publisherOf = (n: number): Cid => cidFromDigest('dag-cbor', seedOf(`hostile ${n}`))
const MARKS = 96

/** A node with some publishers of ten logs each, that takes in nothing. */
function nodeWith(publishers: number): SyncSource {
  const listed = Array.from({ length: publishers }, (_, n) => publisherOf(n))
  const logs: LogState[] = Array.from({ length: 10 }, (_, n) => ({
    key: digit(n),
    epoch: 0,
    seq: 9,
    tip: publisherOf(n),
    headIssued: START,
    isForked: false,
    isPrivate: false,
  }))
  const none = (): null => null
  const state = {
    chain: (tip: Cid) => ({ length: 1, tip, isContested: false }),
    logs: () => logs,
    holdings: () => [],
    horizon: () => Number.MAX_SAFE_INTEGER,
  }
  const table = new SyncTable(state)
  return {
    ...state,
    publishers: () => listed,
    set: (some) => table.set(some, () => true),
    logOf: (id) => table.log(id),
    rival: none,
    identityOps: () => [],
    profile: none,
    rosters: () => ({ records: [], car: null }),
    recordsAfter: () => [],
    recordAt: none,
    cardless: () => [],
    head: none,
    stated: none,
    proof: none,
  }
}

interface End {
  readonly outcome: SyncOutcome
  /** Questions by type. */
  readonly asked: Readonly<Record<string, number>>
  /** Both ways, lengths aside. */
  readonly bytes: number
}

/** Lets a node pull from a peer that answers what it likes; everything it offers is refused. */
function meet(source: SyncSource, reply: (request: Question) => SyncReply): End {
  const asked: Record<string, number> = {}
  const ahead: SyncReply[] = []
  let bytes = 0
  const ask = (request: Question): SyncReply => {
    asked[request.t] = (asked[request.t] ?? 0) + 1
    const frame = syncReplies.encode(reply(request))
    bytes += frame.length + syncRequests.encode(request).length
    const decoded = syncReplies.decode(frame)
    assert.ok(decoded.ok)
    return decoded.value
  }
  const steps = pull(source, createSyncMemory())
  let step = steps.next(undefined)
  while (!step.done) {
    const effect = step.value
    let input: SyncInput
    if (effect.do === 'ask') input = ask(effect.request)
    else if (effect.do === 'send') ahead.push(ask(effect.request))
    else if (effect.do === 'receive') input = ahead.shift()
    else if (effect.do === 'admit-records') {
      input = effect.records.map(() => refuse('GAP', 'nothing is taken in'))
    } else if (effect.do !== 'tell') input = refuse('GAP', 'nothing is taken in')
    step = steps.next(input)
  }
  return { outcome: step.value, asked, bytes }
}

const differing = (n: number): Uint8Array => new Uint8Array(MARKS).fill(n)
const noPages = (logs: readonly unknown[]): SyncReply => ({
  t: 'records',
  logs: logs.map(() => ({ records: [], head: null, more: false })),
})

/** Says that all differs; what it is asked for then is up to each test. */
function liar(
  source: SyncSource,
  then: Partial<{ [T in Question['t']]: (request: Extract<Question, { t: T }>) => SyncReply }>,
): (request: Question) => SyncReply {
  return (request) => {
    const own = then[request.t] as ((request: Question) => SyncReply) | undefined
    if (own !== undefined) return own(request)
    switch (request.t) {
      case 'open':
        return { t: 'state', publishers: source.publishers(), parts: differing(1) }
      case 'split':
        return { t: 'parts', parts: request.ranges.map(() => differing(1)) }
      case 'compare':
        return { t: 'items', items: [], lacks: [], more: false }
      case 'get-records':
        return noPages(request.logs)
      case 'get-identity':
        return { t: 'identity', operations: [], more: false }
      default:
        throw new TypeError(`nobody asks for ${request.t}`)
    }
  }
}

/** An item that the peer claims to hold, of publisher `n` and its log `key`. */
const claim = (n: number, key: string | null, changes: Partial<SyncItem> = {}): SyncItem => ({
  publisher: publisherOf(n),
  key,
  epoch: 0,
  seq: 1_000_000,
  tip: publisherOf(1000),
  day: 30_000,
  forked: false,
  ...changes,
})

const inOrder = (items: readonly SyncItem[]): SyncItem[] =>
  items
    .map((item) => ({ item, id: idOf(item) }))
    .sort((a, b) => (a.id < b.id ? -1 : 1))
    .map(({ item }) => item)

describe('protocol/sync: hostile peers', () => {
  it('whose ranges all differ, for ever: are asked about what is here, and no further', () => {
    // 10 publishers have 110 items: each of 16 parts has 16 at most.
    const small = nodeWith(10)
    const one = meet(small, liar(small, {}))
    assert.deepEqual(one.asked, { open: 1, compare: 1 })
    // 100 have 1,100: 16 parts of about 69 are split once more.
    const large = nodeWith(100)
    const two = meet(large, liar(large, {}))
    assert.deepEqual(two.asked, { open: 1, split: 1, compare: 1 })
    assert.equal(two.outcome.rounds, 3)
    // Publishers both ways, 256 parts both ways, a mark of each item.
    assert.equal(two.bytes, 18_217)
    assert.equal(two.outcome.failure, null)
    assert.equal(two.outcome.behind, false)
  })

  it('that claim more of each log than they have: are asked once for every 256', () => {
    const source = nodeWith(100)
    const claims = inOrder(
      source
        .publishers()
        .flatMap((_, n) => source.logs(publisherOf(n)).map(({ key }) => claim(n, key))),
    )
    const lie = liar(source, {
      compare: ({ after }) => ({
        t: 'items',
        items: claims
          .filter((item) => after === null || idOf(item) > after)
          .slice(0, MAX_SYNC_ITEMS),
        lacks: [],
        more: false,
      }),
    })
    const { asked, outcome } = meet(source, lie)
    const pages = Math.ceil(claims.length / MAX_SYNC_LOGS)
    assert.equal(claims.length, 1000)
    assert.deepEqual(asked, { open: 1, split: 1, compare: 1, 'get-records': pages })
    assert.deepEqual([outcome.records, outcome.refused, outcome.failure], [0, [], null])
  })

  it('that claim longer chains than they have: are asked once for each', () => {
    const source = nodeWith(10)
    const claims = inOrder(source.publishers().map((_, n) => claim(n, null, { seq: 500 })))
    const lie = liar(source, {
      compare: () => ({ t: 'items', items: claims, lacks: [], more: false }),
    })
    assert.deepEqual(meet(source, lie).asked, { open: 1, compare: 1, 'get-identity': 10 })
  })

  it('that claim publishers which nobody listed: are asked for none of them', () => {
    const source = nodeWith(10)
    const claims = inOrder([claim(77, null), claim(77, digit(0)), claim(78, digit(0))])
    const lie = liar(source, {
      compare: () => ({ t: 'items', items: claims, lacks: [], more: false }),
    })
    assert.deepEqual(meet(source, lie).asked, { open: 1, compare: 1 })
  })

  it('that say they lack everything: cause nothing but the word that they do', () => {
    const source = nodeWith(10)
    const lacks = Array.from({ length: 110 }, (_, n) => n)
    const lie = liar(source, { compare: () => ({ t: 'items', items: [], lacks, more: false }) })
    const { asked, outcome } = meet(source, lie)
    assert.deepEqual(asked, { open: 1, compare: 1 })
    assert.equal(outcome.behind, true)
    const more = liar(source, {
      compare: () => ({ t: 'items', items: [], lacks: [...lacks, 110], more: false }),
    })
    assert.equal(meet(source, more).outcome.failure?.code, 'RECORD_INVALID')
  })

  it('whose items never end: are heard for 20 pages', () => {
    const source = nodeWith(10)
    const claims = inOrder(
      Array.from({ length: (MAX_ITEM_PAGES + 1) * MAX_SYNC_ITEMS }, (_, n) =>
        claim(n % 10, digit(1000 + n)),
      ),
    )
    let from = 0
    const lie = liar(source, {
      compare() {
        const items = claims.slice(from, from + MAX_SYNC_ITEMS)
        from += MAX_SYNC_ITEMS
        return { t: 'items', items, lacks: [], more: true }
      },
    })
    const { asked, outcome, bytes } = meet(source, lie)
    const pages = Math.ceil((MAX_ITEM_PAGES * MAX_SYNC_ITEMS) / MAX_SYNC_LOGS)
    assert.deepEqual(asked, { open: 1, compare: MAX_ITEM_PAGES, 'get-records': pages })
    assert.equal(outcome.more, true)
    assert.equal(bytes, 2_741_768)
  })

  it('whose pages of items say that there is more and have none: are asked once', () => {
    const source = nodeWith(10)
    const lie = liar(source, { compare: () => ({ t: 'items', items: [], lacks: [], more: true }) })
    assert.deepEqual(meet(source, lie).asked, { open: 1, compare: 1 })
  })

  it('whose items are not in order, come twice or lie elsewhere: are left at once', () => {
    // One publisher: only some of the 16 parts differ, so that there is an elsewhere.
    const source = nodeWith(1)
    const [item, other] = inOrder([claim(0, digit(0)), claim(0, digit(1))]) as [SyncItem, SyncItem]
    const parts = source.set(source.publishers())
    const only = (items: readonly SyncItem[]) => {
      const wanted = items.map((each) => Number.parseInt(idOf(each).slice(0, 1), 16))
      return liar(source, {
        open({ fingerprint }) {
          const marks = parts.parts('', fingerprint.subarray(0, 16)).slice()
          for (const part of wanted) marks.fill(255, part * 6, part * 6 + 6)
          return { t: 'state', publishers: source.publishers(), parts: marks }
        },
        compare: () => ({ t: 'items', items: sent, lacks: [], more: false }),
      })
    }
    let sent = [other, item]
    const codes = [only([item, other])]
    const codeOf = (lie: (request: Question) => SyncReply) =>
      meet(source, lie).outcome.failure?.code
    assert.equal(codeOf(codes[0] ?? assert.fail()), 'RECORD_INVALID')
    sent = [item, item]
    assert.equal(codeOf(only([item])), 'RECORD_INVALID')
    const elsewhere = Array.from({ length: 200 }, (_, n) => claim(0, digit(100 + n))).find(
      (each) => idOf(each)[0] !== idOf(item)[0],
    )
    sent = [elsewhere ?? assert.fail()]
    assert.equal(codeOf(only([item])), 'RECORD_INVALID')
    sent = [item]
    assert.equal(codeOf(only([item])), undefined)
  })

  it('that answer other ranges than were asked for: are left at once', () => {
    const source = nodeWith(100)
    for (const count of [0, 15, 17]) {
      const lie = liar(source, {
        split: () => ({ t: 'parts', parts: Array.from({ length: count }, () => differing(2)) }),
      })
      const { asked, outcome } = meet(source, lie)
      assert.deepEqual([asked, outcome.failure?.code], [{ open: 1, split: 1 }, 'RECORD_INVALID'])
    }
  })

  it('whose pages promise more: are asked no more than once after one that brings nothing', () => {
    const source = nodeWith(10)
    const own = new TestPublisher('pages')
    const { envelope } = own.tag('nuclei', 'x', own.publisher)
    const claims = inOrder([claim(0, digit(0)), claim(1, digit(0))])
    const compare = (): SyncReply => ({ t: 'items', items: claims, lacks: [], more: false })
    // Nothing, another log's record, what is no record at all.
    for (const records of [
      [],
      [{ envelope, card: null }],
      [{ envelope: new Uint8Array(64), card: null }],
    ]) {
      const page = { records, head: null, more: true }
      const lie = liar(source, {
        compare,
        'get-records': ({ logs }) => ({ t: 'records', logs: logs.map(() => page) }),
      })
      const { asked, outcome } = meet(source, lie)
      assert.deepEqual(asked, { open: 1, compare: 1, 'get-records': 1 })
      assert.deepEqual([outcome.records, outcome.failure], [0, null])
    }
  })

  it('whose log goes on and on with what is refused: are asked for one page more', () => {
    const own = new TestPublisher('endless')
    const source = nodeWith(1)
    const listed: SyncSource = { ...source, publishers: () => [own.publisher] }
    let sent = 0
    const item = { ...claim(0, own.key()), publisher: own.publisher }
    const lie = liar(listed, {
      compare: () => ({ t: 'items', items: [item], lacks: [], more: false }),
      'get-records'() {
        sent++
        const { envelope } = own.tag('nuclei', `t${sent}`, own.publisher)
        return {
          t: 'records',
          logs: [{ records: [{ envelope, card: null }], head: null, more: true }],
        }
      },
    })
    const { asked, outcome } = meet(listed, lie)
    // The second was asked for before the first was refused.
    assert.deepEqual(asked, { open: 1, compare: 1, 'get-records': 2 })
    assert.equal(outcome.refused.length, 1)
  })

  it('that leave logs out of a page which is not full: are left at once', () => {
    const source = nodeWith(10)
    const claims = inOrder([claim(0, digit(0)), claim(1, digit(0)), claim(2, digit(0))])
    for (const pages of [0, 1, 2, 4]) {
      const lie = liar(source, {
        compare: () => ({ t: 'items', items: claims, lacks: [], more: false }),
        'get-records': () => noPages(Array.from({ length: pages })),
      })
      const { asked, outcome } = meet(source, lie)
      assert.deepEqual(asked, { open: 1, compare: 1, 'get-records': 1 })
      assert.equal(outcome.failure?.code, 'RECORD_INVALID')
    }
  })

  it('whose chain never ends: are asked as often as a chain may have operations', () => {
    const source = nodeWith(1)
    const claims = [claim(0, null, { seq: MAX_IDENTITY_OPS })]
    const lie = liar(source, {
      compare: () => ({ t: 'items', items: claims, lacks: [], more: false }),
      'get-identity': () => ({ t: 'identity', operations: [new Uint8Array(1)], more: true }),
    })
    // Refused at once: one page.
    assert.equal(meet(source, lie).asked['get-identity'], 1)
    // Taken for another branch each time, the only refusal after which it goes on.
    const steps = pull(source, createSyncMemory())
    let [step, count] = [steps.next(undefined), 0]
    while (!step.done) {
      const effect = step.value
      if (effect.do === 'ask') {
        if (effect.request.t === 'get-identity') count++
        step = steps.next(lie(effect.request))
      } else step = steps.next(refuse('CONTESTED', 'another branch'))
    }
    assert.equal(count, MAX_IDENTITY_OPS)
  })

  it('that want something for ever: cost one round trip of 201 bytes for each word', () => {
    const source = nodeWith(10)
    const own = source.publishers()
    const [asker, answerer] = [createSyncMemory(), createSyncMemory()]
    const exchange = (): number => {
      let bytes = 0
      const steps = pull(source, asker)
      let step = steps.next(undefined)
      while (!step.done) {
        const effect = step.value
        assert.ok(effect.do === 'ask' || effect.do === 'tell')
        const request: SyncRequest = effect.request
        bytes += syncRequests.encode(request).length + 4
        const reply = answer(source, answerer, request)
        if (reply !== null) bytes += syncReplies.encode(reply).length + 4
        step = steps.next(reply ?? undefined)
      }
      assert.equal(step.value.rounds, 1)
      return bytes
    }
    exchange()
    assert.deepEqual([exchange(), exchange(), exchange()], [201, 201, 201])
    // And how often a word is heard at all is bounded, see PeerBook.
    assert.equal(own.length, 10)
  })

  describe('that ask', () => {
    const source = nodeWith(100)
    const memory = createSyncMemory()
    const size = (request: SyncRequest): number => {
      const reply = answer(source, memory, request)
      return reply === null ? 0 : syncReplies.encode(reply).length
    }
    const salt = new Uint8Array(16)

    it('with ranges that overlap or are out of order: are refused before anything is computed', () => {
      for (const ranges of [
        ['1', '0'],
        ['0', '0'],
        ['', 'a'],
        ['a', 'ab'],
      ]) {
        const frame = syncRequests.encode({ t: 'split', salt, ranges })
        const read = syncRequests.decode(frame)
        assert.equal(read.ok ? null : read.code, 'RECORD_INVALID', ranges.join())
      }
    })

    it('for the parts of 256 ranges: get 25 KiB', () => {
      const ranges = Array.from({ length: 256 }, (_, n) => n.toString(16).padStart(2, '0'))
      assert.equal(size({ t: 'split', salt, ranges }), 25_106)
    })

    it('for all items: get 1,000 of them', () => {
      const ranges = [{ range: '', marks: new Uint8Array() }]
      assert.equal(size({ t: 'compare', salt, ranges, after: null }), 105_916)
    })

    it('with publishers that do not have their digest: get an error', () => {
      const open = {
        t: 'open',
        mine: digestOfPublishers([]),
        yours: null,
        publishers: source.publishers(),
        fingerprint: new Uint8Array(32),
      } as const
      const reply = answer(source, createSyncMemory(), open)
      assert.equal(reply?.t === 'error' ? reply.code : null, 'PEER')
      const unknown = answer(source, createSyncMemory(), { ...open, publishers: null })
      assert.equal(unknown?.t === 'error' ? unknown.code : null, 'PEER')
    })
  })
})

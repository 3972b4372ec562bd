import assert from 'node:assert/strict'
import * as fc from 'fast-check'
import { type Archive, archiveOf } from '../../daemon/net/archive.ts'
import { toHex } from '../../protocol/bytes.ts'
import type { Cid } from '../../protocol/cid.ts'
import { publicKeyOf } from '../../protocol/crypto.ts'
import { expectOk } from '../../protocol/errors.ts'
import { MAX_SYNC_RECORDS } from '../../protocol/limits.ts'
import { peekRecord, type SignedRecord } from '../../protocol/record.ts'
import { introduce, pull } from '../../protocol/sync.ts'
import { answer } from '../../protocol/sync-answer.ts'
import { entriesOf, lineOf } from '../../protocol/sync-item.ts'
import {
  type SyncReply,
  type SyncRequest,
  syncReplies,
  syncRequests,
} from '../../protocol/sync-message.ts'
import { createSyncMemory, type SyncMemory } from '../../protocol/sync-publishers.ts'
import type { SyncEffect, SyncInput, SyncOutcome, SyncPull } from '../../protocol/sync-step.ts'
import type { Registry } from '../../registry/registry.ts'
import { Holder } from '../helpers/holdings.ts'
import { lastOf, START, TestPublisher } from '../helpers/publisher.ts'
import { admit, openTestRegistry, trust } from '../helpers/registry.ts'

const clock = { now: () => START + 1e9 }
const [a, b, c] = ['a', 'b', 'c'].map((name) => new TestPublisher(name)) as [
  TestPublisher,
  TestPublisher,
  TestPublisher,
]

/** A node with its memories of others, and what it sent. */
class Node {
  readonly own: TestPublisher
  readonly registry: Registry
  archive: Archive
  readonly memories = new Map<Node, SyncMemory>()
  readonly #answers: SyncReply[] = []
  bytes = 0
  nudged = false

  constructor(own: TestPublisher, registry: Registry) {
    this.own = own
    this.registry = registry
    this.archive = archiveOf(registry)
  }

  /** A node that lists publishers and knows who they are. */
  static async open(own: TestPublisher, ...listed: readonly TestPublisher[]): Promise<Node> {
    const registry = await openTestRegistry(own, clock)
    for (const each of listed) {
      trust(registry, each.publisher, 'list')
      expectOk(registry.admitIdentity(each.publisher, each.operations, 0))
    }
    return new Node(own, registry)
  }

  admit(...records: readonly SignedRecord[]): void {
    admit(this.registry, ...records)
  }

  memory(other: Node): SyncMemory {
    const memory = this.memories.get(other) ?? createSyncMemory()
    this.memories.set(other, memory)
    return memory
  }

  pull(other: Node): SyncOutcome {
    return this.drive(other, pull(this.archive, this.memory(other)))
  }

  drive(other: Node, steps: SyncPull): SyncOutcome {
    this.bytes = 0
    let step = steps.next(undefined)
    while (!step.done) step = steps.next(this.#perform(other, step.value))
    return step.value
  }

  #perform(other: Node, effect: SyncEffect): SyncInput {
    const { archive } = this
    switch (effect.do) {
      case 'ask':
        return this.#ask(other, effect.request)
      case 'send':
        this.#answers.push(this.#ask(other, effect.request))
        return undefined
      case 'receive':
        return this.#answers.shift()
      case 'tell':
        other.nudged = effect.request.behind
        return undefined
      case 'admit-identity':
        return archive.admitIdentity(effect.publisher, effect.operations, effect.from)
      case 'admit-records':
        return archive.admitRecords(effect.records)
      case 'admit-head':
        return archive.admitHead(effect.envelope)
      case 'admit-proof':
        return archive.admitProof(effect.first, effect.second)
      case 'admit-profile':
        return archive.admitProfile(effect.envelope)
      case 'admit-holdings':
        return archive.admitHoldings(effect.current, effect.base)
    }
  }

  #ask(other: Node, asked: SyncRequest): SyncReply {
    const frame = syncRequests.encode(asked)
    const request = expectOk(syncRequests.decode(frame))
    const reply = answer(other.archive, other.memory(this), request)
    assert.ok(reply)
    const answered = syncReplies.encode(reply)
    this.bytes += frame.length + answered.length + 8
    return expectOk(syncReplies.decode(answered))
  }

  lines(...publishers: readonly TestPublisher[]): string {
    const ids = publishers.map(({ publisher }) => publisher)
    return ids
      .flatMap((id) => entriesOf(this.archive, id))
      .map(({ item }) => lineOf(item))
      .sort()
      .join('')
  }
}

/** Makes the publisher's log grow at its own node. */
function publish(node: Node, count = 1): void {
  const { own } = node
  for (let i = 0; i < count; i++) {
    node.admit(own.tag('nuclei', `t${i}`, own.publisher as Cid))
  }
}

/** Spoils the signature. */
const flip = (envelope: Uint8Array): void => {
  envelope[envelope.length - 1] = (envelope.at(-1) ?? 0) ^ 1
}

describe('protocol/sync', () => {
  describe('erased models', () => {
    /** A publisher with a model that is erased in another log, on a node that has dropped its card. */
    const erased = async (name: string) => {
      const own = new TestPublisher(name)
      own.letErase()
      const one = await Node.open(b, own)
      const models = ['first', 'second', 'third'].map((each) => own.model({ name: each }))
      admit(one.registry, ...models)
      const target = models[1]?.signed.id ?? assert.fail()
      const withdrawal = own.withdraw(target, 'erase')
      one.admit(withdrawal)
      one.registry.catalogue.strip(target)
      return { own, one, target, withdrawal }
    }

    it('come without their cards, whichever log comes first, in one exchange', async () => {
      // The place of the log that erases is before the other one, or after it.
      const orders = new Set<boolean>()
      for (let n = 0; orders.size < 2; n++) {
        const { own, one, target } = await erased(`erased ${n}`)
        orders.add(own.key() < own.key('erase'))
        const two = await Node.open(c, own)
        const outcome = two.pull(one)
        assert.deepEqual([outcome.refused, outcome.failure], [[], null])
        assert.equal(two.lines(own), one.lines(own))
        assert.equal(two.registry.catalogue.model(target)?.withdrawn, 'erase')
        assert.equal(two.registry.search({}).total, 2)
        assert.equal(two.pull(one).rounds, 1)
        // And on to the next node.
        const three = await Node.open(a, own)
        three.pull(two)
        assert.equal(three.lines(own), one.lines(own))
      }
    })

    it('get their cards again once they are restored, from who has them', async () => {
      const { own, one, target, withdrawal } = await erased('restored')
      const whole = await Node.open(own)
      const two = await Node.open(c, own)
      two.pull(one)
      const restore = own.withdraw(withdrawal.id, 'restore')
      one.admit(restore)
      const before = two.pull(one)
      assert.deepEqual(before.refused, [])
      assert.deepEqual(two.registry.catalogue.modelsWithoutCard(), [target])
      // One that has nothing is asked once.
      assert.equal(two.pull(one).rounds, 1)
      const again = new TestPublisher('restored')
      again.letErase()
      expectOk(whole.registry.admitIdentity(again.publisher, again.operations, 0))
      const models = ['first', 'second', 'third'].map((each) => again.model({ name: each }))
      admit(whole.registry, ...models)
      whole.admit(withdrawal, restore)
      assert.deepEqual(two.pull(whole).refused, [])
      assert.deepEqual(two.registry.catalogue.modelsWithoutCard(), [])
      assert.equal(two.registry.search({}).total, 3)
    })

    it('do not let a peer keep a card that nobody erased', async () => {
      const own = new TestPublisher('kept back')
      const one = await Node.open(b, own)
      admit(one.registry, own.model({ name: 'a' }))
      one.archive = {
        ...one.archive,
        *recordsAfter(...place) {
          for (const { envelope } of archiveOf(one.registry).recordsAfter(...place)) {
            yield { envelope, card: null }
          }
        },
      }
      const two = await Node.open(c, own)
      const outcome = two.pull(one)
      assert.deepEqual(
        outcome.refused.map(({ code }) => code),
        ['BLOB_MISSING'],
      )
      assert.equal(two.registry.counts().models, 0)
    })
  })

  it('pulls records, heads and identity operations', async () => {
    const own = new TestPublisher('pulls')
    const one = await Node.open(own, b)
    const two = await Node.open(b, own)
    publish(one, 3)
    const signed = own.profile('pulls')
    one.admit(signed)
    expectOk(one.archive.admitHead(own.head(signed)))
    own.delegate('publish', new Uint8Array(32).fill(7))
    expectOk(one.archive.admitIdentity(own.publisher, own.operations, 0))

    const outcome = two.pull(one)
    assert.equal(outcome.failure, null)
    assert.deepEqual(outcome.refused, [])
    assert.equal(outcome.records, 4)
    assert.equal(two.archive.chain(own.publisher)?.length, own.operations.length)
    assert.ok(two.archive.head(own.publisher, own.key()))
    assert.equal(two.lines(own, b), one.lines(own, b))
  })

  it('ends in one round trip of at most 350 bytes where nothing changed', async () => {
    const one = await Node.open(new TestPublisher('quiet'), b)
    const two = await Node.open(b, one.own)
    publish(one, 2)
    // What nodes hold is in the set like all else, and costs nothing more.
    const { current } = new Holder(one.own).says([one.own.publisher], clock.now())
    expectOk(one.registry.admitHoldings(current, null))
    two.pull(one)
    assert.equal(two.registry.replicas.nodes().length, 1)
    const outcome = two.pull(one)
    assert.equal(outcome.rounds, 1)
    assert.equal(outcome.equal, true)
    assert.equal(outcome.behind, false)
    assert.ok(two.bytes <= 350, `${two.bytes} bytes`)
  })

  it('compares only publishers that both sides list', async () => {
    const one = await Node.open(new TestPublisher('partly'), c)
    const two = await Node.open(b, one.own)
    publish(one, 1)
    one.admit(c.profile('c'))
    two.pull(one)
    assert.equal(two.pull(one).equal, true)
    assert.equal(two.archive.logs(c.publisher).length, 0)
    assert.equal(one.pull(two).equal, true)
  })

  it('tells the other side that it lacks something', async () => {
    const one = await Node.open(new TestPublisher('ahead'), b)
    const two = await Node.open(b, one.own)
    publish(one)
    assert.equal(one.pull(two).behind, true)
    assert.equal(two.nudged, true)
    assert.equal(two.pull(one).records, 1)
    assert.equal(one.pull(two).behind, false)
    assert.equal(two.nudged, false)
  })

  it('takes pages until the end of a log', async () => {
    const one = await Node.open(new TestPublisher('long'), b)
    const two = await Node.open(b, one.own)
    publish(one, MAX_SYNC_RECORDS + 1)
    const outcome = two.pull(one)
    assert.equal(outcome.records, MAX_SYNC_RECORDS + 1)
    // open, compare, two pages
    assert.equal(outcome.rounds, 4)
  })

  it('lists a publisher that was a stranger, with its whole history', async () => {
    const one = await Node.open(new TestPublisher('late'), b)
    const two = await Node.open(b)
    publish(one, 2)
    assert.equal(two.pull(one).records, 0)
    trust(two.registry, one.own.publisher, 'list')
    const outcome = two.pull(one)
    assert.deepEqual(outcome.refused, [])
    assert.equal(outcome.records, 2)
  })

  it('introduces a stranger by chain and profile, without records', async () => {
    const own = new TestPublisher('stranger')
    const one = await Node.open(own)
    const two = await Node.open(b)
    one.admit(own.tag('nuclei', 't', own.publisher), own.profile('strange'))
    const outcome = two.drive(one, introduce(two.archive, own.publisher))
    assert.equal(outcome.failure, null)
    assert.equal(two.registry.catalogue.profile(own.publisher)?.label, 'strange')
    assert.equal(two.archive.logs(own.publisher).length, 0)
  })

  it('proves a fork by the record at the other position, and comes to rest', async () => {
    const own = new TestPublisher('forked')
    const one = await Node.open(own, b, c)
    const two = await Node.open(b, own, c)
    const three = await Node.open(c, own, b)
    const first = own.tag('nuclei', 'x', own.publisher)
    one.admit(first)
    two.admit(first)
    one.admit(own.tag('nuclei', 'one', own.publisher))
    own.rewind(first)
    two.admit(own.tag('nuclei', 'two', own.publisher))

    const outcome = two.pull(one)
    assert.deepEqual(
      outcome.refused.map(({ code }) => code),
      ['EQUIVOCATION'],
    )
    assert.ok(two.archive.proof(own.publisher, own.key()))
    assert.equal(one.pull(two).failure, null)
    assert.ok(one.archive.proof(own.publisher, own.key()))
    assert.equal(two.pull(one).equal, true)

    // A node that comes later gets what was signed before the fork, and the proof.
    const late = three.pull(two)
    assert.equal(late.records, 1)
    assert.ok(three.archive.proof(own.publisher, own.key()))
    assert.equal(three.pull(two).equal, true)
    assert.equal(three.pull(one).equal, true)
  })

  it('brings the branch of a forked chain that has won, be it longer or shorter', async () => {
    for (const [name, delegations] of Object.entries({ longer: 1, equal: 2, shorter: 4 })) {
      const own = new TestPublisher(name)
      const thief = new TestPublisher(name)
      const one = await Node.open(own, b, c)
      const two = await Node.open(b, own, c)
      for (let n = 0; n < delegations; n++)
        thief.delegate('publish', new Uint8Array(32).fill(n + 1))
      expectOk(two.registry.admitIdentity(own.publisher, thief.operations, 0))
      own.delegate('publish', new Uint8Array(32).fill(9))
      own.rotate()
      expectOk(one.registry.admitIdentity(own.publisher, own.operations, 0))

      assert.deepEqual(two.pull(one).refused, [], name)
      assert.equal(two.archive.chain(own.publisher)?.tip, own.identity.tip, name)
      assert.equal(one.pull(two).failure, null)
      assert.equal(two.pull(one).equal, true, name)
    }
  })

  it('spreads that a chain is contested, and what ends it', async () => {
    const own = new TestPublisher('contested')
    const thief = new TestPublisher('contested')
    const others = ['one', 'two', 'three', 'four'].map((name) => new TestPublisher(name))
    const nodes = await Promise.all(others.map((each) => Node.open(each, own)))
    own.delegate('publish', new Uint8Array(32).fill(9))
    thief.delegate('publish', new Uint8Array(32).fill(1))
    const [one, two, three, four] = nodes as [Node, Node, Node, Node]
    for (const [node, { operations }] of [
      [one, own],
      [two, own],
      [three, thief],
    ] as const) {
      expectOk(node.registry.admitIdentity(own.publisher, operations, 0))
    }
    const contested = () => nodes.map(({ registry }) => registry.isFrozen(own.publisher))

    one.pull(three)
    assert.deepEqual(contested(), [true, false, false, false])
    // Each has the same branch as `one`, another branch, or none of the two.
    for (const node of [two, three, four]) assert.equal(node.pull(one).failure, null)
    assert.deepEqual(contested(), [true, true, true, true])
    for (const node of [one, three, four]) {
      // At first they do not know whom the other one lists.
      two.pull(node)
      assert.equal(two.pull(node).equal, true)
    }

    own.rotate()
    expectOk(one.registry.admitIdentity(own.publisher, own.operations, 0))
    // A peer that has not heard of the end learns of it by the word of the others.
    one.pull(two)
    assert.equal(two.nudged, true)
    for (const node of [two, three, four]) node.pull(one)
    assert.deepEqual(contested(), [false, false, false, false])
    for (const node of [two, three, four]) {
      assert.equal(node.archive.chain(own.publisher)?.tip, own.identity.tip)
      assert.equal(node.pull(one).equal, true)
    }
  })

  it('carries cuts, and comes to rest after a healed fork', async () => {
    const own = new TestPublisher('healed')
    const one = await Node.open(own, b)
    const two = await Node.open(b, own)
    const first = own.tag('nuclei', 'x', own.publisher)
    one.admit(first)
    two.admit(first)
    const [left] = [own.tag('nuclei', 'one', own.publisher)]
    one.admit(left)
    own.rewind(first)
    two.admit(own.tag('nuclei', 'two', own.publisher))
    two.pull(one)
    one.pull(two)

    own.sign({ op: 'heal', key: own.key(), last: lastOf(left), ts: START })
    expectOk(one.registry.admitIdentity(own.publisher, own.operations, 0))
    own.rewind(left)
    one.admit(own.tag('nuclei', 'three', own.publisher))
    for (const outcome of [two.pull(one), two.pull(one), one.pull(two)]) {
      assert.deepEqual([outcome.failure, outcome.refused], [null, []])
    }
    assert.equal(two.archive.proof(own.publisher, own.key()), null)
    assert.equal(two.lines(own, b), one.lines(own, b))
    assert.equal(two.pull(one).equal, true)
  })

  it('brings a revocation, a fork and what heals it to all who list the publisher, by way of others', async () => {
    const own = new TestPublisher('far away')
    const spare = new Uint8Array(32).fill(5)
    own.delegate('publish', spare)
    const names = ['one', 'two', 'three', 'four', 'five'].map((name) => `${name} in a row`)
    const nodes = await Promise.all(names.map((name) => Node.open(new TestPublisher(name), own)))
    const [first, last] = [nodes[0], nodes.at(-1)] as [Node, Node]
    // One that does not list the publisher learns of nothing.
    const outside = await Node.open(new TestPublisher('outside'))
    /** Each asks the one before it, so that news goes from the first to the last; and back. */
    const spread = (): void => {
      for (const row of [nodes, nodes.toReversed()]) {
        row.forEach((node, n) => {
          const before = row[n - 1]
          if (before !== undefined) assert.equal(node.pull(before).failure, null)
        })
      }
      outside.pull(last)
    }
    const common = own.tag('nuclei', 'x', own.publisher)
    first.admit(common)
    spread()
    const left = own.tag('nuclei', 'left', own.publisher)
    own.rewind(common)
    const right = own.tag('nuclei', 'right', own.publisher)
    first.admit(left)
    last.admit(right)
    spread()
    for (const { archive } of nodes) assert.ok(archive.proof(own.publisher, own.key()))

    own.sign({ op: 'heal', key: own.key(), last: lastOf(left), ts: START })
    const key = toHex(publicKeyOf(spare))
    own.sign({ op: 'revoke', key, last: null, reason: 'stolen', ts: START })
    expectOk(first.registry.admitIdentity(own.publisher, own.operations, 0))
    spread()
    own.rewind(left)
    last.admit(own.tag('nuclei', 'after', own.publisher))
    spread()
    for (const { archive, registry } of nodes) {
      assert.equal(archive.proof(own.publisher, own.key()), null)
      const device = registry.identity(own.publisher)?.devices.find((each) => each.key === key)
      assert.ok(device?.revoked)
      // The heal begins an epoch.
      assert.equal(registry.logs(own.publisher)[0]?.epoch, 1)
    }
    assert.equal(new Set(nodes.map((node) => node.lines(own))).size, 1)
    assert.deepEqual(outside.registry.logs(own.publisher), [])
  })

  it('names what was refused and goes on with other logs', async () => {
    const own = new TestPublisher('refused')
    const one = await Node.open(own, b, c)
    const two = await Node.open(b, own, c)
    one.admit(own.tag('nuclei', 'x', own.publisher))
    const other = new TestPublisher('c')
    one.admit(other.tag('nuclei', 'y', other.publisher))
    const { archive } = two
    two.archive = {
      ...archive,
      admitRecords: (records) =>
        archive.admitRecords(
          records.map(({ envelope, card }) => {
            const bytes = envelope.slice()
            if (expectOk(peekRecord(envelope)).publisher === own.publisher) flip(bytes)
            return { envelope: bytes, card }
          }),
        ),
    }
    const outcome = two.pull(one)
    assert.equal(outcome.refused.length, 1)
    assert.equal(outcome.records, 1)
  })

  it('converges from any states, in any order of exchanges', async () => {
    const steps = fc.array(
      fc.record({
        node: fc.integer({ min: 0, max: 2 }),
        other: fc.integer({ min: 0, max: 2 }),
        publish: fc.integer({ min: 0, max: 2 }),
      }),
      { maxLength: 12 },
    )
    let run = 0
    await fc.assert(
      fc.asyncProperty(steps, async (script) => {
        run++
        const owners = [0, 1, 2].map((i) => new TestPublisher(`run ${run} node ${i}`))
        const nodes = await Promise.all(
          owners.map((own) => Node.open(own, ...owners.filter((each) => each !== own))),
        )
        for (const step of script) {
          const node = nodes[step.node] as Node
          const other = nodes[step.other] as Node
          if (step.publish > 0) publish(node, step.publish)
          else if (node !== other) assert.equal(node.pull(other).failure, null)
        }
        // Twice around: what the last one had goes by way of a third.
        for (let round = 0; round < 2; round++) {
          for (const node of nodes) for (const other of nodes) if (node !== other) node.pull(other)
        }
        const lines = nodes.map((node) => node.lines(...owners))
        assert.equal(new Set(lines).size, 1)
        for (const node of nodes) {
          for (const other of nodes) if (node !== other) assert.ok(node.pull(other).equal)
        }
      }),
      { numRuns: 15 },
    )
  })

  it('ends where the other side answers something else', async () => {
    const two = await Node.open(b, a)
    const steps = pull(two.archive, createSyncMemory())
    steps.next(undefined)
    const odd = steps.next({ t: 'profile', envelope: null })
    assert.equal(odd.done, true)
    assert.equal(odd.done && odd.value.failure?.code, 'PEER')

    const error = pull(two.archive, createSyncMemory())
    error.next(undefined)
    const failed = error.next({
      t: 'error',
      code: 'NO_SUCH_CODE',
      message: 'no',
      field: null,
      limit: null,
      got: null,
      hint: null,
      retryAfter: null,
    })
    assert.equal(failed.done && failed.value.failure?.code, 'PEER')
  })
})

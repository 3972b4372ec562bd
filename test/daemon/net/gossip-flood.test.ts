/** What a member gets that gossips what no honest peer passes on, or more than it may. */
import assert from 'node:assert/strict'
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import type { PrivateKey } from '@libp2p/interface'
import { archiveOf } from '../../../daemon/net/archive.ts'
import { hearsGossip, SURPLUS_PER_FAULT } from '../../../daemon/net/gossip.ts'
import type { Links } from '../../../daemon/net/links.ts'
import { FAULTS_PER_MINUTE, PeerBook } from '../../../daemon/net/peers.ts'
import { randomBytes } from '../../../protocol/crypto.ts'
import { expectOk } from '../../../protocol/errors.ts'
import { TOPICS } from '../../../protocol/message.ts'
import { bindingOf, startNode, stopNodes, testClock } from '../../helpers/network.ts'
import { seedOf, TestPublisher } from '../../helpers/publisher.ts'
import { PUBSUB_PROTOCOL, pubsubFrame, pubsubMessage } from '../../helpers/pubsub.ts'
import { startRawPeer, stopRawPeers } from '../../helpers/raw-peer.ts'
import { openTestRegistry, trust } from '../../helpers/registry.ts'

describe('daemon/net/gossip of a flood', () => {
  stopNodes()
  stopRawPeers()

  /** A connected member sends messages, as many frames as they need. @returns once it is shut out */
  const flood = async (name: string, make: (key: PrivateKey) => Promise<Uint8Array[]>) => {
    const own = new TestPublisher(`${name} flooder`)
    const node = await startNode(new TestPublisher(name), { trusts: [own] })
    expectOk(node.registry.admitIdentity(own.publisher, own.operations, 0))
    const raw = await startRawPeer(own, {}, `raw ${name}`)
    await node.network.connect(raw.address)
    assert.equal(node.network.peers()[0]?.publisher, own.publisher)
    const messages = await make(await generateKeyPairFromSeed('Ed25519', seedOf(`raw ${name}`)))
    const gone = node.next('peer', ({ connected }) => !connected)
    const [connection] = raw.node.getConnections()
    assert(connection !== undefined)
    const stream = await connection.newStream(PUBSUB_PROTOCOL)
    for (let sent = 0; sent < messages.length && stream.status === 'open'; sent += 100) {
      const isTaken = stream.send(pubsubFrame(messages.slice(sent, sent + 100)))
      if (!isTaken) await Promise.race([stream.onDrain().catch(() => {}), gone])
    }
    await gone
  }

  it('is shut out for heads with wrong signatures', async () => {
    const own = new TestPublisher('bad heads flooder')
    const head = own.head(own.profile('bad'))
    const spoilt = (): Uint8Array => {
      const copy = Uint8Array.from(head)
      copy.set(randomBytes(31), copy.length - 64)
      return copy
    }
    await flood('bad heads', (key) =>
      Promise.all(
        Array.from({ length: FAULTS_PER_MINUTE + 5 }, (_, n) =>
          pubsubMessage(key, TOPICS.heads, spoilt(), n),
        ),
      ),
    )
  })

  it('hears no strangers, and a member no faster than its budget', async () => {
    const own = new TestPublisher('measured')
    // Stands still, so that no budget fills up meanwhile.
    const now = testClock.now()
    const clock = { now: () => now }
    const registry = await openTestRegistry(new TestPublisher('ear'), clock)
    const book = new PeerBook(clock, archiveOf(registry))
    const blamed: string[] = []
    const links = { blame: (_: unknown, code: string) => blamed.push(code) } as unknown as Links
    const hear = (times: number): number =>
      Array.from({ length: times }, () => hearsGossip({ book, links }, 'peer')).filter(Boolean)
        .length
    assert.equal(hear(10), 0, 'nobody of that name')
    const peer = book.get('peer')
    assert.equal(hear(50), 0, 'a stranger')
    assert.equal(peer.surplus, 0)
    assert.equal(hear(SURPLUS_PER_FAULT), 0)
    assert.deepEqual(blamed.splice(0), ['LIMIT'], 'a stranger that goes on')

    expectOk(registry.admitIdentity(own.publisher, own.operations, 0))
    trust(registry, own.publisher, 'list')
    const id = (await startRawPeer(own, {}, 'measured')).peerId
    const known = book.get(id)
    expectOk(book.show(known, own.publisher, bindingOf(own, id, ['sync'])))
    const hearKnown = (times: number): number =>
      Array.from({ length: times }, () => hearsGossip({ book, links }, id)).filter(Boolean).length
    assert.equal(hearKnown(50 + 2 * SURPLUS_PER_FAULT), 50)
    assert.deepEqual(blamed, ['LIMIT', 'LIMIT'], 'a fault for each so many beyond')
  })

  it('is shut out for going on beyond its budget, though all is well signed', async () => {
    const own = new TestPublisher('too much flooder')
    const head = own.head(own.profile('much'))
    await flood('too much', async (key) => {
      const message = await pubsubMessage(key, TOPICS.heads, head, 0)
      return new Array(50 + SURPLUS_PER_FAULT * (FAULTS_PER_MINUTE + 2)).fill(message)
    })
  })
})

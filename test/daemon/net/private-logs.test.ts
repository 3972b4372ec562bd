import assert from 'node:assert/strict'
import { TopicValidatorResult } from '@libp2p/gossipsub'
import { peerIdFromString } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import { archiveOf, readableBy } from '../../../daemon/net/archive.ts'
import { judgeGossip } from '../../../daemon/net/gossip.ts'
import type { Links } from '../../../daemon/net/links.ts'
import { PeerBook } from '../../../daemon/net/peers.ts'
import { FrameStream } from '../../../daemon/net/stream.ts'
import { confirmedBy } from '../../../daemon/net/sync.ts'
import { toHex } from '../../../protocol/bytes.ts'
import { type Cid, linkOf } from '../../../protocol/cid.ts'
import { publicKeyOf } from '../../../protocol/crypto.ts'
import { expectOk } from '../../../protocol/errors.ts'
import { MAX_FRAME_BYTES } from '../../../protocol/limits.ts'
import {
  type BlobRequest,
  blobReplies,
  blobRequests,
  inferReplies,
  inferRequests,
  PROTOCOLS,
} from '../../../protocol/message.ts'
import { answer } from '../../../protocol/sync-answer.ts'
import { idOf } from '../../../protocol/sync-item.ts'
import { type SyncRequest, syncReplies, syncRequests } from '../../../protocol/sync-message.ts'
import { createSyncMemory, digestOfPublishers } from '../../../protocol/sync-publishers.ts'
import type { SyncOutcome } from '../../../protocol/sync-step.ts'
import type { Registry } from '../../../registry/registry.ts'
import { bindingOf, startNode, stopNodes, type TestNode, testClock } from '../../helpers/network.ts'
import { type TestModel, TestPublisher } from '../../helpers/publisher.ts'
import { type RawPeer, startRawPeer, stopRawPeers } from '../../helpers/raw-peer.ts'
import { admit, keepFiles, openTestRegistry, trust } from '../../helpers/registry.ts'

const STEP_MS = 2000

describe('daemon/net: private logs', () => {
  stopNodes()
  stopRawPeers()

  let p: TestPublisher
  let q: TestPublisher
  let x: TestPublisher
  let seed: Uint8Array
  let model: TestModel
  let atP: TestNode
  let atQ: TestNode
  /** A member of both, outside the audience, that keeps every frame it gets. */
  let outside: RawPeer
  let heard: Uint8Array[]

  beforeEach(async () => {
    ;[p, q, x] = ['p', 'q', 'x'].map((name) => new TestPublisher(`${name} of private logs`)) as [
      TestPublisher,
      TestPublisher,
      TestPublisher,
    ]
    seed = p.confide([q.publisher])
    model = p.model({ name: 'secret', seed })
    atP = await startNode(p, { trusts: [q, x], infer: async () => assert.fail('nothing is run') })
    atQ = await startNode(q, { trusts: [p, x], infer: async () => assert.fail('nothing is run') })
    admit(atP.registry, p.profile('p'))
    admit(atP.registry, model)
    const life = 24 * 3600 * 1000
    const head = p.head(model.signed, testClock.now(), life, [seed])
    expectOk(atP.registry.admitHead(head))
    await keepFiles(atP.registry, model)
    const got = atQ.next('sync', ({ records }) => records > 0)
    const known = atP.next('peer', () =>
      atP.network.peers().some(({ publisher }) => publisher === q.publisher),
    )
    await atQ.network.connect(atP.address)
    await Promise.all([got, known])
    await atQ.network.syncNow()
    heard = []
    outside = await startOutside()
  })

  /** Answers syncs as an honest node does, and keeps what it is asked. */
  async function startOutside(): Promise<RawPeer> {
    const registry = await openTestRegistry(x, testClock)
    for (const each of [p, q]) {
      trust(registry, each.publisher, 'list')
      expectOk(registry.admitIdentity(each.publisher, each.operations, 0))
    }
    const memory = createSyncMemory()
    return startRawPeer(x, {
      sync: async (frames) => {
        for (;;) {
          const frame = await frames.read(MAX_FRAME_BYTES, STEP_MS)
          if (frame === null) return
          heard.push(frame)
          const request = expectOk(syncRequests.decode(frame))
          const reply = answer(archiveOf(registry), memory, request)
          if (reply === null) return
          await frames.write(syncReplies.encode(reply), STEP_MS)
        }
      },
      blob: async (frames) => {
        heard.push(await frames.expect(MAX_FRAME_BYTES, STEP_MS))
      },
      infer: async (frames) => {
        heard.push(await frames.expect(MAX_FRAME_BYTES, STEP_MS))
      },
    })
  }

  const publicKeyHex = () => toHex(publicKeyOf(seed))
  const filesOf = () => {
    const { record } = model.signed
    assert(record.kind === 'model')
    return record.body.files
  }
  const digestOf = (cid: Cid) => Buffer.from(linkOf(cid).multihash.digest)

  /** The outsider asks a node, on a stream of its own. */
  async function ask(node: TestNode, protocol: string, ...requests: Uint8Array[]) {
    const id = peerIdFromString(node.network.peerId)
    await outside.node.dial(multiaddr(node.address))
    const frames = new FrameStream(await outside.node.dialProtocol(id, protocol))
    for (const request of requests) await frames.write(request, STEP_MS)
    const reply = await frames.expect(MAX_FRAME_BYTES, STEP_MS)
    heard.push(reply)
    frames.abort(new Error('enough'))
    return reply
  }
  const sync = async (node: TestNode, request: SyncRequest) =>
    expectOk(syncReplies.decode(await ask(node, PROTOCOLS.sync, syncRequests.encode(request))))
  const blob = async (node: TestNode, request: BlobRequest) =>
    expectOk(blobReplies.decode(await ask(node, PROTOCOLS.blob, blobRequests.encode(request))))
  const meets = async (node: TestNode): Promise<void> => {
    const known = node.next('peer', () =>
      node.network.peers().some(({ publisher }) => publisher === x.publisher),
    )
    await node.network.connect(outside.address)
    await known
    await node.network.syncNow()
  }

  it('come to nodes of the audience, with their heads and files', async () => {
    const { registry, network } = atQ
    assert.equal(registry.catalogue.model(model.signed.id)?.name, 'secret')
    assert.ok(registry.catalogue.log(p.publisher, publicKeyHex())?.head)
    for (const { cid, size, sha256 } of filesOf()) {
      const options = { record: model.signed.id, signal: AbortSignal.timeout(5000) }
      await network.fetchBlob({ cid, size, sha256 }, options)
      assert.ok(registry.blobs.stat(cid))
    }
    const [report] = await network.syncNow()
    assert.equal(report?.roundTrips, 1)
  })

  it('reach a member outside of it by no road', async () => {
    await keepFiles(atQ.registry, model)
    for (const node of [atP, atQ]) {
      await meets(node)
      const publishers = [p, q, x].map(({ publisher }) => publisher).sort()
      const state = await sync(node, {
        t: 'open',
        mine: digestOfPublishers(publishers),
        yours: null,
        publishers,
        fingerprint: new Uint8Array(32),
      })
      assert(state.t === 'state' && state.parts !== null)
      const reply = await sync(node, {
        t: 'compare',
        salt: new Uint8Array(16),
        ranges: [{ range: '', marks: new Uint8Array() }],
        after: null,
      })
      assert(reply.t === 'items')
      const { items } = reply
      assert.ok(items.some(({ publisher, key }) => publisher === p.publisher && key === p.key()))
      assert.ok(items.every(({ key }) => key !== publicKeyHex()))
      const log = { publisher: p.publisher, key: publicKeyHex() }
      const after = { epoch: 0, seq: 0, tip: p.publisher }
      for (const place of [null, after]) {
        const logs = [{ id: idOf(log), after: place }]
        const page = await sync(node, { t: 'get-records', logs, limit: 100 })
        const nothing = { records: [], head: null, more: false }
        assert.deepEqual(page, { t: 'records', logs: [nothing] })
      }
      const proof = await sync(node, { t: 'get-proof', ...log })
      assert.deepEqual(proof, { t: 'proof', first: null, second: null })
      for (const { cid } of filesOf()) {
        for (const request of [
          { t: 'get-tree', cid },
          { t: 'get-have', cid, known: 0 },
          { t: 'get-leaf', cid, index: 0, insist: true },
        ] as const) {
          const reply = await blob(node, request)
          assert(reply.t === 'error' && reply.code === 'BLOB_MISSING')
        }
      }
      const header = inferRequests.encode({
        t: 'infer',
        record: model.signed.id,
        output: null,
        accept: null,
        deadline: 1000,
        inputs: [],
        salt: null,
      })
      const refused = expectOk(inferReplies.decode(await ask(node, PROTOCOLS.infer, header)))
      assert(refused.t === 'error' && refused.code === 'NOT_FOUND')
    }
    // Neither asks an outsider for the files, though nobody else has them.
    await assert.rejects(
      atQ.network.fetchBlob(
        { cid: p.publisher, size: 1, sha256: '' },
        { record: model.signed.id, peers: [outside.peerId], signal: AbortSignal.timeout(2000) },
      ),
      { code: 'NO_PROVIDER' },
    )
    const all = Buffer.concat(heard)
    assert.ok(heard.length > 10)
    const secrets = [
      digestOf(model.signed.id),
      ...filesOf().map(({ cid }) => digestOf(cid)),
      Buffer.from(model.card),
    ]
    for (const secret of secrets) assert.equal(all.includes(secret), false)
  })

  it('are neither offered to the DHT nor passed on by gossip', async () => {
    for (const { registry } of [atP, atQ]) {
      await keepFiles(registry, model)
      assert.deepEqual(archiveOf(registry).provided(10), [])
    }
    const archive = archiveOf(atQ.registry)
    const book = new PeerBook(testClock, archive)
    const peer = book.get(atP.network.peerId)
    const binding = bindingOf(p, peer.id, ['sync'])
    expectOk(book.show(peer, p.publisher, binding))
    const links = { behind: () => assert.fail('no hint') } as unknown as Links
    const parts = { archive, links, book, clock: testClock, onHeartbeat: () => {} }
    const judge = (head: Uint8Array) => judgeGossip(parts, 'zoarium/heads/1', peer.id, head)
    const head = p.head(model.signed, testClock.now(), 1000, [seed])
    assert.equal(judge(head), TopicValidatorResult.Ignore)
  })

  it('are confirmed to the node that has signed them by their audience alone', () => {
    const { publisher, mayRead } = archiveOf(atP.registry)
    const own = { publisher, mayRead, keys: new Set([p.key(), publicKeyHex()]) }
    const memory = { ...createSyncMemory(), theirs: [publisher] }
    const whole = { refused: [], failure: null, more: false } as unknown as SyncOutcome
    const by = (reader: Cid | null) => confirmedBy(own, reader, memory, whole)
    assert.deepEqual(by(q.publisher), [p.key(), publicKeyHex()])
    assert.deepEqual(by(x.publisher), [p.key()])
    assert.deepEqual(by(null), [p.key()])
    assert.deepEqual(confirmedBy(own, q.publisher, { ...memory, theirs: [] }, whole), [])
    assert.deepEqual(confirmedBy(own, q.publisher, memory, { ...whole, more: true }), [])
    const refusal = { publisher, code: 'QUOTA', message: '' } as const
    assert.deepEqual(confirmedBy(own, q.publisher, memory, { ...whole, refused: [refusal] }), [])
  })

  it('are refused by nodes that are not meant', async () => {
    const registry = await openTestRegistry(x, testClock)
    trust(registry, p.publisher, 'run')
    expectOk(registry.admitIdentity(p.publisher, p.operations, 0))
    const refused = (verdict: { ok: boolean; code?: string }) =>
      assert.equal(verdict.code, 'AUDIENCE')
    refused(registry.admitRecord(model.signed.envelope, model.card))
    refused(registry.admitHead(p.head(model.signed, testClock.now(), 1000, [seed])))
    const { seq, prev } = model.signed.record
    const twin = p.model({ name: 'twin', seed, header: { seq, prev } })
    refused(registry.admitProof(model.signed.envelope, twin.signed.envelope))
    assert.deepEqual(registry.logs(p.publisher), [])
  })

  it('hold nothing that everybody may ask for', () => {
    const profile = p.record(
      {
        kind: 'profile',
        body: { label: 'p', displayName: 'P', handle: null, url: null, ror: null, replaces: [] },
      },
      {},
      seed,
    )
    const verdict = atQ.registry.admitRecord(profile.envelope, null)
    assert(!verdict.ok && verdict.code === 'SCOPE')
  })

  it('show a model to all once it is published openly, as one model', async () => {
    const { record } = model.signed
    assert(record.kind === 'model')
    const open = p.record({ kind: 'model', body: record.body })
    expectOk(atP.registry.admitRecord(open.envelope, model.card))
    await atQ.network.syncNow()
    for (const { registry } of [atP, atQ]) {
      const found = expectOk(registry.resolve(`${p.publisher}/secret@1.0.0`))
      assert.equal(found.root, record.body.root)
      const [file] = filesOf()
      assert.ok(file && registry.isShared(file.cid, x.publisher))
    }
    assert.deepEqual(readLogs(atP.registry, null), [p.key()])
    assert.deepEqual(readLogs(atP.registry, q.publisher), [p.key(), publicKeyHex()].sort())
  })

  const readLogs = (registry: Registry, reader: Cid | null) =>
    readableBy(archiveOf(registry), reader)
      .logs(p.publisher)
      .map(({ key }) => key)
      .sort()
})

import assert from 'node:assert/strict'
import type { FrameStream } from '../../../daemon/net/stream.ts'
import { leafCount, leafSize } from '../../../protocol/content-tree.ts'
import { expectOk, type Issue } from '../../../protocol/errors.ts'
import { LEAF_BYTES } from '../../../protocol/limits.ts'
import { type BlobReply, blobReplies, blobRequests } from '../../../protocol/message.ts'
import { startNode, stopNodes, type TestNode } from '../../helpers/network.ts'
import { type TestModel, TestPublisher } from '../../helpers/publisher.ts'
import { startRawPeer, stopRawPeers } from '../../helpers/raw-peer.ts'
import { admit, keepFiles } from '../../helpers/registry.ts'

/** Short for a test, and long enough for an honest provider on a busy machine. */
const LIMITS = { replyMs: 1500, leafMs: 1500 }
const [a, b, c, d] = ['a', 'b', 'c', 'd'].map((name) => new TestPublisher(name)) as [
  TestPublisher,
  TestPublisher,
  TestPublisher,
  TestPublisher,
]
const all = [a, b, c, d]
const SIZE = 5 * LEAF_BYTES + 1000

/** Bytes that repeat nowhere. */
function weightsOf(size: number): Uint8Array {
  const words = new Uint32Array(Math.ceil(size / 4))
  for (let i = 0, x = 1; i < words.length; i++)
    words[i] = x = (Math.imul(x, 1664525) + 1013904223) | 0
  return new Uint8Array(words.buffer, 0, size)
}

describe('daemon/net/transfer', () => {
  stopNodes()
  stopRawPeers()

  let model: TestModel
  before(() => {
    model = a.model({ name: 'nuclei', weights: weightsOf(SIZE) })
  })

  const file = () => {
    const { record } = model.signed
    const found =
      record.kind === 'model' && record.body.files.find(({ role }) => role === 'weights')
    assert.ok(found)
    return found
  }
  const bytes = () => model.files.get('weights.onnx') as Uint8Array

  /** A node that trusts everybody; with `held` it has the model's files, too. */
  async function node(own: TestPublisher, held: boolean, limits = LIMITS): Promise<TestNode> {
    const trusts = all.filter((each) => each !== own)
    const made = await startNode(own, { trusts, transferLimits: limits })
    if (own !== a) expectOk(made.registry.admitIdentity(a.publisher, a.operations, 0))
    admit(made.registry, model)
    if (held) await keepFiles(made.registry, model)
    return made
  }

  const fetch = (
    to: TestNode,
    onProgress = (_done: number) => {},
    signal = AbortSignal.timeout(8000),
  ) => to.network.fetchBlob(file(), { record: model.signed.id, signal, onProgress })

  /** What others serve of this node, by leaf. */
  function countLeaves(of: TestNode): number[] {
    const served: number[] = []
    const { blobs } = of.registry
    const open = blobs.open.bind(blobs)
    blobs.open = (cid, range) => {
      served.push((range?.start ?? 0) / LEAF_BYTES)
      return open(cid, range)
    }
    return served
  }

  async function assertHere(at: TestNode): Promise<void> {
    const parts: Uint8Array[] = []
    for await (const part of await at.registry.blobs.open(file().cid)) parts.push(part)
    assert.ok(Buffer.concat(parts).equals(bytes()))
    assert.ok(at.registry.tree(file().cid))
  }

  const refusal = async (fetching: Promise<void>): Promise<readonly Issue[]> => {
    try {
      await fetching
    } catch (error) {
      const { code, data } = error as { code: string; data: { issues?: readonly Issue[] } }
      assert.equal(code, 'NO_PROVIDER')
      return data.issues ?? []
    }
    assert.fail('it was fetched')
  }

  /** A provider whose leaves go through `spoil`. */
  const serving =
    (spoil: (frames: FrameStream, index: number) => Promise<void>) =>
    async (frames: FrameStream): Promise<void> => {
      const one = await node1
      while (true) {
        const frame = await frames.read(1000, 5000)
        if (frame === null) return
        const request = expectOk(blobRequests.decode(frame))
        if (request.t === 'get-leaf') await spoil(frames, request.index)
        else {
          const nodes = one.registry.tree(file().cid) ?? []
          await frames.write(blobReplies.encode({ t: 'tree', size: SIZE, nodes, have: null }), 1000)
        }
      }
    }
  let node1: Promise<TestNode>

  const leafOf = (index: number) =>
    bytes().slice(index * LEAF_BYTES, index * LEAF_BYTES + leafSize(SIZE, index))
  const sendLeaf = async (frames: FrameStream, index: number, leaf = leafOf(index)) => {
    await frames.write(blobReplies.encode({ t: 'leaf', index }), 1000)
    await frames.write(leaf, 1000)
  }

  it('fetches a file of several leaves, verified, with its tree', async () => {
    const one = await node(a, true)
    const two = await node(b, false)
    await two.network.connect(one.address)
    const progress: number[] = []
    const kept: string[] = []
    two.registry.on('blob', ({ cid }) => kept.push(cid))
    await fetch(two, (done) => progress.push(done))
    await assertHere(two)
    assert.deepEqual(kept, [file().cid])
    assert.equal(progress.length, leafCount(SIZE) + 1)
    assert.equal(progress.at(-1), SIZE)
    assert.ok(progress.every((done, i) => i === 0 || done > (progress[i - 1] ?? 0)))
  })

  it('fetches from several providers at once, each leaf once', async () => {
    const [one, two, three] = [await node(a, true), await node(b, true), await node(c, false)]
    await three.network.connect(one.address)
    await three.network.connect(two.address)
    const [first, second] = [countLeaves(one), countLeaves(two)]
    await fetch(three)
    await assertHere(three)
    assert.equal(first.length + second.length, leafCount(SIZE))
    assert.ok(first.length > 0 && second.length > 0, `${first.length} and ${second.length}`)
  })

  it('asks for nothing that is here already', async () => {
    const [one, two] = [await node(a, true), await node(b, false)]
    await two.network.connect(one.address)
    const served = countLeaves(one)
    await fetch(two)
    await fetch(two)
    assert.equal(served.length, leafCount(SIZE))
  })

  for (const [what, code, spoil] of [
    [
      'wrong bytes',
      'CONTENT_MISMATCH',
      async (frames: FrameStream, index: number) => {
        const leaf = leafOf(index)
        leaf[5] = (leaf[5] ?? 0) ^ 1
        await sendLeaf(frames, index, leaf)
      },
    ],
    ['nothing', 'TIMEOUT', async () => {}],
    [
      'bytes without end',
      'LIMIT',
      async (frames: FrameStream, index: number) => {
        await frames.write(blobReplies.encode({ t: 'leaf', index }), 1000)
        while (true) await frames.write(new Uint8Array(2 << 20), 1000)
      },
    ],
    ['another leaf', 'PEER', async (frames: FrameStream) => sendLeaf(frames, 4)],
    [
      'half a leaf',
      'PEER',
      async (frames: FrameStream, index: number) => {
        await frames.write(blobReplies.encode({ t: 'leaf', index }), 1000)
        await frames.close(1000)
      },
    ],
    [
      'a failure of its own',
      'PEER',
      async (frames: FrameStream) => {
        const error = { t: 'error', code: 'DISK_FULL', message: 'mine', field: null } as const
        const rest = { limit: null, got: null, hint: null, retryAfter: null }
        await frames.write(blobReplies.encode({ ...error, ...rest }), 1000)
      },
    ],
  ] as const) {
    it(`leaves a provider that sends ${what} and fetches elsewhere`, async () => {
      node1 = node(a, true)
      const one = await node1
      const bad = await startRawPeer(b, { blob: serving(spoil) })
      const two = await node(c, false)
      await two.network.connect(bad.address)
      const issues = await refusal(fetch(two))
      assert.deepEqual(
        issues.map((issue) => [issue.field, issue.code]),
        [[bad.peerId, code]],
      )
      assert.equal(two.registry.blobs.stat(file().cid), null)
      await two.network.connect(one.address)
      await fetch(two)
      await assertHere(two)
    })
  }

  it('does not wait for a provider that never answers', async () => {
    const one = await node(a, true)
    const silent = await startRawPeer(b, {
      blob: (frames) =>
        new Promise((resolve) => frames.closed.addEventListener('abort', () => resolve())),
    })
    const two = await node(c, false, { replyMs: 60_000, leafMs: 60_000 })
    await two.network.connect(silent.address)
    await two.network.connect(one.address)
    await fetch(two)
    await assertHere(two)
  })

  it('takes over from a provider that is silent in the middle', async () => {
    node1 = node(a, true)
    const one = await node1
    const silent = await startRawPeer(b, {
      blob: serving(
        (frames) =>
          new Promise((resolve) => frames.closed.addEventListener('abort', () => resolve())),
      ),
    })
    const two = await node(c, false, { replyMs: 60_000, leafMs: 60_000 })
    await two.network.connect(silent.address)
    await two.network.connect(one.address)
    await fetch(two)
    await assertHere(two)
  })

  it('is passed on while it comes', async () => {
    const one = await node(a, true)
    const others = [await node(b, false), await node(c, false), await node(d, false)]
    for (const [n, each] of others.entries()) {
      for (const other of [one, ...others.slice(0, n)]) await each.network.connect(other.address)
    }
    await Promise.all(others.map((each) => fetch(each)))
    for (const each of others) await assertHere(each)
    // It would be three times the size where nobody passed anything on.
    assert.ok(one.network.blobBytesSent < 2 * SIZE, `${one.network.blobBytesSent} bytes`)
  })

  /** Sources that break the rules of the exchange. */
  const LIARS: Readonly<Record<string, readonly BlobReply[]>> = {
    'a set of leaves of another file': [
      { t: 'tree', size: SIZE, nodes: [], have: new Uint8Array(9) },
    ],
    'leaves that others were given, but for the one': [
      { t: 'tree', size: SIZE, nodes: [], have: null },
      { t: 'given', index: 0, given: new Uint8Array(1) },
    ],
    'another leaf than the one': [
      { t: 'tree', size: SIZE, nodes: [], have: null },
      { t: 'leaf', index: 4 },
    ],
  }
  for (const [name, replies] of Object.entries(LIARS)) {
    it(`leaves a source that names ${name}`, async () => {
      node1 = node(a, true)
      const nodes = (await node1).registry.tree(file().cid) ?? []
      const liar = await startRawPeer(b, {
        blob: async (frames) => {
          for (const reply of replies) {
            await frames.expect(1000, 1000)
            const said = reply.t === 'tree' ? { ...reply, nodes } : reply
            await frames.write(blobReplies.encode(said), 1000)
          }
        },
      })
      const two = await node(c, false)
      await two.network.connect(liar.address)
      const [issue] = await refusal(fetch(two))
      assert.deepEqual([issue?.field, issue?.code], [liar.peerId, 'PEER'])
    })
  }

  it('refuses a tree that is not that of the file', async () => {
    const bad = await startRawPeer(b, {
      blob: async (frames) => {
        await frames.expect(1000, 1000)
        const nodes = [new Uint8Array(100)]
        await frames.write(blobReplies.encode({ t: 'tree', size: SIZE, nodes, have: null }), 1000)
      },
    })
    const two = await node(c, false)
    await two.network.connect(bad.address)
    const [issue] = await refusal(fetch(two))
    assert.equal(issue?.field, bad.peerId)
  })

  it('goes on from what came before', async () => {
    node1 = node(a, true)
    const one = await node1
    let given = 0
    const bad = await startRawPeer(b, {
      blob: serving(async (frames, index) => {
        if (given++ < 2) await sendLeaf(frames, index)
        else frames.abort(new Error('that is all'))
      }),
    })
    const two = await node(c, false)
    await two.network.connect(bad.address)
    await refusal(fetch(two))
    const served = countLeaves(one)
    await two.network.connect(one.address)
    await fetch(two)
    await assertHere(two)
    assert.ok(served.length < leafCount(SIZE), `${served.length} leaves`)
    assert.ok(served.length >= leafCount(SIZE) - 2)
  })

  it('gives nothing that it does not share', async () => {
    const one = await startNode(d, { transferLimits: LIMITS })
    await keepFiles(one.registry, model)
    const two = await node(b, false)
    await two.network.connect(one.address)
    const [issue] = await refusal(fetch(two))
    assert.equal(issue?.code, 'BLOB_MISSING')
  })

  it('gives a stranger one stream', async () => {
    const one = await startNode(a, { transferLimits: LIMITS })
    admit(one.registry, model)
    await keepFiles(one.registry, model)
    const two = await node(b, false)
    await two.network.connect(one.address)
    await two.network.syncNow()
    // What fits into a stranger's first allowance; more would take seconds.
    const card =
      model.signed.record.kind === 'model' ? model.signed.record.body.files[0] : undefined
    assert.ok(card)
    await two.network.fetchBlob(card, { signal: AbortSignal.timeout(5000) })
    assert.ok(two.registry.blobs.stat(card.cid))
  })

  it('stops when it is cancelled, and says so', async () => {
    node1 = node(a, true)
    await node1
    const stop = new AbortController()
    const slow = await startRawPeer(b, {
      blob: serving(async (frames, index) => {
        await sendLeaf(frames, index)
        stop.abort()
        await new Promise((resolve) => frames.closed.addEventListener('abort', resolve))
      }),
    })
    const two = await node(c, false)
    await two.network.connect(slow.address)
    await assert.rejects(fetch(two, undefined, stop.signal), { code: 'CANCELLED' })
    assert.equal(two.registry.blobs.stat(file().cid), null)
  })
})

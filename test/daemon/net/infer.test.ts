import assert from 'node:assert/strict'
import type { PeerRequest, RemoteResult } from '../../../daemon/net/infer.ts'
import { ZoariumError } from '../../../protocol/errors.ts'
import { MAX_INFER_BYTES } from '../../../protocol/limits.ts'
import { failureMessage, helloMessages, inferReplies } from '../../../protocol/message.ts'
import { bindingOf, startNode, stopNodes, type TestNode, testClock } from '../../helpers/network.ts'
import { TestPublisher } from '../../helpers/publisher.ts'
import { helloOf, startRawPeer, stopRawPeers } from '../../helpers/raw-peer.ts'

const [a, b] = ['a', 'b'].map((name) => new TestPublisher(name)) as [TestPublisher, TestPublisher]
const never = new AbortController().signal
const request = {
  record: a.publisher,
  output: 'png',
  accept: null,
  deadlineMs: 5000,
  inputs: [{ name: 'raw', mediaType: 'image/png', bytes: Uint8Array.of(1, 2, 3) }],
}

describe('daemon/net/infer', () => {
  stopNodes()
  stopRawPeers()

  /** A node that runs what `infer` does, and one that may send to it. */
  async function pair(
    infer: (request: PeerRequest) => Promise<RemoteResult>,
    options: object = {},
  ): Promise<[TestNode, TestNode]> {
    const one = await startNode(a, { infer, trusts: [b], ...options })
    const two = await startNode(b, { trusts: [a] })
    const known = one.next('peer', () => one.network.peers()[0]?.publisher === b.publisher)
    await two.network.connect(one.address)
    await known
    return [one, two]
  }

  const result = (body: RemoteResult['body']): RemoteResult => ({
    body,
    mediaType: 'image/png',
    outputs: [{ id: 'mask', axes: ['y', 'x'], shape: [2, 3], dtype: 'uint8' }],
    timings: { computeMs: 1.5 },
    notes: ['cropped'],
  })

  it('carries a request there and its result back', async () => {
    const seen: PeerRequest[] = []
    const [one, two] = await pair(async (got) => {
      seen.push(got)
      return result(Uint8Array.of(9, 8))
    })
    const second = { name: null, mediaType: null, bytes: new Uint8Array((3 << 20) + 5).fill(7) }
    const inputs = [...request.inputs, second]
    const answer = await two.network.infer(one.network.peerId, { ...request, inputs }, never)
    assert.deepEqual([...answer.body], [9, 8])
    assert.deepEqual(answer.outputs, result(new Uint8Array()).outputs)
    assert.deepEqual(answer.timings, { computeMs: 1.5 })
    assert.deepEqual(answer.notes, ['cropped'])
    assert.ok(answer.uploadMs > 0)
    const [got] = seen
    assert.equal(got?.peer, two.network.peerId)
    assert.equal(got?.publisher, b.publisher)
    assert.equal(got?.record, request.record)
    assert.equal(got?.output, 'png')
    assert.deepEqual([...(got?.inputs[0]?.bytes ?? [])], [1, 2, 3])
    assert.ok(Buffer.from(got?.inputs[1]?.bytes ?? []).equals(second.bytes))
  })

  it('streams a result whose length is not known', async () => {
    const [one, two] = await pair(async () =>
      result(
        (async function* () {
          for (let i = 0; i < 5; i++) yield new Uint8Array(1 << 19).fill(i)
        })(),
      ),
    )
    const answer = await two.network.infer(one.network.peerId, request, never)
    assert.equal(answer.body.length, 5 << 19)
    assert.equal(answer.body.at(-1), 4)
  })

  it('gives back the coded error of the other node', async () => {
    const [one, two] = await pair(async () => {
      throw new ZoariumError('INPUT', 'wrong rank', {
        field: 'raw',
        limit: 4,
        got: 2,
        hint: 'crop',
      })
    })
    const asking = two.network.infer(one.network.peerId, request, never)
    await assert.rejects(asking, {
      code: 'INPUT',
      message: 'wrong rank',
      data: { field: 'raw', limit: 4, got: 2, hint: 'crop' },
    })
  })

  it('tells of a defect at the other node as PEER, and stays up', async () => {
    let calls = 0
    const [one, two] = await pair(async () => {
      if (calls++ === 0) throw new TypeError('oops')
      return result(new Uint8Array(1))
    })
    await assert.rejects(two.network.infer(one.network.peerId, request, never), { code: 'PEER' })
    const answer = await two.network.infer(one.network.peerId, request, never)
    assert.equal(answer.body.length, 1)
  })

  it('gets an early refusal although the body is not sent yet', async () => {
    const one = await startNode(a, { trusts: [b], infer: null })
    const two = await startNode(b, { trusts: [a] })
    const known = one.next('peer', () => one.network.peers()[0]?.publisher === b.publisher)
    await two.network.connect(one.address)
    await known
    const inputs = [{ name: null, mediaType: null, bytes: new Uint8Array(20 << 20) }]
    const asking = two.network.infer(one.network.peerId, { ...request, inputs }, never)
    await assert.rejects(asking, { code: 'NOT_RUNNABLE' })
  })

  it('cancels at the other node when the asker goes away', async () => {
    const stop = new AbortController()
    let cancelled: (reason: unknown) => void = () => {}
    const seen = new Promise((resolve) => (cancelled = resolve))
    const [one, two] = await pair(async ({ signal }) => {
      stop.abort(new Error('changed my mind'))
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
      cancelled(signal.aborted)
      throw new ZoariumError('CANCELLED', 'cancelled')
    })
    const asking = two.network.infer(one.network.peerId, request, stop.signal)
    await assert.rejects(asking, { code: 'CANCELLED' })
    assert.equal(await seen, true)
  })

  it('tells the handler when the deadline is over', async () => {
    const [one, two] = await pair(async ({ signal }) => {
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
      throw new ZoariumError('TIMEOUT', 'over the deadline')
    })
    const asking = two.network.infer(one.network.peerId, { ...request, deadlineMs: 50 }, never)
    await assert.rejects(asking, { code: 'TIMEOUT' })
  })

  it('runs nothing for a stranger', async () => {
    const one = await startNode(a, { infer: async () => result(new Uint8Array(1)) })
    const two = await startNode(b, { trusts: [a] })
    await two.network.connect(one.address)
    await assert.rejects(two.network.infer(one.network.peerId, request, never), { code: 'TRUST' })
  })

  it('sends nothing to a publisher that no rule lets it send to', async () => {
    const one = await startNode(a, { trusts: [b], infer: async () => result(new Uint8Array(1)) })
    const two = await startNode(b)
    await two.network.connect(one.address)
    await assert.rejects(two.network.infer(one.network.peerId, request, never), { code: 'TRUST' })
  })

  it('sends nothing over the limit', async () => {
    const [one, two] = await pair(async () => result(new Uint8Array(1)))
    const half = { name: null, mediaType: null, bytes: new Uint8Array(MAX_INFER_BYTES / 2 + 1) }
    const asking = two.network.infer(
      one.network.peerId,
      { ...request, inputs: [half, half] },
      never,
    )
    await assert.rejects(asking, { code: 'LIMIT' })
  })

  for (const [what, binding] of [
    ['no binding', () => null],
    ['no role to serve', (peer: string) => bindingOf(a, peer, ['sync'])],
    [
      'a binding of another peer',
      (peer: string) => bindingOf(a, `${peer.slice(0, -1)}z`, ['serve']),
    ],
    [
      'a binding that has run out',
      (peer: string) => bindingOf(a, peer, ['serve'], testClock.now() - 9 * 24 * 3600 * 1000),
    ],
  ] as const) {
    it(`sends nothing to a peer with ${what}`, async () => {
      let isAsked = false
      const bad = await startRawPeer(a, {
        hello: async (frames) => {
          const hello = helloOf(a, bad.peerId, { binding: binding(bad.peerId) })
          await frames.write(helloMessages.encode(hello), 1000)
          await frames.expect(1 << 16, 1000)
          await frames.close(1000)
        },
        infer: async () => {
          isAsked = true
        },
      })
      const two = await startNode(b, { trusts: [a] })
      two.registry.admitIdentity(a.publisher, a.operations, 0)
      await two.network.connect(bad.address)
      const asking = two.network.infer(bad.peerId, request, never)
      await assert.rejects(asking, { code: 'BINDING_INVALID' })
      assert.equal(isAsked, false)
    })
  }

  it('takes an answer that is none for a broken peer', async () => {
    const unknown = failureMessage({ code: 'PEER', message: 'of a later version' })
    const answers = [
      () => Buffer.from('hello'),
      () => inferReplies.encode({ ...unknown, code: 'NO_SUCH_CODE' }),
    ]
    const bad = await startRawPeer(a, {
      infer: async (frames) => {
        const answer = answers.shift()?.() ?? new Uint8Array()
        await frames.write(answer, 1000)
        await frames.close(1000)
      },
    })
    const two = await startNode(b, { trusts: [a] })
    two.registry.admitIdentity(a.publisher, a.operations, 0)
    await two.network.connect(bad.address)
    await assert.rejects(two.network.infer(bad.peerId, request, never), ZoariumError)
    await assert.rejects(two.network.infer(bad.peerId, request, never), { code: 'PEER' })
  })
})

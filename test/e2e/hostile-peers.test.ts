/** Peers that lie to a real daemon, or say nothing: it keeps nothing of theirs and works on. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import type { Stream } from '@libp2p/interface'
import type { NodeProcess } from '../../cli/colony.ts'
import type { Archive } from '../../daemon/net/archive.ts'
import type { FrameStream } from '../../daemon/net/stream.ts'
import type { PullView, SyncView } from '../../protocol/api.ts'
import { CODES, type Code, expectOk, type Issue, refuse } from '../../protocol/errors.ts'
import { LEAF_BYTES } from '../../protocol/limits.ts'
import {
  type BlobReply,
  blobReplies,
  blobRequests,
  failureMessage,
} from '../../protocol/message.ts'
import type { Registry } from '../../registry/registry.ts'
import { seedOf, type TestModel, type TestPublisher } from '../helpers/publisher.ts'
import { type RawHandler, stopRawPeers } from '../helpers/raw-peer.ts'
import { admit, keepFiles } from '../helpers/registry.ts'
import { Colony, clientOf } from './colony.ts'
import {
  foundedNow,
  modelOf,
  startBarePeer,
  startForeignPeer,
  stopForeignPeers,
} from './foreign-peer.ts'
import { keptBy, refused, runHere, runJson, unchanged } from './kept.ts'

describe('e2e/hostile-peers', () => {
  stopForeignPeers()
  stopRawPeers()
  const colony = new Colony()
  let node: NodeProcess

  before(async () => {
    node = await colony.node('Institute', [], ['--no-follow', '--no-dht'])
  })
  after(() => colony.stop())

  const meet = (address: string) => runJson(node, 'peers', 'add', address)
  const list = (own: TestPublisher, right = 'list') =>
    runJson(node, 'trust', 'add', own.publisher, right)
  /** Names of the models of a publisher that the node lists. */
  const listed = async (own: TestPublisher): Promise<string[]> => {
    const { items } = await clientOf(node).search({ publisher: own.publisher })
    return items.map(({ name }) => name).sort()
  }
  const sync = async (peer: string): Promise<SyncView> => {
    const { items } = await runJson<{ items: SyncView[] }>(node, 'sync', peer)
    return items[0] ?? assert.fail('no report')
  }

  /** Three models of a publisher: what was signed, and what a peer gives instead. */
  interface Log {
    readonly own: TestPublisher
    readonly models: readonly [TestModel, TestModel, TestModel]
  }
  function logOf(name: string): Log {
    const own = foundedNow(name)
    return {
      own,
      models: [modelOf(own, 'first'), modelOf(own, 'second'), modelOf(own, 'third')],
    }
  }

  describe('a record', () => {
    type Sent = { readonly envelope: Uint8Array; readonly card: Uint8Array | null }
    const flipped = (bytes: Uint8Array, at: number): Uint8Array =>
      bytes.map((byte, i) => (i === at ? byte ^ 1 : byte))

    /** What the peer gives in place of the second record, and why the node refuses it. */
    const LIES: Readonly<
      Record<string, readonly [lie: (log: Log, honest: Sent) => Sent, code: Code]>
    > = {
      'with a flipped bit in its signature': [
        (_, { envelope, card }) => ({ envelope: flipped(envelope, envelope.length - 40), card }),
        'SIG_INVALID',
      ],
      'with a flipped bit in its text': [
        ({ models: [, second] }, { envelope, card }) => {
          const at = Buffer.from(envelope).indexOf('second')
          assert.ok(at > 0 && second)
          return { envelope: flipped(envelope, at), card }
        },
        'SIG_INVALID',
      ],
      'of a key that was never delegated': [
        ({ own }, { card }) => {
          const seed = seedOf('a thief')
          const { signed } = own.model({ name: 'stolen', ...(card && { card }), seed })
          return { envelope: signed.envelope, card }
        },
        'KEY_NOT_DELEGATED',
      ],
      'of another publisher': [
        (_, { card }) => {
          const other = foundedNow('nobody that the node knows')
          return { envelope: modelOf(other, 'other').signed.envelope, card }
        },
        'TRUST',
      ],
      'out of sequence': [
        ({ models: [, , third] }) => ({ envelope: third.signed.envelope, card: third.card }),
        'GAP',
      ],
      'with another card': [
        ({ models: [first] }, { envelope }) => ({ envelope, card: first.card }),
        'CONTENT_MISMATCH',
      ],
      'without its card': [(_, { envelope }) => ({ envelope, card: null }), 'BLOB_MISSING'],
    }

    for (const [i, [what, [lie, code]]] of Object.entries(LIES).entries()) {
      it(`${what} is refused with all after it: ${code}`, async () => {
        const log = logOf(`liar ${i}`)
        const { own, models } = log
        const bend = (honest: Archive): Partial<Archive> => ({
          *recordsAfter(...args) {
            for (const sent of honest.recordsAfter(...args)) {
              const isSecond = Buffer.from(sent.envelope).equals(models[1].signed.envelope)
              yield isSecond ? lie(log, sent) : sent
            }
          },
        })
        const liar = await startForeignPeer(own, (registry) => admit(registry, ...models), bend)
        await meet(liar.address)
        await list(own)
        const report = await sync(liar.network.peerId)
        assert.deepEqual(
          report.refused.map((refusal) => refusal.code),
          [code],
        )
        assert.deepEqual(await listed(own), ['first'])

        const honest = await startForeignPeer(own, (registry) => admit(registry, ...models))
        await meet(honest.address)
        await sync(honest.network.peerId)
        assert.deepEqual(await listed(own), ['first', 'second', 'third'])
      })
    }
  })

  it('sees a log that forks, keeps what came before, and takes in no more of it', async () => {
    const own = foundedNow('two-faced')
    const first = modelOf(own, 'first')
    const one = modelOf(own, 'one-face')
    own.rewind(first.signed)
    const other = modelOf(own, 'other-face')
    const after = modelOf(own, 'after')
    const seen = await startForeignPeer(own, (registry) => admit(registry, first, one))
    await meet(seen.address)
    await list(own)
    await sync(seen.network.peerId)
    const liar = await startForeignPeer(own, (registry) => admit(registry, first, other, after))
    await meet(liar.address)
    await sync(liar.network.peerId)
    const { logs } = await clientOf(node).node()
    const log = logs.find(({ publisher }) => publisher === own.publisher)
    assert.equal(log?.state, 'CONTESTED')
    assert.deepEqual(await listed(own), ['first', 'one-face'])
    // It says so to whom would run it.
    await list(own, 'run')
    const { record } = await clientOf(node).resolve(one.signed.id)
    const error = await refused(node, 'run', record, join(node.folder, 'trust.yaml'))
    assert.equal(error.code, 'CONTESTED', error.stderr)
  })

  describe('a file', () => {
    /** Two leaves and a bit, so that there is a tree. */
    const weights = new Uint8Array(2 * LEAF_BYTES + 100).fill(7)
    let own: TestPublisher
    let model: TestModel
    /** Where honest providers and trees come from. */
    const holding = async (registry: Registry) => {
      admit(registry, model)
      await keepFiles(registry, model)
    }
    let trees: Registry

    before(async () => {
      own = foundedNow('files')
      model = modelOf(own, 'files', weights)
      const { registry, address, network } = await startForeignPeer(own, holding)
      trees = registry
      await meet(address)
      await list(own, 'mirror')
      await sync(network.peerId)
      await network.stop()
    })

    const say = (frames: FrameStream, reply: BlobReply) =>
      frames.write(blobReplies.encode(reply), 1000)
    /** Answers all but leaves as it should. */
    const leaves =
      (send: (frames: FrameStream, index: number) => Promise<void>): RawHandler =>
      async (frames) => {
        for (;;) {
          const frame = await frames.read(1000, 20_000)
          if (frame === null) return frames.close(1000)
          const request = expectOk(blobRequests.decode(frame))
          if (request.t === 'get-leaf') await send(frames, request.index)
          else if (request.t === 'get-tree') {
            const size = trees.blobs.stat(request.cid)?.size ?? 0
            await say(frames, {
              t: 'tree',
              size,
              nodes: [...(trees.tree(request.cid) ?? [])],
              have: null,
            })
          }
        }
      }
    /** Answers the first request with something else. */
    const replying =
      (send: (frames: FrameStream, stream: Stream) => Promise<void>): RawHandler =>
      async (frames, stream) => {
        await frames.expect(1000, 1000)
        await send(frames, stream)
      }

    /** What a provider does -> what the node says of it. */
    const PROVIDERS: Readonly<Record<string, readonly [blob: RawHandler, code: Code]>> = {
      'sends other bytes': [
        leaves(async (frames, index) => {
          await say(frames, { t: 'leaf', index })
          const file = model.signed.record
          const size = file.kind === 'model' ? (file.body.files[0]?.size ?? 0) : 0
          await frames.write(new Uint8Array(size).fill(8), 1000)
        }),
        'CONTENT_MISMATCH',
      ],
      'sends a tree of another file': [
        replying((frames) => {
          const size = sizeOfCard()
          return say(frames, { t: 'tree', size, nodes: [new Uint8Array(100)], have: null })
        }),
        'CONTENT_MISMATCH',
      ],
      'says another size': [
        replying((frames) => say(frames, { t: 'tree', size: 2 ** 34, nodes: [], have: null })),
        'CONTENT_MISMATCH',
      ],
      'sends bytes without end': [
        replying(async (_, stream) => {
          const chunk = new Uint8Array(LEAF_BYTES).fill(255)
          while (stream.status === 'open') stream.send(chunk) || (await onceDrained(stream))
        }),
        'LIMIT',
      ],
      'sends half of it and goes': [
        leaves(async (frames, index) => {
          await say(frames, { t: 'leaf', index })
          frames.abort(new Error('gone'))
        }),
        'PEER',
      ],
      'says that its own disk is full': [
        replying((frames) => say(frames, failureMessage(refuse('DISK_FULL', 'mine')))),
        'PEER',
      ],
    }
    const sizeOfCard = (): number => model.card.length

    const pull = async (): Promise<readonly Issue[]> => {
      const error = await refused(node, 'pull', model.signed.id)
      assert.equal(error.code, 'NO_PROVIDER', error.stderr)
      return error.issues ?? []
    }

    for (const [what, [blob, code]] of Object.entries(PROVIDERS)) {
      it(`of a peer that ${what} is not kept: ${code}`, async () => {
        const before = await memoryOf(node)
        const peer = await startBarePeer(own, { blob }, what)
        await meet(peer.address)
        const issues = await unchanged(node, pull)
        const said = issues.filter(({ field }) => field === peer.peerId)
        assert.deepEqual(
          said.map((issue) => issue.code),
          [code],
        )
        assert.ok((await memoryOf(node)) - before < 64 * 1024 ** 2, 'memory')
      })
    }

    it('is fetched from an honest peer while a liar is there too', async () => {
      const [, [blob]] = Object.entries(PROVIDERS)[0] ?? assert.fail()
      const liar = await startBarePeer(own, { blob }, 'a liar among others')
      const honest = await startForeignPeer(own, holding)
      await meet(liar.address)
      await meet(honest.address)
      const { fetched } = await runJson<PullView>(node, 'pull', model.signed.id)
      assert.equal(fetched, weights.length + model.card.length)
      assert.equal((await runHere(node, 'verify', model.signed.id)).status, 0)
      assert.deepEqual(
        (await keptBy(node)).files.filter((path) => !path.startsWith('blobs/')),
        [],
      )
    })
  })

  it('is not held up by peers that say nothing', async () => {
    const own = foundedNow('silent')
    const model = modelOf(own, 'patience')
    const silence: RawHandler = (frames) =>
      new Promise((resolve) => frames.closed.addEventListener('abort', () => resolve()))
    const [mute, idle, empty] = [
      await startBarePeer(own, { hello: silence }, 'mute'),
      await startBarePeer(own, { sync: silence }, 'idle'),
      await startBarePeer(own, { blob: silence }, 'empty'),
    ]
    const honest = await startForeignPeer(own, async (registry) => {
      admit(registry, model)
      await keepFiles(registry, model)
    })
    // Nor by those that do not even begin.
    const port = portOf(node)
    const sockets = Array.from({ length: 60 }, () => connect(port, '127.0.0.1'))
    for (const socket of sockets) socket.on('error', () => {})
    await Promise.all(sockets.map((socket) => once(socket, 'connect')))

    const greeting = runHere(node, 'peers', 'add', mute.address)
    await meet(honest.address)
    await list(own, 'mirror')
    await sync(honest.network.peerId)
    assert.deepEqual(await listed(own), ['patience'])
    const waiting = runHere(node, 'peers', 'add', idle.address)
    await meet(empty.address)
    const { fetched } = await runJson<PullView>(node, 'pull', model.signed.id)
    assert.ok(fetched > 0)
    assert.ok((await fetch(new URL('/healthz', node.url))).ok)
    assert.equal((await greeting).status, CODES.TIMEOUT.exit)
    await idle.node.stop()
    await waiting
    for (const socket of sockets) socket.destroy()
  })
})

/** Resident bytes of the daemon. */
async function memoryOf(node: NodeProcess): Promise<number> {
  const status = await readFile(`/proc/${node.process.pid}/status`, 'utf8')
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) * 1024
}

/** The libp2p port of a node. */
function portOf({ addresses }: NodeProcess): number {
  return Number(/\/tcp\/(\d+)/.exec(addresses[0] ?? '')?.[1])
}

const onceDrained = (stream: Stream): Promise<unknown> =>
  new Promise((resolve) => {
    stream.addEventListener('drain', resolve, { once: true })
    stream.addEventListener('close', resolve, { once: true })
  })

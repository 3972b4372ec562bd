import assert from 'node:assert/strict'
import { multiaddr } from '@multiformats/multiaddr'
import { FAULTS_PER_MINUTE } from '../../../daemon/net/peers.ts'
import { FrameStream } from '../../../daemon/net/stream.ts'
import { SYNC_INTERVAL_MS } from '../../../daemon/net/sync-rounds.ts'
import { expectOk } from '../../../protocol/errors.ts'
import { PROTOCOLS } from '../../../protocol/message.ts'
import { readRosterCar } from '../../../protocol/roster-car.ts'
import { type SyncReply, syncReplies, syncRequests } from '../../../protocol/sync-message.ts'
import {
  bindingOf,
  heartbeatOf,
  manualSleep,
  startNode,
  stopNodes,
  testClock,
} from '../../helpers/network.ts'
import { TestPublisher } from '../../helpers/publisher.ts'
import { startRawPeer, stopRawPeers } from '../../helpers/raw-peer.ts'
import { admit, keepFiles, trust } from '../../helpers/registry.ts'

const [a, b, c] = ['a', 'b', 'c'].map((name) => new TestPublisher(name)) as [
  TestPublisher,
  TestPublisher,
  TestPublisher,
]

const failure = (code: string) => (error: Error & { code?: string }) => error.code === code

describe('daemon/net/network', () => {
  stopNodes()
  stopRawPeers()

  it('knows its peers by their bindings after a hello', async () => {
    const own = new TestPublisher('hello a')
    const profile = own.profile('institute-a', 'Institute A')
    const one = await startNode(own, { agent: 'zoarium/1' })
    admit(one.registry, profile)
    const two = await startNode(b, { roles: ['sync'] })
    const known = one.next('peer', ({ peer, connected }) => connected && bound(one, peer))
    const peer = await two.network.connect(one.address)
    assert.equal(peer, one.network.peerId)
    const [seen] = two.network.peers()
    assert.equal(seen?.publisher, own.publisher)
    assert.deepEqual(seen?.roles, ['sync', 'serve'])
    assert.equal(seen?.agent, 'zoarium/1')
    assert.equal(seen?.connected, true)
    // A stranger is known by chain and profile.
    assert.equal(two.registry.catalogue.profile(own.publisher)?.label, 'institute-a')
    await known
    assert.equal(one.network.peers()[0]?.publisher, b.publisher)
    assert.deepEqual(one.network.peers()[0]?.roles, ['sync'])
  })

  const bound = (
    node: { network: { peers(): readonly { peer: string; publisher: unknown }[] } },
    id: string,
  ) => node.network.peers().some(({ peer, publisher }) => peer === id && publisher !== null)

  it('takes a binding of another peer, another key or another time for none', async () => {
    const other = await startNode(a)
    const wrong = [
      () => bindingOf(b, other.network.peerId, ['serve']),
      () => bindingOf(b, peerOf(), ['serve'], testClock.now() - 8 * 24 * 3600 * 1000),
      () => {
        const binding = bindingOf(b, peerOf(), ['serve']).slice()
        binding[binding.length - 1] = (binding.at(-1) ?? 0) ^ 1
        return binding
      },
      () => null,
    ]
    let peerOf = () => ''
    for (const [index, binding] of wrong.entries()) {
      const node = await startNode(b, { binding: () => binding() }, `wrong ${index}`)
      peerOf = () => node.network.peerId
      await other.network.connect(node.address)
      const seen = other.network.peers().find(({ peer }) => peer === node.network.peerId)
      assert.equal(seen?.publisher, null, `case ${index}`)
      assert.deepEqual(seen?.roles, [])
    }
  })

  it('syncs on connect, in both directions', async () => {
    const own = new TestPublisher('sync a')
    const one = await startNode(own, { trusts: [b] })
    const two = await startNode(b, { trusts: [own] })
    admit(one.registry, own.tag('nuclei', 'x', own.publisher))
    const pulled = two.next('sync', ({ records }) => records > 0)
    const other = one.next('sync', ({ ok }) => ok)
    await two.network.connect(one.address)
    const report = await pulled
    assert.equal(report.error, null)
    assert.equal(two.registry.logs(own.publisher)[0]?.seq, 0)
    await other
    const [again] = await two.network.syncNow(one.network.peerId)
    assert.equal(again?.roundTrips, 1)
    assert.equal(again?.ok, true)
    assert.ok((again?.bytes ?? 0) <= 350, `${again?.bytes} bytes`)
    assert.ok(two.network.peers()[0]?.lastSync)
  })

  it('syncs when a rule is added, and by the hint of a new head', async () => {
    const own = new TestPublisher('hint a')
    const one = await startNode(own, { trusts: [b] })
    const two = await startNode(b)
    const listens = one.next('gossip')
    await two.network.connect(one.address)
    await listens
    admit(one.registry, own.tag('nuclei', 'x', own.publisher))
    const listed = two.next('sync', ({ records }) => records === 1)
    trust(two.registry, own.publisher, 'list')
    await listed

    const signed = own.tag('nuclei', 'y', own.publisher)
    admit(one.registry, signed)
    const hinted = two.next('sync', ({ records }) => records === 1)
    one.network.announceHead(own.head(signed))
    await hinted
    assert.equal(two.registry.logs(own.publisher)[0]?.seq, 1)
  })

  it('asks again where a peer passes a head on before it has the records', async () => {
    const own = new TestPublisher('early a')
    const waits: (() => void)[] = []
    const asleep = Promise.withResolvers<void>()
    const one = await startNode(b, { trusts: [own, c] })
    const two = await startNode(c, {
      trusts: [own, b],
      sleep: (ms, signal) =>
        new Promise((resolve, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason))
          if (ms >= SYNC_INTERVAL_MS / 2) return
          waits.push(resolve)
          asleep.resolve()
        }),
    })
    for (const { registry } of [one, two]) {
      expectOk(registry.admitIdentity(own.publisher, own.operations, 0))
    }
    const listens = one.next('gossip')
    await two.network.connect(one.address)
    await listens
    const signed = own.tag('nuclei', 'x', own.publisher)
    one.network.announceHead(own.head(signed))
    await asleep.promise
    assert.equal(two.registry.logs(own.publisher).length, 0)
    admit(one.registry, signed)
    const got = two.next('sync', ({ records }) => records === 1)
    for (const wake of waits) wake()
    await got
  })

  it('refuses gossip of strangers and keeps heartbeats of members', async () => {
    const own = new TestPublisher('beat a')
    const one = await startNode(own)
    const two = await startNode(b, { trusts: [own] })
    const listen = [one.next('gossip'), two.next('gossip')]
    await two.network.connect(one.address)
    await Promise.all(listen)
    const heard = two.next('heartbeat')
    one.network.publishHeartbeat(heartbeatOf(own, one.network.peerId, { serves: [own.publisher] }))
    await heard
    assert.deepEqual(two.network.peers()[0]?.heartbeat?.serves, [own.publisher])
    two.network.publishHeartbeat(heartbeatOf(b, two.network.peerId))
    await one.network.syncNow()
    assert.equal(one.network.peers()[0]?.heartbeat, null)
  })

  it('carries a heartbeat in its hello', async () => {
    const own = new TestPublisher('beat hello')
    const one = await startNode(own, {
      heartbeat: () => heartbeatOf(own, one.network.peerId),
    })
    const two = await startNode(b)
    await two.network.connect(one.address)
    assert.equal(two.network.peers()[0]?.heartbeat?.acceptsInput, true)
  })

  it('passes records of a third node on', async () => {
    const own = new TestPublisher('third a')
    const one = await startNode(own, { trusts: [b, c] })
    const two = await startNode(b, { trusts: [own, c] })
    const three = await startNode(c, { trusts: [own, b] })
    admit(one.registry, own.tag('nuclei', 'x', own.publisher))
    const got = two.next('sync', ({ records }) => records === 1)
    await two.network.connect(one.address)
    await got
    const passed = three.next('sync', ({ records }) => records === 1)
    await three.network.connect(two.address)
    await passed
    assert.equal(three.registry.logs(own.publisher)[0]?.seq, 0)
  })

  it('keeps a connection to the peers that it is told to keep', async () => {
    const own = new TestPublisher('keeps a')
    const one = await startNode(own)
    const { sleep, wake } = manualSleep()
    const two = await startNode(b, { bootstrap: [one.address], sleep })
    await two.next('peer', ({ peer }) => peer === one.network.peerId)
    assert.equal(two.network.peers()[0]?.connected, true)
    const gone = two.next('peer', ({ connected }) => !connected)
    await one.network.stop()
    await gone
    assert.equal(two.network.peers()[0]?.connected, false)

    const listen = [one.address.replace(/\/p2p\/.*/, '')]
    const back = two.next('peer', ({ connected }) => connected)
    await startNode(own, { listen })
    wake()
    await back
  })

  it('finds members that it knew before it was started again', async () => {
    const own = new TestPublisher('knows a')
    const one = await startNode(own)
    const two = await startNode(b, { trusts: [own] })
    await two.network.connect(one.address)
    await two.network.stop()
    const known = one.next('peer', ({ connected }) => connected)
    const again = await startNode(b, { registry: two.registry })
    await known
    assert.equal(again.network.peers()[0]?.peer, one.network.peerId)
  })

  it('refuses what is no address, and says when nobody answers', async () => {
    const one = await startNode(a)
    await assert.rejects(one.network.connect('example.org'), failure('PARAMETER'))
    await assert.rejects(one.network.connect('/ip4/127.0.0.1/tcp/1'), failure('UNREACHABLE'))
    await assert.rejects(one.network.syncNow('12D3nobody'), failure('UNREACHABLE'))
    const nobody = one.network.fetchBlob(
      { cid: a.publisher, size: 1, sha256: '' },
      { signal: AbortSignal.timeout(1000) },
    )
    await assert.rejects(nobody, failure('NO_PROVIDER'))
  })

  it('compares again and again, whatever hints were lost', async () => {
    const own = new TestPublisher('anti-entropy a')
    const one = await startNode(own, { trusts: [b] })
    const { sleep, wake } = manualSleep()
    const two = await startNode(b, { trusts: [own], sleep })
    const quiet = two.next('sync')
    await two.network.connect(one.address)
    await quiet
    admit(one.registry, own.tag('nuclei', 'x', own.publisher))
    const found = two.next('sync', ({ records }) => records === 1)
    wake()
    await found
  })

  it('shuts out a peer whose signatures are wrong, again and again', async () => {
    const own = new TestPublisher('liar')
    const signed = own.tag('nuclei', 'x', own.publisher)
    const envelope = signed.envelope.slice()
    envelope[envelope.length - 1] = (envelope.at(-1) ?? 0) ^ 1
    const items = [
      {
        publisher: own.publisher,
        key: own.key(),
        epoch: 0,
        seq: 0,
        tip: signed.id,
        day: 0,
        forked: false,
      },
    ]
    const liar = await startRawPeer(own, {
      sync: async (frames) => {
        for (let frame = await frames.read(1 << 20, 5000); frame; ) {
          const request = expectOk(syncRequests.decode(frame))
          if (request.t === 'done') break
          const reply: SyncReply =
            request.t === 'open'
              ? { t: 'state', publishers: [own.publisher], parts: new Uint8Array(96) }
              : request.t === 'compare'
                ? { t: 'items', items, lacks: [], more: false }
                : {
                    t: 'records',
                    logs: [{ records: [{ envelope, card: null }], head: null, more: true }],
                  }
          await frames.write(syncReplies.encode(reply), 1000)
          frame = await frames.read(1 << 20, 5000)
        }
        await frames.close(1000)
      },
    })
    const two = await startNode(b, { trusts: [own] })
    expectOk(two.registry.admitIdentity(own.publisher, own.operations, 0))
    const gone = two.next('peer', ({ connected }) => !connected)
    await two.network.connect(liar.address)
    let reports = 0
    while (two.network.peers()[0]?.connected) {
      reports += (await two.network.syncNow()).length
      assert.ok(reports < 60)
    }
    await gone
    assert.ok(reports >= FAULTS_PER_MINUTE / 2, `${reports}`)
    assert.equal(two.registry.logs(own.publisher).length, 0)
    await assert.rejects(two.network.connect(liar.address), failure('UNREACHABLE'))
  })

  it('survives peers that send rubbish or nothing in every protocol', async () => {
    const one = await startNode(a, { trusts: [b] })
    const raw = await startRawPeer(b, {})
    const connection = await raw.node.dial(multiaddr(one.address))
    const closed = Promise.all(
      (['hello', 'sync', 'blob', 'infer'] as const).map(async (name) => {
        const frames = new FrameStream(await connection.newStream(PROTOCOLS[name]))
        await frames.write(new Uint8Array(100).fill(0xff), 1000)
        // An answer, if there is one, and then the end.
        while ((await frames.read(1 << 21, 5000).catch(() => null)) !== null);
        return frames.abort(new Error('enough'))
      }),
    )
    await closed
    const endless = new FrameStream(await connection.newStream(PROTOCOLS.sync))
    const flood = async () => {
      while (true) await endless.write(new Uint8Array(1 << 20), 1000)
    }
    await assert.rejects(flood())
    const two = await startNode(c)
    await two.network.connect(one.address)
    assert.equal(two.network.peers()[0]?.publisher, a.publisher)
  })

  it('finds who holds a model by the DHT', async () => {
    const own = new TestPublisher('dht a')
    const model = own.model({ name: 'nuclei' })
    const { sleep, wake } = manualSleep()
    const one = await startNode(own, { trusts: [b, c], dht: true, sleep })
    const two = await startNode(b, { trusts: [own, c], dht: true })
    const three = await startNode(c, { trusts: [own, b], dht: true })
    admit(one.registry, model)
    await keepFiles(one.registry, model)
    await one.network.connect(two.address)
    await three.network.connect(two.address)
    expectOk(three.registry.admitIdentity(own.publisher, own.operations, 0))
    admit(three.registry, model)
    const { record } = model.signed
    const file = record.kind === 'model' ? record.body.files[1] : undefined
    assert.ok(file)
    // The tables fill by themselves; until then nobody is found.
    const fetch = () =>
      three.network.fetchBlob(file, { record: model.signed.id, signal: AbortSignal.timeout(8000) })
    for (let tries = 0; ; tries++) {
      wake()
      const error = await fetch().then(
        () => null,
        (reason: Error & { code?: string }) => reason,
      )
      if (error === null) break
      assert.equal(error.code, 'NO_PROVIDER')
      assert.ok(tries < 200)
    }
    assert.ok(three.registry.blobs.stat(file.cid))
  })

  it('speaks over WebSocket, too', async () => {
    const one = await startNode(a, { listen: ['/ip4/127.0.0.1/tcp/0/ws'] })
    const two = await startNode(b)
    await two.network.connect(one.address)
    assert.equal(two.network.peers()[0]?.publisher, a.publisher)
  })

  it('asks its peers for a roster, strangers as they may be', async () => {
    const one = await startNode(a)
    const two = await startNode(b)
    const three = await startNode(c)
    const { record } = one.registry.rosters.set('imaging', { add: [c.publisher] })
    await two.network.connect(one.address)
    await two.network.connect(three.address)
    for (const id of [record, a.publisher]) {
      const answers = await two.network.findRoster(id)
      const [found, ...more] = answers.filter(({ car }) => car !== null)
      assert.deepEqual([found?.records, answers.length, more], [[record], 2, []])
      const { signed } = expectOk(readRosterCar(found?.car ?? assert.fail()))
      assert.equal(signed.id, record)
    }
    const none = await two.network.findRoster(c.publisher)
    assert.deepEqual(none, [
      { t: 'roster', records: [], car: null },
      { t: 'roster', records: [], car: null },
    ])
  })

  it('goes without peers that answer something else', async () => {
    const node = await startNode(a)
    const raw = await startRawPeer(b, {
      sync: async (frames) => {
        await frames.read(1000, 1000)
        await frames.write(syncReplies.encode({ t: 'profile', envelope: null }), 1000)
      },
    })
    await node.network.connect(raw.address)
    assert.deepEqual(await node.network.findRoster(a.publisher), [])
  })

  it('keeps a connection to an address that is accepted while it runs', async () => {
    const one = await startNode(a)
    const two = await startNode(b, { sleep: manualSleep().sleep })
    const met = two.next('peer', ({ peer, connected }) => connected && peer === one.network.peerId)
    two.network.keep(one.address)
    two.network.keep(one.address)
    await met
    assert.throws(() => two.network.keep('somewhere'), { code: 'PARAMETER' })
  })
})

import assert from 'node:assert/strict'
import { Attesting } from '../../daemon/attesting.ts'
import { Erasing } from '../../daemon/erasing.ts'
import { Federation } from '../../daemon/federation.ts'
import { encodeNpy } from '../../daemon/inference/image/npy.ts'
import { Metrics } from '../../daemon/metrics.ts'
import { Mirror } from '../../daemon/mirror.ts'
import { LOCAL } from '../../daemon/nearest.ts'
import { Node } from '../../daemon/node.ts'
import { Publishing } from '../../daemon/publishing.ts'
import { Tokens } from '../../daemon/tokens.ts'
import type { EventView } from '../../protocol/api.ts'
import { expectOk, type Failure, refuse, ZoariumError } from '../../protocol/errors.ts'
import { HEAD_LIFE_MS } from '../../protocol/limits.ts'
import { VERSION } from '../../protocol/version.ts'
import {
  cardModel,
  type DaemonParts,
  daemonParts,
  failing,
  hold,
  peerOf,
} from '../helpers/daemon-parts.ts'
import { TestPublisher } from '../helpers/publisher.ts'
import { keepFiles } from '../helpers/registry.ts'
import { introduce } from '../helpers/test-registry.ts'
import { readAll } from '../suites/blob-store.ts'

const npy = encodeNpy({
  dtype: 'float32',
  axes: [],
  shape: [1, 1, 8, 8],
  data: new Float32Array(64),
})

describe('daemon/node', () => {
  let parts: DaemonParts
  let embl: TestPublisher
  let node: Node
  let silence: Failure | null
  let kicks: number
  beforeEach(async () => {
    parts = await daemonParts()
    silence = null
    kicks = 0
    const { registry, clock } = parts
    const mirror = new Mirror({
      registry,
      network: {
        fetchBlob: async ({ cid }) => {
          throw new ZoariumError('NO_PROVIDER', 'nobody has it', { field: cid })
        },
      },
      follow: false,
      maxBytes: 1e9,
      clock,
      mayGo: async () => false,
      isInUse: () => false,
      onEvicted: () => {},
      log: { warn: () => {}, info: () => {} },
      onProgress: () => {},
      onComplete: () => {},
    })
    node = new Node({
      ...parts,
      erasing: new Erasing(parts),
      publishing: new Publishing(parts),
      federation: new Federation({ ...parts, log: { warn: () => {} } }),
      attesting: new Attesting(parts),
      mirror,
      doctor: { examine: () => assert.fail('not asked here') },
      placing: { atRisk: { total: 0, models: [] } },
      keys: { overview: () => assert.fail('not asked here') },
      renewals: { views: () => [] },
      handles: {
        kick() {
          kicks += 1
        },
      },
      scrub: { view: () => null },
      presence: { silence: () => silence },
      tokens: new Tokens(registry.catalogue, clock, 'operator'),
      metrics: new Metrics({}),
      spool: '/spool',
    })
    embl = new TestPublisher('embl')
    introduce(registry, embl, 'run')
    expectOk(registry.admitRecord(embl.profile('embl', 'EMBL').envelope, null))
  })
  afterEach(() => parts.inference.close())
  const signal = new AbortController().signal

  describe('its state', () => {
    it('is told in one view', async () => {
      const held = await hold(parts, cardModel(embl, 'nuclei'))
      await hold(parts, cardModel(embl, 'missing'), false)
      parts.clock.time += 1000
      const view = node.node()
      assert.equal(view.publisher.id, parts.own.publisher)
      assert.deepEqual(
        [view.peer, view.addresses, view.version, view.incomplete],
        ['here', parts.network.addresses(), VERSION, 1],
      )
      assert.equal(view.started, new Date(parts.clock.time - 1000).toISOString())
      assert.deepEqual(view.counts, { records: 3, models: 2, publishers: 2 })
      const bytes = held.files.reduce((sum, { size }) => sum + size, 0)
      assert.deepEqual(view.blobs, { count: 2, bytes })
      assert.deepEqual(view.engine, {
        name: 'memory',
        version: 'memory 1',
        executionProviders: ['cpu'],
        isolation: [],
        queued: 0,
        running: 0,
        warm: [],
      })
    })

    it('shows logs whose head is old, and those that have forked', () => {
      const states = () => node.node().logs.map(({ state }) => state)
      const tip = embl.tag('a', 'b', embl.publisher)
      expectOk(parts.registry.admitRecord(tip.envelope, null))
      const head = embl.head(tip, parts.clock.time, HEAD_LIFE_MS)
      assert.deepEqual(states(), ['STALE'])
      expectOk(parts.registry.admitHead(head))
      assert.deepEqual(states(), ['OK'])
      parts.clock.time += HEAD_LIFE_MS + 1
      assert.deepEqual(states(), ['STALE'])
      const { seq, prev } = tip.record
      const fork = embl.record(
        { kind: 'tag', body: { name: 'x', tag: 'y', target: embl.publisher, replaces: [] } },
        { seq, prev },
      )
      expectOk(parts.registry.admitProof(tip.envelope, fork.envelope))
      assert.deepEqual(states(), ['CONTESTED'])
    })

    it('says what keeps it from working, with the way out', () => {
      const { own, registry } = parts
      const codes = () => node.node().warnings.map(({ code, hint = '' }) => [code, hint] as const)
      assert.deepEqual(codes(), [])
      silence = refuse('KEY_EXPIRED', 'run out', { hint: 'renew' })
      assert.deepEqual(codes(), [['KEY_EXPIRED', 'renew']])
      silence = null
      const mine = own.profile('here')
      expectOk(registry.admitRecord(mine.envelope, null))
      const other = own.record(
        { kind: 'tag', body: { name: 'x', tag: 'y', target: own.publisher, replaces: [] } },
        { seq: 0, prev: null },
      )
      assert.equal(registry.admitRecord(other.envelope, null).ok, false)
      const [[code, hint] = assert.fail(), ...more] = codes()
      assert.deepEqual([code, more.length], ['CONTESTED', 0])
      assert.ok(hint.endsWith(`zoarium keys heal ${own.key().slice(0, 16)} --at 0.0`), hint)
      assert.throws(
        () => registry.publishProfile({ ...mine.record.body, label: 'x' } as never),
        (error: ZoariumError) =>
          error.code === 'CONTESTED' && /keys heal/.test(error.data.hint ?? ''),
      )
    })

    it('changes what its publisher says of itself', async () => {
      const { registry } = parts
      assert.throws(() => node.profile(), { code: 'NOT_FOUND' })
      const said = { label: 'here', displayName: 'Here', handle: null, url: null, ror: null }
      const first = await node.setProfile(said)
      assert.deepEqual(first, node.profile())
      assert.deepEqual(
        [first.publisher.label, first.publisher.displayName, first.publisher.handle],
        ['here', 'Here', null],
      )
      // Nothing is signed where nothing changes, but the host of the handle is asked.
      const same = await node.setProfile(said)
      assert.deepEqual([same.record, kicks], [first.record, 2])
      const more = {
        ...said,
        handle: 'here.example',
        url: 'https://here.example',
        ror: '03mstc592',
      }
      const second = await node.setProfile(more)
      assert.deepEqual([second.publisher.handle, second.url], ['here.example', more.url])
      assert.deepEqual(registry.profile(registry.publisher)?.replaces, [first.record])
      for (const wrong of [
        { label: 'Here' },
        { displayName: 'x'.repeat(101) },
        { handle: 'localhost' },
        { url: 'http://here.example' },
        { ror: 'embl' },
      ]) {
        await assert.rejects(
          node.setProfile({ ...more, ...wrong }),
          ZoariumError,
          JSON.stringify(wrong),
        )
      }
      assert.equal(node.profile().record, second.record)
    })

    it('shows warm sessions of records, not those of a test before publishing', async () => {
      const { record } = await hold(parts, cardModel(embl, 'nuclei'))
      const warm = [record, embl.model({ name: 'never' }).signed.id]
      parts.inference.status = () => ({ queued: 1, running: 2, warm, speed: [] })
      const { engine } = node.node()
      assert.deepEqual([engine.warm, engine.queued, engine.running], [[record], 1, 2])
    })

    it('tells which limits are met: of publishers, of the node, of peers', () => {
      const { registry, clock, views } = parts
      registry.quotas.meet('records', embl.publisher, 20_000, clock.time + 1000)
      const shutOut = { since: clock.time, until: clock.time + 60_000 }
      parts.network.known = [peerOf(embl, [], { shutOut })]
      const at = (ms: number) => new Date(clock.time + ms).toISOString()
      const publisher = views.publisher(embl.publisher)
      assert.deepEqual(node.node().quotas, [
        {
          publisher,
          peer: null,
          kind: 'records',
          limit: 20_000,
          since: at(0),
          until: at(1000),
          leftOut: 'its newer records, but withdrawals',
        },
        {
          publisher,
          peer: 'embl-peer',
          kind: 'faults',
          limit: 20,
          since: at(0),
          until: at(60_000),
          leftOut: 'the peer',
        },
      ])
      assert.equal(node.peers()[0]?.shutOutUntil, at(60_000))
      clock.time += 1000
      assert.deepEqual(
        node.node().quotas.map(({ kind }) => kind),
        ['faults'],
      )
    })

    it('is ready once the network is', () => {
      assert.deepEqual(node.notReady(), [])
      Object.assign(parts.network, { isStarted: false })
      assert.equal(node.notReady().length, 1)
    })
  })

  describe('peers', () => {
    it('are shown with their publisher and what they say', async () => {
      const said = { queue: 2, serves: [embl.publisher] }
      const silent = { peer: 'silent', publisher: null, heartbeat: null, rttMs: null }
      const lastSync = Date.UTC(2026, 1, 1)
      parts.network.known = [peerOf(embl, [], { said, lastSync }), peerOf(embl, [], silent)]
      const [first, second] = node.peers()
      assert.deepEqual(first, {
        peer: 'embl-peer',
        addresses: [],
        connected: true,
        publisher: parts.views.publisher(embl.publisher),
        roles: ['sync', 'serve'],
        rttMs: 10,
        fileRate: null,
        lastSync: '2026-02-01T00:00:00.000Z',
        shutOutUntil: null,
        serves: 1,
        queue: 2,
      })
      assert.deepEqual(
        [second?.publisher, second?.serves, second?.queue, second?.lastSync],
        [null, 0, null, null],
      )
      assert.equal((await node.connect('embl-peer')).peer, 'embl-peer')
      await assert.rejects(node.connect('gone'), { code: 'UNREACHABLE' })
      assert.deepEqual(await node.sync(null), [])
    })
  })

  describe('models', () => {
    it('are found by search, and strangers named only where nothing is', async () => {
      const crick = new TestPublisher('crick')
      introduce(parts.registry, crick, 'see')
      await hold(parts, cardModel(embl, 'nuclei'))
      const found = node.search({ text: 'nuclei' })
      assert.deepEqual(
        [found.total, found.items[0]?.ref, found.unlisted],
        [1, 'embl/nuclei@1.0.0', []],
      )
      const nothing = node.search({ text: 'unheard of' })
      assert.deepEqual(
        [nothing.total, nothing.unlisted.map(({ id }) => id)],
        [0, [crick.publisher]],
      )
    })

    it('are resolved, shown and proven', async () => {
      const made = cardModel(embl, 'nuclei')
      const { record } = await hold(parts, made)
      assert.equal(node.resolve('embl/nuclei'), record)
      assert.equal(node.model('embl/nuclei').record, record)
      assert.deepEqual(node.envelope(record), made.signed.envelope)
      assert.throws(() => node.resolve('embl/other'), { code: 'NOT_FOUND' })
      assert.throws(() => node.envelope(embl.publisher), { code: 'NOT_FOUND' })
    })

    it('are gone from every road once they are erased, and their record stays', async () => {
      const made = cardModel(embl, 'nuclei')
      const { record } = await hold(parts, made)
      embl.letErase()
      expectOk(parts.registry.admitIdentity(embl.publisher, embl.operations.slice(-1), 3))
      const erase = embl.withdraw(record, 'erase')
      expectOk(parts.registry.admitRecord(erase.envelope, null))
      const refused = { code: 'ERASED' }
      for (const ref of ['embl/nuclei@1.0.0', record]) {
        for (const road of [() => node.model(ref), () => node.resolve(ref)]) {
          assert.throws(road, refused)
        }
        await assert.rejects(node.file(ref, 'rdf.yaml', signal), refused)
        await assert.rejects(node.pull(ref, signal), refused)
        await assert.rejects(node.route(ref, 1), refused)
      }
      const options = { on: 'local', output: null, accept: null, deadlineMs: null }
      await assert.rejects(node.infer(record, [], options, signal), refused)
      assert.equal(node.search({}).total, 0)
      assert.deepEqual(node.envelope(record), made.signed.envelope)
      const [erasure] = node.erasures()
      const since = new Date(parts.clock.time).toISOString()
      const due = new Date(parts.clock.time + 72 * 3600 * 1000).toISOString()
      assert.deepEqual(erasure, {
        record,
        publisher: parts.views.publisher(embl.publisher),
        name: 'nuclei',
        version: '1.0.0',
        by: 'publisher',
        since,
        due,
        gone: false,
      })
      parts.clock.time += 72 * 3600 * 1000
      await parts.registry.collect()
      assert.equal(node.erasures()[0]?.gone, true)
    })

    it('are erased on this node by its operator, and restored by nobody else', async () => {
      const { record, files } = await hold(parts, cardModel(embl, 'nuclei'))
      const bytes = files.reduce((sum, { size }) => sum + size, 0)
      await assert.rejects(async () => node.restoreHere(record), { code: 'NOT_FOUND' })
      assert.deepEqual(await node.eraseHere('embl/nuclei'), { count: files.length, bytes })
      assert.throws(() => node.model(record), { code: 'ERASED' })
      // Also that of a publisher who is not listed any more.
      parts.registry.removeTrust(embl.publisher)
      assert.deepEqual(await node.eraseHere(record), { count: 0, bytes: 0 })
      parts.registry.setTrust({ publisher: embl.publisher, right: 'run' })
      assert.deepEqual(node.restoreHere('embl/nuclei@1.0.0'), [])
      assert.equal(node.model('embl/nuclei').held, false)
      assert.deepEqual(await node.collectGarbage(false), {
        count: 0,
        bytes: 0,
        waiting: { count: 0, bytes: 0, until: null },
      })
    })

    it('give their files in ranges', async () => {
      const made = cardModel(embl, 'nuclei')
      const { files } = await hold(parts, made)
      const weights = made.files.get('weights.onnx') ?? assert.fail()
      const file = await node.file('embl/nuclei', 'weights.onnx', signal)
      const { size, mediaType, cid, open } = file
      assert.deepEqual([size, mediaType, cid], [weights.length, files[1]?.mediaType, files[1]?.cid])
      assert.deepEqual(await readAll(await open({})), weights)
      assert.deepEqual(await readAll(await open({ start: 2, end: 5 })), weights.slice(2, 5))
      await assert.rejects(node.file('embl/nuclei', 'other.onnx', signal), {
        code: 'NOT_FOUND',
        data: { field: 'other.onnx' },
      })
      await hold(parts, cardModel(embl, 'missing'), false)
      await assert.rejects(node.file('embl/missing', 'weights.onnx', signal), {
        code: 'BLOB_MISSING',
        data: { field: 'weights.onnx', hint: 'zoarium pull embl/missing' },
      })
    })

    it('are pulled', async () => {
      const made = cardModel(embl, 'nuclei')
      const { record } = await hold(parts, made, false)
      await assert.rejects(node.pull('embl/nuclei', signal), { code: 'NO_PROVIDER' })
      await keepFiles(parts.registry, made)
      const { ms, ...view } = await node.pull('embl/nuclei', signal)
      const bytes = [...made.files.values()].reduce((sum, { length }) => sum + length, 0)
      assert.deepEqual(view, { record, ref: 'embl/nuclei@1.0.0', bytes, fetched: 0 })
      assert.ok(ms >= 0)
    })
  })

  it('shows identities, so that others can verify them', () => {
    for (const name of ['embl', embl.publisher]) {
      const view = node.identity(name)
      assert.equal(view.publisher, embl.publisher)
      assert.deepEqual(
        view.operations.map((each) => new Uint8Array(Buffer.from(each, 'base64'))),
        embl.operations.map((each) => new Uint8Array(each)),
      )
      assert.deepEqual(
        view.devices.map(({ key, scope }) => [key, scope]),
        (['publish', 'serve'] as const).map((scope) => [embl.key(scope), scope]),
      )
      assert.match(view.devices[0]?.notBefore ?? '', /^2026-01-01T/)
    }
    assert.throws(() => node.identity('nobody'), { code: 'NOT_FOUND' })
    const unknown = new TestPublisher('unknown').publisher
    assert.throws(() => node.identity(unknown), { code: 'NOT_FOUND' })
  })

  describe('inference', () => {
    const infer = (record: Parameters<Node['infer']>[0], on: string) => {
      const options = { on, output: null, accept: null, deadlineMs: null }
      return node.infer(record, [{ name: null, mediaType: null, bytes: npy }], options, signal)
    }

    it('is counted by where it ran and how it ended', async () => {
      const here = (await hold(parts, cardModel(embl, 'nuclei'))).record
      const there = (await hold(parts, cardModel(embl, 'cells'), false)).record
      parts.registry.setTrust({ publisher: embl.publisher, right: 'run', send: true })
      parts.network.known = [peerOf(embl, [there])]
      assert.equal((await infer(here, LOCAL)).node, LOCAL)
      assert.equal((await infer(there, 'nearest')).node, 'embl-peer')
      await assert.rejects(infer(there, LOCAL), { code: 'BLOB_MISSING' })
      parts.network.answer = failing('BUSY')
      await assert.rejects(infer(there, 'nearest'), { code: 'BUSY' })
      parts.network.answer = () => {
        throw new TypeError('a defect')
      }
      await assert.rejects(infer(there, 'nearest'), TypeError)
      await assert.rejects(infer(parts.own.publisher, LOCAL), { code: 'NOT_FOUND' })
      const text = await node.metrics()
      for (const [where, code] of [
        ['local', 'OK'],
        ['remote', 'OK'],
        ['local', 'BLOB_MISSING'],
        ['remote', 'BUSY'],
        ['remote', 'INTERNAL'],
      ]) {
        const line = `zoarium_inferences_total{where="${where}",code="${code}"} 1`
        assert.ok(text.includes(line), line)
      }
      assert.match(text, /zoarium_inference_seconds_count\{where="remote"\} 1/)
    })

    it('explains its route', async () => {
      await hold(parts, cardModel(embl, 'nuclei'))
      const [route] = await node.route('embl/nuclei', 4e6)
      assert.deepEqual(
        [route?.node, route?.eligible, route?.publisher?.id],
        [LOCAL, true, parts.own.publisher],
      )
      await assert.rejects(node.route('embl/none', 1), { code: 'NOT_FOUND' })
    })
  })

  describe('trust', () => {
    it('is listed: rules, and publishers without one', () => {
      const crick = new TestPublisher('crick')
      introduce(parts.registry, crick, 'see')
      const { items, strangers } = node.trust()
      assert.deepEqual(
        items.map(({ publisher, own }) => [publisher.id, own, publisher.right]),
        [
          [parts.own.publisher, true, 'run'],
          [embl.publisher, false, 'run'],
        ],
      )
      assert.deepEqual(
        strangers.map(({ id }) => id),
        [crick.publisher],
      )
      // A rule that grants no more than a stranger has is a rule all the same.
      node.addTrust(crick.publisher, 'see', { petname: null, send: null })
      assert.deepEqual(node.trust().strangers, [])
      assert.equal(node.trust().items.length, 3)
    })

    it('changes what is said, and leaves the rest as it was', () => {
      const rule = () => {
        const { line: _, ...found } = parts.registry.trust.rule(embl.publisher) ?? assert.fail()
        return found
      }
      node.addTrust('embl', 'list', { petname: 'heidelberg', send: true })
      const { publisher } = embl
      assert.deepEqual(rule(), { publisher, right: 'list', petname: 'heidelberg', send: true })
      node.addTrust('heidelberg', 'run', { petname: null, send: null })
      assert.deepEqual(rule(), { publisher, right: 'run', petname: 'heidelberg', send: true })
      const { items } = node.addTrust('embl', 'run', { petname: null, send: false })
      assert.deepEqual([rule().send, rule().petname], [false, 'heidelberg'])
      assert.equal(items.find((each) => each.publisher.id === publisher)?.publisher.send, false)
      assert.throws(() => node.addTrust('nobody', 'list', { petname: null, send: null }), {
        code: 'NOT_FOUND',
      })
    })

    it('is taken away', () => {
      assert.deepEqual(
        node.removeTrust('embl').strangers.map(({ id }) => id),
        [embl.publisher],
      )
      assert.throws(() => node.removeTrust('embl'), { code: 'NOT_FOUND' })
    })

    it('is explained for a publisher and for a model', async () => {
      await hold(parts, cardModel(embl, 'nuclei'))
      node.addTrust('embl', 'mirror', { petname: null, send: true })
      for (const ref of ['embl', 'embl/nuclei']) {
        const { publisher, rights } = node.explainTrust(ref)
        assert.equal(publisher.id, embl.publisher)
        assert.deepEqual(
          rights.map(({ right, granted }) => [right, granted]),
          [
            ['see', true],
            ['list', true],
            ['mirror', true],
            ['run', false],
            ['send', true],
          ],
        )
        const { because, line, change } = rights[3] ?? assert.fail()
        assert.match(because, /a rule gives it "mirror" \(line 4 of trust\.yaml\)/)
        assert.deepEqual([line, change], [4, 'zoarium trust add embl run'])
      }
      const own = node.explainTrust(parts.own.publisher)
      assert.ok(own.rights.every(({ granted }) => granted))
      assert.ok(own.rights.every(({ change }) => change === null))
      assert.throws(() => node.explainTrust('embl/none'), { code: 'NOT_FOUND' })
    })
  })

  it('passes tokens on', () => {
    const { id, token } = node.addToken('viewer', ['read'], null)
    assert.deepEqual(node.scopesOf(token), ['read'])
    assert.deepEqual(
      node.tokens().map((each) => each.id),
      [id],
    )
    assert.equal(node.revokeToken(id), true)
    assert.equal(node.scopesOf(token), null)
  })

  it('tells every subscriber of events, until it leaves', () => {
    const heard: EventView[] = []
    const leave = node.subscribe((event) => heard.push(event))
    const others: string[] = []
    node.subscribe(({ type }) => others.push(type))
    node.emit('peer', { peer: 'a' })
    leave()
    node.emit('head', {})
    const at = new Date(parts.clock.time).toISOString()
    assert.deepEqual(heard, [{ type: 'peer', at, data: { peer: 'a' } }])
    assert.deepEqual(others, ['peer', 'head'])
    assert.equal(node.spool, '/spool')
  })
})

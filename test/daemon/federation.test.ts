import assert from 'node:assert/strict'
import { Federation } from '../../daemon/federation.ts'
import type { Cid } from '../../protocol/cid.ts'
import { expectOk, ZoariumError } from '../../protocol/errors.ts'
import { HEAD_LIFE_MS } from '../../protocol/limits.ts'
import type { SignedRecord } from '../../protocol/record.ts'
import { readRosterCar, writeRosterCar } from '../../protocol/roster-car.ts'
import { type DaemonParts, daemonParts } from '../helpers/daemon-parts.ts'
import { TestPublisher } from '../helpers/publisher.ts'
import { introduce } from '../helpers/test-registry.ts'

const PEER = '12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN'
const ADDRESS = `/dns4/zoo.example.org/tcp/7071/p2p/${PEER}`

describe('daemon/federation', () => {
  let parts: DaemonParts
  let federation: Federation
  let issuer: TestPublisher
  let warned: object[]
  const [embl, crick] = ['embl', 'crick'].map((name) => new TestPublisher(name).publisher) as [
    Cid,
    Cid,
  ]
  beforeEach(async () => {
    parts = await daemonParts()
    warned = []
    federation = new Federation({ ...parts, log: { warn: (what: object) => warned.push(what) } })
    issuer = new TestPublisher('issuer')
    issuer.now = parts.clock.time
  })
  afterEach(() => parts.inference.close())

  const fileOf = (signed: SignedRecord, lifeMs = HEAD_LIFE_MS): Uint8Array => {
    const head = issuer.head(signed, parts.clock.time, lifeMs)
    const { operations } = issuer
    return expectOk(writeRosterCar({ operations, head, roster: signed.envelope }))
  }
  const by = (
    source: Uint8Array | string,
    options: { grantRun?: boolean; dryRun?: boolean } = {},
  ) => {
    const { grantRun = false, dryRun = false } = options
    return federation.join(
      typeof source === 'string'
        ? { ref: source, car: null, grantRun, dryRun }
        : { ref: null, car: source, grantRun, dryRun },
    )
  }

  it('shows what joining would change, and changes nothing before', async () => {
    const { registry } = parts
    registry.setTrust({ publisher: crick, right: 'list', petname: 'cr' })
    const members = [embl, crick, registry.publisher]
    const signed = issuer.roster('imaging', members, { right: 'run', bootstrap: [ADDRESS] })
    const view = await by(fileOf(signed), { dryRun: true })
    assert.deepEqual(
      [view.dryRun, view.publisher.id, view.name, view.record, view.recommends, view.right],
      [true, issuer.publisher, 'imaging', signed.id, 'run', 'mirror'],
    )
    assert.equal(view.fingerprint.replaceAll(' ', ''), issuer.publisher.slice(8, 24))
    const told = new Map(view.members.map((each) => [each.publisher.id, each]))
    assert.deepEqual(
      members.map((each) => [told.get(each)?.right, told.get(each)?.because]),
      [
        ['mirror', 'roster'],
        ['list', 'rule'],
        ['run', 'own'],
      ],
    )
    assert.deepEqual(view.bootstrap, [{ address: ADDRESS, connected: null, error: null }])
    assert.deepEqual([registry.trust.rosters, parts.network.kept], [[], []])
    assert.equal(registry.trust.right(embl), 'see')
  })

  it('joins, and connects to the addresses but its own', async () => {
    const own = `/ip4/192.0.2.1/tcp/1/p2p/${PEER.slice(0, -1)}M`
    Object.assign(parts.network, { peerId: `${PEER.slice(0, -1)}M` })
    const away = ADDRESS.replace('zoo.', 'away.')
    parts.network.connect = async (address) => {
      if (address === away) throw new ZoariumError('UNREACHABLE', 'nobody answers')
      return address
    }
    const signed = issuer.roster('imaging', [embl], { bootstrap: [ADDRESS, away, own] })
    const view = await by(fileOf(signed))
    assert.deepEqual(view.bootstrap, [
      { address: ADDRESS, connected: true, error: null },
      { address: away, connected: false, error: 'nobody answers' },
    ])
    assert.deepEqual(parts.network.kept, [ADDRESS, away])
    assert.equal(parts.registry.trust.right(embl), 'mirror')
    parts.network.kept.length = 0
    federation.connectAll()
    assert.deepEqual(parts.network.kept, [ADDRESS, away])
  })

  it('goes on where an address is none', async () => {
    const strange = `/nothing/here/p2p/${PEER}`
    parts.network.keep = () => {
      throw new ZoariumError('PARAMETER', 'not a multiaddr')
    }
    parts.network.connect = async () => {
      throw new ZoariumError('PARAMETER', 'not a multiaddr')
    }
    const view = await by(fileOf(issuer.roster('imaging', [], { bootstrap: [strange] })))
    assert.equal(view.bootstrap[0]?.connected, false)
    assert.equal(warned.length, 1)
  })

  it('shows rosters with those who wait and those who are gone', async () => {
    const { registry } = parts
    const first = issuer.roster('imaging', [embl])
    await by(fileOf(first))
    const second = issuer.roster('imaging', [crick], { replaces: [first.id] })
    for (const { envelope } of [first, second]) expectOk(registry.admitRecord(envelope, null))
    const view = federation.one(issuer.publisher, 'imaging')
    assert.deepEqual(
      [view.state, view.record, view.followed?.right, view.followed?.waiting],
      ['OK', second.id, 'mirror', [crick]],
    )
    assert.deepEqual(
      view.followed?.gone.map(({ id }) => id),
      [embl],
    )
    assert.deepEqual(federation.list(), [view])
    const { waiting, followed, own } = federation.statuses()[0] ?? assert.fail()
    assert.deepEqual([waiting, followed, own], [1, true, false])
    assert.throws(() => federation.one(issuer.publisher, 'other'), { code: 'NOT_FOUND' })
  })

  it('signs own rosters of publishers by any of their names', () => {
    const { registry } = parts
    registry.setTrust({ publisher: embl, right: 'list', petname: 'heidelberg' })
    const edit = { add: ['heidelberg', crick], remove: null, right: null, bootstrap: null }
    const view = federation.set('imaging', edit)
    assert.deepEqual(
      view.members.map(({ id }) => id),
      [embl, crick].sort(),
    )
    assert.deepEqual([view.own, view.followed], [true, null])
    assert.throws(() => federation.set('imaging', { ...edit, add: ['nobody'] }), {
      code: 'NOT_FOUND',
    })
    const changed = federation.set('imaging', {
      add: null,
      remove: ['heidelberg'],
      right: 'list',
      bootstrap: [ADDRESS],
    })
    assert.deepEqual(
      [changed.members.length, changed.right, changed.bootstrap],
      [1, 'list', [ADDRESS]],
    )
    const file = federation.file(registry.publisher, 'imaging')
    assert.equal(expectOk(readRosterCar(file)).signed.id, changed.record)
    assert.equal(federation.withdraw('imaging').state, 'WITHDRAWN')
    assert.throws(() => federation.file(registry.publisher, 'imaging'), { code: 'NOT_FOUND' })
    assert.throws(() => federation.withdraw('imaging'), { code: 'NOT_FOUND' })
  })

  describe('by an id', () => {
    const ask = (...cars: (Uint8Array | null)[]) => {
      parts.network.rosters = cars.map((car) => ({
        records: car === null ? [] : [expectOk(readRosterCar(car)).signed.id],
        car,
      }))
    }

    it('takes the freshest file of those that peers have', async () => {
      const first = issuer.roster('imaging', [embl])
      const second = issuer.roster('imaging', [crick], { replaces: [first.id] })
      ask(null, fileOf(first, 1000), fileOf(second), fileOf(first, 2000))
      const view = await by(issuer.publisher, { dryRun: true })
      assert.equal(view.record, second.id)
    })

    it('takes nothing but what was asked for', async () => {
      const other = new TestPublisher('other')
      other.now = parts.clock.time
      const signed = other.roster('imaging', [embl])
      const { operations } = other
      const head = other.head(signed)
      ask(expectOk(writeRosterCar({ operations, head, roster: signed.envelope })))
      parts.network.rosters = parts.network.rosters.map(({ car }) => ({ records: [], car }))
      await assert.rejects(by(issuer.publisher), { code: 'NOT_FOUND' })
      parts.network.rosters = [{ records: [], car: new Uint8Array([1, 2, 3]) }]
      await assert.rejects(by(issuer.publisher), { code: 'NOT_FOUND' })
      await assert.rejects(by('imaging'), { code: 'CID_TEXT' })
    })

    it('says where an issuer has several, and joins one by its record', async () => {
      const rosters = ['a', 'b'].map((name) => issuer.roster(name, []))
      const records = rosters.map(({ id }) => id)
      parts.network.rosters = [{ records, car: null }]
      await assert.rejects(by(issuer.publisher), (error: ZoariumError) => {
        assert.equal(error.code, 'AMBIGUOUS')
        assert(records.every((each) => error.data.hint?.includes(each)))
        return true
      })
      ask(fileOf(rosters[1] ?? assert.fail()))
      assert.equal((await by(records[1] ?? '')).name, 'b')
    })

    it('says why the only file may not be relied on', async () => {
      const car = fileOf(issuer.roster('imaging', [embl]))
      parts.clock.time += HEAD_LIFE_MS + 1
      ask(car)
      await assert.rejects(by(issuer.publisher), { code: 'STALE' })
    })

    it('needs no peer for what is here', async () => {
      const { record } = federation.set('mine', {
        add: [embl],
        remove: null,
        right: null,
        bootstrap: null,
      })
      const view = await by(record ?? '')
      assert.equal(view.name, 'mine')
      assert.equal(parts.registry.trust.right(embl), 'mirror')
    })
  })

  it('leaves, and tells who lost what', async () => {
    const { registry } = parts
    registry.setTrust({ publisher: crick, right: 'run' })
    await by(fileOf(issuer.roster('imaging', [embl, crick])))
    const view = federation.leave(issuer.publisher, 'imaging')
    assert.deepEqual(
      new Map(view.members.map((each) => [each.publisher.id, [each.before, each.publisher.right]])),
      new Map([
        [embl, ['mirror', 'see']],
        [crick, ['run', 'run']],
        [issuer.publisher, ['list', 'see']],
      ]),
    )
    assert.throws(() => federation.leave(issuer.publisher, 'imaging'), { code: 'NOT_FOUND' })
  })

  it('hands out files of own rosters and those followed, and says no more', async () => {
    const { registry } = parts
    introduce(registry, issuer, 'list')
    const signed = issuer.roster('imaging', [embl])
    expectOk(registry.admitRecord(signed.envelope, null))
    expectOk(registry.admitHead(issuer.head(signed, parts.clock.time)))
    const codeOf = (publisher: string, name: string) => {
      try {
        return federation.file(publisher, name).length > 0 ? 'ok' : 'empty'
      } catch (error) {
        return (error as ZoariumError).message
      }
    }
    const nothing = codeOf('nobody', 'imaging')
    assert.match(nothing, /no roster of that name/)
    assert.equal(codeOf(issuer.publisher, 'imaging'), nothing)
    await by(fileOf(signed))
    assert.equal(codeOf(issuer.publisher, 'imaging'), 'ok')
    registry.audiences.of = () => ({ publishers: [], rosters: [] })
    assert.equal(codeOf(issuer.publisher, 'imaging'), nothing)
  })

  it('knows issuers by name', () => {
    introduce(parts.registry, issuer, 'list')
    assert.throws(() => federation.one('issuer', 'imaging'), { code: 'NOT_FOUND' })
  })
})

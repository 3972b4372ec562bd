import assert from 'node:assert/strict'
import type { Cid } from '../../protocol/cid.ts'
import { expectOk } from '../../protocol/errors.ts'
import { HEAD_LIFE_MS } from '../../protocol/limits.ts'
import type { SignedRecord } from '../../protocol/record.ts'
import { readRosterCar, writeRosterCar } from '../../protocol/roster-car.ts'
import type { RosterChange } from '../../registry/rosters.ts'
import { lastOf, START, TestPublisher } from '../helpers/publisher.ts'
import { introduce, type TestRegistry, testRegistry } from '../helpers/test-registry.ts'

const DAY_MS = 24 * 3600 * 1000
const ADDRESS =
  '/dns4/zoo.example.org/tcp/7071/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN'

describe('registry/rosters', () => {
  let here: TestRegistry
  let issuer: TestPublisher
  const [embl, crick, pasteur] = ['embl', 'crick', 'pasteur'].map(
    (name) => new TestPublisher(name).publisher,
  ) as [Cid, Cid, Cid]
  beforeEach(async () => {
    here = await testRegistry()
    issuer = new TestPublisher('issuer')
    issuer.now = here.clock.time
  })

  /** The file of a roster of the issuer, with a head of today. */
  const fileOf = (signed: SignedRecord, by = issuer, last = signed): Uint8Array => {
    const head = by.head(last, here.clock.time)
    const { operations } = by
    return expectOk(writeRosterCar({ operations, head, roster: signed.envelope }))
  }
  const join = (car: Uint8Array, grantRun = false): void =>
    here.registry.join(expectOk(here.registry.planJoin(car, grantRun)))
  const rights = (...publishers: readonly Cid[]) =>
    publishers.map((each) => here.registry.trust.right(each))
  const codeOf = (car: Uint8Array): string => {
    const verdict = here.registry.planJoin(car, false)
    return verdict.ok ? 'ok' : verdict.code
  }
  const take = (...records: readonly SignedRecord[]): void => {
    for (const { envelope } of records) expectOk(here.registry.admitRecord(envelope, null))
  }

  describe('of this node', () => {
    const set = (change: RosterChange) => here.registry.rosters.set('imaging', change)

    it('are signed, and signed anew where something changes', () => {
      const { registry, own } = here
      const first = set({ add: [crick, embl], bootstrap: [ADDRESS] })
      const { members, right, bootstrap } = first.body
      assert.deepEqual([members, right, bootstrap], [[embl, crick].sort(), 'mirror', [ADDRESS]])
      assert.equal(set({ add: [crick], remove: [pasteur] }).record, first.record)
      const second = set({ add: [pasteur], remove: [crick], right: 'run' })
      assert.deepEqual(second.body, {
        name: 'imaging',
        members: [embl, pasteur].sort(),
        right: 'run',
        bootstrap: [ADDRESS],
        replaces: [first.record],
      })
      assert.deepEqual(registry.rosterMembers(own.publisher, 'imaging'), [embl, pasteur].sort())
      assert.deepEqual(registry.rosterMembers(own.publisher, 'other'), [])
      assert.equal(registry.counts().records, 2)
    })

    it('are signed anew where the file would be stale for ever', () => {
      const first = set({ add: [embl] })
      here.clock.time += HEAD_LIFE_MS + 1
      assert.notEqual(set({}).record, first.record)
      assert.equal(
        codeOf(expectOk(here.registry.rosters.file(here.own.publisher, 'imaging'))),
        'ok',
      )
    })

    it('take the place of all that stand', () => {
      const { own, registry } = here
      const rivals = [own.roster('imaging', [embl]), own.roster('imaging', [crick])]
      take(...rivals)
      const [greater = '', lesser = ''] = rivals
        .map(({ id }) => id)
        .sort()
        .reverse()
      const state = registry.rosters.state(own.publisher, 'imaging')
      assert.deepEqual([state.standing?.record, state.rivals], [greater, [lesser]])
      const { body } = set({})
      assert.deepEqual(body.replaces, [greater, lesser])
      assert.deepEqual(registry.rosters.state(own.publisher, 'imaging').rivals, [])
    })

    it('are withdrawn, and may begin anew', () => {
      const { registry, own } = here
      const withdraw = () => registry.rosters.withdraw('imaging', 'dissolved', '')
      assert.throws(withdraw, { code: 'NOT_FOUND' })
      set({ add: [embl] })
      withdraw()
      assert.deepEqual(registry.rosterMembers(own.publisher, 'imaging'), [])
      assert.equal(registry.rosters.state(own.publisher, 'imaging').state, 'WITHDRAWN')
      assert(!registry.rosters.file(own.publisher, 'imaging').ok)
      assert.throws(withdraw, { code: 'NOT_FOUND' })
      assert.deepEqual(set({ add: [crick] }).body.members, [crick])
    })

    it('keep to the rules of rosters', () => {
      assert.throws(() => here.registry.rosters.set('Imaging', {}), { code: 'NAME' })
      assert.throws(() => set({ bootstrap: ['/ip4/192.0.2.1/tcp/1'] }), { code: 'RECORD_INVALID' })
    })

    it('are handed out by record and by issuer, with the file of the only one', () => {
      const { registry, own } = here
      assert.deepEqual(registry.rosters.find(own.publisher), { records: [], car: null })
      const { record } = set({ add: [embl] })
      const { records, car } = registry.rosters.find(own.publisher)
      assert.deepEqual(records, [record])
      assert.equal(expectOk(readRosterCar(car ?? assert.fail())).signed.id, record)
      const other = registry.rosters.set('other', { add: [crick] }).record
      const both = registry.rosters.find(own.publisher)
      assert.deepEqual([both.records, both.car], [[record, other], null])
      assert.deepEqual(registry.rosters.find(other).records, [other])
    })

    it('of a private log are handed out to nobody', async () => {
      const { own, registry } = here
      const audience = { publishers: [embl], rosters: [] }
      const { record } = set({ add: [embl] })
      registry.audiences.of = (publisher) => (publisher === own.publisher ? audience : null)
      assert.deepEqual(registry.rosters.find(record), { records: [], car: null })
      const file = registry.rosters.file(own.publisher, 'imaging')
      assert.equal(file.ok || file.code, 'NOT_FOUND')
    })

    it('give rights here once they are joined, as any other', () => {
      set({ add: [embl, here.own.publisher] })
      assert.deepEqual(rights(embl), ['see'])
      join(expectOk(here.registry.rosters.file(here.own.publisher, 'imaging')))
      assert.deepEqual(rights(embl, here.own.publisher), ['mirror', 'run'])
      set({ remove: [embl] })
      assert.deepEqual(rights(embl), ['see'])
    })
  })

  describe('joined', () => {
    it('give list and mirror, and list their issuer', () => {
      const signed = issuer.roster('imaging', [embl, crick], { right: 'run', bootstrap: [ADDRESS] })
      const plan = expectOk(here.registry.planJoin(fileOf(signed), false))
      assert.deepEqual(
        [plan.right, plan.before, plan.added],
        ['mirror', null, signed.record.kind === 'roster' && signed.record.body.members],
      )
      assert.deepEqual(rights(embl), ['see'])
      here.registry.join(plan)
      assert.deepEqual(rights(embl, crick, issuer.publisher), ['mirror', 'mirror', 'list'])
      assert.deepEqual(here.registry.trust.rosters[0]?.bootstrap, [ADDRESS])
      assert.deepEqual(here.registry.rosters.find(signed.id).records, [signed.id])
    })

    it('give list alone where no more is recommended, and run where both say so', () => {
      join(fileOf(issuer.roster('a', [embl], { right: 'list' })))
      join(fileOf(issuer.roster('b', [crick], { right: 'run' })), true)
      assert.deepEqual(rights(embl, crick), ['list', 'run'])
      const modest = here.registry.planJoin(fileOf(issuer.roster('c', [])), true)
      assert.deepEqual(modest.ok || [modest.code, modest.field], ['PARAMETER', 'grantRun'])
    })

    it('narrow at once, and wait with additions until they are accepted', () => {
      const first = issuer.roster('imaging', [embl, crick])
      join(fileOf(first))
      const changes: (Cid | null)[] = []
      here.registry.on('trust', ({ publisher }) => changes.push(publisher))
      const second = issuer.roster('imaging', [crick, pasteur], { replaces: [first.id] })
      take(first)
      assert.deepEqual(rights(embl, crick, pasteur), ['mirror', 'mirror', 'see'])
      take(second)
      assert.deepEqual(rights(embl, crick, pasteur), ['see', 'mirror', 'see'])
      assert.deepEqual(changes, [null, null])
      here.registry.setTrust({ publisher: embl, right: 'see' })
      here.registry.removeTrust(embl)
      const plan = expectOk(here.registry.planJoin(fileOf(second), false))
      assert.deepEqual([plan.added, plan.removed, plan.right], [[pasteur], [embl], 'mirror'])
      here.registry.join(plan)
      assert.deepEqual(rights(embl, crick, pasteur), ['see', 'mirror', 'mirror'])
    })

    it('give nothing more once they are withdrawn', () => {
      const signed = issuer.roster('imaging', [embl])
      join(fileOf(signed))
      take(signed, issuer.withdraw(signed.id))
      assert.deepEqual(rights(embl, issuer.publisher), ['see', 'list'])
    })

    it('keep what the operator gave when additions are accepted', () => {
      const first = issuer.roster('imaging', [embl], { right: 'run' })
      join(fileOf(first), true)
      const second = issuer.roster('imaging', [embl, crick], { right: 'run', replaces: [first.id] })
      join(fileOf(second))
      assert.deepEqual(rights(embl, crick), ['run', 'run'])
    })

    it('open a private log to their members, as long as they are', () => {
      const { registry, own } = here
      const audience = {
        publishers: [],
        rosters: [{ publisher: issuer.publisher, name: 'imaging' }],
      }
      const first = issuer.roster('imaging', [embl, own.publisher])
      join(fileOf(first))
      registry.audiences.of = (publisher) => (publisher === pasteur ? audience : null)
      const may = (reader: Cid) => registry.audiences.mayRead(pasteur, 'any', reader)
      assert.deepEqual([may(embl), may(crick)], [true, false])
      take(first, issuer.roster('imaging', [crick, own.publisher], { replaces: [first.id] }))
      // Whom the issuer names counts here, not whom the operator accepted.
      assert.deepEqual([may(embl), may(crick)], [false, true])
    })

    it('are left again', () => {
      join(fileOf(issuer.roster('imaging', [embl])))
      assert.equal(here.registry.leave(issuer.publisher, 'other'), false)
      assert.equal(here.registry.leave(issuer.publisher, 'imaging'), true)
      assert.deepEqual(rights(embl, issuer.publisher), ['see', 'see'])
      assert.deepEqual(here.registry.rosters.find(issuer.publisher).records, [])
    })

    it('still narrow where their log has forked, and nothing of them can be accepted', () => {
      const first = issuer.roster('imaging', [embl, crick])
      join(fileOf(first))
      const second = issuer.roster('imaging', [crick, pasteur], { replaces: [first.id] })
      take(first, second)
      const { seq, prev } = second.record
      const body = { name: 'x', tag: 'y', target: first.id, replaces: [] }
      const twin = issuer.record({ kind: 'tag', body }, { seq, prev })
      expectOk(here.registry.admitProof(second.envelope, twin.envelope))
      assert.equal(here.registry.rosters.state(issuer.publisher, 'imaging').state, 'CONTESTED')
      assert.deepEqual(rights(embl, crick, pasteur), ['see', 'mirror', 'see'])
      assert.equal(codeOf(fileOf(second)), 'CONTESTED')
      const file = here.registry.rosters.file(issuer.publisher, 'imaging')
      assert.equal(file.ok || file.code, 'CONTESTED')
      assert.deepEqual(here.registry.rosters.find(issuer.publisher), { records: [], car: null })
    })

    it('have no file while no head of their log is here', () => {
      introduce(here.registry, issuer)
      take(issuer.roster('imaging', [embl]))
      const file = here.registry.rosters.file(issuer.publisher, 'imaging')
      assert.equal(file.ok || file.code, 'NOT_FOUND')
    })

    it('end with the key that signed them, where the root says so', () => {
      const first = issuer.roster('imaging', [embl])
      const second = issuer.roster('imaging', [embl, crick], { replaces: [first.id] })
      join(fileOf(second))
      take(first)
      assert.deepEqual(rights(embl, crick), ['mirror', 'mirror'])
      const key = issuer.key()
      issuer.sign({ op: 'revoke', key, last: lastOf(first), ts: START, reason: 'stolen' })
      expectOk(here.registry.admitIdentity(issuer.publisher, issuer.operations, 0))
      assert.deepEqual(rights(embl, crick), ['mirror', 'see'])
    })
  })

  describe('files', () => {
    it('are refused once their head has expired', () => {
      const signed = issuer.roster('imaging', [embl])
      const head = issuer.head(signed, here.clock.time, HEAD_LIFE_MS)
      const { operations } = issuer
      const car = expectOk(writeRosterCar({ operations, head, roster: signed.envelope }))
      here.clock.time += HEAD_LIFE_MS
      assert.equal(codeOf(car), 'ok')
      here.clock.time += 1
      assert.equal(codeOf(car), 'STALE')
    })

    it('are refused from the future, and after the end of their key', () => {
      const car = fileOf(issuer.roster('imaging', [embl]))
      here.clock.time -= DAY_MS
      assert.equal(codeOf(car), 'HELD')
      const old = new TestPublisher('old')
      old.now = START + 364 * DAY_MS
      const signed = old.roster('imaging', [embl])
      const { operations } = old
      const head = old.head(signed, START + 364 * DAY_MS, HEAD_LIFE_MS)
      const late = expectOk(writeRosterCar({ operations, head, roster: signed.envelope }))
      here.clock.time = START + 365 * DAY_MS
      assert.equal(codeOf(late), 'ok')
      here.clock.time += 1
      assert.equal(codeOf(late), 'KEY_EXPIRED')
      const forged = old.head(signed, here.clock.time)
      const renewed = expectOk(
        writeRosterCar({ operations, head: forged, roster: signed.envelope }),
      )
      assert.equal(codeOf(renewed), 'KEY_EXPIRED')
    })

    it('are refused where the identity has forked', () => {
      introduce(here.registry, issuer)
      const twin = new TestPublisher('issuer')
      const key = twin.key()
      const at = { key, last: null, ts: START } as const
      twin.sign({ op: 'revoke', ...at, reason: 'stolen' })
      issuer.sign({ op: 'epoch', ...at })
      expectOk(here.registry.admitIdentity(issuer.publisher, twin.operations, 0))
      assert.equal(codeOf(fileOf(issuer.roster('imaging', [embl]))), 'CONTESTED')
    })

    it('are refused where the key was revoked since', () => {
      const car = fileOf(issuer.roster('imaging', [embl]))
      const key = issuer.key()
      issuer.sign({ op: 'revoke', key, last: null, ts: START, reason: 'stolen' })
      introduce(here.registry, issuer)
      assert.equal(codeOf(car), 'KEY_REVOKED')
    })

    it('are refused where another record is at that place', () => {
      introduce(here.registry, issuer)
      take(issuer.profile('issuer'))
      const twin = new TestPublisher('issuer')
      twin.now = here.clock.time
      assert.equal(codeOf(fileOf(twin.roster('imaging', [embl]), twin)), 'EQUIVOCATION')
    })

    it('are refused where a newer roster is known, or the withdrawal', () => {
      const first = issuer.roster('imaging', [embl])
      const second = issuer.roster('imaging', [crick], { replaces: [first.id] })
      const third = issuer.roster('imaging', [pasteur], { replaces: [second.id] })
      join(fileOf(third))
      for (const each of [first, second]) assert.equal(codeOf(fileOf(each)), 'STALE')
      introduce(here.registry, issuer)
      take(first, second, third)
      for (const each of [first, second]) assert.equal(codeOf(fileOf(each)), 'STALE')
      assert.equal(codeOf(fileOf(third)), 'ok')
      take(issuer.withdraw(third.id))
      assert.equal(codeOf(fileOf(third)), 'RECALLED')
    })
  })
})

import assert from 'node:assert/strict'
import { HandleChecks } from '../../daemon/handle-checks.ts'
import { createLog } from '../../daemon/log.ts'
import { PublicWeb } from '../../daemon/public-web.ts'
import { Views } from '../../daemon/views.ts'
import { handleDocument } from '../../protocol/handle.ts'
import { HANDLE_LIFE_MS, MAX_HANDLE_BYTES } from '../../protocol/limits.ts'
import { Registry } from '../../registry/registry.ts'
import { type MemorySite, MemoryWeb, PUBLIC_ADDRESS } from '../helpers/memory-web.ts'
import { TestPublisher } from '../helpers/publisher.ts'
import { introduce, type TestRegistry, testRegistry } from '../helpers/test-registry.ts'
import { SUITE_HOSTS, webSuite } from '../suites/web.ts'

const HOUR_MS = 3600 * 1000
const DAY_MS = 24 * HOUR_MS
const HANDLE = 'embl.example'

webSuite('memory', async () => {
  const web = new MemoryWeb()
  for (const [host, site] of Object.entries(SUITE_HOSTS)) web.sites.set(host, site)
  return { web, address: PUBLIC_ADDRESS, close: async () => {} }
})

describe('daemon/handle-checks', () => {
  let here: TestRegistry
  let web: MemoryWeb
  let embl: TestPublisher
  beforeEach(async () => {
    here = await testRegistry()
    web = new MemoryWeb()
    embl = claim('embl', 'list')
  })

  /** A publisher whose profile names a handle. */
  function claim(name: string, right: 'see' | 'list', handle = HANDLE): TestPublisher {
    const publisher = new TestPublisher(name)
    introduce(here.registry, publisher, right)
    const { envelope } = publisher.profile(name, name, [], handle)
    const verdict =
      right === 'see'
        ? here.registry.admitProfile(envelope)
        : here.registry.admitRecord(envelope, null)
    assert(verdict.ok)
    return publisher
  }
  const names = ({ publisher }: TestPublisher): MemorySite => ({
    body: JSON.stringify(handleDocument(publisher)),
  })
  const round = (allowPrivate: readonly string[] = []): Promise<void> =>
    new HandleChecks({
      handles: here.registry.handles,
      web: new PublicWeb(web, allowPrivate),
      log: createLog('silent'),
    }).round()
  const isVerified = ({ publisher }: TestPublisher): boolean =>
    new Views(here.registry).publisher(publisher).handleVerified
  const resolved = (): string => {
    const verdict = here.registry.resolvePublisher(HANDLE)
    return verdict.ok ? verdict.value : verdict.code
  }
  /** Checks once more, when it is time. */
  const later = async (ms: number, site: MemorySite | null): Promise<void> => {
    here.clock.time += ms
    if (site === null) web.sites.delete(HANDLE)
    else web.sites.set(HANDLE, site)
    await round()
  }

  it('verifies a handle where profile and host name each other', async () => {
    web.sites.set(HANDLE, names(embl))
    assert.deepEqual([isVerified(embl), resolved()], [false, 'NOT_FOUND'])
    await round()
    assert.deepEqual([isVerified(embl), resolved()], [true, embl.publisher])
    assert.deepEqual(web.asked, [
      `lookup ${HANDLE}`,
      `get ${HANDLE} ${PUBLIC_ADDRESS} /.well-known/zoarium.json`,
    ])
    const { handle } = new Views(here.registry).publisher(embl.publisher)
    assert.equal(handle, HANDLE)
  })

  it('names a publisher by it where its label names another one too', async () => {
    web.sites.set(HANDLE, names(embl))
    const other = new TestPublisher('other')
    introduce(here.registry, other)
    assert(here.registry.admitRecord(other.profile('embl').envelope, null).ok)
    const nameOf = () => new Views(here.registry).nameOf(embl.publisher)
    assert.equal(nameOf(), embl.publisher)
    await round()
    assert.equal(nameOf(), HANDLE)
  })

  it('does not verify what only one side says', async () => {
    const other = claim('other', 'list')
    web.sites.set(HANDLE, names(other))
    await round()
    // Only one of the two that claim it is named by the host.
    assert.deepEqual([isVerified(embl), isVerified(other)], [false, true])
    assert.equal(resolved(), other.publisher)
    // A host names a publisher whose profile names another handle.
    const third = claim('third', 'list', 'third.example')
    web.sites.set('third.example', {})
    await later(DAY_MS, names(third))
    assert.deepEqual(
      [isVerified(third), isVerified(other), resolved()],
      [false, false, 'NOT_FOUND'],
    )
  })

  it('forgets what another profile said', async () => {
    web.sites.set(HANDLE, names(embl))
    await round()
    const present = here.registry.profile(embl.publisher)
    assert(present !== null)
    const { envelope } = embl.profile('embl', 'embl', [present.record], 'new.example')
    assert(here.registry.admitRecord(envelope, null).ok)
    assert.deepEqual([isVerified(embl), resolved()], [false, 'NOT_FOUND'])
  })

  it('takes no redirect, no long and no wrong document', async () => {
    const good = names(embl).body ?? ''
    for (const site of [
      { status: 301, body: good },
      { status: 404 },
      { body: good.padEnd(MAX_HANDLE_BYTES + 1) },
      { body: '<html>' },
      { body: good.replace('1', '2') },
    ]) {
      await later(10 * DAY_MS, site)
      assert.equal(isVerified(embl), false, JSON.stringify(site).slice(0, 80))
    }
    await later(10 * DAY_MS, { body: good.padEnd(MAX_HANDLE_BYTES) })
    assert.equal(isVerified(embl), true)
  })

  it('connects to no private address, also beside a public one, unless that is allowed', async () => {
    for (const addresses of [['127.0.0.1'], ['169.254.169.254'], [PUBLIC_ADDRESS, 'fd00::1']]) {
      await later(10 * DAY_MS, { ...names(embl), addresses })
      assert.equal(isVerified(embl), false, addresses.join())
    }
    assert(!web.asked.some((each) => each.startsWith('get')))
    here.clock.time += 10 * DAY_MS
    await round(['other.example'])
    assert.equal(isVerified(embl), false)
    here.clock.time += 10 * DAY_MS
    await round([HANDLE])
    assert.equal(isVerified(embl), true)
  })

  it('asks nothing for strangers, and drops what it knew of one that became one', async () => {
    const stranger = claim('stranger', 'see', 'stranger.example')
    web.sites.set('stranger.example', names(stranger))
    web.sites.set(HANDLE, names(embl))
    await round()
    assert(!web.asked.some((each) => each.includes('stranger')))
    assert.equal(isVerified(stranger), false)
    here.registry.removeTrust(embl.publisher)
    assert.deepEqual([isVerified(embl), resolved()], [false, 'NOT_FOUND'])
  })

  it('asks once a day, also after a restart, and less often where no answer comes', async () => {
    web.sites.set(HANDLE, names(embl))
    await round()
    const asked = () => web.asked.filter((each) => each.startsWith('lookup')).length
    assert.equal(asked(), 1)
    await later(DAY_MS - 1, names(embl))
    here.registry.setTrust({ publisher: embl.publisher, right: 'run' })
    const again = await Registry.open(here.parts)
    assert.deepEqual(again.handles.due(), [])
    assert.equal(again.resolvePublisher(HANDLE).ok, true)
    assert.equal(asked(), 1)
    await later(1, null)
    assert.equal(asked(), 2)
    assert.deepEqual(await hoursAsked(24 * 22, asked), [1, 7, 31, 79, 175, 343, 511])
  })

  /** The hours, from now on, in which the host is asked in vain. */
  async function hoursAsked(count: number, asked: () => number): Promise<number[]> {
    const hours: number[] = []
    for (let hour = 1; hour <= count; hour++) {
      const before = asked()
      await later(HOUR_MS, null)
      if (asked() > before) hours.push(hour)
    }
    return hours
  }

  it('asks every hour for its own handle until it is verified, or when told to', async () => {
    const { own, registry } = here
    const mine = 'here.example'
    const { envelope } = own.profile('here', 'here', [], mine)
    assert(registry.admitRecord(envelope, null).ok)
    const asked = () => web.asked.filter((each) => each === `lookup ${mine}`).length
    await round()
    assert.deepEqual(await hoursAsked(3, asked), [1, 2, 3])
    web.sites.set(mine, names(own))
    registry.handles.again(mine)
    await round()
    assert.deepEqual([asked(), isVerified(own)], [5, true])
    assert.deepEqual(await hoursAsked(24, asked), [24])
  })

  it('says why a handle is not verified', async () => {
    const problem = ({ publisher }: TestPublisher) =>
      new Views(here.registry).publisher(publisher).handleProblem
    const other = claim('other', 'list')
    assert.equal(problem(embl), null)
    await round()
    assert.equal(problem(embl)?.code, 'UNREACHABLE')
    await later(DAY_MS, { status: 404 })
    assert.deepEqual([problem(embl)?.code, problem(embl)?.got], ['HANDLE', 404])
    await later(DAY_MS, names(other))
    assert.deepEqual([problem(embl)?.got, problem(other)], [other.publisher, null])
    await later(DAY_MS, { status: 503 })
    // Verified still, and its host has a problem.
    assert.deepEqual([isVerified(other), problem(other)?.got], [true, 503])
    const again = await Registry.open(here.parts)
    assert.equal(new Views(again).publisher(other.publisher).handleProblem?.got, 503)
    here.registry.removeTrust(other.publisher)
    assert.equal(problem(other), null)
  })

  it('keeps a handle verified for 7 days without an answer, and not after another one', async () => {
    web.sites.set(HANDLE, names(embl))
    await round()
    await later(DAY_MS, null)
    await later(DAY_MS, { status: 503 })
    here.clock.time += HANDLE_LIFE_MS - 2 * DAY_MS
    assert.equal(isVerified(embl), true)
    here.clock.time += 1
    assert.deepEqual([isVerified(embl), resolved()], [false, 'NOT_FOUND'])
    await later(10 * DAY_MS, names(embl))
    assert.equal(isVerified(embl), true)
    await later(DAY_MS, { status: 404 })
    assert.equal(isVerified(embl), false)
  })

  it('is asked again where the clock was wrong', async () => {
    web.sites.set(HANDLE, names(embl))
    await round()
    here.clock.time -= 30 * DAY_MS
    assert.deepEqual(here.registry.handles.due(), [HANDLE])
  })

  it('tries further addresses, but not all', async () => {
    web.sites.set(HANDLE, {
      ...names(embl),
      addresses: ['1.0.0.1', '1.0.0.2', '1.0.0.3', '1.0.0.4'],
    })
    const { get } = web
    const tried: string[] = []
    let working = '1.0.0.3'
    web.get = (request) => {
      tried.push(request.address)
      return request.address === working ? get.call(web, request) : Promise.reject(new Error('no'))
    }
    await round()
    assert.deepEqual([isVerified(embl), tried.length], [true, 3])
    working = '1.0.0.4'
    tried.length = 0
    await later(DAY_MS, { ...names(embl), addresses: ['1.0.0.1', '1.0.0.2', '1.0.0.3', working] })
    assert.deepEqual([isVerified(embl), tried], [true, ['1.0.0.1', '1.0.0.2', '1.0.0.3']])
  })

  it('keeps nothing after it was stopped', async () => {
    web.sites.set(HANDLE, { hangs: true })
    const checks = new HandleChecks({
      handles: here.registry.handles,
      web: new PublicWeb(web, []),
      log: createLog('silent'),
    })
    const under = checks.round()
    assert.equal(checks.round(), under)
    checks.stop()
    await under
    assert.deepEqual(here.registry.handles.due(), [HANDLE])
  })
})

/** Five daemons, each in a network namespace, on lines that fail, and beside machines that do harm. */
import assert from 'node:assert/strict'
import { setTimeout } from 'node:timers/promises'
import { projectPath } from '../../cli/colony.ts'
import type { ModelView, PublishView } from '../../protocol/api.ts'
import type { Cid } from '../../protocol/cid.ts'
import { clientOf } from '../e2e/colony.ts'
import { runJson } from '../e2e/kept.ts'
import { LanFederation, type LanNode } from './federation.ts'
import { type Machine, whyNoLan } from './lan.ts'

const NODES = 5
const example = projectPath('docs', 'examples', 'nuclei-unet')
/** Longest wait for something that a federation does by itself. */
const WAIT_MS = 90_000
const POLL_MS = 200
const LIBP2P_PORT = '7071'
/** Enough for a line to be believed: keys, hello, and the first records. */
const FREE_BYTES = 32 * 1024
/** In private nets that no machine here is on. */
const ELSEWHERE = ['192.168.77.1', '10.99.1.1', '172.16.9.9', '169.254.169.254', '100.64.3.3']

describe('network', () => {
  let lan: LanFederation
  let nodes: LanNode[]
  let versions = 0
  const published: { readonly node: LanNode; readonly record: Cid }[] = []

  before(async function () {
    const why = whyNoLan()
    if (why !== null) {
      console.log(`    skipped: no network namespaces here (${why})`)
      return this.skip()
    }
    lan = new LanFederation('test')
    nodes = []
    for (let n = 0; n < NODES; n += 1) {
      const others = nodes.map(({ address }) => address)
      nodes.push(await lan.node(`Node ${n}`, others))
    }
    for (const node of nodes)
      for (const other of nodes) if (node !== other) await follow(node, other)
  })
  after(() => lan?.remove())

  const follow = (node: LanNode, other: LanNode) =>
    runJson(node, 'trust', 'add', other.publisher, 'mirror')

  async function publish(node: LanNode): Promise<Cid> {
    const version = `${++versions}.0.0`
    const view = await runJson<PublishView>(
      node,
      'publish',
      example,
      '--untested',
      '--version',
      version,
    )
    assert.ok(view.record)
    published.push({ node, record: view.record })
    return view.record
  }

  async function until(what: string, isSo: () => Promise<boolean>): Promise<number> {
    const started = performance.now()
    while (!(await isSo())) {
      assert.ok(performance.now() - started < WAIT_MS, `in vain: ${what}`)
      await setTimeout(POLL_MS)
    }
    return Math.round(performance.now() - started)
  }

  const has = async (node: LanNode, record: Cid): Promise<boolean> => {
    const view = (await clientOf(node)
      .record(record)
      .catch(() => null)) as ModelView | null
    return view?.held === true
  }
  const haveAll = async (some: readonly LanNode[], records: readonly Cid[]): Promise<boolean> => {
    for (const node of some) for (const id of records) if (!(await has(node, id))) return false
    return true
  }
  const isConnected = async (node: LanNode, other: LanNode): Promise<boolean> =>
    (await clientOf(node).peers()).some(({ peer, connected }) => peer === other.peer && connected)
  const pick = (n: number): LanNode => nodes[n] ?? assert.fail()

  it('agrees, each with each', async () => {
    const records = [await publish(pick(0)), await publish(pick(4))]
    const ms = await until('all have both', () => haveAll(nodes, records))
    console.log(`      after ${ms} ms`)
  })

  it('agrees again after a short cut, of which nobody noticed anything', async () => {
    const apart = [pick(3), pick(4)]
    lan.lan.cut(...apart.map(({ machine }) => machine))
    const records = [await publish(pick(0)), await publish(pick(3)), await publish(pick(4))]
    assert.equal(await haveAll([pick(0)], records.slice(1)), false, 'it was a cut')
    lan.lan.heal(...apart.map(({ machine }) => machine))
    const ms = await until('all have what was published meanwhile', () => haveAll(nodes, records))
    console.log(`      ${ms} ms after the line was whole`)
  })

  it('agrees again after a long cut, and loses nothing', async () => {
    const [here, there] = [pick(1), pick(4)]
    lan.lan.cut(there.machine)
    const records = [await publish(here), await publish(there)]
    const noticed = await until('the cut is noticed', async () => !(await isConnected(here, there)))
    lan.lan.heal(there.machine)
    let connected = 0
    const started = performance.now()
    await until('they are connected again', () => isConnected(there, here))
    connected = performance.now() - started
    await until('all have what was published meanwhile', () => haveAll(nodes, records))
    const agreed = performance.now() - started
    console.log(
      `      noticed after ${noticed} ms, connected ${Math.round(connected)} ms after the line was whole, ` +
        `agreed ${Math.round(agreed - connected)} ms later`,
    )
  })

  it('agrees over others where one direction of a line is lost, and over it afterwards', async () => {
    const [deaf, dumb] = [pick(0), pick(2)]
    lan.lan.deafen(dumb.machine, deaf.machine)
    const during = [await publish(dumb), await publish(deaf)]
    const ms = await until('all have what was published meanwhile', () => haveAll(nodes, during))
    lan.lan.undeafen(dumb.machine, deaf.machine)
    const after = [await publish(dumb)]
    await until('all have what came after', () => haveAll(nodes, after))
    console.log(`      after ${ms} ms`)
  })

  for (const rttMs of [50, 150]) {
    it(`takes all in over a line of ${rttMs} ms`, async () => {
      const machine = lan.lan.machine()
      const { address } = pick(0)
      const isKernel = lan.lan.delay(machine, rttMs)
      const line = isKernel
        ? address
        : (await lan.guest(machine, 'delay', address, `${rttMs}`).next<{ address: string }>())
            .address
      if (isKernel) lan.lan.delay(pick(0).machine, 0)
      const far = await lan.node(`Far ${rttMs}`, [line], machine)
      await follow(far, pick(0))
      const own = published.filter(({ node }) => node === pick(0))
      const ids = own.map(({ record }) => record)
      const ms = await until('the far node has all', () => haveAll([far], ids))
      const how = isKernel ? 'netem' : 'a proxy, as this kernel has no netem'
      console.log(`      ${ids.length} models after ${ms} ms (delay by ${how})`)
      await far.stop()
    })
  }

  describe('under attack', () => {
    let attacker: Machine
    let honest: Machine
    before(() => {
      attacker = lan.lan.machine()
      honest = lan.lan.machine()
    })

    it('lets 10 of 10 honest peers in while sockets stay silent', async () => {
      const { machine, address } = pick(0)
      const silent = lan.guest(attacker, 'silent', machine.host, LIBP2P_PORT, '200')
      await silent.next()
      const { succeeded } = await lan
        .guest(honest, 'dial', '10', address)
        .next<{ succeeded: number }>()
      await silent.stop()
      assert.equal(succeeded, 10)
    })

    it('ends lines on which a byte a second comes, and lets others in meanwhile', async () => {
      const { machine, address } = pick(1)
      const drip = lan.guest(attacker, 'drip', machine.host, LIBP2P_PORT, '20')
      await drip.next()
      const { succeeded } = await lan
        .guest(honest, 'dial', '3', address)
        .next<{ succeeded: number }>()
      assert.equal(succeeded, 3)
      const { endedAfterMs } = await drip.next<{ endedAfterMs: number }>()
      console.log(`      all ended after ${Math.round(endedAfterMs)} ms`)
    })

    it('fetches from others what a member drips a byte a second', async () => {
      const machine = lan.lan.machine()
      const guest = lan.guest(machine, 'trickle', pick(3).address, `${FREE_BYTES}`)
      const { address } = await guest.next<{ address: string }>()
      const fetcher = await lan.node('Fetcher', [address, pick(2).address], machine)
      for (const node of nodes) await follow(fetcher, node)
      const records = [await publish(pick(0)), await publish(pick(0)), await publish(pick(3))]
      const ms = await until('it has all', () => haveAll([fetcher], records))
      console.log(`      after ${ms} ms`)
      await fetcher.stop()
    })

    it('sends nothing to private nets that it is not on, whatever peers say of themselves', async () => {
      const addresses = ELSEWHERE.map((host) => `/ip4/${host}/tcp/${LIBP2P_PORT}`)
      for (const { address } of nodes) {
        const guest = lan.guest(attacker, 'tempt', address, ...addresses)
        const { told } = await guest.next<{ told: number }>()
        assert.equal(told, addresses.length)
        await guest.next()
      }
      const record = await publish(pick(0))
      await until('the others have what comes then', () => haveAll(nodes, [record]))
      for (const { machine } of nodes) assert.equal(lan.lan.strayPackets(machine), 0, machine.name)
    })

    it('counts such a packet, if there is one', async () => {
      await lan.guest(attacker, 'knock', ELSEWHERE[0] ?? '').next()
      assert.equal(lan.lan.strayPackets(attacker), 1)
    })
  })
})

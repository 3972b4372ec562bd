import assert from 'node:assert/strict'
import { chmodSync, writeFileSync } from 'node:fs'
import net, { type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { Doctor, type DoctorParts } from '../../daemon/doctor.ts'
import { examineFolder } from '../../daemon/doctor-offline.ts'
import { initNode } from '../../daemon/init.ts'
import { CLOCK_WARN_MS, chosenAddresses } from '../../daemon/reach.ts'
import type { DoctorView, NodeView } from '../../protocol/api.ts'
import { refuse, ZoariumError } from '../../protocol/errors.ts'
import { MAX_CLOCK_AHEAD_MS } from '../../protocol/limits.ts'
import type { Dialled } from '../../protocol/peers-message.ts'
import { makeCertificate } from '../helpers/certificate.ts'
import { temporaryFolder } from '../helpers/folder.ts'

const NOW = Date.parse('2026-07-01')
const OPEN = '/ip4/8.8.8.8/tcp/7071'
const NAMED = '/dns/zoo.institute-a.example/tcp/443/tls/ws'
const PEER = '12D3KooWGGFPz2Mo3x4Kb5cYfAaGkRs8qMJoNcyAWEdkwZrBqdk3'

/** A node without a fault; `changes` go over what it says of itself. */
function nodeView(changes: object = {}): NodeView {
  const publisher = { handle: null, handleVerified: false, handleProblem: null }
  const engine = {
    name: 'onnx',
    version: '1',
    executionProviders: ['cpu'],
    isolation: ['memory', 'network'],
  }
  const fields = {
    addresses: [`${OPEN}/p2p/${PEER}`],
    self: 'sure',
    renewals: [],
    warnings: [],
    publisher,
    engine,
    ...changes,
  }
  return fields as unknown as NodeView
}

const reached = (addresses: readonly string[], code: string | null = null, now = NOW): Dialled => ({
  t: 'dialled',
  now,
  observed: '8.8.8.8',
  results: addresses.map((address) => ({ address, code, message: code && 'refused', ms: 1 })),
})

function examine(changes: Partial<DoctorParts> & { readonly node?: () => NodeView } = {}) {
  const folder = temporaryFolder()
  chmodSync(folder, 0o700)
  const config: DoctorParts['config'] = {
    folder,
    http: {
      listen: [],
      tls: null,
      behindProxy: false,
      hosts: [],
      publicUrl: null,
      proxies: [],
    },
    network: { listen: [], announce: [], dialPorts: [], peers: [], mdns: false, dht: false },
  }
  const parts: DoctorParts = {
    config,
    node: nodeView,
    clock: { now: () => NOW },
    connected: () => [{ peer: 'one', publisher: 'institute-b', isMember: true }],
    dialBack: async (_, addresses) => reached(addresses),
    dhtPeers: () => null,
    listed: () => 1,
    room: () => ({ ok: true }),
    addressesOf: async () => ['8.8.8.8'],
    ...changes,
  }
  const doctor = new Doctor(parts)
  return {
    config,
    doctor,
    get view() {
      return doctor.examine()
    },
  }
}

/** States of a check, in order. */
const states = (view: DoctorView, check: string) =>
  view.findings.filter((each) => each.check === check).map(({ state }) => state)
const hintOf = (view: DoctorView, check: string) =>
  view.findings.find((each) => each.check === check && each.hint !== undefined)?.hint ?? ''

describe('daemon/doctor', () => {
  it('finds nothing wrong with a node that is well', async () => {
    const view = await examine().view
    assert.equal(view.isWell, true, JSON.stringify(view))
    assert.deepEqual(
      view.findings.map(({ check, state }) => `${check} ${state}`),
      [
        'folder ok',
        'disk ok',
        'keys ok',
        'engine ok',
        'handle skip',
        'peers ok',
        'reach ok',
        'clock ok',
      ],
    )
  })

  it('believes members that they do not reach it, and says what to open', async () => {
    const dialBack: DoctorParts['dialBack'] = async (_, addresses) =>
      reached(addresses, 'UNREACHABLE')
    const view = await examine({ dialBack }).view
    assert.deepEqual(states(view, 'reach'), ['fail'])
    assert.match(hintOf(view, 'reach'), /firewall/)
    assert.equal(view.isWell, false)
    const named = nodeView({ addresses: [NAMED] })
    assert.match(hintOf(await examine({ dialBack, node: () => named }).view, 'reach'), /proxy/)
  })

  it('needs one address that works, and one member that says so', async () => {
    const node = () => nodeView({ addresses: [OPEN, NAMED] })
    const connected = () =>
      ['one', 'two', 'three', 'four', 'five'].map((peer) => {
        return { peer, publisher: peer, isMember: peer !== 'five' }
      })
    const asked: string[] = []
    const dialBack: DoctorParts['dialBack'] = async (peer) => {
      asked.push(peer)
      if (peer === 'two') throw new ZoariumError('TRUST', 'not listed')
      const [open] = reached([OPEN], peer === 'one' ? null : 'UNREACHABLE').results
      const [named] = reached([NAMED], 'UNREACHABLE').results
      return { ...reached([]), results: open && named ? [open, named] : [] }
    }
    const view = await examine({ node, connected, dialBack }).view
    // Three are asked, no stranger.
    assert.deepEqual(asked, ['one', 'two', 'three'])
    assert.deepEqual(states(view, 'reach'), ['warn', 'ok'])
    assert.equal(view.isWell, true)
  })

  it('says where nobody can tell', async () => {
    const alone = await examine({ connected: () => [] }).view
    assert.deepEqual([states(alone, 'reach'), states(alone, 'peers')], [['skip'], ['fail']])
    assert.deepEqual(states(alone, 'clock'), ['skip'])
    const dialBack: DoctorParts['dialBack'] = async () => {
      throw new ZoariumError('TRUST', 'not listed')
    }
    const stranger = await examine({ dialBack }).view
    assert.deepEqual(states(stranger, 'reach'), ['skip'])
    assert.match(hintOf(stranger, 'reach'), /zoarium trust add/)
    const unasked: DoctorParts['dialBack'] = async (_, addresses) => reached(addresses, 'PARAMETER')
    const node = () => nodeView({ addresses: [NAMED] })
    const view = await examine({ dialBack: unasked, node }).view
    assert.match(hintOf(view, 'reach'), /profile set --page/)
    const nowhere = await examine({ node: () => nodeView({ addresses: [] }) }).view
    assert.deepEqual(states(nowhere, 'reach'), ['ok'])
  })

  it('compares clocks', async () => {
    const of = async (skew: number) =>
      states(
        await examine({ dialBack: async () => reached([], null, NOW + skew) }).view,
        'clock',
      ).join()
    assert.equal(await of(CLOCK_WARN_MS - 1), 'ok')
    for (const sign of [1, -1]) {
      assert.equal(await of(sign * CLOCK_WARN_MS), 'warn')
      assert.equal(await of(sign * MAX_CLOCK_AHEAD_MS), 'warn')
      assert.equal(await of(sign * (MAX_CLOCK_AHEAD_MS + 1)), 'fail')
    }
  })

  it('passes on what the node says of itself', async () => {
    const renewal = { key: 'ab', scope: 'serve', notAfter: '2026-07-20', renews: null }
    const trouble = { code: 'KEY_EXPIRED', message: 'no root', hint: 'do' }
    const node = () =>
      nodeView({
        self: 'unsure',
        renewals: [
          { ...renewal, problem: null },
          { ...renewal, renews: '2026-07-10', problem: null },
          { ...renewal, problem: trouble },
        ],
        warnings: [
          { code: 'CONTESTED', message: 'forked', hint: 'heal' },
          { code: 'AMBIGUOUS', message: 'two tags' },
        ],
        engine: { name: 'onnx', version: '1', executionProviders: [], isolation: [] },
        publisher: {
          handle: 'a.example',
          handleVerified: false,
          handleProblem: { code: 'HANDLE', message: 'names another' },
        },
      })
    const room = () => refuse('DISK_FULL', 'less than 5 % free', { hint: 'free some' })
    const view = await examine({ node, room, listed: () => 0, dhtPeers: () => 0 }).view
    assert.deepEqual(states(view, 'keys'), ['warn', 'ok', 'fail'])
    assert.deepEqual(states(view, 'node'), ['fail', 'warn'])
    assert.deepEqual(states(view, 'engine'), ['fail', 'warn'])
    for (const check of ['self', 'disk']) assert.deepEqual(states(view, check), ['fail'], check)
    for (const check of ['handle', 'trust', 'dht']) {
      assert.deepEqual(states(view, check), ['warn'], check)
    }
  })

  it('looks at the folder, the name, the proxy and the certificate', async function () {
    const { config } = examine()
    chmodSync(config.folder, 0o750)
    const http = { ...config.http, behindProxy: true, publicUrl: 'https://zoo.a.example/' }
    const open = await examine({ config: { ...config, http } }).view
    assert.deepEqual(states(open, 'folder'), ['fail'])
    assert.deepEqual([states(open, 'proxy'), states(open, 'dns')], [['warn'], ['ok']])
    chmodSync(config.folder, 0o700)
    const named = { ...config, http: { ...http, proxies: ['127.0.0.1'] } }
    const inside = await examine({ config: named, addressesOf: async () => ['10.0.0.1'] }).view
    assert.deepEqual([states(inside, 'proxy'), states(inside, 'dns')], [[], ['warn']])
    const gone = async () => {
      throw new Error('ENOTFOUND')
    }
    const none = await examine({ config: named, addressesOf: gone }).view
    assert.deepEqual(states(none, 'dns'), ['fail'])

    const made = makeCertificate(temporaryFolder(), ['DNS:localhost'])
    if (made === null) return this.skip()
    const certificate = async (now: number, cert = made.path) => {
      const tls = { cert, key: cert }
      const changes = { clock: { now: () => now } }
      const all = { ...config, http: { ...config.http, tls } }
      return states(await examine({ config: all, ...changes }).view, 'certificate').join()
    }
    const day = 24 * 3600_000
    assert.equal(await certificate(Date.now() - 13 * day), 'ok')
    assert.equal(await certificate(Date.now()), 'warn')
    assert.equal(await certificate(Date.now() + 3 * day), 'fail')
    assert.equal(await certificate(Date.now(), '/nowhere'), 'warn')
  })

  it('examines once for all who ask at the same time', async () => {
    let asked = 0
    const { doctor } = examine({
      dialBack: async (_, addresses) => {
        asked++
        return reached(addresses)
      },
    })
    const [one, two] = await Promise.all([doctor.examine(), doctor.examine()])
    assert.equal(one, two)
    assert.equal(asked, 1)
    await doctor.examine()
    assert.equal(asked, 2)
  })

  it('asks for names and public addresses first', () => {
    const all = ['/ip4/10.0.0.1/tcp/1', `${OPEN}/p2p/${PEER}`, OPEN, NAMED, '/ip4/10.0.0.2/tcp/1']
    const more = '/ip4/10.0.0.3/tcp/1'
    assert.deepEqual(chosenAddresses([...all, more]), [NAMED, OPEN, all[0], all[4]])
  })
})

describe('daemon/doctor-offline', () => {
  it('says of a folder without a node how to make one', async () => {
    const { findings, isWell } = await examineFolder(temporaryFolder())
    assert.deepEqual(
      findings.map(({ check, hint }) => [check, hint]),
      [['folder', 'zoarium init']],
    )
    assert.equal(isWell, false)
  })

  it('tries the ports and reads the configuration of a node that does not run', async () => {
    const folder = temporaryFolder()
    await initNode({ folder, name: 'Institute A' })
    const taken = net.createServer()
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve))
    const { port } = taken.address() as AddressInfo
    const config = (listen: string) => writeFileSync(join(folder, 'config.yaml'), listen)
    config(`http: {listen: ["127.0.0.1:0"]}\nnetwork: {listen: [/ip4/127.0.0.1/tcp/${port}]}\n`)
    const view = await examineFolder(folder)
    taken.close()
    assert.deepEqual(states(view, 'ports'), ['ok', 'fail'])
    assert.deepEqual([states(view, 'config'), states(view, 'daemon')], [['ok'], ['fail']])
    const wrong = ['network: {listne: []}', 'network: {peers: [here]}', 'http: {proxies: [me]}']
    for (const text of [...wrong, 'http: {publicUrl: "http://a.example"}']) {
      config(text)
      assert.deepEqual(states(await examineFolder(folder), 'config'), ['fail'], text)
    }
  })
})

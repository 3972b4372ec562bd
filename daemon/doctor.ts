/**
 * `zoarium doctor`: what works, what does not, and what to change. Each check gives findings;
 * nothing here changes anything.
 */
import { X509Certificate } from 'node:crypto'
import { lookup } from 'node:dns/promises'
import { readFileSync, statSync } from 'node:fs'
import type { DoctorView, FindingView, NodeView } from '../protocol/api.ts'
import type { Failure } from '../protocol/errors.ts'
import type { Clock } from '../registry/clock.ts'
import type { Config } from './config.ts'
import { isPublicAddress } from './public-address.ts'
import {
  askPeers,
  chosenAddresses,
  clockFinding,
  type ReachParts,
  type ReachPeer,
  reachFindings,
} from './reach.ts'

/** A certificate is worth a look so long before it runs out. */
const CERTIFICATE_WARN_MS = 14 * 24 * 3600_000
const DNS_MS = 5_000

export interface DoctorParts {
  readonly config: Pick<Config, 'folder' | 'http' | 'network'>
  readonly node: () => NodeView
  readonly clock: Clock
  readonly connected: () => readonly ReachPeer[]
  readonly dialBack: ReachParts['dialBack']
  /** Peers in the DHT's table; null: this node takes no part in it. */
  readonly dhtPeers: () => number | null
  /** Publishers with the right `list`, this node's own apart. */
  readonly listed: () => number
  /** Whether the disk has room for more. */
  readonly room: () => { readonly ok: true } | Failure
  readonly addressesOf?: (host: string) => Promise<readonly string[]>
}

export class Doctor {
  readonly #parts: DoctorParts
  #running: Promise<DoctorView> | null = null

  constructor(parts: DoctorParts) {
    this.#parts = parts
  }

  /** Those who ask meanwhile get the same answer: members dial back once a minute at most. */
  examine(): Promise<DoctorView> {
    this.#running ??= this.#examine().finally(() => {
      this.#running = null
    })
    return this.#running
  }

  async #examine(): Promise<DoctorView> {
    const { clock, connected, dialBack, config } = this.#parts
    const node = this.#parts.node()
    const addresses = chosenAddresses(node.addresses)
    const words = await askPeers({ clock, connected, dialBack }, addresses)
    const findings = [
      folderFinding(config.folder),
      this.#disk(),
      ...nodeFindings(node),
      handleFinding(node),
      ...this.#certificate(),
      ...(await this.#publicUrl()),
      ...this.#peers(),
      ...reachFindings(addresses, words),
      clockFinding(words),
    ]
    return { findings, isWell: findings.every(({ state }) => state !== 'fail') }
  }

  #disk(): FindingView {
    const room = this.#parts.room()
    if (room.ok) return { check: 'disk', state: 'ok', message: 'has room' }
    const { message, hint } = room
    return { check: 'disk', state: 'fail', message, ...(hint === undefined ? {} : { hint }) }
  }

  #certificate(): readonly FindingView[] {
    const { tls } = this.#parts.config.http
    if (tls === null) return []
    const check = 'certificate'
    const hint = 'put a new certificate in its place, and start the daemon again'
    let until: number
    try {
      until = Date.parse(new X509Certificate(readFileSync(tls.cert)).validTo)
    } catch {
      return [{ check, state: 'warn', message: "couldn't read it any more", hint }]
    }
    const left = until - this.#parts.clock.now()
    const day = new Date(until).toISOString()
    if (left > CERTIFICATE_WARN_MS) return [{ check, state: 'ok', message: `good until ${day}` }]
    const [state, message] = left > 0 ? ['warn', 'runs out at'] : ['fail', 'ran out at']
    return [{ check, state: state as FindingView['state'], message: `${message} ${day}`, hint }]
  }

  async #publicUrl(): Promise<readonly FindingView[]> {
    const { publicUrl, behindProxy, proxies } = this.#parts.config.http
    if (publicUrl === null) return []
    const findings: FindingView[] = []
    if (behindProxy && proxies.length === 0) {
      findings.push({
        check: 'proxy',
        state: 'warn',
        message: 'all nodes that come through the reverse proxy seem to be the proxy itself',
        hint: 'name it: http: {proxies: [127.0.0.1]} in config.yaml',
      })
    }
    const host = new URL(publicUrl).hostname.replace(/^\[|\]$/g, '')
    const { addressesOf = resolve } = this.#parts
    try {
      const found = await addressesOf(host)
      const inside = found.find((address) => !isPublicAddress(address))
      findings.push(
        inside === undefined
          ? { check: 'dns', state: 'ok', message: `${host} is ${found.join(', ')}` }
          : {
              check: 'dns',
              state: 'warn',
              message: `${host} is ${inside} here, which is no public address`,
              hint: 'nodes of other networks reach it only where their DNS says otherwise',
            },
      )
    } catch {
      const hint = 'add the name to the DNS, or change http.publicUrl'
      findings.push({ check: 'dns', state: 'fail', message: `${host} has no address`, hint })
    }
    return findings
  }

  #peers(): readonly FindingView[] {
    const { connected, dhtPeers, listed } = this.#parts
    const peers = connected()
    const members = peers.filter(({ isMember }) => isMember).length
    const findings: FindingView[] = []
    if (listed() === 0) {
      findings.push({
        check: 'trust',
        state: 'warn',
        message: 'this node lists no other publisher, and shows no models but its own',
        hint: 'zoarium join a federation, or zoarium trust add PUBLISHER list',
      })
    }
    findings.push(
      peers.length === 0
        ? {
            check: 'peers',
            state: 'fail',
            message: 'no other node is connected',
            hint: 'zoarium peers add MULTIADDR, or zoarium join a federation; a firewall may forbid the port: network.dialPorts, docs/operations.md',
          }
        : {
            check: 'peers',
            state: 'ok',
            message: `${peers.length} connected, of which members: ${members}`,
          },
    )
    const table = dhtPeers()
    if (table !== null) {
      findings.push(
        table === 0
          ? {
              check: 'dht',
              state: 'warn',
              message:
                'nobody in the table of the DHT: models of nodes that were never met are not found',
              hint: 'it fills once a connected node takes part, too; or turn it off: network: {dht: false}',
            }
          : { check: 'dht', state: 'ok', message: `${table} nodes in its table` },
      )
    }
    return findings
  }
}

const resolve = async (host: string): Promise<readonly string[]> => {
  const late = new Promise<never>((_, reject) => {
    setTimeout(() => reject(new Error('no answer')), DNS_MS).unref()
  })
  const found = await Promise.race([lookup(host, { all: true }), late])
  return found.map(({ address }) => address)
}

/** The folder is for its owner's eyes. */
export function folderFinding(folder: string): FindingView {
  const check = 'folder'
  const mode = statSync(folder).mode & 0o777
  if ((mode & 0o077) === 0) return { check, state: 'ok', message: folder }
  const message = `others on this machine may read ${folder}, and the keys in it`
  return { check, state: 'fail', message, hint: `chmod 700 ${folder}` }
}

/** What the node says of itself. */
function nodeFindings(node: NodeView): readonly FindingView[] {
  const findings: FindingView[] = []
  const { engine } = node
  if (node.self !== 'sure') {
    findings.push({
      check: 'self',
      state: node.self === 'asking' ? 'warn' : 'fail',
      message: 'it was not stopped in order, and signs nothing until a peer has confirmed its logs',
      hint: 'connect a node that holds its records; zoarium daemon --help tells of --i-am-alone',
    })
  }
  for (const { scope, notAfter, renews, problem } of node.renewals) {
    const state = problem !== null ? 'fail' : renews === null ? 'warn' : 'ok'
    const how = renews === null ? '' : `; renewed by itself from ${renews} on`
    const why = problem === null ? how : `; not renewed: ${problem.message}`
    const hint = problem?.hint ?? `stop the daemon, then: zoarium keys renew ${scope}`
    findings.push({
      check: 'keys',
      state,
      message: `the ${scope} key runs out at ${notAfter}${why}`,
      ...(state === 'ok' ? {} : { hint }),
    })
  }
  if (node.renewals.length === 0) {
    findings.push({ check: 'keys', state: 'ok', message: 'none runs out within 30 days' })
  }
  for (const { code, message, hint } of node.warnings) {
    const state = code === 'CONTESTED' ? 'fail' : 'warn'
    findings.push({ check: 'node', state, message, ...(hint === undefined ? {} : { hint }) })
  }
  const hasEngine = engine.executionProviders.length > 0
  findings.push({
    check: 'engine',
    state: hasEngine ? 'ok' : 'fail',
    message: `${engine.name} ${engine.version}, ${engine.executionProviders.join(', ') || 'nothing runs it'}`,
  })
  if (!engine.isolation.includes('network')) {
    findings.push({
      check: 'engine',
      state: 'warn',
      message: 'models run with a network: this machine gives no name spaces of their own',
      hint: 'allow user name spaces: sysctl kernel.unprivileged_userns_clone=1 or user.max_user_namespaces',
    })
  }
  return findings
}

function handleFinding({ publisher }: NodeView): FindingView {
  const check = 'handle'
  const { handle, handleVerified, handleProblem } = publisher
  if (handle === null) return { check, state: 'skip', message: 'no handle is claimed' }
  if (handleVerified) return { check, state: 'ok', message: `${handle} confirms this publisher` }
  if (handleProblem === null)
    return { check, state: 'skip', message: `${handle} was not asked yet` }
  const hint = handleProblem.hint ?? `https://${handle}/.well-known/zoarium.json must name it`
  return { check, state: 'warn', message: `${handle}: ${handleProblem.message}`, hint }
}

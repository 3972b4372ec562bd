/**
 * Machines of a test, each a network namespace, on one switch that is a namespace too. Nothing of it
 * is in the network of the machine that runs the test, and removing the namespaces removes all.
 *
 * Lines are cut by taking the switch's end down, and one direction of them by a wrong entry in the
 * table of hardware addresses: frames go out to a machine that is not there. Both need no kernel
 * module, which netem does (`delay`).
 */
import { execFileSync, spawnSync } from 'node:child_process'
import process from 'node:process'

const ip = (...args: string[]): string => execFileSync('ip', args, { encoding: 'utf8' })

/** Of nobody on the switch. */
const NOBODY = '02:00:00:00:00:01'
/** Everything private but the switch's own net: what a node must not knock at. */
const PRIVATE = ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '169.254.0.0/16', '100.64.0.0/10']

export interface Machine {
  readonly name: string
  /** IPv4 address on the switch. */
  readonly host: string
  /** Words before a command that is to run there. */
  readonly within: readonly string[]
}

/** Why this machine can't have namespaces; null: it can. */
export function whyNoLan(): string | null {
  if (process.platform !== 'linux') return 'not Linux'
  if (process.getuid?.() !== 0) return 'not root'
  const name = `zoarium-probe-${process.pid}`
  const { status, error, stderr } = spawnSync('ip', ['netns', 'add', name], { encoding: 'utf8' })
  if (status !== 0) return `ip netns: ${error?.message ?? stderr.trim()}`
  ip('netns', 'delete', name)
  return null
}

export class Lan {
  readonly #prefix: string
  readonly #switch: string
  readonly #net: string
  readonly #namespaces: string[] = []
  readonly #machines: Machine[] = []

  /** @param name of the test; with the process it makes names that nobody else has */
  constructor(name: string) {
    this.#prefix = `zoarium-${name}-${process.pid}`
    this.#switch = `${this.#prefix}-switch`
    this.#net = '10.83.71'
    this.#add(this.#switch)
    ip('-n', this.#switch, 'link', 'add', 'bridge', 'type', 'bridge')
    ip('-n', this.#switch, 'link', 'set', 'bridge', 'up')
  }

  #add(namespace: string): void {
    ip('netns', 'add', namespace)
    this.#namespaces.push(namespace)
    ip('-n', namespace, 'link', 'set', 'lo', 'up')
  }

  /** Another machine on the switch. */
  machine(): Machine {
    const n = this.#machines.length
    const name = `${this.#prefix}-${n}`
    this.#add(name)
    const [port, host] = [`port${n}`, `${this.#net}.${n + 1}`]
    ip(
      '-n',
      this.#switch,
      'link',
      'add',
      port,
      'type',
      'veth',
      'peer',
      'name',
      'line',
      'netns',
      name,
    )
    ip('-n', this.#switch, 'link', 'set', port, 'master', 'bridge', 'up')
    ip('-n', name, 'address', 'add', `${host}/24`, 'dev', 'line')
    ip('-n', name, 'link', 'set', 'line', 'up')
    // Where packets to other private nets are counted and end.
    const end = `end${n}`
    ip(
      '-n',
      name,
      'link',
      'add',
      'elsewhere',
      'type',
      'veth',
      'peer',
      'name',
      end,
      'netns',
      this.#switch,
    )
    ip('-n', this.#switch, 'link', 'set', end, 'up')
    // Nothing goes there by itself.
    ip('-n', name, 'link', 'set', 'elsewhere', 'arp', 'off', 'addrgenmode', 'none', 'up')
    for (const net of PRIVATE) ip('-n', name, 'route', 'add', net, 'dev', 'elsewhere', 'src', host)
    const machine = { name, host, within: ['ip', 'netns', 'exec', name] }
    this.#machines.push(machine)
    return machine
  }

  /** Packets that a machine sent to private nets that it is not on. */
  strayPackets({ name }: Machine): number {
    const [link] = JSON.parse(ip('-n', name, '-s', '-j', 'link', 'show', 'elsewhere'))
    return link.stats64.tx.packets
  }

  /** Takes machines off the switch; nobody is told. */
  cut(...machines: readonly Machine[]): void {
    for (const each of machines) this.#set(each, 'down')
  }

  /** Puts them on it again. */
  heal(...machines: readonly Machine[]): void {
    for (const each of machines) this.#set(each, 'up')
  }

  #set(machine: Machine, state: 'up' | 'down'): void {
    ip('-n', this.#switch, 'link', 'set', `port${this.#machines.indexOf(machine)}`, state)
  }

  /** What `from` sends to `to` is lost; the other direction is not. */
  deafen(from: Machine, to: Machine): void {
    const neighbour = ['neighbour', 'replace', to.host, 'lladdr', NOBODY, 'dev', 'line']
    ip('-n', from.name, ...neighbour, 'nud', 'permanent')
  }

  /** Ends that. */
  undeafen(from: Machine, to: Machine): void {
    ip('-n', from.name, 'neighbour', 'delete', to.host, 'dev', 'line')
  }

  /** Adds half a round trip to all that a machine sends. @returns whether the kernel can */
  delay({ name }: Machine, rttMs: number): boolean {
    const words = ['-n', name, 'qdisc', 'replace', 'dev', 'line', 'root', 'netem']
    const { status } = spawnSync('tc', [...words, 'delay', `${rttMs / 2}ms`, 'limit', '100000'])
    return status === 0
  }

  /** Removes everything; what still runs there is the caller's to end. */
  remove(): void {
    for (const each of this.#namespaces.splice(0).reverse()) {
      spawnSync('ip', ['netns', 'delete', each])
    }
  }
}

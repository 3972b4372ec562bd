/** Daemons on the machines of a Lan, reached from the test as if they were on loopback. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { initNode, type NodeProcess, startNode } from '../../cli/colony.ts'
import { Lan, type Machine } from './lan.ts'

const GUEST = fileURLToPath(new URL('./guest.ts', import.meta.url))
const LIBP2P_PORT = 7071

/** A guest's lines. */
export class Guest {
  readonly process: ChildProcess
  readonly #lines: AsyncIterator<string>

  constructor(machine: Machine, work: readonly string[]) {
    const words = [...machine.within, process.execPath, GUEST, ...work]
    // SAFE: the list has at least the program.
    this.process = spawn(words[0] as string, words.slice(1), { stdio: ['pipe', 'pipe', 'inherit'] })
    assert(this.process.stdout !== null)
    this.#lines = createInterface({ input: this.process.stdout })[Symbol.asyncIterator]()
  }

  /** The next thing that happens. */
  async next<T>(): Promise<T> {
    const { value, done } = await this.#lines.next()
    assert(done !== true, 'the guest is gone')
    return JSON.parse(value) as T
  }

  async stop(): Promise<void> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return
    const closed = once(this.process, 'close')
    this.process.kill('SIGKILL')
    await closed
  }
}

export interface LanNode extends NodeProcess {
  readonly machine: Machine
  /** Address on the switch, with the PeerId. */
  readonly address: string
}

export class LanFederation {
  readonly lan: Lan
  readonly #guests: Guest[] = []
  readonly #nodes: NodeProcess[] = []
  readonly #servers: net.Server[] = []
  #folder: string | null = null

  constructor(name: string) {
    this.lan = new Lan(name)
  }

  async folder(): Promise<string> {
    this.#folder ??= await mkdtemp(path.join(os.tmpdir(), 'zoarium-network-'))
    return this.#folder
  }

  /** @param peers multiaddrs that it keeps a connection to */
  async node(
    name: string,
    peers: readonly string[] = [],
    machine = this.lan.machine(),
    flags: readonly string[] = [],
  ): Promise<LanNode> {
    const folder = path.join(await this.folder(), name)
    await initNode(folder, name)
    const port = await this.#enter(machine, path.join(await this.folder(), `${name}.sock`))
    const dial = peers.flatMap((each) => ['--peer', each])
    const listen = ['--listen', `/ip4/0.0.0.0/tcp/${LIBP2P_PORT}`, '--no-mdns']
    const all = ['--log-level', 'error', ...listen, ...dial, ...flags]
    const node = await startNode(folder, all, {
      within: machine.within,
      http: `127.0.0.1:${port}`,
      asConfigured: true,
    })
    this.#nodes.push(node)
    const address = `/ip4/${machine.host}/tcp/${LIBP2P_PORT}/p2p/${node.peer}`
    return { ...node, machine, address }
  }

  /** A port that leads into the loopback of a machine, to the same number. */
  async #enter(machine: Machine, socket: string): Promise<number> {
    const server = net.createServer((outside) => {
      const inside = net.connect(socket)
      for (const [from, to] of [
        [inside, outside],
        [outside, inside],
      ] as const) {
        from.pipe(to)
        from.on('error', () => to.destroy())
      }
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    this.#servers.push(server)
    const { port } = server.address() as net.AddressInfo
    await this.guest(machine, 'relay', socket, String(port)).next()
    return port
  }

  guest(machine: Machine, ...work: readonly string[]): Guest {
    const guest = new Guest(machine, work)
    this.#guests.push(guest)
    return guest
  }

  async remove(): Promise<void> {
    try {
      for (const each of this.#servers.splice(0)) each.close()
      await Promise.all(this.#nodes.splice(0).map((each) => each.kill()))
      await Promise.all(this.#guests.splice(0).map((each) => each.stop()))
    } finally {
      this.lan.remove()
      if (this.#folder !== null) await rm(this.#folder, { recursive: true, force: true })
    }
  }
}

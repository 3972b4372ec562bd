/**
 * One data folder of a real daemon, killed again and again while people use it over HTTP and a peer
 * gives it models. The peer, which lives on, is the witness: what it was given must be there after
 * each kill, and it must never see two records at one position.
 */
import fs from 'node:fs'
import path from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Client } from '../../cli/client.ts'
import { type NodeProcess, startNode as startDaemon } from '../../cli/colony.ts'
import type { Cid } from '../../protocol/cid.ts'
import { CODES, type Code, ZoariumError } from '../../protocol/errors.ts'
import { LEAF_BYTES } from '../../protocol/limits.ts'
import { systemClock } from '../../registry/clock.ts'
import { dataFolder } from '../../registry/data-folder.ts'
import { bindingOf, startNode, type TestNode } from '../helpers/network.ts'
import { exampleFiles, zipOf } from '../helpers/package.ts'
import { TestPublisher } from '../helpers/publisher.ts'
import { admit, keepFiles, openTestRegistry, trust } from '../helpers/registry.ts'
import { Random } from '../simulator/random.ts'
import { bytesOf, toBase64 } from './command.ts'
import type { GenerationOptions, GenerationResult } from './generation.ts'
import { Journal } from './journal.ts'
import { drawKill, environmentOf, type Kill, nameOf } from './kill.ts'
import { faultsOf } from './oracle.ts'

const SWITCH = fileURLToPath(new URL('./kill-switch.ts', import.meta.url))
/** What is asked of a daemon that is not killed meanwhile. */
const MAX_REQUESTS = 8
/** Kills from outside come later than with a process that has less to load. */
const MAX_MS = 1200
/** Codes of a node that is being killed, or has not met its peer yet. */
const ALLOWED: ReadonlySet<string> = new Set(['UNREACHABLE', 'SELF_UNSURE', 'NOT_FOUND'])

export async function runDaemonGeneration(options: GenerationOptions): Promise<GenerationResult> {
  const generation = new DaemonGeneration(options)
  return generation.run()
}

class DaemonGeneration {
  readonly #options: GenerationOptions
  readonly #journal: Journal
  readonly #kills = new Map<string, number>()
  readonly #acknowledged = new Map<string, number>()
  readonly #faults: string[] = []
  readonly #folder
  readonly #own: TestPublisher
  /** Models of the peer that may be fetched, with their files. */
  readonly #offered = new Map<Cid, readonly Cid[]>()
  readonly #published: Cid[] = []
  #version = 0

  constructor(options: GenerationOptions) {
    this.#options = options
    this.#journal = new Journal(options.world)
    this.#folder = dataFolder(path.join(options.disk.path, 'node'))
    // The one of the world, of whom only the identity is known to the node.
    this.#own = new TestPublisher('peer', options.world.start)
  }

  async run(): Promise<GenerationResult> {
    const { world, disk, seed, kills } = this.#options
    const random = new Random(seed)
    fs.cpSync(world.template.path, this.#folder.path, { recursive: true })
    const peer = await this.#startPeer()
    try {
      for (let n = 1; n <= kills && this.#faults.length === 0; n += 1) {
        const life = random.fork(`life ${n}`)
        const kill = drawDaemonKill(life)
        await this.#live(kill, life, peer)
        await disk.cut()
        await this.#look(peer, `daemon kill ${n}, ${nameOf(kill)} ${JSON.stringify(kill)}`)
      }
    } finally {
      await peer.network.stop()
      await disk.remove()
    }
    return {
      kills: this.#kills,
      acknowledged: this.#acknowledged,
      positions: this.#journal.seen.size,
      faults: this.#faults,
    }
  }

  async #startPeer(): Promise<TestNode> {
    const registry = await openTestRegistry(this.#own, systemClock)
    trust(registry, this.#options.world.own, 'mirror', true)
    const peer: TestNode = await startNode(this.#own, {
      registry,
      clock: systemClock,
      binding: () =>
        bindingOf(this.#own, peer.network.peerId, ['sync'], systemClock.now() - 60_000),
    })
    return peer
  }

  async #live(kill: Kill, random: Random, peer: TestNode): Promise<void> {
    const { cache, env } = this.#options
    const daemon = await startDaemon(
      this.#folder.path,
      ['--log-level', 'silent', '--peer', peer.address],
      {
        env: {
          ...env,
          ...environmentOf(kill),
          NODE_OPTIONS: `--import=${SWITCH}`,
          NODE_COMPILE_CACHE: path.resolve(cache),
        },
      },
    ).catch((error) => {
      // It may be killed while it starts.
      if (error instanceof ZoariumError && error.code === 'UNREACHABLE') return null
      throw error
    })
    if (daemon !== null) await this.#use(daemon, kill, random, peer)
    const isEnd = daemon !== null && kill.at !== 'time' && daemon.process.signalCode === null
    await daemon?.kill()
    const name = `daemon: ${isEnd ? 'when all was done' : nameOf(kill)}`
    this.#kills.set(name, (this.#kills.get(name) ?? 0) + 1)
  }

  async #use(daemon: NodeProcess, kill: Kill, random: Random, peer: TestNode): Promise<void> {
    const token = fs.readFileSync(this.#folder.token, 'utf8').trim()
    const client = new Client({
      url: new URL(daemon.url),
      token,
      signal: AbortSignal.timeout(60_000),
    })
    const killed = kill.at === 'time' ? setTimeout(kill.ms).then(() => daemon.kill()) : null
    for (let n = 0; n < MAX_REQUESTS && isAlive(daemon); n += 1) {
      await this.#request(client, random, peer)
    }
    await killed
  }

  /** One request, and what it promises. */
  async #request(client: Client, random: Random, peer: TestNode): Promise<void> {
    const what = random.weighted({ publish: 4, offer: 4, pull: 4, tag: 2, sync: 3, gc: 1 })
    const journal = this.#journal
    try {
      switch (what) {
        case 'publish': {
          const version = `${++this.#version}.0.0`
          const zip = await zipOf(exampleFiles({ name: 'Crash test', version }))
          const body = (async function* () {
            yield zip
          })()
          const query = { untested: true }
          const { record } = await client.publish({ body, size: zip.length, query })
          if (record === null) throw new TypeError('it was no dry run')
          journal.records.add(record)
          this.#published.push(record)
          break
        }
        case 'offer':
          await this.#offer(random, peer)
          break
        case 'pull': {
          const record = [...this.#offered.keys()].at(-1)
          if (record === undefined) return
          await client.sync(null)
          await client.pull(record)
          journal.records.add(record)
          for (const cid of this.#offered.get(record) ?? []) journal.files.set(cid, 'pull')
          break
        }
        case 'tag': {
          const record = this.#published.at(-1)
          if (record === undefined) return
          const { record: id } = await client.tag(record, random.pick(['a', 'b']))
          journal.records.add(id)
          break
        }
        case 'sync':
          await peer.network.syncNow()
          break
        case 'gc':
          await client.collectGarbage(true)
      }
      journal.acknowledged += 1
      this.#acknowledged.set(
        `daemon: ${what}`,
        (this.#acknowledged.get(`daemon: ${what}`) ?? 0) + 1,
      )
    } catch (error) {
      const code = (error as { code?: string }).code ?? ''
      const isOurs = Object.hasOwn(CODES, code as Code) || error instanceof ZoariumError
      if (isOurs && !ALLOWED.has(code)) journal.faults.push(`${what}: ${code} ${String(error)}`)
    }
  }

  /** The peer has another model, which the daemon follows. */
  async #offer(random: Random, peer: TestNode): Promise<void> {
    const n = this.#offered.size
    const bytes = random.pick([5000, 2 * LEAF_BYTES + 100])
    const model = this.#own.model({
      name: `offer${n}`,
      weights: bytesOf(5_000_000 + 10 * n, bytes),
    })
    admit(peer.registry, model)
    await keepFiles(peer.registry, model)
    for (const head of peer.registry.heads()) peer.network.announceHead(head)
    const { record } = model.signed
    const files = record.kind === 'model' ? record.body.files : []
    this.#offered.set(
      model.signed.id,
      files.map(({ cid }) => cid),
    )
  }

  async #look(peer: TestNode, when: string): Promise<void> {
    const { catalogue } = peer.registry
    const { own } = this.#options.world
    for (const { key, proof, head } of catalogue.logs(own)) {
      if (proof !== null) this.#faults.push(`the peer has seen a fork of ${key} (${when})`)
      for (const { envelope } of catalogue.recordsAfter(own, key, null, 100_000)) {
        this.#journal.left('record', toBase64(envelope))
      }
      if (head !== null) this.#journal.left('head', toBase64(head))
    }
    const look = path.join(this.#options.disk.path, 'look')
    const found = await faultsOf(this.#folder, look, this.#journal).catch((error) => [
      `the folder can't be opened: ${error?.stack}`,
    ])
    this.#faults.push(...found.map((fault) => `${fault} (seed ${this.#options.seed}, ${when})`))
  }
}

/** A daemon passes other places, and lives longer. */
function drawDaemonKill(random: Random): Kill {
  const kill = drawKill(random, false)
  if (kill.at === 'time') return { at: 'time', ms: random.int(0, MAX_MS) }
  return kill
}

const isAlive = ({ process: { exitCode, signalCode } }: NodeProcess): boolean =>
  exitCode === null && signalCode === null

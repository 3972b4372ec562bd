/** Real daemons for a test; stopped and their folders removed afterwards. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { Client } from '../../cli/client.ts'
import {
  environmentOf,
  initNode,
  type NodeProcess,
  runCommand,
  type StartOptions,
  startNode,
} from '../../cli/colony.ts'

/** Longest wait for something that a colony does by itself. */
const WAIT_MS = 30_000

export class Colony {
  readonly #nodes: NodeProcess[] = []
  readonly #folders: string[] = []

  /** A node with a fresh folder, connected to `peers`. */
  async node(name: string, peers: readonly NodeProcess[] = [], flags: string[] = []) {
    const folder = await this.folder()
    await initNode(folder, name)
    return this.start(folder, peers, flags)
  }

  async start(
    folder: string,
    peers: readonly NodeProcess[] = [],
    flags: string[] = [],
    options: StartOptions = {},
  ) {
    const dial = peers.flatMap(({ addresses }) => addresses.flatMap((at) => ['--peer', at]))
    const node = await startNode(folder, ['--log-level', 'error', ...dial, ...flags], options)
    this.#nodes.push(node)
    return node
  }

  async folder(): Promise<string> {
    const folder = await mkdtemp(join(tmpdir(), 'zoarium-e2e-'))
    this.#folders.push(folder)
    return folder
  }

  async stop(): Promise<void> {
    await Promise.all(this.#nodes.splice(0).map((node) => node.stop()))
    for (const folder of this.#folders.splice(0)) await rm(folder, { recursive: true, force: true })
  }
}

export const clientOf = (node: NodeProcess): Client =>
  new Client({ url: new URL(node.url), token: null, signal: new AbortController().signal })

/** Runs a command against a node. */
export const zoarium = (node: NodeProcess, ...args: string[]) =>
  runCommand(args, environmentOf(node))

/** The command's JSON; fails the test where it failed. */
export async function zoariumJson<T>(node: NodeProcess, ...args: string[]): Promise<T> {
  const { code, stdout, stderr } = await zoarium(node, '--json', ...args)
  assert.equal(code, 0, `zoarium ${args.join(' ')}: ${stderr}`)
  return JSON.parse(stdout) as T
}

/** The first answer that is something, asked at each event of the node. */
export async function eventually<T>(
  node: NodeProcess,
  ask: () => Promise<T | null | undefined | false>,
): Promise<T> {
  const signal = AbortSignal.timeout(WAIT_MS)
  const first = await ask()
  if (first) return first
  for await (const _ of clientOf(node).events(signal)) {
    const answer = await ask()
    if (answer) return answer
  }
  throw new assert.AssertionError({ message: 'the node stopped before it happened' })
}

/** Waits until `node` has met the publisher of `other`. */
export async function meets(node: NodeProcess, other: NodeProcess): Promise<void> {
  await eventually(node, async () =>
    (await clientOf(node).peers()).some(({ publisher }) => publisher?.id === other.publisher),
  )
}

/** The first answer that is something, asked again and again: for what no event tells. */
export async function until<T>(ask: () => Promise<T | null | undefined | false>): Promise<T> {
  const signal = AbortSignal.timeout(WAIT_MS)
  for (;;) {
    const answer = await ask()
    if (answer) return answer
    signal.throwIfAborted()
    await setImmediate()
  }
}

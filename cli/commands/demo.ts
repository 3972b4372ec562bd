/**
 * `zoarium demo`: the main job on this machine. Three real daemons on loopback, each with a fresh
 * data folder: institute-a publishes, institute-b replicates, institute-c finds the model and has
 * its image done by the nearest node that may, without holding the model.
 */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { decode, encode } from 'fast-png'
import { decodeNpy } from '../../daemon/inference/image/npy.ts'
import type { ModelSummary } from '../../protocol/api.ts'
import { expectOk, ZoariumError } from '../../protocol/errors.ts'
import { Client } from '../client.ts'
import {
  environmentOf,
  initNode,
  type NodeProcess,
  projectPath,
  runCommand,
  startNode,
} from '../colony.ts'
import { formatMs } from '../format.ts'
import type { Output } from '../output.ts'
import { drawOverlay } from '../overlay.ts'
import type { Cli, Session } from '../session.ts'

/** Longest wait for replication, search or a heartbeat. */
const WAIT_MS = 30_000
const POLL_MS = 50
/** The rule of the field for equal results: |a - e| <= absolute + relative * |e|. */
const TOLERANCE = 1e-3

interface Options {
  readonly keep?: boolean
  readonly output: string
}

export function addDemo({ program, session }: Cli): void {
  program
    .command('demo')
    .description('three nodes on this machine: publish, replicate, search, run at the nearest')
    .option('--keep', 'leave the nodes running until Ctrl-C')
    .option('--output <dir>', 'where the pictures go', 'demo-output')
    .action(async (options: Options) => {
      await demonstrate(session(), options)
    })
}

async function demonstrate({ output, io }: Session, options: Options): Promise<void> {
  const root = await mkdtemp(join(tmpdir(), 'zoarium-demo-'))
  const nodes: NodeProcess[] = []
  try {
    const demo = new Demo(root, nodes, output, io.signal)
    await demo.run(options.output)
    if (options.keep === true) await keep(nodes, output, io.signal)
  } finally {
    await Promise.all(nodes.map((node) => node.stop()))
    await rm(root, { recursive: true, force: true })
  }
}

async function keep(
  nodes: readonly NodeProcess[],
  output: Output,
  signal: AbortSignal,
): Promise<void> {
  output.line()
  for (const node of nodes) {
    output.line(`ZOARIUM_DIR=${node.folder} ZOARIUM_URL=${node.url}`)
    for (const address of node.addresses) output.line(`  ${address}`)
  }
  output.note('The nodes go on running; stop them with Ctrl-C.')
  await sleep(2 ** 31 - 1, null, { signal }).catch(() => {})
}

class Demo {
  readonly #root: string
  readonly #nodes: NodeProcess[]
  readonly #output: Output
  readonly #signal: AbortSignal
  readonly #example = projectPath('docs', 'examples', 'nuclei-unet')

  constructor(root: string, nodes: NodeProcess[], output: Output, signal: AbortSignal) {
    this.#root = root
    this.#nodes = nodes
    this.#output = output
    this.#signal = signal
  }

  async run(folder: string): Promise<void> {
    const [a, b, c] = await this.#step('start institute-a, -b and -c', () => this.#start())
    await this.#step('b and c say whom they trust', () => this.#trust(a, b, c))

    const published = await this.#step('institute-a publishes the example model', () =>
      this.#command(a, ['publish', this.#example, '--json']),
    )
    const { ref, record } = JSON.parse(published) as { ref: string; record: string }
    this.#output.line(`    ${ref}  ${record}`)

    await this.#step('institute-b replicates it', () =>
      this.#until('the replica', async () => (await this.#find(b))?.held === true),
    )
    const found = await this.#step('institute-c finds it by searching for "nuclei"', () =>
      this.#until('the search', () => this.#find(c)),
    )
    this.#output.line(`    ${found.ref}  ${found.title}, ${found.runnable.reason}`)

    const route = await this.#step('institute-c asks who is nearest', () =>
      this.#until('a heartbeat', async () => {
        const routes = await clientOf(c, this.#signal).route(found.record, 128 * 1024)
        return routes.some(({ eligible }) => eligible) ? routes : null
      }),
    )
    this.#output.table(
      ['    NODE', 'TOTAL', 'UPLOAD', 'RTT', 'QUEUE', 'COLD', 'COMPUTE', 'WHY NOT'],
      route.map(({ node, publisher, cost, reason }) => {
        const { totalMs, uploadMs, rttMs, queueMs, coldMs, computeMs } = cost ?? {}
        const terms = [totalMs, uploadMs, rttMs, queueMs, coldMs, computeMs]
        const times = terms.map((ms) => (ms === undefined ? '-' : formatMs(ms)))
        return [`    ${publisher?.label ?? node}`, ...times, reason ?? '']
      }),
    )
    await this.#infer(c, found, folder)
  }

  async #start(): Promise<[NodeProcess, NodeProcess, NodeProcess]> {
    const folders = ['a', 'b', 'c'].map((letter) => join(this.#root, `institute-${letter}`))
    await Promise.all(
      folders.map((folder, n) => initNode(folder, `Institute ${['A', 'B', 'C'][n]}`)),
    )
    const [ofA = '', ofB = '', ofC = ''] = folders
    const start = async (folder: string, flags: string[]): Promise<NodeProcess> => {
      const node = await startNode(folder, ['--log-level', 'warn', ...flags])
      this.#nodes.push(node)
      return node
    }
    const a = await start(ofA, [])
    const toA = peerFlags(a)
    const b = await start(ofB, toA)
    // institute-c does not fetch models by itself: it lists them and has them run elsewhere.
    const c = await start(ofC, [...toA, ...peerFlags(b), '--no-follow'])
    return [a, b, c]
  }

  async #trust(a: NodeProcess, b: NodeProcess, c: NodeProcess): Promise<void> {
    for (const node of [b, c]) await this.#knows(node, a.publisher)
    await this.#knows(c, b.publisher)
    await this.#knows(b, c.publisher)
    await this.#command(b, ['trust', 'add', a.publisher, 'run'])
    // Members of a federation list each other; b serves only those whom it lists.
    await this.#command(b, ['trust', 'add', c.publisher, 'list'])
    await this.#command(c, ['trust', 'add', a.publisher, 'run'])
    await this.#command(c, ['trust', 'add', b.publisher, 'list', '--send'])
  }

  async #knows(node: NodeProcess, publisher: string): Promise<void> {
    await this.#until('the introduction', async () =>
      (await clientOf(node, this.#signal).peers()).some((peer) => peer.publisher?.id === publisher),
    )
  }

  async #find(node: NodeProcess): Promise<ModelSummary | null> {
    const page = await clientOf(node, this.#signal).search({ q: 'nuclei' })
    return page.items[0] ?? null
  }

  async #infer(node: NodeProcess, model: ModelSummary, folder: string): Promise<void> {
    const run = async (file: string) =>
      clientOf(node, this.#signal).infer(model.record, {
        bytes: await readFile(join(this.#example, file)),
        mediaType: file.endsWith('.png') ? 'image/png' : 'application/octet-stream',
        on: 'nearest',
        output: 'npy',
      })
    const sample = 'sample_input.png'
    const answer = await this.#step('institute-c has its image done at the nearest node', () =>
      run(sample),
    )
    const peers = await clientOf(node, this.#signal).peers()
    const where = peers.find(({ peer }) => peer === answer.node)?.publisher?.displayName
    this.#output.line(`    ran at ${where ?? answer.node}`)

    await this.#step(`pictures in ${folder}/`, async () => {
      await mkdir(folder, { recursive: true })
      const input = await readFile(join(this.#example, sample))
      const { data, width, height } = decode(input)
      const result = expectOk(decodeNpy(answer.body)).tensor
      // The first channel is the foreground.
      const foreground = Float32Array.from(
        // SAFE: the card declares float32 output.
        result.data.subarray(0, width * height) as Float32Array,
      )
      await writeFile(join(folder, 'input.png'), input)
      const levels = Uint8Array.from(foreground, (value) => Math.round(255 * value))
      await writeFile(
        join(folder, 'result.png'),
        encode({ data: levels, width, height, channels: 1, depth: 8 }),
      )
      const overlay = drawOverlay(data, foreground, width, height)
      await writeFile(
        join(folder, 'overlay.png'),
        encode({ data: overlay, width, height, channels: 3, depth: 8 }),
      )
    })

    const worst = await this.#step('the result is the one that the card promises', async () => {
      const { body } = await run('test_input.npy')
      return compare(body, await readFile(join(this.#example, 'test_output.npy')))
    })
    this.#output.line(`    greatest difference ${worst.toExponential(1)}`)
  }

  /** Runs one command against a node, as a person would. */
  async #command(node: NodeProcess, args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await runCommand(args, environmentOf(node))
    if (code !== 0) {
      throw new ZoariumError('INTERNAL', `zoarium ${args.join(' ')}: ${stderr.trim()}`)
    }
    return stdout
  }

  async #until<T>(what: string, ask: () => Promise<T | null | undefined | false>): Promise<T> {
    const deadline = Date.now() + WAIT_MS
    while (Date.now() < deadline) {
      this.#signal.throwIfAborted()
      const answer = await ask()
      if (answer !== null && answer !== undefined && answer !== false) return answer
      await sleep(POLL_MS)
    }
    throw new ZoariumError('TIMEOUT', `${what} did not come`, { limit: `${WAIT_MS} ms` })
  }

  async #step<T>(title: string, work: () => Promise<T>): Promise<T> {
    const started = performance.now()
    const result = await work()
    const seconds = ((performance.now() - started) / 1000).toFixed(2)
    this.#output.line(`${seconds.padStart(6)} s  ${title}`)
    return result
  }
}

const peerFlags = (node: NodeProcess): string[] =>
  node.addresses.flatMap((address) => ['--peer', address])

const clientOf = (node: NodeProcess, signal: AbortSignal): Client =>
  new Client({ url: new URL(node.url), token: null, signal })

/** @returns the greatest difference @throws ZoariumError TEST_FAILED beyond the tolerance */
function compare(actual: Uint8Array, expected: Uint8Array): number {
  const [a, e] = [actual, expected].map((bytes) => expectOk(decodeNpy(bytes)).tensor.data)
  let worst = 0
  for (const [i, value] of (e ?? []).entries()) {
    const wanted = Number(value)
    const difference = Math.abs(Number(a?.[i]) - wanted)
    if (!(difference <= TOLERANCE + TOLERANCE * Math.abs(wanted))) {
      throw new ZoariumError('TEST_FAILED', 'the result differs from the published one', {
        got: difference,
        limit: TOLERANCE,
      })
    }
    worst = Math.max(worst, difference)
  }
  return worst
}

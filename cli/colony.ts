/**
 * Daemons as child processes on loopback, each with a folder of its own: for the demonstration and
 * for tests with real daemons.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { ZoariumError } from '../protocol/errors.ts'

/** Longest wait for a daemon to say that it is ready. */
export const START_TIMEOUT_MS = 30_000
/** Longest wait for a daemon to stop by itself before it is killed. */
const STOP_TIMEOUT_MS = 10_000

/** What `zoarium daemon --json` prints once it is ready. */
export interface ReadyLine {
  readonly url: string
  readonly addresses: readonly string[]
  readonly publisher: string
  readonly peer: string
}

export interface NodeProcess extends ReadyLine {
  readonly folder: string
  readonly process: ChildProcess
  /** Ends it as Ctrl-C would. */
  stop(): Promise<void>
  /** Ends it as a power cut would. */
  kill(): Promise<void>
}

/** The entry of the command line, as sources or built. */
const entry = (): string => {
  const source = fileURLToPath(new URL('./main.ts', import.meta.url))
  return existsSync(source) ? source : fileURLToPath(new URL('./main.js', import.meta.url))
}

/** Runs one command to its end. @returns exit code and output */
export async function runCommand(
  args: readonly string[],
  env: NodeJS.ProcessEnv,
): Promise<{ code: number; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, [entry(), ...args], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text) => (stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text) => (stderr += text))
  const [code] = await once(child, 'close')
  return { code: code ?? 1, stdout, stderr }
}

/** Makes an identity in `folder`. @throws ZoariumError STORE with the command's own words */
export async function initNode(
  folder: string,
  name: string,
  flags: readonly string[] = [],
): Promise<void> {
  const args = ['init', '--name', name, ...flags]
  const { code, stderr } = await runCommand(args, { ZOARIUM_DIR: folder })
  if (code !== 0) throw new ZoariumError('STORE', `couldn't init ${name}: ${stderr.trim()}`)
}

export interface StartOptions {
  /** Further variables of its environment. */
  readonly env?: NodeJS.ProcessEnv
  /** Words of a command that runs the command after them, e.g. `['nice', '-n', '5']`. */
  readonly within?: readonly string[]
  /** Peers connect where its configuration says, and not on loopback. */
  readonly asConfigured?: boolean
  /** HOST:PORT; default: a free loopback port. */
  readonly http?: string
}

/**
 * Starts a daemon, by default on free loopback ports. Its log goes to this process's stderr.
 * @param flags further flags of `zoarium daemon`
 * @throws ZoariumError UNREACHABLE where it does not get ready in {@link START_TIMEOUT_MS}
 */
export async function startNode(
  folder: string,
  flags: readonly string[] = [],
  { env = {}, within = [], asConfigured = false, http = '127.0.0.1:0' }: StartOptions = {},
): Promise<NodeProcess> {
  const args = ['daemon', '--json', '--http', http]
  const where = asConfigured ? [] : ['--listen', '/ip4/127.0.0.1/tcp/0', '--no-mdns']
  const words = [...within, process.execPath, entry(), ...args, ...where, ...flags]
  // SAFE: the list has at least the program.
  const child = spawn(words[0] as string, words.slice(1), {
    env: { ...process.env, ZOARIUM_DIR: folder, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const ready = await readyLine(child, folder)
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const closed = once(child, 'close')
    child.kill(signal)
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS)
    await closed
    clearTimeout(timer)
  }
  return {
    ...ready,
    folder,
    process: child,
    stop: () => end('SIGTERM'),
    kill: () => end('SIGKILL'),
  }
}

async function readyLine(child: ChildProcess, folder: string): Promise<ReadyLine> {
  if (child.stdout === null) throw new TypeError('stdout is a pipe')
  const lines = createInterface({ input: child.stdout })
  const timer = setTimeout(() => child.kill('SIGKILL'), START_TIMEOUT_MS)
  try {
    for await (const line of lines) return JSON.parse(line) as ReadyLine
  } finally {
    clearTimeout(timer)
  }
  throw new ZoariumError('UNREACHABLE', `the daemon in ${folder} did not start`)
}

/** The environment in which a command talks to a node. */
export const environmentOf = (node: NodeProcess): NodeJS.ProcessEnv => ({
  ZOARIUM_DIR: node.folder,
  ZOARIUM_URL: node.url,
})

/** Absolute path of a folder of the project, e.g. `docs/examples/nuclei-unet`. */
export const projectPath = (...parts: string[]): string => {
  const beside = fileURLToPath(new URL('..', import.meta.url))
  const above = fileURLToPath(new URL('../..', import.meta.url))
  const path = join(beside, ...parts)
  return existsSync(path) ? path : join(above, ...parts)
}

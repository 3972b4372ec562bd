/**
 * What stands between a model's process and the machine, as far as the machine offers it: memory
 * bound, no core dump, no files written, no network, death with its parent, no new privileges.
 * Each is tried once; what is missing is reported, not fatal, because institutes run daemons in
 * containers where some of it is not allowed.
 */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { promisify } from 'node:util'
import type { Isolation } from './engine.ts'

export interface Sandbox {
  readonly isolation: readonly Isolation[]
  /** The command that starts `command` inside. */
  wrap(command: readonly string[], memoryLimitBytes: number): readonly string[]
}

/** Longest that one try may take. */
const PROBE_MS = 5000
const SHELL = '/bin/sh'
/**
 * `-c 0`: an image must not end in a core dump. `-f 0`: the process has nothing to write to disk.
 * `-d` counts private writable memory, so that too large a model gets an allocation error instead
 * of taking the machine down. A hard limit below is kept.
 */
const LIMITS = 'ulimit -c 0; ulimit -f 0; ulimit -d "$1" 2>/dev/null; shift; exec "$@"'

const FOLDERS = ['/usr/bin', '/bin', '/usr/sbin', '/sbin']

interface Wrapper {
  readonly isolation: readonly Isolation[]
  readonly tool: string
  readonly choices: readonly (readonly string[])[]
}

/** Each wrapper with its options, the best first. */
const WRAPPERS: readonly Wrapper[] = [
  {
    isolation: ['network'],
    tool: 'unshare',
    choices: [
      ['--net'],
      ['--user', '--map-current-user', '--net'],
      ['--user', '--map-root-user', '--net'],
    ],
  },
  {
    isolation: ['parent-death', 'privileges'],
    tool: 'setpriv',
    choices: [['--pdeathsig', 'KILL', '--no-new-privs']],
  },
]

/** Finds out what this machine offers; a few milliseconds. */
export async function probeSandbox(): Promise<Sandbox> {
  if (process.platform !== 'linux' || !existsSync(SHELL)) return { isolation: [], wrap: (c) => c }
  const isolation: Isolation[] = ['memory']
  let prefix: readonly string[] = []
  for (const wrapper of WRAPPERS) {
    const tool = FOLDERS.map((folder) => `${folder}/${wrapper.tool}`).find((path) =>
      existsSync(path),
    )
    if (tool === undefined) continue
    for (const options of wrapper.choices) {
      const extended = [...prefix, tool, ...options]
      if (!(await works(extended))) continue
      prefix = extended
      isolation.push(...wrapper.isolation)
      break
    }
  }
  return {
    isolation,
    wrap: (command, memoryLimitBytes) => [
      SHELL,
      '-c',
      LIMITS,
      SHELL,
      String(Math.floor(memoryLimitBytes / 1024)),
      ...prefix,
      ...command,
    ],
  }
}

async function works(command: readonly string[]): Promise<boolean> {
  const [file, ...args] = [...command, SHELL, '-c', 'exit 0']
  if (file === undefined) return false
  try {
    await promisify(execFile)(file, args, { env: {}, timeout: PROBE_MS, killSignal: 'SIGKILL' })
    return true
  } catch {
    return false
  }
}

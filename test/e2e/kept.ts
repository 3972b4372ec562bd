/** What a node keeps: to see that what it refused has left nothing behind. */
import assert from 'node:assert/strict'
import { readdir, readFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { environmentOf, type NodeProcess } from '../../cli/colony.ts'
import type { ErrorBody } from '../../protocol/api.ts'
import { CODES, type Code } from '../../protocol/errors.ts'
import { type CliRun, zoarium as runCli } from '../helpers/cli.ts'
import { clientOf } from './colony.ts'

/** Folders whose files come and go; the engine's are those of models that are open. */
const FOLDERS = ['blobs', 'partial', 'quarantine', 'spool']

/** Counts, log positions, and every file in the folders of the data folder. */
export async function keptBy(node: NodeProcess, folder = node.folder) {
  const { counts, logs, blobs, incomplete } = await clientOf(node).node()
  const found = await Promise.all(
    FOLDERS.map((name) => readdir(join(folder, name), { recursive: true, withFileTypes: true })),
  )
  const files = found
    .flat()
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
    .filter((path) => !path.startsWith('spool/engine/'))
    .sort()
  return { counts, logs, blobs, incomplete, files }
}

/** Folders of models that are open, or were left behind. */
export const modelFolders = (node: NodeProcess): Promise<string[]> =>
  readdir(join(node.folder, 'spool', 'engine'))

/** Ids of the processes that run models. */
export async function modelProcesses(node: NodeProcess): Promise<number[]> {
  const { pid } = node.process
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')
  return children.split(' ').filter(Boolean).map(Number)
}

/** Processor time of a process, in hundredths of a second; 0 where it is gone. */
export async function cpuTicks(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  // After the name in parentheses: state and ten more fields, then user and system time.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return Number(fields[11] ?? 0) + Number(fields[12] ?? 0)
}

/** Does something that must leave the node as it was, and alive. */
export async function unchanged<T>(node: NodeProcess, act: () => Promise<T>): Promise<T> {
  const before = await keptBy(node)
  const result = await act()
  assert.deepEqual(await keptBy(node), before)
  assert.equal(node.process.exitCode, null)
  return result
}

export type Refusal = ErrorBody['error'] & {
  readonly code: Code
  /** What a person reads. */
  readonly stderr: string
}

/** A command, run in this process. */
export const runHere = (node: NodeProcess, ...args: string[]): Promise<CliRun> =>
  runCli(['--json', ...args], environmentOf(node) as Record<string, string>)

/** What a command that succeeds prints. */
export async function runJson<T>(node: NodeProcess, ...args: string[]): Promise<T> {
  const { status, stdout, stderr } = await runHere(node, ...args)
  assert.equal(status, 0, `zoarium ${args.join(' ')}: ${stderr}`)
  return JSON.parse(stdout) as T
}

/** What a command that the node refuses is told. */
export async function refused(node: NodeProcess, ...args: string[]): Promise<Refusal> {
  const { status, stdout, stderr } = await runHere(node, ...args)
  assert.notEqual(status, 0, `accepted: zoarium ${args.join(' ')}`)
  const { error } = JSON.parse(stdout) as { error: Refusal }
  assert.equal(status, CODES[error.code].exit, stderr)
  return { ...error, stderr }
}

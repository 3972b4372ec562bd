/** A process that is killed, from outside: commands go in, answers come out, and then it is gone. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import process from 'node:process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { Answer, Command } from './command.ts'

const here = (file: string): string => fileURLToPath(new URL(file, import.meta.url))

export interface Ended {
  readonly signal: string | null
  readonly code: number | null
  readonly stderr: string
}

export class KilledProcess {
  readonly #child: ChildProcess
  readonly ended: Promise<Ended>
  #isKilled = false

  /** @param onAnswer called for each line, also those that come after its death */
  constructor(
    folder: string,
    options: {
      readonly order?: string
      readonly env?: NodeJS.ProcessEnv
      /** Where compiled modules are kept between processes. */
      readonly cache: string
      readonly onAnswer: (answer: Answer) => void
    },
  ) {
    const { order = '', env = {}, cache, onAnswer } = options
    this.#child = spawn(
      process.execPath,
      ['--import', here('./kill-switch.ts'), here('./node-child.ts'), folder, order],
      {
        env: { ...process.env, NODE_COMPILE_CACHE: path.resolve(cache), ...env },
        stdio: ['pipe', 'pipe', 'pipe'],
      },
    )
    const { stdin, stdout, stderr } = this.#child
    if (stdin === null || stdout === null || stderr === null) throw new TypeError('three pipes')
    // It may be gone while it is told something.
    stdin.on('error', () => {})
    let said = ''
    stderr.setEncoding('utf8').on('data', (text) => (said += text))
    const lines = createInterface({ input: stdout })
    lines.on('line', (line) => {
      // A kill may cut the last line off.
      const answer = parse(line)
      if (answer !== null) onAnswer(answer)
    })
    this.ended = Promise.all([once(this.#child, 'close'), once(lines, 'close')]).then(
      ([[code, signal]]) => ({ code, signal, stderr: said }),
    )
  }

  give(command: Command): void {
    this.#child.stdin?.write(`${JSON.stringify(command)}\n`)
  }

  /** Lets it end in order. */
  finish(): void {
    this.#child.stdin?.end()
  }

  kill(): void {
    this.#isKilled = this.#child.kill('SIGKILL')
  }

  /** Whether it was killed from outside. */
  get isKilled(): boolean {
    return this.#isKilled
  }
}

function parse(line: string): Answer | null {
  try {
    return JSON.parse(line) as Answer
  } catch {
    return null
  }
}

/** What a command has at hand: the daemon, the output, and the environment that names both. */
import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { type Command, InvalidArgumentError } from 'commander'
import { ZoariumError } from '../protocol/errors.ts'
import { Client } from './client.ts'
import { Output, type Stream } from './output.ts'

export const DEFAULT_URL = 'http://127.0.0.1:7070'

export interface Io {
  readonly stdout: Stream
  readonly stderr: Stream
  /** Where a person may be asked; null where none is. */
  readonly stdin: NodeJS.ReadStream | null
  readonly env: Readonly<Record<string, string | undefined>>
  /** Aborts when the user asks the program to stop. */
  readonly signal: AbortSignal
}

export interface Session {
  readonly io: Io
  readonly output: Output
  /** The data folder. */
  readonly folder: string
  readonly client: Client
}

/** The command has said all that there is to say; only the exit status, one of EXIT, is left. */
export class Ended extends Error {
  readonly status: number

  constructor(status: number) {
    super(`exit status ${status}`)
    this.status = status
  }
}

/** What each file of commands/ adds its command to. */
export interface Cli {
  readonly program: Command
  /** Made when a command runs: only then are the options known. */
  session(): Session
}

export function openSession(io: Io, options: { json?: boolean; url?: string }): Session {
  const folder = folderOf(io.env)
  return {
    io,
    output: new Output(io.stdout, io.stderr, options.json === true),
    folder,
    // Commands that need no daemon must not fail over its address.
    get client() {
      const url = readUrl(options.url ?? io.env.ZOARIUM_URL ?? DEFAULT_URL)
      return new Client({ url, token: tokenFor(url, folder, io.env), signal: io.signal })
    },
  }
}

const folderOf = (env: Io['env']): string =>
  env.ZOARIUM_DIR || join(env.HOME || homedir(), '.local/share/zoarium')

function readUrl(text: string): URL {
  const url = URL.parse(text)
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new ZoariumError('CONFIG', 'ZOARIUM_URL is not an http or https address', { got: text })
  }
  return url
}

/**
 * `ZOARIUM_TOKEN`, or the operator's token of the data folder. The latter is for the daemon on this
 * machine and never leaves it; and no token travels in the clear.
 */
function tokenFor(url: URL, folder: string, env: Io['env']): string | null {
  const isLocal = /^(localhost|127(\.[0-9]+){3}|\[::1\])$/.test(url.hostname)
  const given = env.ZOARIUM_TOKEN
  if (given !== undefined && given !== '') {
    if (isLocal || url.protocol === 'https:') return given
    throw new ZoariumError('CONFIG', 'a token is not sent without TLS', {
      got: url.origin,
      hint: 'name an https address in ZOARIUM_URL',
    })
  }
  if (!isLocal) return null
  try {
    return readFileSync(join(folder, 'token'), 'utf8').trim()
  } catch {
    return null
  }
}

/** For `option(flags, description, collect)`: an option that may be given several times. */
export const collect = (value: string, before: readonly string[] = []): readonly string[] => [
  ...before,
  value,
]

/** An option that takes one of some words. */
export const wordOf =
  <const T extends string>(choices: readonly T[]) =>
  (value: string): T => {
    const found = choices.find((choice) => choice === value)
    if (found === undefined) throw new InvalidArgumentError(`Choose one of ${choices.join(', ')}.`)
    return found
  }

/** An option that takes a whole number. */
export const numberFrom =
  (min: number) =>
  (value: string): number => {
    const number = Number(value)
    if (!/^[0-9]+$/.test(value) || !Number.isSafeInteger(number) || number < min) {
      throw new InvalidArgumentError(`A whole number from ${min} is needed.`)
    }
    return number
  }

/** Runs the command line in this process and keeps what it prints. */
import { Writable } from 'node:stream'
import { runCli } from '../../cli/program.ts'

export interface CliRun {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
  /** Stdout as the JSON document that it must be. */
  json(): unknown
}

export async function zoarium(
  argv: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<CliRun> {
  const [out, err] = [new Capture(), new Capture()]
  const status = await runCli(argv, {
    stdout: out,
    stderr: err,
    stdin: null,
    env,
    signal: new AbortController().signal,
  })
  const [stdout, stderr] = [out.text, err.text]
  return { status, stdout, stderr, json: () => JSON.parse(stdout) }
}

class Capture extends Writable {
  text = ''

  override _write(chunk: Uint8Array, _encoding: string, done: () => void): void {
    this.text += Buffer.from(chunk).toString()
    done()
  }
}

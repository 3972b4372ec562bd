#!/usr/bin/env node
/**
 * The program `zoarium`. Older versions of Node crash inside native modules, so the version is
 * checked before anything else is imported.
 */
import { nodeVersionFault } from './node-version.ts'

const fault = nodeVersionFault(process.versions.node)
if (fault !== null) {
  process.stderr.write(fault)
  process.exitCode = 1
} else {
  const { runCli } = await import('./program.ts')
  const stopping = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    // The first signal asks, the second insists.
    process.on(name, () => (stopping.signal.aborted ? process.exit(130) : stopping.abort()))
  }
  // A reader that has seen enough, such as `head`, is no failure.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0)
    throw error
  })
  process.exitCode = await runCli(process.argv.slice(2), {
    stdout: process.stdout,
    stderr: process.stderr,
    stdin: process.stdin.isTTY ? process.stdin : null,
    env: process.env,
    signal: stopping.signal,
  })
}

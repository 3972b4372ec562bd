/** `zoarium start`: `init` where there is no node yet, then `daemon`. */
import { ZoariumError } from '../../protocol/errors.ts'
import type { Cli } from '../session.ts'
import { addDaemonFlags, type DaemonFlags, runDaemon } from './daemon.ts'
import { initialise, printInitialised } from './init.ts'

export function addStart({ program, session }: Cli): void {
  const command = program
    .command('start')
    .description('run the node; make it first where there is none')
    .option('--name <name>', 'the institution or lab, for a new node (default: this host)')
    .option('--handle <domain>', 'a domain name that is to confirm it, for a new node')
  type Flags = DaemonFlags & { readonly name?: string; readonly handle?: string }
  addDaemonFlags(command).action(async (flags: Flags) => {
    const opened = session()
    try {
      await runDaemon(opened, flags)
    } catch (error) {
      if (!(error instanceof ZoariumError) || error.code !== 'NOT_INITIALISED') throw error
      const made = await initialise(opened, flags)
      // The one document of --json is the daemon's.
      if (!opened.output.isJson) printInitialised(opened, made)
      await runDaemon(opened, flags)
    }
  })
}

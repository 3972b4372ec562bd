/** `zoarium init`: keys, data folder, configuration. */
import { hostname } from 'node:os'
import { slugOf } from '../../protocol/reference.ts'
import type { Cli, Session } from '../session.ts'

interface Options {
  readonly name?: string
  readonly label?: string
}

export function addInit({ program, session }: Cli): void {
  program
    .command('init')
    .description('make the keys and the data folder of a new node')
    .option('--name <name>', 'the institution or lab, as people read it (default: this host)')
    .option('--label <label>', 'its short name in references (default: from the name)')
    .action(async (options: Options) => {
      const opened = session()
      const made = await initialise(opened, options)
      opened.output.result(made, () => printInitialised(opened, made))
    })
}

export interface Initialised {
  readonly publisher: string
  readonly label: string
  readonly folder: string
}

export async function initialise({ folder }: Session, options: Options): Promise<Initialised> {
  const { initNode } = await import('../../daemon/init.ts')
  const name = options.name ?? hostname()
  return initNode({ folder, name, label: options.label ?? slugOf(name) })
}

export function printInitialised({ output }: Session, made: Initialised): void {
  output.line(`${made.label} is a publisher now`)
  output.fields([
    ['publisher', made.publisher],
    ['folder', made.folder],
  ])
  output.note('Back up the folder: its keys are the only proof of being this publisher.')
  output.note('Next: `zoarium daemon`')
}

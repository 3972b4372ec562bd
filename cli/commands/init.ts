/** `zoarium init`: keys, data folder, configuration. */
import { hostname } from 'node:os'
import { NETWORK_PROFILES, type NetworkProfile } from '../../daemon/network-profile.ts'
import type { Cid } from '../../protocol/cid.ts'
import { HANDLE_PATH, handleDocument } from '../../protocol/handle.ts'
import { slugOf } from '../../protocol/reference.ts'
import { type Cli, type Session, wordOf } from '../session.ts'

interface Options {
  readonly name?: string
  readonly label?: string
  readonly handle?: string
  readonly profile?: NetworkProfile
}

export function addInit({ program, session }: Cli): void {
  program
    .command('init')
    .description('make the keys and the data folder of a new node')
    .option('--name <name>', 'the institution or lab, as people read it (default: this host)')
    .option('--label <label>', 'its short name in references (default: from the name)')
    .option('--handle <domain>', 'a domain name of yours that is to confirm it, e.g. embl.example')
    .option(
      '--profile <place>',
      'campus: outbound HTTPS only; lan: finds nodes of the local network; public: others reach it',
      wordOf(NETWORK_PROFILES),
    )
    .action(async (options: Options) => {
      const opened = session()
      const made = await initialise(opened, options)
      opened.output.result(made, () => printInitialised(opened, made))
    })
}

export interface Initialised {
  readonly publisher: Cid
  readonly label: string
  readonly folder: string
  readonly handle: string | null
}

export async function initialise({ folder }: Session, options: Options): Promise<Initialised> {
  const { initNode } = await import('../../daemon/init.ts')
  const { name = hostname(), label = slugOf(name), handle, profile } = options
  const made = await initNode({
    folder,
    name,
    label,
    ...(handle === undefined ? {} : { handle }),
    ...(profile === undefined ? {} : { profile }),
  })
  return { ...made, handle: handle ?? null }
}

export function printInitialised({ output }: Session, made: Initialised): void {
  output.line(`${made.label} is a publisher now`)
  output.fields([
    ['publisher', made.publisher],
    ['folder', made.folder],
    ...(made.handle === null ? [] : [['handle', made.handle] as const]),
  ])
  if (made.handle !== null) {
    const { publisher, handle } = made
    output.note(
      `Others verify the handle at https://${handle}${HANDLE_PATH}: let this daemon answer`,
    )
    output.note(`there, or put this file there: ${JSON.stringify(handleDocument(publisher))}`)
  }
  output.note('Back up the folder: its keys are the only proof of being this publisher.')
  output.note('Next: `zoarium daemon`')
}

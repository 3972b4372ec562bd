/** `zoarium unpin`: lets a model go where its room is needed. */
import type { Cli } from '../session.ts'
import { printPins } from './pin.ts'

export function addUnpin({ program, session }: Cli): void {
  program
    .command('unpin <ref>')
    .description('let a model go where its room is needed, as far as no rule keeps it')
    .action(async (ref: string) => {
      const { client, output } = session()
      const pins = await client.unpin(ref)
      output.result({ items: pins }, () => printPins(output, pins))
    })
}

/** `zoarium gc`: deletes files that no model names. */
import { count, formatBytes } from '../format.ts'
import type { Cli } from '../session.ts'

export function addGc({ program, session }: Cli): void {
  program
    .command('gc')
    .description('delete files that no model names any more')
    .action(async () => {
      const { client, output } = session()
      const gone = await client.collectGarbage()
      output.result(gone, () =>
        output.line(`deleted ${count(gone.count, 'file')}, ${formatBytes(gone.bytes)}`),
      )
    })
}

/** `zoarium gc`: deletes files that no model names. */
import { count, formatBytes } from '../format.ts'
import type { Cli } from '../session.ts'

export function addGc({ program, session }: Cli): void {
  program
    .command('gc')
    .description('delete files that no model has named for a day')
    .option('--now', 'and those that were named until a moment ago')
    .action(async ({ now = false }: { now?: boolean }) => {
      const { client, output } = session()
      const gone = await client.collectGarbage(now)
      const { waiting } = gone
      output.result(gone, () => {
        output.line(`deleted ${count(gone.count, 'file')}, ${formatBytes(gone.bytes)}`)
        if (waiting.count === 0) return
        output.line(
          `${count(waiting.count, 'file')}, ${formatBytes(waiting.bytes)}: from ${waiting.until} on, or with --now`,
        )
      })
    })
}

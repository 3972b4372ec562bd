/** `zoarium backup`: a copy of the data folder from which the node comes back. */
import { count, formatBytes } from '../format.ts'
import type { Cli } from '../session.ts'

interface Options {
  readonly keys?: boolean
  readonly files?: boolean
}

export function addBackup({ program, session }: Cli): void {
  program
    .command('backup <folder>')
    .description('write a backup of the data folder, also while the daemon runs')
    .option('--keys', 'with the private keys: whoever reads it can sign as this publisher')
    .option('--files', 'with the files of models, which other nodes may have too')
    .addHelpText(
      'after',
      `
The backup is a data folder of its own. To come back from it, put it in the place of the one that was
lost and start the daemon: docs/operations.md, "Backups".`,
    )
    .action(async (target: string, { keys = false, files = false }: Options) => {
      const { folder, output } = session()
      const { backUp } = await import('../../registry/backup.ts')
      const { dataFolder } = await import('../../registry/data-folder.ts')
      const made = await backUp(dataFolder(folder), target, { keys, files })
      output.result(made, () => {
        output.line(`backup in ${made.path}`)
        output.fields([
          ['catalogue', formatBytes(made.catalogueBytes)],
          ['private keys', keys ? count(made.keys, 'file') : 'not in it'],
          [
            'model files',
            files
              ? `${count(made.files.count, 'file')}, ${formatBytes(made.files.bytes)}`
              : 'not in it',
          ],
        ])
      })
      if (!keys) output.note('keep a backup of keys/ and peer.key apart: nothing replaces them')
    })
}

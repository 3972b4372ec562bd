/** `zoarium import`: takes in what `export` wrote, on this node or another one. */
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { ZoariumError } from '../../protocol/errors.ts'
import { count, formatBytes } from '../format.ts'
import type { Cli } from '../session.ts'

export function addImport({ program, session }: Cli): void {
  program
    .command('import <file>')
    .description('take in the models of a CAR file; their publisher needs the right mirror')
    .action(async (file: string) => {
      const { client, output } = session()
      const size = await sizeOf(file)
      const made = await client.importModels(createReadStream(file), size)
      output.result(made, () => {
        for (const { ref } of made.models) output.line(ref)
        output.line(
          `new here: ${count(made.records, 'record')}, ${count(made.files, 'file')}, ${formatBytes(made.bytes)}`,
        )
      })
    })
}

async function sizeOf(file: string): Promise<number> {
  const stats = await stat(file).catch((error: NodeJS.ErrnoException) => {
    throw new ZoariumError('USAGE', `couldn't read the file: ${error.code}`, { field: file }, error)
  })
  if (stats.isFile()) return stats.size
  throw new ZoariumError('USAGE', 'not a file', { field: file })
}

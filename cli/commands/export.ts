/** `zoarium export`: models as a file that other nodes and the tools of IPFS read. */
import { createWriteStream } from 'node:fs'
import { rename, rm, stat } from 'node:fs/promises'
import { pipeline } from 'node:stream/promises'
import { ZoariumError } from '../../protocol/errors.ts'
import { count, formatBytes } from '../format.ts'
import type { Cli } from '../session.ts'

export function addExport({ program, session }: Cli): void {
  program
    .command('export <ref...>')
    .description('write models to one CAR file, with all that proves them')
    .requiredOption('-o, --out <file>', 'the file, e.g. models.car; it replaces one of that name')
    .action(async (refs: readonly string[], { out }: { out: string }) => {
      const { client, output } = session()
      const models = await Promise.all(refs.map((ref) => client.resolve(ref)))
      const partial = `${out}.partial`
      try {
        const file = await client.exportModels(models.map(({ record }) => record))
        await pipeline(file, createWriteStream(partial))
        await rename(partial, out)
      } catch (error) {
        await rm(partial, { force: true })
        if (error instanceof ZoariumError) throw error
        const { code = '' } = error as NodeJS.ErrnoException
        throw new ZoariumError('STORE', `couldn't write the file: ${code}`, { field: out }, error)
      }
      const { size: bytes } = await stat(out)
      output.result(
        { file: out, bytes, models: models.map(({ record, ref }) => ({ record, ref })) },
        () => output.line(`${count(models.length, 'model')} in ${out}, ${formatBytes(bytes)}`),
      )
    })
}

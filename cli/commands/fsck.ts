/** `zoarium fsck`: checks the data folder while no daemon uses it. */
import { EXIT, type Issue } from '../../protocol/errors.ts'
import type { FsckReport } from '../../registry/fsck.ts'
import { count, formatBytes } from '../format.ts'
import type { Output } from '../output.ts'
import { type Cli, Ended } from '../session.ts'

interface Options {
  readonly deep?: boolean
  readonly repair?: boolean
}

export function addFsck({ program, session }: Cli): void {
  program
    .command('fsck')
    .description('check the data folder, with the daemon stopped: records, index, files, leftovers')
    .option('--deep', 'hash the bytes of every file, too')
    .option('--repair', 'do what can lose nothing; the daemon then fetches what is missing')
    .action(async ({ deep = false, repair = false }: Options) => {
      const { folder, output } = session()
      const { checkFolder } = await import('../../registry/fsck.ts')
      const { dataFolder } = await import('../../registry/data-folder.ts')
      const report = await checkFolder(dataFolder(folder), { deep, repair })
      output.result(report, () => print(output, report, repair))
      if (report.faults.length > 0) throw new Ended(EXIT.unverified)
    })
}

function print(output: Output, report: FsckReport, isRepair: boolean): void {
  const { publishers, logs, records, models, files, faults, repaired, leftovers } = report
  output.line(faults.length === 0 ? 'the data folder is sound' : count(faults.length, 'fault'))
  const amount = (each: FsckReport['files']) =>
    `${count(each.count, 'file')}, ${formatBytes(each.bytes)}`
  output.fields([
    [
      'proven',
      [
        count(records, 'record'),
        `in ${count(logs, 'log')} of ${count(publishers, 'publisher')}`,
      ].join(' '),
    ],
    ['models', String(models)],
    ['files', amount(files)],
    ['not here', `${amount(report.absent)} of other publishers' models`],
    ['named by none', `${amount(report.unnamed)}: zoarium gc deletes them`],
  ])
  for (const each of faults) printIssue(output, '', each)
  for (const each of repaired) printIssue(output, 'repaired: ', each)
  for (const { path, kind, bytes, isDropped } of leftovers) {
    const fate = isDropped ? 'deleted' : 'kept'
    output.line(`${kind}  ${path}  ${formatBytes(bytes)}${isRepair ? `  ${fate}` : ''}`)
  }
}

function printIssue(output: Output, prefix: string, { code, field, message, hint }: Issue): void {
  output.line(`${prefix}${code}  ${field ?? ''}  ${message}`)
  if (hint !== undefined) output.line(`  ${hint}`)
}

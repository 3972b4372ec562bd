/** `zoarium withdraw`: takes an own model back. The record stays; what it stands for changes. */
import { type Cli, wordOf } from '../session.ts'

const VERBS = ['yank', 'recall', 'erase'] as const
const EFFECTS = {
  yank: 'names no longer stand for it; by its version it still runs, with a notice',
  recall: 'no node runs it any more',
  erase: 'its bytes go',
} as const

interface Options {
  readonly verb: (typeof VERBS)[number]
  readonly reason: string
  readonly note?: string
}

export function addWithdraw({ program, session }: Cli): void {
  program
    .command('withdraw <ref>')
    .description('take back a model of your own')
    .requiredOption('--verb <verb>', 'yank, recall or erase', wordOf(VERBS))
    .requiredOption('--reason <code>', 'a code, such as wrong-output or superseded')
    .option('--note <text>', 'a sentence for people, without personal data')
    .action(async (ref: string, options: Options) => {
      const { client, output } = session()
      const done = await client.withdraw({ ref, ...options })
      output.result(done, () => {
        output.line(`${done.ref}: ${EFFECTS[options.verb]}`)
        output.fields([['record', done.record]])
      })
    })
}

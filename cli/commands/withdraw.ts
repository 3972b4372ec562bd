/** `zoarium withdraw`: takes a model back. The record stays; what it stands for changes. */
import { ZoariumError } from '../../protocol/errors.ts'
import { WITHDRAW_VERBS, type WithdrawVerb } from '../../protocol/record-body.ts'
import { count, formatBytes } from '../format.ts'
import { type Cli, type Session, wordOf } from '../session.ts'

const EFFECTS = {
  yank: 'names no longer stand for it; by its version it still runs, with a notice',
  recall: 'no node runs it any more',
  erase: 'no node serves or runs it any more, and its bytes go after 72 hours',
  restore: 'it stands again as before it was erased',
} as const

interface Options {
  readonly verb: WithdrawVerb
  readonly reason?: string
  readonly note?: string
  readonly here?: boolean
}

export function addWithdraw({ program, session }: Cli): void {
  program
    .command('withdraw <ref>')
    .description("take back a model of your own; or erase anybody's on this node")
    .requiredOption('--verb <verb>', WITHDRAW_VERBS.join(', '), wordOf(WITHDRAW_VERBS))
    .option('--reason <code>', 'a code, such as wrong-output or superseded')
    .option('--note <text>', 'a sentence for people, without personal data')
    .option('--here', 'on this node alone, whoever published it: erase at once, or restore')
    .addHelpText(
      'after',
      `
yank     latest skips it; it runs by its version, with a notice
recall   no node runs it
erase    no node serves, shows or runs it; its bytes go 72 hours later
restore  takes an erasure back, as long as the bytes are here; name the model by its record id

To erase or restore needs a key with the scope erase, which init does not make:
stop the daemon, run "zoarium keys delegate erase" with the root keys, start the daemon, withdraw,
and end the key again with "zoarium keys revoke".`,
    )
    .action(async (ref: string, options: Options) => {
      if (options.here === true) await withdrawHere(session(), ref, options.verb)
      else await withdraw(session(), ref, options)
    })
}

async function withdraw(
  { client, output }: Session,
  ref: string,
  { verb, reason, note }: Options,
): Promise<void> {
  if (reason === undefined) {
    throw new ZoariumError('USAGE', 'a reason is needed', { hint: 'such as --reason licence' })
  }
  const done = await client.withdraw({ ref, verb, reason, ...(note === undefined ? {} : { note }) })
  output.result(done, () => {
    output.line(`${done.ref}: ${EFFECTS[verb]}`)
    output.fields([
      ['record', done.record],
      ['model', done.target],
    ])
    if (verb === 'erase')
      output.note(
        `to take it back: zoarium withdraw ${done.target} --verb restore --reason mistake`,
      )
  })
}

async function withdrawHere(
  { client, output }: Session,
  ref: string,
  verb: WithdrawVerb,
): Promise<void> {
  if (verb === 'erase') {
    const gone = await client.eraseHere(ref)
    output.result(gone, () =>
      output.line(`erased on this node: ${count(gone.count, 'file')}, ${formatBytes(gone.bytes)}`),
    )
    return
  }
  if (verb === 'restore') {
    const left = await client.restoreHere(ref)
    output.result(left, () => output.line('no longer erased on this node'))
    return
  }
  throw new ZoariumError('USAGE', 'on this node alone a model is erased or restored', {
    got: verb,
    hint: 'to keep it from running here, change the trust rule of its publisher',
  })
}

/** `zoarium attest`: what this institution states of a model, its own or another's. */
import { CLAIMS, type Claim } from '../../protocol/attestation.ts'
import { type Cli, wordOf } from '../session.ts'

interface Options {
  readonly claim: Claim
  readonly note?: string
}

export function addAttest({ program, session }: Cli): void {
  program
    .command('attest <ref>')
    .description("run a model's own test here and sign that it gave its result; or state something")
    .option('--claim <claim>', CLAIMS.join(', '), wordOf(CLAIMS), 'reproduced')
    .option('--note <text>', 'a paragraph for people, without personal data')
    .addHelpText(
      'after',
      `
reproduced  this node ran the card's own test within its tolerance; it is run now
reviewed    people of this institution looked at the model and stand by it
advisory    a warning about it
usage       it is used here

Other nodes may let a model run because enough institutions attest it: docs/policy.md.`,
    )
    .action(async (ref: string, { claim, note }: Options) => {
      const { client, output } = session()
      const done = await client.attest({ ref, claim, ...(note === undefined ? {} : { note }) })
      output.result(done, () => {
        output.line(`${done.ref}: ${claim}`)
        output.fields([
          ['record', done.record],
          ['model', done.target],
        ])
      })
    })
}

/** `zoarium verify`: proves a model version on this machine. */
import type { Cli } from '../session.ts'
import { verifyModel } from '../verification.ts'

export function addVerify({ program, session }: Cli): void {
  program
    .command('verify <ref>')
    .description('check signature, identity and every byte of a model here, trusting no daemon')
    .action(async (ref: string) => {
      const opened = session()
      const { client, output } = opened
      const resolved = await client.resolve(ref)
      const verification = await verifyModel(opened, resolved.record)
      output.result({ ref: resolved.ref, ...verification }, () => {
        output.line(`${resolved.ref} is what its publisher signed`)
        output.fields(verification.proven.map(({ what, detail }) => [what, detail]))
      })
    })
}

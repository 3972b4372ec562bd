/** `zoarium tag`: a name for a version of an own model that can move on to a later one. */
import type { Cli } from '../session.ts'

export function addTag({ program, session }: Cli): void {
  program
    .command('tag <ref> <name>')
    .description('name a version of a model of your own, e.g. stable; the name can move on')
    .action(async (ref: string, name: string) => {
      const { client, output } = session()
      const done = await client.tag(ref, name)
      output.result(done, () => {
        output.line(`${done.ref} is @${name} now`)
        output.fields([['record', done.record]])
      })
    })
}

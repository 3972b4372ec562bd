/** `zoarium profile`: what this publisher says of itself to all others. */
import type { ProfileView } from '../../protocol/api.ts'
import { HANDLE_PATH, handleDocument } from '../../protocol/handle.ts'
import { formatHandle } from '../format.ts'
import type { Output } from '../output.ts'
import type { Cli } from '../session.ts'

/** What is left out stays as it is; false: dropped. */
interface Options {
  readonly name?: string
  readonly label?: string
  readonly handle?: string | false
  readonly page?: string | false
  readonly ror?: string | false
}

export function addProfile({ program, session }: Cli): void {
  const profile = program
    .command('profile')
    .description('what this publisher says of itself: name, label, handle, page, ROR id')
  profile
    .command('show', { isDefault: true })
    .description('what it says now, and whether the handle is verified')
    .action(async () => {
      const { client, output } = session()
      const view = await client.profile()
      output.result(view, () => print(output, view))
    })
  profile
    .command('set')
    .description('say something else; what is not named stays. The handle is checked at once')
    .option('--name <name>', 'the institution or lab, as people read it')
    .option('--label <label>', 'its short name in references')
    .option('--handle <domain>', 'a domain name of yours that is to confirm it')
    .option('--no-handle', 'none any more')
    .option(
      '--page <url>',
      'its page, https; where it is the public URL of its node, files come from there',
    )
    .option('--no-page', 'none any more')
    .option('--ror <id>', 'its id at ror.org')
    .option('--no-ror', 'none any more')
    .action(async (options: Options) => {
      const { client, output } = session()
      const { publisher, url, ror } = await client.profile()
      const { label, displayName, handle } = publisher
      const view = await client.setProfile({
        label: options.label ?? label ?? '',
        displayName: options.name ?? displayName ?? '',
        handle: changed(options.handle, handle),
        url: changed(options.page, url),
        ror: changed(options.ror, ror)?.replace(/^https:\/\/ror\.org\//, '') ?? null,
      })
      output.result(view, () => print(output, view))
      if (typeof options.handle === 'string') advise(output, view)
    })
}

const changed = (option: string | false | undefined, before: string | null): string | null =>
  option === undefined ? before : option === false ? null : option

function print(output: Output, { publisher, url, ror, record }: ProfileView): void {
  output.line(publisher.displayName ?? publisher.id)
  output.fields([
    ['label', publisher.label ?? '-'],
    ['handle', formatHandle(publisher)],
    ['page', url ?? '-'],
    ['ror', ror ?? '-'],
    ['publisher', publisher.id],
    ['record', record],
  ])
}

function advise(output: Output, { publisher: { id, handle } }: ProfileView): void {
  output.note(`Others verify the handle at https://${handle}${HANDLE_PATH}: let this daemon answer`)
  output.note(`there, or put this file there: ${JSON.stringify(handleDocument(id))}`)
}

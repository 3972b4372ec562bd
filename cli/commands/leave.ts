/** `zoarium leave`: follows a roster no more. */
import { formatPublisher, nameOf } from '../format.ts'
import type { Cli } from '../session.ts'
import { findRoster } from './roster.ts'

export function addLeave({ program, session }: Cli): void {
  program
    .command('leave <name>')
    .description('leave a federation: what its roster gave its members goes')
    .action(async (name: string) => {
      const { client, output } = session()
      const { publisher, name: exact } = findRoster(await client.rosters(), name)
      const view = await client.leave(publisher.id, exact)
      output.result(view, () => {
        output.line(`left ${view.name} of ${formatPublisher(view.publisher)}`)
        output.table(
          ['PUBLISHER', 'HAD', 'HAS', 'ID'],
          view.members.map((each) => [
            nameOf(each.publisher),
            each.before,
            each.publisher.right,
            each.publisher.id,
          ]),
        )
      })
      output.note('Records and files that are here already stay, and are not shown or run.')
    })
}

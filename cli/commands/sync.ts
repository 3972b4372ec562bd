/** `zoarium sync`: compares logs with peers now, not at the next turn. */
import { formatBytes, formatMs } from '../format.ts'
import type { Cli } from '../session.ts'

export function addSync({ program, session }: Cli): void {
  program
    .command('sync [peer]')
    .description('compare logs with one peer or all, and take in what is new')
    .action(async (peer: string | undefined) => {
      const { client, output } = session()
      const items = await client.sync(peer ?? null)
      output.result({ items }, () => {
        if (items.length === 0) output.line('no peer is connected')
        else {
          output.table(
            ['PEER', 'RECORDS', 'RECEIVED', 'ROUND TRIPS', 'TIME', 'ERROR'],
            items.map((item) => [
              item.peer,
              String(item.records),
              formatBytes(item.bytes),
              String(item.roundTrips),
              formatMs(item.ms),
              item.error ?? '',
            ]),
          )
        }
        for (const { peer, refused } of items) {
          for (const { publisher, code, message } of refused) {
            output.note(`refused from ${peer}: a record of ${publisher}: ${message} [${code}]`)
          }
        }
      })
    })
}

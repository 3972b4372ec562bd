/** `zoarium pin`: keeps a model's files on this node, or lists what is kept so. */
import type { PinView } from '../../protocol/api.ts'
import type { Output } from '../output.ts'
import type { Cli } from '../session.ts'

export function addPin({ program, session }: Cli): void {
  program
    .command('pin [ref]')
    .description('keep a model on this node, whatever else needs the room; `pin list` lists them')
    .action(async (ref: string | undefined) => {
      const { client, output } = session()
      const isList = ref === undefined || ref === 'list'
      const pins = isList ? await client.pins() : await client.pin(ref)
      output.result({ items: pins }, () => printPins(output, pins))
    })
}

export function printPins(output: Output, pins: readonly PinView[]): void {
  if (pins.length === 0) {
    output.line('nothing is pinned')
    return
  }
  output.table(
    ['MODEL', 'HELD', 'RECORD'],
    pins.map(({ ref, held, record }) => [ref ?? 'not listed', held ? 'yes' : 'no', record]),
  )
}

/** `zoarium peers`: other nodes seen from here. */
import type { PeerView } from '../../protocol/api.ts'
import { formatBytes, formatHandle, formatMs, formatPublisher, markHandle } from '../format.ts'
import type { Cli, Session } from '../session.ts'

export function addPeers({ program, session }: Cli): void {
  const peers = program.command('peers').description('other nodes seen from here')
  peers
    .command('list', { isDefault: true })
    .description('list them')
    .action(() => listPeers(session()))
  peers
    .command('add <multiaddr>')
    .description('connect to a node, and again after every start')
    .action(async (address: string) => {
      const { client, output } = session()
      const peer = await client.addPeer(address)
      output.result(peer, () => output.line(`connected to ${peer.peer}, ${nameOf(peer)}`))
    })
}

async function listPeers({ client, output }: Session): Promise<void> {
  const items = await client.peers()
  output.result({ items }, () => {
    if (items.length === 0) return
    output.table(
      ['PEER', 'PUBLISHER', 'HANDLE', 'STATE', 'RTT', 'FILES', 'SERVES', 'QUEUE', 'LAST SYNC'],
      items.map((peer) => [
        peer.peer,
        nameOf(peer),
        peer.publisher === null ? '-' : markHandle(peer.publisher),
        stateOf(peer),
        peer.rttMs === null ? '-' : formatMs(peer.rttMs),
        peer.fileRate === null ? '-' : `${formatBytes(Math.round(peer.fileRate))}/s`,
        String(peer.serves),
        peer.queue === null ? '-' : String(peer.queue),
        peer.lastSync ?? 'never',
      ]),
    )
    const troubled = items.flatMap(({ publisher }) => (publisher?.handleProblem ? [publisher] : []))
    for (const [id, publisher] of new Map(troubled.map((each) => [each.id, each]))) {
      output.line(`  HANDLE: ${publisher.label ?? id}: ${formatHandle(publisher)}`)
    }
  })
  if (items.length === 0) {
    output.note('No other node is known yet. To connect to one:')
    output.note(
      '  zoarium peers add MULTIADDR   # `zoarium status` on the other node prints its own',
    )
  }
}

function stateOf({ connected, shutOutUntil }: PeerView): string {
  if (shutOutUntil !== null) return `shut out until ${shutOutUntil}`
  return connected ? 'connected' : 'away'
}

const nameOf = ({ publisher }: PeerView): string =>
  publisher === null ? 'publisher unknown' : formatPublisher(publisher)

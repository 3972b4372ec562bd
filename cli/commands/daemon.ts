/** `zoarium daemon`: runs the node until it is told to stop. */
import { once } from 'node:events'
import { ZoariumError } from '../../protocol/errors.ts'
import { readSecret } from '../seal-secret.ts'
import { type Cli, collect, type Session, wordOf } from '../session.ts'

export interface DaemonFlags {
  readonly http: readonly string[]
  readonly listen: readonly string[]
  readonly peer: readonly string[]
  readonly tlsCert?: string
  readonly tlsKey?: string
  readonly behindProxy?: boolean
  readonly publicUrl?: string
  readonly mdns: boolean
  readonly dht: boolean
  readonly follow: boolean
  readonly iAmAlone?: boolean
  readonly logLevel?: 'silent' | 'error' | 'warn' | 'info' | 'debug'
}

export function addDaemon({ program, session }: Cli): void {
  const command = program.command('daemon').description('run the node of the data folder')
  addDaemonFlags(command).action(async (flags: DaemonFlags) => {
    await runDaemon(session(), flags)
  })
}

export function addDaemonFlags(command: Cli['program']): Cli['program'] {
  return command
    .option('--http <host:port>', 'where HTTP listens (default: 127.0.0.1:7070)', collect, [])
    .option(
      '--listen <multiaddr>',
      'where peers connect (default: /ip4/0.0.0.0/tcp/7071)',
      collect,
      [],
    )
    .option('--peer <multiaddr>', 'a node to connect to and stay connected to', collect, [])
    .option('--tls-cert <file>', 'PEM certificate for HTTP')
    .option('--tls-key <file>', 'PEM key for HTTP')
    .option('--behind-proxy', 'a reverse proxy in front speaks TLS; every request needs a token')
    .option(
      '--public-url <url>',
      'the https URL under which others reach the HTTP port; other nodes connect there, too',
    )
    .option('--no-mdns', 'do not look for nodes on the local network')
    .option('--no-dht', 'do not take part in the distributed hash table')
    .option('--no-follow', 'do not fetch files that the trust rules allow to mirror')
    .option(
      '--i-am-alone',
      'sign on after a kill or restore without asking peers: none holds more of your records',
    )
    .option(
      '--log-level <level>',
      'silent, error, warn, info or debug',
      wordOf(['silent', 'error', 'warn', 'info', 'debug']),
    )
}

/** Returns when the daemon has stopped. */
export async function runDaemon(session: Session, flags: DaemonFlags): Promise<void> {
  const { output, folder, io } = session
  const { createDaemon } = await import('../../daemon/daemon.ts')
  const daemon = await createDaemon({ folder, ...optionsOf(flags) }, (by) => readSecret(io, by))
  const { url, addresses, publisher, peer } = daemon
  output.result({ url, addresses, publisher, peer }, () => {
    output.line(`zoarium daemon of ${publisher}`)
    output.fields([
      ['http', url],
      ...addresses.map((address) => ['peer address', address] as const),
      ['folder', folder],
    ])
    output.note('Stop with Ctrl-C.')
  })
  if (!io.signal.aborted) await once(io.signal, 'abort')
  await daemon.stop()
}

/** What is not given on the command line is for the configuration file to say. */
function optionsOf(flags: DaemonFlags) {
  const {
    http,
    listen,
    peer,
    tlsCert,
    tlsKey,
    behindProxy,
    publicUrl,
    mdns,
    dht,
    follow,
    iAmAlone,
    logLevel,
  } = flags
  if ((tlsCert === undefined) !== (tlsKey === undefined)) {
    throw new ZoariumError('USAGE', '--tls-cert and --tls-key go together')
  }
  return {
    ...(http.length === 0 ? {} : { http }),
    ...(listen.length === 0 ? {} : { listen }),
    ...(peer.length === 0 ? {} : { peers: peer }),
    ...(tlsCert === undefined || tlsKey === undefined
      ? {}
      : { tls: { cert: tlsCert, key: tlsKey } }),
    ...(behindProxy === undefined ? {} : { behindProxy }),
    ...(publicUrl === undefined ? {} : { publicUrl }),
    ...(mdns ? {} : { mdns }),
    ...(dht ? {} : { dht }),
    ...(follow ? {} : { follow }),
    ...(iAmAlone === undefined ? {} : { isAlone: iAmAlone }),
    ...(logLevel === undefined ? {} : { logLevel }),
  }
}

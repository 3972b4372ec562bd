/** `zoarium status`: the node at a glance. */
import type {
  AtRiskView,
  ErasureView,
  QuotaView,
  RenewalView,
  RosterStatus,
  ScrubView,
} from '../../protocol/api.ts'
import { count, formatBytes, formatHandle } from '../format.ts'
import type { Cli } from '../session.ts'

export function addStatus({ program, session }: Cli): void {
  program
    .command('status')
    .description('the node: who it is, what it holds, whom it sees')
    .action(async () => {
      const { client, output } = session()
      const node = await client.node()
      const peers = await client.peers()
      const erased = (await client.erasures()).filter(({ gone }) => !gone)
      output.result(node, () => {
        const { publisher, counts, blobs, engine } = node
        output.line(
          `${publisher.displayName ?? publisher.label ?? 'node'}  zoarium ${node.version}`,
        )
        output.fields([
          ['publisher', publisher.id],
          ...(publisher.handle === null ? [] : [['handle', formatHandle(publisher)] as const]),
          ['peer', node.peer],
          ...node.addresses.map((address) => ['address', address] as const),
          ['since', node.started],
          [
            'holds',
            `${count(counts.models, 'model')} of ${count(counts.publishers, 'publisher')}, ${count(counts.records, 'record')}`,
          ],
          ['files', `${blobs.count}, ${formatBytes(blobs.bytes)}`],
          ['to fetch', node.incomplete === 0 ? 'nothing' : count(node.incomplete, 'model')],
          ['at risk', riskText(node.atRisk)],
          ...(node.scrub === null ? [] : [['checked', scrubText(node.scrub)] as const]),
          [
            'peers',
            `${peers.filter((peer) => peer.connected).length} connected, ${peers.length} known`,
          ],
          [
            'engine',
            `${engine.version} (${engine.executionProviders.join(', ')}), ${engine.running} running, ${engine.queued} queued`,
          ],
          ['models run', isolationText(engine.isolation)],
        ])
        if (node.self !== 'sure') {
          output.line(
            node.self === 'asking'
              ? '  ASKING: not stopped in order; peers are asked what this node has signed'
              : '  SELF_UNSURE: it signs nothing until a node that holds its records is connected; zoarium daemon --help tells of --i-am-alone',
          )
        }
        for (const model of node.atRisk.models) output.line(`  AT RISK: ${scarceText(model)}`)
        for (const erasure of erased) output.line(`  ERASED: ${erasureText(erasure)}`)
        for (const quota of node.quotas) output.line(`  QUOTA: ${quotaText(quota)}`)
        for (const renewal of node.renewals) output.line(`  RENEW: ${renewalText(renewal)}`)
        for (const { code, message, hint } of node.warnings) {
          output.line(`  ${code}: ${message}${hint === undefined ? '' : `; ${hint}`}`)
        }
        for (const roster of node.rosters) {
          for (const text of rosterTexts(roster)) output.line(`  ROSTER: ${text}`)
        }
        const troubled = node.logs.filter((log) => log.state !== 'OK')
        for (const log of troubled) {
          const at = log.seq === null ? 'nothing here' : `at ${log.epoch}/${log.seq}`
          const missing = log.missing === 0 ? '' : `, ${count(log.missing, 'record')} missing`
          output.line(
            `  ${log.state}: log ${log.key.slice(0, 16)} of ${log.publisher} ${at}${missing}`,
          )
        }
      })
    })
}

const riskText = ({ total }: AtRiskView): string =>
  total === 0 ? 'nothing' : `${count(total, 'model')} with too few copies`

const scarceText = ({ ref, replicas, floor }: AtRiskView['models'][number]): string =>
  `${ref} is held by ${count(replicas, 'institution')}, and should be by ${floor}`

function scrubText({ started, finished, files, bytes, rotten }: ScrubView): string {
  const state = finished === null ? `since ${started}, under way` : `until ${finished}`
  const found = rotten === 0 ? 'none rotten' : `${rotten} ROTTEN, set aside`
  return `${count(files, 'file')}, ${formatBytes(bytes)} ${state}: ${found}`
}

/** What a model's process is kept from, and what it is not for want of means on this machine. */
const BOUNDS = {
  memory: 'with bounded memory',
  network: 'without a network',
  privileges: 'without new privileges',
} as const

function isolationText(isolation: readonly string[]): string {
  const [are, lack] = [[] as string[], [] as string[]]
  for (const [name, text] of Object.entries(BOUNDS)) {
    if (isolation.includes(name)) are.push(text)
    else lack.push(text)
  }
  const not = lack.length === 0 ? '' : `, but this machine cannot run them ${lack.join(' or ')}`
  return `in processes of their own ${are.join(', ')}${not}`
}

/** What the operator should know of a roster. */
function rosterTexts({ name, issuer, followed, state, waiting }: RosterStatus): string[] {
  const roster = `${name} of ${issuer}`
  const texts: string[] = []
  if (waiting > 0) {
    const members = `${count(waiting, 'member')} ${waiting === 1 ? 'waits' : 'wait'}`
    texts.push(`${members} to be accepted in ${roster}; zoarium join --accept ${name}`)
  }
  if (followed && state === 'WITHDRAWN') {
    texts.push(`${roster} was withdrawn, and gives nothing any more; zoarium leave ${name}`)
  } else if (followed && state === 'UNKNOWN') {
    texts.push(`no record of ${roster} is here yet, so its members have nothing by it`)
  } else if (state === 'CONTESTED') {
    texts.push(`the log of ${roster} has forked; nothing new of it can be accepted`)
  }
  return texts
}

/** Whom a limit concerns, which one, what is left out, and when it goes on. */
function quotaText({ publisher, peer, kind, limit, since, until, leftOut }: QuotaView): string {
  const name = publisher?.petname ?? publisher?.label ?? publisher?.id ?? null
  const who = peer ?? name ?? 'this node'
  const goesOn = until === null ? 'until there is room' : `until ${until}`
  return `${who}: ${LIMITS[kind](limit)} since ${since}; left out ${goesOn}: ${leftOut}`
}

const LIMITS: Readonly<Record<QuotaView['kind'], (limit: number) => string>> = {
  records: (limit) => `${count(limit, 'record')} a day`,
  profiles: (limit) => `${count(limit, 'profile')} a day`,
  models: (limit) => count(limit, 'model'),
  bytes: (limit) => `${formatBytes(limit)} of files`,
  mirror: (limit) => `${formatBytes(limit)} of files (mirror.maxBytes)`,
  disk: (limit) => `less than ${formatBytes(limit)} of the disk free`,
  faults: (limit) => `more than ${count(limit, 'fault')} a minute`,
}

/** Erased models whose bytes are still here. */
const erasureText = ({ publisher, name, version, by, due }: ErasureView): string =>
  `${publisher.petname ?? publisher.label ?? publisher.id}/${name}@${version} by ${by === 'operator' ? 'the operator here' : 'its publisher'}; its bytes go at ${due}`

function renewalText({ scope, key, notAfter, renews, problem }: RenewalView): string {
  const what = `the ${scope} key ${key.slice(0, 16)} runs out at ${notAfter}`
  if (problem !== null) {
    const hint = problem.hint === undefined ? '' : `; ${problem.hint}`
    return `${what}, and could not be renewed: ${problem.message} (${problem.code})${hint}`
  }
  return renews === null
    ? `${what}; stop the daemon, then: zoarium keys renew ${scope}`
    : `${what}; this node renews it by itself from ${renews} on`
}

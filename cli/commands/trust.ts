/** `zoarium trust`: what the operator lets each publisher do here. */
import type {
  PublisherView,
  Right,
  TrustExplanation,
  TrustRuleView,
  TrustView,
} from '../../protocol/api.ts'
import { formatHandle, formatPublisher, markHandle, nameOf } from '../format.ts'
import type { Output } from '../output.ts'
import { type Cli, wordOf } from '../session.ts'

const RIGHTS: readonly Right[] = ['see', 'list', 'mirror', 'run']

export function addTrust({ program, session }: Cli): void {
  const trust = program
    .command('trust')
    .description('which publishers are listed, mirrored and run here')
    .addHelpText(
      'after',
      `
The rules stand in trust.yaml of the data folder. Changes by hand count as soon as the file is saved;
where it is wrong, the rules of before stay in force and \`zoarium status\` names the line.`,
    )
  trust
    .command('list', { isDefault: true })
    .description('all rules, and publishers without one')
    .action(async () => {
      const { client, output } = session()
      const view = await client.trust()
      output.result(view, () => printTrust(output, view))
    })
  trust
    .command('add')
    .description('give a publisher a right; each right includes the former')
    .argument('<publisher>', 'id, verified handle, petname or label')
    .argument('<right>', RIGHTS.join(', '), wordOf(RIGHTS))
    .option('--petname <name>', 'what you call it')
    .option('--send', 'images may be sent to its nodes for inference')
    .option('--no-send', 'they may not; the default of a new rule')
    .action(
      async (publisher: string, right: Right, options: { petname?: string; send?: boolean }) => {
        const { client, output } = session()
        const view = await client.addTrust({
          publisher,
          right,
          petname: options.petname ?? null,
          send: options.send ?? null,
        })
        output.result(view, () => printTrust(output, view))
      },
    )
  trust
    .command('remove <publisher>')
    .description('remove its rule: back to a stranger, or to what rosters give it')
    .action(async (publisher: string) => {
      const { client, output } = session()
      const view = await client.removeTrust(publisher)
      output.result(view, () => printTrust(output, view))
    })
  trust
    .command('explain <ref>')
    .description('which rights a model or publisher has here, and why')
    .action(async (ref: string) => {
      const { client, output } = session()
      const view = await client.explainTrust(ref)
      output.result(view, () => printExplanation(output, view))
    })
}

const FETCHED = {
  always: 'its files are fetched where they may be held',
  demand: 'its files are fetched on demand where they may be held',
  never: 'its files are never fetched',
} as const

function printExplanation(output: Output, view: TrustExplanation): void {
  const { publisher, model, rights, attestations } = view
  const parts = [model?.ref ?? view.ref, formatPublisher(publisher), publisher.id]
  output.line([...new Set(parts)].join('  '))
  if (model !== null) {
    output.line(`  record ${model.record}`)
    output.line(
      `  ${FETCHED[model.fetch]}: ${model.fetchBecause}; kept at ${model.floor} institutions`,
    )
  }
  if (publisher.handle !== null) output.line(`  handle ${formatHandle(publisher)}`)
  if (view.contested) output.line('  CONTESTED: the identity of the publisher has forked')
  else if (model?.contested) output.line('  CONTESTED: the log of the record has forked')
  if (model !== null && model.withdrawn !== null) output.line(`  withdrawn: ${model.withdrawn}`)
  output.table(
    ['RIGHT', 'GRANTED', 'BECAUSE', 'TO CHANGE'],
    rights.map(({ right, granted, because, change }) => [
      right,
      granted ? 'yes' : 'no',
      because,
      change ?? '-',
    ]),
  )
  if (attestations.length === 0) return
  output.line()
  output.table(
    ['ATTESTED BY', 'CLAIM', 'COUNTS', 'BECAUSE'],
    attestations.map((each) => [
      formatPublisher(each.publisher),
      each.claim,
      each.counts ? 'yes' : 'no',
      each.because,
    ]),
  )
}

function printTrust(output: Output, { items, run, strangers }: TrustView): void {
  output.table(
    ['PUBLISHER', 'RIGHT', 'SEND', 'HANDLE', 'ID'],
    [
      ...items.map((item) => rowOf(item.publisher, `${item.publisher.right}${whence(item)}`)),
      ...strangers.map((publisher) => rowOf(publisher, `${publisher.right} (no rule)`)),
    ],
  )
  for (const { attested, of, publishers } of run) {
    const whose = publishers === null ? 'listed publishers' : namesOf(publishers)
    output.line(`run, too: models of ${whose} for which ${attested} of ${namesOf(of)} vouch`)
  }
}

const namesOf = (publishers: readonly PublisherView[]): string =>
  publishers.map(formatPublisher).join(', ')

/** What gives the right, where it is not a rule for that publisher. */
function whence({ because, roster }: TrustRuleView): string {
  if (because === 'own') return ' (own)'
  if (because === 'rule') return ''
  return because === 'issuer' ? ` (issues ${roster?.name})` : ` (roster ${roster?.name})`
}

const rowOf = (publisher: PublisherView, right: string): readonly string[] => [
  nameOf(publisher),
  right,
  publisher.send ? 'yes' : 'no',
  markHandle(publisher),
  publisher.id,
]

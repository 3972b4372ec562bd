/** `zoarium join`: a federation's members, rights and addresses, by its roster. */
import type { JoinView, MemberView, RosterView } from '../../protocol/api.ts'
import { ZoariumError } from '../../protocol/errors.ts'
import { confirm } from '../confirm.ts'
import { count, formatPublisher, nameOf } from '../format.ts'
import type { Output } from '../output.ts'
import { readSource } from '../roster-source.ts'
import type { Cli, Session } from '../session.ts'
import { findRoster } from './roster.ts'

interface Options {
  readonly accept?: string | true
  readonly grantRun?: boolean
  readonly yes?: boolean
}

export function addJoin({ program, session }: Cli): void {
  program
    .command('join')
    .description("join a federation by its roster: list and mirror its members' models")
    .argument('[source]', "a roster's address, its file, or the id of its record or issuer")
    .option('--accept [name]', 'accept members that were added to rosters joined before')
    .option('--grant-run', 'let models of the members run, too, where the roster recommends it')
    .option('--yes', 'do not ask')
    .addHelpText(
      'after',
      `
The file is verified before anything is shown: the identity of its issuer, its signature, its date.
Compare the fingerprint with what the issuer told you. Members that a newer roster leaves out lose
their rights here at once; those that it adds get none until you accept them.`,
    )
    .action(async (source: string | undefined, options: Options) => {
      const opened = session()
      const { accept } = options
      if ((source === undefined) === (accept === undefined)) {
        throw new ZoariumError('USAGE', 'name a roster to join, or --accept what was added')
      }
      if (source !== undefined) {
        await joinOne(opened, await readSource(source, opened.io.signal), options)
        return
      }
      await acceptAll(opened, accept === true || accept === undefined ? null : accept, options)
    })
}

async function acceptAll(opened: Session, name: string | null, options: Options): Promise<void> {
  const { client, output } = opened
  const all = await client.rosters()
  const asked = name === null ? all : [findRoster(all, name)]
  const waiting = asked.filter(({ followed }) => (followed?.waiting.length ?? 0) > 0)
  if (waiting.length > 1 && output.isJson) {
    throw new ZoariumError('AMBIGUOUS', 'members of several rosters wait', {
      hint: `name one: ${waiting.map(pathOf).join(', ')}`,
    })
  }
  for (const { record } of waiting) {
    if (record !== null) await joinOne(opened, record, options)
  }
  if (waiting.length === 0) output.result({ items: [] }, () => output.line('no member waits'))
}

const pathOf = ({ publisher, name }: RosterView): string => `${publisher.id}/${name}`

async function joinOne(
  opened: Session,
  source: Uint8Array | string,
  { grantRun = false, yes = false }: Options,
): Promise<void> {
  const { client, output } = opened
  const plan = await client.join(source, { grantRun, dryRun: true })
  if (!output.isJson) printPlan(output, plan)
  if (!yes) await confirm(opened, plan.before === null ? 'Join it?' : 'Accept these members?')
  // Exactly what was shown, whatever the peers say by now.
  const exact = typeof source === 'string' ? plan.record : source
  const view = await client.join(exact, { grantRun, dryRun: false })
  output.result(view, () => {
    output.line(`joined ${view.name} of ${formatPublisher(view.publisher)}`)
    for (const { address, connected, error } of view.bootstrap) {
      output.line(`  ${connected ? 'connected to' : 'not reached yet:'} ${address}${why(error)}`)
    }
  })
}

const why = (error: string | null): string => (error === null ? '' : `: ${error}`)

function printPlan(output: Output, plan: JoinView): void {
  const { publisher, members, removed, right, recommends, bootstrap } = plan
  output.line(`${plan.name}, a roster of ${formatPublisher(publisher)}`)
  output.fields([
    ['issuer', publisher.id],
    ['fingerprint', plan.fingerprint],
    ['record', plan.record],
    ['signed', plan.signed],
    ['members get', `${right}${noteOf(right, recommends)}`],
    ...bootstrap.map(({ address }) => ['connects to', address] as const),
  ])
  output.table(
    ['MEMBER', 'RIGHT', 'BECAUSE', 'NEW', 'ID'],
    members.map((member) => [
      nameOf(member.publisher),
      member.right,
      BECAUSE[member.because],
      member.isNew ? 'new' : '',
      member.publisher.id,
    ]),
  )
  if (!members.some(({ because }) => because === 'own')) {
    output.line('  You are no member of it: ask its issuer to add the id of `zoarium status`.')
  }
  for (const each of removed) {
    output.line(`  no member any more: ${nameOf(each)}  ${each.id}`)
  }
  if (plan.before !== null) {
    output.line(`  ${count(members.filter(({ isNew }) => isNew).length, 'new member')}`)
  }
}

const BECAUSE: Readonly<Record<MemberView['because'], string>> = {
  roster: 'this roster',
  rule: 'your own rule',
  own: 'it is you',
}

const noteOf = (right: string, recommends: string): string => {
  if (right === recommends) return ''
  return recommends === 'run'
    ? '; the roster recommends run, which --grant-run gives'
    : `; the roster recommends ${recommends}`
}

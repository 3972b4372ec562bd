/** `zoarium roster`: federations that this node issues or follows. */
import { writeFile } from 'node:fs/promises'
import type { RosterRight, RosterView } from '../../protocol/api.ts'
import { ZoariumError } from '../../protocol/errors.ts'
import { ROSTER_RIGHTS } from '../../protocol/roster.ts'
import { count, formatPublisher, nameOf } from '../format.ts'
import type { Output } from '../output.ts'
import { type Cli, collect, wordOf } from '../session.ts'

interface SetOptions {
  readonly member?: readonly string[]
  readonly remove?: readonly string[]
  readonly right?: RosterRight
  readonly bootstrap?: readonly string[]
}

export function addRoster({ program, session }: Cli): void {
  const roster = program
    .command('roster')
    .description('rosters: the members of federations')
    .addHelpText(
      'after',
      `
A roster is signed by one publisher, its issuer. Others join by it: zoarium join --help`,
    )
  roster
    .command('list', { isDefault: true })
    .description('those that this node issues or follows')
    .action(async () => {
      const { client, output } = session()
      const items = await client.rosters()
      output.result({ items }, () => printList(output, items))
    })
  roster
    .command('show <name>')
    .description('one of them; NAME, or ISSUER/NAME where several have that name')
    .action(async (name: string) => {
      const { client, output } = session()
      const view = findRoster(await client.rosters(), name)
      output.result(view, () => printRoster(output, view))
    })
  roster
    .command('set <name>')
    .description('sign an own roster: the first of its name, or with changes')
    .option('--member <publisher>', 'add a member: id, handle, petname or label', collect)
    .option('--remove <publisher>', 'leave a member out from now on', collect)
    .option(
      '--right <right>',
      `what members are to get: ${ROSTER_RIGHTS.join(', ')} (default of a new one: mirror)`,
      wordOf(ROSTER_RIGHTS),
    )
    .option('--bootstrap <multiaddr>', 'where newcomers connect; replaces those before', collect)
    .action(async (name: string, options: SetOptions) => {
      const { client, output } = session()
      const { member = [], remove = [], right = null, bootstrap = null } = options
      const view = await client.setRoster({
        name,
        add: member,
        remove,
        right,
        bootstrap,
      })
      output.result(view, () => printRoster(output, view))
      const { id } = view.publisher
      if (view.bootstrap.length === 0) {
        output.note('It names no address: newcomers have to know a node. See --bootstrap.')
      }
      output.note(`Others join with the file of: zoarium roster export ${view.name} FILE.car`)
      output.note(
        `or by this node's https address: zoarium join https://…/v1/rosters/${id}/${view.name}.car`,
      )
      if (!view.members.some((member) => member.id === id)) {
        output.note(`It does not name you: to be a member yourself, add --member ${id}`)
      }
      if (view.followed === null && view.record !== null) {
        output.note(`So that it gives rights here, too: zoarium join ${view.record}`)
      }
    })
  roster
    .command('withdraw <name>')
    .description('end an own roster: nobody gets anything by it from then on')
    .action(async (name: string) => {
      const { client, output } = session()
      const view = await client.withdrawRoster(name)
      output.result(view, () => output.line(`withdrawn: ${view.name}`))
    })
  roster
    .command('export <name> <file>')
    .description('write the file by which others join')
    .action(async (name: string, file: string) => {
      const { client, output } = session()
      const { publisher, name: exact } = findRoster(await client.rosters(), name)
      const bytes = await client.rosterFile(publisher.id, exact)
      await write(file, bytes)
      output.result({ file, bytes: bytes.length }, () => output.line(`written to ${file}`))
      output.note('It can be joined for as long as its head is fresh: a week at most.')
    })
}

/** The roster of a name, or of `ISSUER/NAME`. @throws ZoariumError NOT_FOUND, AMBIGUOUS */
export function findRoster(rosters: readonly RosterView[], text: string): RosterView {
  const slash = text.lastIndexOf('/')
  const issuer = slash < 0 ? null : text.slice(0, slash)
  const found = rosters.filter(({ name, publisher }) => {
    const { id, label, petname, handle } = publisher
    const isIssuer = issuer === null || [id, label, petname, handle].includes(issuer)
    return isIssuer && name === text.slice(slash + 1)
  })
  const [only] = found
  if (only !== undefined && found.length === 1) return only
  if (only === undefined) {
    throw new ZoariumError('NOT_FOUND', 'no roster of that name is issued or followed here', {
      got: text,
      hint: 'zoarium roster lists them',
    })
  }
  throw new ZoariumError('AMBIGUOUS', `${found.length} rosters have that name`, {
    got: text,
    hint: `name one: ${found.map(({ publisher, name }) => `${publisher.id}/${name}`).join(', ')}`,
  })
}

async function write(file: string, bytes: Uint8Array): Promise<void> {
  try {
    await writeFile(file, bytes)
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException
    throw new ZoariumError('STORE', `couldn't write the file: ${code}`, { field: file }, error)
  }
}

function printList(output: Output, items: readonly RosterView[]): void {
  if (items.length === 0) {
    output.note('No roster is issued or followed here. To join one: zoarium join --help')
    return
  }
  output.table(
    ['ROSTER', 'ISSUER', 'STATE', 'MEMBERS', 'THEY GET', 'WAITING'],
    items.map(({ name, publisher, state, members, followed }) => [
      name,
      formatPublisher(publisher),
      state,
      String(members.length),
      followed?.right ?? 'nothing (not joined)',
      String(followed?.waiting.length ?? 0),
    ]),
  )
}

function printRoster(output: Output, view: RosterView): void {
  const { publisher, name, state, record, right, members, bootstrap, rivals, followed } = view
  output.line(`${name} of ${formatPublisher(publisher)}${view.own ? ' (own)' : ''}  ${state}`)
  output.fields([
    ['issuer', publisher.id],
    ['record', record ?? 'none'],
    ['recommends', right ?? '-'],
    ['gives here', followed?.right ?? 'nothing: it is not joined'],
    ...bootstrap.map((address) => ['bootstrap', address] as const),
    ...rivals.map((rival) => ['also stands', `${rival}, of which the greatest id holds`] as const),
  ])
  const waiting = new Set(followed?.waiting)
  if (members.length > 0) {
    output.table(
      ['MEMBER', 'RIGHT HERE', '', 'ID'],
      members.map((member) => [
        nameOf(member),
        member.right,
        waiting.has(member.id) ? 'waits' : '',
        member.id,
      ]),
    )
  }
  for (const each of followed?.gone ?? []) {
    output.line(`  no member any more: ${nameOf(each)}  ${each.id}`)
  }
  if (waiting.size > 0) {
    const wait = waiting.size === 1 ? 'waits' : 'wait'
    output.line(`  ${count(waiting.size, 'member')} ${wait}: zoarium join --accept ${name}`)
  }
}

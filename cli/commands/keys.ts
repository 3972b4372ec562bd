/** `zoarium keys`: the root keys and device keys of the data folder, while no daemon uses it. */
import { type Command, InvalidArgumentError } from 'commander'
import { parseCid } from '../../protocol/cid.ts'
import { byDigits, type Reason } from '../../protocol/device.ts'
import { expectOk } from '../../protocol/errors.ts'
import { SCOPES, type Scope } from '../../protocol/scope.ts'
import type { CutAt } from '../../registry/last-good.ts'
import { count } from '../format.ts'
import { change, printKey, printKeys, readKeys, SHORT } from '../own-keys.ts'
import { type Cli, wordOf } from '../session.ts'
import { addKeyFiles } from './key-files.ts'

const REASONS: readonly Reason[] = ['superseded', 'lost', 'stolen', 'staff-left']
/** For the machine whose root keys alone are not enough. */
const DRAFT = [
  '--draft <file>',
  'write it to a new file instead, to be signed with `keys sign` where other root keys are',
] as const

interface Drafted {
  readonly draft?: string
}
interface Revocation {
  readonly reason: Reason
  readonly at?: CutAt
}

export function addKeys({ program, session }: Cli): void {
  const keys = program
    .command('keys')
    .description('the keys of this publisher; to change them, stop the daemon first')
    .addHelpText(
      'after',
      `
The root keys stand for the publisher and sign nothing but what these commands do. Device keys sign
records: one to publish, one to serve. A third scope, erase, is given to a key only where models
are to be erased, and may be revoked right after. A key is named by its first 8 digits or more.
What is changed here reaches other nodes when the daemon runs again.

Root keys may lie on several machines, or on one without a network: \`keys export --root 1 --move FILE\`
here, \`keys import FILE\` there, into an empty data folder. A command with --draft FILE then writes
what is to be signed; \`keys sign FILE\` where the keys are, \`keys import FILE\` here.`,
    )
  keys
    .command('list', { isDefault: true })
    .description('root keys and device keys')
    .action(async () => {
      const opened = session()
      const view = await readKeys(opened)
      opened.output.result(view, () => printKeys(opened.output, view))
    })
  keys
    .command('show <key>')
    .description('a device key, its log, and what the root keys said of it')
    .action(async (key: string) => {
      const opened = session()
      const view = expectOk(byDigits((await readKeys(opened)).devices, key))
      opened.output.result(view, () => printKey(opened.output, view))
    })
  addDeviceCommands(keys, session)
  addLogCommands(keys, session)
  addOthers(keys, session)
  addRootCommands(keys, session)
  addKeyFiles(keys, session)
}

function addDeviceCommands(keys: Command, session: Cli['session']): void {
  keys
    .command('renew')
    .description('let device keys sign for another 400 days')
    .argument(
      '[scope or key]',
      'publish, serve, erase, or a key (default: all keys of this machine)',
    )
    .option(...DRAFT)
    .action(async (what: string | undefined, { draft }: Drafted) => {
      await change(session(), draft, (own) => {
        const scope = SCOPES.find((each) => each === what) ?? null
        const isKey = what !== undefined && scope === null
        const chosen = isKey ? [own.device(what)] : own.renewable(scope)
        own.renew(chosen.map(({ key }) => key))
        return `renewed ${count(chosen.length, 'key')}`
      })
    })
  keys
    .command('revoke <key>')
    .description('end a device key; what it signs later is void')
    .requiredOption('--reason <reason>', REASONS.join(', '), wordOf(REASONS))
    .option(
      '--at <epoch.seq>',
      'its last good record, by place or id, or "none" (default: the newest that is known here)',
      cutOrNone,
    )
    .option(...DRAFT)
    .action(async (text: string, { reason, at, draft }: Drafted & Revocation) => {
      await change(session(), draft, (own) => {
        const { key, scope, isHere } = own.device(text)
        own.revoke(key, reason, at)
        const advice = isHere ? `; for a new one: zoarium keys delegate ${scope}` : ''
        return `revoked ${key.slice(0, SHORT)}${advice}`
      })
    })
  keys
    .command('delegate')
    .description('let another device key sign for 400 days')
    .argument('<scope>', SCOPES.join(', '), wordOf(SCOPES))
    .option('--key <hex>', 'a key of another machine (default: one is made for this machine)', hex)
    .option(...DRAFT)
    .action(async (scope: Scope, { key = null, draft }: Drafted & { key?: string | null }) => {
      await change(session(), draft, (own) => `${own.delegate(scope, key)} may ${scope}`)
    })
}

/** Whom the publisher confides in, and who speaks for it when it no longer can. */
function addOthers(keys: Command, session: Cli['session']): void {
  keys
    .command('confide')
    .description('make a key for a private log, for what is not public yet: publish --private')
    .argument('[publisher...]', 'whose nodes may have it: id, petname, verified handle or label')
    .option('--roster <publisher/name>', 'and the members of a roster', rosterOf, [])
    .option(...DRAFT)
    .action(
      async (names: readonly string[], { roster, draft }: Drafted & { roster: RosterText[] }) => {
        await change(session(), draft, (own, { registry }) => {
          const idOf = (name: string) => expectOk(registry.resolvePublisher(name))
          const rosters = roster.map(({ by, name }) => ({ publisher: idOf(by), name }))
          const key = own.confide({ publishers: names.map(idOf), rosters })
          return `${key} may publish to ${count(names.length, 'publisher')}, ${count(rosters.length, 'roster')} and your own nodes`
        })
      },
    )
  keys
    .command('steward')
    .description('name the publisher that vouches for your records when you no longer can')
    .argument('<publisher>', 'id, petname, verified handle or label; "none" names nobody any more')
    .option(...DRAFT)
    .action(async (name: string, { draft }: Drafted) => {
      await change(session(), draft, (own, { registry }) => {
        const steward = name === 'none' ? null : expectOk(registry.resolvePublisher(name))
        own.succeed(steward)
        return steward === null ? 'no steward any more' : `the steward is ${steward}`
      })
    })
}

/** Commands after which the same key goes on in a new epoch of its log. */
function addLogCommands(keys: Command, session: Cli['session']): void {
  keys
    .command('epoch <key>')
    .description('void what somebody else signed with a device key of yours, which goes on')
    .requiredOption('--at <epoch.seq>', 'your last record, by place or id, or "none"', cutOrNone)
    .option(...DRAFT)
    .action(async (text: string, { at, draft }: Drafted & { at: CutAt }) => {
      await change(session(), draft, (own) => {
        const { key, scope } = own.device(text)
        own.raiseEpoch(key, at)
        return `the log goes on after ${placeText(at)}; where the key is in strange hands: zoarium keys revoke ${key.slice(0, SHORT)} --reason stolen, zoarium keys delegate ${scope}`
      })
    })
  keys
    .command('heal <key>')
    .description('settle a log that forked because its key was used twice')
    .requiredOption(
      '--at <epoch.seq>',
      'the last record of the branch that is to stand, by place (of the branch that is here) or id',
      cutOf,
    )
    .option(...DRAFT)
    .action(async (text: string, { at, draft }: Drafted & { at: Place }) => {
      await change(session(), draft, (own) => {
        const { key } = own.device(text)
        own.heal(key, at)
        return `the log goes on after ${placeText(at)}; use the key on one machine only`
      })
    })
}

function addRootCommands(keys: Command, session: Cli['session']): void {
  keys
    .command('rotate')
    .description('replace the root keys by those that were committed to, and commit to new ones')
    .option(...DRAFT)
    .action(async ({ draft }: Drafted) => {
      await change(session(), draft, (own) => {
        own.rotate()
        return 'the root keys are rotated: back up the folder again'
      })
    })
  keys
    .command('threshold')
    .description('how many root keys there are and how many have to sign; rotates twice')
    .argument('<k-of-n>', 'such as 2-of-3', thresholdOf)
    .option(...DRAFT)
    .action(async ({ k, n }: Threshold, { draft }: Drafted) => {
      await change(session(), draft, (own) => {
        own.threshold(k, n)
        return `${k} of ${n} root keys sign: back up the folder again`
      })
    })
}

/** A record, by its place or its id. */
type Place = Exclude<CutAt, 'newest' | 'none'>

function cutOf(value: string): Place {
  const cid = parseCid(value)
  if (cid.ok) return cid.value
  const match = /^(\d{1,10})\.(\d{1,10})$/.exec(value)
  if (match === null) throw new InvalidArgumentError('EPOCH.SEQ is needed, such as 0.12, or an id.')
  return { epoch: Number(match[1]), seq: Number(match[2]) }
}

const cutOrNone = (value: string): CutAt => (value === 'none' ? value : cutOf(value))

const placeText = (at: CutAt): string =>
  typeof at === 'object' ? `${at.epoch}.${at.seq}` : at === 'none' ? 'no record' : at

interface RosterText {
  readonly by: string
  readonly name: string
}

function rosterOf(value: string, before: readonly RosterText[]): readonly RosterText[] {
  const at = value.lastIndexOf('/')
  if (at < 1) throw new InvalidArgumentError('PUBLISHER/NAME is needed.')
  return [...before, { by: value.slice(0, at), name: value.slice(at + 1) }]
}

interface Threshold {
  readonly k: number
  readonly n: number
}

function thresholdOf(value: string): Threshold {
  const match = /^(\d{1,2})-of-(\d{1,2})$/.exec(value)
  if (match === null) throw new InvalidArgumentError('K-of-N is needed, such as 2-of-3.')
  return { k: Number(match[1]), n: Number(match[2]) }
}

function hex(value: string): string {
  if (!/^[0-9a-f]{64}$/.test(value)) throw new InvalidArgumentError('64 hex digits are needed.')
  return value
}

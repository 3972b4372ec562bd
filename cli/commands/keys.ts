/** `zoarium keys`: the root keys and device keys of the data folder, while no daemon uses it. */
import { type Command, InvalidArgumentError } from 'commander'
import type { DeviceKeyView, KeysView } from '../../daemon/keys.ts'
import { parseCid } from '../../protocol/cid.ts'
import type { Reason, Scope } from '../../protocol/device.ts'
import type { CutAt } from '../../registry/last-good.ts'
import type { AskSecret, OpenRegistry } from '../../registry/open-registry.ts'
import type { OwnKeys } from '../../registry/own-keys.ts'
import { count } from '../format.ts'
import type { Output } from '../output.ts'
import { readNewPassphrase, readSecret } from '../seal-secret.ts'
import { type Cli, type Session, wordOf } from '../session.ts'

const SCOPES: readonly Scope[] = ['publish', 'serve']
const REASONS: readonly Reason[] = ['superseded', 'lost', 'stolen', 'staff-left']
/** As many digits of a key as people compare. */
const SHORT = 16

export function addKeys({ program, session }: Cli): void {
  const keys = program
    .command('keys')
    .description('the keys of this publisher: stop the daemon first')
    .addHelpText(
      'after',
      `
The root keys stand for the publisher and sign nothing but what these commands do. Device keys sign
records: one to publish, one to serve. A key is named by its first 8 digits or more.
What is changed here reaches other nodes when the daemon runs again.

To keep the root keys on a machine without a network, copy identity.json into a data folder there
and move keys/root.json to its keys/. Then export here, import, sign and export there, import here.`,
    )
  keys
    .command('list', { isDefault: true })
    .description('root keys and device keys')
    .action(async () => {
      await change(session(), () => null)
    })
  keys
    .command('show <key>')
    .description('a device key, its log, and what the root keys said of it')
    .action(async (key: string) => {
      const { folder, io, output } = session()
      const { deviceView, withKeys } = await import('../../daemon/keys.ts')
      const ask: AskSecret = (by) => readSecret(io, by)
      const view = await withKeys(folder, ask, (own) => deviceView(own.device(key)))
      output.result(view, () => printKey(output, view))
    })
  addDeviceCommands(keys, session)
  addLogCommands(keys, session)
  addRootCommands(keys, session)
  addSealCommands(keys, session)
  addFileCommands(keys, session)
}

function addDeviceCommands(keys: Command, session: Cli['session']): void {
  keys
    .command('renew')
    .description('let device keys sign for another 400 days')
    .argument('[scope or key]', 'publish, serve, or a key (default: all keys of this machine)')
    .action(async (what?: string) => {
      await change(session(), (own) => {
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
    .action(async (text: string, { reason, at }: { reason: Reason; at?: CutAt }) => {
      await change(session(), (own) => {
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
    .action(async (scope: Scope, { key = null }: { key?: string | null }) => {
      await change(session(), (own) => `${own.delegate(scope, key)} may ${scope}`)
    })
}

/** Commands after which the same key goes on in a new epoch of its log. */
function addLogCommands(keys: Command, session: Cli['session']): void {
  keys
    .command('epoch <key>')
    .description('void what somebody else signed with a device key of yours, which goes on')
    .requiredOption('--at <epoch.seq>', 'your last record, by place or id, or "none"', cutOrNone)
    .action(async (text: string, { at }: { at: CutAt }) => {
      await change(session(), (own) => {
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
    .action(async (text: string, { at }: { at: Place }) => {
      await change(session(), (own) => {
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
    .action(async () => {
      await change(session(), (own) => {
        own.rotate()
        return 'the root keys are rotated: back up the folder again'
      })
    })
  keys
    .command('threshold')
    .description('how many root keys there are and how many have to sign; rotates twice')
    .argument('<k-of-n>', 'such as 2-of-3', thresholdOf)
    .action(async ({ k, n }: Threshold) => {
      await change(session(), (own) => {
        own.threshold(k, n)
        return `${k} of ${n} root keys sign: back up the folder again`
      })
    })
}

function addSealCommands(keys: Command, session: Cli['session']): void {
  keys
    .command('seal')
    .description('lock the private keys on disk under a passphrase or a key file')
    .option('--key-file <file>', 'a file of your own or one that is made now, on another disk')
    .action(async ({ keyFile }: { keyFile?: string }) => {
      const opened = session()
      const { makeKeyFile } = await import('../../registry/secret-file.ts')
      await change(opened, async (own) => {
        await own.seal(async () =>
          keyFile === undefined
            ? readNewPassphrase(opened.io)
            : makeKeyFile(keyFile, opened.folder),
        )
        return keyFile === undefined
          ? 'sealed: a lost passphrase is lost keys, and older backups are still open'
          : `sealed: name ${keyFile} in ZOARIUM_KEY_FILE from now on; without it the keys are lost, and older backups are still open`
      })
    })
  keys
    .command('unseal')
    .description('leave the private keys open on disk')
    .action(async () => {
      await change(session(), (own) => {
        own.unseal()
        return 'the private keys are open on disk'
      })
    })
}

function addFileCommands(keys: Command, session: Cli['session']): void {
  keys
    .command('export <file>')
    .description(
      'write what was signed to a file, for a machine without a network; no private keys',
    )
    .action(async (file: string) => {
      const { exportIdentity } = await import('../../registry/key-transfer.ts')
      await change(session(), (_, opened) => {
        exportIdentity(opened, file)
        return `written to ${file}`
      })
    })
  keys
    .command('import <file>')
    .description('take in what another machine has signed')
    .action(async (file: string) => {
      const { importIdentity } = await import('../../registry/key-transfer.ts')
      await change(session(), (_, opened) => {
        return `${count(importIdentity(opened, file), 'new operation')}`
      })
    })
}

/** Changes the keys and shows what they are then. */
async function change(
  { folder, io, output }: Session,
  work: (keys: OwnKeys, opened: OpenRegistry) => Promise<string | null> | string | null,
): Promise<void> {
  const { keysView, withKeys } = await import('../../daemon/keys.ts')
  const { done, view } = await withKeys(
    folder,
    (by) => readSecret(io, by),
    async (own, opened) => ({ done: await work(own, opened), view: keysView(own.overview()) }),
  )
  output.result(view, () => printKeys(output, view))
  if (done !== null) output.note(done)
}

function printKeys(output: Output, view: KeysView): void {
  const { publisher, roots, threshold, next, devices } = view
  output.line(`${publisher}  ${count(view.length, 'operation')}`)
  output.fields([
    ['root keys', `${threshold} of ${roots.length} sign`],
    ...roots.map(({ key, here }) => ['', `${key.slice(0, SHORT)}  ${placeOf(here)}`] as const),
    ['next set', `${next.commitment.slice(0, SHORT)}  ${placeOf(next.here)}`],
    ['on disk', view.sealed ? 'sealed' : 'open'],
  ])
  output.table(
    ['KEY', 'SCOPE', 'STATE', 'FROM', 'UNTIL', 'WHERE'],
    devices.map(({ key, scope, state, notBefore, notAfter, here }) => [
      key.slice(0, SHORT),
      scope,
      state,
      notBefore.slice(0, 10),
      notAfter.slice(0, 10),
      placeOf(here),
    ]),
  )
}

function printKey(output: Output, view: DeviceKeyView): void {
  output.line(view.key)
  output.fields([
    ['scope', view.scope],
    ['state', view.revoked === null ? view.state : `revoked: ${view.revoked}`],
    ['from', view.notBefore],
    ['until', view.notAfter],
    ['where', placeOf(view.here)],
    ['newest record', lastText(view.last)],
    ...view.cuts.map(
      ({ last, epoch }) =>
        [
          'good up to',
          `${lastText(last)}${epoch === null ? ', the end' : `, then epoch ${epoch}`}`,
        ] as const,
    ),
  ])
}

const placeOf = (here: boolean): string => (here ? 'this machine' : 'elsewhere')

const lastText = (last: DeviceKeyView['last']): string =>
  last === null ? 'none' : `${last.epoch}.${last.seq} ${last.tip}`

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

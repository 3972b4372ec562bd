/** `zoarium keys` and files: sealing, root keys that move, and what several machines sign. */
import { type Command, InvalidArgumentError } from 'commander'
import type { DraftView } from '../../daemon/keys.ts'
import type { AskSecret } from '../../registry/open-registry.ts'
import type { SealSecret } from '../../registry/seal.ts'
import { count } from '../format.ts'
import { change } from '../own-keys.ts'
import { readNewPassphrase, readSecret } from '../seal-secret.ts'
import type { Cli, Session } from '../session.ts'

export function addKeyFiles(keys: Command, session: Cli['session']): void {
  addSealCommands(keys, session)
  keys
    .command('export <file>')
    .description('write what was signed to a file, or a root key for another machine')
    .option('--root <n>', 'the n-th root key in force, and the n-th of the next set, sealed', nth)
    .option('--move', 'remove that root key here')
    .option('--key-file <file>', 'seal the root key under a key file, not a passphrase')
    .action(async (file: string, options: ExportOptions) => {
      const { root } = options
      if (root === undefined) await exportBundle(session(), file)
      else await exportRoot(session(), file, root, options)
    })
  keys
    .command('sign <file>')
    .description(
      'show what a file wants signed; with --yes sign it with the root keys of this machine',
    )
    .option('--yes', 'sign')
    .action(async (file: string, { yes = false }: { yes?: boolean }) => {
      await sign(session(), file, yes)
    })
  keys
    .command('import <file>')
    .description('take in what other machines have signed, or a root key')
    .action(async (file: string) => {
      const opened = session()
      const { isShareFile } = await import('../../registry/root-share.ts')
      await (isShareFile(file) ? importRoot(opened, file) : importBundle(opened, file))
    })
}

interface ExportOptions {
  readonly root?: number
  readonly move?: boolean
  readonly keyFile?: string
}

function addSealCommands(keys: Command, session: Cli['session']): void {
  keys
    .command('seal')
    .description('lock the private keys on disk under a passphrase or a key file')
    .option('--key-file <file>', 'a file of your own or one that is made now, on another disk')
    .action(async ({ keyFile }: { keyFile?: string }) => {
      const opened = session()
      await change(opened, undefined, async (own) => {
        await own.seal(() => newSecret(opened, keyFile))
        return keyFile === undefined
          ? 'sealed: a lost passphrase is lost keys, and older backups are still open'
          : `sealed: name ${keyFile} in ZOARIUM_KEY_FILE from now on; without it the keys are lost, and older backups are still open`
      })
    })
  keys
    .command('unseal')
    .description('leave the private keys open on disk')
    .action(async () => {
      await change(session(), undefined, (own) => {
        own.unseal()
        return 'the private keys are open on disk'
      })
    })
}

async function newSecret({ io, folder }: Session, keyFile?: string): Promise<SealSecret> {
  if (keyFile === undefined) return readNewPassphrase(io)
  const { makeKeyFile } = await import('../../registry/secret-file.ts')
  return makeKeyFile(keyFile, folder)
}

async function exportBundle(opened: Session, file: string): Promise<void> {
  const { writeBundle } = await import('../../registry/key-transfer.ts')
  await change(opened, undefined, (_, registry) => {
    writeBundle(registry, file)
    return `written to ${file}`
  })
}

async function exportRoot(
  opened: Session,
  file: string,
  n: number,
  { move = false, keyFile }: ExportOptions,
): Promise<void> {
  const { exportShare } = await import('../../registry/root-share.ts')
  await change(opened, undefined, async (_, registry) => {
    const ask = () => newSecret(opened, keyFile)
    await exportShare(registry, n, file, ask, { isMove: move })
    return move
      ? `root key ${n} is in ${file} now, and in backups of this folder that are older`
      : `root key ${n} is in ${file} and here; --move would remove it here`
  })
}

async function importBundle(opened: Session, file: string): Promise<void> {
  const { importIdentity } = await import('../../registry/key-transfer.ts')
  await change(opened, undefined, (_, registry) =>
    count(importIdentity(registry, file), 'new operation'),
  )
}

async function importRoot(opened: Session, file: string): Promise<void> {
  const { importShare } = await import('../../registry/root-share.ts')
  const { dataFolder } = await import('../../registry/data-folder.ts')
  const { systemClock } = await import('../../registry/clock.ts')
  const ask: AskSecret = (by) => readSecret(opened.io, by)
  const added = await importShare(dataFolder(opened.folder), file, ask, systemClock)
  await change(opened, undefined, () => count(added, 'new root key'))
}

async function sign({ folder, io, output }: Session, file: string, isYes: boolean): Promise<void> {
  const { draftView, withKeys } = await import('../../daemon/keys.ts')
  const { readBundleFile, signBundle } = await import('../../registry/key-transfer.ts')
  const ask: AskSecret = (by) => readSecret(io, by)
  const { drafts, added } = await withKeys(folder, ask, (_, opened) =>
    isYes ? signBundle(opened, file) : { drafts: readBundleFile(opened, file).open, added: 0 },
  )
  const views = drafts.map(draftView)
  output.result({ drafts: views, added }, () => {
    for (const view of views) output.line(draftText(view))
  })
  output.note(adviceOf(file, views, isYes))
}

function adviceOf(file: string, drafts: readonly DraftView[], isYes: boolean): string {
  if (drafts.length === 0) return 'nothing in that file is to be signed'
  if (!isYes)
    return 'nothing is signed yet: --yes signs all of it with the root keys of this machine'
  const missing = Math.max(...drafts.map((draft) => draft.missing))
  return missing === 0
    ? `signed by enough root keys: zoarium keys import ${file} on the node`
    : `signed; ${count(missing, 'more root signature')} needed: zoarium keys sign ${file} on another machine`
}

const draftText = ({ number, text, signers, missing }: DraftView): string =>
  `${number}. ${text}  (${signers.length} of ${signers.length + missing} signatures)`

function nth(value: string): number {
  if (!/^[1-9]\d?$/.test(value)) throw new InvalidArgumentError('A number from 1 is needed.')
  return Number(value)
}

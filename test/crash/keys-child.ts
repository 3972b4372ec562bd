/**
 * A process that changes the own keys and is killed at a failpoint.
 *
 *     node keys-child.ts FOLDER delegate|renew|rotate|threshold|draft|share|found FILE
 */
import process from 'node:process'
import { systemClock } from '../../registry/clock.ts'
import { dataFolder } from '../../registry/data-folder.ts'
import { openRegistry } from '../../registry/open-registry.ts'
import { OwnKeys } from '../../registry/own-keys.ts'
import { exportShare, importShare } from '../../registry/root-share.ts'

const [, , path = '', work = '', file = ''] = process.argv
const secret = async () => ({ by: 'passphrase', text: 'crash' }) as const
if (work === 'found') {
  await importShare(dataFolder(path), file, secret, systemClock)
  process.exit()
}
const opened = await openRegistry(dataFolder(path), systemClock)
const own = new OwnKeys(opened, systemClock)
if (work === 'delegate') own.delegate('serve')
if (work === 'renew') own.renew(own.renewable('publish').map(({ key }) => key))
if (work === 'rotate') own.rotate()
if (work === 'threshold') own.threshold(2, 3)
if (work === 'draft') {
  new OwnKeys(opened, systemClock, { draftTo: file }).delegate('serve')
}
if (work === 'share') {
  await exportShare(opened, 1, file, secret, { isMove: true, cost: { n: 16, r: 1, p: 1 } })
}
await opened.close()

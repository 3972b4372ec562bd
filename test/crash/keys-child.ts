/**
 * A process that changes the own keys and is killed at a failpoint.
 *
 *     node keys-child.ts FOLDER delegate|renew|rotate|threshold
 */
import process from 'node:process'
import { systemClock } from '../../registry/clock.ts'
import { dataFolder } from '../../registry/data-folder.ts'
import { openRegistry } from '../../registry/open-registry.ts'
import { OwnKeys } from '../../registry/own-keys.ts'

const [, , path = '', work = ''] = process.argv
const opened = await openRegistry(dataFolder(path), systemClock)
const own = new OwnKeys(opened, systemClock)
if (work === 'delegate') own.delegate('serve')
if (work === 'renew') own.renew(own.renewable('publish').map(({ key }) => key))
if (work === 'rotate') own.rotate()
if (work === 'threshold') own.threshold(2, 3)
await opened.close()

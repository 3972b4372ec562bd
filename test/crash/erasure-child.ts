/**
 * A process that deletes what is due of erased models and is killed at a failpoint.
 *
 *     node erasure-child.ts FOLDER HOURS
 *
 * HOURS is how far the clock stands ahead.
 */
import process from 'node:process'
import { systemClock } from '../../registry/clock.ts'
import { dataFolder } from '../../registry/data-folder.ts'
import { openRegistry } from '../../registry/open-registry.ts'

const [, , path = '', hours = '0'] = process.argv
const clock = { now: () => systemClock.now() + Number(hours) * 3600 * 1000 }
const opened = await openRegistry(dataFolder(path), clock)
const { count } = await opened.registry.collect()
process.stdout.write(`${count}\n`)
await opened.close()

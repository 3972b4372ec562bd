/**
 * A process that makes room and is killed at a failpoint.
 *
 *     node eviction-child.ts FOLDER BYTES
 *
 * Prints what the node would say that it holds, at the moment at which files begin to go.
 */
import process from 'node:process'
import { systemClock } from '../../registry/clock.ts'
import { dataFolder } from '../../registry/data-folder.ts'
import { openRegistry } from '../../registry/open-registry.ts'

const [, , path = '', bytes = '0'] = process.argv
const opened = await openRegistry(dataFolder(path), systemClock)
const { registry } = opened
registry.on('leaving', () => {
  process.stdout.write(`${JSON.stringify(registry.heldForAll())}\n`)
})
await registry.makeRoom(Number(bytes), { isBusy: () => false, mayGo: async () => true })
await opened.close()

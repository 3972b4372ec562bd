/**
 * `npm run test:crash -- [--kills N] [--seed S] [--workers N]` kills processes that work in data
 * folders, and looks after each kill whether all promises were kept. Beside N kills of processes that
 * have only what they need, there are a twentieth as many power cuts and a fortieth as many kills of
 * whole daemons. `--only processes|cuts|daemons` leaves the others out; `--generation G` does one
 * data folder of a seed again.
 *
 * From a seed follow the kinds of commands, and where each process is killed: at the same named place
 * or call every time. What runs beside each other in a process, what the last acknowledgements leave
 * to choose from, and kills from outside after some milliseconds differ from run to run.
 */
import { randomBytes } from 'node:crypto'
import process from 'node:process'
import { parseArgs } from 'node:util'
import { runCampaign, sum } from './campaign.ts'
import { runDaemonGeneration } from './daemon-generation.ts'
import { FAILPOINTS } from './kill.ts'
import { powerDisk, whyNoPowerDisk } from './power-disk.ts'

const PROCESSES_A_CUT = 20
const PROCESSES_A_DAEMON = 40

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '1000' },
    seed: { type: 'string', default: randomBytes(4).toString('hex') },
    workers: { type: 'string', default: '2' },
    generation: { type: 'string' },
    only: { type: 'string' },
  },
})

function count(name: 'kills' | 'workers'): number {
  const value = Number(values[name])
  if (Number.isSafeInteger(value) && value >= 1) return value
  process.stderr.write(`--${name} is a whole number of at least 1\n`)
  process.exit(2)
}

const { seed } = values
const kills = count('kills')
const common = {
  seed,
  workers: count('workers'),
  ...(values.generation === undefined ? {} : { only: Number(values.generation) }),
  onGeneration: (done: number) => process.stderr.write(`${done} kills\n`),
}
const total = { kills: 0, acknowledged: 0, positions: 0, losses: 0 }

function tell(title: string, result: Awaited<ReturnType<typeof runCampaign>>): void {
  process.stdout.write(table(`${title}: kills`, result.kills))
  process.stdout.write(table(`${title}: acknowledged`, result.acknowledged))
  for (const fault of result.faults) process.stdout.write(`LOST ${fault}\n`)
  total.kills += sum(result.kills)
  total.acknowledged += sum(result.acknowledged)
  total.positions += result.positions
  total.losses += result.faults.length
}

const table = (title: string, counts: ReadonlyMap<string, number>): string =>
  `${title}\n${[...counts]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, each]) => `  ${String(each).padStart(6)}  ${name}\n`)
    .join('')}`
const isWanted = (name: string): boolean => values.only === undefined || values.only === name

process.stdout.write(`seed ${seed}\n`)
if (isWanted('processes')) {
  const result = await runCampaign({ ...common, kills })
  tell('processes', result)
  const missed = FAILPOINTS.filter((name) => !result.kills.has(name))
  if (missed.length > 0) process.stdout.write(`not reached: ${missed.join(', ')}\n`)
}
if (isWanted('cuts')) {
  const why = whyNoPowerDisk()
  if (why !== null) process.stdout.write(`power cuts: skipped (${why})\n`)
  else {
    const cuts = Math.ceil(kills / PROCESSES_A_CUT)
    tell('power cuts', await runCampaign({ ...common, kills: cuts, disk: powerDisk }))
  }
}
if (isWanted('daemons')) {
  const some = Math.ceil(kills / PROCESSES_A_DAEMON)
  tell('daemons', await runCampaign({ ...common, kills: some, run: runDaemonGeneration }))
}
process.stdout.write(
  `seed ${seed}: ${total.kills} kills, ${total.acknowledged} acknowledgements, ` +
    `${total.positions} positions of own logs, ${total.losses} losses\n`,
)
// The libraries of the network leave a timer behind.
process.exit(total.losses === 0 ? 0 : 1)

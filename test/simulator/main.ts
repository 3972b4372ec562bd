/**
 * `npm run test:sim -- [--seeds N] [--nodes N] [--records N] [--first N] [--workers N]` runs seeds,
 * `--seed S` one of them again, `--shrink` makes its plan small; `--catalogue memory|sqlite` has all
 * of them over one catalogue. What failed once is run first, as fixed-seeds.json has it.
 */
import fs from 'node:fs'
import process from 'node:process'
import { parseArgs } from 'node:util'
import { Crew } from './crew.ts'
import type { CatalogueKind } from './database.ts'
import type { Plan, PlanOptions } from './plan.ts'
import type { Outcome } from './simulation.ts'
import { Tally } from './tally.ts'
import type { Job, Result } from './worker.ts'

interface FixedSeed extends PlanOptions {
  readonly seed: string
  /** What it found. */
  readonly found: string
}

/** Plans that are printed whole. */
const MAX_FAILURES = 5

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '100' },
    nodes: { type: 'string', default: '5' },
    records: { type: 'string', default: '200' },
    first: { type: 'string', default: '1' },
    workers: { type: 'string', default: '2' },
    catalogue: { type: 'string' },
    seed: { type: 'string' },
    plan: { type: 'string' },
    shrink: { type: 'boolean', default: false },
  },
})

function count(name: 'seeds' | 'nodes' | 'records' | 'first' | 'workers', min: number): number {
  const value = Number(values[name])
  if (Number.isSafeInteger(value) && value >= min) return value
  process.stderr.write(`--${name} is a whole number of at least ${min}\n`)
  process.exit(2)
}

const options: PlanOptions = {
  nodes: count('nodes', 3),
  records: count('records', 1),
  ...(isKind(values.catalogue) ? { catalogue: values.catalogue } : {}),
}
const tally = new Tally()
const failed: { readonly outcome: Outcome; readonly again: string }[] = []
let virtualMs = 0
let seeds = 0
const started = process.hrtime.bigint()
const crew = new Crew(values.seed === undefined ? count('workers', 1) : 1)

const again = (seed: string, { nodes, records, catalogue }: PlanOptions): string =>
  `npm run test:sim -- --seed ${seed} --nodes ${nodes} --records ${records}${
    catalogue === undefined ? '' : ` --catalogue ${catalogue}`
  }`

function isKind(text: string | undefined): text is CatalogueKind {
  if (text === undefined || text === 'memory' || text === 'sqlite') return text !== undefined
  process.stderr.write('--catalogue is memory or sqlite\n')
  process.exit(2)
}

async function run(job: Extract<Job, { readonly do: 'seed' | 'plan' }>, command: string) {
  const result = await crew.do(job)
  if (result.did !== 'run') throw new TypeError('a run has an outcome')
  const { outcome } = result
  seeds++
  virtualMs += outcome.virtualMs
  tally.addAll(outcome.counts)
  if (outcome.failure === null) return
  failed.push({ outcome, again: command })
  process.stdout.write(`FAILED seed ${outcome.seed}: ${outcome.failure.message}\n  ${command}\n`)
}

async function shrinkOne(seed: string): Promise<void> {
  const result: Result = await crew.do({ do: 'shrink', seed, options })
  if (result.did !== 'shrink') throw new TypeError('shrinking gives a plan')
  const { plan, outcome, tries } = result
  process.stdout.write(`\nshrunk in ${tries} tries: ${outcome.failure?.message ?? 'passes now'}\n`)
  process.stdout.write(`${describe(plan)}\n`)
}

/** A plan, an event a line. */
function describe({ events, ...rest }: Plan): string {
  const lines = events.map((event) => `    ${JSON.stringify(event)}`)
  return `${JSON.stringify(rest).slice(0, -1)},"events":[\n${lines.join(',\n')}\n]}`
}

function summary(): string {
  const seconds = Number(process.hrtime.bigint() - started) / 1e9
  const days = Math.round(virtualMs / (24 * 3600 * 1000))
  const lines = Object.entries(tally.toJSON()).map(([name, n]) => `  ${name}: ${n}`)
  return [
    `${seeds} seeds of ${options.nodes} nodes, ${failed.length} failed`,
    `${days} days of virtual time in ${seconds.toFixed(1)} s`,
    ...lines,
  ].join('\n')
}

async function all(): Promise<void> {
  const file = new URL('./fixed-seeds.json', import.meta.url)
  const fixed = JSON.parse(fs.readFileSync(file, 'utf8')) as readonly FixedSeed[]
  const first = count('first', 0)
  const jobs = [
    ...fixed.map(({ seed, found: _, ...rest }) => ({ seed, options: rest })),
    ...Array.from({ length: count('seeds', 0) }, (_, n) => ({ seed: String(first + n), options })),
  ]
  let next = 0
  const worker = async (): Promise<void> => {
    for (let job = jobs[next++]; job !== undefined; job = jobs[next++]) {
      await run({ do: 'seed', ...job }, again(job.seed, job.options))
      if (failed.length >= MAX_FAILURES) return
    }
  }
  await Promise.all(Array.from({ length: count('workers', 1) }, worker))
}

if (values.plan !== undefined) {
  const plan = JSON.parse(fs.readFileSync(values.plan, 'utf8')) as Plan
  await run({ do: 'plan', plan, sabotage: null }, `npm run test:sim -- --plan ${values.plan}`)
} else if (values.seed === undefined) await all()
else await run({ do: 'seed', seed: values.seed, options }, again(values.seed, options))
process.stdout.write(`${summary()}\n`)
const [first] = failed
if (first !== undefined && (values.shrink || values.seed === undefined)) {
  process.stdout.write(`\nshrinking seed ${first.outcome.seed}\n`)
  await shrinkOne(first.outcome.seed)
}
crew.end()
process.exitCode = failed.length === 0 ? 0 : 1
